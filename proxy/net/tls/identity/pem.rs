//! Files of certificates and keys (PEM, RFC 7468), read so that no block of one is lost without a word.
//!
//! rustls decodes the blocks, but passes over one that begins in the middle of a line: so it is in files that were put together by
//! `cat` of some that did not end with a line break, or that begin with a byte-order mark. Here a block may begin anywhere, and
//! what looks like a part of one that is damaged is an error with its line.

use std::borrow::Cow;
use std::fmt;

use rustls::pki_types::pem::{PemObject as _, SectionKind};

/// A block of a file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// What it holds, such as `CERTIFICATE`.
    pub(super) label: String,
    /// Where it begins: the first line is 1.
    pub(super) line: usize,
    /// A header says that the body is encrypted (RFC 1421), as OpenSSL once wrote keys.
    pub(super) is_encrypted: bool,
    /// In base64, without white space.
    body: String,
}

/// Why a file is no list of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PemError {
    /// It holds what would be within a block, in binary (DER).
    Binary,
    /// It is a text in UTF-16.
    WideText,
    /// In this line, the mark of a beginning or an end is not written as it must be.
    Mark(usize),
    /// The block that begins in this line has no end before the next one, or before the end of the file.
    NoEnd(String, usize),
    /// The block that ends in this line has no beginning.
    NoBegin(String, usize),
    /// In this line of a block, a character is not of base64.
    Character(char, usize),
    /// What the block holds that begins in this line is not whole.
    Cut(String, usize),
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What a line is read up to.
enum Mark<'a> {
    Begin(&'a str),
    End(&'a str),
}

/// All blocks of a file, in their order, whatever they hold. Text between them is passed over; so is a block in lines that begin
/// with `#`.
///
/// # Errors
/// The file is no text, or something in it looks like a part of a block and is none.
pub(super) fn blocks(file: &[u8]) -> Result<Vec<Block>, PemError> {
    let text = text(file)?;
    let (mut found, mut open) = (Vec::new(), None::<Block>);
    for (number, line) in lines(&text) {
        if open.is_none() && line.trim_start().starts_with('#') {
            continue;
        }
        let mut rest = line;
        while let Some((before, mark, behind)) = next_mark(rest).map_err(|()| PemError::Mark(number))? {
            let ended = open.take().map(|block| block.with(before, number)).transpose()?;
            match (mark, ended) {
                (Mark::Begin(label), None) => open = Some(Block::begin(label, number)),
                (Mark::End(label), Some(block)) if block.label == label => found.push(block),
                (Mark::End(label), None) => return Err(PemError::NoBegin(label.to_owned(), number)),
                (_, Some(block)) => return Err(PemError::NoEnd(block.label, block.line)),
            }
            rest = behind;
        }
        open = open.map(|block| block.with(rest, number)).transpose()?;
    }
    match open {
        Some(block) => Err(PemError::NoEnd(block.label, block.line)),
        None => Ok(found),
    }
}

fn text(file: &[u8]) -> Result<Cow<'_, str>, PemError> {
    // A sequence of ASN.1 whose length takes several bytes, as that of certificates and keys does.
    const SEQUENCE: u8 = 0x30;
    match file {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(PemError::WideText),
        [SEQUENCE, 0x80..=0xff, ..] => Err(PemError::Binary),
        _ => Ok(String::from_utf8_lossy(file)),
    }
}

/// The lines of a text, each with its number: ended by LF, CR LF or CR.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let by_feed = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    (1..).zip(by_feed.flat_map(|line| line.split('\r')))
}

/// What stands before the first mark of a line, the mark, and what stands behind it.
fn next_mark(line: &str) -> Result<Option<(&str, Mark<'_>, &str)>, ()> {
    let begin = line.find(BEGIN).map(|at| (at, BEGIN));
    let end = line.find(END).map(|at| (at, END));
    let Some((at, mark)) = begin.into_iter().chain(end).min() else {
        let is_damaged = line.contains("-BEGIN ") || line.contains("-END ");
        return if is_damaged { Err(()) } else { Ok(None) };
    };
    let (label, behind) = line[at + mark.len()..].split_once(DASHES).ok_or(())?;
    if label.is_empty() || label.contains('-') {
        return Err(());
    }
    let mark = if mark == BEGIN { Mark::Begin(label) } else { Mark::End(label) };
    Ok(Some((&line[..at], mark, behind)))
}

impl Block {
    fn begin(label: &str, line: usize) -> Self {
        Self { label: label.to_owned(), line, is_encrypted: false, body: String::new() }
    }

    /// The same with a further piece of its body.
    fn with(mut self, piece: &str, line: usize) -> Result<Self, PemError> {
        if self.body.is_empty() && piece.contains(':') {
            self.is_encrypted |= piece.trim_start().starts_with("Proc-Type:") && piece.contains("ENCRYPTED");
            return Ok(self);
        }
        for character in piece.chars().filter(|character| !character.is_whitespace()) {
            if !character.is_ascii_alphanumeric() && !"+/=".contains(character) {
                return Err(PemError::Character(character, line));
            }
            self.body.push(character);
        }
        Ok(self)
    }

    /// What it holds, and as what; `None` where rustls does not know the kind.
    ///
    /// # Errors
    /// Its body is not whole.
    pub(super) fn decode(&self) -> Result<Option<(SectionKind, Vec<u8>)>, PemError> {
        let Self { label, line, body, .. } = self;
        // An old name of the same (RFC 7468, 5.1).
        let label = if label == "X509 CERTIFICATE" { "CERTIFICATE" } else { label };
        if SectionKind::try_from(label.as_bytes()).is_err() {
            return Ok(None);
        }
        let block = format!("{BEGIN}{label}{DASHES}\n{body}\n{END}{label}{DASHES}\n");
        let decoded = <(SectionKind, Vec<u8>)>::from_pem_slice(block.as_bytes());
        let cut = || PemError::Cut(label.to_owned(), *line);
        decoded.ok().filter(|(_, content)| !content.is_empty()).map(Some).ok_or_else(cut)
    }
}

impl fmt::Debug for Block {
    /// Without its body, which may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} in line {})", self.label, self.line)
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary => f.write_str(
                "it is binary (DER), not PEM: convert it (openssl x509 -inform der -in OLD -out NEW; for a key: openssl pkey)",
            ),
            Self::WideText => f.write_str("it is a text in UTF-16: store it as UTF-8 or ASCII"),
            Self::Mark(line) => {
                write!(f, "line {line}: a mark is damaged: it is written -----BEGIN NAME----- or -----END NAME-----, with five dashes each")
            }
            Self::NoEnd(label, line) => {
                write!(f, "line {line}: the {label} that begins here has no -----END {label}----- before the next block or the end")
            }
            Self::NoBegin(label, line) => {
                write!(f, "line {line}: the {label} that ends here has no -----BEGIN {label}-----")
            }
            Self::Character(character, line) => {
                write!(f, "line {line}: {character:?} is no character of base64: copy the file again, as it was issued")
            }
            Self::Cut(label, line) => {
                write!(f, "line {line}: the {label} that begins here is cut or damaged: copy the file again, as it was issued")
            }
        }
    }
}

#[cfg(test)]
mod tests;
