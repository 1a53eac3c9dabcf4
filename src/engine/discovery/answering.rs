//! What peers ask this node directly, and what it answers. A question costs its asker what it costs this node, out of the
//! same budget as the requests of the DHT; who has spent it is told to come back later.

use libp2p::PeerId;

use crate::{
    Coverage, Digest, Query, Refusal,
    counters::LetGo,
    engine::{
        Action, AskedId, Context, Discovery, Effects, Engine, Hearing, Now,
        reconcile::{self, Answered},
    },
    exchange::{Request, Response},
};

/// What an answer costs, in requests, beside what the length of the question does.
mod cost {
    use crate::engine::reconcile::Blocks;

    /// So many bytes are read for the price of a request: of digests to look up, or of fingerprints to check against
    /// what lies in their ranges.
    const READ: usize = 256;

    /// Reading what is asked, and what its length makes it cost.
    pub(in crate::engine) fn of_reading(request: &[u8]) -> u32 {
        requests(request.len() / READ).saturating_add(1)
    }

    /// Making a list of a slice of so many heads.
    pub(in crate::engine) fn of_listing(heads: usize) -> u32 {
        requests(heads / LISTED)
    }

    /// Hashing so much for a comparison.
    pub(in crate::engine) fn of_hashing(hashed: Blocks) -> u32 {
        requests(hashed.0 / HASHED)
    }

    /// Looking at so many entries of the index.
    pub(in crate::engine) fn of_looking(entries: usize) -> u32 {
        requests(entries / LOOKED)
    }

    fn requests(count: usize) -> u32 {
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Signatures, one verified and one made.
    pub(in crate::engine) const HELLO: u32 = 8;
    /// Finding ranges of the catalogue, before anything is hashed.
    pub(in crate::engine) const COMPARE: u32 = 16;
    /// So many blocks of the catalogue's digests are hashed for the price of a request.
    const HASHED: usize = 64;
    /// So many heads of the catalogue are looked through and sorted for the price of a request, where a list of a slice
    /// has to be made first.
    const LISTED: usize = 64;
    /// The bytes of up to a quarter of a megabyte.
    pub(in crate::engine) const FETCH: u32 = 16;
    pub(in crate::engine) const OFFER: u32 = 4;
    /// A few keys looked up.
    pub(in crate::engine) const EXPLAIN: u32 = 1;
    /// Taking note of it, and of others.
    pub(in crate::engine) const GOODBYE: u32 = 4;
    /// The bytes of what a search finds.
    pub(in crate::engine) const SEARCH: u32 = 32;
    /// So many entries of the index are looked at for the price of a request.
    const LOOKED: usize = 128;
    /// What cannot be read.
    pub(in crate::engine) const NONSENSE: u32 = 64;
}

/// When a peer that has asked too much may ask again, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

impl Discovery {
    fn compare(
        &mut self,
        cx: &Context,
        now: Now,
        peer: PeerId,
        slice: &Coverage,
        message: &[u8],
    ) -> Response {
        let held = self.held_list(now, slice);
        let items = held.unwrap_or_else(|| {
            // Whoever asks for slices that nobody else asks for pays for them, or could have one made each time. It is
            // paid afterwards, so that who has spent nothing yet is answered however large the catalogue is.
            cx.store.charge(peer, cost::of_listing(self.catalogue.len()));
            self.make_list(now, slice)
        });
        match reconcile::answer(&items, message) {
            // It is known only afterwards what a question takes: that depends on where its ranges end.
            Ok(Answered { message, hashed }) => {
                cx.store.charge(peer, cost::of_hashing(hashed));
                Response::Compared { message }
            }
            Err(_) => {
                cx.store.charge(peer, cost::NONSENSE);
                Response::Declined { retry_after_secs: RETRY_AFTER_SECS }
            }
        }
    }

    fn offered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        now: Now,
        peer: PeerId,
        digests: Vec<Digest>,
    ) -> Response {
        if cx.config.coverage != Coverage::None
            && let Some(neighbour) = self.neighbours.get_mut(&peer)
        {
            let catalogue = &self.catalogue;
            let is_new = |digest: &Digest| catalogue.by_digest(digest, now.unix).is_none();
            neighbour.offer(digests.into_iter().filter(is_new));
            if neighbour.has_offered() {
                self.neighbours.enqueue(peer);
                self.next_session(cx, out, now);
            }
        }
        Response::Noted
    }

    /// What is found here, as signed heads, so that nobody need believe this node.
    ///
    /// What it takes depends on how many packages have the words, and how many words are like them: some ten milliseconds
    /// where all of a hundred thousand match. It is paid afterwards.
    fn search_for_peer(&self, cx: &Context, now: Now, peer: PeerId, query: &Query) -> Response {
        let found = self.find(cx, now, query);
        cx.store.charge(peer, cost::of_looking(found.looked));
        let (heads, all) = Response::fitting(found.hits.iter().map(|(head, _)| head.bytes()));
        let more = !all || found.is_cut(query);
        let total = u64::try_from(found.total).unwrap_or(u64::MAX);
        Response::Hits { heads, total, more }
    }
}

impl Engine {
    /// A peer asks something: it is answered at once.
    pub(in crate::engine) fn asked(
        &mut self,
        now: Now,
        asked: AskedId,
        peer: PeerId,
        request: &[u8],
    ) {
        let response = self.respond(now, peer, request);
        if let Ok(response) = response.encode() {
            self.out.actions.push_back(Action::Answer { asked, response });
        }
    }

    fn respond(&mut self, now: Now, peer: PeerId, request: &[u8]) -> Response {
        let declined = Response::Declined { retry_after_secs: RETRY_AFTER_SECS };
        if self.cx.closed || self.is_blocked(&peer) {
            return declined;
        }
        // Who has spent all is not even read, and who goes on all the same is listened to no longer.
        match self.cx.store.charge(peer, cost::of_reading(request)) {
            Hearing::Served => {}
            Hearing::Unserved => return declined,
            Hearing::Closed => {
                self.peers.drop_peer(&mut self.out, peer, LetGo::Flood);
                return declined;
            }
        }
        let request = match Request::decode(request) {
            Ok(request) => request,
            Err(rejected) => {
                tracing::debug!(%peer, %rejected, "a question that cannot be read");
                self.cx.store.charge(peer, cost::NONSENSE);
                return declined;
            }
        };
        let cost = match &request {
            Request::Hello(_) => cost::HELLO,
            Request::Compare { .. } => cost::COMPARE,
            Request::Fetch { .. } => cost::FETCH,
            Request::Offer { .. } => cost::OFFER,
            Request::Search(_) => cost::SEARCH,
            Request::Explain { .. } => cost::EXPLAIN,
            Request::Goodbye { .. } => cost::GOODBYE,
        };
        if self.cx.store.charge(peer, cost) != Hearing::Served {
            return declined;
        }
        match request {
            Request::Hello(hello) => {
                match self
                    .discovery
                    .own_hello(&self.cx, now)
                    .filter(|_| self.meet(now, peer, &hello, None))
                {
                    Some(hello) => Response::Hello(hello),
                    None => declined,
                }
            }
            // It would seem to lack what it is about to have.
            Request::Compare { .. } if !self.discovery.restoring.is_empty() => declined,
            Request::Compare { slice, message } => {
                self.discovery.compare(&self.cx, now, peer, &slice, &message)
            }
            Request::Fetch { digests } => {
                let heads = digests
                    .iter()
                    .filter_map(|digest| self.discovery.catalogue.by_digest(digest, now.unix));
                Response::Heads { heads: Response::fitting(heads).0 }
            }
            Request::Offer { digests } => {
                self.discovery.offered(&self.cx, &mut self.out, now, peer, digests)
            }
            Request::Search(search) => match Query::try_from(search) {
                Ok(query) => self.discovery.search_for_peer(&self.cx, now, peer, &query),
                Err(_) => declined,
            },
            Request::Explain { keys } => {
                let refusals = keys.iter().map(|key| self.cx.store.refusal(&peer, key));
                let codes = refusals.map(|refusal| refusal.map_or(0, Refusal::code)).collect();
                Response::Refusals { codes }
            }
            Request::Goodbye { reason, others } => {
                self.peers.hear_goodbye(&self.cx, &mut self.out, now, peer, reason, others)
            }
        }
    }
}
