//! How a row is measured and printed.
#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::time::Duration;

/// What a row's value has to keep to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// Ours over the peer's is at most this.
    AtMost(f64),
    /// The peer's over ours is at least this: so many times faster, or smaller.
    AtLeast(f64),
    /// Ours takes at most so many milliseconds more than the peer: for what is no multiple of anything.
    MillisMore(f64),
}

impl Target {
    fn value(self, ours: f64, peer: f64) -> f64 {
        match self {
            Self::AtMost(_) => ours / peer,
            Self::AtLeast(_) => peer / ours,
            Self::MillisMore(_) => (ours - peer) * 1e3,
        }
    }

    fn print(self, name: &str, value: f64) {
        let (sign, target, kept) = match self {
            Self::AtMost(most) | Self::MillisMore(most) => ("<=", most, value <= most),
            Self::AtLeast(least) => (">=", least, value >= least),
        };
        let verdict = if kept { "ok" } else { "short" };
        println!("ratio {name} {} {sign} {} {verdict}", figures(value), figures(target));
    }
}

/// Three significant figures, so that a fiftieth and a hundredfold both read well.
fn figures(value: f64) -> String {
    let before = value.abs().log10().floor();
    let decimals = if before.is_finite() { (2.0 - before).clamp(0.0, 6.0) as usize } else { 2 };
    format!("{value:.decimals$}")
}

/// Prints rows, or those of them that were asked for.
#[derive(Debug)]
pub(crate) struct Report {
    wanted: Vec<String>,
}

impl Report {
    /// `cargo bench` hands over flags of its own; every other word selects rows.
    pub(crate) fn from_args(args: impl Iterator<Item = String>) -> Self {
        Self { wanted: args.filter(|arg| !arg.starts_with("--")).collect() }
    }

    /// Whether a row is to be measured: what is costly to set up is then not even set up.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|word| name.contains(word.as_str()))
    }

    /// Measures each side once, where a side takes too long for more.
    pub(crate) fn once<C: Cost>(
        &self,
        name: &str,
        target: Target,
        ours: impl FnOnce() -> C,
        peer: impl FnOnce() -> C,
    ) {
        if !self.wants(name) {
            return;
        }
        let (ours, peer) = (ours().number(), peer().number());
        target.print(name, target.value(ours, peer));
        eprintln!("      {name}: {} beside {}", C::show(ours), C::show(peer));
    }

    /// Measures both sides in `rounds` rounds, in turns, and prints the row. A side's cost may be a time,
    /// or any other number of which less is better.
    pub(crate) fn row<C: Cost>(
        &self,
        name: &str,
        target: Target,
        rounds: usize,
        mut ours: impl FnMut() -> C,
        mut peer: impl FnMut() -> C,
    ) {
        if !self.wants(name) {
            return;
        }
        let one = |cost: C| [cost];
        self.rows([(name, target)], rounds, || one(ours()), || one(peer()));
    }

    /// Measures both sides in `rounds` rounds, in turns, where a round tells several costs, and prints their rows.
    pub(crate) fn rows<C: Cost, const N: usize>(
        &self,
        rows: [(&str, Target); N],
        rounds: usize,
        mut ours: impl FnMut() -> [C; N],
        mut peer: impl FnMut() -> [C; N],
    ) {
        if !rows.iter().any(|(name, _)| self.wants(name)) {
            return;
        }
        // The first round fills caches and is not counted.
        let mut costs = Vec::new();
        for round in 0..=rounds {
            // Who comes first changes, so that neither always works in the other's wake.
            let (our, peers) = if round % 2 == 0 {
                let our = ours().map(C::number);
                (our, peer().map(C::number))
            } else {
                let peers = peer().map(C::number);
                (ours().map(C::number), peers)
            };
            if round > 0 {
                costs.push((our, peers));
            }
        }
        for (row, (name, target)) in rows.into_iter().enumerate() {
            if !self.wants(name) {
                continue;
            }
            let costs = costs.iter();
            let costs = costs.filter_map(|(our, peers)| Some((*our.get(row)?, *peers.get(row)?)));
            target.print(name, median(costs.clone().map(|(our, peers)| target.value(our, peers))));
            let (our, peers): (Vec<_>, Vec<_>) = costs.unzip();
            eprintln!("      {name}: {} beside {}", C::show(median(our)), C::show(median(peers)));
        }
    }
}

/// What a side costs in one round.
pub(crate) trait Cost {
    fn number(self) -> f64;
    fn show(number: f64) -> String;
}

impl Cost for Duration {
    fn number(self) -> f64 {
        self.as_secs_f64()
    }

    fn show(number: f64) -> String {
        format!("{:?}", Duration::from_secs_f64(number))
    }
}

/// What one of many operations took, of which the clock only sees all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Each {
    pub(crate) total: Duration,
    pub(crate) operations: u64,
}

impl Cost for Each {
    fn number(self) -> f64 {
        self.total.as_secs_f64() / self.operations as f64
    }

    fn show(number: f64) -> String {
        format!("{} ns", figures(number * 1e9))
    }
}

/// Bytes, of so many things together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BytesEach {
    pub(crate) total: usize,
    pub(crate) things: usize,
}

impl Cost for BytesEach {
    fn number(self) -> f64 {
        self.total as f64 / self.things as f64
    }

    fn show(number: f64) -> String {
        format!("{number:.0} bytes")
    }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
