//! All that a simulation is going to do to its network, decided before it begins: it follows from the arguments alone.

use std::time::Duration;

use process::Random;

use crate::{
    args::{Scenario, Simulated},
    faults::{self, Disk, Fault, Rates},
    workload::{self, Deed},
};

/// From when to when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    Fault(Fault),
    Deed(Deed),
    /// A node of this machine that was asked to end has done so.
    Ended(usize),
    /// From here on, nothing is done and nothing goes wrong: it is measured what an idle network costs.
    BeginIdle,
    EndIdle,
    /// Everything is asked of everybody.
    Examine,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<(Duration, Step)>,
    pub(crate) end: Duration,
    /// How many faults the seed draws, those that are left out among them.
    pub(crate) faults: usize,
}

/// How much somebody does at each machine in an hour.
const DEEDS: f64 = 4.0;

/// When the first machines start, one after another.
const WARM_UP: Duration = Duration::from_secs(120);

impl Scenario {
    fn rates(self) -> Rates {
        let none = Rates::default();
        match self {
            Self::Calm => none,
            Self::Mixed => Rates {
                deaths: 11.0,
                sleeps: 1.0,
                divisions: 0.4,
                resets: 6.0,
                disks: 1.0,
                skews: 0.5,
                ambushes: 4.0,
            },
            // Half of the machines at any time have been there for less than an hour.
            Self::Churn => Rates { deaths: 20.0, ..none },
            Self::Partitions => Rates { divisions: 2.0, resets: 20.0, ..none },
            Self::Disks => Rates { deaths: 11.0, disks: 12.0, ambushes: 12.0, ..none },
            Self::Sleepers => Rates { sleeps: 6.0, skews: 2.0, ..none },
        }
    }
}

impl Plan {
    pub(crate) fn new(simulated: &Simulated) -> Self {
        let mut random = Random::new(simulated.seed ^ 0x706c_616e);
        let [mut starts, mut wrong, mut deeds] = [(); 3].map(|()| random.branch());
        let end = simulated.time;
        let quiet =
            end.mul_f64(0.4).clamp(Duration::from_secs(1200), Duration::from_secs(9000)).min(end);
        let active = Span { from: WARM_UP.min(end), to: end - quiet };
        let machines = simulated.nodes;
        let mut steps = Vec::new();
        for machine in 0..machines {
            let at = start_of(&mut starts, machine, machines, active);
            steps.push((at, Step::Fault(Fault::Start(machine, Disk::Kept))));
        }
        let all = faults::draw(&mut wrong, simulated.scenario.rates(), machines, active);
        let faults = all.len();
        let kept = all.into_iter().enumerate().filter(|(index, _)| simulated.keeps_fault(*index));
        for (_, pair) in kept {
            steps.extend(pair.map(|(at, fault)| (at, Step::Fault(fault))));
        }
        let done = workload::draw(&mut deeds, DEEDS, machines, active);
        steps.extend(done.into_iter().map(|(at, deed)| (at, Step::Deed(deed))));
        steps.push((end - quiet.mul_f64(0.45), Step::BeginIdle));
        steps.push((end - quiet.mul_f64(0.15), Step::EndIdle));
        steps.push((end - quiet.mul_f64(0.1), Step::Examine));
        // Those at one time stay in the order in which they were drawn.
        steps.sort_by_key(|(at, _)| *at);
        Self { steps, end, faults }
    }
}

/// The first ones are there from the beginning, and a fifth comes later.
fn start_of(random: &mut Random, machine: usize, machines: usize, active: Span) -> Duration {
    let early = WARM_UP.mul_f64(0.8).mul_f64(machine as f64 / machines as f64);
    let is_late = machine >= crate::world::SEEDS && random.happens(0.2);
    let half = active.to.saturating_sub(active.from) / 2;
    if is_late { active.from + half.mul_f64(random.unit()) } else { early }
}
