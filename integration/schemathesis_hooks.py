"""How schemathesis sends bodies of types that it does not know (SCHEMATHESIS_HOOKS)."""

import schemathesis


@schemathesis.serializer("application/toml")
def toml(_context, value):
    """A text is the body as it is; what is none must be refused whatever it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
