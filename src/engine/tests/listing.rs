//! What comes into the catalogue, and what the application makes of it.

use super::*;
use crate::{
    coverage::Coverage,
    engine::discovery::catalogue::Interest,
    freshness::Freshness,
    package::{Query, Source},
};

fn light() -> Lab {
    Lab::new(Config::new().with_coverage(Coverage::None))
}

fn hear(lab: &mut Lab, from: PeerId, head: &Signed<Head>) {
    let verdict = lab.hears_from(from, head);
    assert_eq!(verdict, Verdict::Accept);
}

/// Somebody else's package, with a head that was signed later than the others here.
fn fresh(name: &str) -> Signed<Head> {
    let keypair = Keypair::generate_ed25519();
    let (_, head) = published_by(&keypair, name, 1);
    let validity = Validity::starting(UNIX, 3600);
    Signed::sign(&keypair, Head { validity, ..Head::clone(&head) }).unwrap()
}

fn lists(lab: &Lab, head: &Signed<Head>) -> bool {
    lab.engine.discovery.catalogue().by_digest(&head.digest(), UNIX).is_some()
}

fn providers(lab: &Lab, head: &Signed<Head>) -> Vec<PeerId> {
    let seen = lab.engine.discovery.catalogue().providers(&head.name, &head.owner, UNIX);
    seen.into_iter().map(|(peer, _)| peer).filter(|peer| *peer != head.owner).collect()
}

fn search(lab: &mut Lab, query: Query) -> Vec<(String, Source)> {
    let (_, found) = lab.ask(|reply| Command::Search { query: Box::new(query), reply });
    let found = answer(found).unwrap().unwrap().packages;
    found.into_iter().map(|package| (package.id.name().to_string(), package.source)).collect()
}

fn discovered(lab: &mut Lab) -> usize {
    lab.events().into_iter().filter(|event| matches!(event, Event::Discovered { .. })).count()
}

#[test]
fn who_forwarded_an_announcement_is_known_as_a_provider_and_so_is_who_served_a_lookup() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (first, second, third) = (PeerId::random(), PeerId::random(), PeerId::random());
    hear(&mut lab, first, &head);
    hear(&mut lab, second, &head);
    let (_, waiting) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(Fact::Copy { query, from: Some(third), bytes: head.bytes().to_vec() });
    lab.end(query, 1);
    assert!(answer(waiting).unwrap().is_ok());
    let mut seen = providers(&lab, &head);
    let mut expected = vec![first, second, third];
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn what_is_listed_is_not_verified_again_when_it_is_announced_however_much_was_verified_since() {
    let mut lab = Lab::new(Config::new());
    let head = fresh("tool");
    hear(&mut lab, PeerId::random(), &head);
    let store = lab.engine.cx.store.clone();
    store.forget_signatures();
    hear(&mut lab, PeerId::random(), &head);
    assert_eq!(store.signatures_verified(), 0);
    // It still has to be in force.
    let late = Now { unix: head.validity.expires, ..lab.now() };
    let from = Some(PeerId::random());
    let verdict = lab.engine.hear_from(late, from, "announcements", head.bytes());
    assert_eq!(verdict, Verdict::Ignore);
}

#[test]
fn another_signature_under_a_head_that_is_listed_is_verified() {
    let mut lab = Lab::new(Config::new());
    let head = fresh("tool");
    hear(&mut lab, PeerId::random(), &head);
    let mut forged = head.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let (now, from) = (lab.now(), Some(PeerId::random()));
    let verdict = lab.engine.hear_from(now, from, "announcements", &forged);
    assert_eq!(verdict, Verdict::Reject);
}

#[test]
fn what_was_looked_up_is_found_by_the_next_search() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    read_once(&mut lab, &id, &head);
    assert_eq!(search(&mut lab, Query::new()), [("tool".to_owned(), Source::Cache)]);
    // It is news all the same when it is announced, once the cache has forgotten it.
    lab.advance(Config::new().cache_ttl);
    hear(&mut lab, PeerId::random(), &head);
    assert_eq!(discovered(&mut lab), 1);
    lab.advance(Config::new().cache_ttl);
    hear(&mut lab, PeerId::random(), &head);
    assert_eq!(discovered(&mut lab), 0);
}

#[test]
fn a_search_tells_nothing_older_than_was_seen_wherever_that_was() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    hear(&mut lab, PeerId::random(), &old);
    // A peer hands the newer one over, to be stored.
    lab.engine.cx.store.insert(&new.key(), new.bytes()).unwrap();
    lab.engine.learn_stored();
    assert!(lists(&lab, &new) && !lists(&lab, &old));
    assert_eq!(search(&mut lab, Query::new()), [("tool".to_owned(), Source::Cache)]);
    // Of another package, a newer head has been seen and is gone.
    let (_, [old, new]) = two_heads("other");
    hear(&mut lab, PeerId::random(), &old);
    lab.engine.cx.store.raise_high_water(&new);
    assert_eq!(search(&mut lab, Query::new()), [("tool".to_owned(), Source::Cache)]);
    assert!(lab.engine.discovery.catalogue().get(id.name(), id.owner().unwrap(), UNIX).is_some());
}

#[test]
fn a_page_of_a_search_says_how_many_match_in_all_and_whether_it_is_the_last() {
    let mut lab = Lab::new(Config::new());
    for name in ["one", "two", "three", "four", "five"] {
        hear(&mut lab, PeerId::random(), &fresh(name));
    }
    let pages = [(0, 2, true), (2, 2, true), (4, 1, false), (5, 0, false)];
    let mut names = Vec::new();
    for (offset, shown, truncated) in pages {
        let query = Box::new(Query::new().with_limit(2).with_offset(offset));
        let (_, found) = lab.ask(|reply| Command::Search { query, reply });
        let found = answer(found).unwrap().unwrap();
        assert_eq!((found.packages.len(), found.total, found.truncated), (shown, 5, truncated));
        names.extend(found.packages.into_iter().map(|package| package.id.name().to_string()));
    }
    names.sort();
    assert_eq!(names, ["five", "four", "one", "three", "two"]);
}

#[test]
fn a_newer_head_that_a_lookup_finds_takes_the_place_of_the_announced_one() {
    let mut lab = Lab::new(Config::new());
    let (id, [old, new]) = two_heads("tool");
    hear(&mut lab, PeerId::random(), &old);
    let (_, all) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.learn(copy(query, &new));
    lab.end(query, 1);
    assert_eq!(answer(all).unwrap().unwrap().sequence, 2);
    assert!(lists(&lab, &new) && !lists(&lab, &old));
}

#[test]
fn a_withdrawal_stays_listed_wherever_it_was_learnt_and_the_package_is_searched_no_more() {
    for way in 0..3 {
        let mut lab = Lab::new(Config::new());
        let keypair = Keypair::generate_ed25519();
        let (id, live) = published_by(&keypair, "tool", 1);
        let gone = tombstone(&keypair, &id, 2);
        hear(&mut lab, PeerId::random(), &live);
        match way {
            0 => hear(&mut lab, PeerId::random(), &gone),
            1 => {
                let (_, waiting) = lab.get_as(&id, Freshness::All);
                let query = only_lookup(&mut lab);
                lab.learn(copy(query, &gone));
                lab.end(query, 1);
                assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), "withdrawn");
            }
            _ => {
                lab.engine.cx.store.insert(&gone.key(), gone.bytes()).unwrap();
                lab.engine.learn_stored();
            }
        }
        assert_eq!(search(&mut lab, Query::new()), []);
        assert!(lists(&lab, &gone), "{way}");
        assert_eq!(lab.engine.discovery.catalogue().known(), 0);
    }
}

#[test]
fn own_packages_are_searched_and_told_to_others_and_so_is_their_end() {
    for coverage in [Coverage::All, Coverage::None] {
        let mut lab = Lab::untouched(Config::new().with_coverage(coverage));
        let name: PackageName = "mine".parse().unwrap();
        let manifest = Box::new(Manifest::new(name.clone(), "1.0.0".parse().unwrap()));
        let (_, _receipt) = lab.ask(|reply| Command::Register { manifest, confirmation: 0, reply });
        assert_eq!(search(&mut lab, Query::new()), [("mine".to_owned(), Source::Own)]);
        let told = |lab: &Lab| -> Vec<Digest> {
            let items = lab.engine.discovery.catalogue().items(&Coverage::All, UNIX);
            items.map(|(_, digest)| digest).collect()
        };
        assert_eq!(told(&lab), [lab.engine.publishing.own()[&name].head.digest()]);
        assert_eq!(lab.engine.metadata().known_packages, 0);
        let (_, _receipt) =
            lab.ask(|reply| Command::Unregister { name: name.clone(), confirmation: 0, reply });
        assert!(lab.engine.publishing.own()[&name].is_withdrawn());
        assert_eq!(told(&lab), [lab.engine.publishing.own()[&name].head.digest()]);
        assert_eq!(search(&mut lab, Query::new()), []);
    }
}

#[test]
fn what_an_earlier_life_has_published_is_listed_until_the_node_publishes_it_again() {
    let keypair = Keypair::generate_ed25519();
    let mut lab = Lab::of(keypair.clone(), Config::new().with_coverage(Coverage::None));
    let (id, head) = published_by(&keypair, "mine", 1);
    hear(&mut lab, PeerId::random(), &head);
    assert!(lists(&lab, &head));
    assert_eq!(search(&mut lab, Query::new()), [("mine".to_owned(), Source::Cache)]);
    assert_eq!(discovered(&mut lab), 0, "it is no news to its owner");
    let manifest = Box::new(Manifest::new(id.name().clone(), "2.0.0".parse().unwrap()));
    let (_, _receipt) = lab.ask(|reply| Command::Register { manifest, confirmation: 0, reply });
    assert_eq!(search(&mut lab, Query::new()), [("mine".to_owned(), Source::Own)]);
    // The copies of others come late.
    hear(&mut lab, PeerId::random(), &published_by(&keypair, "mine", UNIX + 9).1);
    let own = lab.engine.publishing.own()[id.name()].head.clone();
    assert!(lists(&lab, &own) && !lists(&lab, &head));
    assert_eq!(lab.engine.discovery.catalogue().len(), 1);
}

#[test]
fn a_light_client_keeps_what_its_application_has_asked_for_and_hears_of_the_rest() {
    let mut lab = light();
    let (_, other) = published("other", 1);
    hear(&mut lab, PeerId::random(), &other);
    assert_eq!(discovered(&mut lab), 1);
    assert!(!lists(&lab, &other));
    // Asked for over the network.
    let (id, head) = published("tool", 1);
    read_once(&mut lab, &id, &head);
    assert!(lists(&lab, &head));
    // Heard of, and then read without the node.
    let (id, head) = published("heard", 1);
    hear(&mut lab, PeerId::random(), &head);
    assert!(lab.on_shelf(&id).is_some());
    assert!(!lists(&lab, &head));
    lab.advance(SWEEP_INTERVAL);
    assert!(lists(&lab, &head));
    assert_eq!(search(&mut lab, Query::new()).len(), 2);
}

#[test]
fn what_was_read_without_the_node_counts_as_used_before_others_push_it_out() {
    let limits = Limits::new().with_catalogue_packages(8);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let (flooder, (id, head)) = (PeerId::random(), published("tool", 1));
    hear(&mut lab, flooder, &head);
    assert!(lab.on_shelf(&id).is_some());
    for number in 0..50 {
        hear(&mut lab, flooder, &published(&format!("flood-{number}"), 1).1);
    }
    assert!(lists(&lab, &head));
    assert_eq!(lab.engine.discovery.catalogue().len(), 8);
}

#[test]
fn a_pin_holds_a_package_and_taking_it_back_lets_it_go_in_time() {
    let limits = Limits::new().with_catalogue_packages(8);
    let ahead = published("ahead", 1);
    let config = Config::new()
        .with_limits(limits)
        .with_pin(ahead.0.name().clone(), *ahead.0.owner().unwrap());
    let mut lab = Lab::new(config);
    let flooder = PeerId::random();
    let later = published("later", 1);
    let name = later.0.name().clone();
    hear(&mut lab, flooder, &ahead.1);
    hear(&mut lab, flooder, &later.1);
    let owner = later.0.owner().copied();
    let pin = |owner| {
        let name = name.clone();
        move |reply| Command::Pin { name, owner, reply }
    };
    let (_, _pinned) = lab.ask(pin(owner));
    let flood = |lab: &mut Lab, round: u32| {
        for number in 0..50 {
            hear(lab, flooder, &fresh(&format!("flood-{round}-{number}")));
        }
    };
    flood(&mut lab, 1);
    assert!(lists(&lab, &ahead.1) && lists(&lab, &later.1));
    let (_, _unpinned) = lab.ask(pin(None));
    for number in 0..6 {
        let (id, head) = published(&format!("used-{number}"), 1);
        read_once(&mut lab, &id, &head);
    }
    flood(&mut lab, 2);
    assert!(lists(&lab, &ahead.1));
    assert!(!lists(&lab, &later.1), "six were used since, and there is room for six");
}

#[test]
fn a_name_that_is_pinned_to_somebody_else_holds_nothing() {
    let mut lab = light();
    let (id, head) = published("tool", 1);
    let name = id.name().clone();
    let (_, _pinned) = lab.ask(|reply| Command::Pin { name, owner: Some(PeerId::random()), reply });
    hear(&mut lab, PeerId::random(), &head);
    assert!(!lists(&lab, &head));
    let owner = id.owner().unwrap();
    assert!(
        lab.engine.discovery.catalogue_mut().promote(id.name(), owner, Interest::Pinned).is_empty()
    );
}

#[test]
fn what_has_expired_is_swept_out() {
    let mut lab = Lab::new(Config::new());
    hear(&mut lab, PeerId::random(), &published("tool", 1).1);
    lab.advance(SWEEP_INTERVAL);
    assert_eq!(lab.engine.discovery.catalogue().len(), 1);
    lab.advance(Duration::from_secs(3600));
    assert_eq!(lab.engine.discovery.catalogue().len(), 0);
}

#[test]
fn a_flood_of_identities_pushes_out_neither_pins_nor_uses_and_the_index_keeps_step() {
    let limits = Limits::new().with_catalogue_packages(64);
    let pinned: Vec<_> = (0..16).map(|number| published(&format!("pinned-{number}"), 1)).collect();
    let config = pinned.iter().fold(Config::new().with_limits(limits), |config, (id, _)| {
        config.with_pin(id.name().clone(), *id.owner().unwrap())
    });
    let mut lab = Lab::new(config);
    let mut kept: Vec<Signed<Head>> = pinned.into_iter().map(|(_, head)| head).collect();
    let honest = PeerId::random();
    kept.iter().for_each(|head| hear(&mut lab, honest, head));
    for number in 0..16 {
        let (id, head) = published(&format!("looked-up-{number}"), 1);
        read_once(&mut lab, &id, &head);
        kept.push(head);
        let (id, head) = published(&format!("on-shelf-{number}"), 1);
        hear(&mut lab, honest, &head);
        assert!(lab.on_shelf(&id).is_some());
        kept.push(head);
    }
    for number in 0..500 {
        // Everybody has one package, as new as can be, and whoever brings it is somebody else as well.
        hear(&mut lab, PeerId::random(), &fresh(&format!("flood-{number}")));
    }
    assert!(kept.iter().all(|head| lists(&lab, head)));
    assert_eq!(lab.engine.discovery.catalogue().len(), 64);
    let mut found: Vec<String> = Vec::new();
    for offset in [0, 50] {
        let page = Query::new().with_limit(50).with_offset(offset);
        found.extend(search(&mut lab, page).into_iter().map(|(name, _)| name));
    }
    let mut listed: Vec<String> =
        lab.engine.discovery.catalogue().iter(UNIX).map(|listed| listed.name.to_string()).collect();
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
}

#[test]
fn the_provider_of_a_package_that_is_connected_comes_before_those_that_were_seen_later() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (near, far) = (PeerId::random(), PeerId::random());
    let address = "/memory/5".parse().unwrap();
    lab.learn(Fact::Connected { peer: near, address, direction: crate::event::Direction::Inbound });
    hear(&mut lab, near, &head);
    let later = Now { unix: UNIX + 60, ..lab.now() };
    let verdict = lab.engine.hear_from(later, Some(far), "announcements", head.bytes());
    assert_eq!(verdict, Verdict::Accept);
    let providers = |lab: &mut Lab| {
        let (owner, name) = (*id.owner().unwrap(), id.name().clone());
        let (_, told) = lab.ask(|reply| Command::Providers { owner, name, reply });
        let told = answer(told).unwrap().unwrap();
        told.iter().map(|found| (found.peer, found.seen, found.connected)).collect::<Vec<_>>()
    };
    // Whoever has signed it had it when it was issued.
    let owner = (*id.owner().unwrap(), UNIX - 60, false);
    assert_eq!(providers(&mut lab), [(near, UNIX, true), (far, UNIX + 60, false), owner]);
    lab.learn(Fact::Disconnected { peer: near, reason: None });
    assert_eq!(providers(&mut lab), [(far, UNIX + 60, false), (near, UNIX, false), owner]);
    // Of a package that nobody has told of, nobody is known to have it.
    let name = "other".parse().unwrap();
    let (_, told) = lab.ask(|reply| Command::Providers { owner: owner.0, name, reply });
    assert_eq!(answer(told), Some(Ok(Vec::new())));
}
