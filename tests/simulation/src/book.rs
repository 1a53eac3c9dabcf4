//! Who waits for what answer, and what was measured.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    calls::{Answer, Call, Sample},
    faults::Moment,
    invariants::Ledger,
    trace,
};

/// A node answers by the deadline of a call and one tick.
pub(crate) const ALLOWED: Duration = Duration::from_millis(30_010);

/// Where the disk is awaited, it has as much more.
pub(crate) const FOR_THE_DISK: Duration = Duration::from_millis(250);

/// A life of a node: which machine, and how often it was started before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) machine: usize,
    pub(crate) number: u32,
}

/// A call that was not answered yet.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) life: Life,
    pub(crate) call: Call,
    pub(crate) asked: Duration,
    /// How long it may take.
    pub(crate) allowed: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) open: BTreeMap<u64, Open>,
    count: u64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) ledger: Ledger,
    /// Machines that lose their power at a change, and when in it.
    pub(crate) ambushes: BTreeMap<usize, Moment>,
    /// Those to which that happens, and in how long.
    pub(crate) sprung: Vec<(usize, Duration)>,
    /// What should not have happened.
    pub(crate) failures: Vec<String>,
}

impl Book {
    /// Somebody asks. Answers with the number of the call.
    pub(crate) fn ask(&mut self, life: Life, call: &Call, allowed: Duration) -> u64 {
        self.count += 1;
        trace::tell(format_args!("#{} {life:?} asks {call:?}", self.count));
        self.ledger.asked(life, call);
        let open = Open { life, call: call.clone(), asked: now(), allowed };
        self.open.insert(self.count, open);
        if call.is_change()
            && let Some(Moment::Asked(after)) = self.ambushes.get(&life.machine)
        {
            self.sprung.push((life.machine, *after));
            self.ambushes.remove(&life.machine);
        }
        self.count
    }

    /// And is answered.
    pub(crate) fn answer(&mut self, number: u64, answer: Answer) {
        trace::tell(format_args!("#{number} is answered {answer:?}"));
        let Some(Open { life, call, asked, allowed }) = self.open.remove(&number) else {
            self.fail(format_args!("#{number} was answered twice: {answer:?}"));
            return;
        };
        let took = now() - asked;
        if took > allowed {
            self.fail(format_args!(
                "{life:?} answered {call:?} after {took:?}, and had {allowed:?}: {answer:?}"
            ));
        }
        if matches!(answer, Answer::Change(Ok(_)))
            && self.ambushes.get(&life.machine) == Some(&Moment::Acknowledged)
        {
            self.sprung.push((life.machine, Duration::ZERO));
            self.ambushes.remove(&life.machine);
        }
        let sample = Sample { call: call.name(), outcome: answer.outcome(), took };
        self.samples.push(sample);
        for broken in self.ledger.check(life, &call, answer) {
            self.fail(format_args!("{broken}"));
        }
    }

    /// The machine has slept for so long: what its callers wait for has as much more time.
    pub(crate) fn allow_more(&mut self, machine: usize, time: Duration) {
        for open in self.open.values_mut().filter(|open| open.life.machine == machine) {
            open.allowed += time;
        }
    }

    pub(crate) fn fail(&mut self, what: std::fmt::Arguments<'_>) {
        trace::tell(format_args!("FAILURE {what}"));
        self.failures.push(format!("after {:?}: {what}", now()));
    }
}

fn now() -> Duration {
    process::now().unwrap_or_default()
}
