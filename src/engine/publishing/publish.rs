//! Publishing a change to an own package: recall what the network holds, sign, put, announce.
//!
//! ```text
//!  Head ──▶ Pages ──▶ Newest ──▶ (sign) ──▶ Storing ──all puts ended──────────────▶ Announcing ──▶ receipt
//!   ▲└─nobody to ask───────────────▲           │                                        ▲
//!   │                                          └──read-backs wanted──▶ Confirming ──────┘
//!   └──────────another head shows, [`MAX_ROUNDS`] times at the most────────┘
//! ```
//!
//! Where some of those that should hold the change have not acknowledged it, they are asked why in between
//! (Explaining).
//!
//! The change is [announced](super::announcing) last: whoever hears of it finds it, and the flood of the announcement does
//! not take the processors from the peers that store it. Announcing ends at once, when the network has said whether
//! somebody was there to hear it.
//!
//! While a package that is new here is recalled, [look-alikes](super::look_alikes) of its name are looked up beside it.
//!
//! Confirming ends when so many peers have served each record as were wanted, or all that there are were asked, or
//! the caller's time is up.

use std::time::Duration;

use libp2p::PeerId;

use crate::{
    clock_offset::ClockOffset,
    counters::CallKind,
    engine::{
        command::Reply,
        effects::Effects,
        interface::AnnouncementId,
        publishing::{
            confirming::Confirming,
            explaining::{Explaining, Reasons},
            look_alikes::LookAlikes,
            outbox::Outbox,
            own::{Change, OwnPackage, Recalled},
        },
        saving::{CommitNumber, Durable},
        wheel,
    },
    error::{Error, Result},
    package::{Announcement, Digest, PackageId, PackageName, Receipt},
    record::{Head, NetworkName, Page, Record, RecordKey, ReleaseEntry, ReleaseList, Signed},
};

/// A change under way.
#[derive(Debug)]
pub(in crate::engine) struct Publish {
    pub(in crate::engine) change: Change,
    /// Nobody waits where the node itself renews a package, or once the caller has been answered.
    pub(in crate::engine) reply: Option<Reply<Receipt>>,
    /// When the caller's time is up, on the monotonic scale.
    pub(in crate::engine) latest: Duration,
    /// From how many peers the caller wants the change read back.
    pub(in crate::engine) confirmation: u8,
    /// What the caller is told should nothing more come of it: an earlier round has signed the change, or all that it
    /// waits for is what becomes of the announcement.
    pub(in crate::engine) signed: Option<Receipt>,
    /// The commit that holds what was signed last.
    pub(in crate::engine) commit: CommitNumber,
    /// The announcement of the head that was signed last.
    pub(in crate::engine) announcement: Option<AnnouncementId>,
    /// How often it has been built on what a read-back showed.
    pub(in crate::engine) rounds: u8,
    /// Names of others that people may confuse with this one, where it is a new release.
    pub(in crate::engine) alike: LookAlikes,
    pub(in crate::engine) stage: Stage,
}

/// How often a change is built anew on what its read-back shows, before its caller is answered all the same.
pub(in crate::engine) const MAX_ROUNDS: u8 = 3;

/// How far it is.
#[derive(Debug)]
pub(in crate::engine) enum Stage {
    /// Reading what the network holds of the package. Nothing has been changed yet.
    Recalling(Recall),
    /// Signed and in force; peers are storing it.
    Storing(Storing),
    /// The puts have ended; peers that have not acknowledged them are asked why.
    Explaining(Box<Explaining>),
    /// The puts have ended; peers are asked for what they said that they hold.
    Confirming(Box<Confirming>),
    /// The announcement is with the network, which says at once what became of it.
    Announcing,
}

impl Publish {
    pub(in crate::engine) fn new(
        change: Change,
        reply: Option<Reply<Receipt>>,
        confirmation: u8,
    ) -> Self {
        let (signed, announcement, alike) = (None, None, LookAlikes::default());
        let stage = Stage::BEGINNING;
        Self {
            change,
            reply,
            latest: Duration::MAX,
            confirmation,
            signed,
            commit: CommitNumber::default(),
            announcement,
            rounds: 0,
            alike,
            stage,
        }
    }

    /// What the caller is told. A change that is signed does not fail any more, unless what peers turn out to hold has
    /// undone it.
    pub(in crate::engine) fn settle(&mut self, answer: Result<Receipt>) -> Result<Receipt> {
        answer.or_else(|error| match error {
            Error::Conflict { .. } | Error::Withdrawn { .. } => Err(error),
            error => self.signed.take().ok_or(error),
        })
    }

    /// Answers the caller, if one waits.
    pub(in crate::engine) fn answer(&mut self, out: &mut Effects, answer: Result<Receipt>) {
        let answer = self.settle(answer).map(|receipt| self.alike.tell(receipt));
        let Some(reply) = self.reply.take() else { return };
        let (kind, latest, commit) = (self.change.kind(), self.latest, self.commit);
        out.answer(Durable { reply, answer, kind, latest, commit });
    }
}

impl Stage {
    /// Where every change begins.
    pub(in crate::engine) const BEGINNING: Self =
        Self::Recalling(Recall::Head { others: Vec::new() });
}

/// What is read before a package is changed: an earlier life of this node, or another device with its key, may have
/// published it, or changed it since.
#[derive(Debug)]
pub(in crate::engine) enum Recall {
    /// What peers hold. Those that do not hold the newest head may hold one that says something of its own.
    Head { others: Vec<Signed<Head>> },
    /// The rest of a list.
    Pages(Box<Pages>),
    /// The release that the change makes the newest.
    Newest { recalled: Vec<Recalled>, entry: ReleaseEntry },
}

/// The lists of several heads, read one after the other.
#[derive(Debug)]
pub(in crate::engine) struct Pages {
    read: Vec<Recalled>,
    head: Signed<Head>,
    list: ReleaseList,
    pages: Vec<Signed<Page>>,
    next: RecordKey,
    rest: Vec<Signed<Head>>,
}

/// How a recall goes on after a record.
#[derive(Debug)]
pub(in crate::engine) enum Recalling {
    More(Recall),
    /// Heads and lists are complete.
    Listed(Vec<Recalled>),
    /// The newest release has been read too.
    Complete(Vec<Recalled>),
}

impl Recall {
    /// The record that it needs next.
    pub(in crate::engine) fn wants(
        &self,
        network: &NetworkName,
        owner: &PeerId,
        name: &PackageName,
    ) -> RecordKey {
        match self {
            Self::Head { .. } => RecordKey::head(network, owner, name),
            Self::Pages(pages) => pages.next,
            Self::Newest { entry, .. } => RecordKey::release(network, owner, name, &entry.version),
        }
    }

    /// Goes on with a record, or without one if nobody holds it. `heard` are heads that have come by themselves.
    pub(in crate::engine) fn take(
        self,
        record: Option<Record>,
        heard: Vec<Signed<Head>>,
    ) -> Recalling {
        match (self, record) {
            (Self::Head { others }, record) => {
                let newest = match record {
                    Some(Record::Head(head)) => Some(head),
                    _ => None,
                };
                Self::listed(Vec::new(), distinct(newest, others, heard))
            }
            (Self::Pages(mut pages), Some(Record::Page(page))) => {
                // A list that its own owner has broken cannot be continued: what is readable of it counts.
                match pages.list.accept(&page) {
                    Ok(()) => {
                        pages.pages.push(page);
                        pages.go_on()
                    }
                    Err(_) => pages.go_on_without(),
                }
            }
            // Pages that nobody holds any more are lost, and their releases with them.
            (Self::Pages(pages), _) => pages.go_on_without(),
            (Self::Newest { mut recalled, entry }, Some(Record::Release(release)))
                if entry.is_of(&release) =>
            {
                if let Some(first) = recalled.first_mut() {
                    first.at_hand.push(release);
                }
                Recalling::Complete(recalled)
            }
            (Self::Newest { recalled, .. }, _) => Recalling::Complete(recalled),
        }
    }

    /// Reads the release that the change makes the newest. It is kept with one of the heads that were read, or with the
    /// own one where there is none.
    pub(in crate::engine) fn newest(
        mut recalled: Vec<Recalled>,
        own: Option<&OwnPackage>,
        entry: ReleaseEntry,
    ) -> Self {
        if let (true, Some(own)) = (recalled.is_empty(), own) {
            let (head, list) = (own.head.clone(), ReleaseList::of(&own.head));
            recalled.push(Recalled::of(head, list, Vec::new()));
        }
        Self::Newest { recalled, entry }
    }

    /// Reads the lists of these heads.
    fn listed(mut read: Vec<Recalled>, rest: Vec<Signed<Head>>) -> Recalling {
        let mut rest = rest.into_iter();
        while let Some(head) = rest.next() {
            let (list, pages) = (ReleaseList::of(&head), Vec::new());
            match list.awaits() {
                Some(next) => {
                    let rest = rest.collect();
                    let pages = Box::new(Pages { read, head, list, pages, next, rest });
                    return Recalling::More(Self::Pages(pages));
                }
                None => read.push(Recalled::of(head, list, pages)),
            }
        }
        Recalling::Listed(read)
    }
}

impl Pages {
    fn go_on(mut self: Box<Self>) -> Recalling {
        match self.list.awaits() {
            Some(next) => {
                self.next = next;
                Recalling::More(Recall::Pages(self))
            }
            None => self.go_on_without(),
        }
    }

    /// Goes on with the next list.
    fn go_on_without(self: Box<Self>) -> Recalling {
        let Self { mut read, head, list, pages, rest, .. } = *self;
        read.push(Recalled::of(head, list, pages));
        Recall::listed(read, rest)
    }
}

/// These heads, each of them once. Of those in an older epoch than the newest, the owner has said what stays.
fn distinct(
    newest: Option<Signed<Head>>,
    others: Vec<Signed<Head>>,
    heard: Vec<Signed<Head>>,
) -> Vec<Signed<Head>> {
    let mut heads: Vec<Signed<Head>> = Vec::new();
    for head in newest.into_iter().chain(others).chain(heard) {
        if heads.iter().all(|known| known.digest() != head.digest()) {
            heads.push(head);
        }
    }
    let epoch = heads.iter().map(|head| head.revision.epoch).max();
    heads.retain(|head| Some(head.revision.epoch) == epoch);
    heads
}

/// What peers are storing.
#[derive(Debug)]
pub(in crate::engine) struct Storing {
    pub(in crate::engine) id: PackageId,
    pub(in crate::engine) sequence: u64,
    /// Puts that have not ended.
    pub(in crate::engine) pending: usize,
    /// The fewest peers that stored any one record, of the puts that have ended.
    pub(in crate::engine) fewest: Option<u32>,
    /// Whether nothing else of the package is still to be put.
    pub(in crate::engine) is_whole: bool,
    pub(in crate::engine) put: Vec<Put>,
    /// How the clock by which it was signed stands to those of peers, if that is badly.
    pub(in crate::engine) clock: Option<ClockOffset>,
    /// Why peers have refused it.
    pub(in crate::engine) reasons: Reasons,
}

/// A record of a change.
#[derive(Debug)]
pub(in crate::engine) struct Put {
    pub(in crate::engine) key: RecordKey,
    /// What a copy from there has to [attest](crate::engine::saying::attesting).
    pub(in crate::engine) attests: Digest,
    /// Who has acknowledged it, as far as that is told.
    pub(in crate::engine) acknowledged: Vec<PeerId>,
    /// How many have.
    pub(in crate::engine) replicas: u32,
}

impl Storing {
    /// One put has ended.
    pub(in crate::engine) fn stored(&mut self, key: &RecordKey, replicas: u32) {
        if let Some(put) = self.put.iter_mut().find(|put| put.key == *key) {
            put.replicas = replicas;
        }
        self.pending = self.pending.saturating_sub(1);
        self.fewest = Some(self.fewest.map_or(replicas, |fewest| fewest.min(replicas)));
    }

    /// How many peers hold the least held record for certain: none, while a put has not ended.
    pub(in crate::engine) fn replicas(&self) -> u32 {
        if self.pending == 0 { self.fewest.unwrap_or(0) } else { 0 }
    }

    /// The receipt, by what is known before anything is read back, without look-alikes.
    pub(in crate::engine) fn receipt(
        &self,
        announcement: Announcement,
        confirmation: u8,
    ) -> Receipt {
        Receipt {
            id: self.id.clone(),
            sequence: self.sequence,
            replicas: self.replicas(),
            confirmed: 0,
            confirmation,
            announcement,
            refusals: self.reasons.counted(),
            look_alikes: Vec::new(),
            clock: self.clock,
        }
    }
}

/// When an own package is put again, and when it was last announced.
#[derive(Debug)]
pub(in crate::engine) struct Renewal {
    pub(in crate::engine) timer: wheel::Key,
    /// When that is by the calendar, in Unix seconds, and after which time.
    pub(in crate::engine) due: u64,
    pub(in crate::engine) interval: Duration,
    /// None where its head was signed with nobody to ask, and has not been read back yet.
    pub(in crate::engine) announced: Option<Announced>,
}

/// An announcement of an own head.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Announced {
    pub(in crate::engine) at: Duration,
    pub(in crate::engine) id: AnnouncementId,
}

impl Publish {
    /// What the caller has asked for, if one waits.
    pub(in crate::engine) fn kind(&self) -> Option<CallKind> {
        self.reply.as_ref().and(self.change.kind())
    }

    /// Answers the caller, if one waits, with what has been achieved, if the change is signed. What is still under
    /// way goes on without a caller.
    pub(in crate::engine) fn answer_early(&mut self, out: &mut Effects, outbox: &Outbox) {
        let Stage::Storing(storing) = &self.stage else { return };
        let receipt = storing.receipt(self.announcement(outbox), self.confirmation);
        self.answer(out, Ok(receipt));
    }
}
