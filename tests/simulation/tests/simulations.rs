//! Simulations as they are run from the command line.

use std::process::{Command, Output};

fn simulation(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_peerage-simulation");
    Command::new(program).args(arguments).output().expect("it runs")
}

/// The number that stands for all that has happened.
fn trace(seed: &str, scenario: &str) -> String {
    let arguments =
        ["--child", "--seeds", seed, "--nodes", "4", "--hours", "1", "--scenario", scenario];
    let output = simulation(&arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("failure"), "{text}");
    text.lines().find_map(|line| line.strip_prefix("trace\t")).expect("a trace").to_owned()
}

#[test]
fn a_seed_leads_to_the_same_again_and_another_to_something_else() {
    let first = trace("1", "mixed");
    assert_eq!(first, trace("1", "mixed"));
    assert_ne!(first, trace("2", "mixed"));
}

#[test]
fn what_is_printed_says_how_long_was_simulated() {
    let arguments =
        ["--seeds", "3", "--nodes", "3", "--hours", "0.5", "--scenario", "calm", "--replay"];
    let output = simulation(&arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("1 simulations, 1 of them run twice, 1.0 hours of virtual time"),
        "{text}"
    );
}

#[test]
fn arguments_that_are_not_understood_are_explained() {
    let output = simulation(&["--years", "7"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--hours"));
}
