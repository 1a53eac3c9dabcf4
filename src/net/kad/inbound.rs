//! The requests of the peer at the other end of a connection.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures::task::AtomicWaker;
use libp2p::Stream;

use super::{
    alarm::Times,
    codec::{Asked, decode_request, encode_response},
    framed::Framed,
};
use crate::{
    bell::Bell,
    engine::dht::message::{Request, Response},
};

/// Streams of the peer, and so requests of it that wait for an answer. rust-libp2p serves as many.
pub(super) const MAX_STREAMS: usize = 32;

/// Messages that are read from a stream at once and dropped. Then others have their turn.
const MAX_DROPPED: usize = 16;

/// Names a request of the peer within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Serial(u64);

/// The streams that the peer has opened. Each is served again and again, a request at a time.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    lanes: Vec<Lane>,
    next: u64,
    /// Messages that want no answer, and that nobody has been told of.
    dropped: u32,
    /// Whom the streams wake.
    task: Arc<AtomicWaker>,
}

#[derive(Debug)]
struct Lane {
    framed: Framed<Stream>,
    /// Rung when there is something to do: the peer asks on one stream, and the others are left alone.
    bell: Bell,
    state: State,
    /// Since when it is in this state.
    since: Instant,
}

#[derive(Debug)]
enum State {
    /// Nothing of a request has come.
    Idle,
    /// A part of one has.
    Partial,
    /// It is to be answered.
    Asked(Serial, Asked),
    /// The answer leaves.
    Answering,
}

/// What has become of a stream.
enum Step {
    /// It waits.
    Pending,
    /// It has more to read, after others had their turn.
    Yields,
    Asked(Request),
    /// The peer has ended it.
    Ended,
    /// It broke, or the peer sent what is no request.
    Broken,
}

impl Inbound {
    pub(super) fn has_no_streams(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether the peer waits for an answer, or has begun to ask.
    pub(super) fn is_busy(&self) -> bool {
        self.lanes.iter().any(|lane| !matches!(lane.state, State::Idle))
    }

    /// The peer has opened a stream. If it has too many, it loses the one that has been idle for longest.
    pub(super) fn opened(&mut self, mut stream: Stream) {
        stream.ignore_for_keep_alive();
        if self.lanes.len() >= MAX_STREAMS {
            let idle = self.lanes.iter().enumerate();
            let idle = idle.filter(|(_, lane)| matches!(lane.state, State::Idle));
            let Some((longest, _)) = idle.min_by_key(|(_, lane)| lane.since) else { return };
            self.lanes.swap_remove(longest);
        }
        let (framed, bell) = (Framed::new(stream), Bell::new(Arc::clone(&self.task)));
        self.lanes.push(Lane { framed, bell, state: State::Idle, since: Instant::now() });
    }

    /// Answers a request, if its stream is still there.
    pub(super) fn answer(&mut self, serial: Serial, response: &Response) {
        let is_meant = |state: &State| matches!(state, State::Asked(of, _) if *of == serial);
        let Some(lane) = self.lanes.iter_mut().find(|lane| is_meant(&lane.state)) else { return };
        if let State::Asked(_, asked) = lane.state {
            lane.framed.start_send(encode_response(response, asked));
            lane.enter(State::Answering);
            lane.bell.keep_rung();
        }
    }

    /// Lets answers leave and requests come in, as far as they can.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        requests: &mut VecDeque<(Serial, Request)>,
    ) {
        self.task.register(cx.waker());
        let mut index = 0;
        while let Some(lane) = self.lanes.get_mut(index) {
            if !lane.bell.answer() {
                index += 1;
                continue;
            }
            let waker = lane.bell.context().waker().clone();
            match lane.step(&mut Context::from_waker(&waker), scratch, &mut self.dropped) {
                Step::Pending => {}
                Step::Yields => waker.wake(),
                Step::Asked(request) => {
                    let serial = Serial(self.next);
                    self.next = self.next.wrapping_add(1);
                    lane.enter(State::Asked(serial, Asked::of(&request)));
                    requests.push_back((serial, request));
                }
                Step::Ended => {
                    self.lanes.swap_remove(index).framed.close(cx);
                    continue;
                }
                Step::Broken => {
                    self.lanes.swap_remove(index);
                    continue;
                }
            }
            index += 1;
        }
    }

    /// How many messages have come that want no answer, since this was asked.
    pub(super) fn take_dropped(&mut self) -> u32 {
        std::mem::take(&mut self.dropped)
    }

    /// Breaks off the streams that have been as they are for too long.
    pub(super) fn sweep(&mut self, now: Instant, times: &Times) {
        self.lanes.retain(|lane| lane.due(times) > now);
    }

    /// When the first stream is to be broken off.
    pub(super) fn due(&self, times: &Times) -> Option<Instant> {
        self.lanes.iter().map(|lane| lane.due(times)).min()
    }
}

impl Lane {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.since = Instant::now();
    }

    fn due(&self, times: &Times) -> Instant {
        let time = match self.state {
            State::Idle => times.idle_inbound,
            State::Partial | State::Asked(..) | State::Answering => times.request,
        };
        self.since + time
    }

    fn step(&mut self, cx: &mut Context<'_>, scratch: &mut [u8], dropped: &mut u32) -> Step {
        if let State::Answering = self.state {
            match self.framed.poll_send(cx) {
                Poll::Pending => return Step::Pending,
                Poll::Ready(Err(_)) => return Step::Broken,
                Poll::Ready(Ok(())) => self.enter(State::Idle),
            }
        }
        if let State::Asked(..) = self.state {
            return Step::Pending;
        }
        for _ in 0..MAX_DROPPED {
            match self.framed.poll_message(cx, scratch, decode_request) {
                Poll::Ready(Ok(Some(Ok(Some(request))))) => return Step::Asked(request),
                // It wants no answer.
                Poll::Ready(Ok(Some(Ok(None)))) => {
                    *dropped = dropped.saturating_add(1);
                    self.enter(State::Idle);
                }
                Poll::Ready(Ok(None)) => return Step::Ended,
                Poll::Ready(Ok(Some(Err(_))) | Err(_)) => return Step::Broken,
                Poll::Pending => {
                    if self.framed.has_partial() && !matches!(self.state, State::Partial) {
                        self.enter(State::Partial);
                    }
                    return Step::Pending;
                }
            }
        }
        Step::Yields
    }
}
