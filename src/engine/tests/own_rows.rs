//! What a node has published comes back from its storage, whatever has happened meanwhile.

use super::{
    sleep::{HOUR, own_head, pass},
    stored::Start,
    *,
};
use crate::{
    record::{Record, RecordKey},
    storage::{Memory, Storage, Table},
};

const DAY: u64 = 24 * HOUR;

fn versions(head: &Signed<Head>) -> Vec<String> {
    let mut versions: Vec<String> =
        head.releases().iter().map(|entry| entry.version.to_string()).collect();
    versions.sort();
    versions
}

fn release_key(keypair: &Keypair, name: &str, version: &str) -> RecordKey {
    let (owner, network) = (keypair.public().to_peer_id(), NetworkName::default());
    RecordKey::release(&network, &owner, &name.parse().unwrap(), &version.parse().unwrap())
}

/// A node that has published two releases of a package, and has been stopped.
fn published_twice(keypair: &Keypair) -> (Memory, Signed<Head>) {
    let mut node = Start::new(keypair).from(Memory::new());
    node.join();
    node.register("mine", "1.0.0").unwrap();
    node.register("mine", "1.1.0").unwrap();
    let head = own_head(&node.lab).clone();
    (node.stop(), head)
}

#[test]
fn a_node_that_was_off_for_long_publishes_its_packages_again_though_nobody_holds_them() {
    for days in [0, 3, 60, 700] {
        let keypair = Keypair::generate_ed25519();
        let (storage, before) = published_twice(&keypair);
        let mut node = Start::new(&keypair).after(days * DAY).from(storage);
        node.join();
        let sent = pass(&mut node.lab, 60);
        let head = own_head(&node.lab);
        assert!(head.revision > before.revision, "{days}");
        assert_eq!(versions(head), ["1.0.0", "1.1.0"], "{days}");
        assert!(sent.contains(head), "{days}");
        for version in ["1.0.0", "1.1.0"] {
            let release = node.lab.engine.cx.store.own(&release_key(&keypair, "mine", version));
            assert!(release.is_some(), "{days}: {version} is put again as well");
        }
    }
}

#[test]
fn a_node_that_was_off_for_long_and_meets_nobody_keeps_its_packages_and_builds_on_them() {
    let keypair = Keypair::generate_ed25519();
    let (storage, before) = published_twice(&keypair);
    let mut node = Start::new(&keypair).after(3 * DAY).from(storage);
    let rows = node.rows();
    pass(&mut node.lab, 3 * HOUR);
    node.save();
    assert_eq!(node.rows(), rows - 1, "the claim alone is dropped: it is signed with each head");
    let storage = node.stop();
    let mut node = Start::new(&keypair).after(9 * DAY).from(storage);
    pass(&mut node.lab, 3 * HOUR);
    node.register("mine", "1.2.0").unwrap_or_else(|error| panic!("{error}"));
    let head = own_head(&node.lab);
    assert!(head.revision > before.revision);
    assert_eq!(versions(head), ["1.0.0", "1.1.0", "1.2.0"]);
}

#[test]
fn what_a_node_holds_for_others_does_not_push_its_own_packages_out() {
    let keypair = Keypair::generate_ed25519();
    let limits = || Limits::new().with_store_records(40);
    let mut node = Start::new(&keypair).with_limits(limits()).from(Memory::new());
    for number in 0..20 {
        node.register(&format!("mine-{number}"), "1.0.0").unwrap();
    }
    for number in 0..200 {
        let (_, head) = published(&format!("other-{number}"), 1);
        let _ = node.lab.engine.cx.store.insert(&head.key(), head.bytes());
    }
    let mut storage = node.stop();
    let held = |storage: &Memory| storage.len(Table::Held).unwrap();
    assert_eq!(held(&storage), 40);
    for limits in [limits(), Limits::new().with_store_records(1), limits()] {
        let mut node = Start::new(&keypair).with_limits(limits).from(storage);
        pass(&mut node.lab, 60);
        for number in 0..200 {
            let (_, head) = published(&format!("more-{number}"), 1);
            let _ = node.lab.engine.cx.store.insert(&head.key(), head.bytes());
        }
        node.save();
        assert_eq!(node.rows(), 60, "head, release and claim of each");
        assert_eq!(node.lab.engine.publishing.resuming().names().count(), 20);
        storage = node.stop();
    }
    assert!(held(&storage) > 0);
}

#[test]
fn what_another_device_has_published_meanwhile_is_joined_with_what_lies_here() {
    let keypair = Keypair::generate_ed25519();
    let (storage, _) = published_twice(&keypair);
    // The other device knows nothing of these, and has signed more often.
    let mut other = Start::new(&keypair).after(3 * DAY).from(Memory::new());
    for version in ["2.0.0", "2.1.0", "2.2.0"] {
        other.register("mine", version).unwrap();
    }
    let theirs = own_head(&other.lab).clone();
    let mut node = Start::new(&keypair).after(3 * DAY).from(storage);
    node.lab.engine.cx.store.insert(&theirs.key(), theirs.bytes()).unwrap();
    node.save();
    // What it had published is on disk still, and in force after another stop.
    let storage = node.stop();
    let mut node = Start::new(&keypair).after(3 * DAY).from(storage);
    node.join();
    for _ in 0..30 {
        node.lab.advance(Duration::from_secs(2));
        for action in node.lab.actions() {
            match action {
                Action::Get { query, key, .. } => {
                    if key == theirs.key() {
                        node.lab.learn(copy(query, &theirs));
                    }
                    node.lab.end(query, 3);
                }
                Action::Put { query, .. } => {
                    let end = QueryEnd::Stored { replicas: 3 };
                    node.lab.learn(Fact::QueryEnded { query, end });
                }
                _ => {}
            }
        }
    }
    let head = own_head(&node.lab);
    assert!(head.revision > theirs.revision);
    assert_eq!(versions(head), ["1.0.0", "1.1.0", "2.0.0", "2.1.0", "2.2.0"]);
}

#[test]
fn a_package_that_was_withdrawn_elsewhere_meanwhile_does_not_come_back() {
    let keypair = Keypair::generate_ed25519();
    let (storage, before) = published_twice(&keypair);
    let id = PackageId::owned(before.owner, before.name.clone());
    let end = tombstone(&keypair, &id, before.revision.sequence + 5);
    let node = Start::new(&keypair).from(storage);
    node.lab.engine.cx.store.insert(&end.key(), end.bytes()).unwrap();
    let storage = node.stop();
    let mut node = Start::new(&keypair).from(storage);
    node.join();
    pass(&mut node.lab, 60);
    assert!(node.lab.engine.publishing.own().values().all(|own| own.is_withdrawn()));
    let refused = node.register("mine", "1.2.0");
    assert!(matches!(refused, Err(Error::Withdrawn { .. })), "{refused:?}");
    let key = release_key(&keypair, "mine", "1.0.0").digest();
    assert_eq!(node.storage.get(Table::Own, &key).unwrap(), None);
}

#[test]
fn a_head_that_peers_hold_and_this_clock_refuses_is_not_replaced() {
    let keypair = Keypair::generate_ed25519();
    let (storage, before) = published_twice(&keypair);
    let mut node = Start::new(&keypair).after(3 * DAY).from(storage);
    node.join();
    for _ in 0..100 {
        node.lab.advance(Duration::from_secs(60));
        for action in node.lab.actions() {
            if let Action::Get { query, .. } = action {
                node.lab.learn(copy(query, &before));
                node.lab.end(query, 3);
            }
        }
    }
    assert!(node.lab.engine.publishing.own().is_empty());
    assert!(node.lab.engine.publishing.resuming().contains(&before.name));
    // They have let go of it.
    pass(&mut node.lab, 2 * HOUR);
    assert_eq!(versions(own_head(&node.lab)), ["1.0.0", "1.1.0"]);
}

#[test]
fn a_long_list_is_whole_again_and_old_pages_go() {
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).from(Memory::new());
    for number in 0..400 {
        node.register("mine", &format!("1.{number}.0")).unwrap();
    }
    pass(&mut node.lab, 5 * DAY);
    node.save();
    let storage = node.stop();
    let is_page = |value: &[u8]| {
        let kept = value.windows(2).any(|kind| kind == [1, crate::record::Kind::Page as u8]);
        kept && value.len() > 4_000
    };
    let rows = storage.scan(Table::Own, None, usize::MAX).unwrap();
    let pages = rows.iter().filter(|(_, value)| is_page(value)).count();
    assert!((1..20).contains(&pages), "{pages} pages");
    let mut node = Start::new(&keypair).after(15 * DAY).from(storage);
    node.join();
    pass(&mut node.lab, 120);
    let own = node.lab.engine.publishing.own().values().next().expect("published");
    assert_eq!(
        own.keys()
            .filter(|key| matches!(node.lab.engine.cx.store.own(key), Some(Record::Release(_))))
            .count(),
        400
    );
}
