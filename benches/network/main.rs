//! What a network of real processes on this machine costs, and whether it costs a node the same at any size.
//!
//! `cargo bench --bench network` starts 40 `node` processes on the loopback interface, and then 200. Numbers after `--`
//! are other sizes, and words the parts that are wanted: `registers`, `newcomers`, `reach`, `frozen`, which are run unless
//! something else is named, and `packages`, in which each node publishes a hundred. `-- 12` is a trial.
//!
//! Each figure is a line, `network SIZE NAME VALUE UNIT`, where there is a target followed by `<=|>= TARGET ok|short`. With
//! two sizes, lines of the size `LARGE/SMALL` tell how many times more it is in the larger one. The exit status is 1
//! where something is short. What goes on meanwhile is told on standard error.
//!
//! The more processes there are, the more each piece of work costs, whatever it is: their memory does not fit into the
//! processors' caches. So what a node does for others is also measured with about as many processes on the machine as
//! the largest network has: the smaller one with others of its size beside it, that have nothing to do with it.
//!
//! What processes use is read from `/proc`, as Linux has it.
#![allow(
    clippy::indexing_slicing,
    reason = "only JSON values are indexed: one that has no such field answers `null`"
)]

mod frozen;
mod joining;
mod network;
mod node;
mod packages_held;
mod reach;
mod registers;
mod report;
mod rest;

#[path = "../subjects/packages.rs"]
#[allow(dead_code, reason = "each benchmark uses its own part of this")]
mod packages;
#[path = "../subjects/usage.rs"]
mod usage;

use std::{error::Error, process::ExitCode};

use network::Network;
use node::Program;
use report::{Report, Target};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SIZES: [usize; 2] = [40, 200];
/// With fewer there is nobody to kill, and no bystander to speak of.
const SMALLEST: usize = 5;

/// What the larger network may cost beside the smaller one.
const RATIOS: [(&str, f64); 4] = [
    ("crowded-bystander-cpu", 1.3),
    ("register-p50", 2.5),
    ("absent-get-p50", 3.0),
    ("memory-median", 1.3),
];

/// What was asked for.
#[derive(Debug)]
struct Plan {
    sizes: Vec<usize>,
    registers: bool,
    newcomers: bool,
    reach: bool,
    frozen: bool,
    packages: bool,
}

impl Plan {
    /// `cargo bench` hands over flags of its own.
    fn from_args(args: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut sizes, mut parts) = (Vec::new(), Vec::new());
        for word in args.filter(|arg| !arg.starts_with("--")) {
            match (word.parse(), word.as_str()) {
                (Ok(size), _) if size >= SMALLEST => sizes.push(size),
                (Ok(_), _) => return Err(format!("at least {SMALLEST} nodes are needed").into()),
                (Err(_), "registers" | "newcomers" | "reach" | "frozen" | "packages") => {
                    parts.push(word)
                }
                (Err(_), _) => return Err(format!("`{word}` is neither a size nor a part").into()),
            }
        }
        let named = |part: &str| parts.iter().any(|named| named == part);
        let wants = |part: &str| parts.is_empty() || named(part);
        let [registers, newcomers, reach, frozen] =
            ["registers", "newcomers", "reach", "frozen"].map(wants);
        let packages = named("packages");
        if sizes.is_empty() {
            // Packages are about the large network, and take long.
            let only_packages = packages && parts.len() == 1;
            sizes.extend(SIZES.into_iter().skip(usize::from(only_packages)));
        }
        Ok(Self { sizes, registers, newcomers, reach, frozen, packages })
    }

    fn largest(&self) -> usize {
        self.sizes.iter().copied().max().unwrap_or_default()
    }

    fn run(&self, size: usize, program: &Program, report: &mut Report) -> Outcome<()> {
        if self.registers || self.newcomers || self.reach || self.frozen {
            self.run_in_one(size, program, report)?;
        }
        if self.packages {
            let measured = packages_held::measure(program, size, report);
            report.part(size, "packages", measured);
        }
        Ok(())
    }

    /// The parts that share one network.
    fn run_in_one(&self, size: usize, program: &Program, report: &mut Report) -> Outcome<()> {
        let mut network = Network::start(program, size, report)?;
        let rest = rest::measure(&mut network, report)?;
        // A part that cannot be carried out is short, and keeps none of the others from being measured.
        if self.registers {
            let measured = registers::measure(&mut network, &rest, report);
            report.part(size, "registers", measured);
            let measured = registers::crowded(&mut network, program, self.largest(), report);
            report.part(size, "crowded-registers", measured);
        }
        // Before anybody has left: what is announced afterwards may fare differently.
        if self.reach {
            let measured = reach::calm(&mut network, report);
            report.part(size, "reach", measured);
        }
        if self.newcomers {
            let measured = joining::measure(&network, report);
            report.part(size, "newcomers", measured);
        }
        if self.frozen {
            let measured = frozen::measure(&mut network, report);
            report.part(size, "frozen", measured);
        }
        if self.reach {
            let measured = reach::killed(&mut network, report);
            report.part(size, "killed-reach", measured);
        }
        Ok(())
    }
}

fn main() -> Outcome<ExitCode> {
    let plan = Plan::from_args(std::env::args().skip(1))?;
    let program = Program::build()?;
    let mut report = Report::default();
    for &size in &plan.sizes {
        let measured = plan.run(size, &program, &mut report);
        report.part(size, "network", measured);
    }
    for (name, most) in RATIOS {
        report.ratio(name, Target::AtMost(most));
    }
    Ok(if report.is_short() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
