//! What callers of the DHT wait for, over loopback TCP: nodes that ask nodes, beside libp2p's Kademlia on tokio that asks
//! its like. Values are verified here and not there.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use peerage::{
    Config, Freshness,
    identity::Keypair,
    record::{Head, RecordKey, Signed},
};

use crate::{
    dispatch::{Outcome, manifest},
    network::{self, Network},
    nodes::{Asker, Nodes},
    raw::RawClient,
    report::{Report, Target},
};

const SERVERS: usize = 20;
const MANY_SERVERS: usize = 96;
/// More than a node remembers to have verified, so that each is verified whenever it is read.
const RECORDS: usize = 5_000;
/// Packages of one owner. There are more owners than a node keeps keys of, ready to verify with.
const PACKAGES: usize = 10;

const AT_A_TIME: usize = 64;
const ALL_AT_ONCE: usize = 4_000;
/// Of what the peer puts: as many as a head of a package has.
const RECORD_BYTES: usize = 610;
const ROUNDS: usize = 7;
/// Operations of a round, one after the other.
const READS: usize = 200;
const WHOLE_READS: usize = 50;
const WRITES: usize = 20;
/// Operations of a round, many at a time.
const MANY_READS: usize = 1_000;
/// Longer than the answers take that a lookup did not wait for.
const UNDER_WAY: Duration = Duration::from_millis(2);

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let reads = ["dht/get-p50", "dht/gets", "dht/gets-p95", "dht/gets-cpu", "dht/whole-p50"];
    let writes = ["dht/put-p50", "dht/register-p50"];
    let others = ["dht/all-at-once"];
    if reads.iter().chain(&writes).chain(&others).any(|name| report.wants(name)) {
        let mut sides = Sides::new(SERVERS, RECORDS)?;
        one_after_the_other(report, &mut sides);
        many_at_a_time(report, &mut sides);
        all_at_once(report, &mut sides);
        writing(report, &mut sides)?;
    }
    first_record(report)
}

fn one_after_the_other(report: &Report, Sides { ours, raw, .. }: &mut Sides) {
    let get = || ours.p50(READS, Freshness::First);
    let peer = || raw.p50(READS, RawClient::first_value);
    report.rows([("dht/get-p50", Target::AtMost(0.35))], ROUNDS, get, peer);
    let get = || ours.p50(WHOLE_READS, Freshness::All);
    let peer = || raw.p50(WHOLE_READS, RawClient::whole_query);
    report.rows([("dht/whole-p50", Target::AtMost(0.5))], ROUNDS, get, peer);
}

fn many_at_a_time(report: &Report, Sides { ours, raw, .. }: &mut Sides) {
    let rows = [
        ("dht/gets", Target::AtLeast(5.0)),
        ("dht/gets-p95", Target::AtMost(0.3)),
        ("dht/gets-cpu", Target::AtMost(0.25)),
    ];
    let gets = || measured(|| ours.asker.gets(&ours.next(MANY_READS), AT_A_TIME));
    let peer = || {
        let keys = raw.next(MANY_READS);
        measured(|| raw.client.first_values_of(&keys, AT_A_TIME))
    };
    report.rows(rows, ROUNDS, gets, peer);
}

/// What each took from the clock, what 95 of 100 took at the most, and what each took from the processors: those of all
/// nodes together.
fn measured(reads: impl FnOnce() -> Vec<Duration>) -> [Duration; 3] {
    let (start, cpu_before) = (Instant::now(), cpu());
    let times = reads();
    let (wall, cpu) = (start.elapsed(), cpu().saturating_sub(cpu_before));
    let count = times.len() as u32;
    [wall / count, quantile(times, 0.95), cpu / count]
}

fn all_at_once(report: &Report, Sides { ours, raw, .. }: &mut Sides) {
    let gets = || {
        let keys = ours.next(ALL_AT_ONCE);
        let start = Instant::now();
        ours.asker.gets(&keys, ALL_AT_ONCE);
        start.elapsed()
    };
    let peer = || raw.client.first_values(&raw.next(ALL_AT_ONCE));
    report.row("dht/all-at-once", Target::AtLeast(4.0), 3, gets, peer);
}

fn writing(report: &Report, Sides { ours, raw, unheld }: &mut Sides) -> Outcome<()> {
    let mut puts = unheld.chunks(WRITES);
    let put = || {
        let heads = puts.next().unwrap_or_default();
        [quantile(heads.iter().map(|head| ours.asker.put(head)), 0.5)]
    };
    let mut numbers = 0..;
    let mut peer_puts = || {
        let put = |number: usize| {
            let (key, bytes) =
                (libp2p_kad::RecordKey::new(&number.to_be_bytes()), [7; RECORD_BYTES]);
            raw.client.put(&key, &bytes)
        };
        [quantile(numbers.by_ref().take(WRITES).map(put), 0.5)]
    };
    report.rows([("dht/put-p50", Target::AtMost(0.6))], ROUNDS, put, &mut peer_puts);
    let manifests: Vec<_> = (0..WRITES * (ROUNDS + 1))
        .map(|number| manifest(&format!("registered-{number}")))
        .collect::<Outcome<_>>()?;
    let mut manifests = manifests.into_iter();
    let register = || {
        let manifests = manifests.by_ref().take(WRITES);
        [quantile(manifests.map(|manifest| ours.asker.register(manifest)), 0.5)]
    };
    report.rows([("dht/register-p50", Target::AtMost(1.5))], ROUNDS, register, &mut peer_puts);
    Ok(())
}

fn first_record(report: &Report) -> Outcome<()> {
    let name = "dht/first-record-of-96";
    if !report.wants(name) {
        return Ok(());
    }
    let Sides { ours, mut raw, .. } = Sides::new(MANY_SERVERS, READS * (ROUNDS + 1))?;
    let get = || {
        let get = |key: &RecordKey| {
            ours.asker.rest(UNDER_WAY);
            ours.asker.get(key, Freshness::First)
        };
        [quantile(ours.next(READS).iter().map(get), 0.5)]
    };
    let peer = || {
        raw.p50(READS, |client, key| {
            client.rest(UNDER_WAY);
            client.first_value(key)
        })
    };
    report.rows([(name, Target::AtMost(0.7))], ROUNDS, get, peer);
    Ok(())
}

/// Nodes and what they hold, and the same for the peer.
struct Sides {
    ours: Ours,
    raw: Raw,
    /// Heads that nobody holds yet.
    unheld: Vec<Signed<Head>>,
}

struct Ours {
    asker: Asker,
    keys: Vec<RecordKey>,
    asked: Cell<usize>,
    _network: Nodes,
}

struct Raw {
    client: RawClient,
    asked: Cell<usize>,
    network: Network,
}

impl Sides {
    /// So many servers on each side, which hold so many records.
    fn new(servers: usize, records: usize) -> Outcome<Self> {
        let mut heads = heads(records + WRITES * (ROUNDS + 1))?;
        let unheld = heads.split_off(records);
        let network = Nodes::new(servers)?;
        Asker::join(&network, Config::new())?.put_all(&heads);
        let config = Config::new()
            .with_command_capacity(ALL_AT_ONCE)
            // What was read in one round is asked for again in another.
            .with_cache_ttl(Duration::from_millis(1));
        let asker = Asker::join(&network, config)?;
        let keys = heads.iter().map(Signed::key).collect();
        let ours = Ours { asker, keys, asked: Cell::new(0), _network: network };
        let network = Network::over_tcp(servers, &heads)?;
        let raw = Raw { client: RawClient::join(&network)?, asked: Cell::new(0), network };
        Ok(Self { ours, raw, unheld })
    }
}

/// Heads of packages of many owners.
fn heads(count: usize) -> Outcome<Vec<Signed<Head>>> {
    let mut heads = Vec::with_capacity(count);
    while heads.len() < count {
        let owner = Keypair::generate_ed25519();
        for number in 0..PACKAGES {
            heads.push(network::head(&owner, number)?);
        }
    }
    heads.truncate(count);
    Ok(heads)
}

impl Ours {
    /// Those that were asked for longest ago.
    fn next(&self, count: usize) -> Vec<RecordKey> {
        let from = self.asked.replace(self.asked.get() + count) % self.keys.len();
        self.keys.iter().cycle().skip(from).take(count).copied().collect()
    }

    fn p50(&self, count: usize, freshness: Freshness) -> [Duration; 1] {
        [quantile(self.next(count).iter().map(|key| self.asker.get(key, freshness)), 0.5)]
    }
}

impl Raw {
    fn next(&self, count: usize) -> Vec<libp2p_kad::RecordKey> {
        let held = self.network.held();
        let from = self.asked.replace(self.asked.get() + count) % held.len();
        held.iter().cycle().skip(from).take(count).map(|held| held.key.clone()).collect()
    }

    fn p50(
        &mut self,
        count: usize,
        mut read: impl FnMut(&mut RawClient, &libp2p_kad::RecordKey) -> Duration,
    ) -> [Duration; 1] {
        let keys = self.next(count);
        [quantile(keys.iter().map(|key| read(&mut self.client, key)), 0.5)]
    }
}

/// What the given part of these was at the most.
fn quantile(times: impl IntoIterator<Item = Duration>, part: f64) -> Duration {
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort_unstable();
    times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default()
}

/// What this process has had of the processors.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
