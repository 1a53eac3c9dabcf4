//! Nodes over channels, with the handshakes and streams of real connections.

mod codec;
mod foreign;
mod others;
mod raw;
mod rest;
mod serving;
mod streams;

use std::{cell::RefCell, future::Future, rc::Rc, sync::Arc, time::Duration};

use async_io::Timer;
use futures::{
    StreamExt as _,
    executor::{LocalPool, LocalSpawner},
    future::{Either, select},
    task::LocalSpawnExt as _,
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    core::upgrade::Version,
    identity::Keypair,
    swarm::{self, NetworkBehaviour, SwarmEvent},
};

use super::{alarm::Times, *};
use crate::{
    config::{DhtMode, Limits},
    engine::dht::message::{Contact, Failure, Request, RequestId, Response, Value},
    net::transport::{self, TransportConfig},
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/peerage/test/kad/1.0.0");

/// Runs a test, and fails it if it hangs. What it spawns ends with it.
fn run<F: Future>(test: impl FnOnce(LocalSpawner) -> F) -> F::Output {
    let mut pool = LocalPool::new();
    let test = Box::pin(test(pool.spawner()));
    match pool.run_until(select(test, Timer::after(Duration::from_secs(60)))) {
        Either::Left((value, _)) => value,
        Either::Right(_) => panic!("the test hangs"),
    }
}

fn swarm_with<B: NetworkBehaviour>(
    behaviour: impl FnOnce(PeerId) -> B,
    idle: Duration,
) -> Swarm<B> {
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new()).unwrap();
    let config = swarm::Config::without_executor()
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_idle_connection_timeout(idle);
    Swarm::new(transport, behaviour(peer), peer, config)
}

fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(PeerId) -> B) -> Swarm<B> {
    swarm_with(behaviour, Duration::from_secs(60))
}

async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

async fn connect<B: NetworkBehaviour>(swarm: &mut Swarm<B>, address: &Multiaddr) -> PeerId {
    swarm.dial(address.clone()).unwrap();
    loop {
        if let SwarmEvent::ConnectionEstablished { peer_id, .. } = swarm.select_next_some().await {
            return peer_id;
        }
    }
}

/// Lets a Swarm move until the test ends.
fn drive<B: NetworkBehaviour>(spawner: &LocalSpawner, mut swarm: Swarm<B>) {
    let drive = async move {
        loop {
            swarm.next().await;
        }
    };
    spawner.spawn_local(drive).unwrap();
}

/// A server of ours, and what it was asked.
struct Server {
    address: Multiaddr,
    asked: Rc<RefCell<Vec<Request>>>,
}

/// Starts a server that answers like this. Nothing means that it never answers.
async fn serve(
    spawner: &LocalSpawner,
    times: Times,
    mut answer: impl FnMut(&Request) -> Option<Response> + 'static,
) -> Server {
    let mut swarm = swarm(|_| Behaviour::new(PROTOCOL, DhtMode::Server).with_times(times));
    let address = listen(&mut swarm).await;
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&asked);
    let drive = async move {
        loop {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(Event::Asked { asked, request, .. }) = event {
                log.borrow_mut().push(request.clone());
                if let Some(response) = answer(&request) {
                    swarm.behaviour_mut().answer(asked, response);
                }
            }
        }
    };
    spawner.spawn_local(drive).unwrap();
    Server { address, asked }
}

/// One who asks.
struct Client {
    swarm: Swarm<Behaviour>,
    next: u64,
}

impl Client {
    fn new() -> Self {
        Self::with_times(Times::DEFAULT)
    }

    fn with_times(times: Times) -> Self {
        let behaviour = |_| Behaviour::new(PROTOCOL, DhtMode::Client).with_times(times);
        Self { swarm: swarm(behaviour), next: 0 }
    }

    async fn connect(&mut self, address: &Multiaddr) -> PeerId {
        connect(&mut self.swarm, address).await
    }

    fn begin(&mut self, peer: PeerId, request: Request) -> RequestId {
        self.next += 1;
        let id = RequestId(self.next);
        self.swarm.behaviour_mut().ask(id, peer, request);
        id
    }

    fn cancel(&mut self, id: RequestId) {
        self.swarm.behaviour_mut().cancel(id);
    }

    /// The next request that ends, and how.
    async fn ended(&mut self) -> (RequestId, Result<Response, Failure>) {
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(Event::Answered { request, response, .. }) => {
                    return (request, Ok(response));
                }
                SwarmEvent::Behaviour(Event::Failed { request, why, .. }) => {
                    return (request, Err(why));
                }
                _ => {}
            }
        }
    }

    async fn ask(&mut self, peer: PeerId, request: Request) -> Result<Response, Failure> {
        let id = self.begin(peer, request);
        let (ended, outcome) = self.ended().await;
        assert_eq!(ended, id);
        outcome
    }

    /// Lets time pass, in which nothing is to be told.
    async fn wait(&mut self, millis: u64) {
        let timer = Timer::after(Duration::from_millis(millis));
        match select(Box::pin(self.ended()), timer).await {
            Either::Left((ended, _)) => panic!("{ended:?}"),
            Either::Right(_) => {}
        }
    }
}

fn key(number: u32) -> Arc<[u8]> {
    format!("/pg/{number}").into_bytes().into()
}

fn find(number: u32) -> Request {
    Request::FindNode { key: key(number) }
}

fn get(number: u32) -> Request {
    Request::GetValue { key: key(number) }
}

fn value(number: u32) -> Value {
    Value { key: key(number), bytes: vec![7; 600].into() }
}

fn contact(addresses: &[&str]) -> Contact {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Contact { peer: PeerId::random(), addresses }
}

/// Long enough for nobody to notice, short enough for a test.
const HASTY: Times = Times {
    idle: Duration::from_millis(200),
    idle_inbound: Duration::from_millis(600),
    request: Duration::from_millis(300),
};
