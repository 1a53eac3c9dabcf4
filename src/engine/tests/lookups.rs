//! What a lookup that finds something, or nothing, is answered with.

use super::*;
use crate::engine::peers::dialing::INTRODUCTION_TIME;
use crate::package::Source;

#[test]
fn the_first_valid_copy_answers_and_the_lookup_is_finished() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, waiting) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.learn(copy(query, &head));
    assert_eq!(answer(waiting).unwrap().unwrap().manifest.version, "1.0.0".parse().unwrap());
    assert!(matches!(lab.actions()[..], [Action::Finish { query: finished }] if finished == query));
    // A copy that was on its way changes nothing, and the end frees the place.
    lab.learn(copy(query, &head));
    lab.end(query, 2);
    assert!(lab.engine.is_at_rest());
    // From now on it is answered without asking.
    let (_, cached) = lab.get(&id);
    assert_eq!(answer(cached).unwrap().unwrap().source, Source::Cache);
}

#[test]
fn who_serves_what_is_not_valid_loses_its_good_name_and_answers_nobody() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, other) = published("tool", 1);
    let liar = PeerId::random();
    let (_, waiting) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    let mut forged = head.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for bytes in [forged, other.bytes().to_vec(), b"\x01nonsense".to_vec(), Vec::new()] {
        lab.learn(Fact::Copy { query, from: Some(liar), bytes });
    }
    assert_eq!(lab.engine.standing.reputations().get(&liar).invalid, 4);
    lab.end(query, 1);
    assert!(matches!(answer(waiting), Some(Err(crate::error::Error::NotFound { .. }))));
}

#[test]
fn nobody_answered_is_not_the_same_as_not_found() {
    let mut lab = Lab::new(Config::new());
    let (id, _) = published("tool", 1);
    for (answered, expected) in [(0, "no_peers"), (3, "not_found")] {
        let (_, waiting) = lab.get(&id);
        let [query] = lab.lookups()[..] else { panic!("one lookup") };
        lab.end(query, answered);
        assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), expected);
    }
}

#[test]
fn a_peer_that_never_introduces_itself_holds_questions_up_for_a_while_only() {
    let mut lab = Lab::untouched(Config::new());
    let (gone, mute) = (PeerId::random(), PeerId::random());
    lab.learn(Fact::Routable { peer: gone });
    let address = "/memory/1".parse().unwrap();
    let direction = crate::event::Direction::Inbound;
    lab.learn(Fact::Connected { peer: mute, address, direction });
    lab.learn(Fact::Unroutable { peer: gone });
    lab.actions();
    let (_, _waiting) = lab.get(&published("tool", 1).0);
    assert!(lab.lookups().is_empty());
    lab.advance(INTRODUCTION_TIME);
    assert_eq!(lab.lookups().len(), 1);
}

#[test]
fn once_a_newer_head_was_seen_no_older_one_is_believed() {
    let mut lab = Lab::new(Config::new().with_cache_ttl(Duration::from_secs(1)));
    let keypair = Keypair::generate_ed25519();
    let (id, old) = published_by(&keypair, "tool", 1);
    let (_, new) = published_by(&keypair, "tool", 2);
    assert_eq!(lab.hears(&new), Verdict::Accept);
    assert_eq!(lab.hears(&old), Verdict::Ignore);
    lab.advance(Duration::from_secs(2));
    let (_, waiting) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.learn(copy(query, &old));
    lab.learn(copy(query, &new));
    assert_eq!(answer(waiting).unwrap().unwrap().sequence, 2);
}

#[test]
fn what_was_not_found_a_moment_ago_is_not_asked_for_again_unless_it_appears() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (_, first) = lab.get(&id);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.end(query, 3);
    assert_eq!(answer(first).unwrap().unwrap_err().kind(), "not_found");
    let (_, again) = lab.get(&id);
    assert_eq!(answer(again).unwrap().unwrap_err().kind(), "not_found");
    assert!(lab.lookups().is_empty());

    // It is announced.
    lab.hears(&head);
    let (_, found) = lab.get(&id);
    assert!(answer(found).unwrap().is_ok());

    // Or some time goes by.
    let (other, _) = published("other", 1);
    let (_, first) = lab.get(&other);
    let [query] = lab.lookups()[..] else { panic!("one lookup") };
    lab.end(query, 3);
    assert!(answer(first).unwrap().is_err());
    lab.advance(Duration::from_secs(2));
    let (_, _again) = lab.get(&other);
    assert_eq!(lab.lookups().len(), 1);
}
