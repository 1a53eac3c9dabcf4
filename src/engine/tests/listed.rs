//! What is in the catalogue can be read, though no peer holds it.

use super::*;
use crate::engine::interface::QueryEnd;
use crate::{engine::discovery::catalogue::Interest, freshness::Freshness, package::Source};

fn listing(heads: &[&Signed<Head>]) -> Lab {
    let mut lab = Lab::new(Config::new().with_pin_on_first_use(true));
    heads.iter().for_each(|head| lab.engine.list(head, None, Interest::Heard));
    lab
}

fn read(lab: &mut Lab, id: &PackageId, freshness: Freshness, end: QueryEnd) -> Result<Package> {
    let (_, mut waiting) = lab.get_as(id, freshness);
    loop {
        let query = only_lookup(lab);
        lab.learn(Fact::QueryEnded { query, end: end.clone() });
        // Of a bare name, the claims come first.
        if let Ok(Some(answer)) = waiting.try_recv() {
            return answer.map(|package| *package);
        }
    }
}

fn nothing() -> QueryEnd {
    QueryEnd::answered_by(3)
}

/// More have fallen silent than have answered.
fn few() -> QueryEnd {
    QueryEnd::Lookup { answered: 1, unheard: 5, without: Vec::new() }
}

#[test]
fn what_a_search_finds_can_be_read_where_nobody_holds_it() {
    let (id, head) = published("tool", 1);
    let mut lab = listing(&[&head]);
    let package = read(&mut lab, &id, Freshness::First, nothing()).unwrap();
    assert_eq!((package.sequence, package.source), (1, Source::Catalogue));
    // A moment later nobody is asked again.
    let (_, again) = lab.get(&id);
    assert_eq!(answer(again).unwrap().unwrap().source, Source::Catalogue);
    assert!(lab.engine.is_at_rest() && lab.lookups().is_empty());
    lab.advance(Duration::from_secs(60));
    assert!(read(&mut lab, &id, Freshness::First, nothing()).is_ok(), "and then somebody is");
}

#[test]
fn the_catalogue_answers_no_reader_who_wants_to_hear_more_than_was_heard() {
    let (id, head) = published("tool", 1);
    for freshness in [Freshness::All, Freshness::Quorum(3)] {
        let mut lab = listing(&[&head]);
        // All who should hold it were heard, and nobody does.
        let package = read(&mut lab, &id, freshness, nothing()).unwrap();
        assert_eq!(package.source, Source::Catalogue, "{freshness}");
        let mut lab = listing(&[&head]);
        let package = read(&mut lab, &id, freshness, few()).unwrap();
        assert_eq!(package.source, Source::Partial, "{freshness}");
        // It is asked for all the same, though it is known.
        let (_, _waiting) = lab.get_as(&id, freshness);
        assert_eq!(lab.lookups().len(), 1);
    }
    let mut lab = listing(&[&head]);
    let package = read(&mut lab, &id, Freshness::First, few()).unwrap();
    assert_eq!(package.source, Source::Catalogue);
}

#[test]
fn a_node_that_nobody_answers_reads_what_it_knows_and_says_that_it_is_a_part() {
    let (id, head) = published("tool", 1);
    let mut lab = listing(&[&head]);
    let package = read(&mut lab, &id, Freshness::First, QueryEnd::answered_by(0)).unwrap();
    assert_eq!(package.source, Source::Partial);
    // The same where the caller's time is up.
    let mut lab = listing(&[&head]);
    for id in [id.clone(), PackageId::named(id.name().clone())] {
        let (_, waiting) = lab.get_as(&id, Freshness::All);
        lab.advance(Duration::from_secs(31));
        let package = answer(waiting).unwrap().unwrap();
        assert_eq!((package.id.name().as_str(), package.source), ("tool", Source::Partial));
        lab.actions();
    }
}

#[test]
fn a_copy_that_is_older_than_what_is_listed_answers_nobody() {
    let (id, [old, new]) = two_heads("tool");
    let mut lab = listing(&[&new]);
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    let stale = PeerId::random();
    lab.learn(Fact::Copy { query, from: Some(stale), bytes: old.bytes().to_vec() });
    let package = answer(waiting).expect("one copy is enough").unwrap();
    assert_eq!((package.sequence, package.source), (2, Source::Catalogue));
    lab.actions();
    // Nobody waits for the end, and the older copy is replaced all the same.
    lab.end(query, 1);
    let repaired = lab.actions().into_iter().find_map(|action| match action {
        Action::Repair { bytes, peers, .. } => Some((bytes, peers)),
        _ => None,
    });
    assert_eq!(repaired, Some((new.bytes().to_vec(), vec![stale])));
}

#[test]
fn who_reads_from_the_catalogue_hands_the_head_to_those_who_should_hold_it() {
    let (id, head) = published("tool", 1);
    let mut lab = listing(&[&head]);
    let replicas: Vec<PeerId> = (0..3).map(|_| PeerId::random()).collect();
    let read_all = |lab: &mut Lab| {
        let (_, waiting) = lab.get_as(&id, Freshness::All);
        let query = only_lookup(lab);
        let end = QueryEnd::Lookup { answered: 3, unheard: 0, without: replicas.clone() };
        lab.learn(Fact::QueryEnded { query, end });
        assert_eq!(answer(waiting).unwrap().unwrap().sequence, 1);
        let repairs = lab.actions().into_iter().filter_map(|action| match action {
            Action::Repair { query, bytes, peers, .. } => Some((query, bytes, peers)),
            _ => None,
        });
        repairs.collect::<Vec<_>>()
    };
    let first = read_all(&mut lab);
    let [(query, bytes, peers)] = &first[..] else { panic!("one repair") };
    assert_eq!(bytes[..], head.bytes()[..]);
    assert_eq!(peers.len(), 3);
    lab.learn(Fact::QueryEnded { query: *query, end: QueryEnd::Stored { replicas: 3 } });
    assert!(read_all(&mut lab).is_empty(), "and once a minute only");
}

#[test]
fn what_is_withdrawn_expired_or_not_listed_is_not_read() {
    let keypair = Keypair::generate_ed25519();
    let (id, live) = published_by(&keypair, "tool", 1);
    let mut lab = listing(&[&live, &tombstone(&keypair, &id, 2)]);
    let withdrawn = read(&mut lab, &id, Freshness::First, nothing()).unwrap_err();
    assert_eq!(withdrawn.kind(), "withdrawn");
    let mut lab = listing(&[&live]);
    lab.advance(Duration::from_secs(3601));
    let expired = read(&mut lab, &id, Freshness::First, nothing()).unwrap_err();
    assert_eq!(expired.kind(), "not_found");
    let other = published_by(&keypair, "other", 1).0;
    let mut lab = listing(&[&live]);
    let unknown = read(&mut lab, &other, Freshness::First, nothing()).unwrap_err();
    assert_eq!(unknown.kind(), "not_found");
}

#[test]
fn what_was_not_found_and_is_heard_of_since_is_read_at_once() {
    let (id, head) = published("tool", 1);
    let mut lab = listing(&[]);
    let bare = PackageId::named(id.name().clone());
    for id in [&id, &bare] {
        assert!(read(&mut lab, id, Freshness::First, nothing()).is_err());
    }
    lab.engine.list(&head, None, Interest::Heard);
    for id in [&bare, &id] {
        let (_, waiting) = lab.get(id);
        assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Catalogue);
    }
}

#[test]
fn a_bare_name_that_nobody_claims_means_the_only_owner_whose_package_is_listed() {
    let (id, head) = published("tool", 1);
    let mut lab = listing(&[&head, &published("tool-x", 1).1, &published("toolx", 1).1]);
    let bare = PackageId::named(id.name().clone());
    let package = read(&mut lab, &bare, Freshness::First, nothing()).unwrap();
    assert_eq!((Some(&package.owner), package.source), (id.owner(), Source::Catalogue));
    assert_eq!(
        lab.engine.reading.pinned_owner(id.name()),
        None,
        "what is merely listed decides once"
    );

    let mut lab = listing(&[&head, &published("tool", 1).1]);
    let two = read(&mut lab, &bare, Freshness::First, nothing()).unwrap_err();
    assert!(matches!(two, Error::Ambiguous { claimants, .. } if claimants.len() == 2));
}

#[test]
fn an_owner_that_is_listed_counts_beside_those_who_claim_a_name_unless_it_has_left() {
    let (claimant, owner) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (id, head) = published_by(&owner, "tool", 1);
    let bare = PackageId::named(id.name().clone());
    let answer_with = |lab: &mut Lab, set: &ClaimSet| {
        let (_, waiting) = lab.get(&bare);
        let query = only_lookup(lab);
        lab.learn(bytes_of(query, set.to_bytes()));
        lab.end(query, 3);
        waiting
    };
    let claimed = claims(&[&claimant], "tool");
    let mut lab = listing(&[&head]);
    let waiting = answer_with(&mut lab, &claimed);
    assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), "ambiguous");

    // The owner claims the name no more.
    let left = Claim::new(
        NetworkName::default(),
        owner.public().to_peer_id(),
        id.name().clone(),
        Revision::new(0, 2),
        Validity::starting(UNIX - 60, 3600),
        ClaimStatus::Withdrawn,
    );
    let set = claimed.with(Signed::sign(&owner, left).unwrap(), UNIX);
    let mut lab = listing(&[&head]);
    let mut waiting = answer_with(&mut lab, &set);
    assert_eq!(waiting.try_recv(), Ok(None), "the claimant's head is asked for");
    assert_eq!(lab.lookups().len(), 1);

    // Who claims it and is listed is one owner.
    let mut lab = listing(&[&head]);
    let waiting = answer_with(&mut lab, &claims(&[&owner], "tool"));
    let query = only_lookup(&mut lab);
    lab.end(query, 3);
    assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Catalogue);
    assert_eq!(lab.engine.reading.pinned_owner(id.name()), Some(owner.public().to_peer_id()));
}

#[test]
fn what_the_catalogue_has_answered_is_not_taken_back_once_it_is_listed_no_more() {
    let (id, [old, new]) = two_heads("tool");
    let mut lab = listing(&[&new]);
    let package = read(&mut lab, &id, Freshness::First, nothing()).unwrap();
    assert_eq!((package.sequence, package.source), (2, Source::Catalogue));
    // It had to make room for others.
    let empty = Load { packages: 10, bytes: 1 << 20 };
    *lab.engine.discovery.catalogue_mut() = Catalogue::new(empty, crate::coverage::Coverage::All);
    lab.advance(Duration::from_secs(60));
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &old));
    lab.end(query, 1);
    assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), "not_found");
}

#[test]
fn an_owner_whom_the_catalogue_alone_has_named_is_told_as_such_whoever_holds_the_package() {
    let (id, head) = published("tool", 1);
    for claims_end in [nothing(), few()] {
        let mut lab = listing(&[&head]);
        let (_, waiting) = lab.get(&PackageId::named(id.name().clone()));
        let query = only_lookup(&mut lab);
        lab.learn(Fact::QueryEnded { query, end: claims_end });
        let query = only_lookup(&mut lab);
        lab.learn(copy(query, &head));
        let package = answer(waiting).expect("one copy is enough").unwrap();
        assert_eq!((&package.owner, package.source), (id.owner().unwrap(), Source::Catalogue));
        lab.end(query, 1);
        // By its owner it is what the network holds.
        let (_, waiting) = lab.get_as(&id, Freshness::Quorum(1));
        let query = only_lookup(&mut lab);
        lab.learn(copy(query, &head));
        assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Network);
    }
}
