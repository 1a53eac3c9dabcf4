//! A clock that stands still until it is told to move.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use peerage::{Clock, Timer};

/// 2033-05-18, so that signed records have a calendar to be valid in.
const EPOCH: Duration = Duration::from_secs(2_000_000_000);

#[derive(Debug, Clone, Default)]
pub(crate) struct VirtualClock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Duration,
    /// By how many seconds the calendar has left it.
    drift: i64,
    armed: Option<(Duration, Waker)>,
    settings: usize,
}

impl VirtualClock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// Moves time on, and wakes whoever waited for it.
    pub(crate) fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.now += by;
        if state.armed.as_ref().is_some_and(|(deadline, _)| *deadline <= state.now)
            && let Some((_, waker)) = state.armed.take()
        {
            waker.wake();
        }
    }

    /// The machine sleeps for so many seconds: the calendar goes on, and the monotonic clock stands still. Below zero, the
    /// calendar is set back. Nobody is woken by either.
    #[allow(dead_code, reason = "not every test's clock sleeps")]
    pub(crate) fn sleep(&self, seconds: i64) {
        self.state().drift += seconds;
    }

    /// How often the timer has been set.
    pub(crate) fn settings(&self) -> usize {
        self.state().settings
    }

    /// When the node wants to be woken.
    pub(crate) fn armed(&self) -> Option<Duration> {
        self.state().armed.as_ref().map(|(deadline, _)| *deadline)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.state().now
    }

    fn unix_time(&self) -> Duration {
        let state = self.state();
        let unix = EPOCH + state.now;
        let by = Duration::from_secs(state.drift.unsigned_abs());
        if state.drift < 0 { unix.saturating_sub(by) } else { unix + by }
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(self.clone())
    }
}

impl Timer for VirtualClock {
    fn poll_at(&mut self, deadline: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        state.settings += 1;
        if deadline <= state.now {
            state.armed = None;
            return Poll::Ready(());
        }
        state.armed = Some((deadline, cx.waker().clone()));
        Poll::Pending
    }
}
