//! Changes that are read back: who counts, and when the caller is answered.

use crate::engine::interface::QueryEnd;
use std::collections::BTreeMap;

use super::*;
use crate::{
    package::{Receipt, Source},
    record::{Record, RecordKey},
};

type Waiting = oneshot::Receiver<Result<Receipt>>;

/// A lookup, and the bytes that were put under its key.
type ReadBack = (QueryKey, Vec<u8>);

/// A change whose puts have all been acknowledged by so many, and the lookups by which it is read back.
fn registered(lab: &mut Lab, version: &str, confirmation: u8) -> (Ticket, Waiting, Vec<ReadBack>) {
    registered_with(lab, version, confirmation, &[])
}

fn registered_with(
    lab: &mut Lab,
    version: &str,
    confirmation: u8,
    acknowledging: &[PeerId],
) -> (Ticket, Waiting, Vec<ReadBack>) {
    let manifest = Manifest::new("tool".parse().unwrap(), version.parse().unwrap());
    let manifest = Box::new(manifest);
    let (ticket, waiting) = lab.ask(|reply| Command::Register { manifest, confirmation, reply });
    let mut put = BTreeMap::new();
    let mut read_backs = Vec::new();
    for _ in 0..3 {
        for action in lab.actions() {
            match action {
                Action::Get { query, key, .. } => match put.get(&key) {
                    Some(bytes) => read_backs.push((query, Vec::clone(bytes))),
                    // The recall, in which nobody knows of the package.
                    None => lab.end(query, 3),
                },
                Action::Put { query, key, bytes } => {
                    put.insert(key, bytes);
                    let peers = acknowledging.to_vec();
                    lab.learn(Fact::Acknowledged { query, peers });
                    let end = QueryEnd::Stored { replicas: 7 };
                    lab.learn(Fact::QueryEnded { query, end });
                }
                _ => {}
            }
        }
    }
    (ticket, waiting, read_backs)
}

fn serve(lab: &mut Lab, (query, bytes): &ReadBack, from: PeerId) {
    lab.learn(Fact::Copy { query: *query, from: Some(from), bytes: bytes.clone() });
}

fn finished(lab: &mut Lab) -> usize {
    lab.actions().iter().filter(|action| matches!(action, Action::Finish { .. })).count()
}

#[test]
fn what_so_many_peers_serve_is_confirmed_and_asked_for_no_longer() {
    let mut lab = Lab::new(Config::new());
    let (_, mut waiting, read_backs) = registered(&mut lab, "1.0.0", 2);
    assert_eq!(read_backs.len(), 3, "the release, the claim and the head");
    let peers = [(); 2].map(|()| PeerId::random());
    for read_back in &read_backs {
        // Its own copy is none, and one that comes twice is one.
        lab.learn(Fact::Copy { query: read_back.0, from: None, bytes: read_back.1.clone() });
        serve(&mut lab, read_back, peers[0]);
        serve(&mut lab, read_back, peers[0]);
    }
    assert_eq!((&mut waiting).now_or_never(), None);
    assert_eq!(finished(&mut lab), 0);
    for read_back in &read_backs {
        serve(&mut lab, read_back, peers[1]);
    }
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.replicas, receipt.confirmed, receipt.confirmation), (7, 2, 2));
    assert!(receipt.is_confirmed());
    assert_eq!(finished(&mut lab), 3);
    read_backs.iter().for_each(|(query, _)| lab.end(*query, 2));
    assert!(lab.engine.is_at_rest());
}

#[test]
fn peers_that_acknowledged_and_serve_nothing_or_something_else_are_not_counted() {
    let mut lab = Lab::new(Config::new());
    let (_, first, read_backs) = registered(&mut lab, "1.0.0", 1);
    let old: Vec<Vec<u8>> = read_backs.iter().map(|(_, bytes)| bytes.clone()).collect();
    read_backs.iter().for_each(|read_back| serve(&mut lab, read_back, PeerId::random()));
    assert!(answer(first).unwrap().unwrap().is_confirmed());
    read_backs.iter().for_each(|(query, _)| lab.end(*query, 1));

    let (_, waiting, read_backs) = registered(&mut lab, "1.1.0", 3);
    let honest = PeerId::random();
    for read_back in &read_backs {
        serve(&mut lab, read_back, honest);
        // What stood there before, and nonsense.
        for bytes in old.iter().chain([&b"nonsense".to_vec()]) {
            serve(&mut lab, &(read_back.0, bytes.clone()), PeerId::random());
        }
        let without = (0..5).map(|_| PeerId::random()).collect();
        let end = QueryEnd::Lookup { answered: 9, unheard: 0, without };
        lab.learn(Fact::QueryEnded { query: read_back.0, end });
    }
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.replicas, receipt.confirmed, receipt.confirmation), (7, 1, 3));
    assert!(!receipt.is_confirmed());
}

#[test]
fn a_set_of_claims_confirms_whatever_else_is_in_it_but_not_without_the_claim() {
    let mut lab = Lab::new(Config::new());
    let (_, waiting, read_backs) = registered(&mut lab, "1.0.0", 2);
    let stranger = Keypair::generate_ed25519();
    let others = claims(&[&stranger], "tool");
    for (query, bytes) in &read_backs {
        let answers = match lab.engine.cx.store.verify(&others.key(), bytes) {
            Ok(Record::Claims { set, .. }) => {
                [set.merge(&others, UNIX), others.clone()].iter().map(ClaimSet::to_bytes).collect()
            }
            _ => vec![bytes.clone(), bytes.clone()],
        };
        for bytes in answers {
            serve(&mut lab, &(*query, bytes), PeerId::random());
        }
        lab.end(*query, 2);
    }
    assert_eq!(answer(waiting).unwrap().unwrap().confirmed, 1, "one of the two sets has it");
}

#[test]
fn the_deadline_holds_and_the_receipt_says_what_was_confirmed_by_then() {
    let mut lab = Lab::new(Config::new());
    let (_, waiting, read_backs) = registered(&mut lab, "1.0.0", 5);
    for read_back in &read_backs {
        serve(&mut lab, read_back, PeerId::random());
        serve(&mut lab, read_back, PeerId::random());
    }
    // One of the lookups has ended, two go on.
    lab.end(read_backs[0].0, 2);
    lab.advance(Duration::from_secs(30));
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.confirmed, receipt.confirmation), (2, 5));
    assert!(!receipt.is_confirmed());
    assert_eq!(finished(&mut lab), 2);
    read_backs[1..].iter().for_each(|(query, _)| lab.end(*query, 2));
    lab.actions();
    assert_eq!(lab.engine.publishing.changes_len(), 0);
}

#[test]
fn a_deadline_that_passes_while_peers_still_store_leaves_nothing_to_read_back() {
    let mut lab = Lab::new(Config::new());
    let manifest = Manifest::new("tool".parse().unwrap(), "1.0.0".parse().unwrap());
    let manifest = Box::new(manifest);
    let (_, waiting) = lab.ask(|reply| Command::Register { manifest, confirmation: 2, reply });
    let recall = only_recall(&mut lab);
    lab.end(recall, 3);
    let puts = lab.actions();
    lab.advance(Duration::from_secs(30));
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.replicas, receipt.confirmed, receipt.confirmation), (0, 0, 2));
    for action in puts {
        if let Action::Put { query, .. } = action {
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 3 } });
        }
    }
    assert!(lab.lookups().is_empty());
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_caller_who_goes_away_ends_the_read_backs_and_not_the_change() {
    let mut lab = Lab::new(Config::new());
    let (ticket, waiting, read_backs) = registered(&mut lab, "1.0.0", 2);
    drop(waiting);
    lab.engine.cancel(ticket);
    assert_eq!(finished(&mut lab), 3);
    read_backs.iter().for_each(|(query, _)| lab.end(*query, 0));
    assert!(lab.engine.is_at_rest());
    let (_, package) = lab.get(&PackageId::named("tool".parse().unwrap()));
    assert_eq!(answer(package).unwrap().unwrap().source, Source::Own);
}

#[test]
fn two_changes_of_one_package_are_each_confirmed_by_their_own_records() {
    let mut lab = Lab::new(Config::new());
    let (_, first, old) = registered(&mut lab, "1.0.0", 1);
    let manifest = Manifest::new("tool".parse().unwrap(), "1.1.0".parse().unwrap());
    let head = RecordKey::head(&NetworkName::default(), &lab.engine.cx.owner, &manifest.name);
    let is_of_head =
        |(query, _): &ReadBack| lab.engine.reading.queries().wanted(*query) == Some(head);
    let (of_head, old): (Vec<ReadBack>, Vec<ReadBack>) = old.into_iter().partition(is_of_head);
    let manifest = Box::new(manifest);
    let (_, mut second) = lab.ask(|reply| Command::Register { manifest, confirmation: 1, reply });
    // What the first wants to read back, the second goes on from.
    for read_back in &of_head {
        serve(&mut lab, read_back, PeerId::random());
        lab.end(read_back.0, 9);
    }
    let mut put = Vec::new();
    for action in lab.actions() {
        if let Action::Put { query, bytes, .. } = action {
            put.push(bytes);
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 7 } });
        }
    }
    // The claims are being asked for already; the new release and the head are not.
    let new = lab.lookups();
    assert_eq!(new.len(), 2);
    old.iter().for_each(|read_back| serve(&mut lab, read_back, PeerId::random()));
    assert!(answer(first).unwrap().unwrap().is_confirmed());
    assert_eq!((&mut second).now_or_never(), None);
    for bytes in &put {
        for query in old.iter().map(|(query, _)| *query).chain(new.clone()) {
            serve(&mut lab, &(query, bytes.clone()), PeerId::random());
        }
    }
    assert!(answer(second).unwrap().unwrap().is_confirmed());
    old.iter().map(|(query, _)| *query).chain(new).for_each(|query| lab.end(query, 9));
}

#[test]
fn a_node_that_stops_answers_who_waits_for_read_backs() {
    let mut lab = Lab::new(Config::new());
    let (_, waiting, _) = registered(&mut lab, "1.0.0", 2);
    lab.engine.shut_down();
    assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), "shutting_down");
}

#[test]
fn who_acknowledges_and_has_nothing_a_moment_later_was_not_there_when_it_should_have_been() {
    let mut lab = Lab::new(Config::new());
    let [honest, forgetful, silent, other] = [(); 4].map(|()| PeerId::random());
    let acknowledging = [honest, forgetful, silent];
    let (_, waiting, read_backs) = registered_with(&mut lab, "1.0.0", 3, &acknowledging);
    for read_back in &read_backs {
        serve(&mut lab, read_back, honest);
        // The last of them has promised nothing.
        let without = vec![forgetful, other];
        let end = QueryEnd::Lookup { answered: 3, unheard: 1, without };
        lab.learn(Fact::QueryEnded { query: read_back.0, end });
    }
    assert_eq!(answer(waiting).unwrap().unwrap().confirmed, 1);
    let failed = |peer| lab.engine.standing.reputations().get(&peer).failed;
    assert_eq!([honest, forgetful, silent, other].map(failed), [0, 3, 0, 0]);
    assert!(lab.engine.standing.reputations().score(&forgetful) < 50);
}

#[test]
fn who_was_asked_before_a_record_was_put_is_asked_again_and_not_blamed() {
    let mut lab = Lab::new(Config::new());
    // Somebody asks who publishes under the name, and the lookup goes on for a while.
    let (_, _reader) = lab.get(&PackageId::named("tool".parse().unwrap()));
    let early = only_lookup(&mut lab);
    let honest = PeerId::random();
    let (_, mut waiting, read_backs) = registered_with(&mut lab, "1.0.0", 1, &[honest]);
    assert_eq!(read_backs.len(), 2, "head and release; the claims are being asked for already");
    for read_back in &read_backs {
        serve(&mut lab, read_back, honest);
    }
    // It had answered that lookup before it was handed the claim.
    let end = QueryEnd::Lookup { answered: 1, unheard: 0, without: vec![honest] };
    lab.learn(Fact::QueryEnded { query: early, end });
    assert_eq!(lab.engine.standing.reputations().get(&honest).failed, 0);
    assert_eq!((&mut waiting).now_or_never(), None);
    let key = RecordKey::claims(&NetworkName::default(), &"tool".parse().unwrap());
    let (bytes, _) = lab.engine.cx.store.bytes(&key).unwrap();
    let again = only_lookup(&mut lab);
    serve(&mut lab, &(again, bytes), honest);
    assert!(answer(waiting).unwrap().unwrap().is_confirmed());
    read_backs.iter().for_each(|(query, _)| lab.end(*query, 1));
    lab.end(again, 1);
    assert!(lab.engine.is_at_rest());
}
