//! Devices that some peers do not answer, or that have heard what they do not hold: what was not heard is not lost.

use super::*;
use crate::{Error, record::Release};

#[test]
fn what_was_heard_before_the_first_change_of_a_life_is_outbid_and_not_contradicted() {
    let key = key();
    let mut first = Device::start(&key, UNIX + 120);
    first.join();
    let published = first.publish(&Replicas::new(1), "1.0.0");
    let mut second = Device::start(&key, UNIX + 120);
    second.hear_all(&first.take_announced());
    let alone = second.publish(&Replicas::new(0), "1.1.0");
    assert!(alone.sequence > published.sequence, "{alone:?}");

    let mut third = Device::start(&key, UNIX + 120);
    first.withdraw(&Replicas::new(1));
    third.hear_all(&first.take_announced());
    let receipt = third.register("1.2.0", 0);
    third.exchange(&Replicas::new(0));
    let answered = answer(receipt).expect("answered");
    assert!(matches!(answered, Err(Error::Withdrawn { .. })), "{answered:?}");
}

/// A change that is signed while nobody has what another device does to the package meanwhile; the read-back shows it.
fn undone_by(change: impl FnOnce(&mut Device, &Replicas)) -> Result<crate::Receipt> {
    let (_, replicas, [mut first, mut second]) = two_devices();
    second.publish(&replicas, "1.0.0");
    let receipt = first.register("1.1.0", 3);
    let (before, late) = (Replicas::new(1), Replicas::new(1));
    change(&mut second, &late);
    first.exchange_until_put(&before);
    first.exchange(&before.join(late));
    answer(receipt).expect("answered")
}

#[test]
fn a_release_that_a_withdrawal_has_undone_is_not_reported_as_published() {
    let answered = undone_by(|second, late| second.withdraw(late));
    assert!(matches!(answered, Err(Error::Withdrawn { .. })), "{answered:?}");
}

#[test]
fn a_release_of_which_another_content_is_kept_is_not_reported_as_published() {
    let answered = undone_by(|second, late| {
        let (owner, network) = (second.own_head().owner, NetworkName::default());
        let plain = Manifest::new(name(), "1.1.0".parse().unwrap());
        let digest = |manifest: &Manifest| {
            let release = Release::new(network.clone(), owner, manifest.clone());
            Signed::sign(&second.engine.keypair, release).unwrap().digest()
        };
        let others = (0..).map(|n| plain.clone().with_description(format!("another, {n}")));
        let kept = others.into_iter().find(|other| digest(other) < digest(&plain)).unwrap();
        let receipt = second.register_as(kept, 0);
        second.exchange(late);
        assert!(answer(receipt).unwrap().is_ok());
    });
    assert!(matches!(answered, Err(Error::Conflict { .. })), "{answered:?}");
}
