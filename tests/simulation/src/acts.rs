//! What is done to machines, and what people do at them.

use std::time::Duration;

use peerage::{Freshness, Manifest, PackageId, PackageName, Query, semver::Version};

use crate::{
    book::Open,
    calls::Call,
    faults::{Clock, Cut, Death, Disk, Fault, Place},
    invariants::Key,
    plan::Step,
    trace,
    workload::{Deed, What},
    world::{World, now},
};

/// Names that owners choose from. There are so few that several choose the same.
const NAMES: [&str; 12] = [
    "http", "json", "regex", "async", "logger", "parser", "crypto", "image", "audio", "geo",
    "mail", "cache",
];

/// A node that was asked to ends within three seconds.
const MOST_CLOSING: Duration = Duration::from_millis(3_050);

impl World {
    pub(crate) fn go_wrong(&mut self, fault: Fault) {
        trace::tell(format_args!("{fault:?}"));
        match fault {
            Fault::Die(machine, death) => self.die(machine, death),
            Fault::Start(machine, disk) => {
                if disk == Disk::Lost && self.machines[machine].running.is_none() {
                    self.lose_disk(machine);
                }
                self.start(machine);
            }
            Fault::Sleep(machine) => self.sleep(machine),
            Fault::Wake(machine, clock, place) => self.wake(machine, clock, place),
            Fault::Divide(part, cut) => self.divide(part, cut, true),
            Fault::Unite(part, cut) => self.divide(part, cut, false),
            Fault::Reset(machine) => self.network.reset_one(machine),
            Fault::Full(machine, is_full) => {
                if let Some(disk) = &self.machines[machine].disk {
                    disk.set_full(is_full);
                }
            }
            Fault::FlakyDisk(machine, is_flaky) => {
                if let Some(disk) = &self.machines[machine].disk {
                    disk.set_failures(if is_flaky { 0.25 } else { 0.0 });
                }
            }
            Fault::Ambush(machine, moment) => {
                self.book.borrow_mut().ambushes.insert(machine, moment);
            }
            Fault::Disarm(machine) => drop(self.book.borrow_mut().ambushes.remove(&machine)),
            Fault::Skew(machine, millis) => self.machines[machine].clock.set_skew(millis),
        }
    }

    fn die(&mut self, number: usize, death: Death) {
        if self.machines[number].asleep.is_some() {
            if death != Death::PowerCut {
                return;
            }
            self.wake(number, Clock::WentOn, Place::Same);
        }
        let Some(running) = self.machines[number].running.take() else { return };
        match death {
            Death::Shutdown => {
                let handle = running.handle.clone();
                self.executor.spawn(number, async move { drop(handle.shutdown().await) });
                self.machines[number].ending = Some(running.task);
                self.later(MOST_CLOSING, Step::Ended(number));
            }
            Death::PowerCut => {
                self.network.power_off(number);
                self.executor.drop_task(running.task);
                if let Some(disk) = &self.machines[number].disk {
                    disk.lose_power();
                }
            }
            Death::Crash => drop(self.executor.drop_task(running.task)),
        }
        drop(running);
        if self.executor.run().is_err() {
            self.fail(format_args!("a task is polled without end after machine {number} has died"));
        }
        let is_own = |open: &&Open| open.life.machine == number && death != Death::Shutdown;
        let open = self.book.borrow().open.values().find(is_own).map(|open| format!("{open:?}"));
        if let Some(open) = open {
            self.fail(format_args!(
                "a node has ended ({death:?}), and this call was not answered: {open}"
            ));
        }
        if self.machines[number].disk.is_none() {
            self.book.borrow_mut().ledger.forget(number);
        }
    }

    /// A node that was asked to end has had its time for it.
    pub(crate) fn ended(&mut self, number: usize) {
        if let Some(task) = self.machines[number].ending.take()
            && self.executor.drop_task(task)
        {
            self.fail(format_args!("machine {number} has not shut down in {MOST_CLOSING:?}"));
        }
    }

    /// Ambushes into which somebody has run. Answers whether there were any.
    pub(crate) fn spring(&mut self) -> bool {
        let sprung = std::mem::take(&mut self.book.borrow_mut().sprung);
        for &(machine, after) in &sprung {
            if after.is_zero() {
                self.die(machine, Death::PowerCut);
            } else {
                self.later(after, Step::Fault(Fault::Die(machine, Death::PowerCut)));
            }
            let back = after + Duration::from_secs(30);
            self.later(back, Step::Fault(Fault::Start(machine, Disk::Kept)));
        }
        !sprung.is_empty()
    }

    fn lose_disk(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        if machine.lives > 0 && machine.disk.is_some() {
            machine.disk = Some(crate::storage::Disk::new(machine.random.branch(), self.mutation));
            self.book.borrow_mut().ledger.forget(number);
        }
    }

    fn sleep(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        if machine.running.is_some() && machine.asleep.is_none() {
            machine.asleep = Some(now());
            self.executor.stand_still(number, true);
            self.network.unplug(number, true);
        }
    }

    fn wake(&mut self, number: usize, clock: Clock, place: Place) {
        let machine = &mut self.machines[number];
        let Some(since) = machine.asleep.take() else { return };
        let slept = now() - since;
        if clock == Clock::Stood {
            machine.clock.stand_still(slept);
        }
        self.book.borrow_mut().allow_more(number, slept);
        if place == Place::Other {
            self.network.move_host(number);
        }
        self.network.unplug(number, false);
        self.executor.stand_still(number, false);
    }

    fn divide(&mut self, part: u64, cut: Cut, is_cut: bool) {
        let count = self.machines.len();
        let is_in = |machine: usize| part >> (machine % 64) & 1 == 1;
        let crosses = |&(from, to): &(usize, usize)| match cut {
            Cut::Both => is_in(from) != is_in(to),
            Cut::OneWay => is_in(from) && !is_in(to),
        };
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let pairs: Vec<(usize, usize)> = pairs.filter(crosses).collect();
        self.network.cut(pairs, is_cut);
    }

    pub(crate) fn act(&mut self, deed: Deed) {
        let machine = &self.machines[deed.machine];
        if machine.asleep.is_some() || machine.running.is_none() {
            return;
        }
        if let Some(call) = self.call_for(deed) {
            self.call(deed.machine, call);
        }
    }

    fn call_for(&self, deed: Deed) -> Option<Call> {
        let Deed { machine, what, number } = deed;
        Some(match what {
            What::Publish => self.new_package(machine, number),
            What::Release => self.next_release(machine, number)?,
            What::Yank | What::Unyank => {
                let (name, version) = self.own_release(machine, number)?;
                match what {
                    What::Yank => Call::Yank(name, version),
                    _ => Call::Unyank(name, version),
                }
            }
            What::Withdraw => Call::Unregister(self.own_package(machine, number)?),
            What::Get => Call::Get(self.any_package(number)?, Freshness::First),
            What::GetQuorum => Call::Get(self.any_package(number)?, Freshness::Quorum(3)),
            What::GetAll => Call::Get(self.any_package(number)?, Freshness::All),
            What::Versions => Call::Versions(self.any_package(number)?, Freshness::First),
            What::GetAbsent => Call::Get(
                PackageId::named(name(&format!("absent-{}", number % 1000))),
                Freshness::First,
            ),
            What::Search => {
                let query = Query::new().with_text(NAMES[number as usize % NAMES.len()]);
                Call::Search(Box::new(query))
            }
            What::Metadata => Call::Metadata,
            What::Bootstrap => Call::Bootstrap,
        })
    }

    fn new_package(&self, machine: usize, number: u64) -> Call {
        let stem = NAMES[number as usize % NAMES.len()];
        let name = name(&format!("{stem}-{}", number / 16 % 8));
        match self.release_of(machine, name.clone()) {
            // It exists, or has existed.
            Some(call) => call,
            None => Call::Register(Box::new(manifest(name, Version::new(1, 0, 0), number))),
        }
    }

    fn own_package(&self, machine: usize, number: u64) -> Option<PackageName> {
        let book = self.book.borrow();
        let own = book.ledger.own(machine);
        own.get(number as usize % own.len().max(1)).map(|name| (*name).clone())
    }

    fn own_release(&self, machine: usize, number: u64) -> Option<(PackageName, Version)> {
        let name = self.own_package(machine, number)?;
        let book = self.book.borrow();
        let package = book.ledger.packages.get(&self.key(machine, &name))?;
        let index = number as usize / 64 % package.acknowledged.len().max(1);
        let version = package.acknowledged.iter().nth(index)?.clone();
        Some((name, version))
    }

    fn next_release(&self, machine: usize, number: u64) -> Option<Call> {
        let name = self.own_package(machine, number)?;
        self.release_of(machine, name)
    }

    /// The version after the highest one that was ever tried.
    fn release_of(&self, machine: usize, name: PackageName) -> Option<Call> {
        let book = self.book.borrow();
        let package = book.ledger.packages.get(&self.key(machine, &name))?;
        let highest = package.tried.keys().next_back()?;
        let next = Version::new(highest.major, highest.minor + 1, 0);
        Some(Call::Register(Box::new(manifest(name, next, 0))))
    }

    fn any_package(&self, number: u64) -> Option<PackageId> {
        let book = self.book.borrow();
        let packages = &book.ledger.packages;
        let index = (number / 4) as usize % packages.len().max(1);
        let (owner, name) = packages.keys().nth(index)?.clone();
        // One in four asks by the bare name.
        let id = PackageId::named(name);
        Some(if number.is_multiple_of(4) { id } else { id.with_owner(owner) })
    }

    fn key(&self, machine: usize, name: &PackageName) -> Key {
        (self.book.borrow().ledger.owners[machine], name.clone())
    }

    /// Everybody's catalogue is read, and every package by five machines.
    pub(crate) fn examine(&mut self) {
        self.book.borrow_mut().ledger.is_examined = true;
        let keys: Vec<Key> = self.book.borrow().ledger.packages.keys().cloned().collect();
        let count = self.machines.len();
        for machine in 0..count {
            self.call(machine, Call::Catalogue);
            self.call(machine, Call::Metadata);
            self.ask_for_own(machine);
        }
        for (owner, name) in keys {
            let reader = self.random.below(count as u64) as usize;
            let id = PackageId::owned(owner, name.clone());
            self.call(reader, Call::Versions(id, Freshness::All));
            for _ in 0..5.min(count) {
                let reader = self.random.below(count as u64) as usize;
                let id = PackageId::owned(owner, name.clone());
                self.call(reader, Call::Get(id, Freshness::All));
            }
        }
    }
}

fn name(text: &str) -> PackageName {
    text.parse().expect("a name of letters and digits")
}

fn manifest(name: PackageName, version: Version, number: u64) -> Manifest {
    let description = format!("The {name} package, release {version}");
    let keywords = [NAMES[number as usize % NAMES.len()], "simulated"];
    Manifest::new(name, version).with_description(description).with_keywords(keywords)
}
