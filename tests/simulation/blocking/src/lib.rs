//! As much of [blocking] as a node uses: work for another thread, which a simulated process does itself some time later.
//!
//! [blocking]: https://docs.rs/blocking/1

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_task::Runnable;
use process::Alarm;

pub use async_task::Task;

/// Does this work after as long as the disk of the process takes for it, whether or not somebody waits for it by then.
pub fn unblock<T, F>(work: F) -> Task<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (time, goes_on) = process::work_time();
    let work = Work { alarm: Alarm::after(time), work: Some(work), goes_on };
    // What is to be run is run at once: when the time has come, in which the disk is ready.
    let (runnable, task) = async_task::spawn(work, |runnable: Runnable| {
        runnable.run();
    });
    runnable.schedule();
    task
}

/// Work that is under way.
struct Work<F: FnOnce() -> T, T> {
    alarm: Alarm,
    work: Option<F>,
    goes_on: bool,
}

impl<F: FnOnce() -> T, T> Unpin for Work<F, T> {}

impl<F: FnOnce() -> T, T> Future for Work<F, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        ready!(self.alarm.poll(cx));
        let work = self.work.take().expect("a task is not polled after its end");
        Poll::Ready(work())
    }
}

/// Work that a thread has begun ends, whether or not anybody waits for it. Here it may have begun or not.
impl<F: FnOnce() -> T, T> Drop for Work<F, T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && self.goes_on
            && !std::thread::panicking()
        {
            work();
        }
    }
}
