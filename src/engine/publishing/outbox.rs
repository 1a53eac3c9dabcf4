//! Announcements that have not left yet, or that nobody has heard.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::{
    counters::{CallEnd, CallKind},
    engine::{
        command::Reply,
        dirty::Dirty,
        interface::{AnnouncementId, Published},
        saving::{CommitNumber, Durable},
        store::{Unheard, rows},
        wheel,
    },
    error::Error,
    package::{Announcement, PackageName},
    storage::Change,
    ticket::Ticket,
};

/// Announcements whose success is remembered: more than are under way at any time.
const REMEMBERED_SENT: usize = 1024;

/// When an announcement leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// Once it is released, since peers hold what it announces, or its deadline has come. Whoever subscribes before that
    /// has to wait.
    Released(Hold),
    /// Once somebody hears it.
    Heard,
    /// Once the calendar says that it holds: somebody could have heard it while it seemed to have expired.
    Valid,
}

/// For how long an announcement is on hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    /// When it leaves in any case, on the monotonic scale.
    pub(crate) latest: Duration,
    /// The deadline for that.
    pub(crate) timer: wheel::Key,
}

#[derive(Debug)]
struct Entry {
    id: AnnouncementId,
    topic: String,
    data: Vec<u8>,
    /// The own package whose head this is: a newer head takes its place.
    package: Option<PackageName>,
    /// Unix seconds from which on everybody refuses it.
    expires: u64,
    departure: Departure,
    /// Whether the storage is to have it: a message that the network takes at once need not be written at all.
    is_kept: bool,
    /// Who waits to hear what becomes of it, and until when.
    reply: Option<(Reply<Announcement>, Duration)>,
}

impl Entry {
    fn unheard(&self) -> Unheard {
        Unheard {
            topic: self.topic.clone(),
            data: self.data.clone(),
            package: self.package.clone(),
            number: None,
        }
    }

    fn on_hold(&self) -> Option<Hold> {
        match self.departure {
            Departure::Released(hold) => Some(hold),
            Departure::Heard | Departure::Valid => None,
        }
    }
}

/// An announcement that leaves, and was on hold.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) hold: Hold,
    pub(crate) topic: String,
    pub(crate) data: Vec<u8>,
}

/// Announcements on the way out, oldest first. Heads are on hold here while peers store them. Those that nobody hears stay
/// until somebody subscribes, or until nobody would believe them any more.
#[derive(Debug)]
pub(crate) struct Outbox {
    next: u64,
    entries: VecDeque<Entry>,
    /// Calls that wait for what becomes of an announcement which is with the network now.
    waiting: HashMap<AnnouncementId, Ticket>,
    /// The last that were sent, so that a receipt can tell them from those that had to make room.
    sent: VecDeque<AnnouncementId>,
    /// How many were sent.
    sent_in_all: u64,
    bound: usize,
    /// Announcements that the storage does not have as they are.
    changed: Dirty<u64>,
}

impl Outbox {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            next: 0,
            entries: VecDeque::new(),
            waiting: HashMap::new(),
            sent: VecDeque::new(),
            sent_in_all: 0,
            bound,
            changed: Dirty::default(),
        }
    }

    /// How the next announcement that is added will be named.
    pub(crate) fn next(&self) -> AnnouncementId {
        AnnouncementId(self.next)
    }

    /// Adds the newest head of an own package, which stays on hold until it is released. There is none of the same
    /// package: that was [dropped](Self::drop_head). The oldest entry that could have left goes when there is no room:
    /// peers that come later read the package from the DHT.
    pub(crate) fn add_head(
        &mut self,
        package: PackageName,
        topic: String,
        data: Vec<u8>,
        expires: u64,
        hold: Hold,
    ) -> AnnouncementId {
        while self.entries.len() >= self.bound.max(1) {
            // A message's caller was told "queued" or "sent" before anything could push it out.
            let oldest = self.entries.iter().position(|entry| entry.on_hold().is_none());
            let Some(oldest) = oldest else { break };
            self.take(oldest);
        }
        let departure = Departure::Released(hold);
        self.push(Entry {
            id: self.next(),
            topic,
            data,
            package: Some(package),
            expires,
            departure,
            is_kept: true,
            reply: None,
        })
    }

    /// The head of an own package is not to be announced any more. Tells for how long it would have been on hold, if it was.
    pub(crate) fn drop_head(&mut self, package: &PackageName) -> Option<Hold> {
        let is_it = |entry: &Entry| entry.package.as_ref() == Some(package);
        let hold = self.entries.iter().find(|entry| is_it(entry)).and_then(Entry::on_hold);
        self.retain(|entry| !is_it(entry));
        hold
    }

    /// An announcement is on hold no longer: gives it out, unless it has left or another has taken its place.
    pub(crate) fn release(&mut self, id: AnnouncementId) -> Option<Released> {
        let entry = self.entries.iter_mut().find(|entry| entry.id == id)?;
        let hold = entry.on_hold()?;
        entry.departure = Departure::Heard;
        Some(Released { hold, topic: entry.topic.clone(), data: entry.data.clone() })
    }

    /// This call waits for what becomes of an announcement that has just been released.
    pub(crate) fn wait(&mut self, id: AnnouncementId, ticket: Ticket) {
        self.waiting.insert(id, ticket);
    }

    /// The call that waits for what became of an announcement.
    pub(crate) fn take_waiting(&mut self, id: AnnouncementId) -> Option<Ticket> {
        self.waiting.remove(&id)
    }

    /// The one of a package, if it is on hold.
    pub(crate) fn on_hold_of(&self, package: &PackageName) -> Option<AnnouncementId> {
        let is_it = |entry: &&Entry| entry.package.as_ref() == Some(package);
        self.entries.iter().find(is_it).filter(|entry| entry.on_hold().is_some()).map(|one| one.id)
    }

    /// Those on hold, oldest first.
    pub(crate) fn on_hold(&self) -> impl Iterator<Item = AnnouncementId> {
        self.entries.iter().filter(|entry| entry.on_hold().is_some()).map(|entry| entry.id)
    }

    /// The oldest on hold, where so many are that others may find no place. It is to leave early.
    pub(crate) fn crowding(&self) -> Option<AnnouncementId> {
        let mut on_hold = self.on_hold();
        let oldest = on_hold.next()?;
        (1 + on_hold.count() > self.bound / 2).then_some(oldest)
    }

    /// Adds a message of the application. Where there is no room for it, its caller is told so.
    pub(crate) fn add_message(
        &mut self,
        topic: String,
        data: Vec<u8>,
        expires: u64,
        reply: Reply<Announcement>,
        latest: Duration,
    ) -> Result<AnnouncementId, CallEnd> {
        if self.entries.len() >= self.bound {
            return Err(reply.send(Err(Error::busy("queued_announcements"))));
        }
        let (departure, reply) = (Departure::Heard, Some((reply, latest)));
        let id = self.next();
        let (package, is_kept) = (None, false);
        Ok(self.push(Entry { id, topic, data, package, expires, departure, is_kept, reply }))
    }

    fn push(&mut self, entry: Entry) -> AnnouncementId {
        let id = entry.id;
        self.next += 1;
        if entry.is_kept {
            self.changed.mark_new(|| id.0);
        }
        self.entries.push_back(entry);
        id
    }

    fn take(&mut self, place: usize) {
        if let Some(entry) = self.entries.remove(place)
            && entry.is_kept
        {
            self.changed.mark_gone(|| entry.id.0);
        }
    }

    fn retain(&mut self, is_to_stay: impl Fn(&Entry) -> bool) {
        let changed = &mut self.changed;
        self.entries.retain(|entry| {
            let stays = is_to_stay(entry);
            if !stays && entry.is_kept {
                changed.mark_gone(|| entry.id.0);
            }
            stays
        });
    }

    /// The bytes of an announcement that still waits.
    pub(crate) fn get(&self, id: AnnouncementId) -> Option<(&str, &[u8])> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        Some((&entry.topic, &entry.data))
    }

    /// What the network made of one: tells its caller's answer, if one waits, and keeps it only if nobody heard it. What is
    /// kept from now on goes with the next commit of the storage, and only its caller waits for that.
    pub(in crate::engine) fn published(
        &mut self,
        id: AnnouncementId,
        outcome: Published,
        next: CommitNumber,
    ) -> Option<Durable<Announcement>> {
        let place = self.entries.iter().position(|entry| entry.id == id)?;
        let entry = self.entries.get_mut(place)?;
        let reply = entry.reply.take();
        let (answer, commit) = match outcome {
            Published::Sent => (Ok(Announcement::Sent), CommitNumber::default()),
            Published::Unheard => (Ok(Announcement::Queued), next),
            Published::Impossible => {
                let reason = "the announcement cannot be sent".to_owned();
                (Err(Error::Transport { reason }), CommitNumber::default())
            }
        };
        if outcome == Published::Unheard && !std::mem::replace(&mut entry.is_kept, true) {
            self.changed.mark_new(|| id.0);
        }
        let kind = Some(CallKind::Announce);
        let answer = reply.map(|(reply, latest)| Durable { reply, answer, kind, latest, commit });
        if outcome != Published::Unheard {
            self.take(place);
        }
        if outcome == Published::Sent {
            self.sent_in_all += 1;
            self.sent.push_back(id);
            if self.sent.len() > REMEMBERED_SENT {
                self.sent.pop_front();
            }
        }
        answer
    }

    /// How many were sent, and how many wait to be.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (self.sent_in_all, u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    /// What became of an announcement so far.
    pub(crate) fn state(&self, id: AnnouncementId) -> Announcement {
        if self.sent.contains(&id) { Announcement::Sent } else { Announcement::Queued }
    }

    /// Announcements that wait for a hearer of this topic.
    #[cfg(test)]
    pub(crate) fn waiting_on(&self, topic: &str) -> Vec<AnnouncementId> {
        self.entries.iter().filter(|entry| entry.topic == topic).map(|entry| entry.id).collect()
    }

    /// Somebody hears this topic: what waits for that. What seems to have expired would be sent in vain, and is held back,
    /// for the calendar may be wrong.
    pub(crate) fn take_heard(&mut self, topic: &str, unix: u64) -> Vec<AnnouncementId> {
        let mut heard = Vec::new();
        let on_topic = |entry: &&mut Entry| entry.topic == topic && entry.on_hold().is_none();
        for entry in self.entries.iter_mut().filter(on_topic) {
            if entry.expires <= unix {
                entry.departure = Departure::Valid;
            } else {
                entry.departure = Departure::Heard;
                heard.push(entry.id);
            }
        }
        heard
    }

    /// What was held back, and has not expired by this time.
    pub(crate) fn take_held_back(&mut self, unix: u64) -> Vec<AnnouncementId> {
        let is_back =
            |entry: &&mut Entry| entry.departure == Departure::Valid && entry.expires > unix;
        let back = self.entries.iter_mut().filter(is_back);
        back.map(|entry| {
            entry.departure = Departure::Heard;
            entry.id
        })
        .collect()
    }

    /// Forgets what nobody has heard in time, where that is over for certain. What is on its way to the network is judged
    /// by what becomes of it.
    pub(crate) fn sweep(&mut self, certain: u64) {
        let is_on_its_way = |entry: &Entry| entry.reply.is_some() || entry.on_hold().is_some();
        self.retain(|entry| entry.expires > certain || is_on_its_way(entry));
    }

    /// Where it is full, forgets what seems to have expired: what holds comes before that.
    pub(crate) fn make_room(&mut self, unix: u64) {
        if self.entries.len() >= self.bound {
            self.sweep(unix);
        }
    }

    /// What waits to be heard or released, oldest first, for a life after this one.
    pub(crate) fn unheard(&self) -> Vec<Unheard> {
        self.entries.iter().map(Entry::unheard).collect()
    }

    /// From here on, it is noted which announcements change.
    pub(crate) fn note_changes(&mut self) {
        self.changed.turn_on();
    }

    /// How many wait to be written.
    pub(crate) fn unsaved(&self) -> usize {
        self.changed.len()
    }

    /// Takes the rows that are to be written now.
    pub(crate) fn take_changes(&mut self, changes: &mut Vec<Change>) {
        for number in self.changed.take(usize::MAX) {
            let entry = self.entries.iter().find(|entry| entry.id.0 == number);
            changes.push(rows::announcement(number, entry.map(Entry::unheard).as_ref()));
        }
    }

    /// The rows that were taken have been written, or have not.
    pub(crate) fn settle_changes(&mut self, is_written: bool) {
        self.changed.settle(is_written);
    }

    /// Takes up what an earlier life has left unheard, until it expires, as far as there is room. Nobody waits for it. Where
    /// it has a row, it keeps its number: the row is as it should be.
    pub(crate) fn restore(&mut self, unheard: &Unheard, expires: Option<u64>) {
        let Unheard { topic, data, package, number } = unheard.clone();
        let kept = number.filter(|number| *number >= self.next && *number < u64::MAX);
        if let Some(number) = number {
            // Whether or not there is anything under it.
            self.changed.mark_row(|| number);
        }
        let Some(expires) = expires.filter(|_| self.entries.len() < self.bound) else { return };
        self.next = kept.unwrap_or(self.next);
        let (id, departure) = (self.next(), Departure::Heard);
        self.push(Entry {
            id,
            topic,
            data,
            package,
            expires,
            departure,
            is_kept: true,
            reply: None,
        });
        if let Some(number) = kept {
            self.changed.unmark(&number);
        }
    }

    /// The node stops: what waits is for its next life. Those who are owed an answer hear that they may say it again, so that
    /// what they said is dropped.
    pub(crate) fn close(&mut self) -> Vec<CallEnd> {
        self.waiting.clear();
        let owed =
            self.entries.iter_mut().filter_map(|entry| Some((entry.id, entry.reply.take()?)));
        let owed: Vec<(AnnouncementId, (Reply<Announcement>, Duration))> = owed.collect();
        self.retain(|entry| owed.iter().all(|(id, _)| *id != entry.id));
        owed.into_iter().map(|(_, (reply, _))| reply.send(Err(Error::ShuttingDown))).collect()
    }
}
