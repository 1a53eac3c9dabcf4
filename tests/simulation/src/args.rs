//! The command line.

use std::{fmt, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

/// What goes wrong in a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scenario {
    /// Nothing.
    Calm,
    /// Something of everything.
    #[default]
    Mixed,
    /// Machines come and go.
    Churn,
    /// The network falls apart and heals.
    Partitions,
    /// Disks are full and fail, and nodes die meanwhile.
    Disks,
    /// Laptops sleep, and clocks are wrong.
    Sleepers,
}

impl Scenario {
    pub(crate) const ALL: [Self; 6] =
        [Self::Calm, Self::Mixed, Self::Churn, Self::Partitions, Self::Disks, Self::Sleepers];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Mixed => "mixed",
            Self::Churn => "churn",
            Self::Partitions => "partitions",
            Self::Disks => "disks",
            Self::Sleepers => "sleepers",
        }
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.map(Self::name).into();
            format!("there is no scenario `{text}`; there are: {}", names.join(", "))
        })
    }
}

/// Something that is made wrong on purpose, so that it shows whether simulations find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Disks lose their last commits with their power, although they have called them durable.
    LyingDisk,
}

impl Mutation {
    pub(crate) const ALL: [Self; 1] = [Self::LyingDisk];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LyingDisk => "lying-disk",
        }
    }
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mutation| mutation.name() == text);
        found.ok_or_else(|| {
            format!("there is no mutation `{text}`; there are: {:?}", Self::ALL.map(Self::name))
        })
    }
}

/// One simulation: all that it follows from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Simulated {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) time: Duration,
    pub(crate) scenario: Scenario,
    /// Which faults are left of all that the seed draws; none means all.
    pub(crate) faults: Option<Vec<usize>>,
    pub(crate) mutation: Option<Mutation>,
}

impl Simulated {
    /// Whether the fault of this number is left.
    pub(crate) fn keeps_fault(&self, index: usize) -> bool {
        self.faults.as_ref().is_none_or(|kept| kept.binary_search(&index).is_ok())
    }

    /// The arguments that lead to it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let hours = self.time.as_secs_f64() / 3600.0;
        let mut arguments: Vec<String> = vec![
            "--seeds".into(),
            self.seed.to_string(),
            "--nodes".into(),
            self.nodes.to_string(),
            "--hours".into(),
            hours.to_string(),
            "--scenario".into(),
            self.scenario.name().into(),
        ];
        if let Some(faults) = &self.faults {
            let numbers: Vec<String> = faults.iter().map(usize::to_string).collect();
            arguments.extend([
                "--faults".into(),
                if numbers.is_empty() { "none".into() } else { numbers.join(",") },
            ]);
        }
        if let Some(mutation) = self.mutation {
            arguments.extend(["--mutation".into(), mutation.name().into()]);
        }
        arguments
    }
}

impl fmt::Display for Simulated {
    /// The command that runs it again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = self.arguments().join(" ");
        write!(f, "cargo run --release --manifest-path tests/simulation/Cargo.toml -- {arguments}")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Args {
    pub(crate) seeds: RangeInclusive<u64>,
    pub(crate) nodes: usize,
    pub(crate) time: Duration,
    pub(crate) scenario: Scenario,
    pub(crate) faults: Option<Vec<usize>>,
    pub(crate) mutation: Option<Mutation>,
    /// Of how many seeds each, one is run twice; none are if it is zero.
    pub(crate) replay: u64,
    /// Where the trace of each simulation is written to, with its seed at the end of the name.
    pub(crate) trace: Option<PathBuf>,
    /// How many simulations run at a time.
    pub(crate) jobs: usize,
    /// Whether this process is to run one simulation itself.
    pub(crate) is_child: bool,
    /// Whether a seed that fails is made smaller.
    pub(crate) shrinks: bool,
}

const USAGE: &str = "\
Runs networks of peerage nodes under virtual time.

  --seeds A..B      which ones: from A to B, or one number (1..30)
  --nodes N         machines in each network (20)
  --hours H         virtual time of each (24)
  --scenario NAME   calm, mixed, churn, partitions, disks or sleepers (mixed)
  --replay          run each seed twice, and compare the traces
  --replay-each N   run every Nth seed twice
  --trace FILE      write down all that happens, to FILE.<seed>
  --jobs N          simulations at a time (as many as there are processors)
  --faults N,..     leave out all faults but these, by their numbers; `none` is none
  --mutation NAME   make something wrong on purpose: lying-disk
  --no-shrink       do not look for a smaller failure";

impl Args {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut args = Self {
            seeds: 1..=30,
            nodes: 20,
            time: Duration::from_secs(24 * 3600),
            scenario: Scenario::default(),
            faults: None,
            mutation: None,
            replay: 0,
            trace: None,
            jobs,
            is_child: false,
            shrinks: true,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
            match word.as_str() {
                "--seeds" => args.seeds = seeds(&value()?)?,
                "--nodes" => args.nodes = number(&value()?)?,
                "--hours" => args.time = hours(&value()?)?,
                "--scenario" => args.scenario = value()?.parse()?,
                "--replay" => args.replay = 1,
                "--replay-each" => args.replay = number(&value()?)?,
                "--trace" => args.trace = Some(value()?.into()),
                "--jobs" => args.jobs = number::<usize>(&value()?)?.max(1),
                "--faults" => args.faults = Some(faults(&value()?)?),
                "--mutation" => args.mutation = Some(value()?.parse()?),
                "--no-shrink" => args.shrinks = false,
                "--child" => args.is_child = true,
                "--help" | "-h" => return Err(USAGE.into()),
                _ => return Err(format!("`{word}` is not known\n\n{USAGE}")),
            }
        }
        if !(1..=60_000).contains(&args.nodes) {
            return Err("there must be 1 to 60,000 nodes".into());
        }
        Ok(args)
    }

    /// The simulation of this seed.
    pub(crate) fn simulated(&self, seed: u64) -> Simulated {
        Simulated {
            seed,
            nodes: self.nodes,
            time: self.time,
            scenario: self.scenario,
            faults: self.faults.clone(),
            mutation: self.mutation,
        }
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number that fits"))
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok(first..=last) } else { Err(format!("`{text}` is empty")) }
}

fn hours(text: &str) -> Result<Duration, String> {
    let hours: f64 = number(text)?;
    let seconds = (hours * 3600.0).round();
    if (60.0..=1e9).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("a simulation takes at least a minute".into())
    }
}

fn faults(text: &str) -> Result<Vec<usize>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let mut faults = text.split(',').map(number).collect::<Result<Vec<usize>, String>>()?;
    faults.sort_unstable();
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_is_found_again_by_its_arguments() {
        let simulated = Simulated {
            seed: 7,
            nodes: 5,
            time: Duration::from_secs(5400),
            scenario: Scenario::Churn,
            faults: Some(vec![1, 4]),
            mutation: Some(Mutation::LyingDisk),
        };
        let args = Args::parse(simulated.arguments()).expect("arguments");
        assert_eq!((args.seeds.clone(), args.simulated(7)), (7..=7, simulated));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [
            ["--seeds", "5..2"],
            ["--nodes", "0"],
            ["--hours", "x"],
            ["--scenario", "war"],
            ["--what", ""],
        ] {
            assert!(Args::parse(words.map(str::to_owned)).is_err(), "{words:?}");
        }
    }
}
