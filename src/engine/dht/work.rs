//! What is under way: lookups, and records on their way.

use std::sync::Arc;

use libp2p::PeerId;

use super::{
    lookup::{Expectation, Heard, Lookup, Neighbours},
    message::{Contact, Request, Told, Value},
    requests::Kind,
    storing::Storing,
};
use crate::keyspace::Key;

/// Something under way.
#[derive(Debug)]
pub(super) enum Work {
    Search(Search),
    Put(Put),
}

/// A lookup, and what it is for.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) lookup: Lookup,
    /// The key as it is on the wire.
    name: Arc<[u8]>,
    pub(super) goal: Goal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Copies of the record under the key.
    Copies,
    /// To know who is there.
    Fill,
}

/// A record that is put to those who are closest to its key.
///
/// It is sent at once to those who are near enough to be among them for certain, while the others are looked up
/// ([Optimistic Provide]). The lookup ends when it is known who is closest, and they need not all be asked for that. Who was
/// closest a moment ago need not be looked up again.
///
/// [Optimistic Provide]: https://tysong.github.io/files/INFOCOM24-IPFS.pdf
#[derive(Debug)]
pub(super) struct Put {
    /// None once it is known who is closest.
    lookup: Option<Lookup>,
    pub(super) storing: Storing,
}

impl Put {
    /// To `near` at once, and then to whom the lookup finds, `most` in all.
    pub(super) fn located(lookup: Lookup, value: Value, near: Vec<Contact>, most: usize) -> Self {
        Self { lookup: Some(lookup), storing: Storing::new(value, near, most) }
    }

    /// To the first of these that can be reached, `most` in all.
    pub(super) fn known(value: Value, peers: Vec<Contact>, most: usize) -> Self {
        Self { lookup: None, storing: Storing::new(value, peers, most) }
    }

    fn next(&mut self) -> Option<(Kind, Contact)> {
        if let Some(contact) = self.storing.next() {
            return Some((Kind::Put, contact));
        }
        if let Some(lookup) = self.lookup.take_if(|lookup| lookup.is_finished()) {
            let Neighbours { likely, doubtful } = lookup.neighbours();
            self.storing.extend(likely, doubtful);
            return self.storing.next().map(|contact| (Kind::Put, contact));
        }
        self.lookup.as_mut()?.next().map(|contact| (Kind::Question, contact))
    }
}

impl Work {
    pub(super) fn get(lookup: Lookup, name: Arc<[u8]>) -> Self {
        Self::Search(Search { lookup, name, goal: Goal::Copies })
    }

    pub(super) fn fill(lookup: Lookup, name: Arc<[u8]>) -> Self {
        Self::Search(Search { lookup, name, goal: Goal::Fill })
    }

    /// Whom to ask what now, with addresses where the table knows none.
    pub(super) fn next(&mut self) -> Option<(Kind, Contact)> {
        match self {
            Self::Search(search) => search.lookup.next().map(|contact| (Kind::Question, contact)),
            Self::Put(put) => put.next(),
        }
    }

    /// Whether nobody is waited for, or asked any more. [`next`](Self::next) has said that there is nobody.
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Search(search) => search.lookup.is_finished(),
            Self::Put(put) => put.lookup.is_none() && put.storing.is_finished(),
        }
    }

    pub(super) fn request(&self, kind: Kind) -> Request {
        match (self, kind) {
            (Self::Search(Search { name, goal: Goal::Copies, .. }), _) => {
                Request::GetValue { key: Arc::clone(name) }
            }
            (Self::Search(Search { name, goal: Goal::Fill, .. }), _) => {
                Request::FindNode { key: Arc::clone(name) }
            }
            (Self::Put(put), Kind::Put) => Request::PutValue(put.storing.value.clone()),
            (Self::Put(put), Kind::Question) => {
                Request::FindNode { key: Arc::clone(&put.storing.value.key) }
            }
        }
    }

    /// Whether this is still to be asked: of a put, nobody is looked for once it is known who is closest.
    pub(super) fn wants(&mut self, kind: Kind) -> bool {
        kind == Kind::Put || self.lookup().is_some()
    }

    /// The lookup that is under way, if one is.
    fn lookup(&mut self) -> Option<&mut Lookup> {
        match self {
            Self::Search(search) => Some(&mut search.lookup),
            Self::Put(put) => put.lookup.as_mut(),
        }
    }

    /// A peer has told of others, of whom `standing` tells what this node knows. `local` is none of them.
    pub(super) fn heard(
        &mut self,
        local: &PeerId,
        peer: &PeerId,
        heard: Heard,
        closer: &Told,
        standing: impl Fn(&PeerId, &Key) -> Expectation,
    ) {
        if let Some(lookup) = self.lookup() {
            let closer = closer.read().into_owned();
            let others = closer.into_iter().filter(|contact| contact.peer != *local);
            let others = others.map(|contact| {
                let key = Key::of_peer(&contact.peer);
                (key, standing(&contact.peer, &key), contact)
            });
            lookup.answered(peer, heard, others);
        }
    }

    /// A peer says whether it keeps the record.
    pub(super) fn kept(&mut self, peer: &PeerId, is_kept: bool) {
        if let Self::Put(put) = self {
            put.storing.answered(peer, is_kept);
        }
    }

    /// One more may be asked beside this one, or sent the record.
    pub(super) fn hedge(&mut self, kind: Kind, peer: &PeerId) {
        self.missed(kind, peer, Storing::slow, Lookup::hedge);
    }

    pub(super) fn overdue(&mut self, kind: Kind, peer: &PeerId) {
        self.missed(kind, peer, Storing::overdue, Lookup::overdue);
    }

    /// Nobody was reached where the peer is said to be.
    pub(super) fn unreachable(&mut self, kind: Kind, peer: &PeerId) {
        self.missed(kind, peer, Storing::failed, Lookup::unreachable);
    }

    pub(super) fn failed(&mut self, kind: Kind, peer: &PeerId) {
        self.missed(kind, peer, Storing::failed, Lookup::failed);
    }

    /// A peer has not answered: what that is to a record on its way, and what to a lookup.
    fn missed(
        &mut self,
        kind: Kind,
        peer: &PeerId,
        to_storing: fn(&mut Storing, &PeerId),
        to_lookup: fn(&mut Lookup, &PeerId),
    ) {
        match (self, kind) {
            (Self::Put(put), Kind::Put) => to_storing(&mut put.storing, peer),
            (work, _) => {
                if let Some(lookup) = work.lookup() {
                    to_lookup(lookup, peer);
                }
            }
        }
    }
}
