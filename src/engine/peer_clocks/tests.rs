use super::*;

const UNIX: u64 = 2_000_000_000;

fn now(secs: u64) -> Now {
    Now { mono: Duration::from_secs(1000 + secs), unix: UNIX + secs }
}

/// Peers of which each says that it is so many seconds later than it is here.
fn clocks(later: &[i64]) -> PeerClocks {
    let mut clocks = PeerClocks::default();
    for later in later {
        let sent = UNIX.saturating_add_signed(*later);
        clocks.read(now(0), PeerId::random(), reading(sent, Duration::ZERO));
    }
    clocks
}

fn seconds(later: &[i64]) -> Option<i64> {
    clocks(later).offset(now(0)).map(|offset| offset.seconds)
}

fn reading(sent: u64, took: Duration) -> ClockReading {
    ClockReading { sent, took }
}

#[test]
fn it_is_the_median_of_what_peers_say() {
    assert_eq!(seconds(&[]), None);
    assert_eq!(seconds(&[-600]), Some(600));
    assert_eq!(seconds(&[600, 590, 610]), Some(-600));
    assert_eq!(seconds(&[0, 1, -1, 0, 1_000_000]), Some(0));
    assert_eq!(seconds(&[0, 1, -1_000_000, 2, 1_000_000]), Some(-1));
    assert_eq!(clocks(&[5, 5, 5]).offset(now(0)).unwrap().peers, 3);
}

#[test]
fn of_two_peers_that_contradict_each_other_the_one_counts_that_agrees_with_this_node() {
    assert_eq!(seconds(&[600, 0]), Some(0));
    assert_eq!(seconds(&[-600, 1]), Some(-1));
    assert_eq!(seconds(&[-700, -600]), Some(600));
}

#[test]
fn a_time_that_no_clock_shows_breaks_nothing() {
    let mut clocks = PeerClocks::default();
    clocks.read(now(0), PeerId::random(), reading(u64::MAX, Duration::MAX));
    assert!(clocks.disagreement(now(0)).is_some());
    clocks.read(
        Now { mono: Duration::MAX, unix: u64::MAX },
        PeerId::random(),
        reading(0, Duration::ZERO),
    );
    clocks.offset(Now { mono: Duration::MAX, unix: u64::MAX });
}

#[test]
fn the_time_on_the_way_is_allowed_for() {
    let mut clocks = PeerClocks::default();
    // Signed ten seconds ago.
    clocks.read(now(10), PeerId::random(), reading(UNIX, Duration::from_secs(10)));
    assert_eq!(clocks.offset(now(10)).unwrap().seconds, 0);
}

#[test]
fn a_peer_that_has_gone_is_not_asked_any_more() {
    let mut clocks = PeerClocks::default();
    let peer = PeerId::random();
    clocks.read(now(0), peer, reading(UNIX + 600, Duration::ZERO));
    clocks.forget(&peer);
    assert_eq!(clocks.offset(now(0)), None);
    assert_eq!(clocks.take_due(now(86_400)), []);
}

#[test]
fn what_differs_is_told_once_it_has_settled_and_once_only() {
    let mut clocks = clocks(&[-600]);
    assert_eq!(clocks.settle(now(0)), Some(now(2).mono));
    assert_eq!(clocks.settle(now(1)), None, "it has been decided when to look");
    assert!(matches!(clocks.settled(now(2)), Some(Event::ClockDisagrees { .. })));
    assert_eq!(clocks.settle(now(3)), None);
    assert_eq!(clocks.settled(now(3)), None);
}

#[test]
fn a_clock_at_the_edge_of_a_minute_is_told_of_once() {
    let peer = PeerId::random();
    let mut clocks = PeerClocks::default();
    let mut told = 0;
    for round in 0..100 {
        let at = now(round * 60);
        clocks.read(at, peer, reading(at.unix + 59 + 4 * (round % 2), Duration::ZERO));
        told += clocks.settle(at).map_or(0, |_| usize::from(clocks.settled(at).is_some()));
    }
    assert_eq!(told, 1);
}

#[test]
fn a_peer_that_changes_its_mind_is_told_of_once_a_minute_at_the_most() {
    let peer = PeerId::random();
    let mut clocks = PeerClocks::default();
    let (mut due, mut told) = (None, 0);
    for second in 0..600 {
        let at = now(second);
        clocks.read(at, peer, reading(at.unix + 3600 * (second % 2), Duration::ZERO));
        due = due.or(clocks.settle(at));
        if due.is_some_and(|due| due <= at.mono) {
            due = None;
            told += usize::from(clocks.settled(at).is_some());
        }
    }
    assert!((1..=10).contains(&told), "{told}");
}

#[test]
fn readings_that_are_old_are_taken_again_and_sooner_where_clocks_differ() {
    let mut right = clocks(&[0; 20]);
    assert_eq!(right.take_due(now(1799)), []);
    let mut asked = Vec::new();
    for sweep in 0..4 {
        asked.extend(right.take_due(now(1800 + sweep)));
    }
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 20, "each of them once, some at each sweep");
    let mut wrong = clocks(&[600]);
    assert_eq!(wrong.take_due(now(59)), []);
    assert_eq!(wrong.take_due(now(60)).len(), 1);
    assert_eq!(wrong.take_due(now(90)), [], "it has been asked");
}

#[test]
fn once_this_nodes_clock_has_been_set_peers_are_asked_anew() {
    let mut clocks = clocks(&[600, 600, 600]);
    let set = Now { unix: UNIX + 601, ..now(1) };
    assert_eq!(clocks.offset(set), None, "what they said of another clock says nothing");
    assert_eq!(clocks.take_due(set).len(), 3);
}
