//! Runs networks of peerage nodes under virtual time, over a network that fails, each from one number. See `README.md`.
//!
//! Each simulation is a process of its own: libraries count connections for the whole process, and what is counted decides
//! the order of hash maps.

mod acts;
mod args;
mod book;
mod calls;
mod clock;
mod entropy;
mod executor;
mod faults;
mod idle;
mod invariants;
mod machine;
mod network;
mod outcome;
mod plan;
mod runs;
mod shrink;
mod storage;
mod trace;
mod verdict;
mod workload;
mod world;

use std::process::ExitCode;

use args::Args;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)) {
        Ok(args) if args.is_child => outcome::simulate(&args),
        Ok(args) => runs::run_all(&args),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}
