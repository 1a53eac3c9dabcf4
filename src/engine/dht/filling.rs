//! How the routing table is filled: this node's neighbourhood whole, and a few peers at each distance beyond it.
//!
//! Far buckets need only somebody: lookups go on from there, and fill them with whom they meet ([Kademlia], section 2.3).
//! So this node's own key is looked up, and then a key in each bucket that has few peers or was not used for an hour. It
//! costs contact with O(k + log n) peers of n.
//!
//! [Kademlia]: https://pdos.csail.mit.edu/~petar/papers/maymounkov-kademlia-lncs.pdf

use std::{sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};

use crate::{engine::interface::QueryKey, keyspace::Key};

/// A bucket that no lookup has come by for so long is looked up, and this node's neighbourhood again.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// A table with few peers is filled as soon as somebody comes, but not more often than this.
pub(super) const SOON: Duration = Duration::from_millis(500);

/// How many names are tried to find one that falls into a bucket. On the wire keys are names, of which only the hash has a
/// place. The bucket at the edge of the neighbourhood of a million peers is met by one name in 65,536; what is that
/// near is filled by the lookup of this node's own key.
const TRIES: usize = 4_096;

/// What is being looked up, one after the other.
#[derive(Debug)]
pub(super) struct Filling {
    state: State,
    /// Somebody has come meanwhile, or asks for all of it: it begins anew when it has ended.
    again: bool,
    /// The queries that end when the table is filled.
    awaited: Vec<QueryKey>,
    /// What names are made from.
    seed: [u8; 32],
    names: u64,
}

#[derive(Debug)]
enum State {
    Idle,
    /// This node's own key is being looked up.
    Neighbourhood,
    /// A key in a bucket is, and these names are to follow.
    Buckets(Vec<Arc<[u8]>>),
}

/// What is to be looked up next.
#[derive(Debug)]
pub(super) enum Step {
    Neighbourhood,
    /// A few peers near this name.
    Bucket(Arc<[u8]>),
    /// Nothing: these queries have ended.
    Filled(Vec<QueryKey>),
}

impl Filling {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { state: State::Idle, again: false, awaited: Vec::new(), seed, names: 0 }
    }

    /// The table is to be filled, for this query if one waits. Whether that begins now.
    pub(super) fn begin(&mut self, query: Option<QueryKey>) -> bool {
        self.awaited.extend(query);
        let begins = matches!(self.state, State::Idle);
        if begins {
            self.state = State::Neighbourhood;
        } else {
            self.again = true;
        }
        begins
    }

    /// Nobody waits for this query any longer. Whether somebody did.
    pub(super) fn leave(&mut self, query: QueryKey) -> bool {
        let before = self.awaited.len();
        self.awaited.retain(|awaited| *awaited != query);
        self.awaited.len() < before
    }

    /// A lookup has ended. `buckets` are those that are thin or unused, asked for once.
    pub(super) fn go_on(&mut self, local: &Key, buckets: impl FnOnce() -> Vec<usize>) -> Step {
        let mut names = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Vec::new(),
            State::Neighbourhood => self.names_in(local, buckets()),
            State::Buckets(names) => names,
        };
        match names.pop() {
            Some(name) => {
                self.state = State::Buckets(names);
                Step::Bucket(name)
            }
            None if std::mem::take(&mut self.again) => {
                self.state = State::Neighbourhood;
                Step::Neighbourhood
            }
            None => Step::Filled(std::mem::take(&mut self.awaited)),
        }
    }

    /// A name in each of these buckets for which one is found.
    fn names_in(&mut self, local: &Key, mut buckets: Vec<usize>) -> Vec<Arc<[u8]>> {
        let mut names = Vec::new();
        for _ in 0..TRIES {
            if buckets.is_empty() {
                break;
            }
            let name = self.name();
            let bucket = local.distance(&Key::of_bytes(&name)).bucket();
            if let Some(at) = buckets.iter().position(|wanted| Some(*wanted) == bucket) {
                buckets.swap_remove(at);
                names.push(name.into());
            }
        }
        names
    }

    fn name(&mut self) -> [u8; 32] {
        self.names += 1;
        Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.names.to_be_bytes())
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_each_far_bucket_and_the_neighbourhood_comes_first() {
        let local = Key::of_bytes(b"local");
        let mut filling = Filling::new([7; 32]);
        assert!(filling.begin(None));
        let far = [255, 254, 253, 252, 250];
        let mut found = Vec::new();
        loop {
            match filling.go_on(&local, || far.to_vec()) {
                Step::Bucket(name) => {
                    found.extend(local.distance(&Key::of_bytes(&name)).bucket());
                }
                Step::Filled(ended) => {
                    assert!(ended.is_empty());
                    break;
                }
                Step::Neighbourhood => panic!("nobody has asked for it again"),
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(found, far);
        assert!(filling.begin(None), "and once more later");
    }

    #[test]
    fn who_asks_while_it_is_being_filled_has_all_of_it() {
        let (local, query) = (Key::of_bytes(b"local"), QueryKey::numbered(1));
        let mut filling = Filling::new([7; 32]);
        assert!(filling.begin(None));
        assert!(!filling.begin(Some(query)), "it is being filled");
        assert!(matches!(filling.go_on(&local, Vec::new), Step::Neighbourhood));
        let Step::Filled(ended) = filling.go_on(&local, Vec::new) else { panic!("it ends") };
        assert_eq!(ended, [query]);
    }
}
