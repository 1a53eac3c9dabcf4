//! A node with a storage: what it writes, and what it comes back with.

use super::{
    harness::{Hearers, Steady},
    sleep::served,
    *,
};
use crate::{
    package::Announcement,
    storage::{Change, Memory, Storage, StorageError, Table},
};

/// A node with a storage, and the storage.
pub(super) struct Stored {
    pub(super) lab: Lab,
    pub(super) storage: Memory,
}

/// How a node starts.
pub(super) struct Start {
    keypair: Keypair,
    config: Config,
    /// How many seconds after [`UNIX`].
    after: u64,
}

impl Start {
    pub(super) fn new(keypair: &Keypair) -> Self {
        Self { keypair: keypair.clone(), config: Config::new(), after: 0 }
    }

    pub(super) fn after(self, after: u64) -> Self {
        Self { after, ..self }
    }

    pub(super) fn with_limits(self, limits: Limits) -> Self {
        Self { config: self.config.with_limits(limits), ..self }
    }

    /// Starts from what an earlier life has left here.
    pub(super) fn from(self, storage: Memory) -> Stored {
        let Self { keypair, config, after } = self;
        let drift = i64::try_from(after).unwrap();
        let now = Now { mono: STARTED, unix: UNIX + after };
        let shelf = Shelf::default();
        let store = SharedStore::new(keypair.public().to_peer_id(), &config, now.unix);
        let mut engine = Engine::new(keypair, config, store, Box::new(Steady(0)), shelf.clone());
        engine.note_changes(0);
        let rows = |table| Rows { table, rows: storage.scan(table, None, usize::MAX).unwrap() };
        let first =
            [Table::Sequences, Table::Epochs, Table::Pins, Table::Own, Table::Outbox].map(rows);
        engine.restore_first(now, &first).unwrap();
        engine.start(now);
        let (tickets, hearers) = (0, Hearers::nobody());
        let lab = Lab { engine, shelf, mono: now.mono, drift, tickets, hearers };
        let mut stored = Stored { lab, storage };
        stored.read(Table::Catalogue);
        let now = stored.lab.now();
        stored.lab.engine.catalogue_read(now);
        stored.read(Table::Held);
        stored.lab.engine.all_read();
        stored
    }
}

impl Stored {
    fn read(&mut self, table: Table) {
        let (now, rows) = (self.lab.now(), self.storage.scan(table, None, usize::MAX).unwrap());
        self.lab.engine.restore_more(now, &Rows { table, rows });
    }

    /// Writes whatever is to be written.
    pub(super) fn save(&mut self) {
        for _ in 0..9 {
            self.lab.advance(Duration::from_secs(2));
            let now = self.lab.now();
            while let Some(changes) = self.lab.engine.save(now) {
                self.storage.commit(&changes).unwrap();
                self.lab.engine.saved(now, &Ok(0));
            }
        }
    }

    /// The process ends.
    pub(super) fn stop(mut self) -> Memory {
        self.save();
        self.storage
    }

    /// Somebody is there to be asked.
    pub(super) fn join(&mut self) {
        self.lab.learn(Fact::Routable { peer: PeerId::random() });
    }

    pub(super) fn register(
        &mut self,
        name: &str,
        version: &str,
    ) -> Result<crate::package::Receipt> {
        let manifest = Manifest::new(name.parse().unwrap(), version.parse().unwrap());
        let manifest = Box::new(manifest);
        let (_, receipt) =
            self.lab.ask(|reply| Command::Register { manifest, confirmation: 0, reply });
        served(&mut self.lab);
        self.save();
        answer(receipt).expect("answered")
    }

    /// How many rows of own records there are.
    pub(super) fn rows(&self) -> usize {
        self.storage.scan(Table::Own, None, usize::MAX).unwrap().len()
    }
}

fn announce(lab: &mut Lab, text: &[u8]) -> Option<Result<Announcement>> {
    let data = text.to_vec();
    let (_, said) = lab.ask(|reply| Command::Announce { topic: "news".to_owned(), data, reply });
    for action in lab.actions() {
        if let Action::Publish { id, .. } = action {
            lab.learn(Fact::Published { id, outcome: Published::Unheard });
        }
    }
    answer(said)
}

fn queued(lab: &Lab) -> usize {
    lab.engine.publishing.outbox().waiting_on("news").len()
}

#[test]
fn what_waits_to_be_heard_outlives_a_node_that_stops_as_soon_as_it_has_started() {
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).from(Memory::new());
    for text in [b"one", b"two"] {
        assert_eq!(announce(&mut node.lab, text), None, "answered once it is durable");
        node.save();
    }
    let mut storage = node.stop();
    let rows = |storage: &Memory| storage.scan(Table::Outbox, None, 9).unwrap();
    let before = rows(&storage);
    for _ in 0..3 {
        let mut node = Start::new(&keypair).from(storage);
        assert_eq!(queued(&node.lab), 2);
        node.lab.engine.shut_down();
        storage = node.stop();
        assert_eq!(rows(&storage), before, "nothing is written anew");
    }
    // What comes next does not take their places.
    let mut node = Start::new(&keypair).from(storage);
    announce(&mut node.lab, b"three");
    node.save();
    assert_eq!((queued(&node.lab), rows(&node.storage).len()), (3, 3));
}

#[test]
fn what_was_queued_while_the_disk_was_full_is_written_when_the_node_stops() {
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).from(Memory::new());
    announce(&mut node.lab, b"one");
    let now = node.lab.now();
    let changes = node.lab.engine.save(now).expect("a caller waits");
    assert!(!changes.is_empty());
    node.lab.engine.saved(now, &Err(StorageError::Full));
    node.lab.engine.shut_down();
    let storage = node.stop();
    assert_eq!(queued(&Start::new(&keypair).from(storage).lab), 1);
}

#[test]
fn what_a_caller_was_not_told_of_is_dropped_when_the_node_stops() {
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).from(Memory::new());
    let (_, said) = node.lab.ask(|reply| {
        let (topic, data) = ("news".to_owned(), vec![1]);
        Command::Announce { topic, data, reply }
    });
    node.save();
    node.lab.engine.shut_down();
    assert_eq!(answer(said), Some(Err(Error::ShuttingDown)));
    assert!(node.stop().scan(Table::Outbox, None, 9).unwrap().is_empty());
}

#[test]
fn what_was_heard_while_the_node_stops_is_not_said_again() {
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).from(Memory::new());
    announce(&mut node.lab, b"one");
    node.save();
    node.lab.learn(Fact::Hearer { topic: "news".to_owned() });
    let actions = node.lab.actions();
    let sent = actions.iter().find_map(|action| match action {
        Action::Publish { id, .. } => Some(*id),
        _ => None,
    });
    node.lab.engine.shut_down();
    node.lab.learn(Fact::Published { id: sent.unwrap(), outcome: Published::Sent });
    assert!(node.stop().scan(Table::Outbox, None, 9).unwrap().is_empty());
}

#[test]
fn rows_of_announcements_that_cannot_be_taken_up_go() {
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).from(Memory::new());
    for number in 0..5 {
        announce(&mut node.lab, &[number]);
        node.save();
    }
    let storage = node.stop();
    let limits = Limits::new().with_queued_announcements(3);
    let mut node = Start::new(&keypair).with_limits(limits).from(storage);
    node.save();
    assert_eq!(node.storage.len(Table::Outbox).unwrap(), 3);
}

#[test]
fn records_of_others_that_go_are_no_change_that_a_caller_could_wait_for() {
    let limits = Limits::new().with_store_records(4);
    let mut node = Start::new(&Keypair::generate_ed25519()).with_limits(limits).from(Memory::new());
    node.register("mine", "1.0.0").unwrap();
    for number in 0..50 {
        let (_, head) = published(&format!("other-{number}"), 1);
        let _ = node.lab.engine.cx.store.insert(&head.key(), head.bytes());
        assert_eq!(node.lab.engine.cx.store.unsaved_own(), 0);
    }
    // All of them are over.
    node.lab.set_calendar(30 * 24 * 3600);
    for _ in 0..40 {
        node.lab.advance(Duration::from_secs(120));
    }
    assert!(node.lab.engine.cx.store.len() < 4);
    let changes = begin(&mut node.lab);
    let is_own = |change: &&Change| change.table == Table::Own && change.value.is_none();
    let gone = changes.iter().filter(is_own).count();
    assert!(gone <= 1, "{gone} own rows are removed, of which one is a claim");
}

/// The keys of a table's rows.
fn keys(storage: &Memory, table: Table) -> BTreeSet<Vec<u8>> {
    storage.scan(table, None, usize::MAX).unwrap().into_iter().map(|(key, _)| key).collect()
}

/// A commit begins: at once where own records have changed, and otherwise a while later.
fn begin(lab: &mut Lab) -> Vec<Change> {
    let now = lab.now();
    if let Some(changes) = lab.engine.save(now) {
        return changes;
    }
    lab.advance(Duration::from_secs(120));
    let now = lab.now();
    lab.engine.save(now).expect("something has changed")
}

/// What is written now cannot be.
fn fail(node: &mut Stored) -> usize {
    let rows = begin(&mut node.lab).len();
    let now = node.lab.now();
    node.lab.engine.saved(now, &Err(StorageError::Full));
    rows
}

#[test]
fn while_the_disk_is_full_what_waits_is_bounded_and_afterwards_the_rows_are_what_is_held() {
    let limits = Limits::new()
        .with_store_records(16)
        .with_catalogue_packages(16)
        .with_remembered_sequences(32);
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).with_limits(limits).from(Memory::new());
    let come = |node: &mut Stored, name: String| {
        let (_, head) = published(&name, 1);
        let _ = node.lab.engine.cx.store.insert(&head.key(), head.bytes());
        let now = node.lab.now();
        node.lab.engine.hear_from(now, None, "announcements", head.bytes());
    };
    (0..40).for_each(|number| come(&mut node, format!("before-{number}")));
    node.save();
    for round in 0..20 {
        (0..40).for_each(|number| come(&mut node, format!("while-{round}-{number}")));
        let rows = fail(&mut node);
        assert!(rows <= 2 * (16 + 16 + 32) + 16, "{rows} rows in round {round}");
    }
    let (_, receipt) = node.lab.ask(|reply| {
        let manifest = Box::new(Manifest::new("mine".parse().unwrap(), "1.0.0".parse().unwrap()));
        Command::Register { manifest, confirmation: 0, reply }
    });
    served(&mut node.lab);
    node.save();
    assert!(answer(receipt).unwrap().is_ok());
    assert_eq!(node.rows(), 3, "what is acknowledged is written");
    // Whoever starts from it knows all that was known, and nothing else.
    let known = |lab: &Lab| {
        let snapshot = lab.engine.snapshot();
        let mut catalogue = snapshot.catalogue().to_vec();
        catalogue.sort();
        (lab.engine.cx.store.len(), catalogue.len(), format!("{snapshot:?}"))
    };
    let held = keys(&node.storage, Table::Held);
    assert_eq!(held.len() + 3, node.lab.engine.cx.store.len());
    for digest in &held {
        let key = crate::record::RecordKey::of_digest(digest.as_slice().try_into().unwrap());
        assert!(node.lab.engine.cx.store.held(&key).is_some(), "a row of something that is gone");
    }
    let before = known(&node.lab);
    let after = Start::new(&keypair).from(node.stop());
    let (records, listed, _) = known(&after.lab);
    assert_eq!(
        (records, listed),
        (before.0, before.1 + 1),
        "its own package is listed until it is resumed"
    );
}

#[test]
fn an_old_row_of_the_catalogue_does_not_take_a_newer_one_with_it() {
    let keypair = Keypair::generate_ed25519();
    let (_, [old, new]) = two_heads("tool");
    let mut node = Start::new(&keypair).from(Memory::new());
    let hear = |node: &mut Stored, head: &Signed<Head>| {
        let now = node.lab.now();
        assert_eq!(
            node.lab.engine.hear_from(now, None, "announcements", head.bytes()),
            Verdict::Accept
        );
    };
    hear(&mut node, &old);
    node.save();
    let rows = node.storage.scan(Table::Catalogue, None, 9).unwrap();
    hear(&mut node, &new);
    // A commit with the newer head is under way while the old row is taken in, and so is its successor.
    let changes = begin(&mut node.lab);
    let now = node.lab.now();
    node.lab.engine.restore_more(now, &Rows { table: Table::Catalogue, rows });
    node.storage.commit(&changes).unwrap();
    node.lab.engine.saved(now, &Ok(0));
    node.save();
    let [(_, value)] = &node.storage.scan(Table::Catalogue, None, 9).unwrap()[..] else {
        panic!("the row is gone")
    };
    assert!(value.windows(new.bytes().len()).any(|window| *window == **new.bytes()));
}

#[test]
fn rows_of_the_catalogue_that_are_not_listed_any_more_go() {
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).from(Memory::new());
    for number in 0..4 {
        let (_, head) = published(&format!("tool-{number}"), 1);
        let now = node.lab.now();
        node.lab.engine.hear_from(now, None, "announcements", head.bytes());
    }
    let storage = node.stop();
    assert_eq!(storage.len(Table::Catalogue).unwrap(), 4);
    let mut start = Start::new(&keypair);
    start.config = Config::new().with_coverage(crate::coverage::Coverage::None);
    let mut node = start.from(storage);
    assert_eq!(node.lab.engine.discovery.catalogue().len(), 0);
    node.save();
    assert_eq!(node.storage.len(Table::Catalogue).unwrap(), 0);
}

#[test]
fn rows_that_do_not_say_what_their_keys_do_go() {
    let keypair = Keypair::generate_ed25519();
    let mut node = Start::new(&keypair).from(Memory::new());
    node.register("mine", "1.0.0").unwrap();
    let (_, head) = published("tool", 1);
    node.lab.engine.cx.store.insert(&head.key(), head.bytes()).unwrap();
    let now = node.lab.now();
    node.lab.engine.hear_from(now, None, "announcements", head.bytes());
    let storage = node.stop();
    let tables = [Table::Own, Table::Held, Table::Sequences, Table::Catalogue];
    let before = tables.map(|table| keys(&storage, table));
    for table in tables {
        let (_, value) = storage.scan(table, None, 1).unwrap().remove(0);
        for key in [vec![7; 32], [vec![7; 32], b"tool".to_vec()].concat(), vec![7; 3]] {
            let value = Some(value.clone());
            storage.commit(&[Change { table, key, value }]).unwrap();
        }
    }
    let mut node = Start::new(&keypair).from(storage);
    node.save();
    // The own package is listed until it is published again.
    let rows = tables.map(|table| keys(&node.storage, table));
    assert_eq!(rows[..3], before[..3]);
    assert!(rows[3].is_superset(&before[3]) && rows[3].len() == before[3].len() + 1);
}

#[test]
fn an_epoch_that_is_configured_outlives_a_restart_without_any_package_in_it() {
    let (owner, config) = (Keypair::generate_ed25519(), Config::new());
    let id = owner.public().to_peer_id();
    let storage = Memory::new();
    let start = |epoch: u32, storage: &Memory| {
        let store = SharedStore::new(id, &config, UNIX);
        let identity = Identity::new(owner.clone(), Authority::Owner { epoch });
        let (entropy, shelf) = (Box::new(Steady(0)), Shelf::default());
        let mut engine = Engine::new(identity, config.clone(), store, entropy, shelf);
        let now = Now { mono: STARTED, unix: UNIX };
        engine.note_changes(0);
        let rows = storage.scan(Table::Epochs, None, 9).unwrap();
        engine.restore_first(now, &[Rows { table: Table::Epochs, rows }]).unwrap();
        engine.start(now);
        engine
    };
    let mut engine = start(3, &storage);
    let later = Now { mono: STARTED + Duration::from_secs(9), unix: UNIX + 9 };
    assert!(engine.save(later).is_none(), "nobody waits for it");
    let later = Now { mono: later.mono + Duration::from_secs(9), unix: later.unix + 9 };
    let changes = engine.save(later).expect("the epoch");
    storage.commit(&changes).unwrap();
    engine.saved(later, &Ok(0));
    assert_eq!(start(0, &storage).cx.store.epoch(&id), 3);
}
