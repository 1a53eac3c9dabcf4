//! Some do not answer.

use super::{super::requests::GIVEN_UP, *};

/// How long a request is waited for that nobody answers, on a network as quick as this one.
const PATIENCE: Duration = Duration::from_millis(210);

#[test]
fn silent_peers_cost_the_first_call_a_moment_and_the_next_ones_nothing() {
    for (count, silent) in [(5, 2), (20, 5), (20, 10)] {
        let mut net = Net::new(count);
        let [present, absent, fresh] = ["present", "absent", "fresh"].map(key);
        net.put(0, &present);
        let usual = net.get(0, &absent, Breadth::Wide).ended;
        net.freeze(count - silent..count);

        let read = net.get(0, &present, Breadth::Narrow);
        assert!(read.first.unwrap() < Duration::from_millis(100), "{count} {silent} {read:?}");
        let read = net.get(0, &absent, Breadth::Narrow);
        assert!(read.ended <= 2 * PATIENCE, "{count} {silent} {read:?}");
        assert_eq!(read.copies, 0);
        let (replicas, after) = net.put(0, &fresh);
        assert_eq!(replicas as usize, count - silent - 1);
        assert!(after <= Duration::from_millis(700), "{count} {silent}: {after:?}");

        let again = net.get(0, &absent, Breadth::Wide);
        assert!(again.ended <= usual.mul_f64(1.5), "{count} {silent}: {again:?}, {usual:?} before");
        let (replicas, after) = net.put(0, &key("fresher"));
        assert_eq!(replicas as usize, count - silent - 1);
        assert!(after <= 10 * HOP, "{count} {silent}: {after:?}");
    }
}

#[test]
fn who_wakes_up_is_used_again_within_a_minute() {
    let mut net = Net::new(5);
    net.freeze(3..5);
    net.get(0, &key("absent"), Breadth::Wide);
    let (replicas, _) = net.put(0, &key("tool"));
    assert_eq!(replicas, 2);
    for peer in 3..5 {
        net.peers[peer].mood = Mood::Awake;
    }
    net.run_for(Duration::from_secs(25));
    let (replicas, _) = net.put(0, &key("tool"));
    assert_eq!(replicas, 4);
}

#[test]
fn who_is_gone_is_replaced_by_the_next() {
    let mut net = Net::new(60);
    let key = key("tool");
    let near: Vec<_> = closest(&net, &key).into_iter().filter(|peer| *peer != 1).take(5).collect();
    for peer in near {
        net.peers[peer].mood = Mood::Gone;
        let (now, id) = (net.now, net.peers[peer].id);
        for here in 0..60 {
            net.peers[here].dht.disconnected(now, &id);
        }
    }
    let (replicas, after) = net.put(1, &key);
    assert_eq!(replicas, 20);
    assert!(after < Duration::from_secs(1), "{after:?}");
}

#[test]
fn where_everybody_is_silent_a_call_waits_for_whoever_answers_at_last_and_ends_all_the_same() {
    let mut net = Net::new(8);
    net.freeze(1..8);
    let read = net.get(0, &key("tool"), Breadth::Wide);
    assert_eq!((read.copies, read.answered), (0, 0));
    assert_eq!(read.ended.as_secs(), GIVEN_UP.as_secs());
    let (replicas, _) = net.put(0, &key("tool"));
    assert_eq!(replicas, 0);
}
