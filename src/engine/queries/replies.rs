//! What a lookup has heard so far: the best record, and which peers hold it, which an older one, which none.

use std::sync::Arc;

use libp2p::{
    PeerId,
    kad::{K_VALUE, KBucketKey},
};
use sha2::{Digest as _, Sha256};

use crate::record::{Record, RecordKey, kept};

/// Peers whose replies are remembered, for each lookup: it asks the twenty closest ones, and some on the way there.
const MAX_PEERS: usize = 64;

/// The valid replies to one lookup.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    best: Option<Arc<Record>>,
    holders: Vec<Holder>,
    /// Peers whose copy time or a newer record has overtaken.
    outdated: Vec<PeerId>,
    /// Whether this node's own store holds a copy, of whatever age.
    held_here: bool,
}

/// A peer that holds a valid copy.
#[derive(Debug)]
struct Holder {
    peer: PeerId,
    /// SHA-256 of the copy.
    copy: [u8; 32],
}

/// How far a lookup came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of the peers that are closest to the key were asked.
    Whole,
    /// It was answered before.
    Part,
}

impl Replies {
    /// The best record so far: the newest head, the union of all claims.
    pub(crate) fn best(&self) -> Option<&Arc<Record>> {
        self.best.as_ref()
    }

    /// How many peers have answered with a valid copy.
    pub(crate) fn holders(&self) -> usize {
        self.holders.len()
    }

    /// A valid copy, of a peer or of this node's own store.
    pub(crate) fn copy(&mut self, from: Option<PeerId>, bytes: &[u8], record: Record, unix: u64) {
        match from {
            None => self.held_here = true,
            Some(peer) => {
                if self.holders.len() < MAX_PEERS
                    && self.holders.iter().all(|holder| holder.peer != peer)
                {
                    self.holders.push(Holder { peer, copy: Sha256::digest(bytes).into() });
                }
            }
        }
        self.know(&Arc::new(record), unix);
    }

    /// Something that is known of the record, whoever holds it.
    pub(crate) fn know(&mut self, record: &Arc<Record>, unix: u64) {
        self.best = Some(match (self.best.as_deref(), &**record) {
            (Some(Record::Head(known)), Record::Head(head)) if kept(known, head) == known => return,
            (Some(Record::Claims { set: known, .. }), Record::Claims { set, dropped }) => {
                Arc::new(Record::Claims { set: known.merge(set, unix), dropped: *dropped })
            }
            // What is written once is the same in every copy.
            _ => Arc::clone(record),
        });
    }

    /// Whether there is no sign that any replica lacks the record.
    pub(crate) fn agree(&self, without: &[PeerId]) -> bool {
        !self.held_here && self.outdated.is_empty() && without.is_empty() && self.holders.len() <= 1
    }

    /// A peer, or this node's own store, holds a copy that was valid once.
    pub(crate) fn outdated(&mut self, from: Option<PeerId>) {
        match from {
            None => self.held_here = true,
            Some(peer) => {
                if self.outdated.len() < MAX_PEERS && !self.outdated.contains(&peer) {
                    self.outdated.push(peer);
                }
            }
        }
    }

    /// Which peers should hold the best record and do not: those with another copy, and of those without any the
    /// ones that are close enough to the key to be its replicas. `without` is in the order of their distance
    /// from the key.
    pub(crate) fn lacking(
        &self,
        key: &RecordKey,
        without: &[PeerId],
        extent: Extent,
    ) -> Vec<PeerId> {
        let Some(best) = &self.best else { return Vec::new() };
        let best: [u8; 32] = Sha256::digest(best.to_bytes()).into();
        let stale = self.holders.iter().filter(|holder| holder.copy != best);
        let mut lacking: Vec<_> =
            stale.map(|holder| holder.peer).chain(self.outdated.iter().copied()).collect();
        if without.is_empty() {
            return lacking;
        }
        let target = KBucketKey::new(key.as_bytes().to_vec());
        let distance = |peer: &PeerId| KBucketKey::from(*peer).distance(&target);
        let mut held: Vec<_> = self.holders.iter().map(|holder| distance(&holder.peer)).collect();
        held.sort_unstable();
        let absent = without.iter().enumerate().filter(|&(rank, peer)| match extent {
            Extent::Whole => {
                let distance = distance(peer);
                let closer = held.iter().filter(|&&holder| holder < distance).count();
                rank + closer < K_VALUE.get()
            }
            // Nobody knows yet who the closest are, only that a peer between the key and a replica is one.
            Extent::Part => held.last().is_some_and(|&farthest| distance(peer) < farthest),
        });
        lacking.extend(absent.map(|(_, &peer)| peer));
        lacking
    }
}
