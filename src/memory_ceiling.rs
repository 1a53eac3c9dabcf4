//! How much memory a node takes at the most, by its configuration.

use crate::{
    config::{Budget, Config, Limits},
    record::{MAX_RECORD_BYTES, Verifier},
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A record's bytes, which are kept beside what they say.
const RECORD: u64 = MAX_RECORD_BYTES as u64;

/// What the manifest and the releases of one record take once they are read, with their share of the tables that
/// they stand in. Measured (`tests/memory.rs`) with the manifest that was found to grow most: 37 dependencies with 32
/// comparisons each, in a record of 6 KiB that takes 85 KiB in all.
const DECODED: u64 = 96 * KIB;

/// What a record that is held takes beside its bytes, with its share of the store's tables. Measured (`tests/memory.rs`)
/// where each has an owner and a package of its own and has been put by a peer, and rounded up: tables grow by doubling.
const HELD: u64 = 3 * KIB / 8;

// What follows is reckoned from the bounds in the code, here and in libp2p, and has not been measured by itself.

/// An entry in a table that remembers a package, a peer, a key or a name, with room that tables keep free.
const ENTRY: u64 = KIB / 2;

/// An entry of the catalogue beside the bytes of its head: what is known of it without reading it again, four providers,
/// and its share of the orders in which it stands. Measured (`tests/memory.rs`) with heads that each have an owner and a
/// peer of their own, and rounded up. With it go four places in sorted lists: three are kept, and a
/// comparison that is under way has its own. Each takes 43 bytes, or 96 where every digest was chosen to make the tree of
/// hashes as deep as it can be.
const LISTED: u64 = 2 * KIB;

/// What the search index takes for a byte of the catalogue, where every word is one that no other package has. A head
/// whose words take more counts for more bytes (`tests/memory.rs`).
const INDEXED_BYTE: u64 = crate::engine::index::INDEXED_BYTE as u64;

/// What a head counts for in the catalogue at the most: 8 KiB with its keywords, or what 1 KiB of a text without
/// spaces and as many keywords as there can be take in the index.
const COUNTED: u64 = RECORD + 4 * KIB;

/// A call that waits, and a command that stands in the queue. What a caller wants registered is the caller's.
const CALL: u64 = KIB;

/// A query of the DHT: the peers that it knows of, and twenty replies of 64 KiB, twice each.
const QUERY: u64 = 4 * MIB;

/// The seats of the routing table: 256 buckets of twenty, and eight who wait at each; and as many as are looked for once
/// they have left. An address is at most 128 bytes.
const SEATS: u64 = 256 * 28 + 20;
const ADDRESS: u64 = KIB / 4;

/// What one connection takes beside its window, if the peer reads nothing and asks for everything: 256 announcements
/// (2.2 MiB), 20,000 control messages (4 MiB) and 10,000 identifiers that are not to be sent (1.5 MiB) in gossipsub;
/// 48 requests and replies of 64 KiB in the DHT, two or three times each (9 MiB); frames of noise and yamux.
const CONNECTION: u64 = 16 * MIB;

/// A message that gossipsub keeps to send it to whoever asks, and how many times one peer has asked for it.
const KEPT_MESSAGE: u64 = RECORD + KIB;
const ASKED: u64 = 96;

/// A connection that is being set up: buffers of noise, and the task that moves it.
const PENDING: u64 = 256 * KIB;

/// The most that a node takes of memory, in bytes, term by term: see [`Config::memory_ceiling`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryCeiling {
    /// Records held for the network.
    pub store: u64,
    /// Records that were read or announced a while ago, what callers read of them without the node, and keys that
    /// were not found or were repaired.
    pub cache: u64,
    /// The newest heads of all packages that were heard of, which searches cover.
    pub catalogue: u64,
    /// What is remembered in short: highest sequences and epochs, conduct of peers, pins, messages that were heard, and
    /// signatures that were verified, and why records were refused.
    pub marks: u64,
    /// Calls that wait, announcements that nobody has heard, records on their way to others, and those that proofs of
    /// equivocations hold.
    pub queues: u64,
    /// What gossipsub remembers: the identifiers of messages for two minutes, and those that are relayed for five seconds.
    pub gossip: u64,
    /// DHT queries that run.
    pub queries: u64,
    /// The routing table.
    pub routing: u64,
    /// Connections, those that are being set up included.
    pub connections: u64,
}

impl MemoryCeiling {
    /// The sum of all terms.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { store, cache, catalogue, marks, queues, gossip, queries, routing, connections } =
            *self;
        [store, cache, catalogue, marks, queues, gossip, queries, routing, connections]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl Config {
    /// How much memory a node with this configuration takes at the most for what others can make it keep.
    ///
    /// Each term is a bound of [`Limits`] times the most that one such thing can take. What a record takes was
    /// measured and rounded up; what queries, seats and connections take is reckoned from the bounds in libp2p:
    ///
    /// | term | formula |
    /// |--|--|
    /// | `store` | the lesser of `store_records` × 8 KiB and `store_bytes`, + `store_records` × ⅜ KiB |
    /// | `cache` | `cache_records` × (8 KiB + 2 × 96 KiB + ½ KiB) + 4,096 × ½ KiB |
    /// | `catalogue` | 4 × the lesser of `catalogue_packages` × 12 KiB and `catalogue_bytes`, + `catalogue_packages` × 2 KiB + 16,384 × ½ KiB |
    /// | `marks` | (`remembered_sequences` + `remembered_peers` + `blocked_peers` + `pins` + 33,792) × ½ KiB |
    /// | `queues` | (`waiting_calls` + `command_capacity`) × 1 KiB + `queued_announcements` × 9 KiB + `topics` × ½ KiB + 777 × (8 KiB + 96 KiB) + 1,024 × 9 KiB |
    /// | `gossip` | 48 × (480 × `announcements_per_second` + `announcement_burst`) × ½ KiB + 4 × (20 × `announcements_per_second` + `announcement_burst`) × 9 KiB |
    /// | `queries` | `running_queries` × 4 MiB |
    /// | `routing` | 7,188 × (`addresses_per_peer` × ¼ KiB + ½ KiB) |
    /// | `connections` | `connections` × (`receive_window` + 16 MiB + 4 × (20 × `announcements_per_second` + `announcement_burst`) × 96 bytes) + 2 × `pending_connections` × ¼ MiB |
    ///
    /// 96 KiB is for the manifest that grows most when it is read; one that is full of text takes some 6 KiB.
    /// Nor does any peer that keeps to the protocols come near the term of the connections, which has every peer
    /// fill all that it is granted and read nothing. So this is what a machine has to stand in the worst case.
    /// [`Limits::process_memory`] stops new connections long before.
    ///
    /// Not part of it: what the application itself publishes and asks for, the program, and the waste of its allocator.
    ///
    /// ```
    /// use peerage::{Config, Limits};
    ///
    /// let home = Config::new().memory_ceiling();
    /// let small = Config::new().with_limits(Limits::new().with_connections(32)).memory_ceiling();
    /// assert!(small.connections < home.connections / 4);
    /// assert_eq!(home.total() - home.connections, small.total() - small.connections);
    /// ```
    #[must_use]
    pub fn memory_ceiling(&self) -> MemoryCeiling {
        // As long as the variables: no bound is forgotten when one is added.
        let Limits {
            waiting_calls,
            running_queries,
            store_records,
            store_bytes,
            remembered_sequences,
            cache_records,
            catalogue_packages,
            catalogue_bytes,
            queued_announcements,
            topics,
            remembered_peers,
            blocked_peers,
            pins,
            connections,
            pending_connections,
            addresses_per_peer,
            announcements_per_second: _,
            announcement_burst: _,
            // What the application publishes is its own matter; the rest bounds work, or is part of other bounds.
            own_packages: _,
            commands_per_poll: _,
            network_events_per_poll: _,
            store_records_per_owner: _,
            store_records_per_peer: _,
            store_memory_bytes: _,
            requests_per_second: _,
            request_burst: _,
            connection_target: _,
            connections_per_peer: _,
            connections_per_ip: _,
            routing_peers_per_ip: _,
            routing_peers_per_subnet: _,
            count_private_addresses: _,
            streams_per_connection: _,
            receive_window: _,
            process_memory: _,
        } = self.limits;
        MemoryCeiling {
            store: store(store_records, store_bytes),
            cache: cache(cache_records),
            catalogue: catalogue(catalogue_packages, catalogue_bytes),
            marks: marks([remembered_sequences, remembered_peers, blocked_peers, pins]),
            queues: times(waiting_calls.saturating_add(self.command_capacity), CALL)
                .saturating_add(times(queued_announcements, RECORD + KIB))
                .saturating_add(times(topics, ENTRY))
                .saturating_add(times(crate::engine::RECORDS_ASIDE, RECORD + DECODED))
                .saturating_add(times(2 * crate::node::MOST_FETCHES, RECORD + KIB)),
            gossip: gossip(&self.limits),
            queries: times(running_queries, QUERY),
            routing: SEATS.saturating_mul(times(addresses_per_peer, ADDRESS).saturating_add(ENTRY)),
            connections: u64::from(connections)
                .saturating_mul(connection(&self.limits))
                .saturating_add(2 * u64::from(pending_connections) * PENDING),
        }
    }
}

fn store(records: usize, most: usize) -> u64 {
    let encoded = times(records, RECORD).min(bytes(most));
    encoded.saturating_add(times(records, HELD))
}

fn cache(records: usize) -> u64 {
    let records = times(records, RECORD + 2 * DECODED + ENTRY);
    records.saturating_add(times(crate::engine::REMEMBERED_REPAIRS, ENTRY))
}

fn catalogue(packages: usize, most: usize) -> u64 {
    times(packages, COUNTED)
        .min(bytes(most))
        .saturating_mul(1 + INDEXED_BYTE)
        .saturating_add(times(packages, LISTED))
        .saturating_add(times(crate::engine::REMEMBERED_IN_VAIN, ENTRY))
}

/// What is remembered in short: what the limits bound, and what has a bound of its own.
fn marks(limited: [usize; 4]) -> u64 {
    let fixed = [
        crate::engine::REMEMBERED_MESSAGES,
        crate::engine::REMEMBERED_EPOCHS,
        crate::engine::REMEMBERED_AUTHORS,
        crate::engine::REMEMBERED_REFUSALS,
        Verifier::DEFAULT_CAPACITY,
    ];
    let all = limited.into_iter().chain(fixed);
    all.fold(0, |sum, count| sum.saturating_add(times(count, ENTRY)))
}

/// One connection that stands.
fn connection(limits: &Limits) -> u64 {
    let asked = kept_messages(limits).saturating_mul(ASKED);
    bytes(limits.granted_window()).saturating_add(CONNECTION).saturating_add(asked)
}

fn gossip(limits: &Limits) -> u64 {
    let remembered = crate::net::REMEMBERED.as_secs().try_into().unwrap_or(u32::MAX);
    let marks = Budget::REMEMBERED.messages(limits, remembered).saturating_mul(ENTRY);
    marks.saturating_add(kept_messages(limits).saturating_mul(KEPT_MESSAGE))
}

/// How many messages gossipsub keeps at a time.
fn kept_messages(limits: &Limits) -> u64 {
    Budget::RELAYED.messages(limits, crate::net::CACHED_SECS)
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn times(count: usize, each: u64) -> u64 {
    bytes(count).saturating_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_in_the_documented_formulas_are_those_of_the_code() {
        use crate::engine::{
            RECORDS_ASIDE, REMEMBERED_AUTHORS, REMEMBERED_EPOCHS, REMEMBERED_IN_VAIN,
            REMEMBERED_MESSAGES, REMEMBERED_REFUSALS, REMEMBERED_REPAIRS,
        };
        let remembered = REMEMBERED_MESSAGES
            + REMEMBERED_EPOCHS
            + REMEMBERED_AUTHORS
            + REMEMBERED_REFUSALS
            + Verifier::DEFAULT_CAPACITY;
        assert_eq!((remembered, RECORDS_ASIDE, REMEMBERED_REPAIRS), (33_792, 777, 4_096));
        assert_eq!(REMEMBERED_IN_VAIN, 16_384);
    }

    #[test]
    fn the_largest_limits_there_are_do_not_overflow() {
        let limits = Limits::new()
            .with_store_records(usize::MAX)
            .with_cache_records(usize::MAX)
            .with_waiting_calls(usize::MAX)
            .with_addresses_per_peer(usize::MAX)
            .with_connections(u32::MAX)
            .with_pending_connections(u32::MAX)
            .with_receive_window(usize::MAX);
        assert_eq!(Config::new().with_limits(limits).memory_ceiling().total(), u64::MAX);
    }

    #[test]
    fn a_server_may_take_more_than_a_home() {
        let ceiling = |limits| Config::new().with_limits(limits).memory_ceiling().total();
        assert_eq!(ceiling(Limits::home()), ceiling(Limits::new()));
        assert!(ceiling(Limits::server()) > 2 * ceiling(Limits::home()));
        assert_eq!(Config::new().with_limits(Limits::server()).validate(), Ok(()));
    }
}
