//! The responder, who keeps nothing between two questions.

use std::{collections::HashSet, ops::Range};

use super::{
    MAX_MESSAGE_BYTES, Malformed, SMALL,
    items::{Item, Items},
    tree::Blocks,
    wire::{self, Answer, Bound, Digests, Part, Question, Reply, Segment},
};
use crate::record::codec::List;

/// What a message has beside its parts: the salt and two lengths, at their longest.
pub(super) const HEADER_BYTES: usize = 32;
/// From how much room on a list is begun that does not fit: half of one that does next time is no gain below.
const ROOM_FOR_A_CUT: usize = 2048;

/// From how many blocks on no more of a question is answered, so that one question takes some ten milliseconds at most.
/// The asker asks again about what is left.
const MAX_BLOCKS: Blocks = Blocks(64 * 1024);

/// An answer, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// At most [`MAX_MESSAGE_BYTES`].
    pub(crate) message: Vec<u8>,
    /// What was hashed for it. Beside that, the answer takes time in proportion to the two messages.
    pub(crate) hashed: Blocks,
}

/// Answers a question, as far as the bounds of an answer allow.
pub(crate) fn answer(items: &Items, question: &[u8]) -> Result<Answered, Malformed> {
    let Question { salt, segments } = wire::decode(question)?;
    let (mut lower, mut room) = (Item::START, MAX_MESSAGE_BYTES - HEADER_BYTES);
    let (mut replies, mut hashed) = (Vec::new(), Blocks::default());
    for segment in segments.0 {
        if hashed >= MAX_BLOCKS {
            break;
        }
        let (Segment::Skip(bound) | Segment::Print(bound, _) | Segment::List(bound, _)) = &segment;
        let upper = bound.upper(&lower)?;
        let range = items.between(&lower, &upper);
        let reply = match segment {
            Segment::Skip(_) => None,
            Segment::Print(_, print) if print == items.fingerprint(salt, &range, &mut hashed) => {
                Some(Reply::Same)
            }
            Segment::Print(..) => {
                let parts = split(items, salt, range, lower, upper, &mut hashed);
                Some(Reply::Parts(List(parts)))
            }
            Segment::List(_, theirs) => match difference(items, &range, &theirs, room) {
                Some(reply) => Some(reply),
                None if room >= ROOM_FOR_A_CUT => {
                    // What comes after it has no room any more.
                    replies.push(cut(items, range, lower, upper, room));
                    break;
                }
                None => break,
            },
        };
        lower = upper;
        let Some(reply) = reply else { continue };
        let Some(left) = room.checked_sub(wire::size(&reply)) else { break };
        room = left;
        replies.push(reply);
    }
    Ok(Answered { message: wire::encode(&Answer { replies: List(replies) }), hashed })
}

/// What we have in a range of which the fingerprints differ.
fn split(
    items: &Items,
    salt: u64,
    range: Range<usize>,
    lower: Item,
    upper: Item,
    hashed: &mut Blocks,
) -> Vec<Part> {
    if range.len() <= SMALL {
        return vec![Part::List(Bound::of(&lower, &upper), wire::digests(items.at(&range)))];
    }
    let mut from = lower;
    let part = |(to, range): (Item, Range<usize>)| {
        let bound = Bound::of(&from, &to);
        from = to;
        Part::Print(bound, items.fingerprint(salt, &range, hashed))
    };
    items.cuts(&range, upper).into_iter().map(part).collect()
}

/// What a list differs by from what we have, if it fits.
fn difference(items: &Items, range: &Range<usize>, theirs: &Digests, room: usize) -> Option<Reply> {
    let theirs_set: HashSet<&[u8; 32]> = theirs.0.iter().collect();
    // What is in both is no more than the list; the rest has to fit.
    if range.len().saturating_sub(theirs_set.len()) * 32 > room {
        return None;
    }
    let (mut both, mut more) = (HashSet::new(), Vec::new());
    for item in items.at(range) {
        let digest = item.digest.as_bytes();
        match theirs_set.get(digest) {
            Some(known) => {
                both.insert(*known);
            }
            None => more.push(*digest),
        }
    }
    let lacks = theirs.0.chunks(8).map(|eight| {
        let bits = eight.iter().enumerate();
        bits.fold(0, |byte, (bit, digest)| byte | (u8::from(!both.contains(digest)) << bit))
    });
    let reply = Reply::Difference { lacks: List(lacks.collect()), more: List(more) };
    (wire::size(&reply) <= room).then_some(reply)
}

/// As much as fits of what we have.
fn cut(items: &Items, range: Range<usize>, lower: Item, upper: Item, room: usize) -> Reply {
    // The bound at its longest, the lengths and the variants.
    let count = room.saturating_sub(64) / 32;
    let end = range.start.saturating_add(count).min(range.end);
    let to = if end == range.end { upper } else { items.position(end) };
    let list = wire::digests(items.at(&(range.start..end)));
    Reply::Parts(List(vec![Part::List(Bound::of(&lower, &to), list)]))
}
