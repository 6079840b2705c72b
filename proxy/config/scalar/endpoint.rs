//! Where something is sent to by HTTP.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Address, AddressError, Explain};

/// A URL without encryption: `http://host:port/path`. Displays as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an IP address, and a port.
    pub authority: Arc<str>,
    /// Begins with a slash.
    pub path: Arc<str>,
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointError {
    /// It begins with `https://`.
    Encrypted,
    /// It does not begin with `http://`.
    Scheme,
    /// What follows is no address.
    Address(AddressError),
    /// A character that no path has.
    Path,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if text.starts_with("https://") {
            return Err(EndpointError::Encrypted);
        }
        let rest = text.strip_prefix("http://").ok_or(EndpointError::Scheme)?;
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address: Address = address.parse().map_err(EndpointError::Address)?;
        if matches!(address, Address::Srv { .. }) {
            return Err(EndpointError::Address(AddressError::Host));
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte)) {
            return Err(EndpointError::Path);
        }
        Ok(Self { authority: address.to_string().into(), path: if path.len() > 1 { path } else { TRACES }.into() })
    }
}

/// Where collectors of OpenTelemetry take spans, unless they are told otherwise.
const TRACES: &str = "/v1/traces";

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encrypted => f.write_str("spans are sent without encryption only"),
            Self::Scheme => f.write_str("not a URL that begins with http://"),
            Self::Address(error) => error.fmt(f),
            Self::Path => f.write_str("the path has a character that no path has"),
        }
    }
}

impl Explain for EndpointError {
    fn hint(&self) -> String {
        if *self == Self::Encrypted {
            return r#"write "http://127.0.0.1:4318", and have a collector on this machine or in its network pass them on"#
                .into();
        }
        r#"for example "http://127.0.0.1:4318" or "http://collector.internal:4318/v1/traces""#.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown() {
        for (text, shown) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://Collector.internal.:4318/", "http://collector.internal:4318/v1/traces"),
            ("http://[::1]:80/otlp/v1/traces?key=1", "http://[::1]:80/otlp/v1/traces?key=1"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (text, error) in [
            ("", EndpointError::Scheme),
            ("collector:4318", EndpointError::Scheme),
            ("grpc://collector:4317", EndpointError::Scheme),
            ("https://collector:4318", EndpointError::Encrypted),
            ("http://", EndpointError::Address(AddressError::NoPort)),
            ("http://collector", EndpointError::Address(AddressError::NoPort)),
            ("http://collector:0", EndpointError::Address(AddressError::PortZero)),
            ("http://user@collector:4318", EndpointError::Address(AddressError::Host)),
            ("http://::1:4318", EndpointError::Address(AddressError::Brackets)),
            ("http://srv:_otlp._tcp.example.com", EndpointError::Address(AddressError::Host)),
            ("http://collector:4318/a b", EndpointError::Path),
            ("http://collector:4318/a#b", EndpointError::Path),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
