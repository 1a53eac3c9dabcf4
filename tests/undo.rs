//! Yanks with their reasons, deprecation, and taking both back, between peers on real sockets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::executor::block_on;
use peerage::{
    Deprecation, Event, Freshness, Handle, Node, Package, PackageId, Query, Registry,
    identity::Keypair,
    record::{Delegation, Validity},
};

mod support;

use support::{Executor, Peer, bare, loopback, manifest, name, network, owned, version, within};

async fn read(handle: &Handle, release: &str) -> Package {
    handle.get_version(bare("tool"), version(release)).await.expect("found")
}

async fn newest(handle: &Handle) -> String {
    let package = handle.get_package(bare("tool")).await.expect("found");
    package.manifest.version.to_string()
}

async fn told(peer: &mut Peer, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
    peer.wait_for(what, |event| wanted(&event).then_some(event)).await
}

#[test]
fn a_yank_says_why_and_is_taken_back_everywhere() {
    block_on(async {
        let mut peers = network(Executor::Smol, 3).await;
        let mut reader = peers.pop().expect("three peers");
        let owner = peers.pop().expect("three peers");
        let publisher = owner.id();
        for release in ["1.0.0", "1.1.0"] {
            owner.handle.register(manifest("tool", release)).await.expect("registered");
        }
        told(&mut reader, "the package", |event| match event {
            Event::Discovered { package } => package.manifest.version == version("1.1.0"),
            _ => false,
        })
        .await;

        let reason = || "leaks memory".to_owned();
        let yank = owner.handle.yank_with_reason(name("tool"), version("1.1.0"), reason());
        yank.await.expect("yanked");
        let event = told(&mut reader, "the yank", |event| matches!(event, Event::Yanked { .. }));
        let id = owned(publisher, "tool").with_version(version("1.1.0"));
        assert_eq!(event.await, Event::Yanked { id: id.clone(), reason: Some(reason()) });
        let anew = reader.handle.with_freshness(Freshness::All);
        for handle in [&reader.handle, &anew, &owner.handle] {
            let yanked = read(handle, "1.1.0").await;
            assert_eq!((yanked.yanked, yanked.yank_reason), (true, Some(reason())));
            let listed = handle.list_versions(bare("tool")).await.expect("listed").releases;
            assert_eq!(listed[0].yank_reason, Some(reason()));
            assert_eq!((listed[1].yanked, &listed[1].yank_reason), (false, &None));
            assert_eq!(newest(handle).await, "1.0.0");
        }

        owner.handle.unyank(name("tool"), version("1.1.0")).await.expect("taken back");
        let event = told(&mut reader, "its end", |event| matches!(event, Event::Unyanked { .. }));
        assert_eq!(event.await, Event::Unyanked { id });
        for handle in [&reader.handle, &anew, &owner.handle] {
            let back = read(handle, "1.1.0").await;
            assert_eq!((back.yanked, back.yank_reason), (false, None));
            assert_eq!(newest(handle).await, "1.1.0");
        }
        // It stays so when the owner publishes on.
        owner.handle.register(manifest("tool", "1.0.1")).await.expect("registered");
        assert!(!read(&anew, "1.1.0").await.yanked);
        let none = owner.handle.unyank(name("tool"), version("9.9.9")).await;
        assert_eq!(none.expect_err("no such release").kind(), "not_found");
    });
}

#[test]
fn a_deprecated_package_stays_says_what_to_use_instead_and_is_found_last() {
    block_on(async {
        let mut peers = network(Executor::Smol, 3).await;
        let mut reader = peers.pop().expect("three peers");
        let owner = &peers[0].handle;
        for package in ["tool", "tool-next"] {
            owner.register(manifest(package, "1.0.0")).await.expect("registered");
            told(&mut reader, package, |event| match event {
                Event::Discovered { package: found } => found.manifest.name.as_str() == package,
                _ => false,
            })
            .await;
        }
        let found = async |handle: &Handle| -> Vec<(String, bool)> {
            let query = Query::new().with_text("tool");
            let (packages, _) =
                handle.search_peers(query).await.expect("begun").finish().await.expect("searched");
            let found = packages.into_iter();
            found.map(|one| (one.manifest.name.to_string(), one.deprecated.is_some())).collect()
        };
        let as_named = [("tool".to_owned(), false), ("tool-next".to_owned(), false)];
        assert_eq!(found(&reader.handle).await, as_named, "the very name comes first");

        let deprecation =
            Deprecation::new("renamed").with_successor(peers[0].id(), name("tool-next"));
        owner.deprecate(name("tool"), deprecation.clone()).await.expect("deprecated");
        let event =
            told(&mut reader, "deprecation", |event| matches!(event, Event::Deprecated { .. }));
        let id = owned(peers[0].id(), "tool");
        let expected = Event::Deprecated { id: id.clone(), deprecation: deprecation.clone() };
        assert_eq!(event.await, expected);
        let anew = reader.handle.with_freshness(Freshness::All);
        for handle in [&reader.handle, &anew, owner] {
            let package = handle.get_package(bare("tool")).await.expect("found");
            assert_eq!(package.deprecated.as_ref(), Some(&deprecation));
            assert_eq!(read(handle, "1.0.0").await.deprecated.as_ref(), Some(&deprecation));
            let last = [("tool-next".to_owned(), false), ("tool".to_owned(), true)];
            assert_eq!(found(handle).await, last);
            let here = handle.search(Query::new().with_text("tool")).await.expect("searched");
            assert_eq!(here.packages[1].deprecated.as_ref(), Some(&deprecation));
        }

        owner.undeprecate(name("tool")).await.expect("taken back");
        let event =
            told(&mut reader, "its end", |event| matches!(event, Event::Undeprecated { .. }));
        assert_eq!(event.await, Event::Undeprecated { id });
        assert_eq!(anew.get_package(bare("tool")).await.expect("found").deprecated, None);
        assert_eq!(found(&reader.handle).await, as_named);
    });
}

#[test]
fn what_cannot_be_said_is_refused_by_its_field() {
    block_on(async {
        let direct = Peer::start(Executor::Smol, loopback());
        direct.handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let (tool, release) = (|| name("tool"), || version("1.0.0"));
        let field = |error: peerage::Error| match error {
            peerage::Error::Invalid { field, .. } => field.into_owned(),
            other => panic!("{other:?}"),
        };
        let handle = &direct.handle;
        let long = handle.yank_with_reason(tool(), release(), "r".repeat(101)).await;
        assert_eq!(field(long.expect_err("too long")), "reason");
        let lines = handle.yank_with_reason(tool(), release(), "a\nb".to_owned()).await;
        assert_eq!(field(lines.expect_err("two lines")), "reason");
        let empty = handle.deprecate(tool(), Deprecation::new("")).await;
        assert_eq!(field(empty.expect_err("no text")), "text");
        let mut bare_successor = Deprecation::new("old");
        bare_successor.successor = Some(PackageId::named(name("other")));
        let bare_successor = handle.deprecate(tool(), bare_successor).await;
        assert_eq!(field(bare_successor.expect_err("whose?")), "successor");
        let itself = Deprecation::new("old").with_successor(direct.id(), tool());
        let itself = handle.deprecate(tool(), itself).await;
        assert_eq!(field(itself.expect_err("itself")), "successor");
    });
}

#[test]
fn what_its_owner_says_a_publisher_repeats_and_takes_back() {
    block_on(async {
        let (owner, publisher) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let unix = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        let day = Validity::starting(unix - 60, 24 * 60 * 60);
        let to = publisher.public().to_peer_id();
        let delegation = Delegation::sign(&owner, &Default::default(), to, 0, day).expect("signed");
        let build = |builder: peerage::NodeBuilder| {
            let (node, handle) = builder.build().expect("a node");
            Peer::run(Executor::Smol, node, handle)
        };
        let mut reader = Peer::start(Executor::Smol, loopback());
        let config = loopback().with_bootstrap([reader.address().await]);
        let of_owner = build(Node::builder(owner, config.clone()));
        let delegate = build(Node::builder(publisher, config).with_delegation(delegation));
        for peer in [&of_owner, &delegate] {
            within("bootstrap", peer.handle.bootstrap()).await.expect("bootstrapped");
        }
        let reason = || "leaks memory".to_owned();
        let handle = &of_owner.handle;
        handle.register(manifest("tool", "1.0.0")).await.expect("registered");
        let yank = handle.yank_with_reason(name("tool"), version("1.0.0"), reason());
        yank.await.expect("yanked");
        let old = Deprecation::new("unmaintained");
        handle.deprecate(name("tool"), old.clone()).await.expect("deprecated");
        drop(of_owner);

        // The publisher signs on, and says all of it.
        let handle = &delegate.handle;
        let publish = handle.register(manifest("tool", "1.1.0"));
        within("a release", publish).await.expect("registered");
        let anew = reader.handle.with_freshness(Freshness::All);
        let release = read(&anew, "1.0.0").await;
        assert_eq!((release.yank_reason, release.deprecated), (Some(reason()), Some(old)));
        assert!(read(&anew, "1.1.0").await.deprecated.is_some());

        handle.unyank(name("tool"), version("1.0.0")).await.expect("taken back");
        handle.undeprecate(name("tool")).await.expect("taken back");
        let yank = handle.yank_with_reason(name("tool"), version("1.1.0"), reason());
        yank.await.expect("yanked");
        let release = read(&anew, "1.0.0").await;
        assert_eq!((release.yanked, release.deprecated), (false, None));
        assert_eq!(read(&anew, "1.1.0").await.yank_reason, Some(reason()));
    });
}
