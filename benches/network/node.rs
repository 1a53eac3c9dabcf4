//! One `node` process, and what it has said.

use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Outcome, usage};

/// Longer than any call of the library takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Of packages with other names it is not remembered who has heard of them.
pub(crate) const WATCHED: &str = "reach-";

/// The example, and where its processes write their logs.
#[derive(Debug)]
pub(crate) struct Program {
    executable: PathBuf,
    log: File,
}

impl Program {
    /// Has cargo build the example beside this benchmark, in the same target directory.
    pub(crate) fn build() -> Outcome<Self> {
        let this = env::current_exe()?;
        let target = this.ancestors().nth(3).ok_or("the benchmark is in no target directory")?;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let mut build = Command::new(cargo);
        // Cargo tells a benchmark about its package by these, and a dependency (ring) is built again when they change.
        let is_about_package = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
        };
        for (name, _) in
            env::vars_os().filter(|(name, _)| is_about_package(&name.to_string_lossy()))
        {
            build.env_remove(name);
        }
        let built = build
            .args(["build", "--release", "--locked", "--quiet", "--example", "node"])
            .args(["--message-format", "json", "--manifest-path", manifest, "--target-dir"])
            .arg(target)
            .stderr(Stdio::inherit())
            .output()?;
        let messages = String::from_utf8(built.stdout)?;
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let executable = messages
            .filter(|message| message["target"]["name"] == "node")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .ok_or("the example does not build")?;
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("network.log");
        eprintln!("      the logs of all processes: {}", log.display());
        Ok(Self { executable, log: File::create(log)? })
    }
}

/// What a node has told of, by its events.
#[derive(Debug, Default)]
struct Heard {
    /// Peers that are connected now.
    peers: AtomicUsize,
    /// How often that has changed.
    changes: AtomicUsize,
    /// When it heard of a package, by name.
    packages: Mutex<HashMap<String, Instant>>,
}

impl Heard {
    fn event(&self, event: &Value, at: Instant) {
        match event["event"].as_str() {
            Some("connected") => {
                self.peers.fetch_add(1, Relaxed);
                self.changes.fetch_add(1, Relaxed);
            }
            Some("disconnected") => {
                self.peers.fetch_sub(1, Relaxed);
                self.changes.fetch_add(1, Relaxed);
            }
            Some("discovered") => {
                if let Some(name) = event["package"]["manifest"]["name"].as_str() {
                    let mut packages = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
                    packages.entry(name.to_owned()).or_insert(at);
                }
            }
            _ => {}
        }
    }
}

/// An answer or the address of a node, and when it came.
#[derive(Debug)]
struct Said {
    value: Value,
    at: Instant,
}

/// A process. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Node {
    process: Child,
    input: ChildStdin,
    said: Receiver<Said>,
    heard: Arc<Heard>,
    next_id: u64,
    pub(crate) started: Instant,
    pub(crate) is_alive: bool,
}

/// A request that was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    id: u64,
    at: Instant,
}

impl Node {
    /// Starts a process, and does not wait for it.
    pub(crate) fn start(program: &Program, bootstrap: &[String]) -> Outcome<Self> {
        Self::start_at(program, "/ip4/127.0.0.1/tcp/0", bootstrap)
    }

    /// The same, where it is to listen at this address.
    pub(crate) fn start_at(program: &Program, listen: &str, bootstrap: &[String]) -> Outcome<Self> {
        let mut command = Command::new(&program.executable);
        command.args(["--json", "--network", "bench", "--listen", listen]);
        command.args(bootstrap.iter().flat_map(|address| ["--bootstrap", address]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(program.log.try_clone()?);
        let started = Instant::now();
        let mut process = command.spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = input.zip(output).ok_or("the process has no pipes")?;
        let (sender, said) = channel();
        let heard = Arc::new(Heard::default());
        let node = Self {
            process,
            input,
            said,
            heard: heard.clone(),
            next_id: 0,
            started,
            is_alive: true,
        };
        thread::Builder::new().spawn(move || read(output, &heard, &sender))?;
        Ok(node)
    }

    /// Waits until it listens, and tells where.
    pub(crate) fn address(&mut self) -> Outcome<String> {
        let said = self.next(PATIENCE, |value| value["event"] == "listening")?;
        Ok(said.value["address"].as_str().ok_or("it listens nowhere")?.to_owned())
    }

    /// Makes a request: an operation, with its fields.
    pub(crate) fn send(&mut self, mut request: Value) -> Outcome<Asked> {
        self.next_id += 1;
        request["id"] = json!(self.next_id);
        let asked = Asked { id: self.next_id, at: Instant::now() };
        writeln!(self.input, "{request}")?;
        Ok(asked)
    }

    /// Waits for what came of a request, and tells how long that took.
    pub(crate) fn receive(&mut self, asked: Asked, within: Duration) -> Outcome<(Value, Duration)> {
        let mut said = self.next(within, |value| value["id"] == asked.id)?;
        match said.value.get_mut("ok") {
            Some(ok) => Ok((ok.take(), said.at - asked.at)),
            None => Err(said.value["error"].to_string().into()),
        }
    }

    /// As [`receive`](Self::receive), of a request that is to be answered with an error.
    pub(crate) fn receive_error(
        &mut self,
        asked: Asked,
        within: Duration,
    ) -> Outcome<(Value, Duration)> {
        let mut said = self.next(within, |value| value["id"] == asked.id)?;
        match said.value.get_mut("error") {
            Some(error) => Ok((error.take(), said.at - asked.at)),
            None => Err(format!("there is an answer: {}", said.value).into()),
        }
    }

    pub(crate) fn ask(&mut self, request: Value, within: Duration) -> Outcome<(Value, Duration)> {
        let asked = self.send(request)?;
        self.receive(asked, within)
    }

    fn next(&self, within: Duration, wanted: impl Fn(&Value) -> bool) -> Outcome<Said> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let said = self.said.recv_timeout(left)?;
            if wanted(&said.value) {
                return Ok(said);
            }
        }
    }

    /// Has the process stand still, as a machine that sleeps.
    pub(crate) fn freeze(&self) -> Outcome<()> {
        self.signal("STOP")
    }

    /// Has it go on.
    pub(crate) fn thaw(&self) -> Outcome<()> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> Outcome<()> {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.process.id().to_string()])
            .status()?
            .success();
        sent.then_some(()).ok_or_else(|| format!("no signal {signal} was sent").into())
    }

    /// Peers that are connected, as its events have it: it costs the node nothing to be asked.
    pub(crate) fn peers(&self) -> usize {
        self.heard.peers.load(Relaxed)
    }

    /// How often that number has changed.
    pub(crate) fn changes(&self) -> usize {
        self.heard.changes.load(Relaxed)
    }

    /// When it heard of a package of somebody else.
    pub(crate) fn heard_of(&self, name: &str) -> Option<Instant> {
        let packages = self.heard.packages.lock().unwrap_or_else(PoisonError::into_inner);
        packages.get(name).copied()
    }

    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        usage::cpu(self.process.id())
    }

    pub(crate) fn memory(&self) -> Outcome<f64> {
        usage::memory(self.process.id())
    }

    pub(crate) fn sockets(&self) -> Outcome<usize> {
        usage::sockets(self.process.id())
    }

    /// Has the process say goodbye to its peers, and waits until it has ended.
    pub(crate) fn leave(mut self) -> Outcome<()> {
        self.ask(json!({"op": "shutdown"}), PATIENCE)?;
        // Its output ends with it.
        while self.said.recv_timeout(PATIENCE).is_ok() {}
        Ok(())
    }

    /// Ends the process without a word.
    pub(crate) fn kill(&mut self) {
        self.is_alive = false;
        // It may have ended already.
        let _ = self.process.kill();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        let _ = self.process.wait();
    }
}

/// Reads until the process ends. Whoever waits for an answer hears of that by the end of the channel.
fn read(output: ChildStdout, heard: &Heard, sender: &Sender<Said>) {
    for line in BufReader::new(output).lines() {
        let (Ok(line), at) = (line, Instant::now()) else { return };
        // Of packages there may be millions.
        if line.starts_with(r#"{"event":"discovered""#) && !line.contains(WATCHED) {
            continue;
        }
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        if value.get("event").is_some() {
            heard.event(&value, at);
        }
        let is_awaited = value.get("event").is_none_or(|event| event == "listening");
        if is_awaited && sender.send(Said { value, at }).is_err() {
            return;
        }
    }
}

/// The request that publishes a package.
pub(crate) fn register(name: &str) -> Value {
    let manifest = json!({
        "name": name,
        "version": "1.0.0",
        "description": "A package that is published to see what that costs the others",
        "license": "MIT",
        "keywords": ["benchmark", "network"],
    });
    json!({"op": "register", "manifest": manifest})
}
