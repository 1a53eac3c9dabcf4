//! Own packages: a change goes on from what peers hold, and what nobody holds is put again until somebody does.

use std::sync::Arc;

use super::*;
use crate::record::{Kind, Record};

const HOUR: Duration = Duration::from_secs(3600);

/// A node that will publish. Where it draws how long to wait, it waits for as long as it may.
fn owner(config: Config) -> Lab {
    Setup::of(Keypair::generate_ed25519()).with_config(config).with_entropy(255).start()
}

/// A head of the node's own package `tool`, as an earlier life has signed it.
fn earlier(owner: &Lab, sequence: u64, versions: &[&str]) -> Signed<Head> {
    let (keypair, id) = (&owner.engine.cx.keypair, owner.engine.cx.owner);
    let manifest =
        |version: &&str| Manifest::new("tool".parse().unwrap(), version.parse().unwrap());
    let releases: Vec<Signed<Release>> = versions
        .iter()
        .map(|version| Release::new(NetworkName::default(), id, manifest(version)))
        .map(|release| Signed::sign(keypair, release).unwrap())
        .collect();
    let head = Head::live(
        NetworkName::default(),
        id,
        Revision::new(0, sequence),
        Validity::starting(owner.now().unix, 3600),
        releases[0].manifest.clone(),
        releases.iter().map(ReleaseEntry::of).collect(),
        None,
    );
    Signed::sign(keypair, head).unwrap()
}

fn cut_short(owner: &mut Lab, query: QueryKey) {
    owner.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
}

/// How many peers hold what nobody held before, as the application is told.
fn replicated(owner: &mut Lab) -> Vec<u32> {
    let replicas = owner.events().into_iter().filter_map(|event| match event {
        Event::Replicated { replicas, .. } => Some(replicas),
        _ => None,
    });
    replicas.collect()
}

#[test]
fn a_renewal_that_is_cut_short_is_tried_again_in_the_next_round() {
    let mut owner = owner(Config::new());
    let _receipt = owner.registers("tool", "1.0.0");
    owner.stores_with(0);
    owner.joins();
    owner.advance(Duration::from_secs(1));
    for round in 0..4 {
        let lookups = owner.lookups();
        assert_eq!(lookups.len(), 1, "round {round}");
        for query in lookups {
            cut_short(&mut owner, query);
        }
        assert!(owner.engine.is_at_rest());
        owner.advance(14 * HOUR);
    }
}

#[test]
fn what_nobody_stored_is_recalled_before_it_is_put_again() {
    let mut owner = owner(Config::new());
    owner.joins();
    let _receipt = owner.registers("tool", "1.0.0");
    let recall = owner.lookups()[0];
    owner.end(recall, 1);
    assert_eq!(owner.stores_heads_with(0).len(), 1);

    owner.advance(Duration::from_secs(31));
    let recall = owner.lookups()[0];
    let later = owner.now().unix + 7;
    let held = earlier(&owner, later, &["0.9.0"]);
    owner.learn(copy(recall, &held));
    owner.end(recall, 1);

    let heads = owner.stores_heads_with(1);
    assert_eq!(heads[0].revision, Revision::new(0, later + 1));
    assert_eq!(*owner.own_head("tool"), heads[0]);
}

#[test]
fn a_change_goes_on_from_the_newest_copy_whichever_came_first() {
    for order in [[4, 5], [5, 4]] {
        let mut owner = owner(Config::new());
        owner.joins();
        let mut receipt = owner.registers("tool", "2.0.0");
        let recall = owner.lookups()[0];
        let later = owner.now().unix;
        for sequence in order {
            let versions = if sequence == 5 { &["1.1.0", "1.0.0"][..] } else { &["1.0.0"] };
            let held = earlier(&owner, later + sequence, versions);
            owner.learn(copy(recall, &held));
            assert!(receipt.try_recv().unwrap().is_none(), "others may know more");
        }
        owner.end(recall, 2);

        let heads = owner.stores_heads_with(2);
        assert_eq!(heads[0].revision, Revision::new(0, later + 6));
        let listed = crate::record::ReleaseList::of(&heads[0]).into_releases();
        let versions: Vec<String> = listed.iter().map(|entry| entry.version.to_string()).collect();
        assert_eq!(versions, ["2.0.0", "1.1.0", "1.0.0"]);
        assert_eq!(answer(receipt).unwrap().unwrap().sequence, later + 6);
    }
}

#[test]
fn a_change_goes_on_from_the_newest_head_that_peers_hold_whichever_answers_first() {
    let mut owner = owner(Config::new());
    owner.joins();
    let receipt = owner.registers("tool", "2.0.0");
    let recall = only_recall_of_two(&mut owner);
    for sequence in [3, 5, 4].map(|more| UNIX + more) {
        let held = earlier(&owner, sequence, &["1.0.0"]);
        owner.learn(copy(recall, &held));
    }
    owner.end(recall, 3);
    owner.stores_with(1);
    assert_eq!(answer(receipt).unwrap().unwrap().sequence, UNIX + 6);
}

/// The lookup of the head of a package that is new here. What others claim of its name is not answered.
fn only_recall_of_two(owner: &mut Lab) -> QueryKey {
    let [recall, _claims] = owner.lookups()[..] else { panic!("two lookups") };
    recall
}

#[test]
fn changes_in_flight_keep_to_the_number_of_own_packages_too() {
    let mut owner = owner(Config::new().with_limits(Limits::new().with_own_packages(1)));
    owner.joins();
    let first = owner.registers("first", "1.0.0");
    let second = owner.registers("second", "1.0.0");
    for query in owner.lookups() {
        owner.end(query, 1);
    }
    owner.stores_with(1);
    assert!(answer(first).unwrap().is_ok());
    let error = answer(second).unwrap().unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error:?}");
    assert_eq!(owner.engine.publishing.own().len(), 1);
}

#[test]
fn a_package_whose_renewal_came_to_nothing_is_put_again_another_time() {
    let mut owner = owner(Config::new());
    // Alone, so that nobody knows whether there was an earlier life.
    let receipt = owner.registers("tool", "2.0.0");
    owner.stores_with(0);
    assert!(answer(receipt).unwrap().is_ok());
    owner.joins();
    for _ in 0..4 {
        owner.advance(14 * HOUR);
        let lookups = owner.lookups();
        assert_eq!(lookups.len(), 1, "the head is asked for before the package is put again");
        for query in lookups {
            cut_short(&mut owner, query);
        }
        owner.actions();
    }
}

#[test]
fn the_pause_before_the_next_try_does_not_grow_with_the_number_of_packages() {
    let mut owner = owner(Config::new());
    owner.joins();
    for number in 0..20 {
        drop(owner.registers(&format!("tool-{number}"), "2.0.0"));
    }
    assert!(owner.stores_with(0).len() >= 20);
    // The first try comes after 30 s, the second a minute later.
    for pause in [30, 60] {
        owner.advance(Duration::from_secs(pause - 1));
        assert_eq!(owner.stores_with(0).len(), 0);
        owner.advance(Duration::from_secs(2));
        assert!(owner.stores_with(0).len() >= 20);
        owner.mono -= Duration::from_secs(1);
    }
}

#[test]
fn a_peer_that_takes_nothing_and_repeats_its_addresses_does_not_hurry_the_node() {
    let mut owner = owner(Config::new());
    let peer = owner.joins();
    drop(owner.registers("tool", "2.0.0"));
    owner.stores_with(0);
    for _ in 0..20 {
        owner.learn(Fact::Routable { peer });
        owner.advance(Duration::from_secs(1));
        assert_eq!(owner.stores_with(0).len(), 0);
    }
    // One that has been away may have changed its mind.
    owner.visited_by(peer);
    owner.advance(Duration::from_secs(1));
    assert!(!owner.stores_with(1).is_empty());
}

#[test]
fn a_package_is_signed_anew_in_time_however_seldom_it_is_to_be_put_again() {
    let config = Config::new().with_republish_interval(Duration::MAX);
    let ttl = config.record_ttl;
    let mut owner = owner(config);
    owner.joins();
    drop(owner.registers("tool", "2.0.0"));
    for _ in 0..100 {
        owner.stores_with(1);
        owner.advance(ttl / 20);
        let expires = owner.own_head("tool").validity.expires;
        assert!(expires > owner.now().unix, "expired before it was put again");
    }
}

#[test]
fn a_cached_head_is_not_answered_once_a_newer_one_was_seen() {
    let mut owner = owner(Config::new());
    let [old, new] = [1, 2].map(|sequence| earlier(&owner, sequence, &["1.0.0"]));
    let known = |owner: &Lab| {
        let engine = &owner.engine;
        engine.reading.known(&engine.cx, &old.key(), Freshness::First).is_some()
    };
    owner.engine.remember(&Arc::new(Record::Head(old.clone())));
    assert!(known(&owner));
    owner.engine.cx.store.raise_high_water(&new);
    assert!(!known(&owner));
    let seen = owner.engine.cx.store.high_water(Kind::Head, &new.owner, &new.name);
    assert_eq!(seen, Some(new.rank()));
}

#[test]
fn a_package_that_peers_have_refused_is_put_again_until_somebody_holds_it() {
    let mut owner = owner(Config::new());
    owner.joins();
    let receipt = owner.registers("tool", "2.0.0");
    // Every peer refuses every record of it.
    assert_eq!(owner.stores_with(0).len(), 3);
    assert_eq!(answer(receipt).unwrap().unwrap().replicas, 0);
    let mut rounds = 0;
    for _ in 0..20 {
        owner.advance(Duration::from_secs(30));
        rounds += usize::from(!owner.stores_with(0).is_empty());
    }
    assert!((2..8).contains(&rounds), "{rounds} rounds in ten minutes");
    assert!(replicated(&mut owner).is_empty());
    // There is room again.
    let mut puts = 0;
    for _ in 0..120 {
        owner.advance(Duration::from_secs(30));
        puts += owner.stores_with(2).len();
    }
    assert!(puts >= 3);
    assert_eq!(replicated(&mut owner), [2], "and it is told once");
}

#[test]
fn a_caller_whose_time_was_up_hears_that_the_package_is_held_after_all() {
    let mut owner = owner(Config::new());
    owner.joins();
    let receipt = owner.registers("tool", "2.0.0");
    let recall = only_recall_of_two(&mut owner);
    owner.end(recall, 1);
    let puts = owner.actions().into_iter().filter_map(|action| match action {
        Action::Put { query, .. } => Some(query),
        _ => None,
    });
    let puts: Vec<QueryKey> = puts.collect();
    owner.advance(Duration::from_secs(31));
    assert_eq!(answer(receipt).unwrap().unwrap().replicas, 0);
    for query in puts {
        owner.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 3 } });
    }
    assert_eq!(replicated(&mut owner), [3]);
}
