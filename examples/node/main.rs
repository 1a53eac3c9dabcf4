//! A registry peer to run from a shell.
//!
//! ```text
//! cargo run --example node -- --listen /ip4/127.0.0.1/tcp/4001 --key alice.key
//! cargo run --example node -- --bootstrap /ip4/127.0.0.1/tcp/4001 --executor tokio
//! cargo run --example node -- --mdns
//! ```
//!
//! With `--key`, it also keeps what it knows: in a database beside the key file, or where `--data` says. So it may be
//! killed at any time, and started again with the same key. Without a key it is somebody else each time, and keeps
//! nothing. See `data.rs`.
//!
//! It reads commands from standard input, or with `--json` a JSON object a line (see `json.rs`), and prints
//! answers and events. Logs go to standard error; `RUST_LOG` says which.
//!
//! It leaves when its input ends, at `quit`, when nobody reads its output any more, and at `SIGTERM` or `SIGINT` (at
//! a prompt at `SIGHUP` too): it says goodbye to its peers, and its exit status is 0. See `signals.rs`. It is 1 if
//! the node cannot be started, and 2 if the options are wrong.
//!
//! `NODE_CLOCK_OFFSET` in the environment has its clock wrong by a duration, for trials: see `clock.rs`.
//!
//! The library belongs to no runtime, and this program shows it: `session::drive` is one future that holds
//! the whole peer, and `Executor::run` has whichever executor was chosen poll it.

#![forbid(unsafe_code)]

use std::{
    error::Error,
    io::{self, IsTerminal},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use humantime_serde::re::humantime::parse_duration;
use peerage::{
    Config, DhtMode, DnsConfig, Handle, KeyFile, KeyFileError, MdnsConfig, Multiaddr, NetworkName,
    Node, TransportConfig, identity::Keypair,
};
use tracing_subscriber::EnvFilter;

mod about;
mod clock;
mod data;
mod input;
mod json;
mod ops;
mod output;
mod peers;
mod prompt;
mod session;
mod signals;
mod undo;

use data::Found;
use session::Form;

/// A peer of the package registry.
#[derive(Debug, Parser)]
#[command(name = "node")]
struct Options {
    /// The key file, which is this peer's identity; created if missing [default: a new identity each time]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// The folder for what it knows; created if missing [default: `alice.peerage` beside `alice.key`]
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data: Option<PathBuf>,

    /// Keep nothing of what it knows
    #[arg(long)]
    memory: bool,

    /// A snapshot to start from, beside what it has kept: a file that the command `export` has written
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,

    /// Where to listen; may be given several times [default: a free port on every interface]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<Multiaddr>,

    /// A peer to dial at the start, by IP address or by name (/dns/…, /dnsaddr/…); may be given several times
    #[arg(long, value_name = "ADDRESS")]
    bootstrap: Vec<Multiaddr>,

    /// A DNS server to ask for names; may be given several times [default: those of the operating system]
    #[arg(long, value_name = "IP:PORT")]
    dns: Vec<SocketAddr>,

    /// Find peers on the local network, and be found there: they need no address of each other
    #[arg(long)]
    mdns: bool,

    /// How long to leave a peer alone that has left, before it is dialed again [default: 1min]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    rejoin_interval: Option<Duration>,

    /// The network to belong to; networks never mix
    #[arg(long, value_name = "NAME", default_value_t = NetworkName::default())]
    network: NetworkName,

    /// What polls the peer; `futures` costs an idle one least
    #[arg(long, value_enum, default_value_t = Executor::Futures)]
    executor: Executor,

    /// Only ask the others, and hold no records for them
    #[arg(long)]
    client: bool,

    /// Take requests and print answers and events as JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// What polls the peer.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Executor {
    Smol,
    Tokio,
    Futures,
}

impl Executor {
    /// Has this executor run a future to its end. That is all that the library needs of any of them: the
    /// tokio one is built without its timers and sockets.
    fn run(self, future: impl Future<Output = ()>) -> io::Result<()> {
        match self {
            Self::Smol => smol::block_on(future),
            Self::Tokio => tokio::runtime::Builder::new_current_thread().build()?.block_on(future),
            Self::Futures => futures::executor::block_on(future),
        }
        Ok(())
    }
}

impl Options {
    fn checked(self) -> Result<Self, clap::Error> {
        if self.data.is_some() && self.key.is_none() {
            let reason =
                "`--data` keeps the data of one identity: name its key file with `--key FILE`";
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, reason));
        }
        Ok(self)
    }

    /// Where its data is kept, if it is.
    fn folder(&self) -> Option<PathBuf> {
        let beside_key = || self.key.as_deref().map(data::beside);
        if self.memory { None } else { self.data.clone().or_else(beside_key) }
    }
}

fn main() -> ExitCode {
    let options = Options::parse().checked().unwrap_or_else(|error| error.exit());
    log_to_standard_error();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let keypair = identity(&options)?;
    let form = match (options.json, io::stdin().is_terminal() && io::stdout().is_terminal()) {
        (true, _) => Form::Json,
        (false, true) => Form::Prompt,
        (false, false) => Form::Words,
    };
    let executor = options.executor;
    let leave = signals::watch(form)?;
    let started = start(keypair, options)?;
    let Started { node, handle, found } = started;
    let input = input::spawn(move |line| form.parse(line))?;
    let mut output = output::Output::to(io::stdout())?;
    output.answer(form.started(handle.peer_id(), handle.network(), found.as_ref()));
    executor.run(session::drive(node, handle, form, input, output, leave))?;
    Ok(())
}

/// A node, and what of its data was found.
struct Started {
    node: Node,
    handle: Handle,
    found: Option<Found>,
}

fn start(keypair: Keypair, options: Options) -> Result<Started, Box<dyn Error>> {
    let (folder, import) = (options.folder(), options.import.clone());
    let mut builder =
        Node::builder(keypair, config(options)).with_clock(clock::from_environment()?);
    if let Some(file) = import {
        builder = builder.with_snapshot(data::import(&file)?);
    }
    let mut found = None;
    if let Some(folder) = &folder {
        let (file, what) = data::open(folder)?;
        found = Some(what);
        builder = builder.with_storage(file);
    }
    match (builder.build(), folder) {
        (Ok((node, handle)), _) => Ok(Started { node, handle, found }),
        (Err(error @ peerage::Error::Storage { .. }), Some(folder)) => {
            Err(data::cannot_keep(&folder, error))
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn identity(options: &Options) -> Result<Keypair, KeyFileError> {
    let Some(path) = &options.key else {
        eprintln!(
            "node: a new identity for this run, and nothing is kept; `--key FILE` keeps both"
        );
        return Ok(Keypair::generate_ed25519());
    };
    let file = KeyFile::new(path);
    if let Some(keypair) = file.load()? {
        return Ok(keypair);
    }
    let keypair = file.load_or_create()?;
    eprintln!("node: a new identity, kept in {}", path.display());
    Ok(keypair)
}

fn config(options: Options) -> Config {
    let mode = if options.client { DhtMode::Client } else { DhtMode::Server };
    let mut config = Config::new()
        .with_network(options.network)
        .with_bootstrap(options.bootstrap)
        .with_mode(mode)
        .with_transport(
            TransportConfig::new().with_dns(DnsConfig::new().with_servers(options.dns)),
        );
    if let Some(interval) = options.rejoin_interval {
        config = config.with_rejoin_interval(interval);
    }
    if options.mdns {
        config = config.with_mdns(MdnsConfig::new());
    }
    if options.listen.is_empty() { config } else { config.with_listen(options.listen) }
}

fn log_to_standard_error() {
    let usual = || EnvFilter::new("warn");
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| usual()))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn addresses_may_be_given_several_times_and_are_checked() {
        let arguments =
            ["node", "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip6/::1/tcp/0", "--client"];
        let options = Options::try_parse_from(arguments).unwrap();
        let config = config(options);
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.mode, DhtMode::Client);
        assert!(Options::try_parse_from(["node", "--listen", "localhost:80"]).is_err());
        assert!(Options::try_parse_from(["node", "--network", ""]).is_err());
    }

    #[test]
    fn data_is_kept_with_a_key_unless_told_otherwise() {
        let options = |arguments: &[&str]| {
            let arguments = ["node"].iter().chain(arguments);
            Options::try_parse_from(arguments).and_then(Options::checked)
        };
        let folder = |arguments: &[&str]| options(arguments).unwrap().folder();
        assert_eq!(folder(&[]), None);
        assert_eq!(folder(&["--key", "alice.key"]), Some("alice.peerage".into()));
        assert_eq!(folder(&["--key", "alice.key", "--data", "d"]), Some("d".into()));
        assert_eq!(folder(&["--key", "alice.key", "--memory"]), None);
        let error = options(&["--data", "d"]).unwrap_err().to_string();
        assert!(error.contains("`--key FILE`"), "{error}");
        assert!(options(&["--key", "a", "--data", "d", "--memory"]).is_err());
    }

    #[test]
    fn each_executor_runs_a_future_to_its_end() {
        for executor in Executor::value_variants() {
            let mut done = false;
            executor.run(async { done = true }).unwrap();
            assert!(done, "{executor:?}");
        }
    }
}
