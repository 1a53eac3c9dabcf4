//! One connection: two ends, and what is on its way between them.

use std::{collections::VecDeque, io::ErrorKind, net::SocketAddrV4, task::Waker, time::Duration};

/// What may be on its way in one direction, and lie unread at its end, before the writer has to wait.
pub(super) const WINDOW: usize = 256 * 1024;

/// Which end: that of who has dialed, or of who was dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Dialer,
    Listener,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }
}

/// What goes from one end to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packet {
    /// Somebody wants to connect.
    Syn,
    /// The connection stands.
    SynAck,
    Data(Vec<u8>),
    /// No more data follows.
    Fin,
    /// There is no such connection, or nobody listens.
    Reset,
}

/// How far a dial has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Dialing,
    Open,
}

#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) host: usize,
    /// What has come and was not read.
    pub(super) inbox: VecDeque<Vec<u8>>,
    /// How much of the first of them was read.
    pub(super) read: usize,
    /// No more will come.
    pub(super) is_ended: bool,
    /// Why this end is of no use any more.
    pub(super) failure: Option<ErrorKind>,
    /// Nobody holds this end any more.
    pub(super) is_dropped: bool,
    /// It has said that it sends no more.
    pub(super) has_closed: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// Bytes that this end has sent and that were not read.
    pub(super) unread: usize,
    /// When the last of what it has sent arrives: nothing overtakes that.
    pub(super) last_arrival: Duration,
    /// What it has sent and what does not get through.
    pub(super) stalled: VecDeque<Packet>,
    /// Counts how often a path that held something back was free again.
    pub(super) stall: u64,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stage: Stage,
    pub(super) to: SocketAddrV4,
    pub(super) from: SocketAddrV4,
    pub(super) dialer: End,
    pub(super) listener: End,
    /// One of its hosts has another address by now: nothing gets through any more.
    pub(super) is_severed: bool,
    /// Events of the network that name this connection.
    pub(super) pending: usize,
}

impl Connection {
    pub(super) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Dialer => &mut self.dialer,
            Side::Listener => &mut self.listener,
        }
    }

    /// From which host to which what this end sends goes.
    pub(super) fn path(&self, from: Side) -> (usize, usize) {
        match from {
            Side::Dialer => (self.dialer.host, self.listener.host),
            Side::Listener => (self.listener.host, self.dialer.host),
        }
    }

    /// Nobody will ask for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.dialer.is_dropped && self.listener.is_dropped && self.pending == 0
    }
}

impl End {
    /// It is of no use from now on. Answers with who has to know.
    pub(super) fn fail(&mut self, why: ErrorKind) -> Vec<Waker> {
        if self.failure.is_none() && !self.is_dropped {
            self.failure = Some(why);
        }
        self.stalled.clear();
        self.reader.take().into_iter().chain(self.writer.take()).collect()
    }

    /// Whether what comes here is of interest to anybody.
    pub(super) fn is_gone(&self) -> bool {
        self.is_dropped || self.failure.is_some()
    }
}
