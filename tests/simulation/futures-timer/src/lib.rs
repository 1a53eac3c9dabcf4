//! [futures-timer], on the clock of a simulated process.
//!
//! [futures-timer]: https://docs.rs/futures-timer/3

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use process::Alarm;

/// Ready after some time, and then each time that it is polled.
#[derive(Debug)]
pub struct Delay(Alarm);

impl Delay {
    /// Ready after so long.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self(Alarm::after(time))
    }

    /// Ready after so long from now on.
    pub fn reset(&mut self, time: Duration) {
        self.0.set_after(time);
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}
