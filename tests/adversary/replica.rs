//! A peer of the DHT that looks like any other, and answers what it likes.

use std::{borrow::Cow, iter, sync::Arc};

use futures::StreamExt;
use libp2p::{
    StreamProtocol, Swarm, identify,
    swarm::{self, NetworkBehaviour, SwarmEvent},
};
use libp2p_kad as kad;
use libp2p_kad::{
    ProviderRecord, Record, RecordKey,
    store::{RecordStore, Result},
};
use peerage::{
    Limits, Multiaddr, NetworkName, PeerId,
    identity::Keypair,
    net::transport::{self, TransportConfig},
};

use crate::hostile::kad_protocol;

/// What is answered to whoever asks for a key.
pub(crate) type Answer = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// Acknowledges whatever is put to it, keeps none of it, and answers lookups as it was told.
struct Liar(Answer);

impl RecordStore for Liar {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let value = (self.0)(key.as_ref())?;
        Some(Cow::Owned(Record::new(key.clone(), value)))
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, _: ProviderRecord) -> Result<()> {
        Ok(())
    }

    fn providers(&self, _: &RecordKey) -> Vec<ProviderRecord> {
        Vec::new()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        iter::empty()
    }

    fn remove_provider(&mut self, _: &RecordKey, _: &PeerId) {}
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    identify: identify::Behaviour,
    kad: kad::Behaviour<Liar>,
}

/// A running hostile replica. It is gone when this is dropped.
pub(crate) struct Replica {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    _task: smol::Task<()>,
}

impl Replica {
    /// Listens within the process, and answers lookups with this.
    pub(crate) async fn start(answer: Answer) -> Self {
        let keypair = Keypair::generate_ed25519();
        let peer = keypair.public().to_peer_id();
        let protocol = StreamProtocol::try_from_owned(kad_protocol()).expect("a protocol");
        let mut settings = kad::Config::new(protocol);
        settings.set_max_packet_size(64 * 1024).set_periodic_bootstrap_interval(None);
        let mut kad = kad::Behaviour::with_config(peer, Liar(answer), settings);
        kad.set_mode(Some(kad::Mode::Server));
        let introduction = format!("/peerage/{}/1.0.0", NetworkName::default());
        let introduction = identify::Config::new(introduction, keypair.public());
        let behaviour = Behaviour { identify: identify::Behaviour::new(introduction), kad };
        let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new())
            .expect("a transport");
        let config = swarm::Config::with_executor(|task| smol::spawn(task).detach());
        let mut swarm = Swarm::new(transport, behaviour, peer, config);
        let listener = swarm.listen_on("/memory/0".parse().expect("an address"));
        listener.expect("a listener");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address.with_p2p(peer).expect("its own address");
            }
        };
        let task = smol::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self { peer, address, _task: task }
    }
}
