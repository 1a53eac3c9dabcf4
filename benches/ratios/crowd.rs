//! Many callers who ask for one package at once.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use peerage::{Config, Registry as _};

use crate::{
    client::Client,
    dispatch::Outcome,
    network::{Held, Network},
    report::{Report, Target},
};

const SERVERS: usize = 20;
const CALLERS: usize = 10_000;
const ROUNDS: usize = 21;
/// Longer than a request takes to its server.
const UNDER_WAY: Duration = Duration::from_millis(50);

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let name = "one-package/crowd";
    if !report.wants(name) {
        return Ok(());
    }
    // Each round asks for what the node has not read yet.
    let network = Network::new(SERVERS, 2 * (ROUNDS + 1))?;
    let config = Config::new().with_command_capacity(CALLERS);
    let client = RefCell::new(Client::join(&network, config)?);
    let unread = RefCell::new(network.held().iter());
    let lookup = |callers| {
        let (mut client, before) = (client.borrow_mut(), network.requests());
        let held = unread.borrow_mut().next();
        let time = held.map(|held| ask(&mut client, callers, held)).unwrap_or_default();
        client.rest(UNDER_WAY);
        // One lookup asks no more servers than Kademlia asks at a time, and the first of them answers it.
        let (made, of_one) = (network.requests() - before, libp2p_kad::ALPHA_VALUE.get());
        assert!(
            made <= of_one,
            "{callers} callers made {made} requests, where one lookup makes {of_one}"
        );
        time
    };
    let target = Target::MillisMore(10.0);
    report.row(name, target, ROUNDS, || lookup(CALLERS), || lookup(1));
    Ok(())
}

/// From handing over the first call to receiving the last answer.
fn ask(client: &mut Client, callers: usize, held: &Held) -> Duration {
    let handle = client.handle.clone();
    let mut calls: FuturesUnordered<_> = (0..callers)
        .map(|_| held.package.clone())
        .map(|package| async { handle.get_package(package).await })
        .collect();
    let start = Instant::now();
    client.run(async {
        while let Some(answer) = calls.next().await {
            assert!(answer.is_ok_and(|package| package.id.name() == held.package.name()));
        }
    });
    start.elapsed()
}
