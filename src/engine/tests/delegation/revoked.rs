//! What a key that has been replaced signed before is believed by nobody who knows, wherever it lies.

use super::*;
use crate::{freshness::Freshness, package::Source, record::RecordKey};

/// What whoever has stolen the first publisher's key signs in its epoch, 1.
fn stolen(name: &str) -> Signed<Head> {
    signed(&mut publisher(1, 1, MONTH), name, "6.6.6")
}

/// What tells of the next epoch: another package of the owner's.
fn rotated() -> Signed<Head> {
    signed(&mut publisher(2, 2, MONTH), "other", "1.0.0")
}

fn id_of(head: &Signed<Head>) -> PackageId {
    PackageId::owned(head.owner, head.name.clone())
}

#[test]
fn a_replica_here_is_not_answered_once_its_key_has_been_replaced() {
    let mut reader = Lab::new(Config::new());
    let head = stolen("tool");
    reader.engine.cx.store.insert(&head.key(), head.bytes()).unwrap();
    reader.engine.learn_stored();
    assert_eq!(reader.hears(&rotated()), Verdict::Accept);
    let (_, waiting) = reader.get(&id_of(&head));
    let query = only_lookup(&mut reader);
    reader.learn(copy(query, &head));
    reader.end(query, 1);
    let answer = answer(waiting);
    assert!(matches!(answer, Some(Err(Error::NotFound { .. }))), "{answer:?}");
}

#[test]
fn a_copy_that_was_heard_before_its_key_was_replaced_is_not_answered_after() {
    let mut reader = Lab::new(Config::new());
    let head = stolen("tool");
    let (_, waiting) = reader.get_as(&id_of(&head), Freshness::All);
    let query = only_lookup(&mut reader);
    reader.learn(copy(query, &head));
    assert_eq!(reader.hears(&rotated()), Verdict::Accept);
    reader.end(query, 1);
    let answer = answer(waiting);
    assert!(matches!(answer, Some(Err(Error::NotFound { .. }))), "{answer:?}");
    assert_eq!(told_now(&mut reader, &id_of(&head)), None);
}

/// A publisher of the owner's packages, who has a peer to ask.
fn joined_publisher(seed: u8, epoch: u32) -> Lab {
    let keypair = keypair(seed);
    let delegation = Box::new(delegation(&keypair, epoch, MONTH));
    lab_of(Identity::new(keypair, Authority::Delegate(delegation)), true)
}

#[test]
fn the_next_publisher_does_not_read_what_the_replaced_key_signs_either() {
    let mut next = joined_publisher(2, 2);
    let head = stolen("tool");
    let (_, waiting) = next.get(&id_of(&head));
    let query = only_lookup(&mut next);
    next.learn(copy(query, &head));
    next.end(query, 1);
    let answer = answer(waiting);
    assert!(matches!(answer, Some(Err(Error::NotFound { .. }))), "{answer:?}");
    assert_eq!(told_now(&mut next, &id_of(&head)), None);
}

#[test]
fn a_publisher_reads_no_older_head_of_the_owner_s_other_publishers() {
    let mut other = publisher(3, 2, MONTH);
    let old = signed(&mut other, "tool", "1.0.0");
    let new = signed(&mut other, "tool", "1.1.0");
    let mut reader = joined_publisher(2, 2);
    read_once(&mut reader, &id_of(&new), &new);
    reader.advance(Duration::from_secs(24 * 3600));
    reader.actions();
    let (_, waiting) = reader.get(&id_of(&new));
    let query = only_lookup(&mut reader);
    reader.learn(copy(query, &old));
    reader.end(query, 1);
    // The newer one is listed.
    let package = answer(waiting).expect("answered").unwrap();
    assert_eq!((package.manifest.version.minor, package.source), (1, Source::Catalogue));
}

#[test]
fn a_publisher_finds_what_the_owner_s_other_publishers_announce() {
    let head = signed(&mut publisher(3, 2, MONTH), "tool", "1.0.0");
    let mut reader = publisher(2, 2, MONTH);
    reader.events();
    assert_eq!(reader.hears(&head), Verdict::Accept);
    let found = reader.events();
    assert!(matches!(&found[..], [Event::Discovered { .. }]), "{found:?}");
    // Once it publishes the package itself, that is its own.
    signed(&mut reader, "tool", "1.1.0");
    let (_, waiting) = reader.ask(|reply| Command::Search { query: Box::default(), reply });
    assert_eq!(answer(waiting).unwrap().unwrap().packages.len(), 1);
}

#[test]
fn what_begins_anew_in_a_higher_epoch_is_stored_where_its_end_is_known() {
    let end = stolen_end();
    let mut next = publisher(2, 1, MONTH);
    next.engine.cx.store.raise_high_water(&end);
    let head = signed(&mut next, "tool", "1.0.1");
    let key =
        RecordKey::release(&head.network, head.owner(), &head.name, &"1.0.1".parse().unwrap());
    let replica = Lab::new(Config::new());
    replica.engine.cx.store.insert(&end.key(), end.bytes()).unwrap();
    let (release, _) = next.engine.cx.store.bytes(&key).unwrap();
    assert_eq!(replica.engine.cx.store.insert(&key, &release), Ok(()));
}

#[test]
fn the_owner_s_own_key_signs_in_no_epoch_below_the_one_that_it_has_gone_on_to() {
    let mut lab = lab_of(owner().into(), false);
    assert_eq!(signed(&mut lab, "tool", "1.0.0").revision, Revision::new(0, UNIX));
    assert_eq!(lab.hears(&rotated()), Verdict::Accept);
    for (name, version) in [("tool", "1.1.0"), ("third", "1.0.0")] {
        let head = signed(&mut lab, name, version);
        assert_eq!((head.revision, head.delegation()), (Revision::new(2, UNIX), None));
    }
}

#[test]
fn a_search_finds_nothing_of_a_key_that_has_been_replaced() {
    let mut reader = Lab::new(Config::new());
    let found = |lab: &mut Lab| {
        let (_, waiting) = lab.ask(|reply| Command::Search { query: Box::default(), reply });
        let found = answer(waiting).unwrap().unwrap().packages.into_iter();
        found.map(|package| package.id.name().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(reader.hears(&stolen("tool")), Verdict::Accept);
    assert_eq!(found(&mut reader), ["tool"]);
    assert_eq!(reader.hears(&rotated()), Verdict::Accept);
    assert_eq!(found(&mut reader), ["other"]);
}

#[test]
fn what_a_replaced_key_has_signed_is_told_to_nobody_and_hides_nothing_from_a_search() {
    let mut reader = Lab::new(Config::new());
    let mut thief = publisher(1, 1, MONTH);
    let stolen: Vec<_> =
        (0..3).map(|number| signed(&mut thief, &format!("a-stolen-{number}"), "6.6.6")).collect();
    for head in &stolen {
        assert_eq!(reader.hears(head), Verdict::Accept);
    }
    let rotated = rotated();
    assert_eq!(reader.hears(&rotated), Verdict::Accept);
    let told: Vec<_> =
        reader.engine.discovery.catalogue().items(&crate::coverage::Coverage::All, UNIX).collect();
    assert_eq!(told, [(rotated.validity.issued, rotated.digest())]);
    assert_eq!(reader.engine.metadata().known_packages, 1);
    let query = crate::package::Query::new().with_limit(1).with_sort(crate::package::Sort::Name);
    let (_, waiting) = reader.ask(|reply| Command::Search { query: Box::new(query), reply });
    assert_eq!(answer(waiting).unwrap().unwrap().packages.len(), 1);
}
