//! The poll loop: its order, and its budgets.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{Stream, StreamExt, stream::FusedStream};
use libp2p::PeerId;

use super::{
    link::Link,
    metrics::Metrics,
    storage::{Disk, Moved},
    watch::Watch,
};
use crate::{
    clock::Timer,
    config::Limits,
    engine::{
        Fact, GOODBYE_TIME, Now,
        command::{Command, Reply, Request},
    },
    error::Error,
    event::Event,
    net::ConnectionTasks,
    queue,
    record::NetworkName,
    ticket::Cancels,
};

/// libp2p can lose a wake-up when it is idle (gossipsub's heartbeat), so the
/// Swarm is polled at least this often.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long connections may take to close, once peers have had their time to hear of it, before the node ends without
/// waiting for them.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// How long a network that always has more may put off what peers are late with.
const MOST_PATIENCE: Duration = Duration::from_millis(250);

/// Deadlines handled in one poll before the other sources have their turn.
const DEADLINES_PER_POLL: usize = 256;

/// A registry node: a state machine that moves when it is polled, and only then.
///
/// It is a [`Stream`] of [`Event`]s and a [`Future`] that ends when the node has shut down; both run the
/// same loop, and any executor may drive either. As a future it drops its events. It spawns nothing and needs
/// no runtime. Two helper threads belong to the process, not to the node: one of
/// [`async-io`](async_io) for sockets and the node's timer, one of `futures-timer` for libp2p's own timers.
///
/// A node that is not polled does nothing: callers wait, but for those who ask for a package that it knows, and
/// peers see a silent host. It stops by
/// [`Handle::shutdown`](crate::Handle::shutdown) or when the last handle is dropped. Dropping the node itself never blocks; whoever
/// still waits hears [`Error::ShuttingDown`].
///
/// ```no_run
/// use peerage::{Config, Node, identity::Keypair};
///
/// let (node, handle) = Node::new(Keypair::generate_ed25519(), Config::new())?;
/// let driver = std::thread::spawn(move || futures::executor::block_on(node));
/// futures::executor::block_on(handle.shutdown())?;
/// driver.join().ok();
/// # Ok::<_, peerage::Error>(())
/// ```
pub struct Node {
    pub(super) link: Link,
    pub(super) tasks: ConnectionTasks,
    pub(super) commands: queue::Receiver<Request>,
    pub(super) cancels: Cancels,
    pub(super) metrics: Metrics,
    pub(super) watch: Watch,
    pub(super) disk: Option<Disk>,
    pub(super) timer: Box<dyn Timer>,
    /// When the network is to be polled at the latest.
    pub(super) heartbeat: Duration,
    /// What the timer is set to, and whom it wakes.
    pub(super) armed: Option<(Duration, Waker)>,
    pub(super) budgets: Budgets,
    pub(super) phase: Phase,
}

/// Where a node stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Everybody has been answered; peers are told, and connections closed, for no longer than this.
    Closing {
        until: Duration,
    },
    Terminated,
}

/// What each source may do in one poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budgets {
    deadlines: usize,
    commands: usize,
    network: usize,
}

impl Budgets {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            deadlines: DEADLINES_PER_POLL,
            commands: limits.commands_per_poll,
            network: limits.network_events_per_poll,
        }
    }
}

/// What a source did when it was polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It has nothing, and will wake the task when it does.
    Pending,
    /// It may have more, but has used up its budget for this poll.
    Spent,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("peer_id", self.link.swarm.local_peer_id())
            .field("network", self.link.wiring.network())
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// The node's identity.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        *self.link.swarm.local_peer_id()
    }

    /// The network that the node belongs to.
    #[must_use]
    pub fn network(&self) -> &NetworkName {
        self.link.wiring.network()
    }

    // The order of the loop, and why:
    //
    // 1. Events that are already there go out before anything new is begun, so that the buffer holds no
    //    more than what one pass of the loop produced.
    // 2. Deadlines come before commands and network: a call whose time is up must not be extended by work
    //    that came later, and nothing that a peer or a caller does can delay it.
    // 3. Commands (and cancellations) come before the network, so that what they ask of it is carried out
    //    in the same pass.
    // 4. The network comes last, so that it sees every action decided so far: libp2p's behaviours rely on
    //    being polled after they were touched. It is left alone in a poll in which nothing rang its bell,
    //    no action touched it and no heartbeat is due: a walk through every protocol costs more than
    //    most commands do.
    // 5. What peers are late with is looked at when the network has nothing more: an answer that has come while this
    //    node was busy is not late. A network that never has nothing more does not put it off for ever.
    // 6. What all this has changed is written to the storage, and callers are answered for whom that is done. It comes
    //    after everything else, so that one commit holds all of a poll.
    // 7. The timer is armed when everything is quiet, for the next deadline or the next heartbeat.
    //
    // Each source is taken until it says `Pending` or has spent its budget, so that one pass is enough unless
    // there are events to hand out. The network's turn also ends with an answer to a caller, whose turn it then is.
    // `Pending` is returned only if every source said so, or if the task has just been woken because one was left
    // before. The clock is read once, here.
    fn step(&mut self, cx: &mut Context<'_>, budgets: &mut Budgets) -> Poll<Option<Event>> {
        let now = self.watch.read();
        self.link.engine.begin(now);
        self.link.bell.attach(cx.waker());
        loop {
            if let Some(event) = self.link.engine.next_event() {
                return Poll::Ready(Some(event));
            }
            if self.phase == Phase::Terminated {
                return Poll::Ready(None);
            }
            let deadlines = self.poll_deadlines(now, &mut budgets.deadlines);
            let commands = self.poll_commands(cx, now, &mut budgets.commands);
            let network = self.poll_network(now, &mut budgets.network);
            let patience = self.poll_patience(now, network, &mut budgets.deadlines);
            let turns = [deadlines, commands, network, patience];
            self.poll_disk(cx, now);
            if self.link.engine.has_event() {
                continue;
            }
            if self.has_closed(now, turns) {
                self.link.engine.give_up_saving();
                self.show(now);
                self.phase = Phase::Terminated;
                continue;
            }
            if self.metrics.is_due(now.mono, HEARTBEAT) {
                self.show(now);
            }
            if turns.contains(&Turn::Spent) || self.arm(cx, now).is_ready() {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
    }

    /// Brings what is shown of this node up to date.
    fn show(&mut self, now: Now) {
        self.link.see(now);
        self.metrics.show(&self.link.engine);
    }

    fn poll_deadlines(&mut self, now: Now, budget: &mut usize) -> Turn {
        let done = self.link.engine.expire(now, *budget);
        *budget -= done;
        if done > 0 {
            self.link.carry_out(now);
        }
        if *budget == 0 { Turn::Spent } else { Turn::Pending }
    }

    /// Ends the patience with peers that do not answer.
    fn poll_patience(&mut self, now: Now, network: Turn, budget: &mut usize) -> Turn {
        let Some(due) = self.link.dht.next_deadline() else { return Turn::Pending };
        let has_more = network == Turn::Spent || self.link.engine.has_event();
        if has_more && now.mono < due.saturating_add(MOST_PATIENCE) {
            // This poll is followed by another.
            return Turn::Pending;
        }
        if *budget == 0 {
            return Turn::Spent;
        }
        let done = self.link.dht.expire(now.mono, *budget);
        *budget -= done;
        if self.link.carry_out(now) {
            // The network sees it in this poll's next pass.
            return Turn::Spent;
        }
        if *budget == 0 { Turn::Spent } else { Turn::Pending }
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>, now: Now, budget: &mut usize) -> Turn {
        for ticket in self.cancels.take() {
            self.link.engine.cancel(ticket);
        }
        let turn = loop {
            if *budget == 0 {
                break Turn::Spent;
            }
            match self.commands.poll_next_unpin(cx) {
                Poll::Pending => break Turn::Pending,
                Poll::Ready(Some(request)) => {
                    *budget -= 1;
                    self.take(cx, now, request);
                }
                Poll::Ready(None) => {
                    // The last handle is gone, or the queue was closed by a shutdown and is now empty.
                    self.close(now);
                    break Turn::Pending;
                }
            }
        };
        self.link.carry_out(now);
        turn
    }

    fn take(&mut self, cx: &mut Context<'_>, now: Now, request: Request) {
        match self.phase {
            Phase::Running if !matches!(request.command, Command::Shutdown { .. }) => {
                match request.command {
                    Command::Metadata { .. } => self.show(now),
                    Command::Peers { .. } => self.link.see(now),
                    _ => {}
                }
                self.link.engine.command(now, request);
            }
            phase => match request.command {
                Command::Shutdown { reply } if phase == Phase::Running => {
                    self.shut_down(cx, now, reply);
                }
                Command::Shutdown { reply } => acknowledge(reply),
                command => self.link.engine.refuse(command, Error::ShuttingDown),
            },
        }
    }

    fn poll_network(&mut self, now: Now, budget: &mut usize) -> Turn {
        if !self.link.bell.answer() && now.mono < self.heartbeat {
            return Turn::Pending;
        }
        self.heartbeat = now.mono.saturating_add(HEARTBEAT);
        self.link.engine.begin_network(now);
        // What was answered before this turn is no reason to end it.
        self.link.engine.take_answered();
        let turn = loop {
            if *budget == 0 {
                break Turn::Spent;
            }
            // Silent before each look, so that a ring that comes with it or after it is heard. What a turn of
            // this loop itself rang for is done by the next.
            self.link.bell.answer();
            let mut cx = self.link.bell.context();
            // Tasks before the Swarm: what they have read from their sockets is for it to see.
            self.tasks.poll(&mut cx);
            match self.link.swarm.poll_next_unpin(&mut cx) {
                Poll::Ready(Some(event)) => {
                    *budget -= 1;
                    self.link.learn(now, event);
                    self.link.carry_out(now);
                }
                // A Swarm never ends; should it do so, there is nothing left to wait for.
                Poll::Pending | Poll::Ready(None) => {
                    // A record that is refused makes no event of the Swarm. What follows from it is carried out in
                    // this turn, and the Swarm polled once more: nothing else need wake the node.
                    self.link.engine.learn_stored();
                    if !self.link.carry_out(now) {
                        return Turn::Pending;
                    }
                    *budget -= 1;
                }
            }
            if self.link.engine.has_event() {
                break Turn::Pending;
            }
            // An answer is not kept from its caller by what else the network has to tell: where one thread polls
            // both, the caller's turn comes when this poll has ended.
            if self.link.engine.take_answered() {
                break Turn::Spent;
            }
        };
        // It was left before it had said that it has no more.
        self.link.bell.keep_rung();
        turn
    }

    /// Writes what has changed in this poll, and answers those for whom it is durable now.
    fn poll_disk(&mut self, cx: &mut Context<'_>, now: Now) {
        if let Some(disk) = &mut self.disk
            && disk.takes_table(now)
        {
            let peers = self.link.dht.known();
            self.link.tell(now, Some(Fact::Known { peers }));
        }
        if let Some(disk) = &mut self.disk
            && disk.poll(cx, now, &mut self.link.engine) == Moved::Yes
            && self.link.carry_out(now)
        {
            // The network has its turn in the next poll.
            cx.waker().wake_by_ref();
        }
        if self.link.resume_judging(now) {
            self.link.carry_out(now);
            cx.waker().wake_by_ref();
        }
        self.poll_fetches(cx, now);
    }

    /// Goes on with what has waited for records from the storage.
    fn poll_fetches(&mut self, cx: &mut Context<'_>, now: Now) {
        let Some(disk) = &mut self.disk else { return };
        while let Poll::Ready(waiting) =
            disk.poll_fetch(cx, now, &mut self.link.engine, &mut self.link.fetches)
        {
            self.link.resume(now, waiting);
            self.link.carry_out(now);
            // They have been served: the memory that they took may be needed by the next.
            self.link.engine.cool();
            cx.waker().wake_by_ref();
        }
    }

    /// When the node is to be polled next, if nothing else wakes it before.
    fn alarm(&self) -> Duration {
        let heartbeat = self.heartbeat;
        let closing = match self.phase {
            Phase::Closing { until } => until,
            Phase::Running | Phase::Terminated => heartbeat,
        };
        let engine = &self.link.engine;
        let due = [engine.next_deadline(), engine.next_save(), self.link.dht.next_deadline()];
        due.into_iter().flatten().fold(heartbeat.min(closing), Duration::min)
    }

    /// Sets the timer. One that is set already and will fire early enough is left as it is: moving it with
    /// every poll would mean a system call and a wake-up of the timer's thread for each command.
    fn arm(&mut self, cx: &mut Context<'_>, now: Now) -> Poll<()> {
        let latest = self.alarm();
        let mut alarm = latest;
        if let Some((armed, task)) = &self.armed
            && now.mono < *armed
            && *armed <= latest
        {
            if task.will_wake(cx.waker()) {
                return Poll::Pending;
            }
            alarm = *armed;
        }
        let fired = self.timer.poll_at(alarm, cx);
        self.armed = fired.is_pending().then(|| (alarm, cx.waker().clone()));
        fired
    }

    /// Closes, and says so once everybody has been answered who asked before.
    fn shut_down(&mut self, cx: &mut Context<'_>, now: Now, reply: Reply<()>) {
        self.close(now);
        // No more than the queue holds: it is closed.
        while let Poll::Ready(Some(request)) = self.commands.poll_next_unpin(cx) {
            self.take(cx, now, request);
        }
        acknowledge(reply);
    }

    /// Answers everybody, takes no more commands, and takes leave of all peers: each connection is closed when the peer
    /// has heard of it, or a second later.
    fn close(&mut self, now: Now) {
        if self.phase != Phase::Running {
            return;
        }
        self.link.engine.shut_down();
        // What already stands in the queue is refused as it comes out of it.
        self.commands.close();
        self.link.wiring.stop_listening(&mut self.link.swarm);
        self.link.bell.keep_rung();
        self.phase = Phase::Closing { until: now.mono.saturating_add(GOODBYE_TIME + CLOSING_TIME) };
    }

    /// Whether a closing node has nothing left to do.
    fn has_closed(&self, now: Now, turns: [Turn; 4]) -> bool {
        match self.phase {
            Phase::Running | Phase::Terminated => false,
            Phase::Closing { until } => {
                let quiet = turns == [Turn::Pending; 4];
                let connections =
                    self.link.swarm.network_info().connection_counters().num_established();
                let is_saved = !self.link.engine.is_saving();
                let is_over = (quiet && connections == 0 && is_saved) || now.mono >= until;
                self.commands.is_terminated() && is_over
            }
        }
    }
}

/// Says that the node stops. That is no call that is counted.
fn acknowledge(reply: Reply<()>) {
    let _ = reply.send(Ok(()));
}

impl Stream for Node {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let node = self.get_mut();
        let mut budgets = node.budgets;
        node.step(cx, &mut budgets)
    }
}

impl FusedStream for Node {
    fn is_terminated(&self) -> bool {
        self.phase == Phase::Terminated && !self.link.engine.has_event()
    }
}

impl Future for Node {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let node = self.get_mut();
        // One budget for the whole poll, however many events are dropped in it.
        let mut budgets = node.budgets;
        loop {
            match node.step(cx, &mut budgets) {
                Poll::Ready(Some(event)) => {
                    tracing::debug!(?event, "nobody reads this node's events")
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
