//! Devices that some peers do not answer, or that have heard what they do not hold: what was not heard is not lost.

use super::*;
use crate::{
    error::Error,
    record::{RecordKey, Release},
};

#[test]
fn what_only_silent_peers_hold_stays_listed_when_its_owner_starts_again() {
    let (key, holders, newcomer) = (key(), Replicas::new(2), Replicas::new(1));
    let mut first_life = Device::start(&key, UNIX);
    first_life.join();
    first_life.publish(&holders, "1.0.0");

    let mut second_life = Device::start(&key, UNIX + 60);
    second_life.join();
    second_life.silent = 2;
    let receipt = second_life.register("1.1.0", 0);
    second_life.exchange(&newcomer);
    assert_eq!(answer(receipt).unwrap().unwrap().replicas, 1);
    assert_eq!(second_life.take_announced(), Vec::<Vec<u8>>::new(), "others may hold more");

    second_life.silent = 0;
    let replicas = holders.join(newcomer);
    second_life.live(&replicas, 60);
    assert_eq!(replicas.versions(&key), ["1.1.0", "1.0.0"]);
    assert_eq!(second_life.take_announced(), [second_life.own_head().bytes().to_vec()]);
    assert_eq!(second_life.told_held(), 0, "somebody held it all along");
}

#[test]
fn where_one_peer_never_answers_a_new_package_is_announced_within_a_minute() {
    let (key, replicas) = (key(), Replicas::new(1));
    let mut owner = Device::start(&key, UNIX);
    owner.join();
    owner.silent = 1;
    // However often it has put something in vain before.
    for _ in 0..10 {
        owner.lab.engine.publishing.tried_once_more();
    }
    let receipt = owner.register("1.0.0", 0);
    owner.exchange(&replicas);
    assert_eq!(answer(receipt).unwrap().unwrap().replicas, 1);
    owner.live(&replicas, 60);
    assert_eq!(owner.take_announced(), [owner.own_head().bytes().to_vec()]);
}

#[test]
fn a_new_package_is_announced_at_once_though_peers_have_left() {
    let (key, replicas) = (key(), Replicas::new(1));
    let mut owner = Device::start(&key, UNIX);
    owner.join();
    owner.left = 3;
    owner.publish(&replicas, "1.0.0");
    assert_eq!(owner.take_announced(), [owner.own_head().bytes().to_vec()]);
}

#[test]
fn a_new_package_is_announced_at_once_where_most_peers_answer() {
    let (key, replicas) = (key(), Replicas::new(3));
    let mut owner = Device::start(&key, UNIX);
    owner.join();
    (owner.silent, owner.left) = (2, 2);
    owner.publish(&replicas, "1.0.0");
    assert_eq!(owner.take_announced(), [owner.own_head().bytes().to_vec()]);
}

#[test]
fn pages_that_only_silent_peers_hold_are_not_given_up() {
    let (key, holders, newcomer) = (key(), Replicas::new(2), Replicas::new(1));
    let mut first_life = Device::start(&key, UNIX);
    first_life.join();
    for minor in 0..60 {
        first_life.publish(&holders, &format!("1.{minor}.0"));
    }
    newcomer.take_head(&first_life.own_head());

    let mut second_life = Device::start(&key, UNIX + 60);
    second_life.join();
    second_life.silent = 2;
    let receipt = second_life.register("2.0.0", 0);
    second_life.exchange(&newcomer);
    let answered = answer(receipt).expect("answered");
    assert!(matches!(answered, Err(Error::Timeout { .. })), "{answered:?}");

    second_life.silent = 0;
    let replicas = holders.join(newcomer);
    second_life.publish(&replicas, "2.0.0");
    assert_eq!(replicas.versions(&key).len(), 61);
}

#[test]
fn what_there_was_no_room_to_keep_is_read_from_the_network() {
    let (key, replicas, [mut first, mut second]) = two_devices();
    second.publish(&replicas, "1.0.1");
    for number in 0..16 {
        for sequence in 1..=4 {
            let (_, head) = published_by(&key, &format!("other-{number}"), sequence);
            assert!(first.lab.engine.publishing.elsewhere().hear(&head));
        }
    }
    first.hear_all(&second.take_announced());
    first.live(&replicas, 60);
    assert_eq!(first.own_versions(), ["1.0.1", "1.0.0"]);
}

#[test]
fn what_was_heard_while_a_change_was_under_way_is_taken_in_once_somebody_is_there_again() {
    let (key, replicas, elsewhere) = (key(), Replicas::new(2), Replicas::new(2));
    let mut earlier = Device::start(&key, UNIX);
    earlier.join();
    earlier.publish(&replicas, "1.0.0");
    earlier.publish(&replicas, "1.1.0");
    let mut other = Device::start(&key, UNIX + 30);
    other.join();
    other.publish(&elsewhere, "1.0.1");

    let mut device = Device::start(&key, UNIX + 60);
    device.join();
    device.publish(&replicas, "2.0.0");
    let yanked = device.yank("2.0.0");
    device.exchange(&replicas);
    assert!(answer(yanked).unwrap().is_ok());
    let yanked = device.yank("1.1.0");
    // It has read the head, and now wants the release that becomes the newest.
    let owner = key.public().to_peer_id();
    let newest = "1.0.0".parse().unwrap();
    let newest = RecordKey::release(&NetworkName::default(), &owner, &name(), &newest);
    device.exchange_until_asked(&replicas, &newest);
    device.hear_all(&other.take_announced());
    device.exchange(&replicas);
    assert!(answer(yanked).unwrap().is_ok());
    assert!(!device.own_versions().contains(&"1.0.1".to_owned()));

    device.leave();
    device.live(&Replicas::new(0), 10);
    device.join();
    device.live(&replicas.join(elsewhere), 60);
    assert_eq!(device.own_versions(), ["2.0.0", "1.1.0", "1.0.1", "1.0.0"]);
}

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
fn undone_by(change: impl FnOnce(&mut Device, &Replicas)) -> Result<crate::package::Receipt> {
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
            Signed::sign(&second.lab.engine.cx.keypair, release).unwrap().digest()
        };
        let others = (0..).map(|n| plain.clone().with_description(format!("another, {n}")));
        let kept = others.into_iter().find(|other| digest(other) < digest(&plain)).unwrap();
        let receipt = second.register_as(kept, 0);
        second.exchange(late);
        assert!(answer(receipt).unwrap().is_ok());
    });
    assert!(matches!(answered, Err(Error::Conflict { .. })), "{answered:?}");
}
