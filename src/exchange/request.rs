use super::{MAX_RESPONSE_BYTES, Other, Search};
use crate::{coverage::Coverage, package::Digest, record::RecordKey};

/// What a node asks of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Who are you? The record of the asker's own hello; a [`Response::Hello`] comes back.
    Hello(Vec<u8>),
    /// A question of a comparison of what both have in a slice of the catalogue: [`Response::Compared`], or
    /// [`Response::Declined`].
    Compare {
        /// The slice.
        slice: Coverage,
        /// The question.
        message: Vec<u8>,
    },
    /// Heads by the digests of their bodies, 1 to 1,024, each once: [`Response::Heads`].
    Fetch {
        /// The digests.
        digests: Vec<Digest>,
    },
    /// Heads that the asker has and takes the other to lack, 1 to 2,048, each once: [`Response::Noted`]. The other
    /// fetches those that it wants, when it wants.
    Offer {
        /// The digests.
        digests: Vec<Digest>,
    },
    /// A page of what a search finds: [`Response::Hits`], or [`Response::Declined`].
    Search(Search),
    /// Why has the other refused what the asker has put under these keys? 1 to 16, each once: [`Response::Refusals`]. It is
    /// asked of those only who say in their hello that they answer it.
    Explain {
        /// The keys.
        keys: Vec<RecordKey>,
    },
    /// The asker is about to end the connection: [`Response::Noted`]. It waits for the answer for a moment only. A version
    /// that does not know this declines, which is as good.
    Goodbye {
        /// The code of a [`Farewell`](crate::Farewell). Later versions may have others.
        reason: u8,
        /// Others that may have room, at most eight, each once. They mean something where the asker has none.
        others: Vec<Other>,
    },
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    /// The record of the answerer's own hello.
    Hello(Vec<u8>),
    /// The answer of a comparison.
    Compared {
        /// The answer.
        message: Vec<u8>,
    },
    /// Not now.
    Declined {
        /// How long to wait before asking again, in seconds.
        retry_after_secs: u32,
    },
    /// Heads, as many as fit, in the order in which they were asked for. Those that the answerer has not are absent.
    Heads {
        /// The records.
        heads: Vec<Vec<u8>>,
    },
    /// The offer has been heard. It promises nothing.
    Noted,
    /// What a search has found.
    Hits {
        /// The records of the heads, the best first; as many as fit.
        heads: Vec<Vec<u8>>,
        /// How many there are in all.
        total: u64,
        /// Whether others come after these.
        more: bool,
    },
    /// Why the last record under each key was refused, in the order in which they were asked about.
    Refusals {
        /// Codes of [`Refusal`](crate::Refusal); 0 where it was not refused, or so long ago that it is forgotten.
        codes: Vec<u8>,
    },
}

impl Response {
    /// As many of these heads as fit into a response, from the first on, and whether all of them do.
    pub(crate) fn fitting<T: AsRef<[u8]>>(
        heads: impl IntoIterator<Item = T>,
    ) -> (Vec<Vec<u8>>, bool) {
        // The format, the variant, three numbers at their longest and a flag.
        let mut room = MAX_RESPONSE_BYTES - 32;
        let mut fitting = Vec::new();
        for head in heads {
            let head = head.as_ref();
            // A length of at most 8,192 takes two bytes.
            let Some(left) = room.checked_sub(head.len() + 2) else { return (fitting, false) };
            if fitting.len() == super::MAX_FETCHED {
                return (fitting, false);
            }
            room = left;
            fitting.push(head.to_vec());
        }
        (fitting, true)
    }
}
