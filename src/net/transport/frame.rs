//! Headers of yamux frames, as far as a connection looks at them: where the frame ends, and whether it is a ping.
//!
//! See the [specification](https://github.com/hashicorp/yamux/blob/master/spec.md): version, type, flags, stream, length;
//! 12 bytes, the numbers in network order.

/// How long a header is.
pub(super) const HEADER_BYTES: usize = 12;

const DATA: u8 = 0;
const PING: u8 = 2;

/// With a ping: a question, or the answer to one. With a stream: its beginning, and that it has begun.
const SYN: u8 = 1;
const ACK: u8 = 2;
/// The stream ends here and now.
const RST: u8 = 8;

/// A frame without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header([u8; HEADER_BYTES]);

/// A ping, which the other end sends back with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ping {
    Question(u32),
    Answer(u32),
}

impl Header {
    pub(super) fn new(bytes: [u8; HEADER_BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; HEADER_BYTES] {
        &self.0
    }

    pub(super) fn is_data(self) -> bool {
        let [_, kind, ..] = self.0;
        kind == DATA
    }

    /// How many bytes follow that belong to this frame.
    pub(super) fn body_bytes(self) -> usize {
        if !self.is_data() {
            return 0;
        }
        usize::try_from(self.number()).unwrap_or(usize::MAX)
    }

    pub(super) fn ping(self) -> Option<Ping> {
        let [_, kind, _, flags, ..] = self.0;
        match (kind, flags & ACK) {
            (PING, 0) => Some(Ping::Question(self.number())),
            (PING, _) => Some(Ping::Answer(self.number())),
            _ => None,
        }
    }

    /// Whether it is a stream's first frame.
    pub(super) fn begins_stream(self) -> bool {
        let [_, kind, _, flags, ..] = self.0;
        kind < PING && flags & SYN != 0
    }

    /// Whether the stream is gone with it, whatever else is in it.
    pub(super) fn resets_stream(self) -> bool {
        let [_, kind, _, flags, ..] = self.0;
        kind < PING && flags & RST != 0
    }

    fn number(self) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl From<Ping> for Header {
    fn from(ping: Ping) -> Self {
        let (flags, number) = match ping {
            Ping::Question(number) => (SYN, number),
            Ping::Answer(number) => (ACK, number),
        };
        let [a, b, c, d] = number.to_be_bytes();
        Self([0, PING, 0, flags, 0, 0, 0, 0, a, b, c, d])
    }
}

/// Where in a stream of frames its reader or writer stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Position {
    /// So many bytes of a header are there. None is a boundary between two frames.
    Header { bytes: [u8; HEADER_BYTES], filled: usize },
    /// So many bytes of a body are left.
    Body { left: usize },
}

impl Position {
    pub(super) const BOUNDARY: Self = Self::Header { bytes: [0; HEADER_BYTES], filled: 0 };

    pub(super) fn is_boundary(self) -> bool {
        matches!(self, Self::Header { filled: 0, .. })
    }

    /// Behind this header.
    pub(super) fn behind(header: Header) -> Self {
        match header.body_bytes() {
            0 => Self::BOUNDARY,
            left => Self::Body { left },
        }
    }

    /// Goes on by these bytes, and says which headers were completed by them.
    pub(super) fn advance(&mut self, mut bytes: &[u8], mut completed: impl FnMut(Header)) {
        while !bytes.is_empty() {
            let taken = match self {
                Self::Body { left } => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    if *left == 0 {
                        *self = Self::BOUNDARY;
                    }
                    taken
                }
                Self::Header { bytes: header, filled } => {
                    let room = header.get_mut(*filled..).unwrap_or_default();
                    let taken = bytes.len().min(room.len());
                    for (to, from) in room.iter_mut().zip(bytes) {
                        *to = *from;
                    }
                    *filled += taken;
                    if *filled == HEADER_BYTES {
                        let header = Header(*header);
                        completed(header);
                        *self = Self::behind(header);
                    }
                    taken
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_and_its_answer_are_told_apart() {
        for ping in [Ping::Question(7), Ping::Answer(u32::MAX)] {
            assert_eq!(Header::from(ping).ping(), Some(ping));
            assert_eq!(Header::from(ping).body_bytes(), 0);
        }
        let update = Header::new([0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0]);
        assert_eq!((update.ping(), update.body_bytes()), (None, 0), "its number is a credit");
        let data = Header::new([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0]);
        assert_eq!((data.ping(), data.body_bytes()), (None, 256));
    }

    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut() {
        let data = |length: u8| [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, length];
        let mut stream = Vec::new();
        for length in [3, 0, 12] {
            stream.extend(data(length));
            stream.extend(vec![0xff; usize::from(length)]);
            stream.extend(Header::from(Ping::Question(9)).bytes());
        }
        for size in 1..=stream.len() {
            let (mut position, mut seen) = (Position::BOUNDARY, Vec::new());
            for piece in stream.chunks(size) {
                position.advance(piece, |header| seen.push(header.body_bytes()));
            }
            assert_eq!(seen, [3, 0, 0, 0, 12, 0], "in pieces of {size}");
            assert!(position.is_boundary());
        }
    }
}
