//! The requests of this node over one connection.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;
use libp2p::{Stream, core::upgrade::NegotiationError, swarm::StreamUpgradeError};

use super::{
    codec::{decode_response, encode_request},
    framed::Framed,
};
use crate::{
    bell::Bell,
    engine::dht::message::{Failure, Request, RequestId, Response},
};

/// Streams to a peer. Each carries one request at a time, so that with fewer a far peer would seem slow where only its stream
/// was taken. Those of a burst are closed when they have been idle for long.
pub(super) const MAX_STREAMS: usize = 16;

/// Requests that wait for a stream. The DHT asks a peer for a few things at a time.
pub(super) const MAX_WAITING: usize = 1024;

/// What has become of a request.
pub(super) type Outcome = (RequestId, Result<Response, Failure>);

/// Requests, each with a stream or waiting for one.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    lanes: Vec<Lane>,
    waiting: VecDeque<Job>,
    /// Streams that were asked for and have not come. With these there are at most [`MAX_STREAMS`].
    opening: usize,
    habit: Habit,
    /// Whom the streams wake.
    task: Arc<AtomicWaker>,
}

/// What the peer does with a stream once it has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Habit {
    #[default]
    Unknown,
    /// It has answered twice on one stream.
    Serves,
    /// It has closed a stream after its first answer, once. It may have had another reason.
    Suspected,
    /// It does so.
    Closes,
}

#[derive(Debug)]
struct Job {
    id: RequestId,
    request: Request,
    attempt: Attempt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// On any stream.
    First,
    /// On one that has carried nothing: the first stream was closed before it brought anything of the answer, perhaps
    /// before the request had arrived.
    Second,
}

#[derive(Debug)]
struct Lane {
    framed: Framed<Stream>,
    /// Rung when there is something to do. A connection is polled for every message that goes over it, and mostly that is one
    /// on another stream.
    bell: Bell,
    /// How many answers have come on it.
    answers: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle { since: Instant },
    Busy(Job),
}

/// What has become of a stream.
enum Step {
    /// It waits, be it for something to do.
    Pending,
    Answered(RequestId, Response),
    /// It ended without a request.
    Ended,
    /// It failed a request. It is not to be used again.
    Failed(Failure),
    /// It was closed, although the peer may do what it was asked for on another.
    ClosedEarly(Failure),
}

impl Outbound {
    pub(super) fn has_no_streams(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether requests wait for their answers.
    pub(super) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || self.lanes.iter().any(|lane| lane.job().is_some())
    }

    /// Takes a request, unless there are too many.
    pub(super) fn ask(&mut self, id: RequestId, request: Request) -> Result<(), Failure> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(Failure::Gone);
        }
        self.waiting.push_back(Job { id, request, attempt: Attempt::First });
        Ok(())
    }

    /// Forgets a request. If it has left, its stream is broken off: the answer would come before that of the next one.
    pub(super) fn cancel(&mut self, id: RequestId) {
        self.waiting.retain(|job| job.id != id);
        self.lanes.retain(|lane| lane.job().is_none_or(|job| job.id != id));
    }

    /// Whether a stream is to be opened, which then counts as asked for.
    pub(super) fn opens_stream(&mut self) -> bool {
        let opens =
            self.waiting.len() > self.opening && self.lanes.len() + self.opening < MAX_STREAMS;
        self.opening += usize::from(opens);
        opens
    }

    /// A stream has come that was asked for. Whoever it was for may have gone elsewhere.
    pub(super) fn opened(&mut self, mut stream: Stream) {
        self.opening = self.opening.saturating_sub(1);
        // A stream that waits for the next request keeps no connection open.
        stream.ignore_for_keep_alive();
        if let Some(job) = self.next_for_new_stream() {
            self.lanes.push(Lane::new(Framed::new(stream), Bell::new(Arc::clone(&self.task)), job));
        }
    }

    /// A stream has not come that was asked for.
    pub(super) fn not_opened<E>(
        &mut self,
        error: &StreamUpgradeError<E>,
        outcomes: &mut VecDeque<Outcome>,
    ) {
        self.opening = self.opening.saturating_sub(1);
        match error {
            StreamUpgradeError::NegotiationFailed => self.fail_waiting(outcomes),
            StreamUpgradeError::Timeout
            | StreamUpgradeError::Io(_)
            | StreamUpgradeError::Apply(_) => {
                let job = self.next_for_new_stream();
                outcomes.extend(job.map(|job| (job.id, Err(Failure::Gone))));
            }
        }
    }

    /// The peer does not speak the protocol.
    fn fail_waiting(&mut self, outcomes: &mut VecDeque<Outcome>) {
        let jobs = self.waiting.drain(..);
        outcomes.extend(jobs.map(|job| (job.id, Err(Failure::Unsupported))));
    }

    fn next_for_new_stream(&mut self) -> Option<Job> {
        let second = self.waiting.iter().position(|job| job.attempt == Attempt::Second);
        self.waiting.remove(second.unwrap_or(0))
    }

    /// Lets requests leave and answers come in, as far as they can.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        outcomes: &mut VecDeque<Outcome>,
    ) {
        self.task.register(cx.waker());
        loop {
            self.poll_lanes(cx, scratch, outcomes);
            if !self.assign() {
                return;
            }
        }
    }

    /// Hands waiting requests to idle streams, in order. Answers whether it did, so that these are to be polled.
    fn assign(&mut self) -> bool {
        let mut assigned = false;
        for lane in self.lanes.iter_mut().filter(|lane| lane.job().is_none()) {
            let mut waiting = self.waiting.iter();
            let Some(next) = waiting.position(|job| job.attempt == Attempt::First) else { break };
            let Some(job) = self.waiting.remove(next) else { break };
            lane.begin(job);
            assigned = true;
        }
        assigned
    }

    fn poll_lanes(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        outcomes: &mut VecDeque<Outcome>,
    ) {
        let mut index = 0;
        while let Some(lane) = self.lanes.get_mut(index) {
            if !lane.bell.answer() {
                index += 1;
                continue;
            }
            match lane.step(scratch) {
                Step::Pending => index += 1,
                Step::Answered(id, response) => {
                    // It may have ended with that.
                    lane.bell.keep_rung();
                    outcomes.push_back((id, Ok(response)));
                    self.answered(index, cx);
                }
                end => {
                    let lane = self.lanes.swap_remove(index);
                    self.ended(lane, end, outcomes);
                }
            }
        }
    }

    /// A stream has brought an answer.
    fn answered(&mut self, index: usize, cx: &mut Context<'_>) {
        let Some(lane) = self.lanes.get(index) else { return };
        if lane.answers > 1 {
            self.habit = Habit::Serves;
        }
        // More than an answer is no answer to anything: what comes next on this stream would not be either.
        if self.habit == Habit::Closes || lane.framed.has_partial() {
            self.lanes.swap_remove(index).framed.close(cx);
        }
    }

    fn ended(&mut self, lane: Lane, end: Step, outcomes: &mut VecDeque<Outcome>) {
        if lane.answers == 1 && matches!(end, Step::Ended | Step::ClosedEarly(_)) {
            self.habit = match self.habit {
                Habit::Unknown => Habit::Suspected,
                Habit::Suspected => Habit::Closes,
                known @ (Habit::Serves | Habit::Closes) => known,
            };
        }
        let State::Busy(job) = lane.state else { return };
        match end {
            Step::Failed(why) | Step::ClosedEarly(why) if why == Failure::Unsupported => {
                outcomes.push_back((job.id, Err(why)));
                self.fail_waiting(outcomes);
            }
            Step::ClosedEarly(_) if lane.answers > 0 && job.attempt == Attempt::First => {
                self.waiting.push_front(Job { attempt: Attempt::Second, ..job });
            }
            Step::Failed(why) | Step::ClosedEarly(why) => outcomes.push_back((job.id, Err(why))),
            Step::Pending | Step::Answered(..) | Step::Ended => {}
        }
    }

    /// Closes the streams that have been idle for long.
    pub(super) fn sweep(&mut self, cx: &mut Context<'_>, now: Instant, idle: Duration) {
        let is_due = |lane: &mut Lane| lane.due(idle).is_some_and(|due| due <= now);
        for lane in self.lanes.extract_if(.., is_due) {
            lane.framed.close(cx);
        }
    }

    /// When the first stream is to be closed.
    pub(super) fn due(&self, idle: Duration) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.due(idle)).min()
    }
}

impl Lane {
    fn new(framed: Framed<Stream>, bell: Bell, job: Job) -> Self {
        let state = State::Idle { since: Instant::now() };
        let mut lane = Self { framed, bell, answers: 0, state };
        lane.begin(job);
        lane
    }

    fn begin(&mut self, job: Job) {
        self.framed.start_send(encode_request(&job.request));
        self.state = State::Busy(job);
        self.bell.keep_rung();
    }

    fn job(&self) -> Option<&Job> {
        match &self.state {
            State::Busy(job) => Some(job),
            State::Idle { .. } => None,
        }
    }

    fn due(&self, idle: Duration) -> Option<Instant> {
        match self.state {
            State::Idle { since } => Some(since + idle),
            State::Busy(_) => None,
        }
    }

    fn step(&mut self, scratch: &mut [u8]) -> Step {
        let cx = &mut self.bell.context();
        let State::Busy(job) = &self.state else {
            // Nothing is to come but the end.
            return match self.framed.poll_message(cx, scratch, |_| ()) {
                Poll::Pending if !self.framed.has_partial() => Step::Pending,
                _ => Step::Ended,
            };
        };
        match self.framed.poll_send(cx) {
            Poll::Pending => return Step::Pending,
            Poll::Ready(Err(error)) => return Step::ClosedEarly(failure(&error)),
            Poll::Ready(Ok(())) => {}
        }
        let read = |message: &[u8]| decode_response(message, &job.request);
        match self.framed.poll_message(cx, scratch, read) {
            Poll::Pending => Step::Pending,
            Poll::Ready(Ok(Some(Ok(response)))) => {
                let id = job.id;
                self.answers = self.answers.saturating_add(1);
                self.state = State::Idle { since: Instant::now() };
                Step::Answered(id, response)
            }
            Poll::Ready(Ok(Some(Err(_)))) => Step::Failed(Failure::Broken),
            Poll::Ready(Ok(None)) => Step::ClosedEarly(Failure::Broken),
            Poll::Ready(Err(error)) if self.framed.has_partial() => Step::Failed(failure(&error)),
            Poll::Ready(Err(error)) => match error.kind() {
                io::ErrorKind::InvalidData => Step::Failed(failure(&error)),
                _ => Step::ClosedEarly(failure(&error)),
            },
        }
    }
}

/// What an error on a stream means for its request. The request leaves before the peer has agreed to the protocol, so that
/// it is only now that one learns that it has not.
fn failure(error: &io::Error) -> Failure {
    let negotiation = error.get_ref().and_then(|error| error.downcast_ref::<NegotiationError>());
    match negotiation {
        Some(NegotiationError::Failed) => Failure::Unsupported,
        Some(NegotiationError::ProtocolError(_)) | None => Failure::Broken,
    }
}
