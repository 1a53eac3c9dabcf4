//! One owner in several epochs: what has been replaced or has ended in a lower one changes nothing in a higher one.

use super::*;

/// The owner's own key, which signs in epoch 1.
fn in_epoch_1(owner: &Keypair, unix: u64) -> Device {
    let mut device =
        Device::start_as(Identity::new(owner.clone(), Authority::Owner { epoch: 1 }), unix);
    device.join();
    device
}

#[test]
fn a_package_that_is_begun_anew_stays_though_another_device_knows_only_of_its_end() {
    let (key, replicas, [mut first, mut second]) = two_devices();
    second.publish(&replicas, "1.0.0");
    first.withdraw(&replicas);
    second.hear_all(&first.take_announced());
    second.live(&replicas, 10);
    assert!(second.own_head().is_withdrawn());
    second.take_announced();

    let mut anew = in_epoch_1(&key, UNIX + 60);
    anew.publish(&replicas, "2.0.0");
    for _ in 0..2 {
        second.hear_all(&anew.take_announced());
        second.live(&replicas, 10);
        anew.hear_all(&second.take_announced());
        anew.live(&replicas, 10);
    }
    assert_eq!(anew.own_versions(), ["2.0.0"]);
    assert_eq!(second.own_versions(), ["2.0.0"]);
    assert_eq!(replicas.versions(&key), ["2.0.0"]);
}

#[test]
fn what_a_replaced_publisher_had_announced_before_it_was_replaced_does_not_come_back_later() {
    let (owner, replicas) = (key(), Replicas::new(2));
    let mut thief = publisher_of(&owner);
    let mut device = Device::start(&owner, UNIX);
    let mut anew = in_epoch_1(&owner, UNIX + 1);
    device.join();
    thief.join();
    device.publish(&replicas, "1.0.0");
    thief.publish(&Replicas::new(2), "6.6.6");
    anew.publish(&Replicas::new(2), "2.0.0");
    // Both come before either is taken in.
    device.hear_all(&thief.take_announced());
    device.hear_all(&anew.take_announced());
    device.live(&replicas, 10);
    device.publish(&replicas, "3.0.0");
    assert_eq!(device.own_versions(), ["3.0.0", "2.0.0", "1.0.0"]);
    assert_eq!(replicas.versions(&owner), device.own_versions());
}

/// Another package of the owner's, in epoch 1: it tells that whoever publishes in epoch 0 has been replaced.
fn rotated(owner: &Keypair) -> Signed<Head> {
    let mut rotated = Head::clone(&published_by(owner, "other", 1).1);
    rotated.revision.epoch = 1;
    Signed::sign(owner, rotated).unwrap()
}

#[test]
fn what_a_replaced_publisher_had_announced_is_waited_for_no_longer_once_the_network_was_asked() {
    let (owner, replicas) = (key(), Replicas::new(2));
    let mut thief = publisher_of(&owner);
    let mut device = Device::start(&owner, UNIX);
    device.join();
    device.publish(&replicas, "1.0.0");
    thief.publish(&Replicas::new(0), "6.6.6");
    device.hear(thief.own_head().bytes());
    device.hear(rotated(&owner).bytes());
    device.live(&replicas, 10);
    assert!(!device.lab.engine.publishing.elsewhere().is_awaited(&name()));
    assert_eq!(device.own_versions(), ["1.0.0"]);
}

#[test]
fn what_a_publisher_had_announced_before_it_was_replaced_is_not_taken_in_with_nobody_to_ask() {
    let owner = key();
    let mut thief = publisher_of(&owner);
    let mut device = Device::start(&owner, UNIX);
    thief.publish(&Replicas::new(0), "6.6.6");
    device.publish(&Replicas::new(0), "1.0.0");
    let stolen = thief.own_head();
    device.hear(stolen.bytes());
    device.hear(rotated(&owner).bytes());
    device.publish(&Replicas::new(0), "1.1.0");
    assert_eq!(device.own_versions(), ["1.1.0", "1.0.0"]);
}
