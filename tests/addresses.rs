//! What a node tells of where it is: to each peer what is of use to it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::net::IpAddr;

use futures::{StreamExt as _, executor::block_on};
use libp2p::{
    Swarm, identify,
    multiaddr::Protocol,
    swarm::{self, SwarmEvent},
};
use peerage::{
    Config, Event, Limits, Multiaddr,
    identity::Keypair,
    net::transport::{self, TransportConfig},
};

mod support;

use support::{Executor, Peer, within};

/// The addresses that a node tells whoever dials it here.
async fn told_at(address: &Multiaddr) -> Vec<IpAddr> {
    let keypair = Keypair::generate_ed25519();
    let transport =
        transport::tcp(&keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
    let config = identify::Config::new("/peerage/main/1.0.0".to_owned(), keypair.public());
    let behaviour = identify::Behaviour::new(config);
    let peer = keypair.public().to_peer_id();
    let config = swarm::Config::with_executor(|task| smol::spawn(task).detach());
    let mut swarm = Swarm::new(transport, behaviour, peer, config);
    swarm.dial(address.clone()).expect("a dial");
    let told = async {
        loop {
            if let SwarmEvent::Behaviour(identify::Event::Received { info, .. }) =
                swarm.select_next_some().await
            {
                return info.listen_addrs;
            }
        }
    };
    within("an introduction", told).await.iter().map(ip).collect()
}

fn ip(address: &Multiaddr) -> IpAddr {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        other => panic!("{other:?} is no address"),
    }
}

fn is_zoned(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[test]
fn a_node_that_listens_everywhere_tells_each_peer_what_is_of_use_to_it() {
    block_on(async {
        let wildcards = ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"];
        let listen = wildcards.map(|text| text.parse().expect("an address"));
        let mut node = Peer::start(Executor::Smol, Config::new().with_listen(listen));
        let mut dialed = Vec::new();
        // Its own machine always has this one. What comes before it is tried as well.
        while !dialed.iter().map(ip).any(|ip| ip == IpAddr::from([127, 0, 0, 1])) {
            let listening = |event| match event {
                Event::Listening { address } => Some(address),
                _ => None,
            };
            dialed.push(node.wait_for("an address", listening).await);
        }
        for address in &dialed {
            let here = ip(address);
            if is_zoned(&here) {
                continue;
            }
            let told = told_at(address).await;
            assert!(!told.iter().any(is_zoned), "{told:?} at {address}");
            assert_eq!(
                told.iter().any(IpAddr::is_loopback),
                here.is_loopback(),
                "{told:?} at {address}"
            );
            assert!(!told.is_empty(), "at {address}");
        }
    });
}
