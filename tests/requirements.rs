//! Requirements between peers on real sockets: what `^1.2` means to somebody who publishes nothing.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use futures::executor::block_on;
use peerage::{Dependency, Error, Freshness, Handle, PackageId, Registry, Requirement};

mod support;

use support::{Executor, bare, manifest, name, network, owned, version};

fn requirement(text: &str) -> Requirement {
    text.parse().expect("a requirement")
}

async fn resolved(handle: &Handle, package: PackageId, required: &str) -> String {
    let package = handle.resolve(package, requirement(required)).await;
    package.unwrap_or_else(|error| panic!("{required}: {error}")).manifest.version.to_string()
}

#[test]
fn the_newest_release_that_will_do_is_found_from_afar() {
    block_on(async {
        let peers = network(Executor::Smol, 3).await;
        let (owner, reader) = (&peers[1], &peers[2]);
        let releases =
            ["0.1.0", "0.1.5", "0.2.0", "1.0.0", "1.2.0", "1.2.4", "1.3.0", "2.0.0-rc.1"];
        for release in releases {
            owner.handle.register(manifest("tool", release)).await.expect("registered");
        }
        owner.handle.yank(name("tool"), version("1.3.0")).await.expect("yanked");

        let anew = reader.handle.with_freshness(Freshness::All);
        for (required, release) in [
            ("^1.2", "1.2.4"),
            ("~1.2", "1.2.4"),
            (">=1, <3", "1.2.4"),
            ("1", "1.2.4"),
            ("1.*", "1.2.4"),
            ("*", "1.2.4"),
            ("latest", "1.2.4"),
            ("1.2.0", "1.2.0"),
            ("<1.2.4", "1.2.0"),
            ("^0.1", "0.1.5"),
            ("0.1.0 - 0.2", "0.2.0"),
            // By its exact version a yanked release is there, and so is a pre-release.
            ("=1.3.0", "1.3.0"),
            ("2.0.0-rc.1", "2.0.0-rc.1"),
            ("^2.0.0-alpha", "2.0.0-rc.1"),
        ] {
            for id in [bare("tool"), owned(owner.id(), "tool")] {
                for handle in [&anew, &reader.handle, &owner.handle] {
                    let found = resolved(handle, id.clone(), required).await;
                    assert_eq!(found, release, "{required}");
                }
            }
        }
        let yanked = reader.handle.resolve(bare("tool"), requirement("=1.3.0")).await;
        assert!(yanked.expect("found").yanked);

        for required in ["^2", "^1.3", "~3", "7.7.7"] {
            for peer in [reader, owner] {
                let error = peer.handle.resolve(bare("tool"), requirement(required)).await;
                let Err(Error::NoMatch { versions, total, .. }) = error else {
                    panic!("{required}: {error:?}")
                };
                assert_eq!((versions.len(), total), (releases.len(), releases.len()));
                assert_eq!(versions[0].version, version("2.0.0-rc.1"));
                assert!(versions[1].yanked, "{versions:?}");
            }
        }
        let error = reader.handle.resolve(bare("nothing-here"), Requirement::ANY).await;
        assert!(matches!(error, Err(Error::NotFound { .. })), "{error:?}");
    });
}

#[test]
fn versions_that_differ_in_build_metadata_are_one_release() {
    block_on(async {
        let peers = network(Executor::Smol, 2).await;
        let (owner, reader) = (&peers[0].handle, &peers[1].handle);
        owner.register(manifest("tool", "1.0.0+linux")).await.expect("registered");
        for other in ["1.0.0+mac", "1.0.0"] {
            let refused = owner.register(manifest("tool", other)).await;
            let Err(Error::Conflict { reason, .. }) = refused else {
                panic!("{other}: {refused:?}")
            };
            assert!(reason.contains("1.0.0+linux"), "{reason}");
        }
        owner.register(manifest("tool", "1.0.0+linux")).await.expect("the same again");
        owner.register(manifest("tool", "1.1.0")).await.expect("registered");
        let found = reader.get_version(bare("tool"), version("1.0.0")).await.expect("found");
        assert_eq!(found.manifest, manifest("tool", "1.0.0+linux"));
        let listed = reader.list_versions(bare("tool")).await.expect("listed");
        assert_eq!(listed.releases.len(), 2, "{listed:?}");
        let receipt = owner.yank(name("tool"), version("1.0.0")).await.expect("yanked");
        assert_eq!(receipt.id.version(), Some(&version("1.0.0+linux")));
        let reader = reader.with_freshness(Freshness::All);
        let found = reader.get_version(bare("tool"), version("1.0.0+linux")).await.expect("found");
        assert!(found.yanked);
    });
}

#[test]
fn what_a_manifest_requires_is_resolved_on_another_node() {
    block_on(async {
        let peers = network(Executor::Smol, 3).await;
        for release in ["1.0.0", "1.4.2", "2.0.0"] {
            peers[0].handle.register(manifest("log", release)).await.expect("registered");
        }
        peers[1].handle.register(manifest("http", "0.3.1")).await.expect("registered");
        let needs = |package: &str, required: &str| {
            Dependency::new(name(package), required.parse().expect("a requirement"))
        };
        let app = manifest("app", "1.0.0")
            .with_dependency(needs("log", "1.0.0").with_owner(peers[0].id()))
            .with_dependency(needs("http", ">=0.3, <0.5"));
        peers[1].handle.register(app).await.expect("registered");

        let reader = &peers[2].handle;
        let app = reader.resolve(bare("app"), requirement("^1")).await.expect("resolved");
        let mut found = Vec::new();
        for dependency in &app.manifest.dependencies {
            let required = Requirement::from(dependency.requirement.clone());
            let package = reader.resolve(dependency.package(), required).await.expect("resolved");
            found.push((package.owner, package.manifest.version.to_string()));
        }
        let expected = [(peers[0].id(), "1.4.2".to_owned()), (peers[1].id(), "0.3.1".to_owned())];
        assert_eq!(found, expected);
    });
}
