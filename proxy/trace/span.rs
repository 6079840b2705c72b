//! One span: what is told of a request or a session when it is over.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::context::{Context, SpanId};
use crate::config::scalar::Name;
use crate::pool::Backend;

/// One span. Cheap to make: most of its text is written later, by whoever exports it.
#[derive(Debug)]
pub struct Span {
    /// Its place in its trace.
    pub context: Context,
    /// The span that it is a part of, elsewhere.
    pub parent: Option<SpanId>,
    /// What kind of thing it is about.
    pub name: &'static str,
    /// When it was over.
    pub ended_at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// It went wrong.
    pub is_error: bool,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
}

/// What an attribute says.
#[derive(Debug)]
pub enum Value {
    /// A word of this program.
    Word(&'static str),
    /// A text of somebody else.
    Text(String),
    /// A name from the config.
    Name(Name),
    /// An address.
    Ip(IpAddr),
    /// What a backend is known by.
    Backend(Arc<Backend>),
    /// A whole number.
    Whole(u64),
    /// Any other number.
    Number(f64),
}

impl Span {
    /// A span that ends now.
    pub fn ended(context: Context, parent: Option<SpanId>, name: &'static str, took: Duration) -> Self {
        let attributes = Vec::with_capacity(ATTRIBUTES);
        Self { context, parent, name, ended_at: SystemTime::now(), took, is_error: false, attributes }
    }

    /// Adds an attribute.
    pub fn tell(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push((key, value.into()));
    }

    /// Adds an attribute, if there is anything to be told.
    pub fn tell_if(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.tell(key, value);
        }
    }
}

/// What most spans have room enough with.
const ATTRIBUTES: usize = 18;

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Name> for Value {
    fn from(name: Name) -> Self {
        Self::Name(name)
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<Arc<Backend>> for Value {
    fn from(backend: Arc<Backend>) -> Self {
        Self::Backend(backend)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Whole(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}
