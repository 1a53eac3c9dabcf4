//! What the tests of several parts need.

use std::{future::Future, time::Duration};

use async_io::Timer;
use futures::future::{Either, select};

/// Runs `test`, and fails it if it hangs.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let limit = Timer::after(Duration::from_secs(30));
    futures::executor::block_on(async {
        match select(Box::pin(test), limit).await {
            Either::Left((value, _)) => value,
            Either::Right(_) => panic!("the test hangs"),
        }
    })
}
