//! How a record gets to those who are to keep it: to all of them at once.
//!
//! Whoever cannot be reached, is overdue, or takes longer than most has its place taken by the next in order. Who refuses
//! has a reason, and keeps its place. Those who were silent lately come last, and are not waited for.

use libp2p::PeerId;

use super::message::{Contact, Value};

/// So many that are slow are replaced at a time. Where everybody is slow it is the way there, and not they: twice as many
/// copies would help nobody.
const MOST_BESIDE: usize = 3;

/// What has become of a peer's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replica {
    Sent,
    /// It takes longer than most. The next peer is sent the record as well, and who of them has it first does not matter.
    Slow,
    /// Nobody waits for the answer, which may still come.
    Overdue,
    Kept,
    Refused,
    /// The peer could not be reached or broke off.
    Failed,
}

/// A record on its way.
#[derive(Debug)]
pub(super) struct Storing {
    pub(super) value: Value,
    /// Whoever it was sent to.
    sent: Vec<(PeerId, Replica)>,
    /// Whom it is to be sent to yet, the closest last.
    further: Vec<Contact>,
    /// Likewise, of those who were silent lately.
    doubtful: Vec<Contact>,
    /// How many copies there are to be.
    most: usize,
}

impl Storing {
    /// To the first `most` of these peers that can be reached, and of others of whom is told later.
    pub(super) fn new(value: Value, mut peers: Vec<Contact>, most: usize) -> Self {
        peers.reverse();
        Self { value, sent: Vec::new(), further: peers, doubtful: Vec::new(), most }
    }

    /// It has become known who is closest, the closest first. The closest of them are sent it, whoever was before.
    pub(super) fn extend(&mut self, mut likely: Vec<Contact>, mut doubtful: Vec<Contact>) {
        let is_closest = |peer: &PeerId| likely.iter().take(self.most).any(|one| one.peer == *peer);
        let others = self.sent.iter().filter(|(peer, _)| !is_closest(peer)).count();
        self.most += others;
        for peers in [&mut likely, &mut doubtful] {
            peers.retain(|one| self.sent.iter().all(|(peer, _)| *peer != one.peer));
            peers.reverse();
        }
        (self.further, self.doubtful) = (likely, doubtful);
    }

    /// Whom it is to be sent to now.
    pub(super) fn next(&mut self) -> Option<Contact> {
        let count =
            |is: fn(&Replica) -> bool| self.sent.iter().filter(|(_, copy)| is(copy)).count();
        let slow = count(|copy| *copy == Replica::Slow);
        let others = count(|copy| matches!(copy, Replica::Sent | Replica::Kept | Replica::Refused));
        if others + slow.saturating_sub(MOST_BESIDE) >= self.most {
            return None;
        }
        let (contact, replica) = match self.further.pop() {
            Some(contact) => (contact, Replica::Sent),
            None if self.tried() < self.most => (self.doubtful.pop()?, Replica::Overdue),
            None => return None,
        };
        self.sent.push((contact.peer, replica));
        Some(contact)
    }

    /// How many may have it or get it yet.
    fn tried(&self) -> usize {
        self.sent.iter().filter(|(_, replica)| *replica != Replica::Failed).count()
    }

    pub(super) fn answered(&mut self, peer: &PeerId, kept: bool) {
        self.set(peer, if kept { Replica::Kept } else { Replica::Refused });
    }

    pub(super) fn slow(&mut self, peer: &PeerId) {
        self.set(peer, Replica::Slow);
    }

    pub(super) fn overdue(&mut self, peer: &PeerId) {
        self.set(peer, Replica::Overdue);
    }

    pub(super) fn failed(&mut self, peer: &PeerId) {
        self.set(peer, Replica::Failed);
    }

    fn set(&mut self, peer: &PeerId, to: Replica) {
        let place = self.sent.iter_mut().find(|(other, _)| other == peer);
        match (place.map(|(_, copy)| copy), to) {
            // Who is not waited for any more is not waited for again.
            (Some(Replica::Overdue), Replica::Slow) => {}
            (Some(copy @ (Replica::Sent | Replica::Slow | Replica::Overdue)), to) => *copy = to,
            (Some(Replica::Kept | Replica::Refused | Replica::Failed) | None, _) => {}
        }
    }

    /// Whether nobody is waited for, and nobody left to send it to. [`next`](Self::next) has said that there is nobody.
    pub(super) fn is_finished(&self) -> bool {
        let is_settled = |copy: &Replica| matches!(copy, Replica::Kept | Replica::Refused);
        let settled = self.sent.iter().filter(|(_, copy)| is_settled(copy)).count();
        let is_awaited = |copy: &Replica| match copy {
            Replica::Sent => true,
            Replica::Slow => settled < self.most,
            Replica::Overdue | Replica::Kept | Replica::Refused | Replica::Failed => false,
        };
        !self.sent.iter().any(|(_, copy)| is_awaited(copy))
    }

    /// Those who said that they keep it.
    pub(super) fn kept_by(&self) -> impl Iterator<Item = PeerId> {
        self.sent.iter().filter(|(_, copy)| *copy == Replica::Kept).map(|(peer, _)| *peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contacts(peers: &[PeerId]) -> Vec<Contact> {
        peers.iter().copied().map(Contact::seated).collect()
    }

    fn storing(peers: &[PeerId], most: usize) -> Storing {
        let value = Value { key: (*b"key").into(), bytes: (*b"bytes").into() };
        Storing::new(value, contacts(peers), most)
    }

    fn sent(storing: &mut Storing) -> Vec<PeerId> {
        std::iter::from_fn(|| storing.next()).map(|contact| contact.peer).collect()
    }

    #[test]
    fn it_goes_to_the_closest_at_once_and_to_the_next_in_place_of_those_who_do_not_answer() {
        let peers: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
        let mut storing = storing(&peers, 3);
        assert_eq!(sent(&mut storing), peers[..3]);
        storing.answered(&peers[0], true);
        storing.answered(&peers[1], false);
        assert!(sent(&mut storing).is_empty() && !storing.is_finished());
        storing.overdue(&peers[2]);
        assert_eq!(sent(&mut storing), [peers[3]]);
        storing.failed(&peers[3]);
        assert_eq!(sent(&mut storing), [peers[4]]);
        storing.answered(&peers[4], true);
        assert!(sent(&mut storing).is_empty() && storing.is_finished());
        storing.answered(&peers[2], true);
        assert_eq!(storing.kept_by().collect::<Vec<_>>(), [peers[0], peers[2], peers[4]]);
    }

    #[test]
    fn the_next_is_sent_it_beside_one_that_is_slow_and_the_slow_one_is_waited_for_only_where_there_are_too_few()
     {
        let peers: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
        let start = || {
            let mut storing = storing(&peers, 2);
            assert_eq!(sent(&mut storing), peers[..2]);
            storing.answered(&peers[1], true);
            storing.slow(&peers[0]);
            assert_eq!(sent(&mut storing), peers[2..]);
            assert!(!storing.is_finished());
            storing
        };
        let mut next_is_quicker = start();
        next_is_quicker.answered(&peers[2], true);
        assert!(next_is_quicker.is_finished());
        let mut next_is_not_there = start();
        next_is_not_there.failed(&peers[2]);
        assert!(sent(&mut next_is_not_there).is_empty() && !next_is_not_there.is_finished());
        next_is_not_there.answered(&peers[0], true);
        assert!(next_is_not_there.is_finished());
        let mut nobody_answers = start();
        nobody_answers.overdue(&peers[0]);
        nobody_answers.slow(&peers[0]);
        nobody_answers.overdue(&peers[2]);
        assert!(nobody_answers.is_finished(), "who is not waited for is not waited for again");
    }

    #[test]
    fn where_everybody_is_slow_a_few_more_are_sent_it_and_not_twice_as_many() {
        let peers: Vec<_> = (0..20).map(|_| PeerId::random()).collect();
        let mut storing = storing(&peers, 8);
        assert_eq!(sent(&mut storing), peers[..8]);
        for peer in &peers {
            storing.slow(peer);
        }
        assert_eq!(sent(&mut storing), peers[8..11]);
        for peer in &peers[..8] {
            storing.answered(peer, true);
        }
        assert!(sent(&mut storing).is_empty() && storing.kept_by().count() == 8);
    }

    #[test]
    fn who_was_silent_lately_is_sent_it_last_and_not_waited_for() {
        let peers: Vec<_> = (0..4).map(|_| PeerId::random()).collect();
        let mut storing = storing(&[], 3);
        storing.extend(contacts(&peers[..2]), contacts(&peers[2..]));
        assert_eq!(sent(&mut storing), peers[..3]);
        storing.answered(&peers[0], true);
        storing.answered(&peers[1], true);
        assert!(storing.is_finished());
        storing.answered(&peers[2], true);
        assert_eq!(storing.kept_by().count(), 3);
    }

    #[test]
    fn the_closest_are_sent_it_although_others_were_before_it_was_known_who_they_are() {
        let peers: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
        let mut storing = storing(&[peers[1], peers[4]], 3);
        assert_eq!(sent(&mut storing), [peers[1], peers[4]]);
        storing.extend(contacts(&peers), Vec::new());
        assert_eq!(sent(&mut storing), [peers[0], peers[2]]);
    }

    #[test]
    fn one_answer_counts_once() {
        let peer = PeerId::random();
        let mut storing = storing(&[peer], 3);
        assert_eq!(sent(&mut storing), [peer]);
        storing.failed(&peer);
        storing.answered(&peer, true);
        assert_eq!(storing.kept_by().count(), 0);
        assert!(storing.is_finished());
    }
}
