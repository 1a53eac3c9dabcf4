//! How own packages are kept alive: put again before they expire, and where nobody holds them.

use std::time::Duration;

use crate::{
    engine::{
        clocks::LATE,
        context::Context,
        deadlines::{Deadline, spread},
        effects::Effects,
        interface::{Now, Reach},
        publishing::{Publishing, own},
        wheel,
    },
    package::PackageName,
};

/// How long after a first peer has appeared own records are put again: others mostly come with it.
const REPLICATION_DELAY: Duration = Duration::from_millis(250);

/// Own packages that are overdue are put again within this time, spread over it: after a sleep, connections have to be
/// made anew first.
const CATCHING_UP: Duration = Duration::from_secs(30);

/// What deadlines alone would come to too late.
#[derive(Debug)]
pub(in crate::engine) struct Missed {
    overdue: Vec<PackageName>,
    /// Whether the network is to be asked again for packages of an earlier life.
    is_resumed: bool,
}

impl Missed {
    pub(in crate::engine) fn is_none(&self) -> bool {
        self.overdue.is_empty() && !self.is_resumed
    }
}

impl Publishing {
    /// Somebody can be asked who could not be a moment ago: what waited for that begins anew.
    pub(in crate::engine) fn reached(&mut self, out: &mut Effects, now: Now) {
        self.replication.backoff.reset();
        self.replicate_soon(out, now);
    }

    /// Whether an own package should have been put again a while ago, or nobody believes its head any more, or yet. One
    /// that is due at this moment is not overdue: its own deadline puts it again, and takes no round.
    pub(in crate::engine) fn is_overdue(&self, now: Now, name: &PackageName) -> bool {
        let (Some(own), Some(renewal)) = (self.own.get(name), self.renewals.get(name)) else {
            return false;
        };
        let validity = own.head.validity;
        let is_late = renewal.due.saturating_add(LATE) <= now.unix;
        let is_due = is_late || validity.is_expired(now.unix) || validity.is_early(now.unix);
        is_due && !self.renewing.contains(name)
    }

    /// Sets the time at which an own package is put again.
    pub(super) fn renew_later(&mut self, cx: &Context, out: &mut Effects, name: &PackageName) {
        let (timer, interval) = out.renewal_timer(cx, name);
        if let Some(renewal) = self.renewals.get_mut(name) {
            renewal.due = cx.now().unix.saturating_add(interval.as_secs());
            renewal.interval = interval;
            let before = std::mem::replace(&mut renewal.timer, timer);
            out.wheel.cancel(before);
        }
    }

    /// A peer has appeared: own packages that nobody holds are put again, shortly, and those of an earlier life.
    pub(in crate::engine) fn replicate_soon(&mut self, out: &mut Effects, now: Now) {
        if !self.resuming.is_empty() || self.own.values().any(own::OwnPackage::lacks_replicas) {
            self.replicate_after(out, now, REPLICATION_DELAY);
        }
    }

    /// Puts own packages again that nobody holds, after a pause. An earlier time that is set already is kept,
    /// a later one moved up.
    pub(super) fn replicate_after(&mut self, out: &mut Effects, now: Now, pause: Duration) {
        let deadline = now.mono.saturating_add(pause);
        if let Some((timer, due)) = self.replication.timer {
            if due <= deadline {
                return;
            }
            out.wheel.cancel(timer);
        }
        let timer = out.wheel.insert(deadline, Deadline::Replicate);
        self.replication.timer = Some((timer, deadline));
    }

    /// Peers were asked, and an own package still lacks replicas: tries again after a pause. One pause serves
    /// all packages that wait for it, so that it grows with each round and not with each package.
    pub(super) fn replicate_later(&mut self, out: &mut Effects, now: Now, reach: Reach) {
        if self.replication.timer.is_none() && reach == Reach::Joined {
            let pause = self.replication.backoff.pause();
            self.replicate_after(out, now, pause);
        }
    }

    /// The time has come to put own packages again that nobody holds. Tells which, if somebody can be asked.
    pub(in crate::engine) fn replicate_due(&mut self, reach: Reach) -> Vec<PackageName> {
        self.replication.timer = None;
        if reach != Reach::Joined {
            return Vec::new();
        }
        // What was heard of some is merged in its time.
        let own = self.own.iter();
        let lacking =
            own.filter(|(name, own)| own.lacks_replicas() && !self.elsewhere.has_timer(name));
        lacking.map(|(name, _)| name).chain(self.resuming.names()).cloned().collect()
    }

    /// The calendar has moved: somebody who could hear what seemed to have expired may still be there. Where it was set
    /// back, what is due then would be due much later.
    pub(in crate::engine) fn calendar_moved(&mut self, out: &mut Effects, now: Now) {
        let waiting = self.outbox.take_held_back(now.unix);
        self.publish_waiting(out, waiting);
        for renewal in self.renewals.values_mut() {
            renewal.due = renewal.due.min(now.unix.saturating_add(renewal.interval.as_secs()));
        }
    }

    /// What is overdue by the calendar, whatever its deadlines say. The calendar has moved so many times.
    pub(in crate::engine) fn missed(&mut self, now: Now, moves: u64) -> Missed {
        let overdue = self.own.keys().filter(|name| self.is_overdue(now, name)).cloned().collect();
        Missed { overdue, is_resumed: self.resuming.take_up(moves) }
    }

    /// Has own packages put again soon that were missed, and those of an earlier life that the network is to be asked for
    /// again.
    pub(in crate::engine) fn catch_up(&mut self, out: &mut Effects, now: Now, missed: Missed) {
        if missed.is_resumed {
            self.replicate_soon(out, now);
        }
        for name in missed.overdue {
            let after = spread(CATCHING_UP, [0.0, 1.0], &mut *out.entropy);
            let deadline = now.mono.saturating_add(after);
            let timer = out.wheel.insert(deadline, Deadline::Renew(Box::new(name.clone())));
            if let Some(renewal) = self.renewals.get_mut(&name) {
                let before = std::mem::replace(&mut renewal.timer, timer);
                out.wheel.cancel(before);
            }
        }
    }
}

impl Effects {
    pub(in crate::engine) fn renewal_timer(
        &mut self,
        cx: &Context,
        name: &PackageName,
    ) -> (wheel::Key, Duration) {
        // Often enough that a head is signed anew, which happens past half of its life, before it expires.
        let interval = cx.config.republish_interval.min(cx.config.record_ttl / 3);
        let after = self.jitter(interval);
        let deadline = cx.now().mono.saturating_add(after);
        (self.wheel.insert(deadline, Deadline::Renew(Box::new(name.clone()))), after)
    }
}
