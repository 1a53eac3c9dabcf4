//! Who was closest to keys that were looked up a moment ago.
//!
//! A change is put under keys that were read just before, to see what others hold there. Who has answered then need not be
//! looked for again.

use std::{collections::VecDeque, time::Duration};

use libp2p::PeerId;

use crate::keyspace::Key;

/// For how long it is taken to be as it was.
const FRESH: Duration = Duration::from_secs(10);

/// As many as are read for a few changes at a time.
const KEYS: usize = 16;

/// The last lookups that have gone all the way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Neighbourhoods(VecDeque<Neighbourhood>);

#[derive(Debug)]
struct Neighbourhood {
    heard_at: Duration,
    key: Key,
    closest: Vec<PeerId>,
}

impl Neighbourhoods {
    /// These have answered as the closest to a key.
    pub(super) fn add(&mut self, now: Duration, key: Key, closest: Vec<PeerId>) {
        self.0.retain(|known| known.key != key);
        if self.0.len() >= KEYS {
            self.0.pop_front();
        }
        self.0.push_back(Neighbourhood { heard_at: now, key, closest });
    }

    /// Who is closest to a key, if that was heard a moment ago.
    pub(super) fn get(&self, now: Duration, key: &Key) -> Option<&[PeerId]> {
        let known = self.0.iter().find(|known| known.key == *key)?;
        let is_fresh = now < known.heard_at.saturating_add(FRESH);
        is_fresh.then_some(&*known.closest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_known_for_ten_seconds_who_was_closest_and_of_a_few_keys() {
        let mut recent = Neighbourhoods::default();
        let keys: Vec<_> = (0..20_u8).map(|number| Key::of_bytes(&[number])).collect();
        let peers = vec![PeerId::random()];
        for key in &keys {
            recent.add(SECOND, *key, peers.clone());
        }
        assert_eq!(recent.get(10 * SECOND, &keys[19]), Some(&*peers));
        assert_eq!(recent.get(11 * SECOND, &keys[19]), None);
        assert_eq!(recent.get(SECOND, &keys[0]), None);
        recent.add(5 * SECOND, keys[19], Vec::new());
        assert_eq!(recent.get(14 * SECOND, &keys[19]), Some(&[][..]), "what was heard last counts");
        assert_eq!(recent.0.len(), 16);
    }
}
