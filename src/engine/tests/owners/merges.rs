//! What it costs to take in what another device has signed, and what the application is told of it.

use super::*;

/// A device that has published twenty releases, of which others hold all.
fn long_list() -> (Keypair, Replicas, [Device; 2]) {
    let (key, replicas, [mut first, second]) = two_devices();
    for minor in 1..20 {
        first.publish(&replicas, &format!("1.{minor}.0"));
    }
    first.take_announced();
    first.told_held();
    (key, replicas, [first, second])
}

#[test]
fn of_a_long_list_only_what_another_device_has_added_is_put() {
    let (key, replicas, [mut first, mut second]) = long_list();
    second.publish(&replicas, "2.0.0");
    let puts = first.puts;
    first.hear_all(&second.take_announced());
    first.live(&replicas, 10);
    assert_eq!(first.own_head(), second.own_head(), "adopted");
    assert_eq!(first.puts - puts, 3, "the new release, the head and the claim");

    // The head that comes now does not list everything, so that one above both is signed.
    let elsewhere = Replicas::new(2);
    let mut third = Device::start(&key, UNIX + 60);
    third.join();
    third.publish(&elsewhere, "0.1.0");
    let puts = first.puts;
    first.hear_all(&third.take_announced());
    first.live(&replicas, 10);
    assert_eq!(first.own_versions().len(), 22);
    assert_eq!(first.puts - puts, 3);
}

#[test]
fn what_nobody_holds_is_put_in_full_when_something_is_merged() {
    let (key, replicas) = (key(), Replicas::new(2));
    let mut other = Device::start(&key, UNIX);
    other.join();
    other.publish(&replicas, "1.0.0");
    let mut device = Device::start(&key, UNIX);
    device.publish(&Replicas::new(0), "1.1.0");
    device.hear_all(&other.take_announced());
    // It is merged as soon as somebody is there.
    device.join();
    device.live(&replicas, 10);
    assert_eq!(replicas.versions(&key), ["1.1.0", "1.0.0"]);
    assert_eq!(device.told_held(), 1);
}

#[test]
fn an_application_is_not_told_that_nobody_held_what_others_hold() {
    let (_, replicas, [mut first, mut second]) = long_list();
    for version in ["2.0.0", "2.1.0"] {
        second.publish(&replicas, version);
        first.hear_all(&second.take_announced());
        first.live(&replicas, 60);
        assert_eq!(first.own_head(), second.own_head());
    }
    assert_eq!(first.told_held(), 0);
}
