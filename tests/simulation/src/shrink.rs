//! Looks for a smaller simulation that fails as well: fewer nodes, a shorter time, fewer faults.

use std::time::Duration;

use crate::{args::Simulated, outcome::Outcome, runs::run_one};

/// How many simulations are tried.
const MOST_TRIES: usize = 40;

/// Makes a simulation that fails smaller for as long as it goes on failing, and prints the command that runs the smallest.
pub(crate) fn shrink(simulated: &Simulated, outcome: &Outcome) {
    let mut shrinking =
        Shrinking { smallest: simulated.clone(), outcome: outcome.clone(), tries: 0 };
    shrinking.shorten();
    shrinking.take_nodes_away();
    shrinking.take_faults_away();
    let Shrinking { smallest, outcome, tries } = shrinking;
    if smallest != *simulated {
        println!("    smaller, after {tries} tries: {smallest}");
        outcome.failures.iter().take(3).for_each(|failure| println!("    {failure}"));
    }
}

struct Shrinking {
    smallest: Simulated,
    outcome: Outcome,
    tries: usize,
}

impl Shrinking {
    /// Whether this one fails as well. It is the smallest then.
    fn tries(&mut self, simulated: Simulated) -> bool {
        if self.tries == MOST_TRIES {
            return false;
        }
        self.tries += 1;
        let outcome = run_one(&simulated, None);
        let fails = !outcome.failures.is_empty();
        if fails {
            (self.smallest, self.outcome) = (simulated, outcome);
        }
        fails
    }

    fn shorten(&mut self) {
        while self.smallest.time > Duration::from_secs(3600) {
            let time = Duration::from_secs(self.smallest.time.as_secs() / 2);
            if !self.tries(Simulated { time, ..self.smallest.clone() }) {
                return;
            }
        }
    }

    fn take_nodes_away(&mut self) {
        while self.smallest.nodes > 2 {
            let nodes = (self.smallest.nodes * 2 / 3).max(2);
            if !self.tries(Simulated { nodes, ..self.smallest.clone() }) {
                return;
            }
        }
    }

    /// Leaves out one part of the faults after another, of ever smaller parts.
    fn take_faults_away(&mut self) {
        let mut kept: Vec<usize> = match &self.smallest.faults {
            Some(faults) => faults.clone(),
            None => (0..self.outcome.faults).collect(),
        };
        let mut part = kept.len().div_ceil(2).max(1);
        while !kept.is_empty() && self.tries < MOST_TRIES {
            let mut from = 0;
            while from < kept.len() {
                let mut fewer = kept.clone();
                fewer.drain(from..(from + part).min(kept.len()));
                if self.tries(Simulated { faults: Some(fewer.clone()), ..self.smallest.clone() }) {
                    kept = fewer;
                } else {
                    from += part;
                }
            }
            if part == 1 {
                return;
            }
            part = part.div_ceil(2);
        }
    }
}
