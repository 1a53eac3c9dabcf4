//! What the registry knows and what it awaits: no sockets, no clock, no polling.
//!
//! Everything enters by a method that takes the time: [`command`](Engine::command),
//! [`cancel`](Engine::cancel), [`learn`](Engine::learn), [`hear`](Engine::hear),
//! [`expire`](Engine::expire). Everything leaves as a value: an [`Action`] for the network, an
//! [`Event`] for whoever polls the node, a reply to a caller.
//!
//! The engine is a switchboard. What it knows lies in rooms, each a machine with private state, and none names another:
//!
//! | room | what it alone knows |
//! |--|--|
//! | `reading/` | callers who wait for records, the DHT queries that they wait for, what was read and what is absent, pins |
//! | `publishing/` | own packages, changes under way, renewals, announcements on their way |
//! | `discovery/` | the catalogue and its index, the comparison with others', searches |
//! | `standing/` | the conduct of peers, contradictions of owners, how much gossip is believed |
//! | `peers/` | who is connected, why they are kept or let go, who is dialed again, who is blocked |
//! | `store/` | records held for the network, and the highest sequences seen; shared with the network side |
//! | `dht/` | Kademlia: the routing table, lookups, puts, what peers may be asked. It runs beside the engine, which tells it by actions what is wanted and hears by facts what came of it |
//!
//! What goes in and out, and in which order the rooms are asked:
//!
//! | file | |
//! |--|--|
//! | `command.rs` | what callers ask, each with the place for its answer |
//! | `interface.rs` | actions and facts, the words between engine and network |
//! | `commands.rs`, `facts.rs`, `deadlines.rs`, `questions.rs` | whose business a command, a fact, a deadline or an answer is |
//! | `flows/` | what takes more than one room: who is asked what, in which order, and what of it the others are told |
//! | `context.rs` | what every room may look at: who this node is, its configuration, the time, the store |
//! | `effects.rs` | the one way out: actions, events, deadlines, questions, counters |
//! | `calls.rs`, `interest.rs`, `packages.rs`, `saying.rs` | values and words that several rooms have in common |
//! | `identity.rs`, `signer.rs` | by what right this node publishes, and how it signs |
//! | `clocks.rs`, `peer_clocks.rs` | a calendar that does not keep step with the monotonic clock; what peers say of the time |
//! | `counters.rs` | what the node says of itself |
//! | `saving.rs`, `dirty.rs` | callers who are answered once their change is durable; which rows the storage does not have yet |
//! | `wheel/`, `pages.rs`, `recent.rs` | every deadline in its order; things kept by the thousand; what was seen a moment ago |
//!
//! `ARCHITECTURE.md` follows a `get`, a `register` and an announcement through the rooms.

use own::elsewhere::MAX_HEARD;

use crate::{clock::Entropy, config::Config, event::Event, record::ANNOUNCEMENTS, shelf::Shelf};

use context::Context;
use deadlines::{Deadline, SWEEP_INTERVAL};
use discovery::{Discovery, reconciling};
use effects::Effects;
use peers::{Peering, goodbyes};
use publishing::{Publishing, own, topics};
use reading::{Reading, queries};
use standing::{Standing, equivocations, gossip_budget};
use wheel::Wheel;

mod calls;
mod clocks;
pub(crate) mod command;
mod commands;
pub(crate) mod compared;
mod context;
mod counters;
mod deadlines;
pub(crate) mod dht;
mod dirty;
mod discovery;
mod effects;
mod facts;
pub(crate) mod filled;
mod flows;
mod identity;
mod interest;
mod interface;
mod packages;
mod pages;
mod peer_clocks;
mod peers;
mod publishing;
mod questions;
mod reading;
mod recent;
mod saving;
mod saying;
#[cfg(test)]
mod seeded;
mod signer;
mod standing;
mod store;
// What is for tests may unwrap, and clippy takes it for that only where nothing else is said.
#[cfg(test)]
mod tests;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod tests;
pub(crate) mod wheel;

pub(crate) use discovery::index;

pub(crate) use discovery::reconcile;
pub(crate) use flows::Rows;
pub(crate) use goodbyes::GOODBYE_TIME;
pub(crate) use gossip_budget::REMEMBERED_AUTHORS;
pub(crate) use identity::{Authority, Identity};
pub(crate) use interface::Lacking;
pub(crate) use interface::Published;
pub(crate) use interface::{
    Action, Affiliation, AskedId, Breadth, Fact, Now, QueryKey, QuestionId, Unanswered, Verdict,
};
pub(crate) use reading::REMEMBERED_REPAIRS;
pub(crate) use reconciling::REMEMBERED_IN_VAIN;
pub use store::Snapshot;
pub(crate) use store::{
    Hearing, MAX_OWNERS as REMEMBERED_EPOCHS, MAX_REFUSALS_KEPT as REMEMBERED_REFUSALS, SharedStore,
};
pub(crate) use topics::REMEMBERED_MESSAGES;

/// Records that are kept beside those in store, cache and catalogue, as they were read: two in each proof of an
/// equivocation and in what the store has to tell of one, those that are to be put to others, the announcements that
/// were verified last, and heads of own packages that are to be taken in.
pub(crate) const RECORDS_ASIDE: usize = 2 * equivocations::MAX_PROOFS
    + 2 * store::MAX_FACTS
    + queries::MAX_REPAIRS
    + reading::REPLICATION_BUDGET
    + ANNOUNCEMENTS
    + MAX_HEARD;

/// The registry's state machine. See the [module](self) for its parts.
pub(crate) struct Engine {
    cx: Context,
    out: Effects,
    reading: Reading,
    publishing: Publishing,
    discovery: Discovery,
    standing: Standing,
    peers: Peering,
}

impl Engine {
    pub(crate) fn new(
        identity: impl Into<Identity>,
        config: Config,
        store: SharedStore,
        entropy: Box<dyn Entropy>,
        shelf: Shelf,
    ) -> Self {
        let cx = Context::new(identity.into(), config, store);
        let (config, limits) = (&cx.config, &cx.config.limits);
        Self {
            out: Effects::new(Wheel::new(config.sweep_granularity), entropy),
            reading: Reading::new(cx.owner, config, shelf),
            publishing: Publishing::new(limits),
            discovery: Discovery::new(config),
            standing: Standing::new(limits),
            peers: Peering::new(cx.local, config),
            cx,
        }
    }

    /// Listens to announcements and dials the bootstrap addresses.
    pub(crate) fn start(&mut self, now: Now) {
        self.set_time(now);
        self.look_at_clocks();
        self.cx.started = now.mono;
        self.show_time();
        let topic = self.cx.config.announcements_topic.clone();
        self.out.actions.push_back(Action::Subscribe { topic });
        self.out.wheel.insert(now.mono.saturating_add(SWEEP_INTERVAL), Deadline::Sweep);
        self.out.reconcile_later(&self.cx);
        self.restore_listed();
        self.dial_bootstrap();
        self.peers.rejoin_later(&self.cx, &mut self.out);
    }

    /// Begins a poll: from here on, records are judged by this time.
    pub(crate) fn begin(&mut self, now: Now) {
        self.set_time(now);
        self.look_at_clocks();
        if self.cx.shown != now.unix {
            self.show_time();
        }
    }

    /// From here on, what has a date is judged by this time.
    fn show_time(&mut self) {
        let now = self.cx.now();
        self.cx.shown = now.unix;
        self.cx.store.set_doubted_time(now.unix, self.cx.clocks.certain(now));
        self.discovery.set_time(now);
    }

    /// Begins a turn of the network: from here on, peers earn their requests to the store by this time.
    pub(crate) fn begin_network(&self, now: Now) {
        self.cx.store.set_clock(now.mono);
    }

    /// The time that all rooms go by until something else enters.
    pub(in crate::engine) fn set_time(&mut self, now: Now) {
        self.cx.now = now;
        self.standing.set_time(now.mono);
    }

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.out.actions.pop_front()
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// Whether somebody has been answered since the last time, who may be waiting for this very task to rest.
    pub(crate) fn take_answered(&mut self) -> bool {
        std::mem::take(&mut self.out.answered)
    }

    pub(crate) fn has_event(&self) -> bool {
        !self.out.events.is_empty()
    }

    /// Hands queries to the DHT while there is room.
    fn admit(&mut self) {
        let (reach, is_led_on) = (self.peers.reach(), self.peers.is_led_on());
        self.reading.admit(&self.cx, &mut self.out, reach, is_led_on);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.reading.close();
    }
}

#[cfg(any(test, fuzzing))]
impl Engine {
    /// Whether nothing is retained on behalf of any caller.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.reading.is_at_rest()
            && self.publishing.changes_len() == 0
            && self.peers.is_at_rest()
            && self.discovery.searches_len() == 0
    }
}
