//! The engine alone: facts go in, actions and answers come out, and time is a number.
//!
//! The random calls and facts of [`random`] are the fuzz target `engine` as well, and what they need is compiled for it.
#![cfg_attr(fuzzing, allow(dead_code, reason = "most helpers are for the tests alone"))]

use std::{collections::BTreeSet, time::Duration};

use futures::{
    FutureExt,
    channel::{mpsc, oneshot},
};
use libp2p::{PeerId, identity::Keypair};

use super::*;
use crate::{
    clock::{Clock, Timer},
    config::Limits,
    counters::Counters,
    engine::{
        command::{Command, Reply, Request},
        interface::{AnnouncementId, QueryEnd},
    },
    error::Result,
    freshness::Freshness,
    package::{Manifest, Package, PackageId, PackageName},
    record::{
        Claim, ClaimSet, ClaimStatus, Head, NetworkName, Release, ReleaseEntry, Revision, Signed,
        Validity,
    },
    ticket::Ticket,
};

#[cfg(test)]
use crate::{
    engine::discovery::catalogue::{Catalogue, Load},
    error::Error,
    package::Digest,
};
#[cfg(test)]
use libp2p::Multiaddr;

#[cfg(test)]
mod announcing;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod conduct;
#[cfg(test)]
mod confirming;
#[cfg(test)]
mod counters;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod delegation;
#[cfg(test)]
mod dialing;
#[cfg(test)]
mod equivocations;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod goodbyes;
mod harness;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod listed;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod look_alikes;
#[cfg(test)]
mod lookups;
#[cfg(test)]
mod nearby;
#[cfg(test)]
mod nearness;
#[cfg(test)]
mod news;
#[cfg(test)]
mod no_room;
#[cfg(test)]
mod own_rows;
#[cfg(test)]
mod owners;
pub(crate) mod random;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rejoining;
#[cfg(test)]
mod repairs;
#[cfg(test)]
mod requirements;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod said;
#[cfg(test)]
mod saving;
#[cfg(test)]
mod searches;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shelf;
#[cfg(test)]
mod sleep;
#[cfg(test)]
mod sleepers;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod taken_back;
#[cfg(test)]
mod upkeep;
#[cfg(test)]
mod wrong_starts;

#[cfg(test)]
use harness::STARTED;
use harness::{Lab, Setup, UNIX};

/// Somebody else's package, with its head.
fn published(name: &str, sequence: u64) -> (PackageId, Signed<Head>) {
    published_by(&Keypair::generate_ed25519(), name, sequence)
}

pub(super) fn published_by(
    keypair: &Keypair,
    name: &str,
    sequence: u64,
) -> (PackageId, Signed<Head>) {
    let owner = keypair.public().to_peer_id();
    let network = crate::record::NetworkName::default();
    let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap());
    let release = Release::new(network.clone(), owner, manifest.clone());
    let entry = ReleaseEntry::of(&Signed::sign(keypair, release).unwrap());
    let head = Head::live(
        network,
        owner,
        Revision::new(0, sequence),
        Validity::starting(UNIX - 60, 3600),
        manifest.clone(),
        vec![entry],
        None,
    );
    (PackageId::owned(owner, manifest.name), Signed::sign(keypair, head).unwrap())
}

/// A peer of this network has said what it is.
fn introduced(peer: PeerId) -> Fact {
    let agent = Some("peerage".to_owned());
    Fact::Introduced { peer, agent, affiliation: Affiliation::Same }
}

fn copy(query: QueryKey, head: &Signed<Head>) -> Fact {
    Fact::Copy { query, from: Some(PeerId::random()), bytes: head.bytes().to_vec() }
}

fn answer<T>(receiver: oneshot::Receiver<Result<T>>) -> Option<Result<T>> {
    receiver.now_or_never().map(|answer| answer.expect("not dropped"))
}

fn only_lookup(lab: &mut Lab) -> QueryKey {
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    query
}

/// The lookup by which a package that is new here is recalled. Nobody claims its name.
fn only_recall(lab: &mut Lab) -> QueryKey {
    let [recall, claims] = lab.lookups()[..] else { panic!("of its head and of its claims") };
    lab.end(claims, 1);
    recall
}

/// A plain reader has read this head, so that it is remembered.
fn read_once(lab: &mut Lab, id: &PackageId, head: &Signed<Head>) {
    let (_, waiting) = lab.get(id);
    let query = only_lookup(lab);
    lab.learn(copy(query, head));
    lab.end(query, 1);
    assert!(answer(waiting).unwrap().is_ok());
}

fn two_heads(name: &str) -> (PackageId, [Signed<Head>; 2]) {
    let keypair = Keypair::generate_ed25519();
    let (id, old) = published_by(&keypair, name, 1);
    (id, [old, published_by(&keypair, name, 2).1])
}

fn tombstone(keypair: &Keypair, id: &PackageId, sequence: u64) -> Signed<Head> {
    let head = Head::withdrawn(
        NetworkName::default(),
        *id.owner().unwrap(),
        id.name().clone(),
        Revision::new(0, sequence),
        Validity::starting(UNIX - 60, 3600),
        "gone",
    );
    Signed::sign(keypair, head).unwrap()
}

fn claims(keypairs: &[&Keypair], name: &str) -> ClaimSet {
    let network = NetworkName::default();
    let mut set = ClaimSet::empty(network.clone(), name.parse().unwrap());
    for keypair in keypairs {
        let claim = Claim::new(
            network.clone(),
            keypair.public().to_peer_id(),
            name.parse().unwrap(),
            Revision::new(0, 1),
            Validity::starting(UNIX - 60, 3600),
            ClaimStatus::Active,
        );
        set = set.with(Signed::sign(keypair, claim).unwrap(), UNIX);
    }
    set
}

fn bytes_of(query: QueryKey, bytes: Vec<u8>) -> Fact {
    Fact::Copy { query, from: Some(PeerId::random()), bytes }
}

/// The sequence that a plain reader is told, from the shelf or by the node; `None` if the network is asked.
fn told_now(lab: &mut Lab, id: &PackageId) -> Option<u64> {
    if let Some(package) = lab.on_shelf(id) {
        return Some(package.sequence);
    }
    let (_, waiting) = lab.get(id);
    match answer(waiting) {
        Some(Ok(package)) => Some(package.sequence),
        Some(Err(_)) | None => None,
    }
}
