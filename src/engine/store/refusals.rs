//! What was refused a moment ago, and why, so that whoever put it can be told.
//!
//! Kademlia's wire has no word for a reason. The sender asks afterwards, by the key of the record.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use libp2p::PeerId;

use super::Refused;
use crate::{
    exchange::MAX_EXPLAINED,
    record::{RecordKey, Rejected},
    refusal::Refusal,
};

/// For how long it is remembered: a put takes a few seconds, and longer only where others are silent.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Of so many peers, and of each so many records as it may ask for at a time.
const MAX_PEERS: usize = 64;
const MAX_OF_A_PEER: usize = MAX_EXPLAINED;
pub(crate) const MAX_REFUSALS_KEPT: usize = MAX_PEERS * MAX_OF_A_PEER;

/// The last refusals of each peer's records.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<PeerId, VecDeque<Noted>>);

#[derive(Debug, Clone, Copy)]
struct Noted {
    key: RecordKey,
    reason: Refusal,
    at: Duration,
}

impl Refusals {
    /// A peer's record was refused.
    pub(super) fn note(&mut self, now: Duration, peer: PeerId, key: RecordKey, reason: Refusal) {
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer) {
            self.make_room();
        }
        let of_peer = self.0.entry(peer).or_default();
        of_peer.retain(|noted| noted.key != key);
        if of_peer.len() >= MAX_OF_A_PEER {
            of_peer.pop_front();
        }
        of_peer.push_back(Noted { key, reason, at: now });
    }

    /// A peer's record was taken in after all.
    pub(super) fn forget(&mut self, peer: &PeerId, key: &RecordKey) {
        if let Some(of_peer) = self.0.get_mut(peer) {
            of_peer.retain(|noted| noted.key != *key);
        }
    }

    /// Why the last record that this peer has put under a key was refused, if it was.
    pub(super) fn why(&self, now: Duration, peer: &PeerId, key: &RecordKey) -> Option<Refusal> {
        let noted = self.0.get(peer)?.iter().find(|noted| noted.key == *key)?;
        (now.saturating_sub(noted.at) < REMEMBERED_FOR).then_some(noted.reason)
    }

    /// Forgets the peer whose last refusal is the longest ago.
    fn make_room(&mut self) {
        let last = |of_peer: &VecDeque<Noted>| of_peer.back().map(|noted| noted.at);
        let oldest = self.0.iter().min_by_key(|(_, of_peer)| last(of_peer));
        if let Some(peer) = oldest.map(|(peer, _)| *peer) {
            self.0.remove(&peer);
        }
    }
}

impl Refused {
    /// What the sender is told.
    pub(super) fn reason(&self) -> Refusal {
        match self {
            Self::Older | Self::Rejected(Rejected::Stale { .. }) => Refusal::Older,
            Self::Full => Refusal::Full,
            Self::Quota => Refusal::OwnerQuota,
            Self::PeerQuota => Refusal::PeerQuota,
            Self::Rate | Self::Away => Refusal::Rate,
            Self::Withdrawn => Refusal::Withdrawn,
            Self::Rejected(Rejected::Future { .. }) => Refusal::Future,
            Self::Rejected(Rejected::Expired { .. }) => Refusal::Expired,
            Self::Rejected(Rejected::Revoked { .. }) => Refusal::Revoked,
            Self::NotOurs | Self::Rejected(_) => Refusal::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::NetworkName;

    const NOW: Duration = Duration::from_secs(100);

    fn key(number: usize) -> RecordKey {
        let name = format!("package-{number}").parse().unwrap();
        RecordKey::claims(&NetworkName::default(), &name)
    }

    #[test]
    fn the_last_reason_counts_until_the_record_is_taken_in() {
        let (mut refusals, peer) = (Refusals::default(), PeerId::random());
        refusals.note(NOW, peer, key(1), Refusal::Rate);
        refusals.note(NOW, peer, key(1), Refusal::Full);
        assert_eq!(refusals.why(NOW, &peer, &key(1)), Some(Refusal::Full));
        assert_eq!(refusals.why(NOW, &peer, &key(2)), None);
        assert_eq!(refusals.why(NOW, &PeerId::random(), &key(1)), None, "it is nobody else's");
        refusals.forget(&peer, &key(1));
        assert_eq!(refusals.why(NOW, &peer, &key(1)), None);
    }

    #[test]
    fn a_minute_later_it_is_of_no_use_any_more() {
        let (mut refusals, peer) = (Refusals::default(), PeerId::random());
        refusals.note(NOW, peer, key(1), Refusal::Full);
        let later = NOW + REMEMBERED_FOR;
        assert_eq!(
            refusals.why(later - Duration::from_millis(1), &peer, &key(1)),
            Some(Refusal::Full)
        );
        assert_eq!(refusals.why(later, &peer, &key(1)), None);
    }

    #[test]
    fn a_flood_of_refused_records_takes_bounded_memory_and_no_other_peers_place() {
        let (mut refusals, honest, flooder) =
            (Refusals::default(), PeerId::random(), PeerId::random());
        refusals.note(NOW, honest, key(0), Refusal::Full);
        for number in 0..10_000 {
            refusals.note(NOW, flooder, key(number), Refusal::Rate);
        }
        assert_eq!(refusals.why(NOW, &honest, &key(0)), Some(Refusal::Full));
        assert_eq!(refusals.0.values().map(VecDeque::len).sum::<usize>(), 1 + MAX_OF_A_PEER);
        for second in 0..1000 {
            refusals.note(
                NOW + Duration::from_secs(second),
                PeerId::random(),
                key(0),
                Refusal::Rate,
            );
        }
        assert_eq!(refusals.0.len(), MAX_PEERS);
    }
}
