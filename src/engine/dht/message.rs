//! What peers ask each other, as values. The wire is `net::kad`'s.

use std::{borrow::Cow, fmt, sync::Arc};

use libp2p::{Multiaddr, PeerId};

/// A peer of which another tells, and where it says that the peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
}

impl Contact {
    /// A peer of which the routing table knows where it is, if anybody does.
    pub(crate) fn seated(peer: PeerId) -> Self {
        Self { peer, addresses: Vec::new() }
    }
}

/// Contacts that come with an answer. Those of another's answer are read when they are asked for: that takes longer than all
/// the rest of it, and an answer that brings a record is mostly the last one that is needed.
#[derive(Clone)]
pub(crate) struct Told(Form);

#[derive(Clone)]
enum Form {
    Read(Vec<Contact>),
    Unread(Arc<dyn Fn() -> Vec<Contact> + Send + Sync>),
}

impl Told {
    pub(crate) fn unread(read: impl Fn() -> Vec<Contact> + Send + Sync + 'static) -> Self {
        Self(Form::Unread(Arc::new(read)))
    }

    pub(crate) fn read(&self) -> Cow<'_, [Contact]> {
        match &self.0 {
            Form::Read(contacts) => Cow::Borrowed(contacts),
            Form::Unread(read) => Cow::Owned(read()),
        }
    }

    /// What `change` makes of them, no sooner than they are read.
    pub(crate) fn map(
        self,
        change: impl Fn(Vec<Contact>) -> Vec<Contact> + Send + Sync + 'static,
    ) -> Self {
        match self.0 {
            Form::Read(contacts) => change(contacts).into(),
            Form::Unread(read) => Self::unread(move || change(read())),
        }
    }
}

impl From<Vec<Contact>> for Told {
    fn from(contacts: Vec<Contact>) -> Self {
        Self(Form::Read(contacts))
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.read()).finish()
    }
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        self.read() == other.read()
    }
}

impl Eq for Told {}

/// A record as it travels: bytes under a key, of which nothing is known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) key: Arc<[u8]>,
    pub(crate) bytes: Arc<[u8]>,
}

/// What a peer is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Who is closest to this key?
    FindNode { key: Arc<[u8]> },
    /// What is kept under this key, and who is closest to it?
    GetValue { key: Arc<[u8]> },
    /// Keep this.
    PutValue(Value),
    /// Who provides what this key names? Nobody: packages have owners. And who is closest to it?
    GetProviders { key: Arc<[u8]> },
    /// Are you there?
    Ping,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    /// To [`Request::FindNode`] and [`Request::GetProviders`].
    Closer {
        peers: Told,
    },
    /// To [`Request::GetValue`].
    Found {
        value: Option<Value>,
        closer: Told,
    },
    /// To [`Request::PutValue`]: what was kept. Nothing, where it was refused.
    Kept(Option<Value>),
    Pong,
}

/// Names a request of this node for as long as it waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no connection with the peer, or it has ended.
    Gone,
    /// The peer does not speak the protocol.
    Unsupported,
    /// The peer broke off, or sent something that is no answer.
    Broken,
}
