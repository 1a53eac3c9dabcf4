//! The life of an announcement that arrives: heard, judged, taken in, told.
//!
//! ```text
//! hear_from ─▶ verdict ─▶ hear_announcement ─▶ take_news ─▶ discover ─▶ Event::Discovered
//!  standing:     store:        standing:         standing: another history?
//!  too much?     valid?        too many of       publishing: an own package?
//!                              this owner?       discovery: list; reading: keep, forget absences
//! ```
//!
//! What was fetched from a peer in a comparison or a search is taken in from `take_news` on.

use libp2p::PeerId;

use crate::{
    engine::{
        Engine,
        discovery::catalogue::Interest,
        interest::News,
        interface::{Now, Verdict},
        standing::gossip_budget::Intake,
    },
    event::Event,
    record::{Head, Rejected, Signed},
};

impl Engine {
    /// Judges a message, and takes in what it says.
    pub(crate) fn hear(&mut self, now: Now, topic: &str, data: &[u8]) -> Verdict {
        self.hear_from(now, None, topic, data)
    }

    /// As [`hear`](Self::hear), of a message that this peer forwarded.
    pub(crate) fn hear_from(
        &mut self,
        now: Now,
        from: Option<PeerId>,
        topic: &str,
        data: &[u8],
    ) -> Verdict {
        self.set_time(now);
        if from.is_some_and(|by| self.is_blocked(&by)) {
            return Verdict::Ignore;
        }
        let intake = from.map(|by| (by, self.standing.forwarded(now.mono, by)));
        let verdict = match intake {
            None | Some((_, Intake::Judged)) => self.verdict(from, topic, data),
            Some((_, Intake::Dropped)) => Verdict::Ignore,
            Some((by, Intake::Flood)) => {
                self.peers.end_flood(&mut self.out, by);
                Verdict::Ignore
            }
        };
        self.discovery.unlist_revoked(&self.cx);
        self.out.count_heard(verdict);
        verdict
    }

    fn verdict(&mut self, from: Option<PeerId>, topic: &str, data: &[u8]) -> Verdict {
        let verdict = if topic == self.cx.config.announcements_topic {
            self.hear_announcement(from, data)
        } else if self.publishing.is_subscribed(topic) {
            self.hear_message(from, topic, data)
        } else {
            return Verdict::Ignore;
        };
        verdict.unwrap_or_else(|rejected| {
            tracing::debug!(topic, %rejected, "announcement refused");
            // Who forwards what time has overtaken is not at fault; who forwards what never was valid is.
            if rejected.is_excusable() { Verdict::Ignore } else { Verdict::Reject }
        })
    }

    fn hear_announcement(
        &mut self,
        from: Option<PeerId>,
        data: &[u8],
    ) -> Result<Verdict, Rejected> {
        if self.cx.store.awaits_sequences() {
            // It cannot be judged yet. What is missed is found when catalogues are compared.
            return Ok(Verdict::Ignore);
        }
        let now = self.cx.now();
        // In a crowd that meets, most of what is announced has been fetched a moment ago, and the signatures that are
        // remembered are fewer than the packages.
        let verified = match self.discovery.listed_as(now, data) {
            Some(head) => self.cx.store.verify_again(&head, now.unix).map(|()| head),
            None => self.cx.store.verify_announcement(data, now.unix),
        };
        let head = verified.inspect_err(|rejected| {
            if let Rejected::Stale { .. } = rejected {
                self.hear_older(data);
            }
        })?;
        self.discovery.check_listed(&self.cx, &head)?;
        // What is known already is its owner's word, but perhaps not its doing: anybody can say it again.
        let is_new = !self.discovery.is_listed(now, &head.digest());
        if from.is_some() && !self.standing.said(now.mono, head.owner, is_new) {
            return Ok(Verdict::Ignore);
        }
        self.take_news(News::Announced(from), &head);
        Ok(Verdict::Accept)
    }

    /// A verified head of any package has come, announced or asked for.
    pub(in crate::engine) fn take_news(&mut self, news: News, head: &Signed<Head>) {
        self.confront_known(&head.key(), head);
        self.standing.supersede(head);
        // Of own packages, too: whatever is signed here, with nobody to ask as well, is above it. Should it come from a
        // publisher who has replaced this one, nothing more is.
        self.cx.store.raise_high_water(head);
        if self.publishing.concerns(&self.cx, head) {
            self.hear_own(head);
        } else if self.reading.is_news(&self.cx, head) {
            return self.discover(news, head);
        }
        self.list(head, news.from(), Interest::Heard);
    }

    /// A head that is newer than what was known of its package.
    fn discover(&mut self, news: News, head: &Signed<Head>) {
        let told = self.discovery.told_rank(&self.cx, head);
        let said = self.list_quietly(head, news.from(), Interest::Heard);
        self.discovery.tell(head);
        self.reading.hear_of(&self.cx, news, head);
        let discovered = self.discovery.discovered(&self.cx, head, news, told, said);
        self.cx.withdraw(head);
        self.out.events.extend(discovered);
    }

    fn hear_message(
        &mut self,
        from: Option<PeerId>,
        topic: &str,
        data: &[u8],
    ) -> Result<Verdict, Rejected> {
        let now = self.cx.now();
        let message = self.cx.store.verify_message(data, now.unix)?;
        if message.topic != topic {
            // Signed for another topic: somebody has carried it over.
            return Ok(Verdict::Reject);
        }
        if !self.publishing.is_news(message.digest()) {
            // Gossipsub has forgotten it; whoever wants it has it.
            return Ok(Verdict::Ignore);
        }
        if from.is_some() && !self.standing.said(now.mono, message.author, true) {
            return Ok(Verdict::Ignore);
        }
        self.out.events.push_back(Event::Message {
            topic: topic.to_owned(),
            author: message.author,
            data: message.data.clone(),
        });
        Ok(Verdict::Accept)
    }
}
