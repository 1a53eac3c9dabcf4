//! What was done, how long it took, and what went wrong.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    time::{Duration, Instant},
};

use peerage::Source;

/// Failures that are told one by one. The others are only counted.
const TOLD_FAILURES: usize = 10;

/// One call, or one thing waited for, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) took: Duration,
    /// Where the answer came from, if it is a package.
    pub(crate) source: Option<Source>,
    /// What it was about, and what was wrong.
    pub(crate) failure: Option<String>,
}

/// All outcomes of one kind.
#[derive(Debug)]
struct Row {
    operation: &'static str,
    took: Vec<Duration>,
    failed: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    failures: Vec<String>,
    network: usize,
    cached: usize,
    notes: Vec<String>,
}

impl Report {
    /// Something that the table does not say.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// How long half of these took at the most.
    pub(crate) fn median(&self, operation: &str) -> Duration {
        let row = self.rows.iter().find(|row| row.operation == operation);
        let mut sorted = row.map(|row| row.took.clone()).unwrap_or_default();
        sorted.sort_unstable();
        percentile(&sorted, 50)
    }

    pub(crate) fn add(&mut self, operation: &'static str, outcome: Outcome) {
        let Outcome { took, source, failure } = outcome;
        match source {
            Some(Source::Network) => self.network += 1,
            Some(Source::Cache | Source::Catalogue) => self.cached += 1,
            _ => {}
        }
        let failed = usize::from(failure.is_some());
        if let Some(failure) = failure.filter(|_| self.failures.len() < TOLD_FAILURES) {
            self.failures.push(format!("{operation}: {failure}"));
        }
        match self.rows.iter_mut().find(|row| row.operation == operation) {
            Some(row) => {
                row.took.push(took);
                row.failed += failed;
            }
            None => self.rows.push(Row { operation, took: vec![took], failed }),
        }
    }

    pub(crate) fn failed(&self) -> usize {
        self.rows.iter().map(|row| row.failed).sum()
    }

    /// The table, and below it what the numbers do not say.
    pub(crate) fn render(&self, took: Duration) -> String {
        let mut out = String::new();
        // Writing into a `String` cannot fail.
        let _ = self.write(&mut out, took);
        out
    }

    fn write(&self, out: &mut String, took: Duration) -> std::fmt::Result {
        let line = "-".repeat(70);
        writeln!(
            out,
            "{:<26}{:>8}{:>8}{:>10}{:>9}{:>9}",
            "operation", "count", "failed", "p50 ms", "p95 ms", "max ms"
        )?;
        writeln!(out, "{line}")?;
        for row in &self.rows {
            let mut sorted = row.took.clone();
            sorted.sort_unstable();
            let at = |percent| percentile(&sorted, percent).as_secs_f64() * 1e3;
            let (name, count, failed) = (row.operation, sorted.len(), row.failed);
            let (p50, p95, max) = (at(50), at(95), at(100));
            writeln!(out, "{name:<26}{count:>8}{failed:>8}{p50:>10.2}{p95:>9.2}{max:>9.2}")?;
        }
        writeln!(out, "{line}")?;
        let (all, failed) =
            (self.rows.iter().map(|row| row.took.len()).sum::<usize>(), self.failed());
        writeln!(out, "{:<26}{all:>8}{failed:>8}", "all")?;
        let (network, cached) = (self.network, self.cached);
        writeln!(out, "\npackages read: {network} from the network, {cached} known before")?;
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "time: {:.1} s", took.as_secs_f64())?;
        for failure in &self.failures {
            writeln!(out, "FAILED {failure}")?;
        }
        if failed > self.failures.len() {
            writeln!(out, "and {} more failures", failed - self.failures.len())?;
        }
        Ok(())
    }
}

/// The smallest value that so many percent of all do not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Tells on standard error how far a step is: on a terminal as one line that changes, else one line when
/// it is done.
#[derive(Debug)]
pub(crate) struct Progress {
    step: String,
    total: usize,
    done: usize,
    failed: usize,
    begun: Instant,
    terminal: bool,
    shown: Option<Instant>,
}

impl Progress {
    /// How often a terminal's line changes.
    const INTERVAL: Duration = Duration::from_millis(50);

    pub(crate) fn start(step: impl Into<String>, total: usize) -> Self {
        let terminal = io::stderr().is_terminal();
        let step = step.into();
        Self { step, total, done: 0, failed: 0, begun: Instant::now(), terminal, shown: None }
    }

    /// One piece of work is done, and this is what came of it.
    pub(crate) fn advance<'a>(&mut self, outcomes: impl IntoIterator<Item = &'a Outcome>) {
        self.done += 1;
        self.failed += outcomes.into_iter().filter(|outcome| outcome.failure.is_some()).count();
        if self.terminal && self.shown.is_none_or(|shown| shown.elapsed() >= Self::INTERVAL) {
            self.shown = Some(Instant::now());
            say(&format!("\r\x1b[K{}", self.line()));
        }
    }

    pub(crate) fn end(self) {
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        say(&format!("{start}{}, {:.2} s\n", self.line(), self.begun.elapsed().as_secs_f64()));
    }

    fn line(&self) -> String {
        let Self { step, done, total, failed, .. } = self;
        let failed = if *failed > 0 { format!(", {failed} FAILED") } else { String::new() };
        format!("{step:<26} {done}/{total}{failed}")
    }
}

/// To standard error, whether or not anybody reads it.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (1..=10).map(Duration::from_millis).collect();
        let at = |percent| percentile(&sorted, percent).as_millis();
        assert_eq!((at(50), at(95), at(100)), (5, 10, 10));
        assert_eq!(percentile(&sorted[..1], 50).as_millis(), 1);
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn the_table_counts_each_operation_and_tells_what_failed() {
        let mut report = Report::default();
        for failure in [None, Some("tiny: not found".to_owned())] {
            let took = Duration::from_millis(2);
            report.add("find", Outcome { took, source: Some(Source::Network), failure });
        }
        assert_eq!(report.failed(), 1);
        assert_eq!(report.median("find"), Duration::from_millis(2));
        report.note("all is well".to_owned());
        let table = report.render(Duration::from_secs(1));
        let row: Vec<_> =
            table.lines().find(|l| l.starts_with("find")).unwrap().split_whitespace().collect();
        assert_eq!(row, ["find", "2", "1", "2.00", "2.00", "2.00"]);
        assert!(table.contains("FAILED find: tiny: not found"), "{table}");
        assert!(table.contains("2 from the network"), "{table}");
        assert!(table.lines().any(|line| line == "all is well"), "{table}");
    }
}
