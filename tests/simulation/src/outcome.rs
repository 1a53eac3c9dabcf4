//! What comes of a simulation, and how the process that ran it tells the one that asked for it: line by line.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use crate::{args::Args, plan::Plan, trace, world::World};

/// What came of one simulation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Stands for all that happened, and how much that was.
    pub(crate) trace: (u64, u64),
    pub(crate) virtual_time: Duration,
    pub(crate) polls: u64,
    pub(crate) bytes: u64,
    pub(crate) packages: usize,
    /// Calls by name and how they went: how many, and how long half and nearly all took at the most, in milliseconds.
    pub(crate) calls: BTreeMap<(String, String), (usize, f64, f64)>,
    /// What an idle node costs in an hour: the mean and the most.
    pub(crate) idle: Vec<(String, f64, f64)>,
    pub(crate) faults: usize,
    pub(crate) failures: Vec<String>,
}

/// Runs the first of the seeds in this process, and prints what comes of it.
pub(crate) fn simulate(args: &Args) -> ExitCode {
    let simulated = args.simulated(*args.seeds.start());
    let path = args.trace.clone();
    // A thread of its own, since libraries keep things for each thread.
    let simulation = move || {
        if let Some(path) = &path
            && let Err(error) = trace::write_to(path)
        {
            eprintln!("{} cannot be written: {error}", path.display());
            std::process::exit(2);
        }
        let plan = Plan::new(&simulated);
        let mut world = World::new(&simulated);
        world.run(&plan);
        Outcome::of(&world, &plan).print();
        // What is left is not needed any more, and to drop it takes time.
        std::process::exit(0)
    };
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(simulation);
    match thread.map(|thread| thread.join()) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::from(101),
    }
}

impl Outcome {
    fn of(world: &World, plan: &Plan) -> Self {
        let book = world.book.borrow();
        let machines = 0..world.machines.len();
        let mut times: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
        for sample in &book.samples {
            let key = (sample.call.to_owned(), sample.outcome.to_owned());
            times.entry(key).or_default().push(sample.took.as_secs_f64() * 1000.0);
        }
        let summary = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
            (times.len(), at(0.5), at(0.99))
        };
        let idle =
            world.idle.costs.iter().map(|(what, mean, most)| ((*what).to_owned(), *mean, *most));
        Self {
            trace: trace::end(),
            virtual_time: crate::world::now(),
            polls: machines.clone().map(|machine| world.executor.polls(machine)).sum(),
            bytes: machines.map(|machine| world.network.traffic(machine).bytes_out).sum(),
            packages: book.ledger.packages.len(),
            calls: times.into_iter().map(|(key, times)| (key, summary(times))).collect(),
            idle: idle.collect(),
            faults: plan.faults,
            failures: book.failures.clone(),
        }
    }

    /// One line for each thing, its words separated by tabulators.
    fn print(&self) {
        let Self { trace: (hash, lines), virtual_time, polls, bytes, packages, faults, .. } = self;
        println!("trace\t{hash:016x}\t{lines}");
        println!("sums\t{}\t{polls}\t{bytes}\t{packages}\t{faults}", virtual_time.as_secs_f64());
        for ((call, outcome), (count, half, most)) in &self.calls {
            println!("call\t{call}\t{outcome}\t{count}\t{half}\t{most}");
        }
        for (what, mean, most) in &self.idle {
            println!("idle\t{what}\t{mean}\t{most}");
        }
        for failure in &self.failures {
            println!("failure\t{}", failure.replace(['\n', '\t'], " "));
        }
        println!("end");
    }

    /// Reads what another process has printed. None if it did not come to its end.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut outcome = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            match words.as_slice() {
                ["trace", hash, lines] => {
                    outcome.trace = (u64::from_str_radix(hash, 16).ok()?, lines.parse().ok()?);
                }
                ["sums", time, polls, bytes, packages, faults] => {
                    outcome.virtual_time = Duration::from_secs_f64(time.parse().ok()?);
                    outcome.polls = polls.parse().ok()?;
                    outcome.bytes = bytes.parse().ok()?;
                    outcome.packages = packages.parse().ok()?;
                    outcome.faults = faults.parse().ok()?;
                }
                ["call", call, how, count, half, most] => {
                    let numbers = (count.parse().ok()?, half.parse().ok()?, most.parse().ok()?);
                    outcome.calls.insert(((*call).to_owned(), (*how).to_owned()), numbers);
                }
                ["idle", what, mean, most] => {
                    outcome.idle.push(((*what).to_owned(), mean.parse().ok()?, most.parse().ok()?));
                }
                ["failure", failure] => outcome.failures.push((*failure).to_owned()),
                ["end"] => return Some(outcome),
                _ => {}
            }
        }
        None
    }
}
