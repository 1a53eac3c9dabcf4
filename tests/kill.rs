//! A node that is killed at random moments while it publishes: what it has acknowledged is there afterwards.
//!
//! `PEERAGE_KILLS=200 cargo test --test kill -- --nocapture` kills it two hundred times, which takes some minutes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::{
    collections::{BTreeMap, HashMap},
    env,
    hash::{BuildHasher, RandomState},
    io::Write,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

#[path = "support/process.rs"]
mod process;

use process::{ANY_PORT, Node, PATIENCE};

/// How often it is killed, unless `PEERAGE_KILLS` says otherwise.
const KILLS: u32 = 10;

/// Requests under way at once.
const IN_FLIGHT: usize = 24;

/// Packages that each life begins. It goes on with those of the life before.
const PACKAGES: u32 = 4;

/// A package is withdrawn after so many lives, so that the node does not have ever more of them.
const WITHDRAWN_AFTER: u32 = 3;

/// The latest moment of a kill, after the node has answered its first question.
const LATEST: Duration = Duration::from_millis(600);

/// What is known of a package.
#[derive(Debug, Default)]
struct Package {
    /// How many releases were asked for.
    asked: u32,
    /// Those that were acknowledged, and whether their yanking was.
    releases: BTreeMap<u32, bool>,
    /// The highest sequence that was heard of.
    sequence: u64,
    stage: Stage,
}

/// How far the withdrawal of a package is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Published,
    /// Asked for: it may have taken effect.
    Asked,
    Withdrawn,
}

/// A change that is under way.
#[derive(Debug)]
enum Asked {
    Register { package: String, release: u32 },
    Yank { package: String, release: u32 },
    Withdraw { package: String },
}

/// What whoever speaks with the node knows.
#[derive(Debug, Default)]
struct Client {
    packages: BTreeMap<String, Package>,
    under_way: HashMap<u64, Asked>,
    next_id: u64,
    acknowledged: u64,
}

/// Some number below this one. The seed of a hash map is as random as is needed here.
fn random(below: usize) -> usize {
    let number = RandomState::new().hash_one(0);
    usize::try_from(number % below as u64).unwrap()
}

impl Client {
    /// Asks for another change of one of these packages.
    fn ask(&mut self, node: &mut Node, names: &[String]) -> std::io::Result<()> {
        let name = &names[random(names.len())];
        let package = self.packages.entry(name.clone()).or_default();
        let kept: Vec<u32> =
            package.releases.iter().filter(|(_, yanked)| !**yanked).map(|(it, _)| *it).collect();
        self.next_id += 1;
        let id = self.next_id;
        let (asked, request) = if kept.len() > 3 && random(3) == 0 {
            let release = kept[random(kept.len())];
            let request =
                json!({"id": id, "op": "yank", "package": name, "version": version(release)});
            (Asked::Yank { package: name.clone(), release }, request)
        } else {
            package.asked += 1;
            let release = package.asked;
            let manifest = json!({"name": name, "version": version(release)});
            let request = json!({"id": id, "op": "register", "manifest": manifest});
            (Asked::Register { package: name.clone(), release }, request)
        };
        self.under_way.insert(id, asked);
        writeln!(node.input.as_mut().unwrap(), "{request}")
    }

    /// Asks for the withdrawal of a package that is there.
    fn withdraw(&mut self, node: &mut Node, name: &str) -> std::io::Result<()> {
        let Some(package) = self.packages.get_mut(name) else { return Ok(()) };
        if package.releases.is_empty() {
            return Ok(());
        }
        package.stage = Stage::Asked;
        self.next_id += 1;
        let id = self.next_id;
        self.under_way.insert(id, Asked::Withdraw { package: name.to_owned() });
        writeln!(
            node.input.as_mut().unwrap(),
            "{}",
            json!({"id": id, "op": "unregister", "package": name})
        )
    }

    /// Takes note of what the node says.
    fn hear(&mut self, line: &Value) {
        let Some(id) = line["id"].as_u64() else { return };
        let Some(asked) = self.under_way.remove(&id) else { return };
        assert!(line.get("error").is_none(), "{asked:?} was answered with {line}");
        self.acknowledged += 1;
        let (Asked::Register { package, .. }
        | Asked::Yank { package, .. }
        | Asked::Withdraw { package }) = &asked;
        let package = self.packages.get_mut(package).unwrap();
        match asked {
            Asked::Register { release, .. } => drop(package.releases.insert(release, false)),
            Asked::Yank { release, .. } => drop(package.releases.insert(release, true)),
            Asked::Withdraw { .. } => package.stage = Stage::Withdrawn,
        }
        let sequence = line["ok"]["sequence"].as_u64().unwrap();
        package.sequence = package.sequence.max(sequence);
    }

    /// Has it publish until this moment, and kills it. What it said before it died counts.
    fn kill_within(&mut self, mut node: Node, names: &[String], moment: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < moment {
            while self.under_way.len() < IN_FLIGHT {
                self.ask(&mut node, names).unwrap();
            }
            let left = moment.saturating_sub(begun.elapsed());
            if let Ok(line) = node.lines.recv_timeout(left) {
                self.hear(&serde_json::from_str(&line).unwrap());
            }
        }
        node.process.kill().unwrap();
        node.process.wait().unwrap();
        while let Ok(line) = node.lines.recv_timeout(PATIENCE) {
            // The last line may have been cut off.
            if let Ok(line) = serde_json::from_str(&line) {
                self.hear(&line);
            }
        }
        self.under_way.clear();
    }

    /// All that was acknowledged of this package is there.
    fn check(&mut self, node: &mut Node, name: &str) {
        let package = self.packages.get_mut(name).unwrap();
        match package.stage {
            Stage::Published if package.releases.is_empty() => return,
            Stage::Published => {}
            Stage::Asked => return,
            Stage::Withdrawn => {
                let get = json!({"id": name, "op": "get", "package": name});
                assert_eq!(node.ask_in_vain(get)["kind"], "withdrawn", "{name}");
                return;
            }
        }
        let listed = node.ask(json!({"id": name, "op": "versions", "package": name}));
        let yanked: HashMap<&str, bool> = listed["releases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["version"].as_str().unwrap(), it["yanked"].as_bool().unwrap()))
            .collect();
        for (release, is_yanked) in &package.releases {
            let found = yanked.get(version(*release).as_str());
            let found = *found.unwrap_or_else(|| panic!("{name} has lost {release}: {listed}"));
            assert!(found || !is_yanked, "{name}: {release} is no longer yanked: {listed}");
        }
        let sequence = listed["sequence"].as_u64().unwrap();
        assert!(sequence >= package.sequence, "{name}: {sequence} after {}", package.sequence);
        package.sequence = sequence;
        let (last, _) = package.releases.last_key_value().unwrap();
        let get = json!({"id": "g", "op": "get", "package": name, "version": version(*last)});
        assert_eq!(node.ask(get)["manifest"]["version"], json!(version(*last)));
    }
}

fn version(release: u32) -> String {
    format!("1.{release}.0")
}

fn names(life: u32) -> impl Iterator<Item = String> {
    (0..PACKAGES).map(move |number| format!("of-{life}-{number}"))
}

#[test]
fn what_was_acknowledged_outlives_kills_at_random_moments() {
    let kills = env::var("PEERAGE_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("alice.key").to_str().unwrap().to_owned();
    let mut client = Client::default();
    let begun = Instant::now();
    for life in 0..=kills {
        let mut node = Node::start_at(ANY_PORT, &["--key", &key]);
        let started = node.next_line();
        assert_eq!(started["event"], "started");
        assert_eq!(started["data"].get("set_aside"), None, "{started}");
        let known: Vec<String> = if life == kills {
            client.packages.keys().cloned().collect()
        } else {
            let lately = (1..=WITHDRAWN_AFTER + 1).filter_map(|ago| life.checked_sub(ago));
            let known = lately.flat_map(names);
            known.filter(|name| client.packages.contains_key(name)).collect()
        };
        // A fourth of them dies before it has said anything.
        if life == kills || random(4) > 0 {
            known.iter().for_each(|name| client.check(&mut node, name));
        }
        if life < kills {
            for name in life.checked_sub(WITHDRAWN_AFTER).into_iter().flat_map(names) {
                client.withdraw(&mut node, &name).unwrap();
            }
            let names: Vec<String> =
                life.checked_sub(1).into_iter().chain([life]).flat_map(names).collect();
            let moment = LATEST.mul_f64(random(1000) as f64 / 1000.0);
            client.kill_within(node, &names, moment);
        }
    }
    let (acknowledged, packages) = (client.acknowledged, client.packages.len());
    let took = begun.elapsed();
    println!("{kills} kills, {acknowledged} changes of {packages} packages acknowledged, {took:?}");
    assert!(acknowledged > u64::from(kills), "{acknowledged}: it was killed before it began");
}
