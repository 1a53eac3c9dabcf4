use std::collections::{BTreeMap, BTreeSet};

use crate::{
    table::{Column, Table},
    text::{hours, number, ranges, seconds},
};

/// What was simulated: one scenario at one size, with all its seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// Every seed that was run.
    pub seeds: Vec<u64>,
    /// How many seeds were run a second time, with the same trace.
    pub replayed: u64,
    /// Seeds that broke an invariant.
    pub failed: Vec<u64>,
    /// Nodes in each network.
    pub nodes: u64,
    /// Virtual time of all seeds together, in hours.
    pub virtual_hours: f64,
    /// Time that all seeds took together, in seconds.
    pub wall_seconds: f64,
    /// How often each kind of fault was injected.
    pub faults: BTreeMap<String, u64>,
    /// How often each kind of call ended in each outcome: kind, then outcome.
    pub calls: BTreeMap<String, BTreeMap<String, u64>>,
    /// The command that runs the same again; may be empty.
    pub command: String,
}

impl Run {
    /// Counts one fault.
    pub fn count_fault(&mut self, kind: &str) {
        *self.faults.entry(kind.into()).or_default() += 1;
    }

    /// Counts one answered call.
    pub fn count_call(&mut self, kind: &str, outcome: &str) {
        *self.calls.entry(kind.into()).or_default().entry(outcome.into()).or_default() += 1;
    }

    fn total_calls(&self) -> u64 {
        self.calls.values().flat_map(BTreeMap::values).sum()
    }
}

/// The figures that stand large at the top: value, then what it is.
pub(crate) fn totals(runs: &[Run]) -> Vec<(String, &'static str)> {
    let count = |of: &dyn Fn(&Run) -> u64| match runs.iter().map(of).sum::<u64>() {
        many @ 10_000_000.. => format!("{} million", number(many as f64 / 1e6)),
        few => number(few as f64),
    };
    let virtual_hours: f64 = runs.iter().map(|run| run.virtual_hours).sum();
    let wall: f64 = runs.iter().map(|run| run.wall_seconds).sum();
    let mut totals = vec![
        (count(&|run| run.seeds.len() as u64), "seeds run"),
        (count(&|run| run.failed.len() as u64), "seeds failed"),
        (hours(virtual_hours), "virtual time"),
        (seconds(wall), "time it took"),
        (count(&|run| run.faults.values().sum()), "faults injected"),
        (count(&Run::total_calls), "calls answered"),
    ];
    if wall > 0.0 && virtual_hours > 0.0 {
        let faster = virtual_hours * 3600.0 / wall;
        totals
            .insert(4, (format!("{} ×", number(faster.round().max(1.0))), "faster than real time"));
    }
    totals
}

pub(crate) fn overview(runs: &[Run]) -> Table {
    let columns = [
        Column::text("scenario"),
        Column::number("nodes"),
        Column::text("seeds"),
        Column::number("run twice"),
        Column::text("failed seeds"),
        Column::number("virtual time, hours"),
        Column::number("took, seconds"),
        Column::number("calls"),
    ];
    runs.iter().fold(Table::new("Runs", columns), |table, run| {
        table.row([
            run.scenario.clone(),
            number(run.nodes as f64),
            ranges(&run.seeds),
            number(run.replayed as f64),
            if run.failed.is_empty() { "none".into() } else { ranges(&run.failed) },
            number(run.virtual_hours),
            number(run.wall_seconds),
            number(run.total_calls() as f64),
        ])
    })
}

pub(crate) fn faults(runs: &[Run]) -> Table {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, count) in runs.iter().flat_map(|run| &run.faults) {
        *counts.entry(kind).or_default() += count;
    }
    let columns = [Column::text("fault"), Column::number("injected")];
    counts.into_iter().fold(Table::new("Faults, by kind", columns), |table, (kind, count)| {
        table.row([kind.to_owned(), number(count as f64)])
    })
}

pub(crate) fn calls(runs: &[Run]) -> Table {
    let mut counts: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for (kind, outcomes) in runs.iter().flat_map(|run| &run.calls) {
        for (outcome, count) in outcomes {
            *counts.entry(kind).or_default().entry(outcome).or_default() += count;
        }
    }
    let outcomes: BTreeSet<&str> = counts.values().flat_map(BTreeMap::keys).copied().collect();
    let titles = outcomes.iter().map(|outcome| Column::number(*outcome));
    let columns = std::iter::once(Column::text("call")).chain(titles);
    counts.iter().fold(Table::new("Calls, by outcome", columns), |table, (kind, of_kind)| {
        let cells = outcomes.iter().map(|outcome| {
            of_kind.get(outcome).map_or_else(String::new, |count| number(*count as f64))
        });
        table.row(std::iter::once((*kind).to_owned()).chain(cells))
    })
}
