//! [async-io], whose timers run on the clock of a simulated process. There are no sockets in it: code that has them compiles,
//! and hears an error when it wants one.
//!
//! [async-io]: https://docs.rs/async-io/2

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_core::Stream;
use process::Alarm;

mod sockets;

pub use sockets::{Async, block_on};

/// Ready at a time, once, or at the end of each period.
#[derive(Debug)]
pub struct Timer {
    alarm: Alarm,
    period: Option<Duration>,
}

impl Timer {
    /// Never ready.
    #[must_use]
    pub fn never() -> Self {
        Self { alarm: Alarm::never(), period: None }
    }

    /// Ready after so long.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self { alarm: Alarm::after(time), period: None }
    }

    /// Ready at this time.
    #[must_use]
    pub fn at(time: Instant) -> Self {
        Self::after(from_now(time))
    }

    /// Ready at the end of each period.
    #[must_use]
    pub fn interval(period: Duration) -> Self {
        Self { alarm: Alarm::after(period), period: Some(period) }
    }

    /// Ready at this time, and at the end of each period after it.
    #[must_use]
    pub fn interval_at(start: Instant, period: Duration) -> Self {
        Self { alarm: Alarm::after(from_now(start)), period: Some(period) }
    }

    /// Whether it will be ready.
    #[must_use]
    pub fn will_fire(&self) -> bool {
        self.alarm.is_set()
    }

    /// Ready after so long from now on.
    pub fn set_after(&mut self, time: Duration) {
        *self = Self::after(time);
    }

    /// Ready at this time from now on.
    pub fn set_at(&mut self, time: Instant) {
        *self = Self::at(time);
    }

    /// Ready at the end of each period from now on.
    pub fn set_interval(&mut self, period: Duration) {
        *self = Self::interval(period);
    }

    /// Ready at this time, and at the end of each period after it, from now on.
    pub fn set_interval_at(&mut self, start: Instant, period: Duration) {
        *self = Self::interval_at(start, period);
    }

    /// Never ready from now on.
    pub fn clear(&mut self) {
        self.alarm.clear();
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(self.alarm.poll(cx));
        match self.period {
            Some(period) => {
                self.alarm.set_after(period);
                // It keeps the task's waker, as the published one does.
                let _ = self.alarm.poll(cx);
            }
            // One that has been ready is so no more.
            None => self.alarm.clear(),
        }
        Poll::Ready(Instant::now())
    }
}

fn from_now(time: Instant) -> Duration {
    time.saturating_duration_since(Instant::now())
}

impl Future for Timer {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.poll_ready(cx)
    }
}

impl Stream for Timer {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_ready(cx).map(Some)
    }
}
