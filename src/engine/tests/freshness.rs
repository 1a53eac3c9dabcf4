//! How many replicas a read waits for, and what it is told when they do not all answer.

use super::*;
use crate::engine::interface::QueryEnd;
use crate::{freshness::Freshness, package::Source, record::Record};

fn copy_of(query: QueryKey, head: &Signed<Head>, from: PeerId) -> Fact {
    Fact::Copy { query, from: Some(from), bytes: head.bytes().to_vec() }
}

#[test]
fn a_quorum_is_waited_for_and_the_newest_of_its_copies_answers() {
    let mut lab = Lab::new(Config::new());
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
        let mut lab = Lab::new(Config::new());
        let (id, head) = published("tool", 1);
        let (_, waiting) = lab.get_as(&id, Freshness::Quorum(20));
        let query = only_lookup(&mut lab);
        for _ in 0..peers {
            lab.learn(copy(query, &head));
        }
        lab.end(query, u32::try_from(peers).unwrap());
        assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Network);
    }
}

#[test]
fn a_quorum_that_the_lookup_does_not_find_is_answered_with_all_that_it_found() {
    let mut lab = Lab::new(Config::new());
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
    let mut lab = Lab::new(Config::new());
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
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    read_once(&mut lab, &id, &old);
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
    let registered = lab.registers("mine", "1.0.0");
    let id = PackageId::named("mine".parse().unwrap());
    let (_, own) = lab.get_as(&id, Freshness::All);
    assert_eq!(answer(own).unwrap().unwrap().source, Source::Own);
    drop(registered);
}

#[test]
fn a_deadline_with_some_replies_answers_with_the_best_of_them_and_says_so() {
    let mut lab = Lab::new(Config::new());
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
    let mut lab = Lab::new(Config::new());
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
    let mut lab = Lab::new(Config::new());
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
fn a_peer_that_is_nobodys_owner_is_not_looked_up() {
    let mut lab = Lab::new(Config::new());
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
        let waiting = lab.registers(&format!("own-{n}"), "1.0.0");
        let mut lookups = lab.lookups();
        while let Some(query) = lookups.pop() {
            lab.end(query, 1);
            lookups.extend(lab.lookups());
        }
        if let Some(Err(error)) = answer(waiting) {
            assert_eq!(error, crate::error::Error::busy("waiting_calls"));
            busy += 1;
        }
        // Its caller gives up; what is signed goes on.
        lab.advance(Duration::from_secs(31));
    }
    assert!(busy > 90, "{busy}");
    assert!(lab.engine.reading.queries().puts() < 8 + 4, "{}", lab.engine.reading.queries().puts());
}

#[test]
fn a_reader_for_whom_enough_was_heard_already_does_not_wait() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, _all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &head));
    lab.learn(copy(query, &head));
    for freshness in [Freshness::First, Freshness::Quorum(2)] {
        let (_, waiting) = lab.get_as(&id, freshness);
        let answered = answer(waiting);
        assert!(answered.is_some(), "{freshness:?} waits although two copies are here");
    }
}

#[test]
fn a_reader_of_the_first_copy_is_not_answered_partially_with_a_copy_there() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, _all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &head));
    let (_, first) = lab.get(&id);
    lab.advance(Duration::from_secs(30));
    assert_eq!(answer(first).unwrap().unwrap().source, Source::Network);
}

#[test]
fn a_lookup_that_ran_out_of_time_costs_nobody_who_joined_it_late_the_rest_of_its_time() {
    let mut lab = Lab::new(Config::new());
    let (id, _) = published("tool", 1);
    let (_, early) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.advance(Duration::from_secs(29));
    let (_, late) = lab.get(&id);
    lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
    assert_eq!(answer(early), None, "a second of its time is left");
    assert_eq!(answer(late), None, "29 of its 30 seconds are left");
    assert_eq!(lab.lookups().len(), 1, "it is asked for anew");
}

#[test]
fn a_quorum_that_could_not_be_heard_is_partial() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, waiting) = lab.get_as(&id, Freshness::Quorum(3));
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &head));
    // Nobody else could be reached.
    let end = QueryEnd::Lookup { answered: 1, unheard: 2, without: Vec::new() };
    lab.learn(Fact::QueryEnded { query, end });
    assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Partial);
}

#[test]
fn a_deadline_goes_as_far_as_what_is_known_here_allows() {
    let mut lab = Lab::new(Config::new());
    let keypair = Keypair::generate_ed25519();
    let (_, head) = published_by(&keypair, "tool", 1);
    let (_, waiting) = lab.get(&PackageId::named("tool".parse().unwrap()));
    let query = only_lookup(&mut lab);
    lab.learn(bytes_of(query, claims(&[&keypair], "tool").to_bytes()));
    assert_eq!(lab.hears(&head), Verdict::Accept);
    lab.advance(Duration::from_secs(30));
    assert_eq!(answer(waiting).unwrap().map(|package| package.source), Ok(Source::Partial));
}

#[test]
fn a_quorum_of_replicas_that_are_all_behind_has_been_heard() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    assert_eq!(lab.hears(&new), Verdict::Accept);
    let (_, quorum) = lab.get_as(&id, Freshness::Quorum(2));
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    lab.learn(copy(query, &old));
    let found = answer(quorum).unwrap().unwrap();
    assert_eq!((found.sequence, found.source), (2, Source::Cache));
}
