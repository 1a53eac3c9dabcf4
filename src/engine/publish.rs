//! Publishing a change to an own package: recall what the network holds, sign, put, announce.
//!
//! ```text
//!  Head ──▶ Pages ──▶ Newest ──▶ (sign) ──▶ Storing ──all puts ended─────────────────▶ receipt
//!   └──known here──────────────────▲           │                                        ▲
//!                                              └──read-backs wanted──▶ Confirming ──────┘
//! ```
//!
//! Where some of those that should hold the change have not acknowledged it, they are asked why in between
//! (Explaining).
//!
//! Confirming ends when so many peers have served each record as were wanted, or all that there are were asked, or
//! the caller's time is up.

use libp2p::PeerId;

use crate::{
    Announcement, ClockOffset, Digest, NetworkName, PackageId, PackageName, Receipt, Result,
    command::Reply,
    counters::EndedCall,
    engine::{outbox::AnnouncementId, own::Change},
    record::{Head, Record, RecordKey, ReleaseEntry, ReleaseList, Signed},
};

use super::{
    confirming::Confirming,
    explaining::{Explaining, Reasons},
    own::Recalled,
};

/// A change under way.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) change: Change,
    /// Nobody waits where the node itself renews a package, or once the caller has been answered.
    pub(super) reply: Option<Reply<Receipt>>,
    /// From how many peers the caller wants the change read back.
    pub(super) confirmation: u8,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Reading what the network holds of the package. Nothing has been changed yet.
    Recalling(Recall),
    /// Signed and in force; peers are storing it.
    Storing(Storing),
    /// The puts have ended; peers that have not acknowledged them are asked why.
    Explaining(Box<Explaining>),
    /// The puts have ended; peers are asked for what they said that they hold.
    Confirming(Box<Confirming>),
}

impl Publish {
    /// Answers the caller, if one waits.
    pub(super) fn answer(self, answer: Result<Receipt>) -> Option<EndedCall> {
        let end = self.reply?.send(answer);
        Some(EndedCall(self.change.kind()?, end))
    }
}

impl Stage {
    /// Where every change begins.
    pub(super) const BEGINNING: Self = Self::Recalling(Recall::Head);
}

/// What is read before a package can be changed that this node does not know for certain: an earlier life of
/// it, or another node with the same key, may have published it.
#[derive(Debug)]
pub(super) enum Recall {
    Head,
    Pages { head: Signed<Head>, list: ReleaseList, next: RecordKey },
    Newest { recalled: Recalled, entry: ReleaseEntry },
}

/// How a recall goes on after a record.
#[derive(Debug)]
pub(super) enum Recalling {
    More(Recall),
    /// Head and list are complete.
    Listed(Recalled),
    /// The newest release has been read too.
    Complete(Recalled),
}

impl Recall {
    /// The record that it needs next.
    pub(super) fn wants(
        &self,
        network: &NetworkName,
        owner: &PeerId,
        name: &PackageName,
    ) -> RecordKey {
        match self {
            Self::Head => RecordKey::head(network, owner, name),
            Self::Pages { next, .. } => *next,
            Self::Newest { entry, .. } => RecordKey::release(network, owner, name, &entry.version),
        }
    }

    /// Goes on with a record, or without one if nobody holds it.
    pub(super) fn take(self, record: Option<Record>) -> Option<Recalling> {
        match (self, record) {
            (Self::Head, Some(Record::Head(head))) => {
                let list = ReleaseList::of(&head);
                Some(Self::listed(head, list))
            }
            (Self::Head, _) => None,
            (Self::Pages { head, mut list, .. }, Some(Record::Page(page))) => {
                // A list that its own owner has broken cannot be continued: what is readable of it counts.
                if list.accept(&page).is_err() {
                    return Some(Recalling::Listed(recalled(head, list)));
                }
                Some(Self::listed(head, list))
            }
            // Pages that nobody holds any more are lost, and their releases with them.
            (Self::Pages { head, list, .. }, _) => Some(Recalling::Listed(recalled(head, list))),
            (Self::Newest { mut recalled, entry }, Some(Record::Release(release)))
                if entry.is_of(&release) =>
            {
                recalled.newest = Some(release);
                Some(Recalling::Complete(recalled))
            }
            (Self::Newest { recalled, .. }, _) => Some(Recalling::Complete(recalled)),
        }
    }

    fn listed(head: Signed<Head>, list: ReleaseList) -> Recalling {
        match list.awaits() {
            Some(next) => Recalling::More(Self::Pages { head, list, next }),
            None => Recalling::Listed(recalled(head, list)),
        }
    }
}

fn recalled(head: Signed<Head>, list: ReleaseList) -> Recalled {
    Recalled { head, releases: list.into_releases(), newest: None }
}

/// What peers are storing.
#[derive(Debug)]
pub(super) struct Storing {
    pub(super) id: PackageId,
    pub(super) sequence: u64,
    pub(super) announcement: Option<AnnouncementId>,
    /// Puts that have not ended.
    pub(super) pending: usize,
    /// The fewest peers that stored any one record, of the puts that have ended.
    pub(super) fewest: Option<u32>,
    pub(super) put: Vec<Put>,
    /// How the clock by which it was signed stands to those of peers, if that is badly.
    pub(super) clock: Option<ClockOffset>,
    /// Why peers have refused it.
    pub(super) reasons: Reasons,
}

/// A record of a change.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) key: RecordKey,
    /// What a copy from there has to [attest](super::queries::attesting).
    pub(super) attests: Digest,
    /// Who has acknowledged it, as far as that is told.
    pub(super) acknowledged: Vec<PeerId>,
}

impl Storing {
    /// One put has ended.
    pub(super) fn stored(&mut self, replicas: u32) {
        self.pending = self.pending.saturating_sub(1);
        self.fewest = Some(self.fewest.map_or(replicas, |fewest| fewest.min(replicas)));
    }

    /// How many peers hold the least held record for certain: none, while a put has not ended.
    pub(super) fn replicas(&self) -> u32 {
        if self.pending == 0 { self.fewest.unwrap_or(0) } else { 0 }
    }

    /// The receipt, by what is known before anything is read back.
    pub(super) fn receipt(&self, announcement: Announcement, confirmation: u8) -> Receipt {
        Receipt {
            id: self.id.clone(),
            sequence: self.sequence,
            replicas: self.replicas(),
            confirmed: 0,
            confirmation,
            announcement,
            refusals: self.reasons.counted(),
            clock: self.clock,
        }
    }
}
