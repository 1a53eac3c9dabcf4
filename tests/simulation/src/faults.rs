//! What can go wrong, and when it does.

use std::time::Duration;

use process::Random;

use crate::plan::Span;

/// How a node ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It is asked to, takes leave and ends.
    Shutdown,
    /// Its process ends. The operating system closes its connections.
    Crash,
    /// Its machine loses its power, and nobody hears of it.
    PowerCut,
}

/// Something that goes wrong, or is right again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    Die(usize, Death),
    /// It is started again: with what it has stored, unless its disk is lost.
    Start(usize, Disk),
    /// The machine sleeps: its node is not polled, and nothing reaches it. Its monotonic clock stands still meanwhile, or not.
    Sleep(usize),
    Wake(usize, Clock, Place),
    /// The network falls into two parts: the machines whose bit is set, and the others.
    Divide(u64, Cut),
    Unite(u64, Cut),
    /// A connection of this machine ends for both sides.
    Reset(usize),
    /// The disk of the machine is full, or no longer.
    Full(usize, bool),
    /// Of its commits, one in four fails, or none.
    FlakyDisk(usize, bool),
    /// The machine loses its power at the next change that somebody makes at it, and has it again half a minute later.
    Ambush(usize, Moment),
    Disarm(usize),
    /// The calendar of the machine is set to so many milliseconds off.
    Skew(usize, i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    Kept,
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    Stood,
    WentOn,
}

/// Where a laptop wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Same,
    /// In another network, with another address.
    Other,
}

/// When an ambush is sprung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// While the change is being made: so long after it was asked for.
    Asked(Duration),
    /// As soon as it was acknowledged.
    Acknowledged,
}

/// In which directions nothing passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Both,
    /// From the machines whose bit is set to the others.
    OneWay,
}

/// How often what goes wrong, in an hour and in a network of twenty.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    pub(crate) deaths: f64,
    pub(crate) sleeps: f64,
    pub(crate) divisions: f64,
    pub(crate) resets: f64,
    pub(crate) disks: f64,
    pub(crate) skews: f64,
    pub(crate) ambushes: f64,
}

/// All that goes wrong within this time. Each is a pair: it begins, and it is right again by the end.
pub(crate) fn draw(
    random: &mut Random,
    rates: Rates,
    machines: usize,
    span: Span,
) -> Vec<[(Duration, Fault); 2]> {
    let share = machines as f64 / 20.0;
    let mut faults = Vec::new();
    let hour = 3600.0;
    // Machines that come and go do so for times of very different lengths.
    for at in moments(random, rates.deaths * share, span) {
        let machine = random.below(machines as u64) as usize;
        let death = [Death::Crash, Death::Crash, Death::PowerCut, Death::Shutdown]
            [random.below(4) as usize];
        let disk = if random.happens(0.05) { Disk::Lost } else { Disk::Kept };
        let mean = if random.happens(0.5) { 20.0 } else { hour };
        let back = later(random, at, mean, span);
        faults.push([(at, Fault::Die(machine, death)), (back, Fault::Start(machine, disk))]);
    }
    for at in moments(random, rates.sleeps * share, span) {
        let machine = random.below(machines as u64) as usize;
        let clock = if random.happens(0.5) { Clock::Stood } else { Clock::WentOn };
        // Those that all know stay where they are.
        let moves = machine >= crate::world::SEEDS && random.happens(0.5);
        let place = if moves { Place::Other } else { Place::Same };
        let back = later(random, at, 2.0 * hour, span);
        faults.push([(at, Fault::Sleep(machine)), (back, Fault::Wake(machine, clock, place))]);
    }
    for at in moments(random, rates.divisions, span) {
        let part = random.next();
        let cut = if random.happens(0.7) { Cut::Both } else { Cut::OneWay };
        let back = later(random, at, 600.0, span);
        faults.push([(at, Fault::Divide(part, cut)), (back, Fault::Unite(part, cut))]);
    }
    for at in moments(random, rates.resets * share, span) {
        let fault = Fault::Reset(random.below(machines as u64) as usize);
        faults.push([(at, fault), (at, fault)]);
    }
    for at in moments(random, rates.disks * share, span) {
        let machine = random.below(machines as u64) as usize;
        let fault = if random.happens(0.5) { Fault::Full } else { Fault::FlakyDisk };
        let back = later(random, at, 900.0, span);
        faults.push([(at, fault(machine, true)), (back, fault(machine, false))]);
    }
    for at in moments(random, rates.ambushes * share, span) {
        let machine = random.below(machines as u64) as usize;
        let moment = match random.below(2) {
            0 => Moment::Asked(Duration::from_millis(random.below(2000))),
            _ => Moment::Acknowledged,
        };
        let back = later(random, at, hour, span);
        faults.push([(at, Fault::Ambush(machine, moment)), (back, Fault::Disarm(machine))]);
    }
    for at in moments(random, rates.skews * share, span) {
        let machine = random.below(machines as u64) as usize;
        let off = random.below(240_000) as i64 - 120_000;
        let back = later(random, at, hour, span);
        faults.push([(at, Fault::Skew(machine, off)), (back, Fault::Skew(machine, 0))]);
    }
    faults
}

/// Moments of a Poisson process with so many in an hour.
pub(crate) fn moments(random: &mut Random, per_hour: f64, span: Span) -> Vec<Duration> {
    let mut moments = Vec::new();
    if per_hour <= 0.0 {
        return moments;
    }
    let mut at = span.from;
    loop {
        at += exponential(random, 3600.0 / per_hour);
        if at >= span.to {
            return moments;
        }
        moments.push(at);
    }
}

fn later(random: &mut Random, at: Duration, mean: f64, span: Span) -> Duration {
    (at + Duration::from_secs(1) + exponential(random, mean)).min(span.to)
}

fn exponential(random: &mut Random, mean: f64) -> Duration {
    Duration::from_secs_f64(-mean * (1.0 - random.unit()).ln())
}
