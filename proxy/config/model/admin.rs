//! The admin server, and who may use it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use crate::config::scalar::Hosts;

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminServer {
    /// Where it listens; `None` is `bind = "off"`. Fixed at start.
    pub bind: Option<SocketAddr>,
    /// Where the token is written; `None` is that everybody who can connect may do everything.
    pub token_file: Option<PathBuf>,
    /// What the file holds.
    pub token: Option<Arc<Token>>,
    /// What it is called by those who use it, beside `localhost` and its addresses.
    pub hosts: Vec<Hosts>,
}

/// The word that those who may use the admin server know. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a file holds no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// There is something in it that cannot be sent, such as a space or a second line.
    Character,
    /// So short that it could be guessed.
    TooShort,
    /// Longer than the head of a request may be.
    TooLong,
}

impl Token {
    /// Sixteen bytes of chance, in hexadecimal digits, have twice as many.
    const LENGTH_MIN: usize = 16;
    const LENGTH_MAX: usize = 4096;

    /// What a file holds, without the line's end.
    ///
    /// # Errors
    /// It is no token.
    pub fn read(file: &[u8]) -> Result<Self, TokenError> {
        let text = file.trim_ascii();
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::Character);
        }
        match text.len() {
            ..Self::LENGTH_MIN => Err(TokenError::TooShort),
            Self::LENGTH_MIN..=Self::LENGTH_MAX => Ok(Self(String::from_utf8_lossy(text).into_owned())),
            _ => Err(TokenError::TooLong),
        }
    }

    /// Whether somebody has said it. Takes as long whatever of it is right.
    pub fn is(&self, said: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(said).into()
    }
}

impl AdminServer {
    /// What can be had of a new version while the server stays where it listens. It must not lose its token there, if it is one
    /// that other machines can reach.
    pub fn staying(self, running: &Self) -> Self {
        let is_bare = self.token.is_none() && running.bind.is_some_and(|bind| !bind.ip().is_loopback());
        let Self { token_file, token, hosts, bind: _ } = self;
        let (token_file, token) =
            if is_bare { (running.token_file.clone(), running.token.clone()) } else { (token_file, token) };
        Self { bind: running.bind, token_file, token, hosts }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character => f.write_str("it must hold one line of printable characters without spaces"),
            Self::TooShort => {
                write!(f, "its token is shorter than {} characters; make one: openssl rand -hex 32", Token::LENGTH_MIN)
            }
            Self::TooLong => write!(f, "its token is longer than {} characters", Token::LENGTH_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "0123456789abcdef";

    #[test]
    fn a_token_is_one_line_that_cannot_be_guessed() {
        let token = Token::read(format!("{WORD}\r\n").as_bytes()).unwrap();
        assert!(token.is(WORD.as_bytes()));
        for other in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(***)");
        assert_eq!(Token::read(b"\n"), Err(TokenError::TooShort));
        assert_eq!(Token::read(b"0123456789abcde"), Err(TokenError::TooShort));
        assert_eq!(Token::read(b"0123456789abcdef\nagain"), Err(TokenError::Character));
        assert_eq!(Token::read(&[b'x'; 4097]), Err(TokenError::TooLong));
    }

    #[test]
    fn who_can_be_reached_keeps_the_token() {
        let token = Arc::new(Token::read(WORD.as_bytes()).unwrap());
        let at = |bind: &str, token: Option<&Arc<Token>>| AdminServer {
            bind: bind.parse().ok(),
            token_file: token.map(|_| "token".into()),
            token: token.cloned(),
            hosts: Vec::new(),
        };
        let (public, bare) = (at("0.0.0.0:1", Some(&token)), at("127.0.0.1:2", None));
        assert_eq!(bare.clone().staying(&public), public);
        assert_eq!(bare.staying(&at("127.0.0.1:1", Some(&token))), at("127.0.0.1:1", None));
    }
}
