//! Changes to own packages: signed once, whatever becomes of their callers.

use super::*;
use crate::engine::interface::QueryEnd;
use crate::{freshness::Freshness, package::Source, record::RecordKey};

#[test]
fn a_change_is_signed_once_and_answered_when_every_put_has_ended() {
    let mut lab = Lab::new(Config::new());
    let mut waiting = lab.registers("tool", "1.0.0");
    // What an earlier life of this node may have published is looked up first.
    let recall = only_recall(&mut lab);
    lab.end(recall, 5);
    let puts: Vec<QueryKey> = lab
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Put { query, .. } => Some(query),
            _ => None,
        })
        .collect();
    assert_eq!(puts.len(), 3, "the release, the claim and the head");
    for (query, replicas) in puts.iter().zip([7, 4, 9]) {
        assert!((&mut waiting).now_or_never().is_none());
        let end = QueryEnd::Stored { replicas };
        lab.learn(Fact::QueryEnded { query: *query, end });
    }
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.sequence, receipt.replicas), (UNIX, 4));
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_change_that_is_signed_stands_when_its_time_is_up_or_its_caller_gone() {
    let mut lab = Lab::new(Config::new());
    for (name, cancelled) in [("kept", false), ("dropped", true)] {
        let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap());
        let (ticket, waiting) = lab.ask(|reply| Command::Register {
            manifest: Box::new(manifest),
            confirmation: 0,
            reply,
        });
        let recall = only_recall(&mut lab);
        lab.end(recall, 1);
        if cancelled {
            drop(waiting);
            lab.engine.cancel(ticket);
        } else {
            lab.advance(Duration::from_secs(30));
            let receipt = answer(waiting).unwrap().unwrap();
            assert_eq!((receipt.sequence, receipt.replicas), (UNIX, 0));
        }
        let (_, package) = lab.get(&PackageId::named(name.parse().unwrap()));
        assert_eq!(answer(package).unwrap().unwrap().source, Source::Own);
    }
}

#[test]
fn whoever_starts_from_a_snapshot_and_has_nobody_to_ask_goes_on_from_what_is_in_it() {
    let keypair = Keypair::generate_ed25519();
    let mut before = Lab::of(keypair.clone(), Config::new());
    let register = |lab: &mut Lab, version: &str| {
        drop(lab.registers("tool", version));
    };
    for minor in 0..40 {
        register(&mut before, &format!("1.{minor}.0"));
    }
    let (_, snapshot) = before.ask(|reply| Command::Snapshot { reply });
    let snapshot = answer(snapshot).unwrap().unwrap();

    let mut after = Lab::of(keypair.clone(), Config::new());
    after.engine.restore(after.now(), &snapshot).unwrap();
    register(&mut after, "2.0.0");
    let id = PackageId::owned(keypair.public().to_peer_id(), "tool".parse().unwrap());
    let (_, versions) = after.ask(|reply| Command::ListVersions {
        package: id.clone(),
        freshness: Freshness::First,
        reply,
    });
    let versions = answer(versions).unwrap().unwrap();
    assert_eq!((versions.releases.len(), versions.sequence), (41, UNIX + 40));
    // What it knows may not be all: whoever appears is asked first.
    after.joins();
    after.advance(Duration::from_secs(1));
    let head = RecordKey::head(&NetworkName::default(), id.owner().unwrap(), id.name());
    let asked = after.actions().into_iter();
    assert!(
        asked
            .filter_map(|action| match action {
                Action::Get { key, .. } => Some(key),
                _ => None,
            })
            .any(|key| key == head)
    );
}
