//! The seams through which time and randomness enter.
//!
//! Everything in this crate that waits, expires or jitters reads these traits and nothing else, so a test
//! or a simulator can run a node under virtual time. The network stack underneath (libp2p) keeps its own
//! timers for its own purposes; no answer to a caller depends on them.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

/// A source of time: a monotonic reading for deadlines and a calendar reading for signed records.
///
/// Every [`Handle`](crate::Handle) reads it when a call is made, on the caller's thread; the node reads it
/// once for each poll, and the calendar ten times a second at the most.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Time since this clock's origin. It should never run backwards; should it do so, deadlines wait
    /// until it has caught up. It may stand still while the machine sleeps: what has a date is judged by
    /// [`unix_time`](Self::unix_time) as well, and [`Event::ClockChanged`](crate::Event::ClockChanged) tells of it.
    fn now(&self) -> Duration;

    /// Time since the Unix epoch, in UTC, for the validity of signed records. It may be corrected in both
    /// directions at any time.
    fn unix_time(&self) -> Duration;

    /// A timer that runs on this clock. A node asks for one and keeps it.
    fn timer(&self) -> Box<dyn Timer>;
}

/// One timer. The node owns exactly one and sets it anew at the end of each poll.
pub trait Timer: Send {
    /// Ready as soon as the clock has reached `deadline` (the clock's own [`now`](Clock::now) scale);
    /// until then, wakes the task of the last call when that moment comes.
    ///
    /// Each call replaces the deadline of the one before it.
    fn poll_at(&mut self, deadline: Duration, cx: &mut Context<'_>) -> Poll<()>;
}

/// The operating system's clocks, with [`async_io::Timer`] as the timer.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose origin is now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn unix_time(&self) -> Duration {
        // A machine whose calendar stands before 1970 has no usable calendar; zero makes every record
        // look issued in the future, which is refused, rather than accepted by mistake.
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(SystemTimer { origin: self.origin, armed: None })
    }
}

struct SystemTimer {
    origin: Instant,
    armed: Option<(Duration, async_io::Timer)>,
}

impl Timer for SystemTimer {
    fn poll_at(&mut self, deadline: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.origin.checked_add(deadline);
        let timer = match &mut self.armed {
            Some((armed, timer)) => {
                if *armed != deadline {
                    *armed = deadline;
                    match at {
                        Some(at) => timer.set_at(at),
                        None => *timer = async_io::Timer::never(),
                    }
                }
                timer
            }
            unset => {
                let timer = at.map_or_else(async_io::Timer::never, async_io::Timer::at);
                &mut unset.insert((deadline, timer)).1
            }
        };
        match Pin::new(timer).poll(cx) {
            Poll::Ready(_) => {
                // A timer that has fired keeps no waker and would stay silent if the same deadline were
                // asked for again.
                self.armed = None;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A source of randomness, for jitter and for message nonces. Keys do not come from here.
pub trait Entropy: Send {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            // Jitter and nonces are spread, not secrecy: a node may go on without them.
            tracing::warn!(%error, "the operating system gave no randomness");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn a_timer_is_ready_at_its_deadline_and_not_before() {
        let clock = SystemClock::new();
        let mut timer = clock.timer();
        let deadline = clock.now() + Duration::from_millis(30);
        block_on(std::future::poll_fn(|cx| timer.poll_at(deadline, cx)));
        assert!(clock.now() >= deadline);
    }

    #[test]
    fn a_deadline_asked_for_again_after_it_fired_is_ready_again() {
        let clock = SystemClock::new();
        let mut timer = clock.timer();
        let deadline = clock.now();
        for _ in 0..3 {
            block_on(std::future::poll_fn(|cx| timer.poll_at(deadline, cx)));
        }
    }

    #[test]
    fn a_deadline_may_be_moved_forwards_and_back() {
        let clock = SystemClock::new();
        let mut timer = clock.timer();
        let far = clock.now() + Duration::from_secs(3600);
        let near = clock.now() + Duration::from_millis(20);
        let mut polls = 0;
        block_on(std::future::poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                assert!(timer.poll_at(far, cx).is_pending());
            }
            timer.poll_at(near, cx)
        }));
        assert!(clock.now() >= near);
    }
}
