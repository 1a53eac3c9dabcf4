//! Yanks, deprecation, and the ends of both.

use super::*;
use crate::{
    engine::identity::Authority,
    record::{Delegation, Validity},
};

fn unyank(version: &str) -> Change {
    Change::Unyank { name: name(), version: version.parse().unwrap() }
}

fn deprecate(text: Option<&str>) -> Change {
    let deprecation = text.map(|text| Box::new(crate::package::Deprecation::new(text)));
    Change::Deprecate { name: name(), deprecation }
}

fn is_yanked(package: &OwnPackage, version: &str) -> bool {
    let version = version.parse().unwrap();
    package.releases.iter().find(|entry| entry.is_same_release(&version)).unwrap().yanked
}

#[test]
fn a_yank_has_its_reason_until_it_is_taken_back_or_has_another() {
    let owner = Owner::new();
    let own = owner.register(None, "1.0.0");
    let reason = |package: &OwnPackage| {
        package.head.notes().reason(&"1.0.0".parse().unwrap()).map(str::to_owned)
    };
    let yanked = owner.apply(Some(&own), None, &yank("1.0.0", "leaks memory"));
    assert_eq!(reason(&yanked).as_deref(), Some("leaks memory"));
    // Neither again nor without a reason does it change.
    for again in ["leaks memory", ""] {
        assert_eq!(owner.apply(Some(&yanked), None, &yank("1.0.0", again)).head, yanked.head);
    }
    let other = owner.apply(Some(&yanked), None, &yank("1.0.0", "loses data"));
    assert_eq!(reason(&other).as_deref(), Some("loses data"));
    let renewed = owner.apply(Some(&other), Some(&yanked), &Change::Renew { name: name() });
    assert_eq!(renewed.head, other.head, "an older head has nothing to add");
    let back = owner.apply(Some(&other), None, &unyank("1.0.0"));
    assert_eq!((reason(&back), is_yanked(&back, "1.0.0")), (None, false));
    assert_eq!(owner.apply(Some(&back), None, &unyank("1.0.0")).head, back.head);
}

/// Replicas that have slept still serve the head that says otherwise, and a device that starts anew reads it there.
#[test]
fn what_was_taken_back_stays_so_whatever_older_heads_are_read() {
    let owner = Owner::new();
    let own = owner.register(Some(&owner.register(None, "1.0.0")), "1.1.0");
    let yanked = owner.apply(Some(&own), None, &yank("1.1.0", "leaks memory"));
    let old = owner.apply(Some(&yanked), None, &deprecate(Some("old")));
    let back = owner.apply(Some(&old), None, &unyank("1.1.0"));
    let back = owner.apply(Some(&back), None, &deprecate(None));
    assert!(!back.is_behind(&old.head) && !back.is_behind(&yanked.head));
    assert!(old.is_behind(&back.head), "whoever has the older one has something to learn");
    let renew = Change::Renew { name: name() };
    for older in [&old, &yanked, &own] {
        assert_eq!(owner.apply(Some(&back), Some(older), &renew).head, back.head);
        let anew = owner.apply(Some(older), Some(&back), &renew);
        assert!(!is_yanked(&anew, "1.1.0"));
        assert_eq!(anew.head.notes().deprecation(), None);
        assert_eq!(anew.head.latest().unwrap().version.to_string(), "1.1.0");
    }
    // A later yank counts again.
    let again = owner.apply(Some(&back), Some(&old), &yank("1.1.0", ""));
    assert!(is_yanked(&again, "1.1.0"));
    assert!(is_yanked(&owner.apply(Some(&again), Some(&back), &renew), "1.1.0"));
}

/// A head from before notes says that a release is yanked, and not since when.
#[test]
fn a_yank_without_a_note_counts_unless_it_was_taken_back_since() {
    let owner = Owner::new();
    let own = owner.register(Some(&owner.register(None, "1.0.0")), "1.1.0");
    let yanked = owner.apply(Some(&own), None, &yank("1.1.0", ""));
    let mut head = yanked.head.body().clone();
    head.ext = Vec::new();
    let before_notes =
        OwnPackage { head: Signed::sign(owner.signer().keypair, head).unwrap(), ..yanked };
    let renew = Change::Renew { name: name() };
    let merged = owner.apply(Some(&own), Some(&before_notes), &renew);
    assert!(is_yanked(&merged, "1.1.0"));
    let back = owner.apply(Some(&merged), None, &unyank("1.1.0"));
    let merged = owner.apply(Some(&back), Some(&before_notes), &renew);
    assert_eq!(merged.head, back.head);
}

#[test]
fn two_devices_agree_on_what_is_said_and_sign_no_more() {
    let owner = Owner::new();
    let own = owner.register(Some(&owner.register(None, "1.0.0")), "1.1.0");
    let own = owner.apply(Some(&own), None, &yank("1.0.0", "broken"));
    let one = owner.apply(Some(&own), None, &unyank("1.0.0"));
    let other = owner.apply(Some(&own), None, &yank("1.1.0", "worse"));
    let other = owner.apply(Some(&other), None, &deprecate(Some("use another")));
    let renew = Change::Renew { name: name() };
    let merged = owner.apply(Some(&one), Some(&other), &renew);
    let merged_there = owner.apply(Some(&other), Some(&one), &renew);
    for merged in [&merged, &merged_there] {
        assert!(!is_yanked(merged, "1.0.0") && is_yanked(merged, "1.1.0"));
        assert_eq!(merged.head.notes().deprecation().unwrap().text, "use another");
    }
    assert_eq!(merged.head.notes(), merged_there.head.notes());
    let settled = owner.apply(Some(&merged), Some(&merged_there), &renew);
    let settled_there = owner.apply(Some(&merged_there), Some(&settled), &renew);
    assert_eq!(settled.head, settled_there.head);
    assert_eq!(owner.apply(Some(&settled), Some(&settled_there), &renew).head, settled.head);
}

#[test]
fn nobody_deprecates_what_is_not_there_or_succeeds_itself() {
    let owner = Owner::new();
    let refused = |own: Option<&OwnPackage>, change: &Change| {
        let (confidence, seen) = (Confidence::Confirmed { replicas: 0 }, Revision::default());
        apply(own, &[], change, confidence, seen.into(), &owner.signer()).unwrap_err()
    };
    for change in [deprecate(Some("old")), unyank("1.0.0"), yank("1.0.0", "")] {
        assert_eq!(refused(None, &change).kind(), "not_found");
    }
    let own = owner.register(None, "1.0.0");
    assert_eq!(refused(Some(&own), &unyank("9.0.0")).kind(), "not_found");
    let itself =
        crate::package::Deprecation::new("old").with_successor(owner.signer().owner(), name());
    let change = Change::Deprecate { name: name(), deprecation: Some(Box::new(itself)) };
    assert!(refused(Some(&own), &change).to_string().contains("is the package itself"));
    let gone = owner.apply(Some(&own), None, &Change::Unregister { name: name() });
    assert_eq!(refused(Some(&gone), &deprecate(Some("old"))).kind(), "withdrawn");
}

/// What a change is refused for.
fn refusal(owner: &Owner, own: &OwnPackage, change: &Change) -> Option<(String, String)> {
    let seen = own.head.rank();
    match apply(Some(own), &[], change, own.confidence, seen, &owner.signer()) {
        Ok(_) => None,
        Err(Error::Invalid { field, reason }) => Some((field.into_owned(), reason)),
        Err(error) => panic!("{error}"),
    }
}

/// This many releases.
fn many(owner: &Owner, releases: u64) -> OwnPackage {
    let mut own = owner.register(None, "1.0.0");
    for minor in 1..releases {
        own = owner.register(Some(&own), &format!("1.{minor}.0"));
    }
    own
}

fn yanked(package: &OwnPackage) -> Vec<u64> {
    let yanked = package.releases.iter().filter(|entry| entry.yanked);
    yanked.map(|entry| entry.version.minor).collect()
}

#[test]
fn no_yank_that_was_taken_back_returns_with_an_older_head_however_many_there_were() {
    let owner = Owner::new();
    let mut old = many(&owner, 40);
    for minor in 0..40 {
        old = owner.apply(Some(&old), None, &yank(&format!("1.{minor}.0"), ""));
    }
    let (mut back, mut refused) = (old.clone(), Vec::new());
    for minor in (0..40).rev() {
        let change = unyank(&format!("1.{minor}.0"));
        match refusal(&owner, &back, &change) {
            None => back = owner.apply(Some(&back), None, &change),
            Some((field, reason)) => {
                assert_eq!(field, "unyank");
                assert!(reason.contains("32 releases") && reason.contains("30 days"), "{reason}");
                refused.push(minor);
            }
        }
    }
    assert!((8..=12).contains(&refused.len()), "{refused:?}");
    let before = yanked(&back);
    assert_eq!(before, refused, "what was refused has not changed");
    let renew = Change::Renew { name: name() };
    for (own, other) in [(&back, &old), (&old, &back)] {
        let (recalled, seen) = ([other.clone().recalled()], back.head.rank());
        let merged = apply(Some(own), &recalled, &renew, own.confidence, seen, &owner.signer());
        assert_eq!(yanked(&merged.unwrap().package), before);
    }
    // Whatever else would take their room is refused, and what takes none is not.
    assert_eq!(refusal(&owner, &back, &yank("1.0.0", "leaks")).unwrap().0, "reason");
    assert_eq!(refusal(&owner, &back, &yank("1.39.0", "")), None);
    let long = deprecate(Some(&"long ".repeat(28)));
    assert_eq!(refusal(&owner, &back, &long).unwrap().0, "deprecation");
    assert_eq!(refusal(&owner, &back, &deprecate(None)), None);
}

#[test]
fn later_yanks_take_no_room_from_one_that_was_taken_back() {
    let owner = Owner::new();
    let own = many(&owner, 40);
    let old = owner.apply(Some(&own), None, &yank("1.39.0", "leaks"));
    let mut back = owner.apply(Some(&old), None, &unyank("1.39.0"));
    for minor in 0..39 {
        back = owner.apply(Some(&back), None, &yank(&format!("1.{minor}.0"), "old"));
    }
    assert!(back.head.notes().releases.len() < 40, "some have no room");
    let renew = Change::Renew { name: name() };
    let merged = owner.apply(Some(&back), Some(&old), &renew);
    assert!(!is_yanked(&merged, "1.39.0"));
    assert_eq!(merged.head, back.head);
}

/// Somebody to whom an owner has delegated epoch 0.
fn publisher_of(owner: &Owner) -> Owner {
    let keypair = Keypair::generate_ed25519();
    let (peer, validity) = (keypair.public().to_peer_id(), Validity::starting(NOW - 60, 9_000_000));
    let key = owner.signer().keypair;
    let delegation = Delegation::sign(key, &owner.network, peer, 0, validity).unwrap();
    let identity = Identity::new(keypair, Authority::Delegate(Box::new(delegation)));
    Owner { identity, network: owner.network.clone() }
}

#[test]
fn a_publisher_repeats_what_the_owner_says_and_no_older_head_undoes_it() {
    let owner = Owner::new();
    let publisher = publisher_of(&owner);
    let own = owner.register(Some(&owner.register(None, "1.0.0")), "1.1.0");
    let yanked = owner.apply(Some(&own), None, &yank("1.0.0", "leaks"));
    let old = owner.apply(Some(&yanked), None, &deprecate(Some("old")));
    // The owner's key is offline, and the publisher goes on.
    let register =
        |version: &str| Change::Register(Box::new(Manifest::new(name(), version.parse().unwrap())));
    let on = publisher.apply(None, Some(&old), &register("1.2.0"));
    assert!(on.head.delegation().is_some());
    assert_eq!(on.head.notes(), old.head.notes(), "nothing is lost");
    let back = owner.apply(Some(&on), None, &unyank("1.0.0"));
    let on = publisher.apply(Some(&on), Some(&back), &register("1.3.0"));
    let renew = Change::Renew { name: name() };
    for older in [&own, &yanked, &old] {
        assert!(!on.is_behind(&older.head));
        assert_eq!(publisher.apply(Some(&on), Some(older), &renew).head, on.head);
        let anew = publisher.apply(Some(older), Some(&on), &renew);
        assert!(!is_yanked(&anew, "1.0.0"));
        assert_eq!(anew.head.notes().deprecation().unwrap().text, "old");
    }
    // What the owner has said the publisher takes back, and the other way round.
    let on = publisher.apply(Some(&on), None, &deprecate(None));
    let on = publisher.apply(Some(&on), None, &yank("1.2.0", "worse"));
    let on = owner.apply(Some(&back), Some(&on), &renew);
    assert_eq!(on.head.notes().deprecation(), None);
    assert_eq!(on.head.notes().reason(&"1.2.0".parse().unwrap()), Some("worse"));
}

#[test]
fn a_tombstone_says_nothing_of_what_it_ends() {
    let owner = Owner::new();
    let own = owner.apply(Some(&owner.register(None, "1.0.0")), None, &deprecate(Some("old")));
    let gone = owner.apply(Some(&own), None, &Change::Unregister { name: name() });
    assert_eq!(gone.head.ext, [0; 0]);
}

#[test]
fn a_device_that_slept_for_longer_than_notes_are_kept_brings_nothing_back() {
    let owner = Owner::new();
    let own = owner.register(Some(&owner.register(None, "1.0.0")), "1.1.0");
    let slept = owner.apply(Some(&own), None, &yank("1.1.0", "leaks"));
    let slept = owner.apply(Some(&slept), None, &deprecate(Some("old")));
    let at = |own: &OwnPackage, other: Option<&OwnPackage>, change: &Change, days: u64| {
        let signer = Signer { unix: NOW + days * 24 * 3600, ..owner.signer() };
        let recalled: Vec<_> = other.cloned().map(OwnPackage::recalled).into_iter().collect();
        let seen = Rank::from(Revision::default());
        apply(Some(own), &recalled, change, own.confidence, seen, &signer).unwrap().package
    };
    let renew = Change::Renew { name: name() };
    // Another device takes both back, and a month later nothing needs to be said of it any more.
    let back = at(&slept, None, &unyank("1.1.0"), 1);
    let back = at(&back, None, &deprecate(None), 1);
    let back = at(&back, None, &renew, 32);
    assert!(back.head.notes().is_empty());
    let awake = at(&slept, Some(&back), &renew, 32);
    assert!(!is_yanked(&awake, "1.1.0"));
    assert_eq!(awake.head.notes().deprecation(), None);
    assert_eq!(awake.head, back.head, "there is nothing to add");
    // Of what nobody else speaks it still says that it is yanked.
    let alone = owner.apply(Some(&owner.register(Some(&own), "2.0.0")), None, &yank("2.0.0", ""));
    let others = at(
        &own,
        None,
        &Change::Register(Box::new(crate::package::Manifest::new(
            name(),
            "3.0.0".parse().unwrap(),
        ))),
        1,
    );
    let merged = at(&alone, Some(&others), &renew, 32);
    assert!(is_yanked(&merged, "2.0.0"));
    assert!(!is_yanked(&merged, "3.0.0"));
    // As long as notes are kept the later word counts, and with nobody to ask the own one does.
    let later = at(&slept, Some(&own), &renew, 29);
    assert!(is_yanked(&later, "1.1.0"));
    let alone = at(&slept, None, &renew, 32);
    assert!(is_yanked(&alone, "1.1.0"));
    assert_eq!(alone.head.notes().deprecation().unwrap().text, "old");
}
