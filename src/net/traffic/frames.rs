//! Where the messages in one direction of a stream begin and end.
//!
//! A stream begins with multistream-select: each end says a line that names it, the one that has opened the stream then
//! proposes a protocol, and the other accepts it or says `na`. Each line has its length in front of it, and so has each
//! message of Kademlia, gossipsub and identify. So one look at lengths finds both, and bodies are skipped by their number
//! of bytes. Nothing that comes is kept, whatever it claims to be.

use super::names::{Candidates, Names, Protocol};

/// Lengths take so many bits at the most, in groups of seven. The longest message here has 17.
const LENGTH_BITS: u32 = 35;

/// Which end of a stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The one that has opened it, and says what it is for.
    Opener,
    Answerer,
}

/// How far what one end says has come.
#[derive(Debug)]
pub(super) struct Frames {
    end: End,
    stage: Stage,
    place: Place,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The line that names multistream-select.
    Header,
    /// A line about a protocol. The first that proposes or accepts one is the last.
    Line,
    /// A message, unless it proposes another protocol.
    Message,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// In a length, of which so many bits have come.
    Length { so_far: u64, bits: u32 },
    /// In a frame.
    Frame(Frame),
    /// In the only message, which has no length and ends with what this end says.
    Only { has_begun: bool },
    /// Where nobody knows what is a message. It is for good.
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    length: u64,
    left: u64,
    /// Whether it begins with a slash, as names of protocols do. No message in the form of protobuf can.
    is_name: bool,
    /// The protocols of which it may be the name.
    candidates: Candidates,
}

impl Place {
    const BETWEEN: Self = Self::Length { so_far: 0, bits: 0 };
}

impl Frames {
    pub(super) fn new(end: End) -> Self {
        Self { end, stage: Stage::Header, place: Place::BETWEEN }
    }

    /// Looks at what comes next, and says how many messages have ended with it. What the stream is for is noted as soon as
    /// the opener has said it.
    pub(super) fn look(
        &mut self,
        mut bytes: &[u8],
        names: &Names,
        protocol: &mut Option<Protocol>,
    ) -> u64 {
        let mut messages = 0;
        while let [first, rest @ ..] = bytes {
            match &mut self.place {
                Place::Length { so_far, bits } => {
                    bytes = rest;
                    *so_far |= u64::from(first & 0x7f) << *bits;
                    *bits += 7;
                    if first & 0x80 == 0 {
                        let length = *so_far;
                        let candidates = match self.stage {
                            Stage::Line => names.shorter_than(length),
                            Stage::Header | Stage::Message => Candidates::default(),
                        };
                        let frame = Frame { length, left: length, is_name: false, candidates };
                        messages += self.enter(frame, protocol, names);
                    } else if *bits >= LENGTH_BITS {
                        self.place = Place::Lost;
                    }
                }
                Place::Frame(frame) => {
                    let most = usize::try_from(frame.left).unwrap_or(usize::MAX);
                    let (here, after) = bytes.split_at(most.min(bytes.len()));
                    bytes = after;
                    let at = frame.length - frame.left;
                    frame.is_name |= at == 0 && *first == b'/';
                    if self.stage == Stage::Line {
                        frame.candidates = names.narrow(frame.candidates, at, here);
                    }
                    // No more than is left.
                    frame.left -= here.len() as u64;
                    let frame = *frame;
                    messages += self.enter(frame, protocol, names);
                }
                Place::Only { has_begun } => {
                    *has_begun = true;
                    break;
                }
                Place::Lost => break,
            }
        }
        messages
    }

    /// This end says no more. How many messages have ended with that.
    pub(super) fn end(&mut self) -> u64 {
        let place = std::mem::replace(&mut self.place, Place::Lost);
        u64::from(matches!(place, Place::Only { has_begun: true }))
    }

    /// Stands in a frame, or behind it if all of it has come. How many messages have ended with that.
    fn enter(&mut self, frame: Frame, protocol: &mut Option<Protocol>, names: &Names) -> u64 {
        if frame.left > 0 {
            self.place = Place::Frame(frame);
            return 0;
        }
        self.place = Place::BETWEEN;
        match (self.stage, self.end) {
            (Stage::Header, _) => self.stage = Stage::Line,
            (Stage::Line, End::Opener) => {
                let proposed = names.protocol(frame.candidates);
                self.begin(*protocol.get_or_insert(proposed));
            }
            (Stage::Line, End::Answerer) if frame.is_name => {
                // Nobody accepts what was not proposed; whoever does so all the same is not understood.
                self.begin(protocol.unwrap_or(Protocol::Other));
            }
            // It says `na`.
            (Stage::Line, End::Answerer) => {}
            (Stage::Message, End::Opener) if frame.is_name => {}
            (Stage::Message, _) => return 1,
        }
        0
    }

    /// From here on this end speaks the protocol.
    fn begin(&mut self, protocol: Protocol) {
        self.stage = Stage::Message;
        self.place = match protocol {
            Protocol::Dht | Protocol::Gossip | Protocol::Identify => Place::BETWEEN,
            Protocol::Exchange => Place::Only { has_begun: false },
            Protocol::Other => Place::Lost,
        };
    }
}

#[cfg(test)]
mod tests;
