//! Who is dialed again: bootstrap addresses behind which nobody is connected, and peers of the neighbourhood that have
//! left.
//!
//! A node that has peers still dials those that it has lost. A bootstrap node that has started anew knows nobody, and
//! whoever joins through it would be in another network; and the two parts of a network that was cut find each other
//! only if somebody looks for the others.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId};

use super::{Company, connected::Introduction};
use crate::{
    clock::Entropy,
    config::Config,
    engine::{
        context::Context,
        deadlines::{Backoff, Deadline, jitter, spread},
        effects::Effects,
        interface::Action,
        peers::Peering,
        wheel,
    },
    event::Event,
    exchange::Other,
};

use contact::{Contact, Dialed};
use lost::Lost;
use pauses::Pauses;
use told::{Candidate, Told};

mod contact;
mod lost;
mod pauses;
mod told;

/// As many peers that have left as Kademlia keeps in a bucket. The ones closest to this node stay.
pub(in crate::engine) const MOST_LOST: usize = 20;

/// Pauses while there is nobody to ask, unless others are set to be shorter.
const ALONE_FIRST: Duration = Duration::from_secs(1);
const ALONE_LONGEST: Duration = Duration::from_secs(60);

/// Once the network has changed, whoever is away is dialed within this time, so that not all machines of a place do it at
/// once. That is so once in the interval.
const HURRY: Duration = Duration::from_secs(1);
const HURRY_INTERVAL: Duration = Duration::from_secs(10);

/// Who is dialed again, and when.
#[derive(Debug)]
pub(super) struct Rejoining {
    contacts: BTreeMap<Multiaddr, Contact>,
    lost: Lost,
    told: Told,
    pauses: Pauses,
    membership: Membership,
    alone: Backoff,
    /// When the network has changed last.
    hurried: Option<Duration>,
    /// The timer that is set, and when it falls due.
    timer: Option<(wheel::Key, Duration)>,
}

/// How far this node has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    /// Somebody can be asked, since then.
    Joined { since: Duration },
    /// That is being decided.
    Joining,
    /// There is nobody to ask. All who are away are dialed at this time.
    Alone { due: Duration },
}

impl Rejoining {
    pub(super) fn new(local: PeerId, config: &Config) -> Self {
        let interval = config.rejoin_interval;
        let pauses = Pauses::new(interval);
        let full = pauses.while_full();
        let contact = |address: &Multiaddr| (address.clone(), Contact::new(address, pauses, full));
        Self {
            contacts: config.bootstrap.iter().map(contact).collect(),
            lost: Lost::new(local, pauses, full),
            told: Told::default(),
            pauses,
            membership: Membership::Joining,
            alone: Backoff::new(ALONE_FIRST.min(interval), ALONE_LONGEST.min(interval)),
            hurried: None,
            timer: None,
        }
    }

    /// Whether the timer is set.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_waiting(&self) -> bool {
        self.timer.is_some()
    }

    /// The network may be another one than a moment ago: whoever is away is dialed soon. Tells whether that is news, since
    /// interfaces come several at a time.
    fn hurry(&mut self, now: Duration, entropy: &mut dyn Entropy) -> bool {
        if self.hurried.is_some_and(|at| now < at.saturating_add(HURRY_INTERVAL)) {
            return false;
        }
        self.hurried = Some(now);
        let soon = now.saturating_add(spread(HURRY, [0.0, 1.0], entropy));
        for contact in self.contacts.values_mut() {
            contact.hurry(soon);
        }
        self.lost.hurry(soon);
        if let Membership::Alone { due } = &mut self.membership {
            *due = soon.min(*due);
        }
        true
    }

    /// A peer of an earlier life is looked for.
    pub(super) fn known(&mut self, now: Duration, peer: PeerId, addresses: Vec<Multiaddr>) {
        self.lost.known(now, peer, addresses);
    }

    /// Whether the peer is behind a configured address.
    pub(super) fn is_contact(&self, peer: &PeerId) -> bool {
        self.contacts.values().any(|contact| contact.peer() == Some(*peer))
    }

    fn of(&mut self, peer: PeerId) -> impl Iterator<Item = &mut Contact> {
        self.contacts.values_mut().filter(move |contact| contact.peer() == Some(peer))
    }

    /// A first connection stands with a peer, whoever has dialed.
    pub(super) fn connected(&mut self, now: Duration, peer: PeerId) {
        self.lost.connected(now, &peer);
        for contact in self.of(peer) {
            contact.connected(now);
        }
    }

    /// Whether a peer had no room a moment ago, and may say so again.
    pub(super) fn is_in_doubt(&self, peer: &PeerId) -> bool {
        let mut contacts = self.contacts.values();
        contacts.any(|contact| contact.is_full() && contact.peer() == Some(*peer))
    }

    /// Those who had no room, and have kept a connection for long enough, have room.
    fn settle(&mut self, now: Duration) {
        for contact in self.contacts.values_mut() {
            contact.settle(now);
        }
    }

    /// A peer has no room. Whether it is behind a bootstrap address.
    pub(super) fn turned_away(&mut self, now: Duration, peer: PeerId) -> bool {
        let mut is_contact = false;
        for contact in self.of(peer) {
            contact.turned_away(now);
            is_contact = true;
        }
        is_contact
    }

    /// A peer without room has told of these, over a connection with this address.
    pub(super) fn told(&mut self, others: Vec<Other>, over: &Multiaddr) {
        self.told.hear(others, over);
    }

    /// How many of the bootstrap peers have no room, and how many there are. An address counts for a peer where it is not
    /// known who is behind it, and this node's own for none.
    pub(super) fn turning_away(&self) -> (usize, usize) {
        let mut peers: BTreeMap<Result<PeerId, &Multiaddr>, bool> = BTreeMap::new();
        for (address, contact) in &self.contacts {
            if !contact.is_itself() {
                *peers.entry(contact.peer().ok_or(address)).or_default() |= contact.is_full();
            }
        }
        (peers.values().filter(|is_full| **is_full).count(), peers.len())
    }

    /// Marks an address as being dialed, if nobody is connected behind it and it is due by this time; by the other one,
    /// where there was no room.
    fn begin(&mut self, address: &Multiaddr, by: [Duration; 2]) -> bool {
        self.contacts.get_mut(address).is_some_and(|contact| contact.begin(by))
    }

    /// Takes note of who is here. Once there is nobody, all who are away are dialed after a pause.
    fn look_around(&mut self, now: Duration, company: Company, entropy: &mut dyn Entropy) {
        let before = self.membership;
        if let Membership::Joined { since } = before
            && !matches!(company, Company::Members(_))
            && self.pauses.has_lasted(now, since)
        {
            self.alone.reset();
        }
        self.membership = match (company, before) {
            (Company::Members(_), Membership::Joined { .. })
            | (Company::Nobody, Membership::Alone { .. }) => before,
            (Company::Members(_), _) => Membership::Joined { since: now },
            (Company::Expected, _) => Membership::Joining,
            (Company::Nobody, _) => {
                let pause = jitter(self.alone.pause(), entropy);
                Membership::Alone { due: now.saturating_add(pause) }
            }
        };
    }

    /// This peer is here, and of no use. The addresses that have led to it: they are dialed again after a pause, since
    /// somebody else may be there by then.
    pub(super) fn misled(
        &mut self,
        now: Duration,
        peer: &PeerId,
        members: usize,
        entropy: &mut dyn Entropy,
    ) -> Vec<Multiaddr> {
        let mut addresses = Vec::new();
        for (address, contact) in &mut self.contacts {
            if contact.peer() == Some(*peer) && contact.is_here() {
                contact.misled(now, members, entropy);
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// When somebody is to be dialed.
    fn due(&self) -> Option<Duration> {
        let away = |is_full: bool| {
            let contacts = self.contacts.values().filter(move |it| it.is_full() == is_full);
            contacts.filter_map(Contact::due)
        };
        let first = away(false).chain(self.lost.due()).min();
        let first = match self.membership {
            Membership::Alone { due } => first.map(|first| due.min(first)),
            Membership::Joined { .. } | Membership::Joining => first,
        };
        // That a node is alone makes no room.
        let settles = self.contacts.values().filter_map(Contact::settles);
        first.into_iter().chain(away(true)).chain(settles).min()
    }
}

impl Peering {
    /// An interface has come, or the machine has slept: whoever is away may be reached now.
    pub(in crate::engine) fn network_changed(&mut self, cx: &Context, out: &mut Effects) {
        if !cx.closed && self.rejoining.hurry(cx.now().mono, &mut *out.entropy) {
            self.rejoin_later(cx, out);
        }
    }

    /// Whether bootstrap peers have no room, and somebody may be found yet by what they have told, or by asking again.
    pub(in crate::engine) fn is_led_on(&self) -> bool {
        let is_looking = self.rejoining.told.has_dialed() || self.rejoining.turning_away().0 > 0;
        // A contact that was dialed anew has not said yet whether it has room now.
        let is_open = self.peers.any_member(|peer| !self.goodbyes.has_heard(peer));
        is_looking && (is_open || self.peers.is_expecting()) && !self.has_company()
    }

    /// Whether nobody is here who can be asked, and bootstrap peers have no room.
    pub(in crate::engine) fn is_turned_away(&self) -> bool {
        !self.has_company() && self.rejoining.turning_away().0 > 0
    }

    /// Dials every bootstrap address behind which nobody is connected, in this order.
    pub(in crate::engine) fn dial_bootstrap(
        &mut self,
        out: &mut Effects,
        addresses: Vec<Multiaddr>,
    ) {
        self.dial_contacts(out, addresses, [Duration::MAX; 2]);
    }

    /// Whether nobody is here, and nobody is expected.
    pub(in crate::engine) fn is_alone(&self) -> bool {
        self.peers.company() == Company::Nobody
    }

    fn dial_contacts(&mut self, out: &mut Effects, addresses: Vec<Multiaddr>, by: [Duration; 2]) {
        for address in addresses {
            if self.rejoining.begin(&address, by) {
                self.rejoining.told.begin_round();
                self.peers.dial_started();
                out.actions.push_back(Action::DialBootstrap { address });
            }
        }
    }

    /// The timer has fallen due. Bootstrap addresses are dialed in this order.
    pub(in crate::engine) fn rejoin(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        addresses: Vec<Multiaddr>,
    ) {
        let now = cx.now();
        self.rejoining.timer = None;
        if cx.closed {
            return;
        }
        self.rejoining.settle(now.mono);
        let is_alone = match self.rejoining.membership {
            Membership::Alone { due } => due <= now.mono,
            Membership::Joined { .. } | Membership::Joining => false,
        };
        if is_alone {
            self.rejoining.membership = Membership::Joining;
        }
        let by = if is_alone { Duration::MAX } else { now.mono };
        self.dial_contacts(out, addresses, [by, now.mono]);
        let members = self.members();
        let entropy = &mut *out.entropy;
        for (peer, addresses) in self.rejoining.lost.take_due(now.mono, is_alone, members, entropy)
        {
            if !self.is_blocked(&peer) {
                out.actions.push_back(Action::Redial { peer, addresses });
            }
        }
        self.rejoin_later(cx, out);
    }

    /// Dials peers of which those without room have told, for as long as nobody else is there.
    fn dial_told(&mut self, cx: &Context, out: &mut Effects) {
        if self.has_company() {
            return self.rejoining.told.clear();
        }
        while let Some(Candidate { peer, addresses, over }) = self.rejoining.told.next() {
            if peer == cx.local || self.peers.is_connected(&peer) || self.is_blocked(&peer) {
                self.rejoining.told.ended(&peer);
                continue;
            }
            self.peers.dial_started();
            out.actions.push_back(Action::DialTold { peer, addresses, over });
        }
    }

    /// A dial to such a peer has ended.
    pub(in crate::engine) fn told_dialed(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: &PeerId,
    ) {
        if self.rejoining.told.ended(peer) {
            self.peers.dial_ended();
            self.rejoin_later(cx, out);
        }
    }

    /// Sets the timer anew. To be called when somebody has come or gone, or a dial has ended.
    pub(in crate::engine) fn rejoin_later(&mut self, cx: &Context, out: &mut Effects) {
        if cx.closed {
            return;
        }
        self.dial_told(cx, out);
        let company = self.peers.company();
        self.rejoining.look_around(cx.now().mono, company, &mut *out.entropy);
        let due = self.rejoining.due();
        if self.rejoining.timer.map(|(_, set)| set) == due {
            return;
        }
        if let Some((timer, _)) = self.rejoining.timer.take() {
            out.wheel.cancel(timer);
        }
        self.rejoining.timer = due.map(|due| (out.wheel.insert(due, Deadline::Rejoin), due));
    }

    /// A peer of the routing table is about to be gone. It is looked for at these addresses.
    pub(in crate::engine) fn leaving(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) {
        let is_contact = self.rejoining.is_contact(&peer);
        // Whom this node has let go is not looked for: others were worth more.
        let is_unwanted = self.is_blocked(&peer) || self.goodbyes.is_going(&peer);
        if cx.closed || is_contact || addresses.is_empty() || is_unwanted {
            return;
        }
        let (is_full, members) = (self.goodbyes.lacks_room(&peer), self.members());
        // It is there, and this node has others to ask: no two parts of a network would be joined by finding it.
        if is_full && members >= cx.connection_target() / 2 {
            return;
        }
        let entropy = &mut *out.entropy;
        self.rejoining.lost.left(cx.now().mono, peer, addresses, is_full, members, entropy);
    }

    /// The last connection with a peer has ended.
    pub(in crate::engine) fn left(&mut self, cx: &Context, out: &mut Effects, peer: PeerId) {
        let now = cx.now();
        let (is_full, members) = (self.goodbyes.lacks_room(&peer), self.members());
        let entropy = &mut *out.entropy;
        for contact in self.rejoining.of(peer) {
            contact.left(now.mono, is_full, members, entropy);
        }
        self.rejoin_later(cx, out);
        if let Some(timer) = self.goodbyes.forget(&peer) {
            out.wheel.cancel(timer);
        }
    }

    /// A dial to a bootstrap address has ended: with the peer that is there, or with the reason why none is.
    pub(in crate::engine) fn bootstrap_dialed(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        address: Multiaddr,
        end: Result<PeerId, String>,
    ) {
        let now = cx.now();
        self.peers.dial_ended();
        let members = self.members();
        let mut failure = end.as_ref().err().cloned();
        if let Some(contact) = self.rejoining.contacts.get_mut(&address) {
            let peer = contact.answered(end.ok());
            let introduction = peer.and_then(|peer| self.peers.introduction(&peer));
            if introduction.is_none() {
                contact.gone();
            }
            let fault = introduction.and_then(Introduction::fault);
            let end = match introduction {
                _ if peer == Some(cx.local) => Dialed::Itself,
                Some(_) if fault.is_some() => Dialed::Useless,
                Some(_) => Dialed::Here,
                None => Dialed::Nobody,
            };
            failure = match end {
                Dialed::Itself => Some("is this node itself".to_owned()),
                Dialed::Useless => fault,
                Dialed::Here | Dialed::Nobody => failure,
            };
            contact.dialed(now.mono, &end, members, &mut *out.entropy);
        }
        if let Some(reason) = failure {
            out.events.push_back(Event::BootstrapUnreachable { address, reason });
        }
        self.rejoin_later(cx, out);
    }
}
