//! What a lookup has heard so far: the best record, and which peers hold it, which an older one, which none.

use std::sync::Arc;

use libp2p::PeerId;

use crate::{
    engine::{
        calls::Untimely,
        saying::{attesting, newest, saying},
    },
    keyspace::{Key, REPLICAS},
    package::{Digest, PackageName},
    record::{Head, Record, Rejected, Signed},
};

/// Peers whose replies are remembered, for each lookup: it asks the twenty closest ones, and some on the way there.
const MAX_PEERS: usize = 64;

/// Heads of this node's own package that differ, of which one lookup takes note: of one that a few devices publish.
const MAX_OWN_HEADS: usize = 4;

/// The valid replies to one lookup.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    best: Option<Arc<Record>>,
    holders: Vec<Holder>,
    /// Peers whose copy time or a newer record has overtaken.
    outdated: Vec<PeerId>,
    /// The heads of this node's owner that peers hold, each once.
    own_heads: Vec<Signed<Head>>,
    /// Whether this node's own store holds a copy, of whatever age.
    held_here: bool,
    untimely: Untimely,
    /// Peers that were found to have left while the lookup ran.
    left: Vec<PeerId>,
    /// The package whose head the catalogue has answered with before the lookup was over.
    listed: Option<Box<(PackageName, PeerId)>>,
}

/// A peer that holds a valid copy.
#[derive(Debug)]
struct Holder {
    peer: PeerId,
    /// What its copy [says](saying).
    says: Digest,
    /// What its copy [attests](attesting).
    attests: Vec<Digest>,
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

    /// Whether a peer was found to hold a valid copy.
    pub(crate) fn is_found(&self) -> bool {
        !self.holders.is_empty()
    }

    /// How many peers have answered with a copy. Those that hold an older one count: they have been heard.
    pub(crate) fn copies(&self) -> usize {
        self.holders.len() + self.outdated.len()
    }

    /// A valid copy, of a peer or of this node's own store.
    /// `owner` is this node's, whose claim may be in it.
    pub(crate) fn copy(
        &mut self,
        from: Option<PeerId>,
        record: Arc<Record>,
        owner: &PeerId,
        unix: u64,
    ) {
        match from {
            None => self.held_here = true,
            Some(peer) => {
                self.note_own(&record, owner);
                if self.holders.len() < MAX_PEERS
                    && self.holders.iter().all(|holder| holder.peer != peer)
                {
                    let (says, attests) = (saying(&record), attesting(&record, owner));
                    self.holders.push(Holder { peer, says, attests });
                }
            }
        }
        self.best = Some(match self.best.take() {
            Some(known) => newest(&known, &record, unix),
            None => record,
        });
    }

    fn note_own(&mut self, record: &Record, owner: &PeerId) {
        if let Record::Head(head) = record
            && head.owner == *owner
            && self.own_heads.len() < MAX_OWN_HEADS
            && self.own_heads.iter().all(|known| known.digest() != head.digest())
        {
            self.own_heads.push(head.clone());
        }
    }

    /// The heads of this node's owner that peers hold, each once.
    pub(crate) fn own_heads(&self) -> &[Signed<Head>] {
        &self.own_heads
    }

    /// How many peers have served what this node has put.
    pub(crate) fn attesting(&self, wanted: &Digest) -> usize {
        self.holders.iter().filter(|holder| holder.attests.contains(wanted)).count()
    }

    /// A peer, or this node's own store, holds a copy that was valid once.
    pub(crate) fn outdated(&mut self, from: Option<PeerId>) {
        match from {
            None => self.held_here = true,
            Some(peer) => {
                if self.outdated.len() < MAX_PEERS
                    && !self.outdated.contains(&peer)
                    && self.holders.iter().all(|holder| holder.peer != peer)
                {
                    self.outdated.push(peer);
                }
            }
        }
    }

    /// A peer has left: what it holds is not in the network now.
    pub(crate) fn left(&mut self, peer: PeerId) {
        if self.left.len() < MAX_PEERS && !self.left.contains(&peer) {
            self.left.push(peer);
        }
    }

    /// What the catalogue has of this package has answered somebody.
    pub(crate) fn answered_by_listed(&mut self, package: Option<(PackageName, PeerId)>) {
        if let Some(package) = package {
            self.listed = Some(Box::new(package));
        }
    }

    /// The package of which what the catalogue has answered somebody: those that hold something older are to have it.
    pub(crate) fn listed(&self) -> Option<(PackageName, PeerId)> {
        self.listed.as_deref().cloned()
    }

    /// Of so many peers that have not answered, those that may still be there.
    pub(crate) fn silent(&self, unheard: u32) -> u32 {
        unheard.saturating_sub(u32::try_from(self.left.len()).unwrap_or(u32::MAX))
    }

    /// A peer's copy is refused.
    pub(crate) fn refused(&mut self, rejected: &Rejected) {
        self.untimely.note(rejected);
    }

    /// The copies that were refused for their time.
    pub(crate) fn untimely(&self) -> Untimely {
        self.untimely
    }

    /// Whether there is no sign that any replica lacks the record.
    pub(crate) fn agree(&self, without: &[PeerId]) -> bool {
        !self.held_here && self.outdated.is_empty() && without.is_empty() && self.holders.len() <= 1
    }

    /// Which peers should hold a record and do not, the closest to its key first: those with another copy, and of
    /// those without any the ones that are its replicas. No more than a record has replicas. `without` is in the
    /// order of the distance from the key.
    pub(crate) fn lacking(
        &self,
        record: &Record,
        without: &[PeerId],
        extent: Extent,
    ) -> Vec<PeerId> {
        let says = saying(record);
        let target = Key::of_record(&record.key());
        let distance = |peer: &PeerId| Key::of_peer(peer).distance(&target);
        let holders = self.holders.iter().map(|holder| &holder.peer).chain(&self.outdated);
        let mut held: Vec<_> = holders.map(distance).collect();
        held.sort_unstable();
        let absent = without.iter().enumerate().filter(|&(rank, peer)| {
            let distance = distance(peer);
            match extent {
                Extent::Whole => {
                    rank + held.iter().filter(|&&holder| holder < distance).count() < REPLICAS
                }
                // Nobody knows yet who the closest are. A peer that lies nearer than two that hold it is one; anybody
                // can hold what they have read, so that one alone says nothing.
                Extent::Part => held.iter().rev().nth(1).is_some_and(|&second| distance < second),
            }
        });
        let stale = self.holders.iter().filter(|holder| holder.says != says);
        let mut lacking: Vec<_> = stale
            .map(|holder| holder.peer)
            .chain(self.outdated.iter().copied())
            .chain(absent.map(|(_, &peer)| peer))
            .map(|peer| (distance(&peer), peer))
            .collect();
        lacking.sort_unstable_by_key(|&(distance, _)| distance);
        lacking.truncate(REPLICAS);
        lacking.into_iter().map(|(_, peer)| peer).collect()
    }
}
