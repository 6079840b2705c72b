//! Where the frames of a WebSocket begin and end (RFC 6455, 5.2), in one direction. Pure: what is in them is not looked at.
//!
//! A word of this proxy's own may only stand between two frames.

/// The frame that says that this end is going away (RFC 6455, 5.5.1 and 7.4.1: 1001), as a server sends it.
pub const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// Follows the bytes of one direction from frame to frame.
#[derive(Debug, Clone, Copy, Default)]
pub struct Frames {
    /// The head of a frame, as much of it as has come.
    head: [u8; HEAD_MAX],
    filled: u8,
    /// So many bytes of the frame are left behind its head.
    left: u64,
    closed: bool,
}

/// Two bytes, the length if it is long, and the mask if there is one.
const HEAD_MAX: usize = 2 + 8 + 4;

const CLOSE: u8 = 0x08;

impl Frames {
    /// Looks at the next bytes.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// How many of the next bytes belong to the frame that is under way.
    pub fn rest_in(&self, bytes: &[u8]) -> usize {
        let (mut ahead, mut rest) = (*self, 0);
        while !ahead.is_between() && rest < bytes.len() {
            rest += ahead.step(&bytes[rest..]);
        }
        rest
    }

    /// Whether no frame is under way.
    pub fn is_between(&self) -> bool {
        self.filled == 0 && self.left == 0
    }

    /// Whether a frame of another's may stand here: not in the middle of one, nor behind the last.
    pub fn may_insert(&self) -> bool {
        self.is_between() && !self.closed
    }

    /// Looks at some of the bytes, and says at how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= here as u64;
            return here;
        }
        self.head[usize::from(self.filled)] = bytes[0];
        self.filled += 1;
        self.leave_head();
        1
    }

    /// When the head is whole: so long is the rest.
    fn leave_head(&mut self) {
        let (head, filled) = (&self.head, usize::from(self.filled));
        if filled < 2 {
            return;
        }
        let is_masked = head[1] & 0x80 != 0;
        let (size, length) = match head[1] & 0x7f {
            126 => (2, u64::from(u16::from_be_bytes([head[2], head[3]]))),
            127 => (8, u64::from_be_bytes([head[2], head[3], head[4], head[5], head[6], head[7], head[8], head[9]])),
            short => (0, u64::from(short)),
        };
        if filled == 2 + size + if is_masked { 4 } else { 0 } {
            self.closed |= head[0] & 0x0f == CLOSE;
            self.left = length;
            self.filled = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame with so long a payload; masked as a client's, or not.
    fn frame(opcode: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..126 => frame.push(mask | u8::try_from(length).unwrap()),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if is_masked {
            frame.extend([1, 2, 3, 4]);
        }
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn a_word_fits_between_frames_and_nowhere_else() {
        let mut cases = 0;
        for length in [0, 1, 125, 126, 127, 1000, 65_535, 65_536, 70_000] {
            for is_masked in [false, true] {
                let frame = frame(2, length, is_masked);
                let mut frames = Frames::default();
                assert!(frames.may_insert());
                for (at, byte) in (1..).zip(&frame) {
                    frames.pass(&[*byte]);
                    assert_eq!(frames.may_insert(), at == frame.len(), "{at} of {length}");
                }
                cases += 1;
            }
        }
        assert_eq!(cases, 18);
    }

    #[test]
    fn behind_the_last_frame_nothing_fits() {
        let mut frames = Frames::default();
        frames.pass(&frame(9, 5, false));
        assert!(frames.may_insert());
        frames.pass(&GOING_AWAY);
        assert!(!frames.may_insert());
        frames.pass(&frame(1, 5, false));
        assert!(!frames.may_insert());
    }

    proptest! {
        #[test]
        fn frames_are_told_apart_in_whatever_pieces(
            list in prop::collection::vec((0..3_u8, 0..70_000_usize, any::<bool>()), 1..6), size in 1..9000_usize,
        ) {
            let text: Vec<u8> = list.iter().flat_map(|&(opcode, length, is_masked)| frame(opcode, length, is_masked)).collect();
            let mut frames = Frames::default();
            for piece in text.chunks(size) {
                frames.pass(piece);
            }
            prop_assert!(frames.may_insert());
            frames.pass(&[0x82]);
            prop_assert!(!frames.may_insert());
        }
    }
}
