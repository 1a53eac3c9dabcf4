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

use crate::engine::{
    ANNOUNCEMENT_INTERVAL, Action, Deadline, Engine, Now, Operation,
    calls::{Call, Since},
    outbox::{AnnouncementId, Hold, Outbox, Released},
    own::{self, Authorship, Standing},
    publish::{Announced, Publish, Renewal, Stage},
};
use crate::{Announcement, Error, PackageName, Receipt, command::Ticket};

/// How long after a head was signed it is announced at the latest. Peers that are well take a change in a fraction of that;
/// a put that needs longer waits for peers that are silent or must be dialed, while the others hold the change.
pub(in crate::engine) const LONGEST_HOLD: Duration = Duration::from_secs(1);

impl Publish {
    /// What became of the announcement so far.
    pub(in crate::engine) fn announcement(&self, outbox: &Outbox) -> Announcement {
        self.announcement.map_or(Announcement::Queued, |id| outbox.state(id))
    }
}

impl Engine {
    /// Has the head of a change announced in its time, unless it was signed without having asked what the network holds:
    /// then it is announced once it has been [read back](Self::is_withheld).
    pub(in crate::engine) fn announce_change(
        &mut self,
        now: Now,
        package: &own::OwnPackage,
        head: Authorship,
        is_upkeep: bool,
    ) -> Option<AnnouncementId> {
        let name = &package.head.name;
        let is_heard = matches!(package.standing, Standing::Confirmed { .. });
        let is_signed = head == Authorship::Signed;
        if is_signed && !is_heard && !self.release(self.publishing.outbox.on_hold_of(name)) {
            // What waits to be heard is older. What was on hold leaves: this head may be withheld for long.
            self.drop_announcement(name);
        }
        let is_withheld = match head {
            Authorship::Signed => !is_heard,
            Authorship::Kept => !is_heard || self.is_withheld(name),
            Authorship::Adopted => false,
        };
        let announced = if is_withheld {
            let before = self.publishing.renewals.get(name).and_then(|renewal| renewal.announced);
            before.filter(|_| !is_signed)
        } else {
            Some(self.announce_head(now, package, is_signed || !is_upkeep))
        };
        let (timer, interval) = self.renewal_timer(now, name);
        let due = now.unix.saturating_add(interval.as_secs());
        let renewal = Renewal { timer, due, interval, announced };
        if let Some(before) = self.publishing.renewals.insert(name.clone(), renewal) {
            self.out.wheel.cancel(before.timer);
        }
        announced.map(|announced| announced.id)
    }

    /// Whether the head of an own package has not been announced, since not everybody was heard when it was signed.
    pub(in crate::engine) fn is_withheld(&self, name: &PackageName) -> bool {
        self.publishing.renewals.get(name).is_some_and(|renewal| renewal.announced.is_none())
    }

    /// The head of an own package that was withheld has been read back: so many peers as were wanted serve it. Another one
    /// that was heard meanwhile is merged in its time.
    pub(in crate::engine) fn announce_withheld(
        &mut self,
        now: Now,
        name: &PackageName,
    ) -> Option<AnnouncementId> {
        let package = self.publishing.own.get(name).cloned()?;
        let announced = self.announce_head(now, &package, true);
        if let Some(renewal) = self.publishing.renewals.get_mut(name) {
            renewal.announced = Some(announced);
        }
        Some(announced.id)
    }

    /// Puts the head of an own package on hold until it is to be announced, unless it is the one that was announced a short
    /// while ago.
    fn announce_head(&mut self, now: Now, package: &own::OwnPackage, is_news: bool) -> Announced {
        let name = &package.head.name;
        let before = self.publishing.renewals.get(name).and_then(|renewal| renewal.announced);
        if let Some(before) = before
            && !is_news
            && now.mono < before.at.saturating_add(ANNOUNCEMENT_INTERVAL)
        {
            return before;
        }
        let topic = self.cx.config.announcements_topic.clone();
        let data = package.head.bytes().to_vec();
        let expires = package.head.validity.expires;
        let latest = now.mono.saturating_add(LONGEST_HOLD);
        // Where changes follow each other without a pause, something of them is heard all the same.
        let latest =
            self.drop_announcement(name).map_or(latest, |before| before.latest.min(latest));
        let timer =
            self.out.wheel.insert(latest, Deadline::Announce(self.publishing.outbox.next()));
        let hold = Hold { latest, timer };
        let id = self.publishing.outbox.add_head(name.clone(), topic, data, expires, hold);
        while let Some(crowding) = self.publishing.outbox.crowding() {
            self.release(Some(crowding));
        }
        Announced { at: now.mono, id }
    }

    /// The head of an own package is not to be announced any more. Tells for how long it would have been on hold, if it
    /// was.
    fn drop_announcement(&mut self, name: &PackageName) -> Option<Hold> {
        let hold = self.publishing.outbox.drop_head(name)?;
        self.out.wheel.cancel(hold.timer);
        Some(hold)
    }

    /// Has an announcement leave that is on hold. Tells whether one was.
    pub(in crate::engine) fn release(&mut self, announcement: Option<AnnouncementId>) -> bool {
        let Some(id) = announcement else { return false };
        let Some(released) = self.publishing.outbox.release(id) else { return false };
        let Released { hold, topic, data } = released;
        self.out.wheel.cancel(hold.timer);
        self.out.actions.push_back(Action::Publish { id, topic, data });
        true
    }

    /// Has everything leave that is on hold.
    pub(in crate::engine) fn release_all(&mut self) {
        let on_hold: Vec<AnnouncementId> = self.publishing.outbox.on_hold().collect();
        for id in on_hold {
            self.release(Some(id));
        }
    }

    /// The part of the network in a change is over: it is announced, and the caller answered as soon as it is known whether
    /// somebody has heard it. One whose time is up is answered at once.
    pub(in crate::engine) fn answer_announced(
        &mut self,
        ticket: Ticket,
        since: Since,
        mut publish: Box<Publish>,
        receipt: Receipt,
    ) {
        let may_wait = publish.reply.is_some() && since.timer.is_some();
        if self.release(publish.announcement)
            && may_wait
            && let Some(id) = publish.announcement
        {
            self.publishing.outbox.wait(id, ticket);
            publish.signed = Some(receipt);
            publish.stage = Stage::Announcing;
            let operation = Operation::Publish(publish);
            return self.calls.insert(ticket, Call { since, operation });
        }
        self.finish(since);
        let announcement = publish.announcement(&self.publishing.outbox);
        let ended = publish.answer(Ok(Receipt { announcement, ..receipt }));
        self.count(ended);
    }

    /// A change fails of which an earlier round has signed a head.
    pub(in crate::engine) fn fail_announced(
        &mut self,
        since: Since,
        mut publish: Publish,
        error: Error,
    ) {
        self.release(publish.announcement);
        self.finish(since);
        let ended = publish.answer(Err(error));
        self.count(ended);
    }

    /// The network has said what became of an announcement: a caller who has waited for nothing else is answered.
    pub(in crate::engine) fn announced(&mut self, id: AnnouncementId) {
        let Some(ticket) = self.publishing.outbox.take_waiting(id) else { return };
        // It may have been answered meanwhile.
        let Some(Call { since, operation }) = self.calls.remove(ticket) else { return };
        let Operation::Publish(mut publish) = operation else { return };
        self.out.answered = true;
        self.finish(since);
        let announcement = publish.announcement(&self.publishing.outbox);
        let Some(receipt) = publish.signed.take() else { return };
        let ended = publish.answer(Ok(Receipt { announcement, ..receipt }));
        self.count(ended);
    }
}
