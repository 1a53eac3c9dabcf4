//! Everybody answers.

use super::*;

#[test]
fn a_record_is_kept_by_the_twenty_closest_and_found_by_a_newcomer() {
    let mut net = Net::new(60);
    let key = key("tool");
    let (replicas, _) = net.put(7, &key);
    assert_eq!(replicas, 20);
    let others = closest(&net, &key).into_iter().filter(|peer| *peer != 7).take(20);
    let kept = others.filter(|peer| net.peers[*peer].kept.0.contains_key(key.as_bytes())).count();
    assert!(kept >= 19, "by those who are closest, as far as one peer knows of them: {kept}");
    let newcomer = net.join();
    let read = net.get(newcomer, &key, Breadth::Narrow);
    assert!(read.copies >= 1, "{read:?}");
    let read = net.get(newcomer, &key, Breadth::Disjoint);
    assert!(read.copies >= 19, "{read:?}");
}

#[test]
fn the_first_copy_takes_one_round_trip_where_somebody_near_is_connected() {
    let mut net = Net::new(20);
    let key = key("tool");
    net.put(3, &key);
    let asked: usize = net.peers.iter().map(|peer| peer.asked).sum();
    let read = net.get(9, &key, Breadth::Narrow);
    assert_eq!(read.first, Some(2 * HOP));
    let now_asked: usize = net.peers.iter().map(|peer| peer.asked).sum();
    assert_eq!(now_asked - asked, 1, "nobody else is asked");
}

#[test]
fn what_is_not_there_is_known_to_be_absent_by_all_of_the_closest() {
    let mut net = Net::new(60);
    let read = net.get(5, &key("absent"), Breadth::Narrow);
    assert_eq!((read.copies, read.unheard), (0, 0));
    assert!(read.answered >= 20, "{read:?}");
}

#[test]
fn a_query_that_is_ended_early_asks_nobody_any_more() {
    let mut net = Net::new(30);
    let query = net.query();
    let now = net.now;
    net.peers[4].dht.get(now, query, &key("tool"), Breadth::Wide);
    net.carry_out(4);
    assert!(!net.requests.is_empty());
    net.peers[4].dht.finish(now, query);
    net.carry_out(4);
    assert!(net.requests.keys().all(|(here, _)| *here != 4), "the last request is taken back");
    assert!(net.peers[4].dht.running.is_empty());
}

#[test]
fn a_network_of_many_costs_a_newcomer_contact_with_few() {
    let mut net = Net::new(200);
    let asked: usize = net.peers.iter().map(|peer| peer.asked).sum();
    let newcomer = net.join();
    net.run_for(Duration::from_secs(5));
    let now_asked: usize = net.peers.iter().map(|peer| peer.asked).sum();
    assert!(now_asked - asked <= 90, "{} requests", now_asked - asked);
    assert!(net.peers[newcomer].dht.connected.len() < 80);
    assert!(net.peers[newcomer].dht.table.len() >= 20);
}

#[test]
fn where_a_record_goes_is_asked_of_few() {
    for (size, most) in [(30, 28), (60, 31), (200, 33)] {
        let mut net = Net::new(size);
        let requests = |net: &Net| net.peers.iter().map(|peer| peer.asked).sum::<usize>();
        let before = requests(&net);
        for number in 0..20 {
            let (replicas, _) = net.put(number, &key(&format!("tool-{number}")));
            assert!(replicas >= 20);
        }
        let each = (requests(&net) - before) / 20;
        assert!(each <= most, "{each} requests for a put to 20 among {size}");
    }
}

#[test]
fn who_was_looked_up_a_moment_ago_is_sent_a_record_at_once() {
    let mut net = Net::new(60);
    let key = key("tool");
    let requests = |net: &Net| net.peers.iter().map(|peer| peer.asked).sum::<usize>();
    for (pause, is_known) in [(1, true), (11, false)] {
        let (now, query) = (net.now, net.query());
        net.peers[7].dht.get(now, query, &key, Breadth::Wide);
        net.carry_out(7);
        net.run_for(Duration::from_secs(pause));
        let before = requests(&net);
        let (replicas, after) = net.put(7, &key);
        assert!(replicas >= 20);
        assert_eq!(requests(&net) - before == 20, is_known, "nobody is asked who is closest");
        assert!(!is_known || after == 2 * HOP, "{after:?}");
    }
}
