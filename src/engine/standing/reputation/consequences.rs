//! What follows from the conduct of peers: who is asked first, who is told to go, and what praise is worth.

use std::{cmp::Reverse, time::Duration};

use libp2p::{Multiaddr, PeerId};

use super::{conduct::Nearness, remembered::Judgement};
use crate::{
    engine::{context::Context, standing::Standing},
    place::named_peer,
    record::Record,
    reputation::Reputation,
};

/// What is to be done about a peer for its conduct.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::engine) enum Consequence {
    /// Gossip is told how it stands, if it is connected: from -1 to 1, with 0 for one of whom nothing is known.
    Tell { peer: PeerId, score: f64 },
    /// Connections with it are refused until then.
    Block { peer: PeerId, score: u8, until: Duration },
}

impl Standing {
    /// The bootstrap addresses, those of peers in the best standing first.
    pub(in crate::engine) fn ranked_bootstrap(&self, cx: &Context) -> Vec<Multiaddr> {
        let mut addresses = cx.config.bootstrap.clone();
        addresses.sort_by_cached_key(|address| {
            let known = named_peer(address).map(|peer| self.reputations.get(&peer));
            Reverse(known.unwrap_or_default().score())
        });
        addresses
    }

    /// A peer, connected by this address if it is connected, has answered a lookup with a valid copy, so long after the
    /// lookup began.
    pub(in crate::engine) fn credit(
        &mut self,
        peer: PeerId,
        address: Option<&Multiaddr>,
        record: &Record,
        after: Duration,
    ) {
        if is_service(record, &peer) {
            let nearness = address.map(Nearness::of).unwrap_or_default();
            self.reputations.delivered(peer, after, nearness);
        }
    }

    /// Some time has passed: how these stand may have changed.
    pub(in crate::engine) fn retell(&mut self, peers: &[PeerId]) {
        for peer in peers {
            self.reputations.retell(peer, false);
        }
    }

    /// The next conclusion from what has been seen since the last time.
    pub(in crate::engine) fn next_consequence(&mut self) -> Option<Consequence> {
        Some(match self.reputations.next_judgement()? {
            Judgement::Changed { peer, score } => {
                let neutral = f64::from(Reputation::default().score());
                Consequence::Tell { peer, score: (f64::from(score) - neutral) / neutral }
            }
            Judgement::Unbearable { peer, score } => {
                let until = self.reputations.time().saturating_add(Reputation::BLOCK_TIME);
                Consequence::Block { peer, score, until }
            }
        })
    }
}

/// Whether it is to a peer's credit that it serves this. What it has signed itself is no service to others, and claims
/// to a name anybody can make as many of as he likes.
fn is_service(record: &Record, peer: &PeerId) -> bool {
    match record {
        Record::Head(head) => head.owner != *peer && head.signer() != *peer,
        Record::Release(release) => release.owner != *peer && release.signer() != *peer,
        Record::Page(page) => page.owner != *peer && page.signer() != *peer,
        Record::Claims { .. } => false,
    }
}
