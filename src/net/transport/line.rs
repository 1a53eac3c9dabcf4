//! The byte stream below yamux, which knows where frames begin.
//!
//! yamux measures round trips by pings of its own, but only while it is polled for something else, and it does not mind
//! when no answer comes. So the line asks by itself whether a silent peer still lives, in a ping that yamux never hears
//! of, and ends the connection if it does not.
//!
//! On the other hand yamux takes every poll of an idle connection for a reason to measure, so that each question would be
//! followed by a second one in the other direction. The measure is for the windows of streams; while no stream carries
//! anything the line answers such a ping itself, which costs nothing.
//!
//! And yamux reads for as long as there is something to read. The line says that there is nothing more when a turn was
//! long enough, and has the task woken for the next one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use async_io::Timer;
use futures::{
    future::Future as _,
    io::{AsyncRead, AsyncWrite},
};

use super::{
    appetite::{Appetite, Ration},
    frame::{HEADER_BYTES, Header, Ping, Position},
    liveness::{Liveness, Patience, Step},
};

/// The number of the line's own pings. yamux counts its pings from nought, one in ten seconds at the most.
const OWN_PING: u32 = u32::MAX;

/// How often yamux may try to write to a peer that is gone before it has read what that has said last.
const WRITES_IN_VAIN: u8 = 64;

/// A byte stream with somebody at its other end.
#[derive(Debug)]
pub(super) struct Line<C> {
    io: C,
    inbound: Inbound,
    outbound: Position,
    /// A ping of the line's own, and how much of it was sent.
    question: Option<usize>,
    /// The answer to a ping that was not sent, for yamux to read.
    answer: Option<Header>,
    /// Whether a stream has carried anything since yamux last measured.
    carried: bool,
    appetite: Appetite,
    liveness: Liveness,
    /// Whether the last write found no room.
    is_blocked: bool,
    /// How often a write has failed because the peer is gone.
    broken: u8,
    timer: Timer,
}

/// What of the stream is to be read next.
#[derive(Debug)]
enum Inbound {
    /// Something that has not come yet.
    Awaited(Position),
    /// A header that has come, the first bytes of which were read.
    Header { header: Header, read: usize },
}

impl<C> Line<C> {
    pub(super) fn new(io: C, patience: Patience, ration: Ration) -> Self {
        let now = Instant::now();
        Self {
            io,
            inbound: Inbound::Awaited(Position::BOUNDARY),
            outbound: Position::BOUNDARY,
            question: None,
            answer: None,
            carried: true,
            appetite: Appetite::new(ration, now),
            liveness: Liveness::new(patience, now),
            is_blocked: false,
            broken: 0,
            // Fires at once, to be set to when it is really wanted.
            timer: Timer::at(now),
        }
    }

    /// A header has come that is not yet read.
    fn arrived(&mut self, header: Header) -> io::Result<()> {
        self.appetite.frame(header, self.liveness.last_heard()).map_err(io::Error::other)?;
        self.carried |= header.is_data();
        self.inbound = if header.ping() == Some(Ping::Answer(OWN_PING)) {
            Inbound::Awaited(Position::BOUNDARY)
        } else {
            Inbound::Header { header, read: 0 }
        };
        Ok(())
    }

    /// Whether yamux, which is about to write this, measures for nothing. If so, it has its answer.
    fn spares(&mut self, written: &[u8]) -> bool {
        let Ok(header) = <[u8; HEADER_BYTES]>::try_from(written) else { return false };
        let Some(Ping::Question(number)) = Header::new(header).ping() else { return false };
        if !self.outbound.is_boundary() || std::mem::take(&mut self.carried) {
            return false;
        }
        self.answer = Some(Ping::Answer(number).into());
        true
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Line<C> {
    /// Sends the line's own ping, if there is one, as soon as no other frame is on its way.
    fn poll_question(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let header = Header::from(Ping::Question(OWN_PING));
        while let Some(sent) = &mut self.question
            && (*sent > 0 || self.outbound.is_boundary())
        {
            let rest = header.bytes().get(*sent..).unwrap_or_default();
            if rest.is_empty() {
                self.question = None;
                break;
            }
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *sent += written,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// There is nothing to read: how long has that been so?
    fn poll_silence<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        // While it rests, the timer is for the end of that.
        if self.appetite.rests_until().is_none()
            && let Some(until) = self.liveness.postponed()
        {
            self.timer.set_at(until);
        }
        loop {
            ready!(Pin::new(&mut self.timer).poll(cx));
            let now = Instant::now();
            match self.liveness.check(now) {
                Step::Wait { until } => self.timer.set_at(until),
                Step::Ask { until } => {
                    self.timer.set_at(until);
                    self.question = Some(0);
                    // Where it cannot be sent at once it is sent later, or never: that, too, is no answer.
                    if self.poll_question(cx)?.is_ready() {
                        let _ = Pin::new(&mut self.io).poll_flush(cx)?;
                    }
                }
                Step::GiveUp(silent) => {
                    // yamux can miss an error of a write: the next poll has it again.
                    self.timer.set_at(now);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, silent)));
                }
            }
        }
    }

    /// A write has failed. Where the peer is gone it may have said why, and yamux tries to write several times before it
    /// reads. So it is told only when it does not read.
    fn poll_broken<T>(&mut self, cx: &mut Context<'_>, error: io::Error) -> Poll<io::Result<T>> {
        use io::ErrorKind as Kind;
        let is_gone = matches!(error.kind(), Kind::BrokenPipe | Kind::ConnectionReset);
        self.broken = self.broken.saturating_add(1);
        if !is_gone || self.broken > WRITES_IN_VAIN {
            return Poll::Ready(Err(error));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nothing can be written. yamux reads no more once it owes an answer, so that nobody else would notice the silence.
    fn poll_blocked<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.is_blocked = true;
        self.poll_silence(cx)
    }

    /// Waits for the end of a rest, if there is one.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(until) = self.appetite.rests_until() {
            let now = Instant::now();
            if now < until {
                self.timer.set_at(until);
                ready!(Pin::new(&mut self.timer).poll(cx));
            } else {
                self.appetite.rested();
                // A timer that has fired keeps no waker, and the next to wait for it is `poll_silence`.
                self.timer.set_at(now);
            }
        }
        Poll::Ready(())
    }

    /// Reads what has come, and takes note of it, until this turn is over.
    fn poll_io(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx));
        if self.appetite.is_sated() {
            self.appetite.rest(Instant::now());
            ready!(self.poll_rest(cx));
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Ready(Ok(read)) => {
                self.liveness.heard(Instant::now());
                self.appetite.read(read);
                Poll::Ready(Ok(read))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.appetite.renew();
                self.poll_silence(cx)
            }
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for Line<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            match &mut this.inbound {
                Inbound::Header { header, read } => {
                    let rest = header.bytes().get(*read..).unwrap_or_default();
                    let taken = rest.len().min(buf.len());
                    for (to, from) in buf.iter_mut().zip(rest) {
                        *to = *from;
                    }
                    *read += taken;
                    if *read == HEADER_BYTES {
                        this.inbound = Inbound::Awaited(Position::behind(*header));
                    }
                    return Poll::Ready(Ok(taken));
                }
                Inbound::Awaited(Position::Body { left }) => {
                    let most = buf.len().min(*left);
                    let room = buf.get_mut(..most).unwrap_or_default();
                    let read = ready!(this.poll_io(cx, room))?;
                    if let (Inbound::Awaited(position), Some(body)) =
                        (&mut this.inbound, buf.get(..read))
                    {
                        position.advance(body, |_| {});
                    }
                    return Poll::Ready(Ok(read));
                }
                Inbound::Awaited(position) => {
                    if position.is_boundary()
                        && let Some(header) = this.answer.take()
                    {
                        this.inbound = Inbound::Header { header, read: 0 };
                        continue;
                    }
                    let Position::Header { filled, .. } = *position else { continue };
                    let mut bytes = [0; HEADER_BYTES];
                    let room = bytes.get_mut(filled..).unwrap_or_default();
                    let read = ready!(this.poll_io(cx, room))?;
                    if read == 0 {
                        let at_boundary = filled == 0;
                        let end = io::ErrorKind::UnexpectedEof;
                        return Poll::Ready(if at_boundary { Ok(0) } else { Err(end.into()) });
                    }
                    let Inbound::Awaited(position) = &mut this.inbound else { continue };
                    let mut completed = None;
                    let come = bytes.get(filled..filled.saturating_add(read)).unwrap_or_default();
                    position.advance(come, |header| completed = Some(header));
                    if let Some(header) = completed {
                        this.arrived(header)?;
                    }
                }
            }
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match this.poll_question(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return this.poll_broken(cx, error),
            Poll::Pending => return this.poll_blocked(cx),
        }
        if this.spares(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = match Pin::new(&mut this.io).poll_write(cx, buf) {
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(error)) => return this.poll_broken(cx, error),
            Poll::Pending => return this.poll_blocked(cx),
        };
        if std::mem::take(&mut this.is_blocked) {
            // The peer is slow, but it takes what it is sent. Its answer to a ping may wait behind all of that.
            this.liveness.heard(Instant::now());
        }
        let (mut carried, bytes) = (false, buf.get(..written).unwrap_or_default());
        this.outbound.advance(bytes, |header| carried |= header.is_data());
        this.carried |= carried;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = match this.poll_question(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.io).poll_flush(cx),
            other => other,
        };
        match flushed {
            Poll::Ready(Err(error)) => this.poll_broken(cx, error),
            flushed => flushed,
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::poll_fn;
    use futures_test::task::new_count_waker;

    use super::{
        super::tests::endless::{A_WHILE, Endless, Reads},
        *,
    };
    use crate::config::Limits;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn flooded_by(sent: Vec<u8>) -> yamux::Connection<Line<Endless>> {
        sent_by(Endless::new(sent), Patience::of_listener(DAY, DAY))
    }

    fn sent_by(peer: Endless, patience: Patience) -> yamux::Connection<Line<Endless>> {
        let line = Line::new(peer, patience, Ration::new(&Limits::new()));
        yamux::Connection::new(line, yamux::Config::default(), yamux::Mode::Server)
    }

    /// Data of this length for a stream that there is none.
    fn data(length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        let mut frame = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, high, low];
        frame.resize(frame.len() + usize::from(length), 7);
        frame
    }

    #[test]
    fn a_peer_that_sends_without_end_has_one_turn_at_a_time() {
        for length in [64, 16_384] {
            let mut connection = flooded_by(data(length));
            let (waker, woken) = new_count_waker();
            let mut cx = Context::from_waker(&waker);
            for turn in 1..=1000 {
                assert!(connection.poll_next_inbound(&mut cx).is_pending());
                assert_eq!(woken.get(), turn, "it is woken for the next turn");
            }
        }
    }

    #[test]
    fn a_peer_in_haste_is_read_slowly() {
        let mut connection = flooded_by(data(1));
        let (waker, woken) = new_count_waker();
        let mut cx = Context::from_waker(&waker);
        let mut polls = 0;
        while woken.get() == polls {
            polls += 1;
            assert!(connection.poll_next_inbound(&mut cx).is_pending());
        }
        assert!((30..1000).contains(&polls), "{polls} turns until the first rest");
        // The rest is waited for, and the next turn followed by another one.
        let rests = futures::executor::block_on(poll_fn(|cx| {
            polls += 1;
            assert!(connection.poll_next_inbound(cx).is_pending());
            if polls < 1100 { Poll::Pending } else { Poll::Ready(polls) }
        }));
        assert_eq!(rests, 1100);
    }

    #[test]
    fn a_peer_that_falls_silent_after_a_rest_is_given_up_all_the_same() {
        let peer = Endless { left: 13 * 20_000, ..Endless::new(data(1)) };
        let patience = Patience::of_dialer(Duration::from_millis(50), Duration::from_millis(50));
        let mut connection = sent_by(peer, patience);
        let ended = futures::executor::block_on(poll_fn(|cx| connection.poll_next_inbound(cx)));
        let error = ended.expect("an end").expect_err("a silent peer");
        assert!(error.to_string().contains("silent"), "{error}");
    }

    /// What becomes of a peer that asked something, and how long that takes. It says nothing more.
    fn answered(reads: Reads) -> (Duration, String) {
        let start = Instant::now();
        let question = Header::from(Ping::Question(1)).bytes().to_vec();
        let peer = Endless { left: HEADER_BYTES, reads, ..Endless::new(question) };
        let patience = Patience::of_dialer(2 * A_WHILE, 2 * A_WHILE);
        let mut connection = sent_by(peer, patience);
        let ended = futures::executor::block_on(poll_fn(|cx| connection.poll_next_inbound(cx)));
        (start.elapsed(), ended.expect("an end").expect_err("a silent peer").to_string())
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_up_and_one_that_takes_it_slowly_is_not() {
        let (after, error) = answered(Reads::Nothing);
        assert!(error.contains("silent"), "{error}");
        assert!(after >= 4 * A_WHILE, "{after:?}");
        // The answer of twelve bytes, and the question of as many that follows.
        let (after, error) = answered(Reads::Slowly(Timer::after(A_WHILE)));
        assert!(error.contains("silent"), "{error}");
        assert!(after >= 15 * A_WHILE, "{after:?}");
    }

    #[test]
    fn what_a_peer_has_said_last_is_heard_though_nothing_can_be_written_to_it() {
        const GO_AWAY: [u8; HEADER_BYTES] = [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let left = HEADER_BYTES;
        let peer = Endless { left, reads: Reads::Gone, ..Endless::new(GO_AWAY.to_vec()) };
        let mut connection = sent_by(peer, Patience::of_dialer(DAY, DAY));
        // There is something to write: the window of a stream.
        let opened = futures::executor::block_on(poll_fn(|cx| connection.poll_new_outbound(cx)));
        opened.expect("a stream");
        let ended = futures::executor::block_on(poll_fn(|cx| connection.poll_next_inbound(cx)));
        let said = ended.is_none_or(|ended| matches!(ended, Err(yamux::ConnectionError::Closed)));
        assert!(said, "the goodbye is heard");
        // Where it has said nothing, that is the reason.
        let question = Header::from(Ping::Question(1)).bytes().to_vec();
        let peer = Endless { left, reads: Reads::Gone, ..Endless::new(question) };
        let mut connection = sent_by(peer, Patience::of_dialer(DAY, DAY));
        let ended = futures::executor::block_on(poll_fn(|cx| connection.poll_next_inbound(cx)));
        let error = ended.expect("an end").expect_err("nobody is there");
        assert!(error.to_string().contains("broken pipe"), "{error}");
    }

    #[test]
    fn a_flood_of_tiny_frames_ends_the_connection_and_the_reason_says_so() {
        let ping = Header::from(Ping::Question(1)).bytes().to_vec();
        for frame in [data(0), data(1), ping] {
            let mut connection = flooded_by(frame);
            let ended = futures::executor::block_on(poll_fn(|cx| connection.poll_next_inbound(cx)));
            let mut error: &dyn std::error::Error = &ended.unwrap().unwrap_err();
            while let Some(source) = error.source() {
                error = source;
            }
            assert_eq!(error.to_string(), "the peer floods the connection with tiny frames");
        }
    }
}
