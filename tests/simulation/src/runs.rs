//! Many simulations, each in a process of its own, some of them at a time.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    args::{Args, Simulated},
    outcome::Outcome,
};

/// All simulations that were asked for.
pub(crate) fn run_all(args: &Args) -> ExitCode {
    let begun = Instant::now();
    let next = AtomicU64::new(*args.seeds.start());
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > *args.seeds.end() {
                        return;
                    }
                    let result = run_seed(args, seed);
                    if let Ok(mut results) = results.lock() {
                        results.push(result);
                    }
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_default();
    let failed: Vec<u64> =
        results.iter().filter(|result| result.is_failed).map(|result| result.seed).collect();
    let hours =
        results.iter().map(|result| result.virtual_time.as_secs_f64()).sum::<f64>() / 3600.0;
    println!(
        "{} simulations, {} of them run twice, {hours:.1} hours of virtual time in {:.0} s: {}",
        results.len(),
        results.iter().filter(|result| result.is_replayed).count(),
        begun.elapsed().as_secs_f64(),
        if failed.is_empty() {
            "none has failed".to_owned()
        } else {
            format!("failed: {failed:?}")
        },
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct SeedResult {
    seed: u64,
    is_failed: bool,
    is_replayed: bool,
    virtual_time: Duration,
}

fn run_seed(args: &Args, seed: u64) -> SeedResult {
    let simulated = args.simulated(seed);
    let trace = args.trace.as_ref().map(|path| numbered(path, &seed.to_string()));
    let begun = Instant::now();
    let outcome = run_one(&simulated, trace.as_ref());
    let took = begun.elapsed();
    let is_replayed = args.replay > 0 && seed.is_multiple_of(args.replay);
    let mut failures = outcome.failures.clone();
    let mut virtual_time = outcome.virtual_time;
    if is_replayed {
        let again = run_one(&simulated, None);
        virtual_time += again.virtual_time;
        if again.trace != outcome.trace {
            failures.push(differing(&simulated, &outcome, &again));
        }
    }
    report(&simulated, &outcome, took, &failures);
    if args.shrinks && !outcome.failures.is_empty() {
        crate::shrink::shrink(&simulated, &outcome);
    }
    SeedResult { seed, is_failed: !failures.is_empty(), is_replayed, virtual_time }
}

fn report(simulated: &Simulated, outcome: &Outcome, took: Duration, failures: &[String]) {
    let seconds = outcome.virtual_time.as_secs_f64();
    println!(
        "seed {}: {:.1} h in {:.1} s, {} faults, {} packages, {} polls, {:.1} MB, trace {:016x}",
        simulated.seed,
        seconds / 3600.0,
        took.as_secs_f64(),
        outcome.faults,
        outcome.packages,
        outcome.polls,
        outcome.bytes as f64 / 1e6,
        outcome.trace.0,
    );
    for ((call, how), (count, half, most)) in &outcome.calls {
        println!(
            "    {call:<12} {how:<14} {count:>6}   half in {half:.0} ms, 99 % in {most:.0} ms"
        );
    }
    for (what, mean, most) in &outcome.idle {
        println!("    idle: {mean:.0} {what} an hour and node, {most:.0} at the most");
    }
    if !failures.is_empty() {
        println!("seed {} FAILED", simulated.seed);
        failures.iter().take(12).for_each(|failure| println!("    {failure}"));
        if failures.len() > 12 {
            println!("    and {} more", failures.len() - 12);
        }
        println!("    again: {simulated}");
    }
}

/// Runs a simulation in a process of its own.
pub(crate) fn run_one(simulated: &Simulated, trace: Option<&PathBuf>) -> Outcome {
    let failed = |why: String| Outcome { failures: vec![why], ..Outcome::default() };
    let Ok(program) = std::env::current_exe() else {
        return failed("where is this program?".into());
    };
    let mut command = Command::new(program);
    command.arg("--child").args(simulated.arguments());
    if let Some(path) = trace {
        command.arg("--trace").arg(path);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return failed(format!("no process: {error}")),
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let seed = simulated.seed;
    let told = thread::spawn(move || stderr.map(|stderr| relay(seed, BufReader::new(stderr))));
    let mut text = String::new();
    if let Some(mut stdout) = stdout {
        let _ = stdout.read_to_string(&mut text);
    }
    let status = child.wait();
    let told = told.join().ok().flatten().unwrap_or_default();
    Outcome::read(&text)
        .unwrap_or_else(|| failed(format!("the simulation has broken off: {status:?} {told}")))
}

/// Shows how far a simulation has come, and keeps what else it says.
fn relay(seed: u64, lines: impl std::io::BufRead) -> String {
    let mut told = String::new();
    for line in lines.lines().map_while(Result::ok) {
        match line.strip_prefix("PROGRESS ") {
            Some(hours) => eprintln!("seed {seed}: {hours} h"),
            None => {
                told.push_str(&line);
                told.push(' ');
            }
        }
    }
    told
}

/// Runs a simulation twice more, and looks for the first line in which the two differ.
fn differing(simulated: &Simulated, first: &Outcome, second: &Outcome) -> String {
    let place = std::env::temp_dir();
    let paths = ["a", "b"].map(|which| {
        let name = format!("peerage-{}-{}.{which}", std::process::id(), simulated.seed);
        place.join(name)
    });
    paths.iter().for_each(|path| drop(run_one(simulated, Some(path))));
    let [Ok(a), Ok(b)] = paths.each_ref().map(|path| std::fs::File::open(path).map(BufReader::new))
    else {
        return "two runs differ, and the traces cannot be read".into();
    };
    let lines = a.lines().map_while(Result::ok).zip(b.lines().map_while(Result::ok));
    let found = lines.enumerate().find(|(_, (a, b))| a != b);
    let what = found.map_or("not when they are written down".into(), |(line, (a, b))| {
        format!("line {}: {a} | {b}", line + 1)
    });
    paths.iter().for_each(|path| drop(std::fs::remove_file(path)));
    format!("two runs differ ({:016x} and {:016x}), first in {what}", first.trace.0, second.trace.0)
}

fn numbered(path: &PathBuf, number: &str) -> PathBuf {
    let mut name = path.clone().into_os_string();
    name.push(".");
    name.push(number);
    name.into()
}
