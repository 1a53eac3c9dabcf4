//! A network of thousands of peers, and lookups in it. What it measures is printed.
//!
//! `PEERAGE_LOOKUPS` says how many lookups to run in each network.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    env,
};

use super::*;
use crate::engine::seeded::Random;

/// How many peers a bucket has room for.
const BUCKET: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Honest,
    /// It is connected to, and does not answer.
    Silent,
    /// It is in the tables of others, and has left.
    Gone,
    /// It names only other liars.
    Liar,
}

struct Peer {
    id: PeerId,
    key: Key,
    /// Where it lies, as a number.
    place: u64,
    kind: Kind,
    /// Milliseconds.
    round_trip: u64,
}

impl Peer {
    fn new(random: &mut Random, kind: Kind) -> Self {
        let digest = [(); 32].map(|()| random.below(256) as u8);
        let id = PeerId::from_bytes(&[&[0, 32], &digest[..]].concat()).unwrap();
        let key = Key::of_peer(&id);
        // Most are on the same continent, some are far away.
        let round_trip = 10 + (random.below(20) * random.below(20)) as u64;
        Self { id, key, place: place(&key), kind, round_trip }
    }

    fn answers(&self) -> bool {
        matches!(self.kind, Kind::Honest | Kind::Liar)
    }
}

/// How many of 100 peers are so.
#[derive(Clone, Copy)]
struct Mix {
    silent: usize,
    gone: usize,
    liars: usize,
}

struct Network {
    /// By place.
    peers: Vec<Peer>,
    index: HashMap<PeerId, usize>,
    seed: u64,
}

fn place(key: &Key) -> u64 {
    Key::from_bits([0; 32]).distance(key).high()
}

impl Network {
    fn new(size: usize, seed: u64, mix: Mix) -> Self {
        let mut random = Random(seed);
        let peers = (0..size).map(|_| {
            let kind = match random.below(100) {
                n if n < mix.silent => Kind::Silent,
                n if n < mix.silent + mix.gone => Kind::Gone,
                n if n < mix.silent + mix.gone + mix.liars => Kind::Liar,
                _ => Kind::Honest,
            };
            Peer::new(&mut random, kind)
        });
        let mut peers: Vec<_> = peers.collect();
        peers.sort_by_key(|peer| peer.place);
        let index = peers.iter().enumerate().map(|(at, peer)| (peer.id, at)).collect();
        Self { peers, index, seed }
    }

    /// Whom a peer knows: of each bucket as many as fit. It has not met one in twenty of those that it has room for,
    /// and has noticed three of four that do not answer.
    fn table(&self, of: usize) -> Vec<usize> {
        let mut random = Random(self.seed ^ (of as u64) << 20);
        let own = self.peers[of].place;
        let mut table = Vec::new();
        for depth in 0..64 {
            let bit = 1 << (63 - depth);
            let start = (own ^ bit) & !(bit - 1);
            let from = self.peers.partition_point(|peer| peer.place < start);
            let to = self.peers.partition_point(|peer| peer.place <= start | (bit - 1));
            if to - from <= BUCKET {
                table.extend((from..to).filter(|_| random.below(20) > 0));
            } else {
                table.extend((0..BUCKET).map(|_| from + random.below(to - from)));
            }
        }
        table.sort_unstable();
        table.dedup();
        table.retain(|at| match self.peers[*at].kind {
            Kind::Silent | Kind::Gone => random.below(4) == 0,
            Kind::Honest | Kind::Liar => true,
        });
        table
    }

    /// The closest of these to a place.
    fn closest(&self, to: u64, mut among: Vec<usize>, most: usize) -> Vec<usize> {
        among.sort_unstable_by_key(|at| self.peers[*at].place ^ to);
        among.truncate(most);
        among
    }

    fn pick(&self, random: &mut Random, kind: Kind) -> usize {
        let picks = std::iter::repeat_with(|| random.below(self.peers.len()));
        picks.take(1_000).find(|at| self.peers[*at].kind == kind).unwrap()
    }

    fn all(&self, is: impl Fn(&Peer) -> bool) -> Vec<usize> {
        (0..self.peers.len()).filter(|at| is(&self.peers[*at])).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Answer,
    Failure,
    Hedge,
    Overdue,
}

/// Whom liars name.
#[derive(Clone, Copy)]
enum Liars {
    /// The closest of those that are in the network.
    Others,
    /// Peers that nobody else knows, all of them closer to the target than any honest one. They answer.
    Accomplices,
    /// The same, and different ones each time, none of which is there.
    Inventions,
}

/// One lookup in a network, by one of its peers.
struct Run<'a> {
    network: &'a Network,
    random: Random,
    lookup: Lookup,
    target: [u8; 32],
    liars: Liars,
    /// Peers that only liars know. They are numbered after those of the network.
    hidden: Vec<Peer>,
    agenda: BinaryHeap<Reverse<(u64, usize, Event)>>,
    connected: HashSet<usize>,
    /// How many answers led to a peer.
    hops: HashMap<usize, u32>,
    heard: HashSet<usize>,
    requests: usize,
    now: u64,
}

#[derive(Debug, Default, Clone)]
struct Figures {
    runs: usize,
    /// The closest 20 that can answer were heard, all of them.
    whole: usize,
    /// How many of these.
    overlap: usize,
    /// The closest honest peer that can answer was heard.
    reached: usize,
    requests: usize,
    hops: u32,
    time: Vec<u64>,
    bytes: usize,
}

impl<'a> Run<'a> {
    fn new(network: &'a Network, aim: Aim, seed: u64, liars: Liars) -> Self {
        let mut random = Random(!seed);
        let target = [(); 32].map(|()| random.below(256) as u8);
        let key = Key::from_bits(target);
        let own = network.pick(&mut random, Kind::Honest);
        let near = network.closest(place(&key), network.table(own), 20);
        let mut connected = HashSet::new();
        let known = near.iter().map(|at| {
            let peer = &network.peers[*at];
            let is_there = peer.kind != Kind::Gone;
            let expectation = match random.below(3) {
                0 if is_there && connected.insert(*at) => Expectation::Connected,
                // Some that do not answer were noticed, and a few others are under suspicion.
                1 if !peer.answers() || random.below(20) == 0 => Expectation::Doubtful,
                _ => Expectation::Unconnected,
            };
            Seed { peer: peer.id, key: peer.key, expectation }
        });
        let lookup = Lookup::new(key, aim, known.collect::<Vec<_>>());
        Self {
            network,
            random,
            lookup,
            target,
            liars,
            hidden: Vec::new(),
            agenda: BinaryHeap::new(),
            connected,
            hops: near.iter().map(|at| (*at, 1)).chain([(own, 0)]).collect(),
            heard: HashSet::new(),
            requests: 0,
            now: 0,
        }
    }

    fn place(&self) -> u64 {
        place(&Key::from_bits(self.target))
    }

    fn peer(&self, at: usize) -> &Peer {
        self.network.peers.get(at).unwrap_or_else(|| &self.hidden[at - self.network.peers.len()])
    }

    fn index(&self, peer: &PeerId) -> usize {
        self.network.index.get(peer).copied().unwrap_or_else(|| {
            let at = self.hidden.iter().position(|hidden| hidden.id == *peer).unwrap();
            self.network.peers.len() + at
        })
    }

    fn ask(&mut self, at: usize) {
        self.requests += 1;
        let Peer { kind, round_trip, .. } = *self.peer(at);
        let is_connected = self.connected.contains(&at);
        // TCP, noise and yamux come before the first request.
        let trips = if is_connected { 1 } else { 4 };
        let [hedge, overdue] = if is_connected { [300, 800] } else { [800, 1_600] };
        let event = match kind {
            Kind::Honest | Kind::Liar => Some((trips * round_trip, Event::Answer)),
            // Some are refused at once, others time out.
            Kind::Gone if self.random.below(2) == 0 => Some((round_trip, Event::Failure)),
            Kind::Gone => Some((5_000, Event::Failure)),
            Kind::Silent => None,
        };
        let events = event.into_iter().chain([(hedge, Event::Hedge), (overdue, Event::Overdue)]);
        self.agenda.extend(events.map(|(after, event)| Reverse((self.now + after, at, event))));
    }

    fn answer(&mut self, at: usize) {
        self.heard.insert(at);
        let named = match self.peer(at).kind {
            Kind::Liar => self.lie(),
            _ => self.network.closest(self.place(), self.network.table(at), 20),
        };
        let hop = self.hops[&at] + 1;
        for named in &named {
            let hops = self.hops.entry(*named).or_insert(hop);
            *hops = hop.min(*hops);
        }
        let closer = named.iter().filter(|named| self.hops[named] > 0).map(|named| {
            let Peer { id, key, .. } = *self.peer(*named);
            (key, Expectation::Unconnected, Contact { peer: id, addresses: Vec::new() })
        });
        let closer: Vec<_> = closer.collect();
        let peer = self.peer(at).id;
        self.lookup.answered(&peer, Heard::Empty, closer);
    }

    /// Whom a liar names.
    fn lie(&mut self) -> Vec<usize> {
        let kind = match self.liars {
            Liars::Others => {
                let liars = self.network.all(|peer| peer.kind == Kind::Liar);
                return self.network.closest(self.place(), liars, 20);
            }
            Liars::Accomplices => Kind::Liar,
            Liars::Inventions => Kind::Gone,
        };
        if kind == Kind::Gone || self.hidden.is_empty() {
            for _ in 0..20 {
                let mut hidden = Peer::new(&mut self.random, kind);
                let mut bits = self.target;
                bits[4..].fill_with(|| self.random.below(256) as u8);
                hidden.key = Key::from_bits(bits);
                self.hidden.push(hidden);
            }
        }
        let end = self.network.peers.len() + self.hidden.len();
        (end - 20..end).collect()
    }

    fn run(mut self, figures: &mut Figures) {
        loop {
            while let Some(contact) = self.lookup.next() {
                self.ask(self.index(&contact.peer));
            }
            if self.lookup.is_finished() {
                break;
            }
            let Some(Reverse((now, at, event))) = self.agenda.pop() else {
                panic!("it waits for nobody")
            };
            self.now = now;
            let peer = &self.peer(at).id.clone();
            match event {
                Event::Answer => self.answer(at),
                Event::Failure => self.lookup.failed(peer),
                Event::Hedge => self.lookup.hedge(peer),
                Event::Overdue => self.lookup.overdue(peer),
            }
        }
        self.note(figures);
    }

    fn note(self, figures: &mut Figures) {
        let of_others = |is: &dyn Fn(&Peer) -> bool| {
            let mut peers = self.network.all(is);
            peers.retain(|at| self.hops.get(at) != Some(&0));
            peers
        };
        let ideal = self.network.closest(self.place(), of_others(&Peer::answers), 20);
        let honest = of_others(&|peer| peer.kind == Kind::Honest);
        let honest = self.network.closest(self.place(), honest, 1)[0];
        figures.bytes = figures.bytes.max(self.lookup.bytes());
        let found = self.heard;
        let overlap = ideal.iter().filter(|at| found.contains(at)).count();
        figures.runs += 1;
        figures.whole += usize::from(overlap == ideal.len());
        figures.overlap += overlap;
        figures.reached += usize::from(found.contains(&honest));
        figures.requests += self.requests;
        figures.hops += self.hops.get(&honest).copied().unwrap_or_default();
        figures.time.push(self.now);
    }
}

fn lookups(network: &Network, aim: Aim, liars: Liars, fewest: usize) -> Figures {
    let runs = env::var("PEERAGE_LOOKUPS").ok().and_then(|runs| runs.parse().ok());
    let mut figures = Figures::default();
    for seed in 0..runs.unwrap_or(fewest) {
        Run::new(network, aim, network.seed.wrapping_add(seed as u64), liars).run(&mut figures);
    }
    figures.time.sort_unstable();
    figures
}

impl Figures {
    fn share(&self, of: usize) -> f64 {
        of as f64 / self.runs as f64
    }

    fn print(&self, what: &str) {
        let time = |of: usize| self.time[(self.runs - 1) * of / 100];
        println!(
            "{what}: {} runs, all of the closest 20 {:.2} %, overlap {:.3} of 20, closest honest peer {:.2} %, \
             requests {:.1}, hops {:.2}, p50 {} ms, p95 {} ms, heap at most {} bytes",
            self.runs,
            100. * self.share(self.whole),
            self.share(self.overlap),
            100. * self.share(self.reached),
            self.share(self.requests),
            self.share(self.hops as usize),
            time(50),
            time(95),
            self.bytes,
        );
    }
}

fn whole(paths: u8) -> Aim {
    Aim::Whole { paths: NonZeroU8::new(paths).unwrap() }
}

/// A full view knows the 20 closest of those that answer. A lookup finds them when it has heard each of them.
#[test]
fn lookups_find_what_a_full_view_would() {
    for (what, silent, gone) in
        [("calm", 0, 0), ("20 % silent", 20, 0), ("20 % silent, 15 % have left", 20, 15)]
    {
        let network = Network::new(10_000, 15, Mix { silent, gone, liars: 0 });
        for (aim, how) in [(whole(1), "one path"), (whole(3), "three paths"), (Aim::First, "first")]
        {
            let figures = lookups(&network, aim, Liars::Others, 12);
            figures.print(&format!("{what}, {how}"));
            // A peer under suspicion is not waited for, although it may be well.
            assert!(figures.overlap * 1_000 >= figures.runs * 20 * 999);
            assert!(figures.reached * 1_000 >= figures.runs * 999);
        }
    }
}

#[test]
fn lookups_are_short() {
    for size in [20, 100, 1_000, 10_000] {
        let network = Network::new(size, 15, Mix { silent: 0, gone: 0, liars: 0 });
        for (aim, how) in [(whole(1), "one path"), (whole(3), "three paths")] {
            let figures = lookups(&network, aim, Liars::Others, 12);
            let log = (size as f64).log2();
            figures.print(&format!("{size} peers, log2 is {log:.1}, {how}"));
            assert!(figures.share(figures.hops as usize) < log / 2.);
            assert!(size > 20 || figures.requests <= 19 * figures.runs, "more paths cost no more");
        }
    }
}

/// Success is to hear the honest peer that is closest.
#[test]
fn disjoint_paths_get_past_liars() {
    let network = Network::new(10_000, 15, Mix { silent: 0, gone: 0, liars: 20 });
    for (what, liars) in [
        ("of each other", Liars::Others),
        ("of accomplices", Liars::Accomplices),
        ("of inventions", Liars::Inventions),
    ] {
        let [one, three] = [1, 3].map(|paths| {
            let figures = lookups(&network, whole(paths), liars, 30);
            figures.print(&format!("20 % tell only {what}, {paths} disjoint paths"));
            figures
        });
        assert!(three.reached >= one.reached);
        assert!(three.reached * 10 >= three.runs * 8);
    }
}
