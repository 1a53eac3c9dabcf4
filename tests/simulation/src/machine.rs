//! A machine: what stays while nodes come and go on it.

use std::time::Duration;

use peerage::{Config, Handle, Multiaddr, Node, TransportConfig, identity::Keypair};
use process::Random;

use crate::{
    args::Mutation, book::Life, clock::MachineClock, entropy::Seeded, network::Network,
    storage::Disk,
};

pub(crate) struct Machine {
    /// Its number, which is also that of its host in the network.
    pub(crate) number: usize,
    pub(crate) keypair: Keypair,
    pub(crate) clock: MachineClock,
    pub(crate) disk: Option<Disk>,
    /// The node that runs, if one does.
    pub(crate) running: Option<Running>,
    /// The task of a node that was asked to end.
    pub(crate) ending: Option<u64>,
    /// Since when it sleeps, if it does.
    pub(crate) asleep: Option<Duration>,
    pub(crate) lives: u32,
    pub(crate) random: Random,
}

pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) task: u64,
}

impl Machine {
    pub(crate) fn new(
        number: usize,
        has_disk: bool,
        mutation: Option<Mutation>,
        mut random: Random,
    ) -> Self {
        let mut secret = [0; 32];
        random.fill(&mut secret);
        let keypair = Keypair::ed25519_from_bytes(secret).expect("a secret of 32 bytes");
        let disk = has_disk.then(|| Disk::new(random.branch(), mutation));
        let clock = MachineClock::default();
        // Calendars are right to some tenths of a second.
        clock.set_skew(random.below(1000) as i64 - 500);
        Self {
            number,
            keypair,
            clock,
            disk,
            running: None,
            ending: None,
            asleep: None,
            lives: 0,
            random,
        }
    }

    pub(crate) fn life(&self) -> Life {
        Life { machine: self.number, number: self.lives }
    }

    /// A node of this machine's, with what is on its disk.
    pub(crate) fn node(
        &mut self,
        network: &Network,
        bootstrap: &[Multiaddr],
        transport: &TransportConfig,
    ) -> peerage::Result<(Node, Handle)> {
        self.lives += 1;
        let config = Config::new()
            .with_listen([network.address(self.number)])
            .with_bootstrap(bootstrap.iter().cloned());
        let builder = Node::builder(self.keypair.clone(), config)
            .with_transport(network.transport(self.number, &self.keypair, transport))
            .with_clock(std::sync::Arc::new(self.clock.clone()))
            .with_entropy(Seeded(self.random.branch()));
        match &self.disk {
            Some(disk) => builder.with_storage(disk.clone()).build(),
            None => builder.build(),
        }
    }
}
