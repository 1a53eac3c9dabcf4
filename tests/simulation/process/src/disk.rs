//! How long the work of threads takes: that of a disk.

use std::{cell::RefCell, time::Duration};

use crate::Random;

/// How fast the disk of the process is.
#[derive(Debug, Clone)]
pub struct Disk {
    /// What a piece of work takes at least.
    pub least: Duration,
    /// What it takes at the most. The times between are equally likely.
    pub most: Duration,
    /// What the times are drawn from, and whether work goes on whose node has ended.
    pub random: Random,
}

thread_local! {
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// Chooses how fast the disk is.
pub fn set_disk(disk: Disk) {
    DISK.set(Some(disk));
}

/// How long the next piece of work takes, and whether it is done even if nobody waits for it any more. At once, and no,
/// if no disk was chosen.
#[must_use]
pub fn work_time() -> (Duration, bool) {
    DISK.with_borrow_mut(|disk| {
        disk.as_mut().map_or((Duration::ZERO, false), |disk| {
            let span = disk.most.saturating_sub(disk.least);
            (disk.least + span.mul_f64(disk.random.unit()), disk.random.happens(0.5))
        })
    })
}
