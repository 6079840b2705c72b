"""Prints where a peer is that cases talk to, as two lines: the program, and the folders of its libraries (may be empty).

It is the system's own, or Debian's package, unpacked under target/bench and not installed, so that no service starts. Whoever
has run scripts/bench has it already.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "benches"))

from report import install  # noqa: E402

try:
    program, environment, module = install.program(sys.argv[1], ROOT / "target" / "bench" / "peers")
except (OSError, subprocess.SubprocessError) as error:
    sys.exit(f"{sys.argv[1]} cannot be had: {error}")
print(program, environment.get("LD_LIBRARY_PATH", ""), module or "", sep="\n")
