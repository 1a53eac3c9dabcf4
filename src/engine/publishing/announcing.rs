//! When a change is announced: once peers hold it.
//!
//! A head stays on hold in the outbox while it is put, and read back where a caller wants that. It leaves directly before
//! the caller is answered: whoever hears of it and asks for it finds somebody who has it, and the flood of the
//! announcement, which costs every node some time, comes after those who are to verify and store the change have done
//! so. Nobody's hearing waits for slow peers: it leaves [a second](LONGEST_HOLD) after it was signed in any case, and at
//! once where the caller is answered early or goes away, or the node stops.
//!
//! A head that another one replaces while it is on hold is never announced: what it says, the other one does. That one
//! leaves by the time at which the first would have. Only where the other one is withheld does the first leave at once.

use std::time::Duration;

use crate::{
    counters::{CallKind, EndedCall},
    engine::{
        command::Reply,
        context::Context,
        deadlines::Deadline,
        effects::Effects,
        interface::{Action, AnnouncementId, Published},
        publishing::{
            Publishing,
            changes::Underway,
            outbox::{Hold, Outbox, Released},
            own::{self, Authorship, Confidence},
            publish::{Announced, Publish, Renewal, Stage},
        },
        store::Snapshot,
    },
    error::{Error, Result},
    package::{Announcement, Digest, PackageName, Receipt},
    record::{Message, Signed},
};

/// A head that has not changed is not announced again within this time.
const ANNOUNCEMENT_INTERVAL: Duration = Duration::from_secs(600);

/// How long after a head was signed it is announced at the latest. Peers that are well take a change in a fraction of that;
/// a put that needs longer waits for peers that are silent or must be dialed, while the others hold the change.
pub(in crate::engine) const LONGEST_HOLD: Duration = Duration::from_secs(1);

impl Publish {
    /// What became of the announcement so far.
    pub(in crate::engine) fn announcement(&self, outbox: &Outbox) -> Announcement {
        self.announcement.map_or(Announcement::Queued, |id| outbox.state(id))
    }
}

impl Publishing {
    pub(in crate::engine) fn subscribe(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        topic: String,
    ) -> Result<bool> {
        if topic == cx.config.announcements_topic {
            let reason =
                format!("`{topic}` is heard anyway; packages on it are events by themselves");
            return Err(Error::invalid("topic", reason));
        }
        let new = self.topics.subscribe(&topic)?;
        if new {
            out.actions.push_back(Action::Subscribe { topic });
        }
        Ok(new)
    }

    pub(in crate::engine) fn unsubscribe(&mut self, out: &mut Effects, topic: String) -> bool {
        let known = self.topics.unsubscribe(&topic);
        if known {
            out.actions.push_back(Action::Unsubscribe { topic });
        }
        known
    }

    pub(in crate::engine) fn announce(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        topic: String,
        data: Vec<u8>,
        reply: Reply<Announcement>,
        latest: Duration,
    ) {
        let now = cx.now();
        if topic == cx.config.announcements_topic {
            let reason = format!("`{topic}` carries packages only; `register` announces them");
            let end = reply.send(Err(Error::invalid("topic", reason)));
            return out.count(EndedCall(CallKind::Announce, end));
        }
        let mut nonce = [0; 8];
        out.entropy.fill(&mut nonce);
        let message = Message::new(
            cx.config.network.clone(),
            cx.local,
            topic.clone(),
            u64::from_le_bytes(nonce),
            now.unix,
            data,
        );
        match Signed::sign(&cx.keypair, message) {
            Err(error) => {
                let end = reply.send(Err(error));
                out.count(EndedCall(CallKind::Announce, end));
            }
            Ok(message) => {
                self.outbox.sweep(cx.clocks.certain(now));
                self.outbox.make_room(now.unix);
                let expires = message.expires();
                let data = message.bytes().to_vec();
                match self.outbox.add_message(topic.clone(), data.clone(), expires, reply, latest) {
                    Ok(id) => out.actions.push_back(Action::Publish { id, topic, data }),
                    Err(end) => out.count(EndedCall(CallKind::Announce, end)),
                }
            }
        }
    }

    pub(super) fn publish_waiting(&mut self, out: &mut Effects, waiting: Vec<AnnouncementId>) {
        for id in waiting {
            if let Some((topic, data)) = self.outbox.get(id) {
                let (topic, data) = (topic.to_owned(), data.to_vec());
                out.actions.push_back(Action::Publish { id, topic, data });
            }
        }
    }

    pub(super) fn restore_outbox(&mut self, cx: &Context, snapshot: &Snapshot) {
        let now = cx.now();
        for unheard in snapshot.outbox() {
            let data = &unheard.data;
            let verified = match unheard.package {
                Some(_) => {
                    let head = cx.store.verify_kept_head(data, now.unix);
                    head.map(|head| head.validity.expires)
                }
                None => {
                    let message = cx.store.verify_kept_message(data, now.unix);
                    message.map(|message| message.expires())
                }
            };
            let verified = verified.inspect_err(|rejected| {
                tracing::debug!(%rejected, "announcement of a snapshot dropped");
            });
            self.outbox.restore(unheard, verified.ok());
        }
    }
    /// Has the head of a change announced in its time, unless it was signed without having asked what the network holds:
    /// then it is announced once it has been [read back](Self::is_withheld).
    pub(in crate::engine) fn announce_change(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        package: &own::OwnPackage,
        head: Authorship,
        is_upkeep: bool,
    ) -> Option<AnnouncementId> {
        let name = &package.head.name;
        let is_heard = matches!(package.confidence, Confidence::Confirmed { .. });
        let is_signed = head == Authorship::Signed;
        if is_signed && !is_heard && !self.release(out, self.outbox.on_hold_of(name)) {
            // What waits to be heard is older. What was on hold leaves: this head may be withheld for long.
            self.drop_announcement(out, name);
        }
        let is_withheld = match head {
            Authorship::Signed => !is_heard,
            Authorship::Kept => !is_heard || self.is_withheld(name),
            Authorship::Adopted => false,
        };
        let announced = if is_withheld {
            let before = self.renewals.get(name).and_then(|renewal| renewal.announced);
            before.filter(|_| !is_signed)
        } else {
            Some(self.announce_head(cx, out, package, is_signed || !is_upkeep))
        };
        let (timer, interval) = out.renewal_timer(cx, name);
        let due = cx.now().unix.saturating_add(interval.as_secs());
        let renewal = Renewal { timer, due, interval, announced };
        if let Some(before) = self.renewals.insert(name.clone(), renewal) {
            out.wheel.cancel(before.timer);
        }
        announced.map(|announced| announced.id)
    }

    /// Whether the head of an own package has not been announced, since not everybody was heard when it was signed.
    pub(in crate::engine) fn is_withheld(&self, name: &PackageName) -> bool {
        self.renewals.get(name).is_some_and(|renewal| renewal.announced.is_none())
    }

    /// The head of an own package that was withheld has been read back: so many peers as were wanted serve it. Another one
    /// that was heard meanwhile is merged in its time.
    pub(in crate::engine) fn announce_withheld(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        name: &PackageName,
    ) -> Option<AnnouncementId> {
        let package = self.own.get(name).cloned()?;
        let announced = self.announce_head(cx, out, &package, true);
        if let Some(renewal) = self.renewals.get_mut(name) {
            renewal.announced = Some(announced);
        }
        Some(announced.id)
    }

    /// Puts the head of an own package on hold until it is to be announced, unless it is the one that was announced a short
    /// while ago.
    fn announce_head(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        package: &own::OwnPackage,
        is_news: bool,
    ) -> Announced {
        let now = cx.now();
        let name = &package.head.name;
        let before = self.renewals.get(name).and_then(|renewal| renewal.announced);
        if let Some(before) = before
            && !is_news
            && now.mono < before.at.saturating_add(ANNOUNCEMENT_INTERVAL)
        {
            return before;
        }
        let topic = cx.config.announcements_topic.clone();
        let data = package.head.bytes().to_vec();
        let expires = package.head.validity.expires;
        let latest = now.mono.saturating_add(LONGEST_HOLD);
        // Where changes follow each other without a pause, something of them is heard all the same.
        let latest =
            self.drop_announcement(out, name).map_or(latest, |before| before.latest.min(latest));
        let timer = out.wheel.insert(latest, Deadline::Announce(self.outbox.next()));
        let hold = Hold { latest, timer };
        let id = self.outbox.add_head(name.clone(), topic, data, expires, hold);
        while let Some(crowding) = self.outbox.crowding() {
            self.release(out, Some(crowding));
        }
        Announced { at: now.mono, id }
    }

    /// The head of an own package is not to be announced any more. Tells for how long it would have been on hold, if it
    /// was.
    fn drop_announcement(&mut self, out: &mut Effects, name: &PackageName) -> Option<Hold> {
        let hold = self.outbox.drop_head(name)?;
        out.wheel.cancel(hold.timer);
        Some(hold)
    }

    /// Has an announcement leave that is on hold. Tells whether one was.
    pub(in crate::engine) fn release(
        &mut self,
        out: &mut Effects,
        announcement: Option<AnnouncementId>,
    ) -> bool {
        let Some(id) = announcement else { return false };
        let Some(released) = self.outbox.release(id) else { return false };
        let Released { hold, topic, data } = released;
        out.wheel.cancel(hold.timer);
        out.actions.push_back(Action::Publish { id, topic, data });
        true
    }

    /// Has everything leave that is on hold.
    fn release_all(&mut self, out: &mut Effects) {
        let on_hold: Vec<AnnouncementId> = self.outbox.on_hold().collect();
        for id in on_hold {
            self.release(out, Some(id));
        }
    }

    /// A change fails of which an earlier round has signed a head.
    pub(super) fn fail_announced(&mut self, out: &mut Effects, change: Underway, error: Error) {
        let Underway { since, mut publish, .. } = change;
        self.release(out, publish.announcement);
        out.finish(since);
        publish.answer(out, Err(error));
    }

    /// The part of the network in a change is over: it is announced, and the caller answered as soon as it is known whether
    /// somebody has heard it. One whose time is up is answered at once.
    pub(super) fn answer_announced(
        &mut self,
        out: &mut Effects,
        mut change: Underway,
        receipt: Receipt,
    ) {
        let Underway { ticket, since, publish } = &mut change;
        let may_wait = publish.reply.is_some() && since.timer.is_some();
        if self.release(out, publish.announcement)
            && may_wait
            && let Some(id) = publish.announcement
        {
            self.outbox.wait(id, *ticket);
            publish.signed = Some(receipt);
            publish.stage = Stage::Announcing;
            return self.changes.insert(change);
        }
        out.finish(*since);
        let announcement = publish.announcement(&self.outbox);
        publish.answer(out, Ok(Receipt { announcement, ..receipt }));
    }

    /// The network has said what became of an announcement: a caller who has waited for nothing else is answered.
    pub(in crate::engine) fn published(
        &mut self,
        out: &mut Effects,
        id: AnnouncementId,
        outcome: Published,
    ) {
        if let Some(answer) = self.outbox.published(id, outcome, out.saving.next_commit()) {
            out.answer(answer);
        }
        let Some(ticket) = self.outbox.take_waiting(id) else { return };
        // It may have been answered meanwhile.
        let Some(change) = self.changes.remove(ticket) else { return };
        let Underway { since, mut publish, .. } = change;
        out.answered = true;
        out.finish(since);
        let announcement = publish.announcement(&self.outbox);
        let Some(receipt) = publish.signed.take() else { return };
        publish.answer(out, Ok(Receipt { announcement, ..receipt }));
    }

    /// Whether the application wants to hear what is said on a topic.
    pub(in crate::engine) fn is_subscribed(&self, topic: &str) -> bool {
        self.topics.contains(topic)
    }

    /// Whether a message has not been heard before.
    pub(in crate::engine) fn is_news(&mut self, message: Digest) -> bool {
        self.topics.hear(message)
    }

    /// Forgets announcements that nobody has heard in time, where that is over for certain.
    pub(in crate::engine) fn sweep(&mut self, cx: &Context) {
        self.outbox.sweep(cx.clocks.certain(cx.now()));
    }

    /// Tells those who are owed an answer that the node stops. What waits to be heard stays in the storage. What is on hold
    /// leaves before: what is signed is in force, and others hear of it, though its puts end here.
    pub(in crate::engine) fn close(&mut self, out: &mut Effects) {
        self.release_all(out);
        for end in self.outbox.close() {
            out.count(EndedCall(CallKind::Announce, end));
        }
    }

    /// Somebody hears this topic from now on: what has waited for that leaves.
    pub(in crate::engine) fn heard_on(&mut self, cx: &Context, out: &mut Effects, topic: &str) {
        if cx.closed {
            return;
        }
        let now = cx.now();
        self.outbox.sweep(cx.clocks.certain(now));
        let waiting = self.outbox.take_heard(topic, now.unix);
        self.publish_waiting(out, waiting);
    }
}
