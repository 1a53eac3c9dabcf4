//! A marketplace of five peers in one process, on loopback TCP, without a server and without a runtime.
//!
//! ```text
//! cargo run --release --example marketplace
//! cargo run --release --example marketplace -- --packages 50 path/to/manifests
//! ```
//!
//! Each peer is polled by another executor (`peer.rs`). Together they publish real manifests (`source.rs`);
//! then every peer finds, resolves, lists and searches what the others published, resolves what that depends on
//! (`needs.rs`), and sees what they yank and withdraw (`scenario.rs`). Each answer is checked against what was
//! published (`listing.rs`). Progress goes to standard error, and at the end a table to standard output (`report.rs`);
//! the exit code says whether every answer was right.

#![forbid(unsafe_code)]

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use futures::{executor::block_on, future::join_all};
use peerage::{Config, Limits, Manifest, NetworkName};
use tracing_subscriber::EnvFilter;

mod calls;
mod cargo_toml;
mod late;
mod listing;
mod needs;
mod peer;
mod report;
mod scenario;
mod source;
mod watch;

use peer::{Executor, Peer};
use report::{Outcome, Progress, Report, say};
use scenario::Market;
use watch::Watch;

/// Five peers on loopback TCP, each polled by another executor, publish, find and withdraw real packages.
#[derive(Debug, Parser)]
#[command(name = "marketplace")]
struct Options {
    /// Publish what lies below this folder: each Cargo.toml, and each *.json manifest of this registry's own
    /// form [default: the crates that this program was built with, out of the local cargo registry]
    folder: Option<PathBuf>,

    /// How many releases to publish at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    packages: usize,

    /// Let peers answer out of what they have heard announced, as they do unless configured otherwise; without
    /// this each read asks the network
    #[arg(long)]
    cache: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    match run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("marketplace: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers with the number of failures.
fn run(options: &Options) -> Result<usize, Box<dyn Error>> {
    let begun = Instant::now();
    let manifests = manifests(options)?;
    let mut report = Report::default();
    let config = config(options, manifests.len())?;
    let (peers, watches) = block_on(open(&config, &mut report))?;
    let owners: Vec<_> = peers.iter().map(|peer| peer.handle.peer_id()).collect();
    let listings = listing::distribute(manifests, &owners);
    let mut market = Market { peers, watches, listings };
    block_on(market.run(&mut report));
    block_on(market.join_late(&config, &mut report));
    stop(market.peers, &mut report);
    io::stdout().write_all(report.render(begun.elapsed()).as_bytes())?;
    Ok(report.failed())
}

fn manifests(options: &Options) -> Result<Vec<Manifest>, Box<dyn Error>> {
    let (found, whence) = match &options.folder {
        Some(folder) => {
            let found = source::of_folder(folder)
                .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
            (found, "below the folder")
        }
        None => (source::of_this_build()?, "of the crates that this program was built with"),
    };
    say(&format!("{} manifests {whence}\n", found.len()));
    for (reason, count) in &found.skipped {
        say(&format!("  skipped {count}: it {reason}\n"));
    }
    let mut manifests = found.into_manifests();
    manifests.truncate(options.packages);
    if manifests.is_empty() {
        return Err("there is nothing to publish: name a folder that holds manifests".into());
    }
    Ok(manifests)
}

fn config(options: &Options, releases: usize) -> peerage::Result<Config> {
    let limits = Limits::new();
    // Each release takes at most three records (head, claim, release), which every peer of so small a network
    // holds. One owner has a quarter of the store at the most.
    let records = releases.saturating_mul(3);
    let limits = limits
        .clone()
        .with_own_packages(limits.own_packages.max(releases))
        .with_catalogue_packages(limits.catalogue_packages.max(releases))
        .with_store_records_per_owner(limits.store_records_per_owner.max(records))
        .with_store_records(limits.store_records.max(4 * records));
    let network: NetworkName = "marketplace".parse()?;
    let config = Config::new().with_network(network).with_limits(limits);
    // The shortest time that there is.
    Ok(if options.cache { config } else { config.with_cache_ttl(Duration::from_millis(1)) })
}

/// Starts the peers. The first one is all that the others know when they start.
async fn open(
    config: &Config,
    report: &mut Report,
) -> Result<(Vec<Peer>, Vec<Watch>), Box<dyn Error>> {
    let mut progress = Progress::start("start", Executor::ALL.len());
    let (mut peers, mut watches) = (Vec::new(), Vec::new());
    let mut bootstrap = Vec::new();
    let mut lines = String::new();
    for executor in Executor::ALL {
        let config = config
            .clone()
            .with_listen(["/ip4/127.0.0.1/tcp/0".parse()?])
            .with_bootstrap(bootstrap.clone());
        let (peer, mut watch) = Peer::start(executor, config)?;
        watch.until(|seen| seen.address.is_some()).await;
        let address = watch.seen.address.clone().ok_or("a peer cannot listen on 127.0.0.1")?;
        lines += &format!("  {executor:<18}{address}\n");
        if bootstrap.is_empty() {
            bootstrap.push(address);
        }
        peers.push(peer);
        watches.push(watch);
        progress.advance(&[]);
    }
    progress.end();
    say(&lines);
    join(&mut peers, &mut watches, report).await;
    Ok((peers, watches))
}

fn stop(peers: Vec<Peer>, report: &mut Report) {
    let mut progress = Progress::start("shut down", peers.len());
    for peer in peers {
        let (executor, begun) = (peer.executor, Instant::now());
        let failure = peer.stop().err().map(|error| format!("{executor}: {error}"));
        let outcome = Outcome { took: begun.elapsed(), source: None, failure };
        progress.advance([&outcome]);
        report.add("shut down", outcome);
    }
    progress.end();
}

/// Has every peer come to know the others.
async fn join(peers: &mut [Peer], watches: &mut [Watch], report: &mut Report) {
    let mut progress = Progress::start("join the network", peers.len());
    let joins = peers.iter().zip(watches).map(|(peer, watch)| async move {
        let begun = Instant::now();
        let connected = watch.until(|seen| seen.peers > 0).await;
        let known = peer.handle.bootstrap().await;
        let failure = match known {
            Ok(known) if connected && known > 0 => None,
            Ok(_) => Some(format!("{} met nobody", peer.executor)),
            Err(error) => Some(format!("{}: {error}", peer.executor)),
        };
        Outcome { took: begun.elapsed(), source: None, failure }
    });
    for outcome in join_all(joins).await {
        progress.advance([&outcome]);
        report.add("join the network", outcome);
    }
    progress.end();
}
