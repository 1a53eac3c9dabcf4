//! What peers ask this node directly, and what it answers. A question costs its asker what it costs this node, out of the
//! same budget as the requests of the DHT; who has spent it is told to come back later.

use libp2p::PeerId;

use crate::{
    coverage::Coverage,
    engine::{
        context::Context,
        discovery::{
            Discovery,
            reconcile::{self, Answered},
        },
        effects::Effects,
        interface::Now,
        store::Hearing,
    },
    exchange::{Other, Request, Response},
    package::{Digest, Query},
    record::RecordKey,
    refusal::Refusal,
};

/// What an answer costs, in requests, beside what the length of the question does.
mod cost {
    use crate::{engine::reconcile::Blocks, exchange::Request};

    /// So many bytes are read for the price of a request: of digests to look up, or of fingerprints to check against
    /// what lies in their ranges.
    const READ: usize = 256;

    /// Reading what is asked, and what its length makes it cost.
    pub(super) fn of_reading(request: &[u8]) -> u32 {
        requests(request.len() / READ).saturating_add(1)
    }

    /// Making a list of a slice of so many heads.
    pub(super) fn of_listing(heads: usize) -> u32 {
        requests(heads / LISTED)
    }

    /// Hashing so much for a comparison.
    pub(super) fn of_hashing(hashed: Blocks) -> u32 {
        requests(hashed.0 / HASHED)
    }

    /// Looking at so many entries of the index.
    pub(super) fn of_looking(entries: usize) -> u32 {
        requests(entries / LOOKED)
    }

    fn requests(count: usize) -> u32 {
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Signatures, one verified and one made.
    const HELLO: u32 = 8;
    /// Finding ranges of the catalogue, before anything is hashed.
    const COMPARE: u32 = 16;
    /// So many blocks of the catalogue's digests are hashed for the price of a request.
    const HASHED: usize = 64;
    /// So many heads of the catalogue are looked through and sorted for the price of a request, where a list of a slice
    /// has to be made first.
    const LISTED: usize = 64;
    /// The bytes of up to a quarter of a megabyte.
    const FETCH: u32 = 16;
    const OFFER: u32 = 4;
    /// A few keys looked up.
    const EXPLAIN: u32 = 1;
    /// Taking note of it, and of others.
    const GOODBYE: u32 = 4;
    /// The bytes of what a search finds.
    const SEARCH: u32 = 32;
    /// So many entries of the index are looked at for the price of a request.
    const LOOKED: usize = 128;
    /// What cannot be read.
    pub(super) const NONSENSE: u32 = 64;

    /// What a question costs before it is known what the answer takes.
    pub(super) fn of(request: &Request) -> u32 {
        match request {
            Request::Hello(_) => HELLO,
            Request::Compare { .. } => COMPARE,
            Request::Fetch { .. } => FETCH,
            Request::Offer { .. } => OFFER,
            Request::Search(_) => SEARCH,
            Request::Explain { .. } => EXPLAIN,
            Request::Goodbye { .. } => GOODBYE,
        }
    }
}

/// When a peer that has asked too much may ask again, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// What a peer's question comes to.
#[derive(Debug)]
pub(in crate::engine) enum Inquiry {
    Answered(Response),
    /// It goes on asking, though it has spent all and was told so.
    Flood,
    /// It says what it is. So does this node, in the answer, if it has said that as it should.
    Hello {
        theirs: Vec<u8>,
        own: Vec<u8>,
    },
    Goodbye {
        reason: u8,
        others: Vec<Other>,
    },
}

/// This node has no time for the question.
pub(in crate::engine) fn declined() -> Response {
    Response::Declined { retry_after_secs: RETRY_AFTER_SECS }
}

impl Discovery {
    /// A peer that is not blocked asks something.
    pub(in crate::engine) fn inquire(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        request: &[u8],
    ) -> Inquiry {
        // Who has spent all is not even read, and who goes on all the same is listened to no longer.
        match cx.store.charge(peer, cost::of_reading(request)) {
            Hearing::Served => {}
            Hearing::Unserved => return Inquiry::Answered(declined()),
            Hearing::Closed => return Inquiry::Flood,
        }
        let request = match Request::decode(request) {
            Ok(request) => request,
            Err(rejected) => {
                tracing::debug!(%peer, %rejected, "a question that cannot be read");
                cx.store.charge(peer, cost::NONSENSE);
                return Inquiry::Answered(declined());
            }
        };
        if cx.store.charge(peer, cost::of(&request)) != Hearing::Served {
            return Inquiry::Answered(declined());
        }
        Inquiry::Answered(match request {
            Request::Hello(theirs) => match self.own_hello(cx) {
                Some(own) => return Inquiry::Hello { theirs, own },
                None => declined(),
            },
            // It would seem to lack what it is about to have.
            Request::Compare { .. } if !self.restoring.is_over() => declined(),
            Request::Compare { slice, message } => self.compare(cx, peer, &slice, &message),
            Request::Fetch { digests } => self.fetched(cx.now(), &digests),
            Request::Offer { digests } => self.offered(cx, out, peer, digests),
            Request::Search(search) => match Query::try_from(search) {
                Ok(query) => self.search_for_peer(cx, peer, &query),
                Err(_) => declined(),
            },
            Request::Explain { keys } => explained(cx, &peer, &keys),
            Request::Goodbye { reason, others } => return Inquiry::Goodbye { reason, others },
        })
    }

    fn fetched(&self, now: Now, digests: &[Digest]) -> Response {
        let heads = digests.iter().filter_map(|digest| self.catalogue.by_digest(digest, now.unix));
        Response::Heads { heads: Response::fitting(heads).0 }
    }

    fn compare(
        &mut self,
        cx: &Context,
        peer: PeerId,
        slice: &Coverage,
        message: &[u8],
    ) -> Response {
        let now = cx.now();
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
                declined()
            }
        }
    }

    fn offered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        digests: Vec<Digest>,
    ) -> Response {
        if cx.config.coverage != Coverage::None
            && let Some(neighbour) = self.neighbours.get_mut(&peer)
        {
            let catalogue = &self.catalogue;
            let is_new = |digest: &Digest| catalogue.by_digest(digest, cx.now().unix).is_none();
            neighbour.offer(digests.into_iter().filter(is_new));
            if neighbour.has_offered() {
                self.neighbours.enqueue(peer);
                self.next_session(cx, out);
            }
        }
        Response::Noted
    }

    /// What is found here, as signed heads, so that nobody need believe this node.
    ///
    /// What it takes depends on how many packages have the words, and how many words are like them: some ten milliseconds
    /// where all of a hundred thousand match. It is paid afterwards.
    fn search_for_peer(&self, cx: &Context, peer: PeerId, query: &Query) -> Response {
        let found = self.find(cx, query);
        cx.store.charge(peer, cost::of_looking(found.looked));
        let (heads, all) = Response::fitting(found.hits.iter().map(|(head, _)| head.bytes()));
        let more = !all || found.is_cut(query);
        let total = u64::try_from(found.total).unwrap_or(u64::MAX);
        Response::Hits { heads, total, more }
    }
}

/// Why the store has refused what this peer has put under these keys.
fn explained(cx: &Context, peer: &PeerId, keys: &[RecordKey]) -> Response {
    let refusals = keys.iter().map(|key| cx.store.refusal(peer, key));
    let codes = refusals.map(|refusal| refusal.map_or(0, Refusal::code)).collect();
    Response::Refusals { codes }
}
