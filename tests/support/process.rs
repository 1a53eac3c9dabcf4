//! Peers that are processes: the `node` example as somebody would run it, spoken with in JSON over pipes.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// No answer of a healthy node takes anywhere near this long; a loaded machine may be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The example's executable. Cargo builds examples beside tests, but not those that have tests of their own;
/// so it is asked for it here, in the profile of this test, and has little left to do.
pub(crate) fn executable() -> &'static Path {
    static EXECUTABLE: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = env::current_exe().unwrap();
        let folder = test.parent().and_then(Path::parent).and_then(Path::file_name).unwrap();
        let profile = match folder.to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let cargo = env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
        let mut command = Command::new(cargo);
        // What cargo tells a test of its package. Build scripts watch some of it, and would run again for this build and
        // once more for the next one outside, each time with all that depends on them.
        for (name, _) in env::vars_os() {
            let is_of_package = |name: &str| {
                ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|it| name.starts_with(it))
            };
            if name.to_str().is_some_and(is_of_package) {
                command.env_remove(&name);
            }
        }
        let built = command
            .args(["build", "--example", "node", "--message-format", "json", "--quiet"])
            .args(["--profile", profile])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(built.status.success(), "the example does not build");
        let messages = String::from_utf8(built.stdout).unwrap();
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        messages
            .filter(|message| message["target"]["name"] == "node")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .expect("cargo says where the executable is")
    });
    &EXECUTABLE
}

/// A node that runs, and speaks JSON with this process.
pub(crate) struct Node {
    pub(crate) process: Child,
    pub(crate) input: Option<ChildStdin>,
    pub(crate) lines: Receiver<String>,
    /// Lines that were read while another one was waited for.
    pub(crate) unread: Vec<Value>,
}

pub(crate) const ANY_PORT: &str = "/ip4/127.0.0.1/tcp/0";

/// A node that listens here, and speaks JSON with this process.
pub(crate) fn command(address: &str) -> Command {
    let mut command = Command::new(executable());
    command.args(["--json", "--listen", address]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

impl Node {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at(ANY_PORT, arguments)
    }

    pub(crate) fn start_at(address: &str, arguments: &[&str]) -> Self {
        Self::of(command(address).args(arguments))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { process, input, lines, unread: Vec::new() }
    }

    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").and_then(|()| input.flush()).unwrap();
    }

    pub(crate) fn next_line(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("a line in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"))
    }

    /// The next line of which this holds, whatever comes before it.
    pub(crate) fn await_line(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(known) = self.unread.iter().position(&wanted) {
            return self.unread.remove(known);
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let line = self.next_line();
            if wanted(&line) {
                return line;
            }
            self.unread.push(line);
        }
        panic!("{what} did not come; these did: {:#?}", self.unread);
    }

    pub(crate) fn await_event(&mut self, event: &str) -> Value {
        self.await_line(event, |line| line["event"] == event)
    }

    pub(crate) fn await_answer(&mut self, id: &Value) -> Value {
        self.await_line(&format!("the answer to {id}"), |line| {
            line.get("id") == Some(id) && line.get("event").is_none()
        })
    }

    /// Asks, and answers with what came back under `ok`.
    pub(crate) fn ask(&mut self, request: Value) -> Value {
        self.say(&request.to_string());
        let answer = self.await_answer(&request["id"]);
        assert!(answer.get("error").is_none(), "{request} was answered with {answer}");
        answer["ok"].clone()
    }

    /// Asks, and answers with what came back under `error`.
    pub(crate) fn ask_in_vain(&mut self, request: Value) -> Value {
        self.say(&request.to_string());
        let answer = self.await_answer(&request["id"]);
        assert!(answer.get("ok").is_none(), "{request} was answered with {answer}");
        answer["error"].clone()
    }

    /// Waits for the process to end.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        // Its output ends with it.
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        self.process.wait().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Of a test that has failed; otherwise it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn started_and_listening(node: &mut Node) -> (String, String) {
    let started = node.next_line();
    assert_eq!(started["event"], "started", "the first line says who speaks");
    let listening = node.await_event("listening");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&started["peer"]), text(&listening["address"]))
}

/// Sends a process a signal.
#[cfg(unix)]
pub(crate) fn send(signal: &str, process: &Child) {
    let sent =
        Command::new("kill").arg(format!("-{signal}")).arg(process.id().to_string()).status();
    assert!(sent.unwrap().success(), "kill -{signal}");
}
