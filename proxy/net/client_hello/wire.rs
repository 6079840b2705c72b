//! Numbers and vectors as TLS writes them (RFC 8446, section 3).

/// Bytes that are read from the front. Each reader takes nothing if it returns `None`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector whose length stands in one byte.
    pub(super) fn vector8(&mut self) -> Option<Self> {
        self.vector(1)
    }

    /// A vector whose length stands in two bytes.
    pub(super) fn vector16(&mut self) -> Option<Self> {
        self.vector(2)
    }

    fn vector(&mut self, size: usize) -> Option<Self> {
        let mut all = *self;
        let length = all.take(size)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let content = all.take(length)?;
        *self = all;
        Some(Self(content))
    }
}
