//! One owner on several devices, and in several lives: nothing that is published is lost, and nobody is called a liar.

use super::*;
use crate::record::Delegation;

use devices::{Device, Replicas, name};

mod devices;
mod epochs;
mod merges;
mod silence;

fn key() -> Keypair {
    Keypair::generate_ed25519()
}

/// Two devices of one owner that share a network of two peers, where 1.0.0 is published.
fn two_devices() -> (Keypair, Replicas, [Device; 2]) {
    let (key, replicas) = (key(), Replicas::new(2));
    let devices = [0, 1].map(|_| {
        let mut device = Device::start(&key, UNIX);
        device.join();
        device
    });
    let [mut first, second] = devices;
    first.publish(&replicas, "1.0.0");
    (key, replicas, [first, second])
}

/// Two devices that each publish a release on their side of a cut, in the same second: 1.1.0 and 1.2.0.
fn both_sides_of_a_cut() -> (Keypair, [Replicas; 2], [Device; 2]) {
    let key = key();
    let sides = [Replicas::new(2), Replicas::new(2)];
    let mut devices = [0, 1].map(|_| Device::start(&key, UNIX));
    for ((device, side), version) in devices.iter_mut().zip(&sides).zip(["1.1.0", "1.2.0"]) {
        device.join();
        assert_eq!(device.publish(side, version).sequence, UNIX);
    }
    (key, sides, devices)
}

/// Somebody to whom an owner has delegated epoch 0.
fn publisher_of(owner: &Keypair) -> Device {
    let (keypair, network) = (key(), NetworkName::default());
    let (peer, validity) =
        (keypair.public().to_peer_id(), Validity::starting(UNIX - 60, 30 * 24 * 3600));
    let delegation = Delegation::sign(owner, &network, peer, 0, validity).unwrap();
    Device::start_as(Identity::new(keypair, Authority::Delegate(Box::new(delegation))), UNIX)
}

#[test]
fn an_owner_that_starts_again_alone_and_joins_later_keeps_both_releases_and_its_name() {
    let (key, replicas) = (key(), Replicas::new(3));
    let mut bystander = Device::bystander();
    let mut first_life = Device::start(&key, UNIX);
    first_life.join();
    first_life.publish(&replicas, "1.0.0");
    bystander.hear_all(&first_life.take_announced());
    drop(first_life);

    let mut second_life = Device::start(&key, UNIX + 60);
    let receipt = second_life.publish(&Replicas::new(0), "1.1.0");
    assert_eq!(receipt.replicas, 0);
    second_life.join();
    second_life.live(&replicas, 60);
    bystander.hear_all(&second_life.take_announced());
    assert_eq!(replicas.versions(&key), ["1.1.0", "1.0.0"]);
    assert_eq!(bystander.told(), []);
    assert_eq!(second_life.told(), []);
}

#[test]
fn what_is_signed_with_nobody_to_ask_is_announced_once_it_was_read_back() {
    let (key, replicas) = (key(), Replicas::new(2));
    let mut owner = Device::start(&key, UNIX);
    let receipt = owner.register("1.0.0", 0);
    owner.exchange(&Replicas::new(0));
    let receipt = answer(receipt).unwrap().unwrap();
    assert_eq!(receipt.announcement, crate::package::Announcement::Queued);
    let hearer = Fact::Hearer { topic: "announcements".to_owned() };
    owner.lab.learn(hearer);
    owner.exchange(&Replicas::new(0));
    assert_eq!(owner.take_announced(), Vec::<Vec<u8>>::new());
    // Whoever appears holds nothing yet, and takes it.
    owner.join();
    owner.live(&replicas, 5);
    assert_eq!(owner.take_announced(), [owner.own_head().bytes().to_vec()]);
    // Once is enough.
    owner.live(&replicas, 60);
    assert_eq!(owner.take_announced(), Vec::<Vec<u8>>::new());
}

#[test]
fn one_key_on_two_devices_loses_no_release() {
    let (key, replicas, [mut first, mut second]) = two_devices();
    second.publish(&replicas, "1.0.1");
    // The first has heard nothing of it.
    let receipt = first.publish(&replicas, "1.1.0");
    assert_eq!(receipt.confirmed, 1);
    assert_eq!(replicas.versions(&key), ["1.1.0", "1.0.1", "1.0.0"]);
    for device in [&mut first, &mut second] {
        assert_eq!(device.told(), []);
    }
}

#[test]
fn what_another_device_announces_is_taken_in() {
    let (key, replicas, [mut first, mut second]) = two_devices();
    second.publish(&replicas, "1.0.1");
    first.take_announced();
    first.hear_all(&second.take_announced());
    first.live(&replicas, 10);
    assert_eq!(first.own_versions(), ["1.0.1", "1.0.0"]);
    // It says all that there is to say, so that nothing is signed.
    assert_eq!(first.own_head(), second.own_head());
    assert_eq!(first.take_announced(), Vec::<Vec<u8>>::new());
    assert_eq!(replicas.head(&key), second.own_head());
}

#[test]
fn a_release_in_a_head_that_was_outbid_is_taken_in_as_well() {
    let (_, replicas, [mut first, mut second]) = two_devices();
    // The second is on the other side of a cut, where nobody has heard of the package.
    let elsewhere = Replicas::new(2);
    second.publish(&elsewhere, "1.0.1");
    let outbid = second.take_announced();
    first.live(&replicas, 30);
    first.publish(&replicas, "1.1.0");
    assert!(first.own_head().revision > second.own_head().revision);
    assert_eq!(first.hear(&outbid[0]), Verdict::Ignore, "nobody else needs it");
    first.live(&replicas.join(elsewhere), 10);
    assert_eq!(first.own_versions(), ["1.1.0", "1.0.1", "1.0.0"]);
}

#[test]
fn long_lists_are_merged_to_the_last_page() {
    let (key, replicas, [mut first, mut second]) = two_devices();
    for minor in 1..60 {
        first.publish(&replicas, &format!("1.{minor}.0"));
    }
    first.take_announced();
    second.publish(&replicas, "0.1.0");
    first.hear_all(&second.take_announced());
    first.live(&replicas, 10);
    assert_eq!(first.own_head(), second.own_head(), "adopted, with its pages");
    first.publish(&replicas, "2.0.0");
    let versions = replicas.versions(&key);
    assert_eq!(versions.len(), 62);
    assert_eq!((versions.first(), versions.last()), (Some(&"2.0.0".into()), Some(&"0.1.0".into())));
}

#[test]
fn two_publishers_of_one_owner_take_in_what_the_other_publishes() {
    let (owner, replicas) = (key(), Replicas::new(2));
    let [mut first, mut second] = [0, 1].map(|_| publisher_of(&owner));
    first.join();
    second.join();
    first.publish(&replicas, "1.0.0");
    second.publish(&replicas, "1.0.1");
    first.hear_all(&second.take_announced());
    first.live(&replicas, 10);
    assert_eq!(first.own_head(), second.own_head());
    first.publish(&replicas, "1.1.0");
    second.publish(&replicas, "1.2.0");
    assert_eq!(replicas.versions(&owner), ["1.2.0", "1.1.0", "1.0.1", "1.0.0"]);
}

#[test]
fn a_release_of_an_earlier_life_that_becomes_the_newest_by_a_yank_is_read_first() {
    let (key, replicas) = (key(), Replicas::new(2));
    for (unix, versions) in [(UNIX, &["1.0.0", "1.1.0"][..]), (UNIX + 60, &["2.0.0"])] {
        let mut life = Device::start(&key, unix);
        life.join();
        for version in versions {
            life.publish(&replicas, version);
        }
        if unix == UNIX {
            continue;
        }
        for (version, newest) in [("2.0.0", "1.1.0"), ("1.1.0", "1.0.0")] {
            let yanked = life.yank(version);
            life.exchange(&replicas);
            assert!(answer(yanked).unwrap().is_ok());
            assert_eq!(life.own_head().latest().unwrap().version.to_string(), newest);
        }
    }
}

#[test]
fn what_a_replaced_publisher_goes_on_to_sign_is_not_taken_in() {
    let (owner, replicas, elsewhere) = (key(), Replicas::new(2), Replicas::new(2));
    let mut replaced = publisher_of(&owner);
    let authority = Authority::Owner { epoch: 1 };
    let mut device = Device::start_as(Identity::new(owner.clone(), authority), UNIX);
    for (device, replicas, version) in
        [(&mut device, &replicas, "1.0.0"), (&mut replaced, &elsewhere, "6.6.6")]
    {
        device.join();
        device.publish(replicas, version);
    }
    assert_eq!(device.hear(&replaced.take_announced()[0]), Verdict::Ignore);
    // These have not heard of the rotation.
    device.publish(&elsewhere, "1.1.0");
    assert_eq!(device.own_versions(), ["1.1.0", "1.0.0"]);
}

#[test]
fn the_same_second_on_both_sides_of_a_cut_heals_to_one_head_and_the_owner_is_told() {
    let (key, [left, right], mut devices) = both_sides_of_a_cut();
    let mut bystander = Device::bystander();
    let heads = [0, 1].map(|at| devices[at].take_announced());
    heads.iter().for_each(|heads| bystander.hear_all(heads));
    assert_eq!((bystander.told().len(), bystander.standing()), (1, 1));

    let replicas = left.join(right);
    devices[0].hear_all(&heads[1]);
    devices[1].hear_all(&heads[0]);
    for device in &mut devices {
        assert_eq!(device.told().len(), 1, "its own application hears of it");
    }
    for _ in 0..60 {
        for at in [0, 1] {
            devices[at].live(&replicas, 1);
            let announced = devices[at].take_announced();
            devices[1 - at].hear_all(&announced);
            bystander.hear_all(&announced);
        }
    }
    assert_eq!(replicas.versions(&key), ["1.2.0", "1.1.0"]);
    assert_eq!(devices[0].own_head(), devices[1].own_head());
    assert_eq!(replicas.head(&key), devices[0].own_head());
    assert_eq!(bystander.standing(), 0, "both are in the head that came after");
    for device in &mut devices {
        assert_eq!((device.told().len(), device.standing()), (0, 0), "told once, and healed");
    }
}

#[test]
fn the_same_second_on_both_sides_of_a_cut_heals_where_one_side_takes_a_yank_back() {
    let (key, left, [mut first, mut second]) = two_devices();
    let yanked = first.yank("1.0.0");
    first.exchange(&left);
    assert!(answer(yanked).unwrap().is_ok());
    second.publish(&left, "1.0.1");
    first.hear_all(&second.take_announced());
    first.live(&left, 10);
    second.live(&left, 10);
    first.take_announced();
    let right = Replicas::new(2);
    second.publish(&right, "1.1.0");
    let back = first.unyank("1.0.0");
    first.exchange(&left);
    assert!(answer(back).unwrap().is_ok());
    assert_eq!(first.own_head().revision, second.own_head().revision);

    let (replicas, mut devices) = (left.join(right), [first, second]);
    let mut bystander = Device::bystander();
    let mut heads = [0, 1].map(|at| devices[at].take_announced());
    heads.iter().for_each(|heads| bystander.hear_all(heads));
    assert_eq!(bystander.standing(), 1);
    for _ in 0..60 {
        for at in [0, 1] {
            devices[at].hear_all(&heads[1 - at]);
            devices[at].live(&replicas, 1);
            heads[at] = devices[at].take_announced();
            bystander.hear_all(&heads[at]);
        }
    }
    assert_eq!(replicas.versions(&key), ["1.1.0", "1.0.1", "1.0.0"]);
    assert!(replicas.head(&key).releases().iter().all(|entry| !entry.yanked));
    assert_eq!(devices[0].own_head(), devices[1].own_head());
    let standing = devices.each_ref().map(Device::standing);
    assert_eq!((bystander.standing(), standing), (0, [0, 0]), "what the cut left is settled");
}

#[test]
fn two_devices_that_merge_at_the_same_time_come_to_rest() {
    let (key, [left, right], mut devices) = both_sides_of_a_cut();
    let replicas = left.join(right);
    let mut heads = [0, 1].map(|at| devices[at].take_announced());
    devices.iter_mut().for_each(|device| device.put.clear());
    for _ in 0..120 {
        // What one says reaches the other only after it has done the same.
        for at in [0, 1] {
            devices[at].hear_all(&heads[1 - at]);
        }
        for device in &mut devices {
            device.live(&replicas, 1);
        }
        heads = [0, 1].map(|at| devices[at].take_announced());
    }
    assert_eq!(replicas.versions(&key), ["1.2.0", "1.1.0"]);
    assert_eq!(devices[0].own_head(), devices[1].own_head());
    for device in &devices {
        let mut signed = device.put.clone();
        signed.dedup();
        assert!(signed.len() <= 3, "{signed:?}");
    }
}

#[test]
fn heads_of_its_own_that_are_played_to_an_owner_again_lead_to_nothing() {
    let (_, replicas, [mut first, _]) = two_devices();
    let mut past = first.take_announced();
    for minor in 1..10 {
        first.live(&replicas, 1);
        first.publish(&replicas, &format!("1.{minor}.0"));
        past.extend(first.take_announced());
    }
    let (head, puts, lookups) = (first.own_head(), first.put.len(), first.lookups);
    for _ in 0..3 {
        first.hear_all(&past);
        first.live(&replicas, 10);
    }
    assert_eq!((first.own_head(), first.put.len(), first.lookups), (head, puts, lookups));
    assert_eq!(first.take_announced(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_yank_and_a_withdrawal_on_one_device_win_over_what_the_other_publishes() {
    let (_, replicas, [mut first, mut second]) = two_devices();
    let elsewhere = Replicas::new(2);
    // The second has the package, and is on its own from now on.
    second.hear_all(&first.take_announced());
    second.publish(&replicas, "1.0.0");
    second.publish(&elsewhere, "1.0.1");
    let yanked = first.yank("1.0.0");
    first.exchange(&replicas);
    assert!(answer(yanked).unwrap().is_ok());
    second.hear_all(&first.take_announced());
    second.live(&replicas, 10);
    let entries = crate::record::ReleaseList::of(&second.own_head()).into_releases();
    let entries: Vec<_> =
        entries.iter().map(|entry| (entry.version.to_string(), entry.yanked)).collect();
    assert_eq!(entries, [("1.0.1".to_owned(), false), ("1.0.0".to_owned(), true)]);

    let gone = second.command(|reply| Command::Unregister { name: name(), confirmation: 0, reply });
    second.exchange(&replicas);
    assert!(answer(gone).unwrap().is_ok());
    let tombstone = second.take_announced();
    first.live(&elsewhere, 10);
    first.hear_all(&tombstone);
    first.live(&replicas, 10);
    assert!(first.own_head().is_withdrawn());
}

#[test]
fn a_receipt_whose_read_back_shows_another_head_is_of_one_above_both() {
    let (_, replicas, [mut first, mut second]) = two_devices();
    second.publish(&replicas, "1.0.1");
    first.live(&replicas, 5);
    first.take_announced();
    let receipt = first.register("1.1.0", 3);
    // While it asks what there is, nobody has the other release; a peer that comes a moment later has.
    let late = Replicas::new(1);
    second.live(&Replicas::new(0), 60);
    second.publish(&late, "1.0.2");
    let before = Replicas::new(1);
    first.exchange_until_put(&before);
    first.exchange(&replicas.join(late));
    let receipt = answer(receipt).expect("answered").expect("published");
    assert_eq!(receipt.announcement, crate::package::Announcement::Sent);
    // Nobody has heard of the head in between.
    assert_eq!(first.take_announced(), [first.own_head().bytes().to_vec()]);
    assert!(receipt.sequence > second.own_head().revision.sequence, "{receipt:?}");
    assert_eq!(receipt.sequence, first.own_head().revision.sequence);
    assert_eq!(first.own_versions(), ["1.1.0", "1.0.2", "1.0.1", "1.0.0"]);
}
