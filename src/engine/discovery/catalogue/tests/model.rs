//! The catalogue against a list that is searched from one end to the other.

use std::{cmp::Reverse, collections::BTreeSet};

use proptest::prelude::*;

use super::{
    super::{entry::PeerKey, eviction::Scarce},
    *,
};

const BOUNDS: Load = Load { packages: 20, bytes: 8000 };

#[derive(Debug, Clone)]
enum Step {
    Insert {
        owner: u32,
        package: u32,
        sequence: u64,
        withdrawn: bool,
        size: usize,
        arrival: (u32, u8),
    },
    Promote {
        owner: u32,
        package: u32,
        pinned: bool,
    },
    Unpin {
        owner: u32,
        package: u32,
    },
    Pass {
        seconds: u64,
        swept: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let insert = (0..4_u32, 0..15_u32, 1..4_u64, 0..10_u8, 100..900_usize, (0..4_u32, 0..12_u8));
    let step = prop_oneof![
        12 => insert.prop_map(|(owner, package, sequence, end, size, arrival)| {
            Step::Insert { owner, package, sequence, withdrawn: end == 0, size, arrival }
        }),
        2 => (0..4_u32, 0..15_u32, any::<bool>())
            .prop_map(|(owner, package, pinned)| Step::Promote { owner, package, pinned }),
        1 => (0..4_u32, 0..15_u32).prop_map(|(owner, package)| Step::Unpin { owner, package }),
        1 => (0..600_u64, any::<bool>()).prop_map(|(seconds, swept)| Step::Pass { seconds, swept }),
    ];
    prop::collection::vec(step, 0..120)
}

fn made(owner: u32, package: u32, sequence: u64, withdrawn: bool, size: usize) -> Listing {
    let listing = listing_of(owner, package, sequence);
    let issued = UNIX - 100 + u64::from(package * 7 % 11) + sequence;
    Listing {
        bytes: vec![0; size].into(),
        digest: Digest::of(format!("{owner} {package} {sequence} {withdrawn} {size}")),
        rank: Rank { withdrawn, ..listing.rank },
        issued,
        // No two packages lapse at the same second, so that it is clear which one is swept.
        expires: UNIX + 500 + u64::from(package * 4 + owner) * 40 + sequence,
        keywords: (!withdrawn).then(|| ["http", "gui", "http\ntls"][package as usize % 3].into()),
        ..listing
    }
}

/// What the catalogue is, without any index.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    turn: u64,
}

impl Model {
    fn find(&self, key: &Key) -> Option<usize> {
        self.entries.iter().position(|entry| entry.listing.key == *key)
    }

    fn sweep(&mut self, unix: u64, budget: usize) {
        for _ in 0..budget {
            let first = self.entries.iter().map(|entry| entry.listing.expires).min();
            let Some(first) = first.filter(|first| *first <= unix) else { return };
            let place = self.entries.iter().position(|entry| entry.listing.expires == first);
            self.entries.remove(place.unwrap());
        }
    }

    fn worth(&mut self, interest: Interest) -> Worth {
        match interest {
            Interest::Heard => Worth::Heard,
            Interest::Used => {
                self.turn += 1;
                Worth::Used(self.turn)
            }
            Interest::Pinned => Worth::Pinned,
            Interest::Own => Worth::Own,
        }
    }

    fn insert(&mut self, listing: Listing, arrival: Arrival, coverage: &Coverage) {
        let Arrival { from, unix, interest } = arrival;
        self.sweep(unix, SWEPT_ALONG);
        if listing.expires <= unix {
            return;
        }
        let key = listing.key.clone();
        let Some(place) = self.find(&key) else {
            if interest > Interest::Heard || listing.is_in(coverage) {
                let worth = self.worth(interest);
                self.entries.push(Entry::new(listing, worth, from.as_ref(), unix));
                self.make_room(&key, coverage, unix);
            }
            return;
        };
        let before = &self.entries[place];
        let is_past = before.listing.expires <= unix || interest == Interest::Own;
        if before.listing.digest == listing.digest {
            if before.listing.expires > unix {
                let worth = self.worth(interest);
                let entry = &mut self.entries[place];
                entry.worth = entry.worth.max(worth);
                entry.provided(from.as_ref(), unix);
                self.make_room(&key, coverage, unix);
            }
        } else if !is_past && !listing.replaces(&before.listing) {
            if interest > Interest::Heard {
                self.promote(&key, interest, coverage);
            }
        } else if interest == Interest::Heard
            && before.worth == Worth::Heard
            && !listing.rank.withdrawn
            && !listing.is_in(coverage)
        {
            self.entries.remove(place);
        } else {
            let worth = self.worth(interest);
            let entry = &mut self.entries[place];
            entry.worth = entry.worth.max(worth);
            entry.replace(listing, from.as_ref(), unix);
            self.make_room(&key, coverage, unix);
        }
    }

    fn promote(&mut self, key: &Key, interest: Interest, coverage: &Coverage) {
        if let Some(place) = self.find(key) {
            let worth = self.worth(interest);
            let entry = &mut self.entries[place];
            entry.worth = entry.worth.max(worth);
            self.make_room(key, coverage, 0);
        }
    }

    fn unpin(&mut self, key: &Key, coverage: &Coverage) {
        if let Some(place) = self.find(key)
            && self.entries[place].worth == Worth::Pinned
        {
            self.entries[place].worth = self.worth(Interest::Used);
            self.make_room(key, coverage, 0);
        }
    }

    fn load<'a>(entries: impl Iterator<Item = &'a Entry>) -> Load {
        entries.fold(Load::default(), |load, entry| Load {
            packages: load.packages + 1,
            bytes: load.bytes + entry.listing.size(),
        })
    }

    fn counted(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.worth != Worth::Own)
    }

    fn brought(&self, peer: &PeerKey, scarce: Scarce) -> usize {
        let heard = self.entries.iter().filter(|entry| entry.worth == Worth::Heard);
        amount(Self::load(heard.filter(|entry| entry.brought_by() == *peer)), scarce)
    }

    fn make_room(&mut self, newcomer: &Key, coverage: &Coverage, unix: u64) {
        loop {
            let kept = Self::load(self.counted().filter(|entry| entry.worth > Worth::Heard));
            let used = |entry: &&mut Entry| matches!(entry.worth, Worth::Used(_));
            let longest = self.entries.iter_mut().filter(used).min_by_key(|entry| entry.worth);
            match longest {
                Some(entry) if kept.packages > 15 || kept.bytes > 6000 => {
                    entry.worth = Worth::Heard;
                    if !entry.listing.is_in(coverage) {
                        let key = entry.listing.key.clone();
                        self.entries.retain(|entry| entry.listing.key != key);
                    }
                }
                _ => break,
            }
        }
        let mut handovers = HANDOVERS;
        loop {
            let total = Self::load(self.counted());
            let scarce = if total.packages > BOUNDS.packages {
                Scarce::Places
            } else if total.bytes > BOUNDS.bytes {
                Scarce::Bytes
            } else {
                return;
            };
            let before = self.entries.len();
            self.sweep(unix, 1);
            if self.entries.len() < before {
                continue;
            }
            let oldest = |entry: &&Entry| entry.listing.age();
            let heard = || self.entries.iter().filter(|entry| entry.worth == Worth::Heard);
            let owners = || heard().filter(|entry| entry.listing.key.owner == newcomer.owner);
            let is_heard = heard().any(|entry| entry.listing.key == *newcomer);
            let share = amount(Self::load(owners()), scarce);
            if is_heard && share > amount(BOUNDS, scarce) / 16 {
                let key = owners().min_by_key(oldest).unwrap().listing.key.clone();
                self.entries.retain(|entry| entry.listing.key != key);
                continue;
            }
            let weigh = |entry: &&Entry| {
                let peer = entry.brought_by();
                (Reverse(self.brought(&peer, scarce)), Reverse(peer), entry.listing.age())
            };
            let first = heard().min_by_key(weigh);
            let key = first.map_or(newcomer, |entry| &entry.listing.key).clone();
            let quieter = first.and_then(|entry| {
                let size = entry.listing.size();
                let more = amount(Load { packages: 1, bytes: size }, scarce);
                let others = entry.providers().iter().skip(1).map(|other| other.peer.clone());
                let quietest = others.min_by_key(|peer| self.brought(peer, scarce))?;
                let takes = self.brought(&quietest, scarce) + more;
                (takes < self.brought(&entry.brought_by(), scarce)).then_some(quietest)
            });
            match quieter.filter(|_| handovers > 0) {
                Some(peer) => {
                    handovers -= 1;
                    let place = self.find(&key).unwrap();
                    self.entries[place].hand_over(&peer);
                }
                None => {
                    handovers = HANDOVERS;
                    self.entries.retain(|entry| entry.listing.key != key);
                }
            }
        }
    }
}

fn amount(load: Load, scarce: Scarce) -> usize {
    match scarce {
        Scarce::Places => load.packages,
        Scarce::Bytes => load.bytes,
    }
}

proptest! {
    #[test]
    fn whatever_happens_it_lists_what_a_plain_list_would(
        steps in steps(),
        web in any::<bool>(),
    ) {
        let coverage = if web { Coverage::of(["http"]) } else { Coverage::All };
        let mut catalogue = Catalogue::new(BOUNDS, coverage.clone());
        let mut model = Model::default();
        // Whoever follows what is told of each change knows what is listed.
        let mut followed = BTreeSet::new();
        let mut unix = UNIX;
        for step in steps {
            let gone = match step {
                Step::Insert { owner, package, sequence, withdrawn, size, arrival } => {
                    let listing = made(owner, package, sequence, withdrawn, size);
                    let (from, why) = arrival;
                    let interest = match why {
                        0 => Interest::Pinned,
                        1 | 2 => Interest::Used,
                        3 => Interest::Own,
                        _ => Interest::Heard,
                    };
                    let arrival =
                        Arrival { from: (from > 0).then(|| peer(from)), unix, interest };
                    model.insert(listing.clone(), arrival, &coverage);
                    let id = listing.key.package().unwrap();
                    let Insertion { outcome, gone } = catalogue.list(listing, arrival);
                    for gone in &gone {
                        prop_assert!(followed.remove(gone), "{gone:?} was not listed");
                    }
                    if matches!(outcome, Admission::New | Admission::Replaced) {
                        prop_assert_eq!(followed.insert(id), outcome == Admission::New);
                    }
                    Vec::new()
                }
                Step::Promote { owner, package, pinned } => {
                    let interest = if pinned { Interest::Pinned } else { Interest::Used };
                    let key = Key::new(&name(package), &peer(owner)).unwrap();
                    model.promote(&key, interest, &coverage);
                    catalogue.promote(&name(package), &peer(owner), interest)
                }
                Step::Unpin { owner, package } => {
                    model.unpin(&Key::new(&name(package), &peer(owner)).unwrap(), &coverage);
                    catalogue.unpin(&name(package), &peer(owner))
                }
                Step::Pass { seconds, swept } => {
                    unix += seconds;
                    let budget = if swept { usize::MAX } else { 0 };
                    model.sweep(unix, budget);
                    catalogue.sweep(unix, budget)
                }
            };
            for gone in &gone {
                prop_assert!(followed.remove(gone), "{gone:?} was not listed");
            }
            catalogue.check();
            let listed = |entry: &Entry| {
                let listing = &entry.listing;
                (listing.digest, entry.worth, entry.brought_by(), listing.keywords.clone())
            };
            let ids = catalogue.by_package.values();
            let mut real: Vec<_> =
                ids.map(|id| listed(catalogue.entries.get(*id).unwrap())).collect();
            let mut expected: Vec<_> = model.entries.iter().map(listed).collect();
            real.sort();
            expected.sort();
            prop_assert_eq!(real, expected);
            prop_assert_eq!(
                followed.iter().cloned().collect::<Vec<_>>().len(),
                catalogue.len()
            );
            let valid = || model.entries.iter().filter(|entry| entry.listing.expires > unix);
            for slice in [Coverage::All, Coverage::of(["tls"])] {
                let mut items: Vec<_> = catalogue.items(&slice, unix).collect();
                let in_slice = valid().filter(|entry| entry.listing.is_in(&slice));
                let mut expected: Vec<_> =
                    in_slice.map(|entry| (entry.listing.issued, entry.listing.digest)).collect();
                items.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(items, expected);
            }
            let sum = model.entries.iter().fold(DigestSum::default(), |mut sum, entry| {
                sum.add(&entry.listing.digest);
                sum
            });
            prop_assert_eq!(catalogue.digest_sum(), sum.to_bytes());
            prop_assert_eq!(catalogue.bytes(), Model::load(model.entries.iter()).bytes);
            let known = model.counted().filter(|entry| !entry.listing.rank.withdrawn).count();
            prop_assert_eq!(catalogue.known(), known);
        }
    }
}
