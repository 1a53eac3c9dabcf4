//! Peers that are silent: processes that stand still, so that their machine acknowledges whatever comes and nobody answers.
//!
//! A call does not wait for them while others can answer. What is asserted are the times of a user who waits: the first
//! calls after the peers have fallen silent, of which nobody knows yet, and those after them.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

#[path = "support/process.rs"]
mod process;

use process::{Node, send, started_and_listening};

/// What is measured in one network is not to be disturbed by another.
static MACHINE: Mutex<()> = Mutex::new(());

/// How much longer the median of the first calls may take than that of undisturbed ones.
const OVER_UNDISTURBED: Duration = Duration::from_millis(100);

/// How much longer any call may take than the longest of the undisturbed ones: on a machine that has other things to do,
/// those take their time as well.
const WORST: Duration = Duration::from_secs(1);

/// How long it may take until peers that have woken up are used again.
const USED_AGAIN: Duration = Duration::from_secs(60);

/// What is added to times of which one is to be a multiple of the other. An undisturbed call takes a few milliseconds; on
/// two cores that run twenty processes and whatever else a machine does, a turn on the processor takes as long.
const NOISE: Duration = Duration::from_millis(30);

/// For how long newcomers are told of what was announced before they came: gossip keeps a message for five seconds.
const NEWS: Duration = Duration::from_secs(7);

/// Calls of a kind, of which the median is taken: a few that are held up by the machine do not move it.
const CALLS: usize = 9;

#[test]
fn with_two_of_five_silent_no_call_waits_for_them() {
    try_with(5, 2);
}

#[test]
fn with_five_of_twenty_silent_no_call_waits_for_them() {
    try_with(20, 5);
}

#[test]
fn with_ten_of_twenty_silent_no_call_waits_for_them() {
    try_with(20, 10);
}

#[test]
fn when_the_silent_have_been_given_up_no_call_waits_for_them_either() {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    Trial::new(20, 5).run_disconnected();
}

fn try_with(count: usize, silent: usize) {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    Trial::new(count, silent).run();
}

/// A network of processes, some of which fall silent again and again, and one that asks.
struct Trial {
    /// The first one is whom all others have started with. It is never silent, and owns what is read.
    peers: Vec<Node>,
    caller: Node,
    silent: usize,
    /// A package that the others hold.
    held: String,
    /// Packages that the caller has not read.
    unread: Vec<String>,
    /// Names that nobody has used.
    names: usize,
    /// As many others keep what the caller registers, when all are awake.
    replicas: u64,
}

/// The calls of a user.
#[derive(Debug, Clone, Copy)]
enum Call {
    Get,
    /// Of a package that it has read, from all who may hold it.
    GetAll,
    GetAbsent,
    Register,
}

const CALLS_OF_A_USER: [Call; 4] = [Call::Get, Call::GetAll, Call::GetAbsent, Call::Register];

impl Trial {
    fn new(count: usize, silent: usize) -> Self {
        let mut first = Node::start(&[]);
        let (owner, address) = started_and_listening(&mut first);
        let mut peers = vec![first];
        for _ in 1..count {
            let mut peer = Node::start(&["--bootstrap", &address]);
            started_and_listening(&mut peer);
            peer.ask(json!({"id": "b", "op": "bootstrap"}));
            peers.push(peer);
        }
        for peer in &mut peers {
            knows(peer, count - 1);
        }
        // Before the caller comes, who hears no news of them and reads them from the network.
        let mut unread = Vec::new();
        for number in 0..4 * CALLS {
            let name = format!("package-{number}");
            register(&mut peers[0], &name);
            unread.push(format!("{owner}/{name}"));
        }
        let held = unread[0].clone();
        thread::sleep(NEWS);
        // One that holds nothing for others, else it held in a small network whatever there is.
        let mut caller = Node::start(&["--client", "--bootstrap", &address]);
        started_and_listening(&mut caller);
        caller.ask(json!({"id": "b", "op": "bootstrap"}));
        knows(&mut caller, count);
        let mut trial = Self { peers, caller, silent, held, unread, names: 0, replicas: 0 };
        trial.replicas = trial.register();
        assert!(trial.replicas > (count - silent) as u64, "who falls silent is missed");
        trial
    }

    fn run(mut self) {
        println!("{} of {} silent", self.silent, self.peers.len());
        let mut failures = Vec::new();
        for call in CALLS_OF_A_USER {
            let undisturbed = self.time(call);
            self.signal("STOP");
            let first = self.time(call);
            let next = self.time(call);
            self.signal("CONT");
            let used_again = self.used_again();
            println!("  {call:?}: undisturbed {undisturbed}");
            println!("  {call:?}: first {first}");
            println!("  {call:?}: next {next}");
            println!("  {call:?}: {} replicas again after {used_again:?}", self.replicas);
            let mut expect = |holds: bool, what: &str| {
                if !holds {
                    failures.push(format!("{call:?}: {what}"));
                }
            };
            expect(first.worst() <= WORST + undisturbed.worst(), "the worst of the first");
            expect(next.worst() <= WORST + undisturbed.worst(), "the worst of the next");
            expect(first.median() <= undisturbed.median() + OVER_UNDISTURBED, "the first");
            expect(next.median() <= undisturbed.median() * 3 / 2 + NOISE, "the next");
            expect(used_again <= USED_AGAIN, "used again");
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    /// The same once their connections have ended, so that somebody would have to dial them.
    fn run_disconnected(mut self) {
        println!("{} of {} silent, and given up", self.silent, self.peers.len());
        // By the time that connections end, the caller knows all packages without having read them.
        let calls = &CALLS_OF_A_USER[1..];
        let undisturbed: Vec<_> = calls.iter().map(|call| self.time(*call)).collect();
        self.signal("STOP");
        let is_end = |line: &Value| line["event"] == "disconnected";
        for _ in 0..self.silent {
            self.caller.await_line("the end of a connection", is_end);
        }
        let mut failures = Vec::new();
        for (call, undisturbed) in calls.iter().zip(undisturbed) {
            let first = self.time(*call);
            println!("  {call:?}: undisturbed {undisturbed}");
            println!("  {call:?}: given up {first}");
            if first.worst() > WORST {
                failures.push(format!("{call:?}: the worst"));
            }
            if first.median() > undisturbed.median() * 3 / 2 + NOISE {
                failures.push(format!("{call:?}: the median"));
            }
        }
        self.signal("CONT");
        let used_again = self.used_again();
        println!("  {} replicas again after {used_again:?}", self.replicas);
        if used_again > USED_AGAIN {
            failures.push("used again".to_owned());
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    /// Makes calls of a kind, one after the other.
    fn time(&mut self, call: Call) -> Times {
        Times::of((0..CALLS).map(|_| {
            let begun = Instant::now();
            match call {
                Call::Get => return self.get(),
                Call::GetAll => self.get_all(),
                Call::GetAbsent => self.get_absent(),
                Call::Register => drop(self.register()),
            }
            begun.elapsed()
        }))
    }

    /// Reads a package from the network. One that it has heard of meanwhile does not count.
    fn get(&mut self) -> Duration {
        loop {
            let package = self.unread.pop().expect("a package of which the caller has not heard");
            let begun = Instant::now();
            let found = self.caller.ask(json!({"id": package, "op": "get", "package": package}));
            if found["source"] == "network" {
                return begun.elapsed();
            }
        }
    }

    fn get_all(&mut self) {
        let package = &self.held;
        let get = json!({"id": "all", "op": "get", "package": package, "freshness": "all"});
        let found = self.caller.ask(get);
        assert!(matches!(found["source"].as_str(), Some("network" | "partial")), "{found}");
    }

    fn get_absent(&mut self) {
        let name = self.new_name();
        let error = self.caller.ask_in_vain(json!({"id": name, "op": "get", "package": name}));
        assert_eq!(error["kind"], "not_found", "{error}");
    }

    /// Publishes a package. How many others keep it.
    fn register(&mut self) -> u64 {
        let name = self.new_name();
        register(&mut self.caller, &name)["replicas"].as_u64().unwrap()
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("new-{}", self.names)
    }

    /// Tells those who are to fall silent, or to wake up.
    fn signal(&self, signal: &str) {
        let awake = self.peers.len() - self.silent;
        for peer in &self.peers[awake..] {
            send(signal, &peer.process);
        }
    }

    /// How long it takes until as many keep a new package as before.
    fn used_again(&mut self) -> Duration {
        let begun = Instant::now();
        while self.register() < self.replicas && begun.elapsed() <= USED_AGAIN {
            thread::sleep(Duration::from_millis(500));
        }
        begun.elapsed()
    }
}

fn register(node: &mut Node, name: &str) -> Value {
    let manifest = json!({"name": name, "version": "1.0.0"});
    node.ask(json!({"id": name, "op": "register", "manifest": manifest}))
}

/// Waits until so many peers are in its routing table.
fn knows(node: &mut Node, count: usize) {
    let begun = Instant::now();
    loop {
        let about = node.ask(json!({"id": "m", "op": "metadata"}));
        if about["routing_table"].as_u64() >= Some(count as u64) {
            return;
        }
        assert!(begun.elapsed() < USED_AGAIN, "{} of {count}", about["routing_table"]);
        thread::sleep(Duration::from_millis(100));
    }
}

/// How long calls took, the shortest first.
struct Times(Vec<Duration>);

impl Times {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        Self(times)
    }

    fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    fn worst(&self) -> Duration {
        *self.0.last().unwrap()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, worst] = [self.median(), self.worst()].map(|time| time.as_secs_f64() * 1e3);
        write!(f, "p50 {median:.1} ms, worst {worst:.1} ms")
    }
}
