//! How many replicas a read waits for, and what becomes of those that lack the newest record.

use super::*;
use crate::{
    NetworkName,
    record::{Claim, ClaimSet, ClaimStatus},
};

/// An engine that knows so many peers.
fn among(peers: usize) -> Lab {
    let mut lab = Lab::new(Config::new());
    for _ in 1..peers {
        lab.learn(Fact::Routable { peer: PeerId::random() });
    }
    lab.actions();
    lab
}

fn only_lookup(lab: &mut Lab) -> QueryKey {
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    query
}

fn copy_of(query: QueryKey, head: &Signed<Head>, from: PeerId) -> Fact {
    Fact::Copy { query, from: Some(from), bytes: head.bytes().to_vec() }
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

fn two_heads(name: &str) -> (PackageId, [Signed<Head>; 2]) {
    let keypair = Keypair::generate_ed25519();
    let (id, old) = published_by(&keypair, name, 1);
    (id, [old, published_by(&keypair, name, 2).1])
}

#[test]
fn a_quorum_is_waited_for_and_the_newest_of_its_copies_answers() {
    let mut lab = among(20);
    let (id, [old, new]) = two_heads("tool");
    let (_, mut waiting) = lab.get_as(&id, Freshness::Quorum(3));
    let query = only_lookup(&mut lab);
    let voters: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
    lab.learn(copy_of(query, &new, voters[0]));
    lab.learn(copy_of(query, &old, voters[1]));
    // A peer that says it twice is one peer, and what is forged counts for nobody.
    lab.learn(copy_of(query, &old, voters[1]));
    lab.learn(Fact::Copy { query, from: Some(PeerId::random()), bytes: b"forged".to_vec() });
    assert_eq!(waiting.try_recv(), Ok(None));
    assert!(lab.actions().is_empty());
    lab.learn(copy_of(query, &old, voters[2]));
    let package = answer(waiting).unwrap().unwrap();
    assert_eq!((package.sequence, package.source), (2, Source::Network));
    assert!(matches!(lab.actions()[..], [Action::Finish { query: finished }] if finished == query));
}

#[test]
fn a_small_network_is_asked_for_no_more_replicas_than_it_has_peers() {
    for peers in [1, 2] {
        let mut lab = among(peers);
        let (id, head) = published("tool", 1);
        let (_, waiting) = lab.get_as(&id, Freshness::Quorum(20));
        let query = only_lookup(&mut lab);
        for _ in 0..peers {
            lab.learn(copy(query, &head));
        }
        assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Network);
    }
}

#[test]
fn a_quorum_that_the_lookup_does_not_find_is_answered_with_all_that_it_found() {
    let mut lab = among(20);
    let (id, head) = published("tool", 1);
    let (_, waiting) = lab.get_as(&id, Freshness::Quorum(3));
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &head));
    lab.end(query, 20);
    assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Network);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn whoever_wants_all_copies_waits_for_the_end_of_the_lookup_and_others_do_not() {
    let mut lab = among(20);
    let (id, [old, new]) = two_heads("tool");
    let (_, mut all) = lab.get_as(&id, Freshness::All);
    let (_, first) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    assert_eq!(answer(first).unwrap().unwrap().sequence, 1);
    lab.learn(copy(query, &new));
    assert_eq!(all.try_recv(), Ok(None));
    lab.end(query, 20);
    let package = answer(all).unwrap().unwrap();
    assert_eq!((package.sequence, package.source), (2, Source::Network));
    // What was learnt by it answers the others from now on.
    let (_, cached) = lab.get(&id);
    assert_eq!(answer(cached).unwrap().unwrap().sequence, 2);
}

#[test]
fn whoever_wants_more_than_the_first_copy_is_not_answered_from_memory() {
    let mut lab = among(20);
    let (id, [old, new]) = two_heads("tool");
    let (_, first) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    lab.end(query, 1);
    assert!(answer(first).unwrap().is_ok());
    let (_, all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &new));
    lab.end(query, 20);
    assert_eq!(answer(all).unwrap().unwrap().sequence, 2);
    // Nor with an absence that was noted a moment ago.
    let (gone, _) = published("gone", 1);
    let (_, _first) = lab.get(&gone);
    let query = only_lookup(&mut lab);
    lab.end(query, 3);
    let (_, _all) = lab.get_as(&gone, Freshness::All);
    only_lookup(&mut lab);
}

#[test]
fn an_own_package_is_answered_by_its_own_node_whatever_is_asked_for() {
    let mut lab = Lab::untouched(Config::new());
    let manifest = Box::new(Manifest::new("mine".parse().unwrap(), "1.0.0".parse().unwrap()));
    let (_, registered) = lab.ask(|reply| Command::Register { manifest, reply });
    let id = PackageId::named("mine".parse().unwrap());
    let (_, own) = lab.get_as(&id, Freshness::All);
    assert_eq!(answer(own).unwrap().unwrap().source, Source::Own);
    drop(registered);
}

#[test]
fn a_deadline_with_some_replies_answers_with_the_best_of_them_and_says_so() {
    let mut lab = among(20);
    let (id, [old, new]) = two_heads("tool");
    let (_, package) = lab.get_as(&id, Freshness::Quorum(5));
    let command =
        |reply| Command::ListVersions { package: id.clone(), freshness: Freshness::All, reply };
    let (_, versions) = lab.ask(command);
    let key = new.key();
    let command = |reply| Command::GetRecord { key, freshness: Freshness::All, reply };
    let (_, record) = lab.ask(command);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &new));
    lab.learn(copy(query, &old));
    lab.advance(Duration::from_secs(30));
    let package = answer(package).unwrap().unwrap();
    assert_eq!((package.sequence, package.source), (2, Source::Partial));
    let versions = answer(versions).unwrap().unwrap();
    assert_eq!((versions.sequence, versions.source), (2, Source::Partial));
    let record = answer(record).unwrap().unwrap();
    assert_eq!((record.record, record.source), (Record::Head(new), Source::Partial));
    assert!(matches!(lab.actions()[..], [Action::Finish { .. }]));
    // It is not passed off as read in full a moment later.
    let (_, mut next) = lab.get(&id);
    assert_eq!(next.try_recv(), Ok(None));
}

#[test]
fn a_copy_that_only_this_node_holds_is_partial_where_nobody_else_answers() {
    let mut lab = among(1);
    let (id, head) = published("tool", 1);
    for cut_short in [false, true] {
        let (_, waiting) = lab.get(&id);
        let query = only_lookup(&mut lab);
        lab.learn(Fact::Copy { query, from: None, bytes: head.bytes().to_vec() });
        if cut_short {
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
        } else {
            lab.end(query, 0);
        }
        assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Partial);
    }
}

#[test]
fn what_a_bare_name_means_is_partial_where_not_all_claims_could_be_gathered() {
    let mut lab = among(20);
    let keypair = Keypair::generate_ed25519();
    let (id, head) = published_by(&keypair, "tool", 1);
    let network = NetworkName::default();
    let validity = Validity::starting(UNIX - 60, 3600);
    let revision = Revision::new(0, 1);
    let claim = Claim::new(
        network.clone(),
        head.owner,
        id.name().clone(),
        revision,
        validity,
        ClaimStatus::Active,
    );
    let claim = Signed::sign(&keypair, claim).unwrap();
    let set = ClaimSet::empty(network, id.name().clone()).with(claim, UNIX);
    let (_, waiting) = lab.get(&PackageId::named(id.name().clone()));
    let query = only_lookup(&mut lab);
    lab.learn(Fact::Copy { query, from: Some(PeerId::random()), bytes: set.to_bytes() });
    lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &head));
    assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Partial);
}

#[test]
fn replicas_that_are_found_stale_or_absent_are_sent_the_newest_record_once_a_minute() {
    let mut lab = among(20);
    let (id, [old, new]) = two_heads("tool");
    let [fresh, stale, absent] = [(); 3].map(|()| PeerId::random());
    for _ in 0..2 {
        let (_, waiting) = lab.get_as(&id, Freshness::All);
        let query = only_lookup(&mut lab);
        lab.learn(copy_of(query, &new, fresh));
        lab.learn(copy_of(query, &old, stale));
        let end = QueryEnd::Lookup { answered: 3, without: vec![absent] };
        lab.learn(Fact::QueryEnded { query, end });
        assert_eq!(answer(waiting).unwrap().unwrap().sequence, 2);
        let [(repair, bytes, peers)] = &repairs(&mut lab)[..] else { panic!("one repair") };
        assert_eq!((&bytes[..], &peers[..]), (&new.bytes()[..], &[stale, absent][..]));
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
    let mut lab = among(20);
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
    let mut lab = among(20);
    let (id, [old, new]) = two_heads("tool");
    let now = lab.now();
    assert_eq!(lab.engine.hear(now, "announcements", new.bytes()), Verdict::Accept);
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
    let mut lab = among(20);
    let (id, [old, new]) = two_heads("tool");
    lab.engine.store.insert(&old.key(), old.bytes()).unwrap();
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.learn(Fact::Copy { query, from: None, bytes: old.bytes().to_vec() });
    lab.learn(copy(query, &new));
    assert_eq!(answer(waiting).unwrap().unwrap().sequence, 2);
    lab.end(query, 1);
    assert!(lab.engine.store.holds(&new.key(), new.bytes()));
}

#[test]
fn a_peer_that_is_nobodys_owner_is_not_looked_up() {
    let mut lab = among(20);
    let id = PackageId::owned(PeerId::random(), "tool".parse().unwrap());
    let (_, waiting) = lab.get(&id);
    assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), "invalid");
    assert!(lab.lookups().is_empty());
}

#[test]
fn records_on_their_way_out_to_a_silent_network_are_bounded() {
    let limits = Limits::new().with_waiting_calls(8).with_running_queries(2);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let mut busy = 0;
    for n in 0..100 {
        let manifest = Manifest::new(format!("own-{n}").parse().unwrap(), "1.0.0".parse().unwrap());
        let (_, waiting) =
            lab.ask(|reply| Command::Register { manifest: Box::new(manifest), reply });
        for query in lab.lookups() {
            lab.end(query, 1);
        }
        if let Some(Err(error)) = answer(waiting) {
            assert_eq!(error, crate::Error::busy("waiting_calls"));
            busy += 1;
        }
        // Its caller gives up; what is signed goes on.
        lab.advance(Duration::from_secs(31));
    }
    assert!(busy > 90, "{busy}");
    assert!(lab.engine.queries.puts() < 8 + 4, "{}", lab.engine.queries.puts());
}
