//! How this node listens to its own packages: what an earlier life of it or another device with its key has signed, and
//! what other publishers of its owner have.
//!
//! A head that comes and says what is not known here, or has taken the place of the one known here, is kept, and after a
//! [pause](MERGE_PAUSE) the package is read from the network, merged and put again. Releases are a union; of a yank and
//! its end the later one counts, as of a deprecation and its end, and a withdrawal wins. Where another head says all of
//! that already, it is adopted, and nothing is signed: so devices that hear each other come to rest with one head,
//! whoever was faster.

use std::time::Duration;

use crate::{
    engine::{
        context::Context,
        deadlines::{Deadline, spread},
        effects::Effects,
        interface::{Now, Reach},
        publishing::{
            Publishing,
            own::{Change, Confidence, Recalled},
            recalling::WasAsked,
        },
    },
    package::PackageName,
    record::{Head, Record, Signed},
};

/// The mean pause before what was heard is merged without being asked. It is as much as half more or less, so that of
/// several devices that hear each other at the same time one is mostly first, and the others adopt what it signs.
const MERGE_PAUSE: Duration = Duration::from_secs(2);

impl Publishing {
    /// Sets the time at which what was heard of a package is merged, unless it is set.
    fn merge_later(&mut self, out: &mut Effects, now: Now, name: &PackageName) {
        if self.elsewhere.has_timer(name) {
            return;
        }
        let pause = spread(MERGE_PAUSE, [0.5, 1.5], &mut *out.entropy);
        let due = now.mono.saturating_add(pause);
        let timer = out.wheel.insert(due, Deadline::Merge(Box::new(name.clone())));
        self.elsewhere.set_timer(name, timer);
    }

    /// What a change was built on, which has led to this head, is awaited no longer. Where nobody was asked for the rest of
    /// a list, it is read another time.
    pub(in crate::engine) fn take_in(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        head: &Signed<Head>,
        recalled: &[Recalled],
        asked: WasAsked,
    ) {
        let is_done = |recalled: &&Recalled| recalled.is_whole || asked == WasAsked::Yes;
        let digests = recalled.iter().filter(is_done).map(|recalled| recalled.head.digest());
        let mut digests: Vec<_> = digests.collect();
        // Of the epochs before its own, this head has said what stays, if the network was asked for it.
        let is_replaced = |heard: &Signed<Head>| {
            let is_older = heard.revision.epoch < head.revision.epoch;
            cx.store.is_revoked(heard) || (is_older && asked == WasAsked::Yes)
        };
        let heard = self.elsewhere.heads(&head.name).into_iter();
        digests.extend(heard.filter(is_replaced).map(|heard| heard.digest()));
        if let Some(timer) = self.elsewhere.take_in(&head.name, &digests) {
            out.wheel.cancel(timer);
        }
    }

    /// Whether nobody but this node is to be told of a record of its own: a head that was signed with nobody to ask
    /// whether there is more to it, or of which peers may hold another by now. Both are to be read back first.
    pub(in crate::engine) fn is_unheard(&self, cx: &Context, record: &Record) -> bool {
        match record {
            Record::Head(head) => {
                let own = self.own.get(&head.name).filter(|_| head.owner == cx.owner);
                own.is_some_and(|own| !matches!(own.confidence, Confidence::Confirmed { .. }))
            }
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => false,
        }
    }
}

impl Publishing {
    /// A verified head of an own package has come, from wherever. Where it may have replaced the one known here, or says
    /// what is not known here, it is taken in.
    pub(in crate::engine) fn hear_own(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        reach: Reach,
        head: &Signed<Head>,
    ) {
        let now = cx.now();
        if head.owner != cx.owner || cx.store.is_revoked(head) {
            return;
        }
        let Some(own) = self.own.get_mut(&head.name) else { return };
        if self.elsewhere.is_spent(&head.digest()) {
            return;
        }
        if !own.is_behind(head) {
            return self.elsewhere.spend(head.digest());
        }
        own.confidence = own.confidence.doubted();
        if self.elsewhere.hear(head) {
            self.merge_later(out, now, &head.name);
        } else if !self.elsewhere.is_awaited(&head.name) {
            // There is no room for it. It is read from the network, where it came from.
            self.replicate_later(out, now, reach);
        }
    }

    /// Whether a head that somebody has sent, in these bytes, is known to say nothing new, or cannot be told to be one.
    pub(in crate::engine) fn is_nothing_new(&self, bytes: &[u8]) -> bool {
        let digest = Signed::<Head>::claimed_digest(bytes);
        digest.is_none_or(|digest| self.elsewhere.is_spent(&digest))
    }

    /// The time has come at which what was heard of a package is merged. Where nobody is there, it waits until somebody is,
    /// as everything does that is to be put.
    pub(in crate::engine) fn merge_due(
        &mut self,
        out: &mut Effects,
        now: Now,
        reach: Reach,
        name: PackageName,
    ) -> Option<Change> {
        self.elsewhere.timer_fired(&name);
        if !self.elsewhere.is_awaited(&name) {
            return None;
        }
        if self.renewing.contains(&name) {
            self.merge_later(out, now, &name);
            return None;
        }
        // It may have been heard while a change was under way that knows nothing of it. Should nothing come of this
        // merge, what is in doubt is put again as soon as somebody is there.
        if let Some(own) = self.own.get_mut(&name) {
            own.confidence = own.confidence.doubted();
        }
        (reach == Reach::Joined).then_some(Change::Merge { name })
    }

    /// Nobody serves the head of an own package, though it was acknowledged: it is put again, once it has been read what
    /// they hold instead.
    pub(super) fn doubt_own(
        &mut self,
        out: &mut Effects,
        now: Now,
        reach: Reach,
        name: &PackageName,
    ) {
        let Some(own) = self.own.get_mut(name) else { return };
        own.confidence = own.confidence.doubted();
        own.is_held = false;
        self.replicate_later(out, now, reach);
    }
}
