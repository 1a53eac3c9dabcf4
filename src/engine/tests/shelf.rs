//! What callers read without the node, and what they no longer do.

use super::*;
use crate::package::Source;

#[test]
fn what_is_read_or_announced_can_be_read_without_the_node_until_it_lapses() {
    let mut lab = Lab::new(Config::new().with_cache_ttl(Duration::from_secs(5)));
    let (id, head) = published("tool", 1);
    assert_eq!(lab.on_shelf(&id), None);
    lab.hears(&head);
    assert_eq!(lab.on_shelf(&id).unwrap().source, Source::Cache);
    assert_eq!(lab.on_shelf(&id.clone().with_version("1.0.0".parse().unwrap())), None);
    // Nobody polls the engine meanwhile.
    lab.mono += Duration::from_secs(5);
    assert_eq!(lab.on_shelf(&id), None);
}

#[test]
fn what_is_replaced_or_withdrawn_leaves_the_shelf_at_once() {
    let mut lab = Lab::new(Config::new());
    let keypair = Keypair::generate_ed25519();
    let (id, first) = published_by(&keypair, "tool", 1);
    lab.hears(&first);
    for sequence in 2..4 {
        let (_, next) = published_by(&keypair, "tool", sequence);
        lab.hears(&next);
        assert_eq!(lab.on_shelf(&id).unwrap().sequence, sequence);
    }
    // A newer one that a peer has put here is not what was read: it has to be asked for.
    let (_, stored) = published_by(&keypair, "tool", 4);
    lab.engine.cx.store.insert(&stored.key(), stored.bytes()).unwrap();
    lab.engine.learn_stored();
    assert_eq!(lab.on_shelf(&id), None);

    let owner = keypair.public().to_peer_id();
    let (network, name) = (crate::record::NetworkName::default(), id.name().clone());
    let validity = Validity::starting(UNIX - 60, 3600);
    let (_, live) = published_by(&keypair, "tool", 5);
    lab.hears(&live);
    assert!(lab.on_shelf(&id).is_some());
    let gone = Head::withdrawn(network, owner, name, Revision::new(0, 6), validity, "");
    let gone = Signed::sign(&keypair, gone).unwrap();
    lab.hears(&gone);
    assert_eq!(lab.on_shelf(&id), None);
}

#[test]
fn own_packages_stand_on_the_shelf_by_both_names_until_they_are_withdrawn() {
    let mut lab = Lab::untouched(Config::new());
    let name: PackageName = "mine".parse().unwrap();
    let ids = [PackageId::named(name.clone()), PackageId::owned(lab.engine.cx.local, name.clone())];
    let manifest = Manifest::new(name.clone(), "1.0.0".parse().unwrap());
    let (_, _receipt) =
        lab.ask(|reply| Command::Register { manifest: Box::new(manifest), confirmation: 0, reply });
    for id in &ids {
        assert_eq!(lab.on_shelf(id).unwrap().source, Source::Own);
    }
    let (_, _receipt) = lab.ask(|reply| Command::Unregister { name, confirmation: 0, reply });
    for id in &ids {
        assert_eq!(lab.on_shelf(id), None);
    }
    assert_eq!(lab.shelf.len(), 0);
}

#[test]
fn the_shelf_is_no_larger_than_what_the_engine_keeps_and_empty_when_it_ends() {
    let limits = Limits::new().with_cache_records(3);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    for n in 0..20 {
        let (_, head) = published(&format!("package-{n}"), 1);
        lab.hears(&head);
        assert!(lab.shelf.len() <= 3);
    }
    assert_eq!(lab.shelf.len(), 3);
    let Lab { engine, shelf, .. } = lab;
    drop(engine);
    assert_eq!(shelf.len(), 0);
}
