//! Names that people confuse, between real nodes.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use futures::executor::block_on;
use peerage::{Coverage, Error, Event, Query, Registry};

mod support;

use support::{Executor, Peer, bare, loopback, manifest, name, network, within};

#[test]
fn a_reader_who_misses_a_name_is_told_of_its_look_alike_and_an_owner_who_takes_one_is_warned() {
    block_on(async {
        let mut peers = network(Executor::Smol, 3).await;
        let [first, second, reader] = &mut peers[..] else { panic!("three") };
        let receipt = within("a receipt", first.handle.register(manifest("yt_dlp", "1.0.0"))).await;
        assert_eq!(receipt.expect("registered").look_alikes, []);

        let missing = within("an answer", reader.handle.get_package(bare("yt-dlp"))).await;
        let error = missing.expect_err("nobody publishes it");
        assert_eq!(error.to_string(), "not found: `yt-dlp`; did you mean `yt_dlp`?");
        let Error::NotFound { similar, .. } = error else { panic!("{error}") };
        assert_eq!(similar[0].owners, [first.id()]);

        let receipt =
            within("a receipt", second.handle.register(manifest("yt-dlp", "1.0.0"))).await;
        let alike = receipt.expect("it may").look_alikes;
        assert_eq!((&alike[0].name, &alike[0].owners), (&name("yt_dlp"), &vec![first.id()]));

        // The reader knows who claims the name, and asks again once it hears of somebody else.
        let second = second.id();
        reader
            .wait_for("the announcement", |event| match event {
                Event::Discovered { package } => (*package.id.owner()? == second).then_some(()),
                _ => None,
            })
            .await;

        // Each is found by its own spelling.
        for (spelling, owner) in [("yt_dlp", first.id()), ("yt-dlp", second)] {
            let read = within("a package", reader.handle.get_package(bare(spelling))).await;
            assert_eq!(read.expect("found").owner, owner);
        }
    });
}

#[test]
fn who_keeps_no_catalogue_and_reads_nothing_back_is_warned_of_a_look_alike() {
    block_on(async {
        let peers = network(Executor::Smol, 2).await;
        let [first, _] = &peers[..] else { panic!("two") };
        within("a receipt", first.handle.register(manifest("yt_dlp", "1.0.0")))
            .await
            .expect("registered");
        let address = first.handle.metadata().await.expect("metadata").addresses[0].clone();
        let config = loopback().with_coverage(Coverage::None).with_bootstrap([address]);
        let late = Peer::start(Executor::Smol, config);
        within("bootstrap", late.handle.bootstrap()).await.expect("bootstrapped");

        for (package, release, confirmation) in [("yt-dlp", "1.0.0", 0), ("yt.dlp", "1.0.0", 2)] {
            let handle = late.handle.clone().with_confirmation(confirmation);
            let receipt = within("a receipt", handle.register(manifest(package, release))).await;
            let alike = receipt.expect("it may").look_alikes;
            let told: Vec<_> = alike.iter().map(|alike| (&alike.name, &alike.owners)).collect();
            assert_eq!(told, [(&name("yt_dlp"), &vec![first.id()])], "{package}");
        }
        let listed = late.handle.search(Query::new().with_text("yt_dlp")).await.expect("searched");
        assert!(listed.packages.iter().all(|package| package.owner == late.id()));
        let receipt = within("a receipt", late.handle.register(manifest("tool", "1.0.0"))).await;
        assert_eq!(receipt.expect("registered").look_alikes, []);
    });
}
