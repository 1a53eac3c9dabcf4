//! How much of what a peer sends is taken at once, and how much of it is too much.
//!
//! Whoever sends faster than it is read is never done being read. So a turn has an end, after which everybody else has
//! theirs. And frames that carry nothing, or next to nothing, cost far more to take than to send: an honest peer sends a
//! few for each of its requests, of which it may make so many, and who sends more than that wants nothing but the work.

use std::time::{Duration, Instant};

use super::frame::{Header, Ping};
use crate::config::Limits;

/// What one turn may cost, in frames, and how many bytes it may read. Both together take well below a tenth of a
/// millisecond.
const FRAMES_A_TURN: u32 = 64;
const BYTES_A_TURN: usize = 64 * 1024;

/// Whoever is so far ahead of its ration has a rest after each turn. What it sends waits in the system's buffers meanwhile, so
/// that it is slowed down as well.
const HASTE: Duration = Duration::from_micros(62_500);
const REST: Duration = Duration::from_micros(500);

/// A ping is answered, in a message of its own, which costs as much as taking so many other frames.
const PING_COST: u32 = 16;

/// Of the ration a ping takes so many frames: an honest peer sends one in ten seconds at the most, and who sends a thousand
/// at once, or fifty a second, wants the answers for their cost.
const PING_RATION: u32 = 640;

/// A stream that begins is a task to poll, a protocol to agree upon, and often an answer. It costs as much as so many other
/// frames, and takes so many of the ration, whatever comes with it.
const STREAM_COST: u32 = 8;
const STREAM_RATION: u32 = 6;

/// A stream that is reset was for nothing. An honest peer does so when it no longer waits for an answer.
const RESET_RATION: u32 = 8;

/// A frame that carries so many bytes pays for itself.
const SUBSTANTIAL: usize = 64;

/// A request and its answer are a stream. Opening it, naming its protocol, ending it, and moving its window take no more
/// of the ration than so many small frames from one end.
const FRAMES_A_REQUEST: u32 = 8;

/// At so many bursts a peer is cut off for its requests. Whoever does nothing but ask is never cut off before that.
const BURSTS: u32 = 5;

/// What requests are taken for at the least, in a second and at once, however few a node serves: there are answers and
/// announcements as well.
const REQUESTS_PER_SECOND: u32 = 4_000;
const REQUEST_BURST: u32 = 16_000;

/// The peer sends frames for the sake of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer floods the connection with tiny frames")]
pub(super) struct Flood;

/// How many small frames a peer may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ration {
    /// How long it takes to earn one.
    interval: Duration,
    /// How long it takes to earn as many as may come at once.
    burst: Duration,
}

impl Ration {
    /// As many as the requests take that a peer may make.
    pub(super) fn new(limits: &Limits) -> Self {
        let requests = limits.requests_per_second.max(REQUESTS_PER_SECOND);
        let frames = requests.saturating_mul(FRAMES_A_REQUEST);
        let requests = limits.request_burst.max(REQUEST_BURST);
        let burst = requests.saturating_mul(BURSTS * FRAMES_A_REQUEST);
        let interval = Duration::from_secs(1) / frames;
        Self { interval, burst: interval.saturating_mul(burst) }
    }
}

/// What a peer is still given, in this turn and altogether.
#[derive(Debug)]
pub(super) struct Appetite {
    frames: u32,
    bytes: usize,
    ration: Ration,
    /// When the ration is whole again (the generic cell rate algorithm, ITU-T I.371).
    whole_at: Instant,
    /// When this turn may begin, after a rest.
    rests_until: Option<Instant>,
}

impl Appetite {
    pub(super) fn new(ration: Ration, now: Instant) -> Self {
        Self {
            frames: FRAMES_A_TURN,
            bytes: BYTES_A_TURN,
            ration,
            whole_at: now,
            rests_until: None,
        }
    }

    /// Whether this turn is over.
    pub(super) fn is_sated(&self) -> bool {
        self.frames == 0 || self.bytes == 0
    }

    /// Begins another turn.
    pub(super) fn renew(&mut self) {
        self.frames = FRAMES_A_TURN;
        self.bytes = BYTES_A_TURN;
    }

    /// A turn is over and the peer has more: begins another one, after a rest if the peer is in haste.
    pub(super) fn rest(&mut self, now: Instant) {
        self.renew();
        let is_hasty = self.whole_at.saturating_duration_since(now) > HASTE;
        self.rests_until = is_hasty.then(|| now + REST);
    }

    /// Until when nothing is read, if there is a rest.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// The rest is over.
    pub(super) fn rested(&mut self) {
        self.rests_until = None;
    }

    /// So many bytes were read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// A frame has begun.
    pub(super) fn frame(&mut self, header: Header, now: Instant) -> Result<(), Flood> {
        let (cost, ration) = match header.ping() {
            Some(Ping::Question(_)) => (PING_COST, PING_RATION),
            Some(Ping::Answer(_)) => (1, 1),
            None if header.resets_stream() => (1, RESET_RATION),
            None if header.begins_stream() => (STREAM_COST, STREAM_RATION),
            None if header.body_bytes() >= SUBSTANTIAL => (1, 0),
            None => (1, 1),
        };
        self.frames = self.frames.saturating_sub(cost);
        if ration == 0 {
            return Ok(());
        }
        let earned = self.ration.interval.saturating_mul(ration);
        let whole_at = self.whole_at.max(now) + earned;
        if whole_at.saturating_duration_since(now) > self.ration.burst {
            return Err(Flood);
        }
        self.whole_at = whole_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn data(bytes: u8) -> Header {
        Header::new([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, bytes])
    }

    fn appetite(start: Instant) -> Appetite {
        Appetite::new(Ration::new(&Limits::new()), start)
    }

    /// How many of these frames are taken before it is a flood, of at most a million.
    fn taken(appetite: &mut Appetite, header: Header, now: Instant) -> usize {
        (0..1_000_000).take_while(|_| appetite.frame(header, now).is_ok()).count()
    }

    #[test]
    fn who_makes_all_the_requests_that_it_may_make_is_no_flooder() {
        let start = Instant::now();
        let mut appetite = appetite(start);
        assert_eq!(taken(&mut appetite, data(0), start), 8 * 5 * 16_000);
        for second in 1..10 {
            let now = start + second * SECOND;
            for _ in 0..8 * 4_000 {
                assert_eq!(appetite.frame(data(63), now), Ok(()));
            }
            assert_eq!(appetite.frame(data(63), now), Err(Flood));
        }
    }

    #[test]
    fn what_carries_something_is_never_a_flood_and_pings_are_one_the_sooner() {
        let start = Instant::now();
        assert_eq!(taken(&mut appetite(start), data(64), start), 1_000_000);
        let ping = Header::from(Ping::Question(0));
        assert_eq!(taken(&mut appetite(start), ping, start), 1_000);
        let answer = Header::from(Ping::Answer(0));
        assert_eq!(taken(&mut appetite(start), answer, start), 8 * 5 * 16_000);
    }

    #[test]
    fn streams_that_begin_and_end_at_once_are_rationed_however_much_comes_with_them() {
        let start = Instant::now();
        let begins = |bytes| Header::new([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, bytes]);
        for bytes in [0, 200] {
            assert_eq!(taken(&mut appetite(start), begins(bytes), start), 8 * 5 * 16_000 / 6);
        }
        let reset = Header::new([0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 200]);
        assert_eq!(taken(&mut appetite(start), reset, start), 5 * 16_000);
        let window = Header::new([0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 200]);
        assert_eq!(taken(&mut appetite(start), window, start), 8 * 5 * 16_000 / 6);
        let mut turn = appetite(start);
        for _ in 0..8 {
            assert!(!turn.is_sated());
            turn.frame(begins(200), start).unwrap();
        }
        assert!(turn.is_sated());
    }

    #[test]
    fn a_node_that_serves_few_requests_takes_answers_and_announcements_all_the_same() {
        let start = Instant::now();
        let limits = Limits::new().with_requests_per_second(1).with_request_burst(1);
        let mut few = Appetite::new(Ration::new(&limits), start);
        assert_eq!(taken(&mut few, data(0), start), 8 * 5 * 16_000);
        let limits = Limits::new().with_requests_per_second(u32::MAX).with_request_burst(u32::MAX);
        let mut boundless = Appetite::new(Ration::new(&limits), start);
        assert_eq!(taken(&mut boundless, data(0), start), 1_000_000);
    }

    #[test]
    fn a_peer_in_haste_rests_between_its_turns_until_it_has_earned_what_it_sent() {
        let start = Instant::now();
        let mut appetite = appetite(start);
        taken(&mut appetite, data(200), start);
        appetite.rest(start);
        assert_eq!(appetite.rests_until(), None, "what carries something is never too much");
        for _ in 0..2_000 {
            appetite.frame(data(0), start).unwrap();
        }
        appetite.rest(start);
        assert_eq!(appetite.rests_until(), None);
        for _ in 0..64 {
            appetite.frame(data(0), start).unwrap();
        }
        appetite.rest(start);
        assert_eq!(appetite.rests_until(), Some(start + REST));
        appetite.rested();
        appetite.rest(start + SECOND / 20);
        assert_eq!(appetite.rests_until(), None);
    }

    #[test]
    fn a_turn_ends_with_its_frames_or_its_bytes() {
        let start = Instant::now();
        let mut appetite = appetite(start);
        for _ in 0..64 {
            assert!(!appetite.is_sated());
            appetite.frame(data(200), start).unwrap();
        }
        assert!(appetite.is_sated());
        appetite.renew();
        for _ in 0..64 {
            assert!(!appetite.is_sated());
            appetite.read(1024);
        }
        assert!(appetite.is_sated());
    }
}
