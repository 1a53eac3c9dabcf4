//! Peers that are no nodes: raw Kademlia, over the same transport and under the same names as a node of this network.
//! They acknowledge every record and keep none, and serve what they are given.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use futures::{
    FutureExt as _, StreamExt as _,
    channel::{mpsc, oneshot},
};
use libp2p::{
    StreamProtocol, Swarm, identify,
    identity::Keypair,
    request_response::{self, Event, Message, ProtocolSupport, ResponseChannel},
    swarm::{self, NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle},
};
use libp2p_kad as kad;
use libp2p_kad::store::{MemoryStore, RecordStore as _};
use peerage::{
    Limits, Multiaddr, NetworkName, PeerId,
    net::transport::{self, TransportConfig},
    record::RecordKey,
};

use super::{Executor, bytes::Bytes};

/// What a node answers that has heard something, as it is written.
const NOTED: [u8; 2] = [1, 4];

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    /// Of those who speak it.
    exchange: Toggle<request_response::Behaviour<Bytes>>,
}

fn swarm(speaks: bool) -> Swarm<Behaviour> {
    let keypair = Keypair::generate_ed25519();
    let peer_id = keypair.public().to_peer_id();
    let network = NetworkName::default();
    let protocol = StreamProtocol::try_from_owned(format!("/peerage/{network}/kad/1.0.0"));
    let mut settings = kad::Config::new(protocol.expect("a protocol"));
    // Records are acknowledged and handed to the application, which does nothing with them.
    settings.set_record_filtering(kad::StoreInserts::FilterBoth);
    let mut kad = kad::Behaviour::with_config(peer_id, MemoryStore::new(peer_id), settings);
    kad.set_mode(Some(kad::Mode::Server));
    let introduction = identify::Config::new(format!("/peerage/{network}/1.0.0"), keypair.public());
    let exchange = request_response::Behaviour::new(
        [(StreamProtocol::new("/peerage/main/exchange/1.0.0"), ProtocolSupport::Full)],
        request_response::Config::default(),
    );
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(introduction),
        kad,
        exchange: Some(exchange).filter(|_| speaks).into(),
    };
    let transport =
        transport::tcp(&keypair, &TransportConfig::new(), &Limits::new()).expect("a transport");
    Swarm::new(
        transport,
        behaviour,
        peer_id,
        swarm::Config::with_executor(|task| {
            smol::spawn(task).detach();
        }),
    )
}

/// A raw peer that runs until this is dropped.
pub(crate) struct Raw {
    pub(crate) id: PeerId,
    pub(crate) address: Multiaddr,
    _running: oneshot::Sender<()>,
}

/// Starts one that dials this address, and serves the same under each of these keys.
pub(crate) async fn start(
    executor: Executor,
    bootstrap: Multiaddr,
    served: &[RecordKey],
    bytes: &[u8],
) -> Raw {
    let asked = Asked { passed_on: mpsc::unbounded().0, unanswered: None };
    run(executor, swarm(false), bootstrap, served, bytes, asked).await
}

/// The same, of one that notes what it is told. It passes on all that it is asked.
pub(crate) async fn start_attentive(
    executor: Executor,
    bootstrap: Multiaddr,
    served: &[RecordKey],
    bytes: &[u8],
) -> (Raw, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (passed_on, heard) = mpsc::unbounded();
    let asked = Asked { passed_on, unanswered: None };
    (run(executor, swarm(true), bootstrap, served, bytes, asked).await, heard)
}

/// The same, of one that serves nothing and never answers.
pub(crate) async fn start_silent(
    executor: Executor,
    bootstrap: Multiaddr,
) -> (Raw, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (passed_on, heard) = mpsc::unbounded();
    let asked = Asked { passed_on, unanswered: Some(Vec::new()) };
    (run(executor, swarm(true), bootstrap, &[], &[], asked).await, heard)
}

/// What a peer is asked over the exchange protocol.
struct Asked {
    passed_on: mpsc::UnboundedSender<Vec<u8>>,
    /// Of a peer that never answers, those who wait for it: they would hear of it if these were dropped.
    unanswered: Option<Vec<ResponseChannel<Vec<u8>>>>,
}

async fn run(
    executor: Executor,
    mut swarm: Swarm<Behaviour>,
    bootstrap: Multiaddr,
    served: &[RecordKey],
    bytes: &[u8],
    mut asked: Asked,
) -> Raw {
    for key in served {
        let record = kad::Record::new(key.as_bytes().to_vec(), bytes.to_vec());
        swarm.behaviour_mut().kad.store_mut().put(record).expect("room");
    }
    let id = *swarm.local_peer_id();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("listening");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let (running, mut ended) = oneshot::channel();
    executor.spawn(async move {
        swarm.dial(bootstrap).expect("a dial");
        loop {
            futures::select! {
                event = swarm.select_next_some() => take(&mut swarm, event, &mut asked),
                _ = (&mut ended).fuse() => return,
            }
        }
    });
    Raw { id, address, _running: running }
}

fn take(swarm: &mut Swarm<Behaviour>, event: SwarmEvent<BehaviourEvent>, asked: &mut Asked) {
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
            peer_id,
            info,
            ..
        })) => {
            for address in info.listen_addrs {
                swarm.behaviour_mut().kad.add_address(&peer_id, address);
            }
        }
        SwarmEvent::Behaviour(BehaviourEvent::Exchange(Event::Message {
            message: Message::Request { request, channel, .. },
            ..
        })) => {
            if let Some(unanswered) = &mut asked.unanswered {
                unanswered.push(channel);
            } else if let Some(exchange) = swarm.behaviour_mut().exchange.as_mut() {
                // Nobody may be there any more to hear it, on either side.
                let _ = exchange.send_response(channel, NOTED.to_vec());
            }
            let _ = asked.passed_on.unbounded_send(request);
        }
        _ => {}
    }
}
