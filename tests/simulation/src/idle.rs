//! What a network costs in which nobody does anything.

use std::time::Duration;

use crate::{book::Life, network::Traffic};

/// How often a node may be polled in an hour in which nothing happens, and how much more often for each package.
const MOST_POLLS: (f64, f64) = (15_000.0, 40.0);

/// What it may send in such an hour, in bytes, and how much more for each package: those are put again and compared.
const MOST_BYTES: (f64, f64) = (1_000_000.0, 8_000.0);

/// What is measured, and not bounded.
const UNBOUNDED: (f64, f64) = (f64::INFINITY, 0.0);

/// What a machine has used by some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// The node that runs there, if one does.
    pub(crate) life: Option<Life>,
    pub(crate) polls: u64,
    pub(crate) traffic: Traffic,
    pub(crate) commits: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Idle {
    since: Option<(Duration, Vec<Usage>)>,
    /// What a node has cost in an hour: the mean and the most of polls, bytes sent, packets sent, and commits.
    pub(crate) costs: Vec<(&'static str, f64, f64)>,
}

impl Idle {
    pub(crate) fn begin(&mut self, usage: Vec<Usage>) {
        self.since = Some((now(), usage));
    }

    /// Answers with what was too much, where there are so many packages.
    pub(crate) fn end(&mut self, usage: Vec<Usage>, packages: usize) -> Vec<String> {
        let Some((since, before)) = self.since.take() else { return Vec::new() };
        let hours = (now() - since).as_secs_f64() / 3600.0;
        let same_life =
            |(before, after): &(Usage, Usage)| before.life.is_some() && before.life == after.life;
        let pairs: Vec<(Usage, Usage)> = before.into_iter().zip(usage).filter(same_life).collect();
        let measures: [(&'static str, fn(&Usage) -> u64, (f64, f64)); 4] = [
            ("polls", |usage| usage.polls, MOST_POLLS),
            ("bytes", |usage| usage.traffic.bytes_out, MOST_BYTES),
            ("packets", |usage| usage.traffic.packets_out, UNBOUNDED),
            ("commits", |usage| usage.commits, UNBOUNDED),
        ];
        let mut wrong = Vec::new();
        for (what, of, (base, each)) in measures {
            let most = base + each * packages as f64;
            let used = |(before, after): &(Usage, Usage)| (of(after) - of(before)) as f64 / hours;
            let highest = pairs.iter().map(used).fold(0.0, f64::max);
            let mean = pairs.iter().map(used).sum::<f64>() / pairs.len().max(1) as f64;
            self.costs.push((what, mean, highest));
            if highest > most {
                wrong.push(format!(
                    "an idle node takes {highest:.0} {what} an hour, and {most:.0} are allowed"
                ));
            }
        }
        wrong
    }
}

fn now() -> Duration {
    process::now().unwrap_or_default()
}
