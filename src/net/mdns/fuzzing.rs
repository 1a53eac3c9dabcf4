//! What the fuzz target of discovery drives.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how it says that something does not hold"
)]

use std::time::Duration;

use libp2p::PeerId;

use super::{
    Interface,
    machine::{Machine, Output},
    packet::{self, Asked, MAX_ADDRESSES, MAX_PEERS, Packet},
};
use crate::{clock::Entropy, config::MdnsConfig};

const NAME: &str = "vlr2cg0rh6mmtxnnwzzzyb4zqhyh6l4s";

/// Reads a packet as it comes from a neighbour: what is read keeps to the bounds and says the same when it is written and
/// read again, and all that becomes of it is one answer, or peers that are found.
pub(crate) fn packet(bytes: &[u8]) {
    if let Some(Packet::Answer(all)) = packet::read(bytes) {
        assert!((1..=MAX_PEERS).contains(&all.len()));
        for told in all {
            assert!((1..=MAX_ADDRESSES).contains(&told.addresses.len()));
            for written in packet::answer(Asked::Peers, NAME, told.peer, &told.addresses, told.ttl)
            {
                let Some(Packet::Answer(again)) = packet::read(&written) else {
                    panic!("what was written is no answer");
                };
                for again in again {
                    assert_eq!((again.peer, again.ttl), (told.peer, told.ttl));
                    assert!(again.addresses.iter().all(|it| told.addresses.contains(it)));
                }
            }
        }
    }
    hear(bytes);
}

fn hear(bytes: &[u8]) {
    let local = PeerId::from_bytes(&identity(9)).expect("an identity");
    let mut machine = Machine::new(local, &MdnsConfig::new(), Box::new(Same));
    let now = Duration::from_secs(1);
    let on = Interface::V4([10, 0, 0, 1].into());
    machine.up(now, on, vec!["10.0.0.1/8".parse().expect("a network")]);
    machine.listen(now, vec!["/ip4/10.0.0.1/tcp/1".parse().expect("an address")]);
    for _ in 0..2 {
        machine.hear(now, on, [10, 0, 0, 2].into(), bytes);
    }
    machine.expire(now + Duration::from_secs(2));
    let outputs: Vec<Output> = std::iter::from_fn(|| machine.next_output()).collect();
    let sent = outputs.iter().filter(|output| matches!(output, Output::Send { .. })).count();
    assert_eq!(sent, 2, "one question and one answer");
    assert!(outputs.len() <= sent + 2 * MAX_PEERS);
}

/// The identity multihash of a key of Ed25519.
fn identity(seed: u8) -> Vec<u8> {
    [&[0, 36, 8, 1, 18, 32][..], &[seed; 32]].concat()
}

/// What is said on a local network.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    let peer = PeerId::from_bytes(&identity(1)).expect("an identity");
    let address = |text: &str| text.parse().expect("an address");
    let addresses: Vec<_> =
        ["/ip4/10.0.0.7/tcp/4001", "/ip6/fd00::7/udp/4001/quic-v1", "/ip4/127.0.0.1/tcp/1"]
            .map(address)
            .into();
    let ttl = Duration::from_secs(360);
    let asked = [Asked::Peers, Asked::Services, Asked::Both];
    let answers = asked.map(|asked| packet::answer(asked, NAME, peer, &addresses, ttl));
    packet::query(7).into_iter().chain(answers.into_iter().flatten()).collect()
}

struct Same;

impl Entropy for Same {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(128);
    }
}
