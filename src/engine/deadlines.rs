//! What falls due, and what is tried again later.

use std::time::Duration;

use libp2p::PeerId;

use super::{
    Engine,
    wheel::{self, Expiry},
};
use crate::{
    clock::Entropy,
    engine::interface::{AnnouncementId, Now},
    package::PackageName,
    ticket::Ticket,
};

/// How often what has expired is swept out of cache and store, and how much at once. Nothing expired is ever
/// served: this frees memory. It is also how late the calendar's due dates are noticed at the most.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
const SWEEP_BUDGET: usize = 1024;

/// What a deadline in the wheel is for.
#[derive(Debug, Clone)]
pub(super) enum Deadline {
    /// A caller must be answered now.
    Call(Ticket),
    /// An own package is to be put again.
    Renew(Box<PackageName>),
    /// What was heard of an own package is to be merged.
    Merge(Box<PackageName>),
    /// A caller who dials must be answered now.
    Dial(Ticket),
    /// Own packages that nobody holds are to be put again.
    Replicate,
    /// This peer's introduction, if it has not come by now, is waited for no longer.
    /// Boxed, like the name above: nearly all deadlines are calls', and those are to be small.
    Introduction(Box<PeerId>),
    /// This peer is of another network, and is to be gone by now.
    LetGo(Box<PeerId>),
    /// This peer has been told why it is let go, and is to be gone by now.
    Goodbye(Box<PeerId>),
    /// Those who have left are to be dialed again.
    Rejoin,
    /// There are more connections than are wanted.
    Trim,
    /// Connections with this peer are refused no longer.
    Pardon(Box<PeerId>),
    /// More of an earlier life's catalogue is to be verified.
    Restore,
    /// The catalogue is to be compared with somebody's.
    Reconcile,
    /// This peer is to be asked again what it has.
    Greet(Box<PeerId>),
    /// The session that compares it has waited long enough.
    Session,
    /// Those who have not acknowledged a change have had the time to say why.
    Explained(Ticket),
    /// What peers say of the time is to be told, if it is news.
    ClocksSettled,
    /// A change is announced now, whatever is under way.
    Announce(AnnouncementId),
    /// A caller's search among peers must end now.
    Search(Ticket),
    Sweep,
}

/// Something that is tried again, and when.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) backoff: Backoff,
    /// The timer that is set, and when it falls due.
    pub(super) timer: Option<(wheel::Key, Duration)>,
}

/// Pauses between tries, each twice as long as the one before, up to the longest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The pause before the next try.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }

    /// It has succeeded, or the world has changed: starts over.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Engine {
    /// Handles deadlines that are due, at most `budget` of them, and brings no more than as many others into
    /// order. Tells how many it handled; all of the budget if there may be more.
    pub(crate) fn expire(&mut self, now: Now, budget: usize) -> usize {
        self.set_time(now);
        let mut done = 0;
        // One number for all calls: a crowd that is spread over a slot would else cost each of its members
        // the moves of a whole poll.
        let mut moves = budget;
        while done < budget {
            match self.out.wheel.poll_within(now.mono, &mut moves) {
                Expiry::Expired(deadline) => self.fall_due(deadline),
                Expiry::More => {
                    done = budget;
                    break;
                }
                Expiry::Idle => break,
            }
            done += 1;
        }
        if done > 0 {
            self.admit();
        }
        done
    }

    /// Whose business a deadline is.
    fn fall_due(&mut self, deadline: Deadline) {
        let (cx, out) = (&self.cx, &mut self.out);
        match deadline {
            Deadline::Call(ticket) => self.time_out(ticket),
            Deadline::Renew(name) => self.renew(*name),
            Deadline::Merge(name) => self.merge(*name),
            Deadline::Replicate => self.replicate(),
            Deadline::Introduction(peer) => self.peers.introduction_late(cx, out, &peer),
            Deadline::LetGo(peer) => self.peers.end_visit(out, *peer),
            Deadline::Goodbye(peer) => self.peers.goodbye_due(cx, out, *peer),
            Deadline::Pardon(peer) => self.peers.pardon(out, &peer),
            Deadline::Restore => self.restore_listed(),
            Deadline::Reconcile => self.discovery.reconcile_in_turn(cx, out),
            Deadline::Greet(peer) => self.discovery.greet_again(cx, out, *peer),
            Deadline::Session => self.discovery.session_timed_out(cx, out),
            Deadline::Explained(ticket) => self.end_explaining(ticket),
            Deadline::Announce(id) => {
                self.publishing.release(out, Some(id));
            }
            Deadline::ClocksSettled => {
                out.events.extend(self.cx.peer_clocks.settled(self.cx.now));
            }
            Deadline::Search(ticket) => self.discovery.end_search(out, ticket),
            Deadline::Dial(ticket) => self.peers.dial_timed_out(cx, out, ticket),
            Deadline::Rejoin => self.rejoin(),
            Deadline::Trim => self.peers.trim(cx, out),
            Deadline::Sweep => self.sweep(),
        }
    }

    /// Looks after what has no deadline of its own.
    fn sweep(&mut self) {
        let now = self.cx.now();
        self.sweep_clocks();
        self.reading.sweep(now, SWEEP_BUDGET);
        self.cx.store.sweep(SWEEP_BUDGET);
        self.publishing.sweep(&self.cx);
        self.note_uses();
        self.discovery.sweep(self.cx.clocks.certain(now), SWEEP_BUDGET);
        self.reading.replicate_others(&self.cx, self.peers.reach());
        self.retell_reputations();
        self.read_clocks_again();
        self.out.wheel.insert(now.mono.saturating_add(SWEEP_INTERVAL), Deadline::Sweep);
    }

    /// When [`expire`](Self::expire) has something to do next, on the monotonic scale.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.out.wheel.next_deadline()
    }
}

/// Up to a tenth more or less, so that nodes that started together do not go on in step.
pub(super) fn jitter(duration: Duration, entropy: &mut dyn Entropy) -> Duration {
    spread(duration, [0.9, 1.1], entropy)
}

/// A duration between these two shares of one, each as likely as another.
pub(super) fn spread(
    duration: Duration,
    [least, most]: [f64; 2],
    entropy: &mut dyn Entropy,
) -> Duration {
    let mut byte = [0];
    entropy.fill(&mut byte);
    let [byte] = byte;
    duration.mul_f64(least + (most - least) * f64::from(byte) / 255.0)
}
