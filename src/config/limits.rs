//! What bounds everything that could grow.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    record::MAX_RECORD_BYTES,
};

/// Bounds on everything that could grow. Where one is reached, the call says
/// [`Error::Busy`] with the field's name, or the least valuable entry goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Calls inside the node that wait for an answer. Default: 10,000.
    pub waiting_calls: usize,
    /// DHT queries that run at once; the others wait their turn. Default: 64.
    pub running_queries: usize,
    /// Commands taken in one poll before the network has its turn. Default: 64.
    pub commands_per_poll: usize,
    /// Network events taken in one poll before the caller's executor has its turn. Default: 256.
    pub network_events_per_poll: usize,
    /// Packages that this node publishes itself, with those that it has withdrawn since it started: their
    /// tombstones are put again, too. Default: 1,000.
    pub own_packages: usize,
    /// Records held for the network, of [`store_bytes`](Self::store_bytes) at the most, which is what bounds them where
    /// they are of 256 bytes or more on average. Default: 262,144.
    pub store_records: usize,
    /// Records held for one owner, so that nobody fills the store by accident. Keys are free: it does not keep out
    /// somebody who makes them for the purpose. In force is no more than a quarter of
    /// [`store_records`](Self::store_records), or 64 where that is more. Default: 65,536.
    pub store_records_per_owner: usize,
    /// Bytes of the records held for the network, as they are on the wire, which is how they are kept. A peer that has put
    /// them is held to the part of these that [`store_records_per_peer`](Self::store_records_per_peer) is of
    /// [`store_records`](Self::store_records). At least 8 KiB. Default: 64 MiB.
    pub store_bytes: usize,
    /// With a [storage](crate::storage), bytes of memory that records held for the network take, with some 210 beside each.
    /// Those that nobody has asked for lately lie in the storage alone, with some 75 bytes of memory for each. Without a
    /// storage it means nothing. Default: 64 MiB.
    pub store_memory_bytes: usize,
    /// Records held that one peer has put, whoever signed them. A peer with more has its own farthest ones
    /// replaced, not those of others. In force is no more than a quarter of [`store_records`](Self::store_records), or
    /// 64 where that is more. Default: 65,536.
    pub store_records_per_peer: usize,
    /// Requests of the DHT that one peer may make in a second, over time. Other things cost several: a record
    /// that is put for the first time 5, one that no honest peer sends 33, a set of claims up to 24 times as
    /// much. Questions about the catalogue cost 4 to 32, one more for each 256 bytes of theirs, one for each 64 heads where
    /// these have to be put in order, and one for each 128 entries of the index that a search looks through. 64 lookups at
    /// a time over round trips of 10 ms are 3,200. Default: 4,000.
    pub requests_per_second: u32,
    /// Requests that one peer may make at once. Beyond, what it puts is refused and what it looks up is not
    /// found; with five times as many outstanding, its connections are closed. Default: 16,000.
    pub request_burst: u32,
    /// Messages of one author, announcements and those of applications alike, that are believed and relayed in a second,
    /// over time. Four times as many are heard from one peer, whoever their authors are, and 16 times as many from all
    /// peers together; one that sends 32 times as many loses its connections. What is dropped is found later, when
    /// neighbours compare their catalogues. Default: 8.
    pub announcements_per_second: u32,
    /// Messages of one author that are believed and relayed at once. Twice as many are heard from one peer, and four times
    /// as many from all; one that sends eight times as many loses its connections. Default: 1,024, which is enough for
    /// the packages that one owner has by default.
    pub announcement_burst: u32,
    /// Packages whose highest sequence is remembered, so that no older head is believed. Default: 65,536.
    pub remembered_sequences: usize,
    /// Records kept for a while after they were read or announced. Default: 4,096.
    pub cache_records: usize,
    /// Packages in the catalogue: those of others that [`search`](crate::Registry::search) covers and that this node
    /// tells others of, withdrawn ones until they expire. What it publishes itself does not count.
    /// Default: 131,072.
    ///
    /// Pinned packages and those that the application has asked for have up to three quarters of these places, and of
    /// the bytes below; of those that were asked for, the ones used longest ago go back to the others. Where room is
    /// needed for the others, the peer that brought most of them loses the one that was issued longest ago; a single
    /// owner with more than a sixteenth of the places or bytes makes room for its own.
    pub catalogue_packages: usize,
    /// Bytes of the heads in the catalogue, as they are on the wire, with their keywords. A head whose words take more than
    /// three times its bytes in the search index counts for more: for a quarter of what both can take. Default: 64 MiB.
    pub catalogue_bytes: usize,
    /// Announcements that wait for somebody to hear them. Default: 256.
    pub queued_announcements: usize,
    /// Topics that the application may subscribe. Default: 64; at most [90](Self::MAX_TOPICS), which a peer that
    /// connects is told of at once.
    pub topics: usize,
    /// Peers whose conduct is remembered. Default: 4,096.
    pub remembered_peers: usize,
    /// Peers that are refused for a while because of their conduct; of more, the one that has been refused for longest
    /// is pardoned. Zero refuses nobody. Default: 1,024.
    pub blocked_peers: usize,
    /// Names that may have a pin, whoever decided it. Those in [`Config::pins`](crate::Config::pins) count, and are
    /// always accepted. Default: 4,096.
    pub pins: usize,
    /// Connections in all, a quarter of which only this node's own dials can take. Default: 192, one for each
    /// request that the running queries can have under way (64 of them, three requests each).
    pub connections: u32,
    /// Peers that the node stays connected with. Above, those go that are worth the least once they have been there for
    /// 20 s, an eighth more than have to; what [`KeptFor`](crate::KeptFor) says is worth more stays for longer, and what
    /// is in use or wanted by the application always. Up to [`connections`](Self::connections) there is room for those
    /// that come, and the last sixteenth of it is made free at once by letting go of one that is new or of no use.
    /// However many the application has dialed, half of the target is left to what the node itself needs. A target that
    /// leaves those who dial no such sixteenth counts as the highest that does: with 32 connections, 24 of them for those
    /// who dial, as 21. Default: 48, which are the twenty closest, the mesh, one for each distance, and as many again to
    /// choose from.
    pub connection_target: u32,
    /// Connections with one peer. Default: 4.
    pub connections_per_peer: u32,
    /// Connections that are still being set up, for each direction. Default: 128.
    pub pending_connections: u32,
    /// Connections with one host, whichever identities it shows: with one IPv4 address, or the /64 of an IPv6 one.
    /// Those that it is setting up count. Default: 8.
    pub connections_per_ip: u32,
    /// Peers in the routing table that came from, or were reached at, one IPv4 address or the /64 of an IPv6 one.
    /// What a peer says of itself does not count. Default: 4.
    pub routing_peers_per_ip: usize,
    /// Peers in the routing table from one IPv4 /16 or IPv6 /32; those behind names and relays are one more such
    /// network. Default: 16.
    pub routing_peers_per_subnet: usize,
    /// Whether loopback, private and link-local addresses (RFC 1918, 4193, 6598), and those within the process, are
    /// counted by the three limits above. Default: no. Turn it on where strangers appear under such addresses, as
    /// behind a proxy that forwards connections.
    pub count_private_addresses: bool,
    /// Addresses of one peer that the routing table is told of: the newest. Default: 16.
    pub addresses_per_peer: usize,
    /// Streams that one connection may have at a time, both directions together. Default: 96; 1 to
    /// [4,096](Self::MAX_STREAMS).
    ///
    /// It has to be more than all protocols together open when they behave: who goes beyond it, this node or the
    /// peer, loses the connection. The DHT keeps to 16 of its own and 32 of the peer's, and the others to some ten.
    pub streams_per_connection: usize,
    /// Bytes that a peer may have in flight on one connection, all streams together, so what a peer whose data is
    /// not read can make this node buffer. Default: 24 MiB.
    ///
    /// Each stream has [256 KiB](Self::STREAM_WINDOW) from the start, which the specification fixes, so that less
    /// than that times [`streams_per_connection`](Self::streams_per_connection) counts as that. The default is
    /// exactly that. What is above it goes to streams that carry much over a long distance.
    pub receive_window: usize,
    /// Bytes of memory that the process may use before new connections are refused, in either direction. Those
    /// that stand are left alone. It is the whole process that counts, with what the application itself takes.
    /// Default: not limited.
    pub process_memory: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_calls: 10_000,
            running_queries: 64,
            commands_per_poll: 64,
            network_events_per_poll: 256,
            own_packages: 1_000,
            store_records: 262_144,
            store_records_per_owner: 65_536,
            store_bytes: 64 * 1024 * 1024,
            store_memory_bytes: 64 * 1024 * 1024,
            store_records_per_peer: 65_536,
            requests_per_second: 4_000,
            request_burst: 16_000,
            announcements_per_second: 8,
            announcement_burst: 1_024,
            remembered_sequences: 65_536,
            cache_records: 4_096,
            catalogue_packages: 131_072,
            catalogue_bytes: 64 * 1024 * 1024,
            queued_announcements: 256,
            topics: 64,
            remembered_peers: 4_096,
            blocked_peers: 1_024,
            pins: 4_096,
            connections: 192,
            connection_target: 48,
            connections_per_peer: 4,
            pending_connections: 128,
            connections_per_ip: 8,
            routing_peers_per_ip: 4,
            routing_peers_per_subnet: 16,
            count_private_addresses: false,
            addresses_per_peer: 16,
            streams_per_connection: 96,
            receive_window: 96 * Self::STREAM_WINDOW,
            process_memory: None,
        }
    }
}

impl Limits {
    /// The most streams that [`streams_per_connection`](Self::streams_per_connection) allows.
    pub const MAX_STREAMS: usize = 4096;

    /// The most topics that [`topics`](Self::topics) allows: with the longest of names, they and that of the
    /// announcements fit into the one frame in which a new peer is told of them.
    pub const MAX_TOPICS: usize = 90;

    /// What yamux grants every stream from the start, in bytes.
    pub const STREAM_WINDOW: usize = yamux::DEFAULT_CREDIT as usize;

    /// The default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For a machine at home, among other programs: the default.
    #[must_use]
    pub fn home() -> Self {
        Self::default()
    }

    /// For a machine that is there to serve: four times the records and their bytes, and connections for many more
    /// peers, some of them behind one address. [`Config::memory_ceiling`](crate::Config::memory_ceiling) tells what
    /// that can take.
    #[must_use]
    pub fn server() -> Self {
        Self {
            store_records: 1_048_576,
            store_bytes: 256 * 1024 * 1024,
            remembered_sequences: 262_144,
            catalogue_packages: 524_288,
            catalogue_bytes: 512 * 1024 * 1024,
            remembered_peers: 16_384,
            connections: 1_024,
            connection_target: 192,
            pending_connections: 256,
            connections_per_ip: 32,
            ..Self::default()
        }
    }

    setters! {
        /// Sets [`waiting_calls`](Self::waiting_calls).
        with_waiting_calls: waiting_calls: usize,
        /// Sets [`running_queries`](Self::running_queries).
        with_running_queries: running_queries: usize,
        /// Sets [`commands_per_poll`](Self::commands_per_poll).
        with_commands_per_poll: commands_per_poll: usize,
        /// Sets [`network_events_per_poll`](Self::network_events_per_poll).
        with_network_events_per_poll: network_events_per_poll: usize,
        /// Sets [`own_packages`](Self::own_packages).
        with_own_packages: own_packages: usize,
        /// Sets [`store_records`](Self::store_records).
        with_store_records: store_records: usize,
        /// Sets [`store_records_per_owner`](Self::store_records_per_owner).
        with_store_records_per_owner: store_records_per_owner: usize,
        /// Sets [`store_bytes`](Self::store_bytes).
        with_store_bytes: store_bytes: usize,
        /// Sets [`store_memory_bytes`](Self::store_memory_bytes).
        with_store_memory_bytes: store_memory_bytes: usize,
        /// Sets [`store_records_per_peer`](Self::store_records_per_peer).
        with_store_records_per_peer: store_records_per_peer: usize,
        /// Sets [`requests_per_second`](Self::requests_per_second).
        with_requests_per_second: requests_per_second: u32,
        /// Sets [`request_burst`](Self::request_burst).
        with_request_burst: request_burst: u32,
        /// Sets [`announcements_per_second`](Self::announcements_per_second).
        with_announcements_per_second: announcements_per_second: u32,
        /// Sets [`announcement_burst`](Self::announcement_burst).
        with_announcement_burst: announcement_burst: u32,
        /// Sets [`remembered_sequences`](Self::remembered_sequences).
        with_remembered_sequences: remembered_sequences: usize,
        /// Sets [`cache_records`](Self::cache_records).
        with_cache_records: cache_records: usize,
        /// Sets [`catalogue_packages`](Self::catalogue_packages).
        with_catalogue_packages: catalogue_packages: usize,
        /// Sets [`catalogue_bytes`](Self::catalogue_bytes).
        with_catalogue_bytes: catalogue_bytes: usize,
        /// Sets [`queued_announcements`](Self::queued_announcements).
        with_queued_announcements: queued_announcements: usize,
        /// Sets [`topics`](Self::topics).
        with_topics: topics: usize,
        /// Sets [`remembered_peers`](Self::remembered_peers).
        with_remembered_peers: remembered_peers: usize,
        /// Sets [`blocked_peers`](Self::blocked_peers).
        with_blocked_peers: blocked_peers: usize,
        /// Sets [`pins`](Self::pins).
        with_pins: pins: usize,
        /// Sets [`connections`](Self::connections).
        with_connections: connections: u32,
        /// Sets [`connection_target`](Self::connection_target).
        with_connection_target: connection_target: u32,
        /// Sets [`connections_per_peer`](Self::connections_per_peer).
        with_connections_per_peer: connections_per_peer: u32,
        /// Sets [`pending_connections`](Self::pending_connections).
        with_pending_connections: pending_connections: u32,
        /// Sets [`connections_per_ip`](Self::connections_per_ip).
        with_connections_per_ip: connections_per_ip: u32,
        /// Sets [`routing_peers_per_ip`](Self::routing_peers_per_ip).
        with_routing_peers_per_ip: routing_peers_per_ip: usize,
        /// Sets [`routing_peers_per_subnet`](Self::routing_peers_per_subnet).
        with_routing_peers_per_subnet: routing_peers_per_subnet: usize,
        /// Sets [`count_private_addresses`](Self::count_private_addresses).
        with_count_private_addresses: count_private_addresses: bool,
        /// Sets [`addresses_per_peer`](Self::addresses_per_peer).
        with_addresses_per_peer: addresses_per_peer: usize,
        /// Sets [`streams_per_connection`](Self::streams_per_connection).
        with_streams_per_connection: streams_per_connection: usize,
        /// Sets [`receive_window`](Self::receive_window).
        with_receive_window: receive_window: usize,
    }

    /// Sets [`process_memory`](Self::process_memory).
    #[must_use]
    pub fn with_process_memory(mut self, bytes: u64) -> Self {
        self.process_memory = Some(bytes);
        self
    }

    /// The streams of a connection, for a transport that is given limits that nobody has validated.
    pub(crate) fn allowed_streams(&self) -> usize {
        self.streams_per_connection.clamp(1, Self::MAX_STREAMS)
    }

    /// The receive window in force: what was asked for, or the least that there can be.
    pub(crate) fn granted_window(&self) -> usize {
        self.receive_window.max(self.allowed_streams() * Self::STREAM_WINDOW)
    }

    /// Of the store's records, so many at the most are one owner's, or were put by one peer. A store that is made
    /// smaller is shared out as before; in one of a few records there is nothing to share out.
    fn largest_share(&self) -> usize {
        (self.store_records / 4).max(64)
    }

    /// The records of one owner in force: what was asked for, and no more than a share.
    pub(crate) fn granted_records_per_owner(&self) -> usize {
        self.store_records_per_owner.min(self.largest_share())
    }

    /// The records of one peer in force: what was asked for, and no more than a share.
    pub(crate) fn granted_records_per_peer(&self) -> usize {
        self.store_records_per_peer.min(self.largest_share())
    }

    /// The connections that others may have begun: strangers who take all of these leave a quarter to dial from.
    pub(crate) fn incoming_connections(&self) -> u32 {
        self.connections - self.connections / 4
    }

    /// The target in force: what was asked for, and fewer where those who dial could not fill so many places without taking
    /// the ones that are kept free. A node that never let anybody go would close.
    pub(crate) fn granted_target(&self) -> u32 {
        let most = self.incoming_connections().saturating_sub(self.scarce_places());
        self.connection_target.min(most).max(1)
    }

    /// Fewer places than that are scarce: room is made for those that come next. A sixteenth of the connections.
    pub(crate) fn scarce_places(&self) -> u32 {
        self.connections / 16 + 1
    }

    /// How many peers are remembered for what they have asked or sent lately: those that are connected, and as many that
    /// were a moment ago.
    pub(crate) fn recent_peers(&self) -> usize {
        (self.connections as usize).saturating_mul(2)
    }

    pub(super) fn validate(&self) -> Result<()> {
        let needed = [
            ("limits.waiting_calls", self.waiting_calls),
            ("limits.running_queries", self.running_queries),
            ("limits.commands_per_poll", self.commands_per_poll),
            ("limits.network_events_per_poll", self.network_events_per_poll),
            ("limits.store_records", self.store_records),
            ("limits.store_records_per_owner", self.store_records_per_owner),
            ("limits.store_records_per_peer", self.store_records_per_peer),
            ("limits.requests_per_second", self.requests_per_second as usize),
            ("limits.request_burst", self.request_burst as usize),
            ("limits.announcements_per_second", self.announcements_per_second as usize),
            ("limits.announcement_burst", self.announcement_burst as usize),
            ("limits.remembered_sequences", self.remembered_sequences),
            ("limits.connections", self.connections as usize),
            ("limits.connection_target", self.connection_target as usize),
            ("limits.connections_per_peer", self.connections_per_peer as usize),
            ("limits.pending_connections", self.pending_connections as usize),
            ("limits.connections_per_ip", self.connections_per_ip as usize),
            ("limits.routing_peers_per_ip", self.routing_peers_per_ip),
            ("limits.routing_peers_per_subnet", self.routing_peers_per_subnet),
            ("limits.addresses_per_peer", self.addresses_per_peer),
            ("limits.streams_per_connection", self.streams_per_connection),
        ];
        if let Some((field, _)) = needed.into_iter().find(|&(_, value)| value == 0) {
            return Err(Error::invalid(field, "must be at least 1"));
        }
        if self.store_bytes < MAX_RECORD_BYTES {
            let reason = format!("must be at least {MAX_RECORD_BYTES}: the bytes of one record");
            return Err(Error::invalid("limits.store_bytes", reason));
        }
        if self.topics > Self::MAX_TOPICS {
            let reason = format!("must be at most {}", Self::MAX_TOPICS);
            return Err(Error::invalid("limits.topics", reason));
        }
        if self.streams_per_connection > Self::MAX_STREAMS {
            let reason = format!("must be 1 to {}", Self::MAX_STREAMS);
            return Err(Error::invalid("limits.streams_per_connection", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn more_topics_than_a_new_peer_can_be_told_of_are_refused() {
        let with = |topics| Config::new().with_limits(Limits::new().with_topics(topics)).validate();
        assert_eq!(with(Limits::MAX_TOPICS), Ok(()));
        let refused = with(Limits::MAX_TOPICS + 1);
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == "limits.topics"));
    }

    #[test]
    fn nobody_has_more_than_a_quarter_of_a_store_that_is_made_smaller() {
        let granted = |limits: Limits| {
            [limits.granted_records_per_owner(), limits.granted_records_per_peer()]
        };
        assert_eq!(granted(Limits::new()), [65_536; 2]);
        let small = Limits::new().with_store_records(16_384);
        assert_eq!(granted(small.clone()), [4_096; 2]);
        assert_eq!(granted(small.with_store_records_per_owner(10)), [10, 4_096]);
        assert_eq!(granted(Limits::new().with_store_records(100)), [64; 2]);
        assert_eq!(granted(Limits::new().with_store_records(usize::MAX)), [65_536; 2]);
    }

    #[test]
    fn a_server_holds_four_times_as_much_as_a_home_and_from_each_peer_no_less() {
        let [home, server] = [Limits::home(), Limits::server()];
        assert_eq!(server.store_records, 4 * home.store_records);
        assert_eq!(server.store_bytes, 4 * home.store_bytes);
        // A peer's part of the bytes is that of its records.
        let bytes = |limits: &Limits| {
            limits.store_bytes / limits.store_records * limits.store_records_per_peer
        };
        assert!(bytes(&server) >= bytes(&home));
    }
}
