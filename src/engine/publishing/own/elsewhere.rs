//! What was heard of own packages from elsewhere, and is not part of what is known here yet.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    engine::wheel,
    package::{Digest, PackageName},
    record::{Head, Signed},
};

/// Heads that wait to be taken in, in all and of one package. Those for which there is no room are read from the
/// network, where they came from.
pub(in crate::engine) const MAX_HEARD: usize = 64;
const MAX_HEARD_OF_ONE: usize = 4;

/// Heads that say nothing new, by their digests: so that whoever plays them again costs no more than a look.
const MAX_SPENT: usize = 1024;

/// Heads of own packages that this node did not sign last.
#[derive(Debug, Default)]
pub(in crate::engine) struct Elsewhere {
    heard: BTreeMap<PackageName, Heard>,
    /// Oldest first.
    spent: VecDeque<Digest>,
}

/// What was heard of one package.
#[derive(Debug, Default)]
struct Heard {
    heads: Vec<Signed<Head>>,
    /// When they are taken in by themselves.
    timer: Option<wheel::Key>,
}

impl Elsewhere {
    /// Whether this head has been taken in, or says nothing new.
    pub(in crate::engine) fn is_spent(&self, digest: &Digest) -> bool {
        self.spent.contains(digest)
    }

    /// Remembers that there is nothing new in this head.
    pub(in crate::engine) fn spend(&mut self, digest: Digest) {
        if self.is_spent(&digest) {
            return;
        }
        if self.spent.len() >= MAX_SPENT {
            self.spent.pop_front();
        }
        self.spent.push_back(digest);
    }

    /// Keeps a head until it is taken in. False where it is kept already, or there is no room.
    pub(in crate::engine) fn hear(&mut self, head: &Signed<Head>) -> bool {
        let all: usize = self.heard.values().map(|heard| heard.heads.len()).sum();
        let of_it = self.heard.get(&head.name).map_or(&[][..], |heard| &heard.heads);
        let is_known = of_it.iter().any(|known| known.digest() == head.digest());
        if is_known || all >= MAX_HEARD || of_it.len() >= MAX_HEARD_OF_ONE {
            return false;
        }
        self.heard.entry(head.name.clone()).or_default().heads.push(head.clone());
        true
    }

    /// What waits to be taken in of a package.
    pub(in crate::engine) fn heads(&self, name: &PackageName) -> Vec<Signed<Head>> {
        self.heard.get(name).map(|heard| heard.heads.clone()).unwrap_or_default()
    }

    /// Whether something does.
    pub(in crate::engine) fn is_awaited(&self, name: &PackageName) -> bool {
        self.heard.contains_key(name)
    }

    /// Whether it is taken in by itself, some time soon.
    pub(in crate::engine) fn has_timer(&self, name: &PackageName) -> bool {
        self.heard.get(name).is_some_and(|heard| heard.timer.is_some())
    }

    /// Sets the time at which what waits is taken in by itself.
    pub(in crate::engine) fn set_timer(&mut self, name: &PackageName, timer: wheel::Key) {
        if let Some(heard) = self.heard.get_mut(name) {
            heard.timer = Some(timer);
        }
    }

    /// That time has come.
    pub(in crate::engine) fn timer_fired(&mut self, name: &PackageName) {
        if let Some(heard) = self.heard.get_mut(name) {
            heard.timer = None;
        }
    }

    /// These were taken in. What comes back is the timer that is not needed any more.
    pub(in crate::engine) fn take_in(
        &mut self,
        name: &PackageName,
        digests: &[Digest],
    ) -> Option<wheel::Key> {
        digests.iter().for_each(|digest| self.spend(*digest));
        let heard = self.heard.get_mut(name)?;
        heard.heads.retain(|head| !digests.contains(&head.digest()));
        if heard.heads.is_empty() { self.heard.remove(name)?.timer } else { None }
    }
}

#[cfg(any(test, fuzzing))]
impl Elsewhere {
    /// How many packages are taken in by themselves, some time soon.
    pub(in crate::engine) fn timers(&self) -> usize {
        self.heard.values().filter(|heard| heard.timer.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;
    use crate::engine::tests::published_by;

    #[test]
    fn what_is_heard_is_bounded_for_each_package_and_in_all() {
        let (key, mut elsewhere) = (Keypair::generate_ed25519(), Elsewhere::default());
        for package in 0..40 {
            for sequence in 1..10 {
                let head = published_by(&key, &format!("tool-{package}"), sequence).1;
                let is_kept = elsewhere.hear(&head);
                assert_eq!(is_kept, sequence <= 4 && package < 16, "{package} {sequence}");
                assert!(!elsewhere.hear(&head), "twice");
            }
        }
    }

    #[test]
    fn what_is_taken_in_makes_room_and_is_not_looked_at_again() {
        let (key, mut elsewhere) = (Keypair::generate_ed25519(), Elsewhere::default());
        let heads: Vec<_> = (1..=4).map(|at| published_by(&key, "tool", at).1).collect();
        let name = heads[0].name.clone();
        for head in &heads {
            assert!(elsewhere.hear(head));
        }
        let digests: Vec<_> = heads.iter().map(Signed::digest).collect();
        elsewhere.take_in(&name, &digests[1..]);
        assert_eq!(elsewhere.heads(&name), heads[..1]);
        elsewhere.take_in(&name, &digests[..1]);
        assert!(!elsewhere.is_awaited(&name));
        assert!(digests.iter().all(|digest| elsewhere.is_spent(digest)));
        for number in 0..2 * MAX_SPENT {
            elsewhere.spend(Digest::of(number.to_le_bytes()));
        }
        assert_eq!(elsewhere.spent.len(), MAX_SPENT);
    }
}
