//! Blocks of header fields on their way in, as HPACK has them (RFC 7541): whether each field is one that may be. Pure.
//!
//! The library ends a whole connection for a field that is none, though only its stream is concerned (RFC 9113, 8.1.1). So each block
//! is looked at before the library gets it. In place of a malformed one it gets another, which does to its table of fields what the
//! first would have done, and makes it refuse the stream.

use std::collections::VecDeque;

use super::huffman;

/// What a connection's blocks have left behind.
#[derive(Debug)]
pub struct Blocks {
    /// The table of fields that later ones refer to, the newest first.
    table: VecDeque<Entry>,
    size: usize,
    size_max: usize,
    /// The name or value that was read last.
    text: Vec<u8>,
    /// Of the block that is read: what changes the table.
    changes: Vec<u8>,
}

/// What there is to know of a field in the table.
#[derive(Debug, Clone, Copy)]
struct Entry {
    size: usize,
    name: Name,
    name_length: usize,
    is_sound: bool,
}

/// Whose name a field has, as far as that matters for its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// A header.
    Field,
    Method,
    Status,
    /// Another pseudo-header.
    Pseudo,
    /// None that may be.
    Unsound,
}

/// What a block turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Fields that may be.
    Sound,
    /// Some may not be: this is to be read in its place.
    Malformed(Vec<u8>),
    /// It cannot be read at all.
    Unreadable,
}

/// A block cannot be read.
#[derive(Debug)]
struct Unreadable;

/// The size of the table, as long as nobody says otherwise (RFC 9113, 6.5.2).
const TABLE_MAX: usize = 4096;

/// What a field takes in the table beside its name and its value (RFC 7541, 4.1).
const OVERHEAD: usize = 32;

/// Fields that everybody knows.
const STATIC: usize = 61;

/// A header that HTTP/2 does not have: the stream with it is reset.
const REFUSED: &[u8] = b"\x00\x0aconnection\x01x";

impl Default for Blocks {
    fn default() -> Self {
        Self { table: VecDeque::new(), size: 0, size_max: TABLE_MAX, text: Vec::new(), changes: Vec::new() }
    }
}

impl Blocks {
    /// Reads a whole block: that of a head, or of trailers.
    pub fn read(&mut self, mut block: &[u8], is_trailers: bool) -> Block {
        self.changes.clear();
        let mut is_sound = true;
        while !block.is_empty() {
            match self.field(&mut block, is_trailers) {
                Ok(is_this_sound) => is_sound &= is_this_sound,
                Err(Unreadable) => return Block::Unreadable,
            }
        }
        if is_sound {
            return Block::Sound;
        }
        Block::Malformed([&self.changes, REFUSED].concat())
    }

    /// Reads a field, or a change of the table's size: whether it may be.
    fn field(&mut self, block: &mut &[u8], is_trailers: bool) -> Result<bool, Unreadable> {
        let whole = *block;
        let read = |rest: &[u8]| &whole[..whole.len() - rest.len()];
        let fits = |name: Name| name != Name::Unsound && !(is_trailers && name != Name::Field);
        match block[0] {
            0x80.. => {
                let entry = self.entry(number(block, 7)?)?;
                Ok(entry.is_sound && fits(entry.name))
            }
            0x20..0x40 => {
                let size = number(block, 5)?;
                if size > TABLE_MAX {
                    return Err(Unreadable);
                }
                self.size_max = size;
                self.make_room(0);
                self.changes.extend_from_slice(read(block));
                Ok(true)
            }
            first => {
                let is_kept = first >= 0x40;
                let (name, length) = match number(block, if is_kept { 6 } else { 4 })? {
                    0 => self.name(block)?,
                    index => self.entry(index).map(|entry| (entry.name, entry.name_length))?,
                };
                let before = read(block);
                text(block, &mut self.text)?;
                let is_sound = name.takes(&self.text);
                if is_kept {
                    let written = if is_sound && name != Name::Unsound { Ok(read(block)) } else { Err(before) };
                    self.keep((name, length), is_sound, written)?;
                }
                Ok(is_sound && fits(name))
            }
        }
    }

    /// The name of a field that is written out.
    fn name(&mut self, block: &mut &[u8]) -> Result<(Name, usize), Unreadable> {
        text(block, &mut self.text)?;
        if self.text.is_empty() { Err(Unreadable) } else { Ok((Name::of(&self.text), self.text.len())) }
    }

    /// Keeps a field whose value was just read. What is written of it is passed on as it is, or, if it is not sound, what comes before
    /// its value.
    fn keep(
        &mut self,
        (name, name_length): (Name, usize),
        is_sound: bool,
        written: Result<&[u8], &[u8]>,
    ) -> Result<(), Unreadable> {
        let length = self.text.len();
        match written {
            Ok(whole) => self.changes.extend_from_slice(whole),
            // Of the same size, so that the same fields have room beside it. Nobody gets to see it.
            Err(before) => {
                if name == Name::Unsound && before.first() == Some(&0x40) {
                    self.changes.push(0x40);
                    write_text(&mut self.changes, b'x', name_length);
                } else {
                    self.changes.extend_from_slice(before);
                }
                match name {
                    Name::Status if length == 3 => self.changes.extend_from_slice(b"\x03200"),
                    Name::Status => return Err(Unreadable),
                    Name::Method if length == 0 => return Err(Unreadable),
                    Name::Method | Name::Field | Name::Pseudo | Name::Unsound => {
                        write_text(&mut self.changes, b'x', length);
                    }
                }
            }
        }
        let size = name_length + length + OVERHEAD;
        self.make_room(size);
        if size <= self.size_max {
            self.size += size;
            self.table.push_front(Entry { size, name, name_length, is_sound });
        }
        Ok(())
    }

    fn make_room(&mut self, size: usize) {
        while self.size + size > self.size_max
            && let Some(oldest) = self.table.pop_back()
        {
            self.size -= oldest.size;
        }
    }

    fn entry(&self, index: usize) -> Result<Entry, Unreadable> {
        match index {
            0 => Err(Unreadable),
            1..=STATIC => {
                Ok(Entry { size: 0, name: Name::of_static(index), name_length: NAMES[index - 1], is_sound: true })
            }
            _ => self.table.get(index - STATIC - 1).copied().ok_or(Unreadable),
        }
    }
}

impl Name {
    fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":status" => Self::Status,
            b":authority" | b":scheme" | b":path" | b":protocol" => Self::Pseudo,
            _ if name.iter().all(|&byte| is_of_name(byte)) => Self::Field,
            _ => Self::Unsound,
        }
    }

    fn of_static(index: usize) -> Self {
        match index {
            2 | 3 => Self::Method,
            8..=14 => Self::Status,
            1 | 4..=7 => Self::Pseudo,
            _ => Self::Field,
        }
    }

    /// Whether this may be the value.
    fn takes(self, value: &[u8]) -> bool {
        match self {
            Self::Field | Self::Unsound => value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)),
            Self::Method => !value.is_empty() && value.iter().all(|&byte| is_of_token(byte)),
            Self::Status => matches!(value, [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9']),
            Self::Pseudo => str::from_utf8(value).is_ok(),
        }
    }
}

/// RFC 9110, 5.6.2.
fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// In lower case alone (RFC 9113, 8.2).
fn is_of_name(byte: u8) -> bool {
    is_of_token(byte) && !byte.is_ascii_uppercase()
}

/// A number that begins in the last bits of a byte (RFC 7541, 5.1).
fn number(block: &mut &[u8], bits: u32) -> Result<usize, Unreadable> {
    let (&first, mut rest) = block.split_first().ok_or(Unreadable)?;
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(first) & most;
    if number == most {
        // As far as the library reads.
        for shift in [0, 7, 14, 21] {
            let (&byte, behind) = rest.split_first().ok_or(Unreadable)?;
            rest = behind;
            number += usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                *block = rest;
                return Ok(number);
            }
        }
        return Err(Unreadable);
    }
    *block = rest;
    Ok(number)
}

/// A string (RFC 7541, 5.2).
fn text(block: &mut &[u8], into: &mut Vec<u8>) -> Result<(), Unreadable> {
    into.clear();
    let is_coded = block.first().is_some_and(|&first| first >= 0x80);
    let length = number(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Unreadable)?;
    *block = rest;
    if is_coded {
        return huffman::decode(text, into).map_err(|huffman::Invalid| Unreadable);
    }
    into.extend_from_slice(text);
    Ok(())
}

/// Writes a string of so many of these.
fn write_text(out: &mut Vec<u8>, byte: u8, length: usize) {
    const MOST: usize = 0x7f;
    match u8::try_from(length) {
        Ok(short) if length < MOST => out.push(short),
        _ => {
            out.push(0x7f);
            let mut left = length - MOST;
            while left >= 0x80 {
                out.push(u8::try_from(left & 0x7f).unwrap_or(0) | 0x80);
                left >>= 7;
            }
            out.push(u8::try_from(left).unwrap_or(0));
        }
    }
    out.resize(out.len() + length, byte);
}

/// Bytes of the names of the fields that everybody knows (RFC 7541, appendix A).
const NAMES: [usize; STATIC] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12, 6, 4,
    4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16,
];

#[cfg(test)]
mod tests;
