//! Announcements that nobody has heard yet.

use std::collections::VecDeque;

use super::store::Unheard;
use crate::{Announcement, Error, PackageName, command::Reply, counters::CallEnd};

/// Announcements whose success is remembered: more than are under way at any time.
const REMEMBERED_SENT: usize = 1024;

/// Names one announcement for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AnnouncementId(u64);

/// What the network made of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// At least one subscribed peer was handed it, now or before.
    Sent,
    /// Nobody is subscribed, or every peer's queue is full.
    Unheard,
    /// It can never be sent.
    Impossible,
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
    /// Somebody could have heard it while it seemed to have expired.
    is_held_back: bool,
    reply: Option<Reply<Announcement>>,
}

/// Announcements on the way out, oldest first. Those that nobody hears stay until somebody subscribes, or until nobody
/// would believe them any more.
#[derive(Debug)]
pub(crate) struct Outbox {
    next: u64,
    entries: VecDeque<Entry>,
    /// The last that were sent, so that a receipt can tell them from those that had to make room.
    sent: VecDeque<AnnouncementId>,
    /// How many were sent.
    sent_in_all: u64,
    bound: usize,
}

impl Outbox {
    pub(crate) fn new(bound: usize) -> Self {
        Self { next: 0, entries: VecDeque::new(), sent: VecDeque::new(), sent_in_all: 0, bound }
    }

    /// Adds the newest head of an own package, in the place of an older one of the same package. The oldest
    /// entry goes when there is no room: peers that come later read the package from the DHT.
    pub(crate) fn add_head(
        &mut self,
        package: PackageName,
        topic: String,
        data: Vec<u8>,
        expires: u64,
    ) -> AnnouncementId {
        self.drop_head(&package);
        while self.entries.len() >= self.bound.max(1) {
            // A message's caller was told "queued" or "sent" before anything could push it out.
            self.entries.pop_front();
        }
        self.push(topic, data, Some(package), expires, None)
    }

    /// The head of an own package is not to be announced any more.
    pub(crate) fn drop_head(&mut self, package: &PackageName) {
        self.entries.retain(|entry| entry.package.as_ref() != Some(package));
    }

    /// Adds a message of the application. Where there is no room for it, its caller is told so.
    pub(crate) fn add_message(
        &mut self,
        topic: String,
        data: Vec<u8>,
        expires: u64,
        reply: Reply<Announcement>,
    ) -> Result<AnnouncementId, CallEnd> {
        if self.entries.len() >= self.bound {
            return Err(reply.send(Err(Error::busy("queued_announcements"))));
        }
        Ok(self.push(topic, data, None, expires, Some(reply)))
    }

    fn push(
        &mut self,
        topic: String,
        data: Vec<u8>,
        package: Option<PackageName>,
        expires: u64,
        reply: Option<Reply<Announcement>>,
    ) -> AnnouncementId {
        let id = AnnouncementId(self.next);
        self.next += 1;
        let is_held_back = false;
        self.entries.push_back(Entry { id, topic, data, package, expires, is_held_back, reply });
        id
    }

    /// The bytes of an announcement that still waits.
    pub(crate) fn get(&self, id: AnnouncementId) -> Option<(&str, &[u8])> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        Some((&entry.topic, &entry.data))
    }

    /// What the network made of one: answers its caller, if one waits, and keeps it only if nobody heard it.
    pub(crate) fn published(&mut self, id: AnnouncementId, outcome: Published) -> Option<CallEnd> {
        let place = self.entries.iter().position(|entry| entry.id == id)?;
        let reply = self.entries.get_mut(place)?.reply.take();
        let end = reply.map(|reply| {
            reply.send(match outcome {
                Published::Sent => Ok(Announcement::Sent),
                Published::Unheard => Ok(Announcement::Queued),
                Published::Impossible => {
                    Err(Error::Transport { reason: "the announcement cannot be sent".to_owned() })
                }
            })
        });
        if outcome != Published::Unheard {
            self.entries.remove(place);
        }
        if outcome == Published::Sent {
            self.sent_in_all += 1;
            self.sent.push_back(id);
            if self.sent.len() > REMEMBERED_SENT {
                self.sent.pop_front();
            }
        }
        end
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
        for entry in self.entries.iter_mut().filter(|entry| entry.topic == topic) {
            entry.is_held_back = entry.expires <= unix;
            if !entry.is_held_back {
                heard.push(entry.id);
            }
        }
        heard
    }

    /// What was held back, and has not expired by this time.
    pub(crate) fn take_held_back(&mut self, unix: u64) -> Vec<AnnouncementId> {
        let back =
            self.entries.iter_mut().filter(|entry| entry.is_held_back && entry.expires > unix);
        back.map(|entry| {
            entry.is_held_back = false;
            entry.id
        })
        .collect()
    }

    /// Forgets what nobody has heard in time, where that is over for certain. What is on its way to the network is judged
    /// by what becomes of it.
    pub(crate) fn sweep(&mut self, certain: u64) {
        self.entries.retain(|entry| entry.expires > certain || entry.reply.is_some());
    }

    /// Where it is full, forgets what seems to have expired: what holds comes before that.
    pub(crate) fn make_room(&mut self, unix: u64) {
        if self.entries.len() >= self.bound {
            self.sweep(unix);
        }
    }

    /// What waits to be heard, oldest first, for a life after this one.
    pub(crate) fn unheard(&self) -> Vec<Unheard> {
        let unheard = |entry: &Entry| Unheard {
            topic: entry.topic.clone(),
            data: entry.data.clone(),
            package: entry.package.clone(),
        };
        self.entries.iter().map(unheard).collect()
    }

    /// Takes up what an earlier life has left unheard, as far as there is room. Nobody waits for it.
    pub(crate) fn restore(&mut self, unheard: &Unheard, expires: u64) {
        if self.entries.len() < self.bound {
            let Unheard { topic, data, package } = unheard.clone();
            self.push(topic, data, package, expires, None);
        }
    }

    /// Drops whatever waits, answering those that are owed an answer.
    pub(crate) fn close(&mut self) -> impl Iterator<Item = CallEnd> {
        let replies = self.entries.drain(..).filter_map(|entry| entry.reply);
        replies.map(|reply| reply.send(Err(Error::ShuttingDown)))
    }
}
