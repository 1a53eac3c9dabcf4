//! A file with many records that are held for others: how large it is, and how soon a node answers that starts from it.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Lines, Read as _, stdin},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE64URL_NOPAD;
use futures::{StreamExt as _, future::try_join};
use peerage::{
    Config, DhtMode, Event, Freshness, Handle, Limits, Manifest, Multiaddr, Node, PackageId,
    PeerId, Registry as _,
    identity::Keypair,
    record::{Head, NetworkName, RecordKey, Release, ReleaseEntry, Revision, Signed, Validity},
    storage::{Change, File, Storage as _, Table},
};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    dispatch::Outcome,
    nodes::Asker,
    report::{BytesEach, Report, Target},
    storage::folder,
    usage,
};

const HELD: usize = 100_000;
/// Held records of one owner: two of each package.
const RECORDS_OF_OWNER: usize = 20;
/// Peers who have put them.
const PUTTERS: u8 = 8;
/// Rows of a commit, as many as a busy node writes in a second.
const BATCH: usize = 1_024;
const STARTS: usize = 5;
/// Where the process that starts from a file finds it.
const START: &str = "PEERAGE_BENCH_START";
/// How much memory its held records may take, if it is not the default.
const MEMORY: &str = "PEERAGE_BENCH_MEMORY";
const SIZE: &str = "storage/bytes-on-disk";
const CALL: &str = "storage/start-of-100000-call";
const LOOKUP: &str = "storage/start-of-100000-lookup";
/// What the node of these starts has published itself.
const OWN: &str = "own-package";
/// So often a record is asked for that the node has not got yet.
const AGAIN: Duration = Duration::from_millis(5);
/// And for so long.
const LONGEST: Duration = Duration::from_secs(120);

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    if let Some(path) = env::var_os(START) {
        return serve(Path::new(&path));
    }
    if ![SIZE, CALL, LOOKUP].iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let folder = folder()?;
    let path = folder.path().join("held.redb");
    let written = Written::new(&path, HELD)?;
    let bytes = |total| BytesEach { total, things: HELD };
    report.once(SIZE, Target::AtMost(2.0), || bytes(written.on_disk), || bytes(written.own));
    if !report.wants(CALL) && !report.wants(LOOKUP) {
        return Ok(());
    }
    let mut starts = Vec::new();
    let start = || {
        let started = Started::elsewhere(&path, &written.asked);
        assert!(started.is_ok(), "{:?}", started.err());
        let started = started.unwrap_or_default();
        starts.push(started);
        [started.called, started.found]
    };
    let rows = [CALL, LOOKUP].map(|name| (name, Target::MillisMore(100.0)));
    report.rows(rows, STARTS, start, || [Duration::ZERO; 2]);
    // The first round is not counted.
    starts.iter().skip(1).for_each(|started| started.print(HELD));

    let path = folder.path().join("few.redb");
    let few = Written::new(&path, RECORDS_OF_OWNER)?;
    Started::elsewhere(&path, &few.asked)?.print(RECORDS_OF_OWNER);
    Ok(())
}

/// When what of a start was done, from just before the file is opened, and the memory of the process, which is the node's
/// own: who asks it runs in another one.
#[derive(Debug, Clone, Copy, Default)]
struct Started {
    opened: Duration,
    built: Duration,
    /// A caller had an answer.
    called: Duration,
    /// Another node had the record that is in the middle of the file.
    found: Duration,
    /// It had the last one, too.
    found_last: Duration,
    /// All was read.
    restored: Duration,
    rss_at_call: u64,
    /// When all was read.
    rss: u64,
}

impl Started {
    /// Starts a node in a process of its own, and asks it for these records.
    fn elsewhere(path: &Path, [middle, last]: &[RecordKey; 2]) -> Outcome<Self> {
        let asker = Asker::start(Node::builder(
            Keypair::generate_ed25519(),
            Config::new().with_mode(DhtMode::Client).with_listen([]),
        ))?;
        let mut serving = Serving::start(path, None)?;
        let address = serving.address()?;
        let handle = asker.handle.with_freshness(Freshness::All);
        let (found, found_last) = asker.run(async {
            handle.dial_address(address).await?;
            try_join(found(&handle, *middle), found(&handle, *last)).await
        })?;
        let [start, opened, built, called, restored, rss_at_call, rss] = serving.told()?;
        serving.end()?;
        let since = |nanos: u64| Duration::from_nanos(nanos.saturating_sub(start));
        Ok(Self {
            opened: since(opened),
            built: since(built),
            called: since(called),
            found: since(found),
            found_last: since(found_last),
            restored: since(restored),
            rss_at_call,
            rss,
        })
    }

    fn print(&self, records: usize) {
        let Self { opened, built, called, found, found_last, restored, .. } = self;
        eprintln!(
            "      start of {records}: open {opened:.1?}, built {built:.1?}, a call {called:.1?}, a lookup {found:.1?}, of \
             the last record {found_last:.1?}, all read {restored:.1?}; RSS {} MiB, at the end {} MiB",
            self.rss_at_call / 1024,
            self.rss / 1024
        );
    }
}

/// A node that serves a file in a process of its own.
pub(crate) struct Serving {
    child: Ended,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Serving {
    /// With so many bytes of memory for its records, or the default.
    pub(crate) fn start(path: &Path, memory: Option<usize>) -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(CALL).env(START, path);
        if let Some(memory) = memory {
            command.env(MEMORY, memory.to_string());
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut child = Ended(child);
        let stdout = child.0.stdout.take().ok_or("a process without an output")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    pub(crate) fn address(&mut self) -> Outcome<Multiaddr> {
        Ok(self.lines.next().ok_or("it does not start")??.parse()?)
    }

    /// The memory of the process in KiB, once it knows all of the file.
    pub(crate) fn restored(&mut self) -> Outcome<u64> {
        let [.., rss] = self.told()?;
        Ok(rss)
    }

    /// When what was done, and the memory of the process at the first answer and now, once it knows all of the file.
    fn told(&mut self) -> Outcome<[u64; 7]> {
        let told = self.lines.next().ok_or("it has ended early")??;
        Ok(serde_json::from_str(&told)?)
    }

    /// The time that the process has had on processors.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        usage::cpu(self.child.0.id())
    }

    /// The same at the end.
    pub(crate) fn end(mut self) -> Outcome<u64> {
        drop(self.child.0.stdin.take());
        let rss = self.lines.next().ok_or("it has ended early")??.parse()?;
        self.child.0.wait()?;
        Ok(rss)
    }
}

/// When another node has this record. It may not have been read yet when it is asked for.
async fn found(handle: &Handle, key: RecordKey) -> peerage::Result<u64> {
    let start = Instant::now();
    loop {
        match handle.get_record(key).await {
            Ok(_) => return Ok(nanos()),
            Err(error) if start.elapsed() > LONGEST => return Err(error),
            Err(_) => smol::Timer::after(AGAIN).await,
        };
    }
}

/// A process that does not outlive this value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a node from this file, tells where it listens and what came when, and serves until its input ends.
fn serve(path: &Path) -> Outcome<()> {
    let start = nanos();
    let file = File::open(path)?;
    let opened = nanos();
    let config =
        Config::new().with_mode(DhtMode::Server).with_listen(["/ip4/127.0.0.1/tcp/0".parse()?]);
    let config = match env::var(MEMORY) {
        Ok(memory) => config.with_limits(million(memory.parse()?)),
        Err(_) => config,
    };
    let (mut node, handle) = Node::builder(keypair()?, config).with_storage(file).build()?;
    let built = nanos();
    let peer = node.peer_id();
    let executor = smol::LocalExecutor::new();
    executor
        .spawn(async move {
            while let Some(event) = node.next().await {
                if let Event::Listening { address } = event
                    && let Ok(address) = address.with_p2p(peer)
                {
                    println!("{address}");
                }
            }
        })
        .detach();
    smol::block_on(executor.run(async {
        handle.get_package(PackageId::owned(peer, OWN.parse()?)).await?;
        let (called, rss_at_call) = (nanos(), resident_kib());
        while !handle.metadata().await?.storage.is_some_and(|storage| storage.is_restored) {
            smol::Timer::after(AGAIN).await;
        }
        let told = [start, opened, built, called, nanos(), rss_at_call, resident_kib()];
        println!("{}", serde_json::to_string(&told)?);
        smol::unblock(|| stdin().read_to_end(&mut Vec::new())).await?;
        println!("{}", resident_kib());
        Ok(())
    }))
}

/// For more than a million records of others, and one peer that puts very many.
pub(crate) fn million(memory: usize) -> Limits {
    Limits::new()
        .with_store_records(1_200_000)
        .with_store_bytes(500 << 20)
        .with_store_records_per_owner(300_000)
        .with_store_records_per_peer(300_000)
        .with_store_memory_bytes(memory)
        .with_requests_per_second(1_000_000)
        .with_request_burst(1_000_000)
}

/// A clock that all processes see alike.
fn nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Memory of this process, where the system tells (Linux).
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// What was written to a file.
pub(crate) struct Written {
    /// How many bytes the records have by themselves.
    own: usize,
    /// By how many bytes the file has grown.
    pub(crate) on_disk: usize,
    /// All records, in the order of the file.
    pub(crate) keys: Vec<RecordKey>,
    /// The records that are in the middle and at the end of the file.
    asked: [RecordKey; 2],
}

impl Written {
    /// Writes the file of a node that has published a package and holds so many records of others.
    pub(crate) fn new(path: &Path, count: usize) -> Outcome<Self> {
        let file = Arc::new(File::open(path)?);
        let config = Config::new().with_mode(DhtMode::Client).with_listen([]);
        let publisher =
            Asker::start(Node::builder(keypair()?, config).with_storage(Arc::clone(&file)))?;
        publisher.register(Manifest::new(OWN.parse()?, "1.0.0".parse()?));
        drop(publisher);
        let (records, marks) = records(count)?;
        // As a node writes them: a digest of the peer's id, of 12 bytes.
        let putters: Vec<_> = (0..PUTTERS).map(|peer| [peer; 12]).collect();
        let until = now()? + 24 * 3600;
        let before = file.size()?;
        for batch in records.chunks(BATCH) {
            let mut changes = Vec::with_capacity(BATCH);
            for ((key, bytes), putter) in batch.iter().zip(putters.iter().cycle()) {
                let value = postcard::to_stdvec(&(&bytes[..], until, Some(&putter[..])))?;
                let key = digest(key)?;
                changes.push(Change { table: Table::Held, key, value: Some(value) });
            }
            file.commit(&changes)?;
        }
        let on_disk = usize::try_from(file.size()? - before)?;
        // No more than a node remembers.
        let remembered = marks.len().min(Limits::new().remembered_sequences);
        for batch in marks.get(..remembered).unwrap_or_default().chunks(BATCH) {
            file.commit(batch)?;
        }
        let own = records.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut keys: Vec<_> = records.iter().map(|(key, _)| *key).collect();
        keys.sort_by_cached_key(|key| digest(key).unwrap_or_default());
        let (Some(middle), Some(last)) = (keys.get(keys.len() / 2), keys.last()) else {
            return Err("a file without records".into());
        };
        let asked = [*middle, *last];
        Ok(Self { own, on_disk, keys, asked })
    }
}

/// Heads that nobody has seen, of packages with one owner.
pub(crate) fn offers(count: usize) -> Outcome<Vec<Signed<Head>>> {
    let owner = Keypair::generate_ed25519();
    let id = owner.public().to_peer_id();
    let offer = |number| {
        let package = manifest(number)?;
        let release =
            Signed::sign(&owner, Release::new(NetworkName::default(), id, package.clone()))?;
        Ok(Signed::sign(&owner, head(id, package, &release)?)?)
    };
    (0..count).map(offer).collect()
}

/// A record as it is held.
type Row = (RecordKey, Arc<[u8]>);

/// Heads and releases of many owners, and the highest sequences that a node remembers that has seen them.
fn records(count: usize) -> Outcome<(Vec<Row>, Vec<Change>)> {
    let (mut records, mut marks) = (Vec::with_capacity(count), Vec::new());
    while records.len() < count {
        let owner = Keypair::generate_ed25519();
        let id = owner.public().to_peer_id();
        let key = owner.clone().try_into_ed25519()?.public().to_bytes();
        for number in 0..RECORDS_OF_OWNER / 2 {
            let package = manifest(number)?;
            let release = Release::new(NetworkName::default(), id, package.clone());
            let release = Signed::sign(&owner, release)?;
            let head = Signed::sign(&owner, head(id, package, &release)?)?;
            let name = head.name.as_str();
            let mark = postcard::to_stdvec(&(key, name, 0_u32, 1_u64, false, false, false))?;
            let key = [&key, name.as_bytes()].concat();
            marks.push(Change { table: Table::Sequences, key, value: Some(mark) });
            records.push((head.key(), Arc::clone(head.bytes())));
            records.push((release.key(), Arc::clone(release.bytes())));
        }
    }
    records.truncate(count);
    Ok((records, marks))
}

/// One that makes records of about 300 bytes.
fn manifest(number: usize) -> Outcome<Manifest> {
    Ok(Manifest::new(format!("package-{number}").parse()?, "1.2.0".parse()?)
        .with_description("A small HTTP server that fits into any program")
        .with_license("MIT OR Apache-2.0")
        .with_keywords(["http", "server"])
        .with_repository("https://example.org/tiny-http"))
}

fn head(owner: PeerId, manifest: Manifest, release: &Signed<Release>) -> Outcome<Head> {
    let entry =
        ReleaseEntry { version: manifest.version.clone(), digest: release.digest(), yanked: false };
    let (network, validity) = (NetworkName::default(), Validity::starting(now()?, 48 * 3600));
    Ok(Head::live(network, owner, Revision::new(0, 1), validity, manifest, vec![entry], None))
}

/// Under what a record is held.
fn digest(key: &RecordKey) -> Outcome<Vec<u8>> {
    let digest = key.as_str().rsplit('/').next().unwrap_or_default();
    Ok(BASE64URL_NOPAD.decode(digest.as_bytes())?)
}

pub(crate) fn now() -> Outcome<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// The node that starts again and again.
fn keypair() -> Outcome<Keypair> {
    Ok(Keypair::ed25519_from_bytes([7; 32])?)
}
