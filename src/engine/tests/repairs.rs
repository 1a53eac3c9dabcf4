//! Replicas that lack the newest record are sent it, and nobody else is.

use super::*;
use crate::engine::interface::{QueryEnd, Reach};
use crate::freshness::Freshness;

fn copy_of(query: QueryKey, head: &Signed<Head>, from: PeerId) -> Fact {
    Fact::Copy { query, from: Some(from), bytes: head.bytes().to_vec() }
}

/// Reads a package of which one peer holds an older head. Its repair is put in line.
fn provoke_repair(lab: &mut Lab, name: &str) {
    let (id, [old, new]) = two_heads(name);
    let (_, _waiting) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(lab);
    lab.learn(copy(query, &old));
    lab.learn(copy(query, &new));
    lab.end(query, 2);
}

/// The repairs that have been started since the last look: what is sent to whom.
fn repairs(lab: &mut Lab) -> Vec<(QueryKey, Vec<u8>, Vec<PeerId>)> {
    lab.actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Repair { query, bytes, peers, .. } => Some((query, bytes, peers)),
            _ => None,
        })
        .collect()
}

#[test]
fn replicas_that_are_found_stale_or_absent_are_sent_the_newest_record_once_a_minute() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    let [fresh, stale, absent] = [(); 3].map(|()| PeerId::random());
    for _ in 0..2 {
        let (_, waiting) = lab.get_as(&id, Freshness::All);
        let query = only_lookup(&mut lab);
        lab.learn(copy_of(query, &new, fresh));
        lab.learn(copy_of(query, &old, stale));
        let end = QueryEnd::Lookup { answered: 3, unheard: 0, without: vec![absent] };
        lab.learn(Fact::QueryEnded { query, end });
        assert_eq!(answer(waiting).unwrap().unwrap().sequence, 2);
        let [(repair, bytes, peers)] = &repairs(&mut lab)[..] else { panic!("one repair") };
        assert_eq!(bytes[..], new.bytes()[..]);
        assert!(peers.len() == 2 && [stale, absent].iter().all(|peer| peers.contains(peer)));
        // Meanwhile nobody repairs it again, be it that they will not take it.
        let (_, _waiting) = lab.get_as(&id, Freshness::All);
        let query = only_lookup(&mut lab);
        lab.learn(copy_of(query, &new, fresh));
        lab.learn(copy_of(query, &old, stale));
        lab.end(query, 2);
        assert!(repairs(&mut lab).is_empty());
        lab.learn(Fact::QueryEnded { query: *repair, end: QueryEnd::Stored { replicas: 2 } });
        assert!(lab.engine.is_at_rest());
        lab.advance(Duration::from_secs(61));
    }
}

#[test]
fn a_first_copy_repairs_what_was_seen_on_the_way_to_it() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    let stale = PeerId::random();
    lab.learn(copy_of(query, &new, PeerId::random()));
    assert_eq!(answer(waiting).unwrap().unwrap().sequence, 2);
    // A copy that was on its way is older, by what is known since.
    lab.learn(copy_of(query, &old, stale));
    lab.actions();
    lab.end(query, 2);
    let [(_, bytes, peers)] = &repairs(&mut lab)[..] else { panic!("one repair") };
    assert_eq!((&bytes[..], &peers[..]), (&new.bytes()[..], &[stale][..]));
}

#[test]
fn an_announcement_that_replicas_have_missed_answers_and_repairs_them() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    assert_eq!(lab.hears(&new), Verdict::Accept);
    let (_, waiting) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    let stale = PeerId::random();
    lab.learn(copy_of(query, &old, stale));
    lab.end(query, 20);
    assert_eq!(answer(waiting).unwrap().unwrap().sequence, 2);
    let [(_, bytes, peers)] = &repairs(&mut lab)[..] else { panic!("one repair") };
    assert_eq!((&bytes[..], &peers[..]), (&new.bytes()[..], &[stale][..]));
}

#[test]
fn this_nodes_own_replica_is_repaired_too() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    lab.engine.cx.store.insert(&old.key(), old.bytes()).unwrap();
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.learn(Fact::Copy { query, from: None, bytes: old.bytes().to_vec() });
    lab.learn(copy(query, &new));
    assert_eq!(answer(waiting).unwrap().unwrap().sequence, 2);
    lab.end(query, 1);
    assert!(lab.engine.cx.store.holds(&new.key(), new.bytes()));
}

#[test]
fn no_replica_is_sent_a_head_that_this_node_knows_to_be_replaced() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    let (_, _all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    lab.engine.cx.store.insert(&new.key(), new.bytes()).unwrap();
    lab.engine.learn_stored();
    let end = QueryEnd::Lookup { answered: 2, unheard: 0, without: vec![PeerId::random()] };
    lab.learn(Fact::QueryEnded { query, end });
    for action in lab.actions() {
        if let Action::Repair { bytes, .. } = action {
            assert_eq!(bytes[..], new.bytes()[..], "spreads the replaced head");
        }
    }
}

#[test]
fn replicas_are_repaired_once_a_minute_whatever_the_cache_may_hold() {
    let limits = Limits::new().with_cache_records(0);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let (id, [old, new]) = two_heads("tool");
    let mut repairs = 0;
    for _ in 0..10 {
        let (_, _waiting) = lab.get_as(&id, Freshness::All);
        let mut actions = lab.actions();
        let query = loop {
            match actions.pop().expect("a lookup") {
                Action::Get { query, .. } => break query,
                _ => continue,
            }
        };
        lab.learn(copy(query, &old));
        lab.learn(copy(query, &new));
        lab.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(2) });
        for action in lab.actions() {
            if let Action::Repair { query, .. } = action {
                repairs += 1;
                lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 0 } });
            }
        }
        lab.advance(Duration::from_millis(10));
    }
    assert_eq!(repairs, 1);
}

#[test]
fn repairs_of_others_do_not_stand_in_the_way_of_publishing() {
    let mut lab = Lab::new(Config::new());
    for n in 0..200 {
        provoke_repair(&mut lab, &format!("package-{n}"));
    }
    lab.actions();
    // The repairs that run go to peers that take no answer; this node's user publishes.
    let waiting = lab.registers("mine", "1.0.0");
    let recall = only_recall(&mut lab);
    lab.end(recall, 20);
    let puts = lab.actions().iter().filter(|action| matches!(action, Action::Put { .. })).count();
    assert_eq!(puts, 3, "{} puts are before it", lab.engine.reading.queries().puts() - 3);
    drop(waiting);
}

#[test]
fn repairs_of_others_do_not_make_publishing_busy() {
    let limits = Limits::new().with_waiting_calls(100);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    for n in 0..100 {
        provoke_repair(&mut lab, &format!("package-{n}"));
    }
    lab.actions();
    let waiting = lab.registers("mine", "1.0.0");
    assert_eq!(answer(waiting), None, "refused at once");
}

#[test]
fn a_peer_that_serves_two_bytes_of_a_format_to_come_is_not_sent_a_record() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, _waiting) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &head));
    lab.learn(Fact::Copy { query, from: Some(PeerId::random()), bytes: vec![9, 9] });
    lab.end(query, 2);
    let repaired = lab.actions().iter().any(|action| matches!(action, Action::Repair { .. }));
    assert!(!repaired, "what it holds may be newer than anything that can be read here");
}

#[test]
fn a_head_that_was_published_after_a_repair_is_a_record_of_its_own() {
    let mut lab = Lab::new(Config::new());
    let keypair = Keypair::generate_ed25519();
    let id = published_by(&keypair, "tool", 1).0;
    let mut sent = Vec::new();
    for sequence in [2, 3] {
        let (_, _all) = lab.get_as(&id, Freshness::All);
        let query = only_lookup(&mut lab);
        lab.learn(copy(query, &published_by(&keypair, "tool", sequence - 1).1));
        lab.learn(copy(query, &published_by(&keypair, "tool", sequence).1));
        lab.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(2) });
        for action in lab.actions() {
            if let Action::Repair { query, .. } = action {
                sent.push(sequence);
                lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 1 } });
            }
        }
    }
    assert_eq!(sent, [2, 3]);
}

#[test]
fn repairs_of_what_was_read_do_not_stop_the_replication_of_what_is_held() {
    let mut lab = Lab::new(Config::new());
    for n in 0..200 {
        provoke_repair(&mut lab, &format!("package-{n}"));
    }
    // A release that is held for others, and due to be put again.
    let keypair = Keypair::generate_ed25519();
    let manifest = Manifest::new("held".parse().unwrap(), "1.0.0".parse().unwrap());
    let owner = keypair.public().to_peer_id();
    let release = Release::new(NetworkName::default(), owner, manifest);
    let release = Signed::sign(&keypair, release).unwrap();
    lab.engine.cx.store.insert(&release.key(), release.bytes()).unwrap();
    lab.engine.cx.store.set_time(UNIX + 7201);
    let before = lab.engine.reading.queries().puts();
    lab.engine.reading.replicate_others(&lab.engine.cx, Reach::Joined);
    assert_eq!(lab.engine.reading.queries().puts(), before + 1, "{before} repairs leave no room");
}
