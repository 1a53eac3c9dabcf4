//! Many machines that talk to each other, with time that passes as they want it to.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use super::{message::Value, table::tests::peer, *};
use crate::{package::PackageName, record::NetworkName};

mod silence;
mod whole;

/// How long a message takes from one peer to another.
const HOP: Duration = Duration::from_millis(2);

/// What is on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mail {
    /// Peer `to` is asked by peer `from`.
    Request {
        to: usize,
        from: usize,
        request: u64,
    },
    /// Peer `to` has its answer.
    Response {
        to: usize,
        request: u64,
    },
    Dialed {
        from: usize,
        to: usize,
    },
    DialFailed {
        from: usize,
        to: usize,
    },
}

/// What a peer does with what reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Awake,
    /// Its connections stand, and nothing comes back.
    Frozen,
    /// Nobody is there.
    Gone,
}

#[derive(Debug, Default)]
struct Kept(HashMap<Vec<u8>, Vec<u8>>);

impl Records for Kept {
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    fn put(&mut self, value: &Value) -> bool {
        self.0.insert(value.key.to_vec(), value.bytes.to_vec());
        true
    }
}

struct Peer {
    id: PeerId,
    dht: Dht,
    kept: Kept,
    mood: Mood,
    facts: Vec<(Duration, Fact)>,
    asked: usize,
    /// A query for which the first copy will do.
    narrow: Option<QueryKey>,
}

/// All of them.
struct Net {
    peers: Vec<Peer>,
    places: HashMap<PeerId, usize>,
    now: Duration,
    mail: BinaryHeap<Reverse<(Duration, u64, Mail)>>,
    sent: u64,
    requests: HashMap<(usize, u64), (usize, Request)>,
    responses: HashMap<(usize, u64), message::Response>,
    queries: u64,
}

impl Net {
    /// So many peers, each of which knows the first and has filled its table.
    fn new(count: usize) -> Self {
        let mut net = Self {
            peers: Vec::new(),
            places: HashMap::new(),
            now: Duration::from_secs(1),
            mail: BinaryHeap::new(),
            sent: 0,
            requests: HashMap::new(),
            responses: HashMap::new(),
            queries: 0,
        };
        for _ in 0..count {
            net.join();
        }
        net.run_for(Duration::from_secs(5));
        net
    }

    /// A newcomer that knows the first.
    fn join(&mut self) -> usize {
        let number = self.peers.len();
        // The same network each time: how many are asked depends on where they lie.
        let id = peer(number as u64);
        let dht = Dht::new(self.now, id, &Config::new(), Key::of_peer(&id).bits());
        let (mood, kept) = (Mood::Awake, Kept::default());
        self.peers.push(Peer { id, dht, kept, mood, facts: Vec::new(), asked: 0, narrow: None });
        self.places.insert(id, number);
        if number > 0 {
            self.connect(number, 0);
            let query = self.query();
            self.peers[number].dht.bootstrap(self.now, query);
            self.run_for(Duration::from_secs(2));
        }
        number
    }

    fn query(&mut self) -> QueryKey {
        self.queries += 1;
        QueryKey::numbered(self.queries)
    }

    /// Two peers are connected, and have introduced themselves.
    fn connect(&mut self, one: usize, other: usize) {
        let now = self.now;
        for (here, there) in [(one, other), (other, one)] {
            let peer = self.peers[there].id;
            let dht = &mut self.peers[here].dht;
            let direction = if here == one { Direction::Outbound } else { Direction::Inbound };
            dht.connected(now, peer, direction);
            dht.seat(now, peer, None, vec![address(there)]);
            self.carry_out(here);
        }
    }

    fn post(&mut self, after: Duration, mail: Mail) {
        self.sent += 1;
        self.mail.push(Reverse((self.now + after, self.sent, mail)));
    }

    fn carry_out(&mut self, here: usize) {
        while let Some(effect) = self.peers[here].dht.next_effect(self.now) {
            match effect {
                Effect::Ask { request, peer, message } => {
                    let to = self.places[&peer];
                    self.requests.insert((here, request.0), (to, message));
                    self.post(HOP, Mail::Request { to, from: here, request: request.0 });
                }
                Effect::Cancel { request } => {
                    self.requests.remove(&(here, request.0));
                    self.responses.remove(&(here, request.0));
                }
                Effect::Dial { peer, addresses } => {
                    assert!(!addresses.is_empty());
                    let to = self.places[&peer];
                    match self.peers[to].mood {
                        Mood::Awake => self.post(2 * HOP, Mail::Dialed { from: here, to }),
                        Mood::Gone => self.post(HOP, Mail::DialFailed { from: here, to }),
                        Mood::Frozen => {
                            self.post(Duration::from_secs(10), Mail::DialFailed { from: here, to });
                        }
                    }
                }
                Effect::Tell(fact) => {
                    let now = self.now;
                    if let Fact::Copy { query, .. } = &fact {
                        // As the registry does with a first copy that it can use.
                        let query = *query;
                        if self.peers[here].narrow == Some(query) {
                            self.peers[here].dht.finish(now, query);
                        }
                    }
                    self.peers[here].facts.push((now, fact));
                }
            }
        }
    }

    fn deliver(&mut self, mail: Mail) {
        match mail {
            Mail::Request { to, from, request } => {
                if self.peers[to].mood != Mood::Awake {
                    return;
                }
                let Some((_, message)) = self.requests.get(&(from, request)).cloned() else {
                    return;
                };
                let asker = self.peers[from].id;
                let peer = &mut self.peers[to];
                peer.asked += 1;
                let response = peer.dht.serve(&asker, message, &mut peer.kept);
                self.responses.insert((from, request), response);
                self.post(HOP, Mail::Response { to: from, request });
            }
            Mail::Response { to, request } => {
                if self.requests.remove(&(to, request)).is_none() {
                    return;
                }
                let Some(response) = self.responses.remove(&(to, request)) else { return };
                self.peers[to].dht.answered(self.now, RequestId(request), response);
                self.carry_out(to);
            }
            Mail::Dialed { from, to } => self.connect(from, to),
            Mail::DialFailed { from, to } => {
                let (now, peer) = (self.now, self.peers[to].id);
                let _ = now;
                self.peers[from].dht.unreachable(&peer, true);
                self.carry_out(from);
            }
        }
    }

    /// Lets time pass until then, from one thing that happens to the next.
    fn run_until(&mut self, end: Duration) {
        loop {
            let mail = self.mail.peek().map(|Reverse((at, _, _))| *at);
            let due = self.peers.iter().filter_map(|peer| peer.dht.next_deadline()).min();
            let Some(next) = [mail, due].into_iter().flatten().min().filter(|next| *next <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            if mail.is_some_and(|at| at <= self.now)
                && let Some(Reverse((_, _, mail))) = self.mail.pop()
            {
                self.deliver(mail);
            }
            for here in 0..self.peers.len() {
                let dht = &mut self.peers[here].dht;
                if dht.next_deadline().is_some_and(|due| due <= self.now)
                    && self.peers[here].mood == Mood::Awake
                {
                    self.peers[here].dht.expire(self.now, 1024);
                    self.carry_out(here);
                } else if self.peers[here].dht.next_deadline().is_some_and(|due| due <= self.now) {
                    // Who is frozen has no time.
                    self.peers[here].dht.expire(self.now, 1024);
                    while self.peers[here].dht.next_effect(self.now).is_some() {}
                }
            }
        }
        self.now = end;
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    fn freeze(&mut self, peers: impl IntoIterator<Item = usize>) {
        for peer in peers {
            self.peers[peer].mood = Mood::Frozen;
        }
    }

    /// Reads with this breadth. How many copies were told, and after which time the query had ended.
    fn get(&mut self, here: usize, key: &RecordKey, breadth: Breadth) -> Read {
        let query = self.query();
        let begun = self.now;
        self.peers[here].facts.clear();
        self.peers[here].narrow = (breadth == Breadth::Narrow).then_some(query);
        self.peers[here].dht.get(begun, query, key, breadth);
        self.carry_out(here);
        self.run_for(Duration::from_secs(30));
        let mut read = Read::default();
        for (at, fact) in &self.peers[here].facts {
            match fact {
                Fact::Copy { query: of, .. } if *of == query => {
                    read.copies += 1;
                    read.first.get_or_insert(*at - begun);
                }
                Fact::QueryEnded { query: of, end: QueryEnd::Lookup { answered, unheard, .. } }
                    if *of == query =>
                {
                    (read.answered, read.unheard, read.ended) = (*answered, *unheard, *at - begun);
                }
                _ => {}
            }
        }
        read
    }

    /// Puts a record. How many keep it, and after which time that was known.
    fn put(&mut self, here: usize, key: &RecordKey) -> (u32, Duration) {
        let query = self.query();
        let begun = self.now;
        self.peers[here].facts.clear();
        self.peers[here].dht.put(begun, query, key, b"record");
        self.carry_out(here);
        self.run_for(Duration::from_secs(30));
        let stored = self.peers[here].facts.iter().find_map(|(at, fact)| match fact {
            Fact::QueryEnded { query: of, end: QueryEnd::Stored { replicas } } if *of == query => {
                Some((*replicas, *at - begun))
            }
            _ => None,
        });
        stored.expect("every put ends")
    }
}

/// What a read has come to.
#[derive(Debug, Default)]
struct Read {
    copies: usize,
    first: Option<Duration>,
    answered: u32,
    unheard: u32,
    ended: Duration,
}

fn address(number: usize) -> Multiaddr {
    format!("/memory/{}", number + 1).parse().unwrap()
}

fn key(name: &str) -> RecordKey {
    let name: PackageName = name.parse().unwrap();
    RecordKey::claims(&NetworkName::default(), &name)
}

/// The peers closest to a key, the closest first.
fn closest(net: &Net, key: &RecordKey) -> Vec<usize> {
    let target = Key::of_record(key);
    let by_distance: BTreeMap<_, _> = (0..net.peers.len())
        .map(|number| (Key::of_peer(&net.peers[number].id).distance(&target), number))
        .collect();
    by_distance.into_values().collect()
}
