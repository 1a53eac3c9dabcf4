//! The callers' side of a node.

mod calls;
mod registry;
mod search;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};

pub use self::search::Search;
use self::{calls::Shared, search::CancelSearch};
use crate::{
    clock::Clock,
    config::validate_topic,
    connections::ConnectedPeer,
    counters::CallKind,
    engine::{
        Snapshot,
        command::{Command, Request},
    },
    error::{Error, Result},
    freshness::{Found, Freshness},
    keyspace::REPLICAS,
    package::{Announcement, PackageName, Query},
    place::named_peer,
    provider::Provider,
    queue,
    record::{EquivocationProof, NetworkName, Record, RecordKey},
    reputation::Reputation,
    search::Findings,
    shelf::Shelf,
    ticket::{Cancels, Ticket},
};

/// Asks a [`Node`](crate::Node). Cheap to clone, usable from any thread and under any executor.
///
/// Each method sends one command and waits for its one answer. The answer comes at the latest one tick after
/// the deadline. The deadline of an `async fn` runs from the first poll of its future; that of a method of
/// [`Registry`](crate::Registry) from the call or, at the latest, from the first poll. Waiting for room in a full command queue counts. The answer comes
/// only while somebody polls the node; when the node is dropped, everyone who waits hears
/// [`Error::ShuttingDown`].
///
/// **Cancel safety.** Dropping a future before it is ready cancels the call: its place is freed, and a lookup
/// that nobody else waits for ends. A publishing call whose change is already signed stands all the same.
///
/// The node stops when its last handle is dropped.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    freshness: Freshness,
    confirmation: u8,
}

/// What a handle needs to know of its node.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) peer_id: PeerId,
    pub(crate) owner: PeerId,
    pub(crate) network: NetworkName,
    pub(crate) query_timeout: Duration,
    pub(crate) announce_timeout: Duration,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("peer_id", &self.shared.facts.peer_id)
            .field("network", &self.shared.facts.network)
            .field("freshness", &self.freshness)
            .field("confirmation", &self.confirmation)
            .finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn new(
        commands: queue::Sender<Request>,
        cancels: Cancels,
        clock: Arc<dyn Clock>,
        shelf: Shelf,
        facts: Facts,
    ) -> Self {
        let tickets = AtomicU64::new(0);
        let shared = Arc::new(Shared { commands, cancels, tickets, clock, shelf, facts });
        Self { shared, freshness: Freshness::First, confirmation: 0 }
    }

    /// A handle to the same node whose reads wait for so many replicas: [`get_record`](Self::get_record), and of
    /// [`Registry`] `get_package`, `get_version`, `resolve` and `list_versions`. This handle's reads go on as before.
    ///
    /// [`Registry`]: crate::Registry
    ///
    /// ```no_run
    /// use peerage::{Freshness, Handle, Registry, Source};
    ///
    /// async fn newest(handle: &Handle) -> peerage::Result<()> {
    ///     let package = handle.with_freshness(Freshness::Quorum(3)).get_package("tiny-http".parse()?).await?;
    ///     if package.source == Source::Partial {
    ///         println!("fewer than three peers answered in time: there may be a newer one");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn with_freshness(&self, freshness: Freshness) -> Self {
        Self { freshness, ..self.clone() }
    }

    /// A handle to the same node whose changes are read back before they are answered: `register`, `yank`, `deprecate`,
    /// what takes these back, and `unregister` of [`Registry`]. This handle's changes are answered as before.
    ///
    /// An acknowledgement says that a peer has verified a record and stored it, and a liar acknowledges too. So that, once
    /// all puts have ended, every record of the change (head, claim, release, and pages of the list that are new) is
    /// looked up as any reader would do, until `peers` peers have served it or all that the lookup finds were asked.
    /// [`Receipt::confirmed`] says how many of them served the record that fewest did. A peer counts whose own reply held
    /// exactly what was put: the same signed body, or for a set of claims, one with this claim in it. Neither this
    /// node's own copy counts nor one that came twice from one peer.
    ///
    /// Peers are told apart by their identities, and nothing else is known of how independent they are: one operator
    /// can run many. What is confirmed is that so many identities served the record just now.
    ///
    /// Fewer than `peers` are no error: the change stands, is announced and put again like any other. See
    /// [`Receipt::is_confirmed`]. The deadline is that of the whole call; when it passes, the receipt says what was
    /// confirmed by then. Zero, the default of every handle, reads nothing back; more than 20 are taken as 20, which is
    /// how many replicas a record has.
    ///
    /// [`Receipt::confirmed`]: crate::Receipt::confirmed
    /// [`Receipt::is_confirmed`]: crate::Receipt::is_confirmed
    /// [`Registry`]: crate::Registry
    ///
    /// ```no_run
    /// use peerage::{Handle, Manifest, Registry};
    ///
    /// async fn publish(handle: &Handle, manifest: Manifest) -> peerage::Result<()> {
    ///     let receipt = handle.with_confirmation(3).register(manifest).await?;
    ///     if !receipt.is_confirmed() {
    ///         println!("only {} peers serve it so far", receipt.confirmed);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn with_confirmation(&self, peers: u8) -> Self {
        let most = u8::try_from(REPLICAS).unwrap_or(u8::MAX);
        Self { confirmation: peers.min(most), ..self.clone() }
    }

    /// The node's identity: who it is to its peers.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.shared.facts.peer_id
    }

    /// The owner of what this handle publishes: the node itself, or who has
    /// [delegated](crate::NodeBuilder::with_delegation) its publishing to it.
    #[must_use]
    pub fn owner(&self) -> PeerId {
        self.shared.facts.owner
    }

    /// The network that the node belongs to.
    #[must_use]
    pub fn network(&self) -> &NetworkName {
        &self.shared.facts.network
    }

    /// Reads one record of the DHT by its key. The record has been verified: signature, key, validity.
    ///
    /// Of a head as many copies are heard as this handle's [`Freshness`] says, and the newest answers. A set of claims
    /// is the union of what all reached peers hold. Of what is written once, the first valid copy answers. A head that
    /// this node has signed itself it answers itself.
    ///
    /// Where the deadline passes and some copies have come, the best of them answers, as
    /// [`Source::Partial`](crate::Source::Partial).
    ///
    /// Cancel safe: dropping the future gives the call up, and ends the lookup if nobody else waits for it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NoPeers`], [`Error::NoRoom`], [`Error::Timeout`], [`Error::Busy`],
    /// [`Error::ShuttingDown`].
    pub async fn get_record(&self, key: RecordKey) -> Result<Found> {
        let freshness = self.freshness;
        self.ask(|reply| Command::GetRecord { key, freshness, reply }).await
    }

    /// Puts a verified record into the DHT, of whichever owner, and says how many peers acknowledged that
    /// they stored it. An acknowledgement means stored: peers refuse what they would not hold.
    ///
    /// Cancel safe: a put that has begun is carried out all the same.
    ///
    /// # Errors
    /// [`Error::Conflict`] where this node knows a newer one, [`Error::Invalid`] for one of another network or
    /// one that has expired, [`Error::Busy`] where there is no room for it here, [`Error::Timeout`],
    /// [`Error::ShuttingDown`].
    pub async fn put_record(&self, record: Record) -> Result<u32> {
        let record = Box::new(record);
        self.ask(|reply| Command::PutRecord { record, reply }).await
    }

    /// Signs `data` and announces it on `topic`, to whoever [subscribed](Self::subscribe) it. Where nobody has, it waits
    /// for somebody who does, for ten minutes: whoever hears it later refuses it.
    ///
    /// Cancel safe: what has been signed is sent all the same.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above 6 KiB, [`Error::Invalid`] for the topic of package announcements, on which
    /// only packages are announced, [`Error::Busy`] when too many announcements wait for somebody to hear
    /// them, [`Error::Timeout`], [`Error::ShuttingDown`].
    pub async fn announce(&self, topic: &str, data: Vec<u8>) -> Result<Announcement> {
        self.unless_refused(CallKind::Announce, validate_topic("topic", topic))?;
        let topic = topic.to_owned();
        let timeout = self.shared.facts.announce_timeout;
        self.ask_within(timeout, |reply| Command::Announce { topic, data, reply }).await
    }

    /// Dials the configured bootstrap addresses if nobody is connected who can be asked, then fills the routing table.
    /// Answered when the last step is done, with the number of peers in the routing table.
    ///
    /// Cancel safe: dropping the future gives the call up; the routing table is filled all the same.
    ///
    /// # Errors
    /// [`Error::NoPeers`] where none could be reached, [`Error::NoRoom`] where those that could have no room for this node,
    /// nor has any of the others that they have told of, [`Error::Busy`], [`Error::Timeout`], [`Error::ShuttingDown`].
    pub async fn bootstrap(&self) -> Result<usize> {
        self.ask(|reply| Command::Bootstrap { reply }).await
    }

    /// Subscribes a topic: its messages arrive as [`Event::Message`](crate::Event::Message). Answers whether
    /// it is new.
    ///
    /// Cancel safe: dropped before it is ready, the topic may be subscribed or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that cannot be a topic and for the topic of package announcements, which
    /// the node hears anyway, [`Error::Busy`] above the bound on topics, [`Error::ShuttingDown`].
    pub async fn subscribe(&self, topic: &str) -> Result<bool> {
        validate_topic("topic", topic)?;
        let topic = topic.to_owned();
        self.ask(|reply| Command::Subscribe { topic, reply }).await
    }

    /// Ends a subscription. Answers whether there was one.
    ///
    /// Cancel safe: dropped before it is ready, the subscription may have ended or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that cannot be a topic, [`Error::ShuttingDown`].
    pub async fn unsubscribe(&self, topic: &str) -> Result<bool> {
        validate_topic("topic", topic)?;
        let topic = topic.to_owned();
        self.ask(|reply| Command::Unsubscribe { topic, reply }).await
    }

    /// Connects to `peer` at one of `addresses`. Whoever answers there must prove to be that peer, and introduce itself:
    /// when this is done, the next question goes to the peer as well, if it is a server and the limits of the routing
    /// table leave room for it. Done at once where that has happened already. Addresses may begin with a
    /// [name](crate::guide::configuration#names-in-addresses).
    ///
    /// Cancel safe: dropping the future gives the call up; the dial takes its course.
    ///
    /// # Errors
    /// [`Error::Transport`] with the reason for each address, or if the peer leaves or does not introduce itself within
    /// ten seconds; [`Error::OtherNetwork`] for a peer of another network, or of none, which is let go;
    /// [`Error::Invalid`] where an address names another peer or the peer is this node, [`Error::Busy`],
    /// [`Error::Timeout`], [`Error::ShuttingDown`].
    pub async fn dial(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<()> {
        self.unless_refused(CallKind::Dial, validate_addresses(&peer, &addresses))?;
        self.ask(|reply| Command::Dial { peer, addresses, reply }).await
    }

    /// Connects to the peer that an address names in its trailing `/p2p/<peer>`, as
    /// [`Event::Listening`](crate::Event::Listening) prints it. Answers with the peer.
    ///
    /// Cancel safe, as [`dial`](Self::dial).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that names no peer, else as [`dial`](Self::dial).
    pub async fn dial_address(&self, address: Multiaddr) -> Result<PeerId> {
        let named = named_peer(&address).ok_or_else(|| {
            let reason =
                format!("`{address}` must end in `/p2p/<peer>`, so that the peer can be checked");
            Error::invalid("address", reason)
        });
        let peer = self.unless_refused(CallKind::Dial, named)?;
        self.dial(peer, vec![address]).await?;
        Ok(peer)
    }

    /// Searches what this node knows and what connected peers know: for light clients, and for those who want more than
    /// [`Registry::search`](crate::Registry::search) has at hand.
    ///
    /// Up to 16 peers are asked, in the order of reputation, round trip and declared distance. What they find comes as
    /// they answer, verified, and each package once, or again where a peer has a newer head; at the end a
    /// [report](Search::report) says how complete it is.
    /// [`Query::limit`] holds for each of those who are asked. There is no [`Query::offset`]: a page of several lists
    /// would be a page of none of them.
    ///
    /// The deadline is that of every call; it ends the search with what has come by then. Cancel safe: dropping the
    /// future or the search gives it up.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a query out of bounds or with an offset, [`Error::Busy`] and [`Error::ShuttingDown`], here
    /// or from the search.
    pub async fn search_peers(&self, query: Query) -> Result<Search> {
        let one_page = || match query.offset {
            0 => Ok(()),
            _ => {
                Err(Error::invalid("offset", "must be 0 in a search among peers; raise the limit"))
            }
        };
        self.unless_refused(CallKind::Search, query.validate().and_then(|()| one_page()))?;
        let shared = &*self.shared;
        let ticket = Ticket(shared.tickets.fetch_add(1, Ordering::Relaxed));
        let asked = shared.clock.now();
        let deadline = asked.saturating_add(shared.facts.query_timeout);
        let (findings, found) = Findings::channel();
        let command = Command::SearchPeers { query: Box::new(query.clone()), findings };
        let request = Request { ticket, asked, deadline, command };
        shared.send(request).await?;
        let node = CancelSearch { cancels: shared.cancels.clone(), ticket };
        Ok(Search::new(query, found, node))
    }

    /// The peers with which a connection stands, sorted by identity.
    ///
    /// Cancel safe: dropping the future gives the call up.
    ///
    /// # Errors
    /// Only [`Error::ShuttingDown`] and [`Error::Timeout`].
    pub async fn peers(&self) -> Result<Vec<ConnectedPeer>> {
        self.ask(|reply| Command::Peers { reply }).await
    }

    /// Who was seen providing a package: peers that have delivered its newest head to this node, and whoever signed it.
    /// Of those that are connected, the first is the one to ask first: by reputation, then by the time that a message
    /// takes to it and back, then by declared distance; the others follow, the one seen last first. Empty for a package
    /// that is not in the catalogue. What to ask them for, an artifact say, is the application's part.
    ///
    /// Cancel safe: dropping the future gives the call up.
    ///
    /// # Errors
    /// Only [`Error::ShuttingDown`] and [`Error::Timeout`].
    pub async fn providers(&self, owner: PeerId, name: PackageName) -> Result<Vec<Provider>> {
        self.ask(|reply| Command::Providers { owner, name, reply }).await
    }

    /// Owners that were found to have signed two histories of a package: the last 64 proofs that stand, oldest first,
    /// each of which was an [`Event::Equivocation`](crate::Event::Equivocation). One stands until a later head lists
    /// and yanks whatever either of its two heads does.
    ///
    /// Cancel safe: dropping the future gives the call up.
    ///
    /// # Errors
    /// Only [`Error::ShuttingDown`] and [`Error::Timeout`].
    pub async fn equivocations(&self) -> Result<Vec<EquivocationProof>> {
        self.ask(|reply| Command::Equivocations { reply }).await
    }

    /// What this node has seen of a peer's conduct.
    ///
    /// Cancel safe: dropping the future gives the call up.
    ///
    /// # Errors
    /// Only [`Error::ShuttingDown`] and [`Error::Timeout`].
    pub async fn reputation(&self, peer: PeerId) -> Result<Reputation> {
        self.ask(|reply| Command::Reputation { peer, reply }).await
    }

    /// Decides that the bare name means the package of this owner. Answers with the owner that was pinned
    /// before.
    ///
    /// Cancel safe: dropped before it is ready, the name may be pinned or not.
    ///
    /// # Errors
    /// [`Error::Busy`] above the bound on pins, [`Error::ShuttingDown`], [`Error::Timeout`].
    pub async fn pin(&self, name: PackageName, owner: PeerId) -> Result<Option<PeerId>> {
        self.ask(|reply| Command::Pin { name, owner: Some(owner), reply }).await
    }

    /// Forgets the owner pinned for a bare name, and answers with it.
    ///
    /// Cancel safe: dropped before it is ready, the pin may be gone or not.
    ///
    /// # Errors
    /// Only [`Error::ShuttingDown`] and [`Error::Timeout`].
    pub async fn unpin(&self, name: PackageName) -> Result<Option<PeerId>> {
        self.ask(|reply| Command::Pin { name, owner: None, reply }).await
    }

    /// What the node knows and would not know again after a restart. See [`Snapshot`] for what is in it and
    /// where to keep it. The node gathers it within one poll, which takes the longer the more it holds: up to a
    /// tenth of a second for a full store. Writing it down, [`Snapshot::to_bytes`], is for the caller's thread.
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    /// Only [`Error::ShuttingDown`] and [`Error::Timeout`]. A node that is shutting down gives none: ask
    /// before.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        self.ask(|reply| Command::Snapshot { reply }).await.map(|snapshot| *snapshot)
    }

    /// Stops the node: no command is taken any more, everyone who waits hears
    /// [`Error::ShuttingDown`]. Peers are told that the node is going away, and connections are closed when they have heard it,
    /// or after a second. Acknowledged once everybody else has been answered, but for those whose change is still being
    /// written to the node's [storage](crate::storage): they are answered when it is, or when the node ends. The
    /// [`Node`](crate::Node) ends when the connections are closed and all is written, within three seconds.
    ///
    /// A commit that takes longer goes on after that, on its thread. Until it ends, the storage is in use: a
    /// file (`storage::File`) that is opened again in the same process is refused with
    /// [`StorageError::InUse`](crate::storage::StorageError::InUse). What a storage that fails has not taken is tried once
    /// more, and then lost.
    ///
    /// Cancel safe: a node that was told to stop stops, whether or not anybody waits to hear of it.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`] where the node is gone already.
    pub async fn shutdown(&self) -> Result<()> {
        self.ask(|reply| Command::Shutdown { reply }).await
    }
}

/// Whether a peer can be dialed at these addresses.
fn validate_addresses(peer: &PeerId, addresses: &[Multiaddr]) -> Result<()> {
    if addresses.is_empty() {
        return Err(Error::invalid("addresses", "name at least one address to dial"));
    }
    for (index, address) in addresses.iter().enumerate() {
        if named_peer(address).is_some_and(|named| named != *peer) {
            return Err(Error::invalid(
                format!("addresses[{index}]"),
                format!("`{address}` names another peer than {peer}"),
            ));
        }
    }
    Ok(())
}
