//! How large an attack is, what it cost, and the line that says so.

use std::{
    fmt::Display,
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

static TURN: Mutex<()> = Mutex::new(());

/// Attacks take turns: memory and latency are the process's, and the processors are everybody's.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    // The one before may have failed, which is no reason for this one to fail.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size of an attack: the full one with optimisation, a small one without.
pub(crate) fn size(full: usize, small: usize) -> usize {
    if cfg!(debug_assertions) { small } else { full }
}

/// Prints one line of figures.
pub(crate) fn line(attack: &str, figures: impl Display) {
    println!("{attack:<18} {figures}");
}

/// Memory of this process that is resident, in bytes. Of Linux only: elsewhere nothing is measured.
pub(crate) fn resident_bytes() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The most memory that was resident since it was begun, above what was resident then.
#[derive(Debug)]
pub(crate) struct Growth {
    before: Option<usize>,
    peak: usize,
}

impl Growth {
    pub(crate) fn begin() -> Self {
        let before = resident_bytes();
        Self { before, peak: before.unwrap_or_default() }
    }

    pub(crate) fn sample(&mut self) {
        self.peak = self.peak.max(resident_bytes().unwrap_or_default());
    }

    /// In bytes; nothing where it cannot be measured.
    pub(crate) fn peak(&self) -> Option<usize> {
        Some(self.peak.saturating_sub(self.before?))
    }
}

/// The median and the largest of some latencies.
pub(crate) fn median_and_worst(latencies: &mut [Duration]) -> (Duration, Duration) {
    latencies.sort_unstable();
    let median = latencies.get(latencies.len() / 2).copied().unwrap_or_default();
    (median, latencies.last().copied().unwrap_or_default())
}

pub(crate) fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0)
}
