use libp2p::identity::Keypair;

use super::*;
use crate::{
    engine::identity::Identity,
    package::Manifest,
    record::{END_MARGIN_SECS, NetworkName, Revision},
};

mod undo;

const NOW: u64 = 2_000_000_000;

/// An owner who forgets: each life knows only what it did itself and what it recalled.
struct Owner {
    identity: Identity,
    network: NetworkName,
}

impl Owner {
    fn new() -> Self {
        Self { identity: Keypair::generate_ed25519().into(), network: NetworkName::default() }
    }

    fn signer(&self) -> Signer<'_> {
        let Identity { keypair, authority } = &self.identity;
        let (network, unix, ttl, floor) = (&self.network, NOW, 48 * 3600, 0);
        Signer { keypair, authority, network, unix, ttl, floor, clock: None }
    }

    fn apply(
        &self,
        own: Option<&OwnPackage>,
        recalled: Option<&OwnPackage>,
        change: &Change,
    ) -> OwnPackage {
        let recalled: Vec<Recalled> = recalled
            .map(|earlier| {
                let head = earlier.head.clone();
                let list = ReleaseList::of(&head);
                Recalled::of(head, list, Vec::new())
            })
            .into_iter()
            .collect();
        let confidence = Confidence::Confirmed { replicas: 0 };
        let seen = Revision::default();
        apply(own, &recalled, change, confidence, seen.into(), &self.signer()).unwrap().package
    }

    fn register(&self, own: Option<&OwnPackage>, version: &str) -> OwnPackage {
        let manifest = Manifest::new(name(), version.parse().unwrap());
        self.apply(own, None, &Change::Register(Box::new(manifest)))
    }
}

fn name() -> PackageName {
    "tool".parse().unwrap()
}

fn yank(version: &str, reason: &str) -> Change {
    let (version, reason) = (version.parse().unwrap(), reason.to_owned());
    Change::Yank { name: name(), version, reason }
}

fn versions(package: &OwnPackage) -> Vec<String> {
    package.releases.iter().map(|entry| entry.version.to_string()).collect()
}

/// The first head of a life that has nobody to ask, at this time.
fn alone(owner: &Owner, version: &str, unix: u64) -> Signed<Head> {
    let signer = Signer { unix, ..owner.signer() };
    let manifest = Box::new(Manifest::new(name(), version.parse().unwrap()));
    let (change, seen) = (Change::Register(manifest), Revision::default());
    let changed = apply(None, &[], &change, Confidence::Unheard, seen.into(), &signer);
    changed.unwrap().package.head
}

#[test]
fn a_life_that_starts_again_alone_signs_no_sequence_for_the_second_time() {
    let owner = Owner::new();
    let first = alone(&owner, "1.0.0", NOW);
    let second = alone(&owner, "1.1.0", NOW + 1);
    assert!(second.revision > first.revision);
    assert!(crate::record::EquivocationProof::new(&first, &second).is_err());
}

#[test]
fn a_sequence_is_the_time_or_one_more_than_what_was_seen_whichever_is_more() {
    let owner = Owner::new();
    let after = |unix: u64, epoch: u32, sequence: u64| {
        let signer = Signer { unix, ..owner.signer() };
        let Revision { epoch, sequence } =
            signer.revision_after(Revision::new(epoch, sequence)).unwrap();
        (epoch, sequence)
    };
    assert_eq!(after(NOW, 0, 7), (0, NOW));
    // Several in one second, and a clock that was set back.
    assert_eq!(after(NOW, 0, NOW), (0, NOW + 1));
    assert_eq!(after(NOW - 1_000_000, 0, NOW), (0, NOW + 1));
    // A clock that shows nothing, or nonsense, takes no sequence away from the owner.
    assert_eq!(after(0, 0, 0), (0, 1));
    let (_, sequence) = after(u64::MAX, 0, NOW);
    assert!(sequence < u64::MAX / 1_000_000, "{sequence}");
    // A used up epoch is followed by the time as well, so that no life repeats it.
    assert_eq!(after(NOW, 0, u64::MAX), (1, NOW));
}

#[test]
fn what_an_earlier_life_published_stays_though_this_one_counted_as_far_before_it_could_ask() {
    let owner = Owner::new();
    let earlier = owner.register(None, "1.0.0");
    for lives in [&["2.0.0"][..], &["2.0.0", "3.0.0"]] {
        let mut own = None;
        for version in lives {
            own = Some(owner.register(own.as_ref(), version));
        }
        let own = own.unwrap();
        let renewed = owner.apply(Some(&own), Some(&earlier), &Change::Renew { name: name() });
        assert!(versions(&renewed).contains(&"1.0.0".to_owned()), "{:?}", versions(&renewed));
        assert!(renewed.head.revision > own.head.revision.max(earlier.head.revision));
    }
}

#[test]
fn a_withdrawal_in_an_earlier_life_is_not_undone_by_a_head_of_the_same_sequence() {
    let owner = Owner::new();
    let earlier = owner.register(None, "1.0.0");
    let withdrawn = owner.apply(Some(&earlier), None, &Change::Unregister { name: name() });
    // Alone within the same two seconds.
    let own = owner.register(Some(&owner.register(None, "2.0.0")), "3.0.0");
    assert_eq!(own.head.revision, withdrawn.head.revision);
    let renewed = owner.apply(Some(&own), Some(&withdrawn), &Change::Renew { name: name() });
    assert!(renewed.is_withdrawn());
    assert!(renewed.head.revision > withdrawn.head.revision);
    // From here on nothing is news: neither the tombstone itself nor a release that it has buried.
    for recalled in [&renewed, &own] {
        let again = owner.apply(Some(&renewed), Some(recalled), &Change::Renew { name: name() });
        assert_eq!(again.head, renewed.head);
    }
}

#[test]
fn a_head_that_says_all_there_is_to_say_is_kept() {
    let owner = Owner::new();
    let first = owner.register(None, "1.0.0");
    let own = owner.register(Some(&first), "2.0.0");
    for recalled in [None, Some(&first), Some(&own)] {
        let renewed = owner.apply(Some(&own), recalled, &Change::Renew { name: name() });
        assert_eq!(renewed.head, own.head);
    }
}

#[test]
fn a_head_that_was_signed_while_the_clock_was_ahead_is_signed_anew_when_it_is_right() {
    let owner = Owner::new();
    let first = owner.register(None, "1.0.0");
    let renew = Change::Renew { name: name() };
    let signed = |own: &OwnPackage, unix: u64| {
        let signer = Signer { unix, ..owner.signer() };
        let confidence = Confidence::Confirmed { replicas: 1 };
        apply(Some(own), &[], &renew, confidence, own.head.rank(), &signer).unwrap().package
    };
    let ahead = signed(&first, NOW + 10 * 24 * 3600);
    assert!(ahead.head.validity.issued > NOW + 300, "nobody else believes it");
    let again = signed(&ahead, NOW);
    assert_eq!(again.head.validity.issued, NOW);
    assert!(again.head.revision > ahead.head.revision);
    // Clocks that differ a little are no reason.
    assert_eq!(signed(&again, NOW - 60).head, again.head);
}

#[test]
fn of_two_contents_of_one_version_every_device_keeps_the_same_and_signs_no_more() {
    let owner = Owner::new();
    let [one, other] = ["one", "another"].map(|what| {
        let manifest = Manifest::new(name(), "1.0.0".parse().unwrap()).with_description(what);
        owner.apply(None, None, &Change::Register(Box::new(manifest)))
    });
    assert_ne!(one.releases, other.releases);
    let renew = Change::Renew { name: name() };
    let merged = owner.apply(Some(&one), Some(&other), &renew);
    let merged_there = owner.apply(Some(&other), Some(&one), &renew);
    assert_eq!(merged.releases, merged_there.releases);
    assert_eq!(merged.head.latest(), merged_there.head.latest());
    let settled = owner.apply(Some(&merged), Some(&merged_there), &renew);
    let settled_there = owner.apply(Some(&merged_there), Some(&settled), &renew);
    assert_eq!(settled.head, settled_there.head);
    assert_eq!(owner.apply(Some(&settled), Some(&settled_there), &renew).head, settled.head);
}

/// Registers this version, and says what a conflict is with.
fn conflict(owner: &Owner, own: &OwnPackage, version: &str) -> Option<String> {
    let manifest = Box::new(Manifest::new(name(), version.parse().unwrap()));
    let (change, confidence) = (Change::Register(manifest), own.confidence);
    match apply(Some(own), &[], &change, confidence, own.head.rank(), &owner.signer()) {
        Ok(_) => None,
        Err(Error::Conflict { reason }) => Some(reason),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn build_metadata_makes_no_other_release() {
    let owner = Owner::new();
    let own = owner.register(None, "1.0.0+linux");
    for other in ["1.0.0", "1.0.0+mac"] {
        let reason = conflict(&owner, &own, other).expect("a conflict");
        assert!(reason.contains("published as 1.0.0+linux"), "{reason}");
    }
    assert_eq!(conflict(&owner, &own, "1.0.0+linux"), None, "the same again");
    assert_eq!(conflict(&owner, &own, "1.0.0-rc.1+linux"), None, "another version");
    let yank = yank("1.0.0", "");
    let signer = owner.signer();
    let yanked = apply(Some(&own), &[], &yank, own.confidence, own.head.rank(), &signer).unwrap();
    assert_eq!(yanked.id.version().unwrap().to_string(), "1.0.0+linux");
    assert!(yanked.package.releases[0].yanked);
}

#[test]
fn of_two_builds_of_one_version_every_device_keeps_the_same_and_signs_no_more() {
    let owner = Owner::new();
    let [one, other] = ["1.0.0+a", "1.0.0+b"].map(|version| owner.register(None, version));
    let (one, other) = (owner.register(Some(&one), "1.1.0"), owner.register(Some(&other), "0.9.0"));
    let renew = Change::Renew { name: name() };
    let merged = owner.apply(Some(&one), Some(&other), &renew);
    let merged_there = owner.apply(Some(&other), Some(&one), &renew);
    assert_eq!(merged.releases, merged_there.releases);
    assert_eq!(merged.releases.len(), 3, "{:?}", versions(&merged));
    assert!(!merged.is_behind(&other.head) && !merged_there.is_behind(&one.head));
    let settled = owner.apply(Some(&merged), Some(&merged_there), &renew);
    let settled_there = owner.apply(Some(&merged_there), Some(&settled), &renew);
    assert_eq!(settled.head, settled_there.head);
    assert_eq!(owner.apply(Some(&settled), Some(&settled_there), &renew).head, settled.head);
}

/// The owner's own key at a time, when a higher epoch of its has been seen.
fn apply_at(
    owner: &Owner,
    own: &OwnPackage,
    change: &Change,
    seen: Rank,
    signer: Signer<'_>,
) -> Result<OwnPackage> {
    let confidence = Confidence::Confirmed { replicas: 1 };
    assert_eq!(signer.owner(), owner.signer().owner());
    Ok(apply(Some(own), &[], change, confidence, seen, &signer)?.package)
}

#[test]
fn a_package_that_somebody_has_begun_anew_is_not_withdrawn_by_whoever_renews_its_end() {
    let owner = Owner::new();
    let live = owner.register(None, "1.0.0");
    let end = owner.apply(Some(&live), None, &Change::Unregister { name: name() });
    let renew = Change::Renew { name: name() };
    let later = || Signer { unix: NOW + 20 * 24 * 3600, floor: 1, ..owner.signer() };
    // It has been seen that there is a head of a higher epoch, which is not at hand.
    let anew = Revision::new(1, NOW).into();
    let renewed = apply_at(&owner, &end, &renew, anew, later());
    assert!(matches!(renewed, Err(Error::NotFound { .. })), "{renewed:?}");
    // Of this package nothing has been seen: only that the owner has gone on to a higher epoch with another.
    let renewed = apply_at(&owner, &end, &renew, end.head.rank(), later()).unwrap();
    assert!(renewed.is_withdrawn() && renewed.head.revision > end.head.revision);
    assert_eq!(renewed.head.revision.epoch, 0, "whoever begins it anew does so in epoch 1");
}

#[test]
fn a_yank_outlives_the_head_before_it_though_the_clock_was_set_back_meanwhile() {
    let owner = Owner::new();
    let before = owner.register(None, "1.0.0");
    let yank = yank("1.0.0", "");
    let signer = Signer { unix: NOW - 30 * 3600, ..owner.signer() };
    let after = apply_at(&owner, &before, &yank, before.head.rank(), signer).unwrap();
    let [before, after] = [&before, &after].map(|package| package.head.validity);
    assert!(after.expires >= before.expires + END_MARGIN_SECS, "{before:?} {after:?}");
}

#[test]
fn a_package_is_not_withdrawn_by_a_clock_that_is_known_to_be_far_behind() {
    let owner = Owner::new();
    let live = owner.register(None, "1.0.0");
    let unregister = Change::Unregister { name: name() };
    let clock = "this node's clock is 40 days behind";
    let behind = |clock: Option<&str>| Signer {
        unix: NOW - 40 * 24 * 3600,
        clock: clock.map(str::to_owned),
        ..owner.signer()
    };
    let refused = apply_at(&owner, &live, &unregister, live.head.rank(), behind(Some(clock)));
    assert!(refused.unwrap_err().to_string().contains(clock));
    // A little does not matter, and where no peer says so it may be the earlier clock that was wrong.
    let little = Signer { unix: NOW - 24 * 3600, ..behind(Some(clock)) };
    for signer in [little, behind(None)] {
        let gone = apply_at(&owner, &live, &unregister, live.head.rank(), signer);
        assert!(gone.unwrap().is_withdrawn());
    }
}
