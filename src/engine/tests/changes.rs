//! Changes to own packages: signed once, whatever becomes of their callers.

use super::*;

#[test]
fn a_change_is_signed_once_and_answered_when_every_put_has_ended() {
    let mut lab = Lab::new(Config::new());
    let manifest = Manifest::new("tool".parse().unwrap(), "1.0.0".parse().unwrap());
    let (_, mut waiting) =
        lab.ask(|reply| Command::Register { manifest: Box::new(manifest), confirmation: 0, reply });
    // What an earlier life of this node may have published is looked up first.
    let [recall] = lab.lookups()[..] else { panic!("one lookup") };
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
    assert_eq!((receipt.sequence, receipt.replicas), (1, 4));
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
        let [recall] = lab.lookups()[..] else { panic!("one lookup") };
        lab.end(recall, 1);
        if cancelled {
            drop(waiting);
            lab.engine.cancel(ticket);
        } else {
            lab.advance(Duration::from_secs(30));
            let receipt = answer(waiting).unwrap().unwrap();
            assert_eq!((receipt.sequence, receipt.replicas), (1, 0));
        }
        let (_, package) = lab.get(&PackageId::named(name.parse().unwrap()));
        assert_eq!(answer(package).unwrap().unwrap().source, Source::Own);
    }
}
