//! What gossip carries: heads and messages, one after the other, as an engine hears them.
//!
//! What verifies is relayed, what may be nobody's fault is dropped, and only what never can have been valid is held
//! against its sender. Whatever is relayed verifies again and is what its owner would sign again; heard twice, it is
//! no news; and once a head has been heard, no older one is relayed.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use libp2p::identity::Keypair;
use peerage::{
    Config, Event, PackageName, PeerId,
    fuzzing::{Heard, Listener},
    record::{EquivocationProof, Head, Kind, Rank, Rejected, Seen, Signed},
};
use peerage_fuzz::{NETWORK, NOW, check, sealed::Sealed};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Raw(&'a [u8]),
    Sealed(Vec<Sealed<'a>>),
}

fuzz_target!(|input: Input| {
    // Somebody of whom nothing is heard: what others say in a node's own name is another matter.
    let keypair = Keypair::ed25519_from_bytes([99; 32]).expect("any 32 bytes are a key");
    let config = Config::new().with_network(NETWORK.clone());
    let mut network =
        Network { listener: Listener::new(keypair, config, NOW), newest: HashMap::new() };
    match input {
        Input::Raw(bytes) => network.hear(bytes),
        Input::Sealed(records) => {
            for sealed in records.iter().take(4) {
                network.hear(&sealed.bytes());
            }
        }
    }
});

struct Network {
    listener: Listener,
    /// The newest head that was relayed of each package.
    newest: HashMap<(PeerId, PackageName), Rank>,
}

impl Seen for &Network {
    fn rank(&self, _: Kind, owner: &PeerId, name: &PackageName) -> Option<Rank> {
        self.newest.get(&(*owner, name.clone())).copied()
    }

    /// No publisher but the owner signs here.
    fn epoch(&self, _: &PeerId) -> u32 {
        0
    }
}

impl Network {
    fn hear(&mut self, bytes: &[u8]) {
        check::unasked(bytes);
        self.hear_announcement(bytes);
        self.hear_message(bytes);
    }

    fn hear_announcement(&mut self, bytes: &[u8]) {
        let verified = Signed::<Head>::verify_announcement(&NETWORK, bytes, NOW, &*self);
        let (heard, events) = self.listener.announcement(bytes);
        assert_eq!(heard, expected(&verified));
        let Ok(head) = verified else {
            assert_eq!(events, [], "what is not relayed is no news");
            return;
        };
        for event in events {
            match event {
                Event::Discovered { package } => {
                    assert_eq!((package.owner, package.id.name()), (head.owner, &head.name));
                    assert_eq!(Some(&package.manifest), head.latest());
                }
                Event::Withdrawn { id } => {
                    assert_eq!((id.owner(), id.name()), (Some(&head.owner), &head.name));
                    assert!(head.is_withdrawn());
                }
                Event::Equivocation { owner, name, proof } => {
                    assert_eq!((owner, &name), (head.owner, &head.name));
                    assert!(self.newest.contains_key(&(owner, name)), "there is another one");
                    let read = EquivocationProof::verify(&NETWORK, &proof.to_bytes());
                    assert_eq!(read.as_ref(), Ok(&proof), "anybody can verify it");
                }
                Event::Yanked { id, .. }
                | Event::Unyanked { id }
                | Event::Deprecated { id, .. }
                | Event::Undeprecated { id } => {
                    let package = (head.owner, head.name.clone());
                    assert_eq!((id.owner(), id.name()), (Some(&package.0), &package.1));
                    assert!(self.newest.contains_key(&package), "an earlier head said otherwise");
                }
                other => panic!("{other:?} is not about a head"),
            }
        }
        self.newest.insert((head.owner, head.name.clone()), head.rank());
        assert_eq!(self.listener.announcement(bytes), (Heard::Accepted, vec![]), "no news");
    }

    fn hear_message(&mut self, bytes: &[u8]) {
        let verified = check::message(bytes);
        let (heard, events) = self.listener.message(bytes);
        match verified {
            Ok(message) if message.topic == Listener::TOPIC => {
                let (topic, author) = (message.topic.clone(), message.author);
                let said = Event::Message { topic, author, data: message.data.clone() };
                // The same may have been said before.
                match heard {
                    Heard::Accepted => assert_eq!(events, [said]),
                    _ => assert_eq!((heard, events), (Heard::Ignored, vec![])),
                }
                assert_eq!(self.listener.message(bytes), (Heard::Ignored, vec![]), "no news");
            }
            // Carried over from another topic.
            Ok(_) => assert_eq!((heard, events), (Heard::Rejected, vec![])),
            Err(_) => assert_eq!((heard, events), (expected(&verified), vec![])),
        }
    }
}

fn expected<T>(verified: &Result<T, Rejected>) -> Heard {
    match verified {
        Ok(_) => Heard::Accepted,
        Err(rejected) if rejected.is_excusable() => Heard::Ignored,
        Err(_) => Heard::Rejected,
    }
}
