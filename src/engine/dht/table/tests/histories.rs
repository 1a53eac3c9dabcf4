//! Whatever happens in whichever order: what holds of the table at any time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    super::{entry::Entry, seats::MAX_CHALLENGES},
    *,
};

const PER_HOST: usize = 2;
const PER_SUBNET: usize = 4;
const SEATS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A connection, and an introduction over it.
    Comes {
        peer: u64,
        network: u8,
        host: u8,
        outbound: bool,
    },
    Connects {
        peer: u64,
        outbound: bool,
    },
    Leaves {
        peer: u64,
    },
    Answers {
        peer: u64,
    },
    IsSilent {
        peer: u64,
    },
    IsUnreachable {
        peer: u64,
    },
    IsRemoved {
        peer: u64,
    },
    /// What came of the dials that are under way.
    ChallengeEnds {
        pick: usize,
        met: bool,
    },
    /// Of whoever it may be, as a careless caller has it.
    Fails {
        peer: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let peer = || 0_u64..60;
    let step = prop_oneof![
        6 => (peer(), 0_u8..4, 0_u8..4, any::<bool>())
            .prop_map(|(peer, network, host, outbound)| Step::Comes { peer, network, host, outbound }),
        1 => (peer(), any::<bool>()).prop_map(|(peer, outbound)| Step::Connects { peer, outbound }),
        4 => peer().prop_map(|peer| Step::Leaves { peer }),
        1 => peer().prop_map(|peer| Step::Answers { peer }),
        1 => peer().prop_map(|peer| Step::IsSilent { peer }),
        1 => peer().prop_map(|peer| Step::IsUnreachable { peer }),
        1 => peer().prop_map(|peer| Step::IsRemoved { peer }),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(pick, met)| Step::ChallengeEnds { pick, met }),
        1 => peer().prop_map(|peer| Step::Fails { peer }),
    ];
    prop::collection::vec(step, 1..200)
}

/// What the caller knows: who is connected, and where each seat was charged.
#[derive(Default)]
struct Model {
    connected: BTreeSet<PeerId>,
    charged: BTreeMap<PeerId, Option<Place>>,
    /// Where those who wait came from last.
    told: BTreeMap<PeerId, Option<Place>>,
    challenged: Vec<PeerId>,
}

impl Model {
    /// Takes a step with the table. The peers whose seat it may cost them.
    fn take(&mut self, table: &mut Table, now: Duration, step: Step) -> Vec<PeerId> {
        match step {
            Step::Comes { peer, network, host, outbound } => {
                self.comes(table, now, peer, &format!("198.{network}.0.{host}"), outbound);
            }
            Step::Connects { peer: number, outbound } => {
                let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
                table.connected(now, &peer(number), direction);
                self.connected.insert(peer(number));
            }
            Step::Leaves { peer: number } => {
                table.disconnected(now, &peer(number));
                self.connected.remove(&peer(number));
            }
            Step::Answers { peer: number } => table.answered(now, &peer(number), secs(1)),
            Step::IsSilent { peer: number } => table.silent(&peer(number)),
            Step::IsUnreachable { peer: number } => table.unreachable(&peer(number)),
            Step::IsRemoved { peer: number } => {
                let had = table.is_seated(&peer(number));
                let change = table.remove(&peer(number));
                assert_eq!(change.left, had.then(|| peer(number)));
                return self.changes(change);
            }
            Step::ChallengeEnds { pick, met } => {
                if self.challenged.is_empty() {
                    return Vec::new();
                }
                let peer = self.challenged.swap_remove(pick % self.challenged.len());
                if met {
                    table.challenge_met(&peer);
                } else {
                    return self.fails(table, peer);
                }
            }
            Step::Fails { peer: number } => return self.fails(table, peer(number)),
        }
        Vec::new()
    }

    fn comes(&mut self, table: &mut Table, now: Duration, number: u64, host: &str, outbound: bool) {
        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
        let newcomer = Newcomer { direction, ..from(number, host) };
        let (id, place) = (newcomer.peer, newcomer.place);
        self.connected.insert(id);
        table.connected(now, &id, direction);
        let had = self.charged.contains_key(&id);
        match table.seat(now, newcomer) {
            Seat::Entered => assert!(self.charged.insert(id, place).is_none()),
            Seat::Known => assert!(had),
            Seat::Waits { challenge } => {
                assert!(!had);
                self.told.insert(id, place);
                if let Some(seated) = challenge {
                    assert!(!self.connected.contains(&seated));
                    self.challenged.retain(|other| *other != seated);
                    self.challenged.push(seated);
                }
            }
            Seat::Declined => panic!("it says where it is"),
        }
    }

    fn fails(&mut self, table: &mut Table, peer: PeerId) -> Vec<PeerId> {
        let change = table.challenge_failed(&peer);
        assert!(change.left.is_none_or(|left| left == peer && !self.connected.contains(&left)));
        assert_eq!(change.left.is_none(), change.entered.is_empty());
        self.changes(change)
    }

    fn changes(&mut self, change: Change) -> Vec<PeerId> {
        assert!(change.entered.len() <= 2);
        for entered in change.entered {
            assert!(self.connected.contains(&entered));
            assert!(self.charged.insert(entered, self.told[&entered]).is_none());
        }
        if let Some(left) = change.left {
            self.charged.remove(&left).unwrap();
        }
        change.left.into_iter().collect()
    }

    fn check(&self, table: &Table) {
        let seated: BTreeMap<PeerId, Option<Place>> =
            table.iter().map(|entry| (entry.peer, entry.place)).collect();
        assert_eq!(seated, self.charged, "it tells who enters and who leaves, and charges as told");
        assert_eq!(table.len(), seated.len());
        for entry in table.iter() {
            let link = entry.standing.link;
            assert_eq!(link != Link::Apart, self.connected.contains(&entry.peer), "{entry:?}");
            assert_eq!(table.get(&entry.peer).unwrap().key, entry.key);
        }
        self.check_places(table);
        for (depth, bucket) in table.buckets.iter().enumerate() {
            assert!(bucket.seated.len() <= SEATS && bucket.waiting.len() <= 8);
            for entry in bucket.seated.iter().chain(&bucket.waiting) {
                assert_eq!(table.depth(&entry.key), Some(depth));
                assert!((1..=2).contains(&entry.addresses.len()));
            }
            for entry in &bucket.waiting {
                assert!(self.connected.contains(&entry.peer) && !table.is_seated(&entry.peer));
                let is_full = bucket.seated.len() == SEATS;
                assert!(is_full || !table.places.has_room(entry.place), "nobody waits in vain");
            }
        }
        assert!(table.challenges.len() <= MAX_CHALLENGES);
        for (at, challenge) in table.challenges.iter().enumerate() {
            assert!(table.is_seated(&challenge.seated));
            assert!(!self.connected.contains(&challenge.seated));
            assert!(table.challenges.iter().skip(at + 1).all(|other| {
                other.seated != challenge.seated && other.newcomer != challenge.newcomer
            }));
        }
    }

    /// What is counted is what is there, and is never too much.
    fn check_places(&self, table: &Table) {
        let (mut hosts, mut subnets) = (HashMap::new(), HashMap::new());
        for place in self.charged.values().flatten() {
            *hosts.entry(place.host).or_insert(0) += 1;
            *subnets.entry(place.subnet).or_insert(0) += 1;
        }
        assert!(hosts.values().all(|seats| *seats <= PER_HOST));
        assert!(subnets.values().all(|seats| *seats <= PER_SUBNET));
        for place in table.iter().filter_map(|entry: &Entry| entry.place) {
            let is_full = hosts[&place.host] == PER_HOST || subnets[&place.subnet] == PER_SUBNET;
            assert_eq!(table.places.has_room(Some(place)), !is_full);
        }
    }
}

proptest! {
    #[test]
    fn in_any_history_places_hold_those_who_are_there_stay_and_nobody_waits_in_vain(steps in steps()) {
        let limits = Limits::new()
            .with_addresses_per_peer(2)
            .with_routing_peers_per_ip(PER_HOST)
            .with_routing_peers_per_subnet(PER_SUBNET);
        let mut table = Table::new(local(), &limits, SEATS);
        let mut model = Model::default();
        for (at, step) in (1..).zip(steps) {
            let before: BTreeSet<PeerId> = model.charged.keys().copied().collect();
            let may_leave = model.take(&mut table, secs(at), step);
            model.check(&table);
            prop_assert!(before
                .iter()
                .all(|peer| table.is_seated(peer) || may_leave.contains(peer)));
        }
        // Everybody goes, and every share is given back.
        for number in 0..60 {
            let change = table.remove(&peer(number));
            model.changes(change);
            model.check(&table);
        }
        prop_assert!(table.is_empty());
        for host in 0..4 {
            let place = from(0, &format!("198.{host}.0.{host}")).place;
            prop_assert!(table.places.has_room(place));
        }
    }
}
