//! What it costs to keep things on disk: calls that wait for their commit, and many of them that share commits.
//!
//! Files lie in cargo's folder for temporary files, which is on a disk.

use std::{
    cell::Cell,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use futures::future::join_all;
use peerage::{
    Config, DhtMode, Manifest, Node, NodeBuilder, Registry as _,
    identity::Keypair,
    storage::{Change, File, Storage as _, Table},
};
use tempfile::TempDir;

use crate::{
    dispatch::{Outcome, manifest},
    nodes::{Asker, Nodes},
    report::{Report, Target},
};

const SERVERS: usize = 20;
const ROUNDS: usize = 7;
/// Registers of a round, one after the other.
const WRITES: usize = 20;
/// Registers at a time.
const IN_FLIGHT: usize = 64;
/// As many packages as all rounds of all rows publish.
const OWN_PACKAGES: usize = 4_096;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let folder = folder()?;
    in_a_network(report, &folder)?;
    lone(report, &folder)?;
    together(report, &folder)
}

/// A new folder on a disk.
pub(crate) fn folder() -> Outcome<TempDir> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder)?;
    Ok(tempfile::tempdir_in(folder)?)
}

/// What a caller of `register` waits for in a network, with a file and without.
fn in_a_network(report: &Report, folder: &TempDir) -> Outcome<()> {
    let [one, many] = ["storage/register-p50", "storage/register-64-in-flight-p50"];
    if !report.wants(one) && !report.wants(many) {
        return Ok(());
    }
    let network = Nodes::new(SERVERS)?;
    let file = File::open(folder.path().join("network.redb"))?;
    let with = Publisher::new("kept", Asker::join_with(&network, config(), file)?);
    let without = Publisher::new("lost", Asker::join(&network, config())?);
    let p50 = |publisher: &Publisher| [median(publisher.one_by_one(WRITES))];
    report.rows([(one, Target::AtMost(1.5))], ROUNDS, || p50(&with), || p50(&without));
    let p50 = |publisher: &Publisher| [median(publisher.together(IN_FLIGHT).1)];
    report.rows([(many, Target::AtMost(1.5))], ROUNDS, || p50(&with), || p50(&without));
    with.print_commits("storage/register in a network")
}

/// The same of a node that knows nobody: nothing hides the disk.
fn lone(report: &Report, folder: &TempDir) -> Outcome<()> {
    let name = "storage/lone-register-p50";
    if !report.wants(name) {
        return Ok(());
    }
    let commit = commit(&folder.path().join("commits.redb"))?;
    let file = File::open(folder.path().join("lone.redb"))?;
    let with = Publisher::new("kept", Asker::start(isolated().with_storage(file))?);
    let without = Publisher::new("lost", Asker::start(isolated())?);
    let p50 = |publisher: &Publisher| [median(publisher.one_by_one(WRITES))];
    report.rows([(name, Target::MillisMore(20.0))], ROUNDS, || p50(&with), || p50(&without));
    eprintln!("      {name}: a commit of one row to another file takes {commit:?}");
    Ok(())
}

/// Registers at once, which share commits, beside as many one after the other, each of which has a commit of its own.
fn together(report: &Report, folder: &TempDir) -> Outcome<()> {
    let name = "storage/registers-64-in-flight";
    if !report.wants(name) {
        return Ok(());
    }
    let start = |name: &'static str| -> Outcome<_> {
        let file = File::open(folder.path().join(format!("{name}.redb")))?;
        Ok(Publisher::new(name, Asker::start(isolated().with_storage(file))?))
    };
    let (many, single) = (start("many")?, start("each")?);
    let all = || many.together(IN_FLIGHT).0;
    let each = || single.one_by_one(IN_FLIGHT).iter().sum();
    report.row(name, Target::AtLeast(5.0), ROUNDS, all, each);
    many.print_commits("storage/registers, 64 in flight")?;
    single.print_commits("storage/registers, one after the other")
}

/// What one commit of one row takes.
fn commit(path: &Path) -> Outcome<Duration> {
    let file = File::open(path)?;
    let mut times = Vec::new();
    for number in 0..WRITES {
        let value = Some(vec![7; 300]);
        let row = Change { table: Table::Own, key: number.to_be_bytes().to_vec(), value };
        let start = Instant::now();
        file.commit(&[row])?;
        times.push(start.elapsed());
    }
    Ok(median(times))
}

fn config() -> Config {
    let config = Config::new();
    let limits = config.limits.clone().with_own_packages(OWN_PACKAGES);
    config.with_limits(limits)
}

/// A node that nobody can reach.
fn isolated() -> NodeBuilder {
    let config = config().with_mode(DhtMode::Client).with_listen([]);
    Node::builder(Keypair::generate_ed25519(), config)
}

/// Who publishes one new package after another.
struct Publisher {
    asker: Asker,
    /// What their names begin with.
    prefix: &'static str,
    published: Cell<usize>,
}

impl Publisher {
    fn new(prefix: &'static str, asker: Asker) -> Self {
        Self { asker, prefix, published: Cell::new(0) }
    }

    fn next(&self, count: usize) -> Vec<Manifest> {
        let from = self.published.replace(self.published.get() + count);
        let named = |number| manifest(&format!("{}-{number}", self.prefix)).ok();
        (from..from + count).filter_map(named).collect()
    }

    /// What each call took.
    fn one_by_one(&self, count: usize) -> Vec<Duration> {
        let manifests = self.next(count).into_iter();
        manifests.map(|manifest| self.asker.register(manifest)).collect()
    }

    /// What all calls took, and each of them.
    fn together(&self, count: usize) -> (Duration, Vec<Duration>) {
        let manifests = self.next(count);
        let start = Instant::now();
        let calls = manifests.into_iter().map(|manifest| async {
            let answer = self.asker.handle.register(manifest).await;
            assert!(answer.is_ok(), "{answer:?}");
            start.elapsed()
        });
        let times = self.asker.run(join_all(calls));
        (start.elapsed(), times)
    }

    /// In how many commits all of this was written.
    fn print_commits(&self, what: &str) -> Outcome<()> {
        let metadata = self.asker.run(self.asker.handle.metadata())?;
        let storage = metadata.storage.ok_or("a node without a storage")?;
        let (packages, commits, rows) = (self.published.get(), storage.commits, storage.rows);
        eprintln!("      {what}: {packages} packages in {commits} commits, of {rows} rows");
        Ok(())
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
