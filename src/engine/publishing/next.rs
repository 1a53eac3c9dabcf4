//! What a change wants of others between two of its steps.
//!
//! The room decides, and the [switchboard](crate::engine::flows) carries out: it asks whom the room does not know, and
//! hands back what has come of it as the input of the next step.

use libp2p::PeerId;

use crate::{
    engine::calls::AwaitedBack,
    error::Error,
    package::PackageName,
    record::{Record, RecordKey},
};

/// How the life of a change goes on after a step.
#[derive(Debug)]
pub(in crate::engine) enum Next {
    /// It waits for what was begun before, or it is over and its caller has been answered.
    Wait,
    /// It needs to know what the network holds under a key.
    LookUp {
        key: RecordKey,
        /// The claims to its name, which are looked up beside.
        claims: Option<RecordKey>,
    },
    /// It is signed, and its records are to be put.
    Put(Box<Committed>),
    /// All of its puts have ended.
    Settle,
    /// Peers that should hold these records are to be found, and asked why they do not.
    Explain(Vec<Unacknowledged>),
    /// Its records are to be read back from peers.
    ReadBack(Vec<RecordKey>),
    /// These are still being read back, and what was heard of them so far is to be enough.
    EndReadBacks(Vec<AwaitedBack>),
    /// It cannot go on.
    Abandon(Failure),
}

/// A change that was signed, and is stored here.
#[derive(Debug)]
pub(in crate::engine) struct Committed {
    pub(in crate::engine) name: PackageName,
    /// Whose look-alikes the caller is to be told of: a release has been published under this name.
    pub(in crate::engine) published: Option<PackageName>,
    /// What was read under these keys is known better from now on.
    pub(in crate::engine) outdated: Vec<RecordKey>,
    /// In the order in which they should arrive.
    pub(in crate::engine) records: Vec<Record>,
}

/// A record that fewer peers have acknowledged than should hold it.
#[derive(Debug)]
pub(in crate::engine) struct Unacknowledged {
    pub(in crate::engine) key: RecordKey,
    /// Who has acknowledged it.
    pub(in crate::engine) by: Vec<PeerId>,
}

/// The connected peers that should hold a record and have not acknowledged it.
#[derive(Debug)]
pub(in crate::engine) struct Missing {
    pub(in crate::engine) key: RecordKey,
    pub(in crate::engine) peers: Vec<Witness>,
}

impl Missing {
    /// Of the peers that should hold the record, those that `explain` could say why they do not.
    pub(in crate::engine) fn of(
        key: RecordKey,
        peers: Vec<PeerId>,
        explains: impl Fn(&PeerId) -> bool,
    ) -> Self {
        let witness = |peer: PeerId| Witness { peer, explains: explains(&peer) };
        Self { key, peers: peers.into_iter().map(witness).collect() }
    }
}

/// A peer that could say why it does not hold a record.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Witness {
    pub(in crate::engine) peer: PeerId,
    /// It answers such questions. One that has not answered the DHT would be waited for in vain.
    pub(in crate::engine) explains: bool,
}

/// What the end of a lookup means for a record that it has read back.
#[derive(Debug)]
pub(in crate::engine) enum BackAtEnd {
    /// It went along with a lookup that had begun too early. Everybody is to be asked again.
    AskAgain,
    /// All that there are have been asked. These acknowledged the record and have none.
    Over { awaited: AwaitedBack, forgetful: Vec<PeerId> },
}

/// Why a change cannot go on.
#[derive(Debug)]
pub(in crate::engine) enum Failure {
    /// Somebody has to be asked, and nobody can be.
    NobodyToAsk,
    Other(Error),
}
