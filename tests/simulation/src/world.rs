//! Machines, their nodes and callers, and the network between them, under one time.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use futures::StreamExt as _;
use peerage::{
    Error, Multiaddr, Node, TransportConfig,
    storage::{Storage as _, Table},
};
use process::Random;

use crate::{
    args::{Mutation, Simulated},
    book::{ALLOWED, Book, FOR_THE_DISK, Life},
    calls::Call,
    executor::{Executor, Livelock},
    faults::{Disk, Fault},
    idle::{Idle, Usage},
    machine::{Machine, Running},
    network::{CITIES, Conditions, Network},
    plan::{Plan, Step},
    trace,
};

/// The first machines, which all others know from the beginning.
pub(crate) const SEEDS: usize = 3;

/// Pings are most of what an idle network does. In three of four simulations they are as rare as this, so that more time can
/// be simulated; in the others they are as by default.
const RARE_PINGS: Duration = Duration::from_secs(120);
/// When a node is started again whose new data had no room.
const AGAIN: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) executor: Executor,
    pub(crate) machines: Vec<Machine>,
    pub(crate) book: Rc<RefCell<Book>>,
    pub(crate) random: Random,
    /// Where the first machines are.
    seeds: Vec<Multiaddr>,
    transport: TransportConfig,
    pub(crate) mutation: Option<Mutation>,
    /// When it is looked whether these calls have been answered, in the order of the times.
    checks: BTreeSet<(Duration, u64)>,
    /// What is to be done besides the plan, in the order of the times.
    later: BTreeMap<(Duration, u64), Step>,
    count: u64,
    pub(crate) idle: Idle,
}

impl World {
    /// A world in which nothing runs yet. There is one on a thread.
    pub(crate) fn new(simulated: &Simulated) -> Self {
        process::begin(simulated.seed);
        let mut random = Random::new(simulated.seed);
        process::set_disk(process::Disk {
            least: Duration::from_millis(1),
            most: Duration::from_millis(30),
            random: random.branch(),
        });
        let network = Network::new(random.branch(), Conditions::default());
        let machines: Vec<Machine> = (0..simulated.nodes)
            .map(|number| {
                network.add_host(random.below(CITIES.len() as u64) as usize);
                Machine::new(number, random.happens(0.7), simulated.mutation, random.branch())
            })
            .collect();
        let transport = match random.below(4) {
            0 => TransportConfig::new(),
            _ => TransportConfig::new().with_ping_interval(RARE_PINGS),
        };
        let seeds = (0..simulated.nodes.min(SEEDS)).map(|seed| network.address(seed)).collect();
        let mut book = Book::default();
        book.ledger.owners =
            machines.iter().map(|machine| machine.keypair.public().to_peer_id()).collect();
        Self {
            network,
            executor: Executor::default(),
            machines,
            book: Rc::new(RefCell::new(book)),
            random,
            seeds,
            transport,
            mutation: simulated.mutation,
            checks: BTreeSet::new(),
            later: BTreeMap::new(),
            count: 0,
            idle: Idle::default(),
        }
    }

    /// Carries out a plan to its end, or until something is wrong.
    pub(crate) fn run(&mut self, plan: &Plan) {
        let mut steps = plan.steps.iter().peekable();
        let mut told = 0;
        loop {
            if let Err(Livelock { machine }) = self.executor.run() {
                self.fail(format_args!("a task of machine {machine} is polled without end"));
            }
            if self.spring() {
                continue;
            }
            if !self.book.borrow().failures.is_empty() {
                return;
            }
            let step = steps.peek().map(|(at, _)| *at);
            let check = self.checks.first().map(|(at, _)| *at);
            let later = self.later.first_key_value().map(|((at, _), _)| *at);
            let next = [self.network.next_event(), process::next_alarm(), step, check, later];
            let next = next.into_iter().flatten().fold(plan.end, Duration::min);
            process::advance(next);
            self.network.run_due();
            self.check_calls(next);
            while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= next) {
                let step = entry.remove();
                self.step(step);
            }
            while let Some((_, step)) = steps.next_if(|(at, _)| *at <= next) {
                self.step(*step);
            }
            if next >= plan.end {
                break;
            }
            let hours = next.as_secs() / 3600;
            if hours > told {
                told = hours;
                eprintln!("PROGRESS {hours}");
            }
        }
        let verdict = self.book.borrow().ledger.verdict();
        verdict.into_iter().for_each(|wrong| self.fail(format_args!("{wrong}")));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Fault(fault) => self.go_wrong(fault),
            Step::Deed(deed) => self.act(deed),
            Step::Ended(machine) => self.ended(machine),
            Step::BeginIdle => self.idle.begin(self.usage()),
            Step::EndIdle => {
                let packages = self.book.borrow().ledger.packages.len();
                let broken = self.idle.end(self.usage(), packages);
                broken.into_iter().for_each(|wrong| self.fail(format_args!("{wrong}")));
            }
            Step::Examine => self.examine(),
        }
    }

    /// What each machine has used so far.
    fn usage(&self) -> Vec<Usage> {
        let of = |machine: &Machine| Usage {
            life: machine.running.is_some().then(|| machine.life()),
            polls: self.executor.polls(machine.number),
            traffic: self.network.traffic(machine.number),
            commits: machine.disk.as_ref().map_or(0, crate::storage::Disk::commits),
        };
        self.machines.iter().map(of).collect()
    }

    /// Starts a node on this machine, if none runs.
    pub(crate) fn start(&mut self, number: usize) {
        if self.machines[number].ending.is_some() {
            self.later(Duration::from_secs(4), Step::Fault(Fault::Start(number, Disk::Kept)));
            return;
        }
        let machine = &mut self.machines[number];
        if machine.running.is_some() {
            return;
        }
        self.network.unplug(number, false);
        let (node, handle) = match machine.node(&self.network, &self.seeds, &self.transport) {
            Ok(started) => started,
            // New data needs room. Whoever runs the node sees the error, and starts it again.
            Err(Error::Storage { .. })
                if machine.disk.as_ref().is_some_and(|disk| disk.is_full()) =>
            {
                trace::tell(format_args!("machine {number} does not start: its disk is full"));
                self.later(AGAIN, Step::Fault(Fault::Start(number, Disk::Kept)));
                return;
            }
            Err(error) => {
                self.fail(format_args!("machine {number} does not start: {error}"));
                return;
            }
        };
        let life = machine.life();
        trace::tell(format_args!("{life:?} starts as {}", node.peer_id()));
        if let Some(disk) = &machine.disk {
            let rows = Table::ALL.map(|table| disk.len(table).unwrap_or_default());
            trace::tell(format_args!("{life:?} has {rows:?} rows on its disk"));
        }
        let task = self.executor.spawn(number, drive(node, life, Rc::clone(&self.book)));
        machine.running = Some(Running { handle, task });
        if self.machines[number].disk.is_some() {
            self.ask_for_own(number);
        }
    }

    /// What it has published, it still knows.
    pub(crate) fn ask_for_own(&mut self, number: usize) {
        let own: Vec<_> = self.book.borrow().ledger.own(number).into_iter().cloned().collect();
        let owner = self.book.borrow().ledger.owners[number];
        for name in own {
            let id = peerage::PackageId::owned(owner, name);
            self.call(number, Call::Versions(id, peerage::Freshness::First));
        }
    }

    /// Somebody at this machine asks its node for something. Nothing happens if no node runs there.
    pub(crate) fn call(&mut self, number: usize, call: Call) {
        let machine = &mut self.machines[number];
        let life = machine.life();
        let Some(running) = &machine.running else { return };
        let allowed = ALLOWED + if machine.disk.is_some() { FOR_THE_DISK } else { Duration::ZERO };
        let call_number = self.book.borrow_mut().ask(life, &call, allowed);
        let (book, handle) = (Rc::clone(&self.book), running.handle.clone());
        let caller = async move {
            let answer = call.ask(handle).await;
            book.borrow_mut().answer(call_number, answer);
        };
        self.executor.spawn(number, caller);
        self.checks.insert((now() + allowed + Duration::from_nanos(1), call_number));
    }

    /// Whoever has waited for as long as a call may take should have been answered.
    fn check_calls(&mut self, now: Duration) {
        while let Some(&(at, number)) = self.checks.first()
            && at <= now
        {
            self.checks.pop_first();
            let book = self.book.borrow();
            let Some(open) = book.open.get(&number) else { continue };
            let sleeps = self.executor.stands_still(open.life.machine);
            let due = open.asked + open.allowed + Duration::from_nanos(1);
            if sleeps || due > now {
                let later = due.max(now + Duration::from_secs(60));
                drop(book);
                self.checks.insert((later, number));
                continue;
            }
            let what = format!(
                "{:?} has not answered #{number} {:?} in {:?}",
                open.life, open.call, open.allowed
            );
            drop(book);
            self.fail(format_args!("{what}"));
        }
    }

    /// Does something after so long.
    pub(crate) fn later(&mut self, after: Duration, step: Step) {
        self.count += 1;
        self.later.insert((now() + after, self.count), step);
    }

    pub(crate) fn fail(&self, what: std::fmt::Arguments<'_>) {
        self.book.borrow_mut().fail(what);
    }
}

/// Polls a node to its end, and reads what it tells.
async fn drive(mut node: Node, life: Life, book: Rc<RefCell<Book>>) {
    while let Some(event) = node.next().await {
        trace::tell(format_args!("{life:?} tells {event:?}"));
        let mut book = book.borrow_mut();
        let wrong = book.ledger.hear(life, &event);
        wrong.into_iter().for_each(|wrong| book.fail(format_args!("{wrong}")));
    }
    trace::tell(format_args!("{life:?} ends"));
}

pub(crate) fn now() -> Duration {
    process::now().unwrap_or_default()
}
