use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rates(per_second: u32, burst: u32) -> Rates {
    let limits = Limits::new().with_requests_per_second(per_second).with_request_burst(burst);
    Rates::new(&limits)
}

/// How many of so many messages at one moment are served.
fn served(rates: &mut Rates, now: Duration, peer: PeerId, messages: u32) -> u32 {
    let hearings = (0..messages).map(|_| rates.hear(now, peer));
    hearings.filter(|hearing| *hearing == Hearing::Served).count() as u32
}

#[test]
fn a_burst_is_served_and_then_as_much_as_the_rate_allows() {
    let (mut rates, peer) = (rates(10, 100), PeerId::random());
    assert_eq!(served(&mut rates, SECOND, peer, 120), 100);
    // The twenty too many are to be earned first.
    assert_eq!(served(&mut rates, 3 * SECOND, peer, 1), 0);
    assert_eq!(served(&mut rates, 4 * SECOND, peer, 100), 9);
}

#[test]
fn one_peer_is_not_charged_for_another() {
    let (mut rates, greedy, modest) = (rates(10, 100), PeerId::random(), PeerId::random());
    served(&mut rates, SECOND, greedy, 10_000);
    assert_eq!(rates.hear(SECOND, modest), Hearing::Served);
}

#[test]
fn who_does_not_stop_is_closed_and_forgiven_after_a_time_that_is_known() {
    let (mut rates, peer) = (rates(10, 100), PeerId::random());
    let hearings: Vec<_> = (0..10_000).map(|_| rates.hear(SECOND, peer)).collect();
    let closed = hearings.iter().position(|hearing| *hearing == Hearing::Closed);
    assert_eq!(closed, Some(500), "after five bursts");
    // However much it sent beyond, four bursts of debt take 40 seconds at ten a second.
    assert_eq!(rates.hearing(40 * SECOND, &peer), Hearing::Unserved);
    assert_eq!(rates.hearing(42 * SECOND, &peer), Hearing::Served);
}

#[test]
fn a_window_of_lookups_by_an_honest_peer_never_meets_the_limit() {
    let (mut rates, peer) = (Rates::new(&Limits::default()), PeerId::random());
    // 64 at a time, each of which asks this node once in two round trips of 10 ms, for an hour.
    let mut now = Duration::ZERO;
    for _ in 0..(3600 * 50) {
        now += Duration::from_millis(20);
        assert_eq!(served(&mut rates, now, peer, 64), 64);
    }
}

#[test]
fn a_flood_of_strangers_is_remembered_within_bounds_and_debtors_the_longest() {
    let limits = Limits::new().with_connections(4).with_requests_per_second(1);
    let mut rates = Rates::new(&limits.with_request_burst(10));
    let debtor = PeerId::random();
    served(&mut rates, SECOND, debtor, 30);
    for _ in 0..1_000 {
        rates.hear(SECOND, PeerId::random());
    }
    assert_eq!(rates.peers.len(), 8);
    assert_eq!(rates.hear(SECOND, debtor), Hearing::Unserved);
}

#[test]
fn no_limits_and_no_times_overflow() {
    let mut rates = rates(1, u32::MAX);
    let peer = PeerId::random();
    for now in [Duration::ZERO, Duration::MAX, SECOND] {
        rates.charge(now, peer, u32::MAX);
        rates.hear(now, peer);
    }
    assert_eq!(
        Rates::new(&Limits::new().with_requests_per_second(u32::MAX)).interval,
        Duration::ZERO
    );
}
