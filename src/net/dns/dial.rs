//! One dial by name: looks up, and dials what is found meanwhile.

use std::{
    fmt,
    future::poll_fn,
    io,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_io::Timer;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{self, BoxFuture},
    stream::FuturesUnordered,
};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, Transport as _, TransportError},
    },
};

use super::{
    race::Race,
    resolver::Resolver,
    search::{Answer, MAX_LOOKUPS_AT_ONCE, Question, Search, Shape},
};
use crate::{
    net::{Resolved, innermost, transport::BoxedTransport},
    place::named_peer,
};

/// How long looking up may take in all, for one dial.
const RESOLUTION_TIME: Duration = Duration::from_secs(20);

/// A connection with a peer that has proved who it is.
pub(super) type Connection = (PeerId, StreamMuxerBox);

/// What a dial needs of its transport.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    pub(super) local: PeerId,
    pub(super) inner: Arc<Mutex<BoxedTransport>>,
    pub(super) resolver: Resolver,
    pub(super) resolved: Resolved,
    /// What the inner transport can dial.
    pub(super) shape: Shape,
}

/// One dial under way.
pub(super) struct Dial {
    tools: Tools,
    opts: DialOpts,
    dialed: Multiaddr,
    search: Search,
    lookups: FuturesUnordered<BoxFuture<'static, (Question, Result<Answer, String>)>>,
    /// When they have taken too long.
    patience: Timer,
    race: Race,
    attempts: FuturesUnordered<BoxFuture<'static, (Multiaddr, io::Result<Connection>)>>,
    /// When the next address is dialed, if there is one.
    turn: Option<(Instant, Timer)>,
    failures: Vec<String>,
    itself: Itself,
}

/// What has led to this node itself. A list of peers is often that of all, for each of them.
#[derive(Debug, Default)]
enum Itself {
    #[default]
    NotMet,
    /// An address that names this node.
    Named(Multiaddr),
    /// An address behind which this node was met.
    Met(Box<(Multiaddr, Connection)>),
}

/// What happens next.
enum Step {
    Answered(Question, Result<Answer, String>),
    /// Nothing is waited for any longer that was not answered.
    OutOfPatience,
    Dialed(Multiaddr, io::Result<Connection>),
    /// An address has its turn.
    Turn,
    /// There is nothing left that could connect.
    Over,
}

/// Why a dial by name has failed.
#[derive(Debug)]
struct Failed {
    reasons: Vec<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("; "))
    }
}

impl std::error::Error for Failed {}

impl Dial {
    pub(super) fn new(tools: Tools, dialed: Multiaddr, opts: DialOpts) -> Self {
        let search = Search::new(&dialed, tools.local, tools.shape);
        Self {
            tools,
            opts,
            search,
            dialed,
            lookups: FuturesUnordered::new(),
            patience: Timer::after(RESOLUTION_TIME),
            race: Race::default(),
            attempts: FuturesUnordered::new(),
            turn: None,
            failures: Vec::new(),
            itself: Itself::default(),
        }
    }

    /// The first connection that stands. Others that are under way are given up.
    pub(super) async fn run(mut self) -> io::Result<Connection> {
        loop {
            self.look_up();
            match poll_fn(|cx| self.poll_step(cx)).await {
                Step::Answered(question, answer) => self.answered(&question, answer),
                Step::OutOfPatience => self.give_up_looking(),
                Step::Turn => self.dial_next(),
                Step::Dialed(address, Ok(connection)) => {
                    if let Some(connection) = self.connected(address, connection) {
                        return Ok(connection);
                    }
                }
                Step::Dialed(address, Err(error)) => self.failed(&address, &innermost(&error)),
                Step::Over => match std::mem::take(&mut self.itself) {
                    Itself::Named(address) if self.has_no_other() => self.dial(address),
                    Itself::Met(met) if self.has_no_other() => return Ok(self.found(met.0, met.1)),
                    Itself::NotMet | Itself::Named(_) | Itself::Met(_) => {
                        return Err(io::Error::other(self.into_failure()));
                    }
                },
            }
        }
    }

    /// Looks up as much as may be at a time.
    fn look_up(&mut self) {
        while self.lookups.len() < MAX_LOOKUPS_AT_ONCE
            && let Some(question) = self.search.next()
        {
            let resolver = self.tools.resolver.clone();
            self.lookups.push(Box::pin(async move {
                let answer = resolver.ask(&question).await;
                (question, answer)
            }));
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        // What connects ends all else, so it comes first.
        if let Poll::Ready(Some((address, end))) = self.attempts.poll_next_unpin(cx) {
            return Poll::Ready(Step::Dialed(address, end));
        }
        if let Poll::Ready(Some((question, answer))) = self.lookups.poll_next_unpin(cx) {
            return Poll::Ready(Step::Answered(question, answer));
        }
        if !self.lookups.is_empty() && self.patience.poll_unpin(cx).is_ready() {
            return Poll::Ready(Step::OutOfPatience);
        }
        if let Some(due) = self.race.due() {
            if due <= Instant::now() {
                return Poll::Ready(Step::Turn);
            }
            let turn = self.turn.take().filter(|(set, _)| *set == due);
            let (_, timer) = self.turn.insert(turn.unwrap_or_else(|| (due, Timer::at(due))));
            if timer.poll_unpin(cx).is_ready() {
                self.turn = None;
                return Poll::Ready(Step::Turn);
            }
        } else if self.lookups.is_empty() && self.attempts.is_empty() {
            return Poll::Ready(Step::Over);
        }
        Poll::Pending
    }

    fn answered(&mut self, question: &Question, answer: Result<Answer, String>) {
        let found = match answer {
            Ok(answer) => self.search.answered(question, answer),
            Err(reason) => {
                tracing::debug!(dialed = %self.dialed, reason, "lookup failed");
                self.search.fails(reason);
                Vec::new()
            }
        };
        let (now, is_last) = (Instant::now(), self.lookups.is_empty() && self.search.is_idle());
        for address in found {
            if named_peer(&address) == Some(self.tools.local) {
                if let Itself::NotMet = self.itself {
                    self.itself = Itself::Named(address);
                }
            } else {
                self.race.add(now, address, is_last);
            }
        }
        if is_last {
            self.race.is_complete(now);
        }
    }

    fn give_up_looking(&mut self) {
        self.search.stop();
        self.lookups.clear();
        let (name, time) = (&self.dialed, RESOLUTION_TIME.as_secs());
        self.search.fails(format!("{name}: not resolved within {time} s"));
        self.race.is_complete(Instant::now());
    }

    fn dial_next(&mut self) {
        if let Some(address) = self.race.next(Instant::now()) {
            self.dial(address);
        }
    }

    fn dial(&mut self, address: Multiaddr) {
        tracing::debug!(dialed = %self.dialed, %address, "resolved");
        let dial = {
            let mut inner = self.tools.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.dial(address.clone(), self.opts)
        };
        match dial {
            Ok(dial) => self.attempts.push(Box::pin(dial.map(move |end| (address, end)))),
            // Lists name addresses of many transports.
            Err(TransportError::MultiaddrNotSupported(_)) => {
                self.race.not_dialed(Instant::now());
                self.search.fails(format!("{address} is not one of TCP"));
            }
            Err(TransportError::Other(error)) => {
                self.attempts.push(Box::pin(future::ready((address, Err(error)))));
            }
        }
    }

    /// An address has answered. `None` if somebody else is there than was to be.
    fn connected(&mut self, address: Multiaddr, connection: Connection) -> Option<Connection> {
        let peer = connection.0;
        if named_peer(&address).is_some_and(|named| named != peer) {
            self.failed(&address, &format!("another peer answered: {peer}"));
            return None;
        }
        if peer == self.tools.local {
            self.itself = Itself::Met(Box::new((address, connection)));
            self.race.failed(Instant::now());
            return None;
        }
        Some(self.found(address, connection))
    }

    fn found(&self, address: Multiaddr, connection: Connection) -> Connection {
        self.tools.resolved.found(self.dialed.clone(), connection.0, address);
        connection
    }

    fn failed(&mut self, address: &Multiaddr, reason: &str) {
        self.failures.push(format!("{address}: {reason}"));
        self.race.failed(Instant::now());
    }

    /// Whether nothing but this node itself was found, and all has been looked up.
    fn has_no_other(&self) -> bool {
        self.failures.is_empty() && !self.search.has_failed()
    }

    fn into_failure(self) -> Failed {
        let mut reasons = self.failures;
        reasons.extend(self.search.into_reasons());
        if reasons.is_empty() {
            reasons.push(format!("{} leads to no address", self.dialed));
        }
        Failed { reasons }
    }
}
