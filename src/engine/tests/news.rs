//! What this node has once seen is not undone by older copies, partial answers or its own memory.

use super::*;
use crate::engine::interface::QueryEnd;
use crate::{freshness::Freshness, package::Source};

#[test]
fn a_newer_copy_that_comes_after_the_answer_takes_the_place_of_the_older_one_here_too() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    assert_eq!(answer(waiting).unwrap().unwrap().sequence, 1);
    lab.learn(copy(query, &new));
    lab.end(query, 2);
    // It is sent to the stale replica: the node knows that it is newer.
    let repaired = lab.actions().into_iter().any(
        |action| matches!(action, Action::Repair { bytes, .. } if bytes[..] == new.bytes()[..]),
    );
    assert!(repaired);
    assert_ne!(told_now(&mut lab, &id), Some(1), "the replaced head is served");
}

#[test]
fn what_a_partial_answer_has_found_is_not_undone_by_the_next_plain_read() {
    for cut_short in [false, true] {
        let mut lab = Lab::new(Config::new());
        let (id, [old, new]) = two_heads("tool");
        read_once(&mut lab, &id, &old);
        let (_, all) = lab.get_as(&id, Freshness::All);
        let query = only_lookup(&mut lab);
        lab.learn(copy(query, &new));
        if cut_short {
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
        } else {
            lab.advance(Duration::from_secs(30));
        }
        let package = answer(all).unwrap().unwrap();
        assert_eq!((package.sequence, package.source), (2, Source::Partial));
        assert_ne!(told_now(&mut lab, &id), Some(1), "the replaced head is served");
    }
}

#[test]
fn a_withdrawal_that_a_partial_answer_has_found_is_not_undone_by_the_next_plain_read() {
    let mut lab = Lab::new(Config::new());
    let keypair = Keypair::generate_ed25519();
    let (id, old) = published_by(&keypair, "tool", 1);
    let gone = tombstone(&keypair, &id, 2);
    read_once(&mut lab, &id, &old);
    let (_, all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &gone));
    lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
    assert_eq!(answer(all).unwrap().unwrap_err().kind(), "withdrawn");
    assert_eq!(told_now(&mut lab, &id), None, "a withdrawn package is served");
}

#[test]
fn a_head_that_was_replaced_while_it_was_read_is_neither_answered_nor_shelved() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    let (_, all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    // A peer hands the new one over to this node, which holds it from now on.
    lab.engine.cx.store.insert(&new.key(), new.bytes()).unwrap();
    lab.engine.learn_stored();
    lab.end(query, 20);
    let found = answer(all).unwrap().unwrap();
    assert_eq!(
        (found.sequence, lab.on_shelf(&id).map(|package| package.sequence)),
        (2, None),
        "{:?}",
        found.source
    );
}

#[test]
fn a_deadline_answers_with_no_older_head_than_one_that_was_announced_meanwhile() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    let (_, all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    assert_eq!(lab.hears(&new), Verdict::Accept);
    lab.advance(Duration::from_secs(30));
    assert_eq!(answer(all).unwrap().unwrap().sequence, 2);
}

#[test]
fn a_deadline_does_not_answer_with_a_package_that_was_withdrawn_meanwhile() {
    let mut lab = Lab::new(Config::new());
    let keypair = Keypair::generate_ed25519();
    let (id, old) = published_by(&keypair, "tool", 1);
    let gone = tombstone(&keypair, &id, 2);
    let (_, all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    assert_eq!(lab.hears(&gone), Verdict::Accept);
    lab.advance(Duration::from_secs(30));
    assert!(answer(all).unwrap().is_err(), "a withdrawn package is answered");
}

#[test]
fn what_no_replica_holds_is_not_passed_off_as_read_from_the_network() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    assert_eq!(lab.hears(&head), Verdict::Accept);
    let (_, all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.end(query, 20);
    let source = answer(all).unwrap().map(|package| package.source);
    assert_ne!(source, Ok(Source::Network), "twenty peers have said that they hold no copy");
}

#[test]
fn reading_all_copies_does_not_keep_what_is_remembered_alive_for_ever() {
    let mut lab = Lab::new(Config::new());
    let ttl = lab.engine.cx.config.cache_ttl;
    let (id, head) = published("tool", 1);
    assert_eq!(lab.hears(&head), Verdict::Accept);
    for _ in 0..4 {
        lab.advance(ttl * 2 / 3);
        let (_, _all) = lab.get_as(&id, Freshness::All);
        let query = only_lookup(&mut lab);
        // Nobody holds it.
        lab.end(query, 20);
    }
    assert!(lab.on_shelf(&id).is_none(), "announced {:?} ago", ttl * 8 / 3);
}

#[test]
fn a_name_is_not_pinned_by_a_part_of_its_claims() {
    let mut config = Config::new();
    config.pin_on_first_use = true;
    let mut lab = Lab::new(config);
    let squatter = Keypair::generate_ed25519();
    let (_, head) = published_by(&squatter, "tool", 1);
    let bare = PackageId::named("tool".parse().unwrap());
    let (_, waiting) = lab.get(&bare);
    let query = only_lookup(&mut lab);
    lab.learn(bytes_of(query, claims(&[&squatter], "tool").to_bytes()));
    lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &head));
    assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Partial);
    assert_eq!(lab.engine.reading.pinned_owner(bare.name()), None);
}

#[test]
fn a_recall_that_heard_a_part_of_the_replicas_does_not_pass_for_certain() {
    let mut lab = Lab::new(Config::new());
    let keypair = lab.engine.cx.keypair.clone();
    let (_, old) = published_by(&keypair, "tool", 1);
    let _waiting = lab.registers("tool", "2.0.0");
    let query = only_recall(&mut lab);
    lab.learn(copy(query, &old));
    // The others, who hold sequence 2, are too slow.
    lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
    let own = lab.engine.publishing.own().get("tool");
    let standing = own.map(|own| own.confidence);
    assert!(
        !matches!(standing, Some(own::Confidence::Confirmed { .. })),
        "{standing:?}, with sequence {:?}",
        own.map(|own| own.head.revision.sequence)
    );
}

#[test]
fn a_quorum_that_old_copies_fill_answers_with_what_was_announced_meanwhile() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    let (_, quorum) = lab.get_as(&id, Freshness::Quorum(2));
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    assert_eq!(lab.hears(&new), Verdict::Accept);
    lab.learn(copy(query, &old));
    let found = answer(quorum).unwrap().unwrap();
    assert_eq!((found.sequence, found.source), (2, Source::Cache));
    assert_eq!(told_now(&mut lab, &id), Some(2));
}

#[test]
fn what_comes_too_late_for_one_lookup_is_known_to_the_next() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    let (caller, _gone) = lab.get(&id);
    let late = only_lookup(&mut lab);
    lab.engine.cancel(caller);
    lab.actions();
    let (_, all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    lab.learn(copy(late, &new));
    // Who joins now is not told of the old one, and neither is who has waited.
    assert_eq!(told_now(&mut lab, &id), Some(2));
    lab.end(query, 20);
    assert_eq!(answer(all).unwrap().unwrap().sequence, 2);
}
