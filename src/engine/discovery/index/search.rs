//! How a query is answered: lists of words are united, those of several words intersected, a stretch of packages at a
//! time.

use libp2p::PeerId;

use super::{
    Index,
    best::Best,
    gather::{KEYWORD_SIGN, LICENSE_SIGN},
    postings::{doc_of, field, fields_in, fields_of},
    rank::{NOTHING, Quality, Score, Table, add, rarity, table},
    terms::TermId,
    typos,
    wanted::{Wanted, begins_more},
};
use crate::package::{PackageName, Query, fold_license};

/// How many words one word of a query stands for at the most: those that begin with it, or were probably meant. The most
/// frequent ones are taken.
const MAX_EXPANSIONS: usize = 64;
/// Among how many they are chosen.
const MAX_CHOICE: usize = 2048;
/// How many entries are read for one word of a query.
const MAX_ENTRIES: usize = 1 << 18;

/// How many packages are looked at together.
const WINDOW: u32 = 2048;

/// What a search has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// How many packages match in all.
    pub total: usize,
    /// Those that were asked for, in the order that was asked for.
    pub hits: Vec<Hit>,
    /// Whether more may match than were looked at: a beginning of too many words, or of words that too many packages
    /// have, more words with typing errors than are tried, or more words in the text than count.
    pub truncated: bool,
    /// What that took: how many entries of lists, packages and rows of distances were looked at. Some ten nanoseconds
    /// each, a hundred for a package.
    pub looked: usize,
}

/// A package that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its name.
    pub name: PackageName,
    /// Whose it is.
    pub owner: PeerId,
    /// How well it fits.
    pub score: Score,
}

/// Which part of what is found is told, in its order.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// So many are passed over.
    skip: usize,
    /// So many come after those that the query wants.
    more: usize,
}

/// A list that is read from its beginning, and what its entries add.
#[derive(Debug)]
struct List<'a> {
    entries: &'a [u32],
    /// The number of the table.
    table: usize,
}

/// The lists of a word. For each package, the best of what they add counts.
type Word<'a> = Vec<List<'a>>;

/// Words of which a package needs one.
type Group<'a> = Vec<Word<'a>>;

fn entries_of(group: &Group<'_>) -> usize {
    group.iter().flatten().map(|list| list.entries.len()).sum()
}

/// The lists for the text of a query.
#[derive(Debug, Default)]
struct Text<'a> {
    words: Vec<Word<'a>>,
    tables: Vec<Table>,
    /// Whether there is more than the lists.
    truncated: bool,
    /// Whether there was a word, of those long enough, in which no errors are forgiven yet.
    strict: bool,
    /// How many rows of distances were computed.
    rows: usize,
}

impl Index {
    /// The packages that a query wants. It is taken to be valid.
    #[must_use]
    pub fn search(&self, query: &Query) -> Found {
        self.search_span(query, Span { skip: query.offset, more: 0 })
    }

    /// As [`search`](Self::search), with those that the query passes over and so many more: some may have to be left out.
    pub(crate) fn search_from_first(&self, query: &Query, more: usize) -> Found {
        self.search_span(query, Span { skip: 0, more })
    }

    fn search_span(&self, query: &Query, span: Span) -> Found {
        let wanted = Wanted::of(query);
        let Some(filters) = self.filters(query) else {
            // Nobody has such a keyword or licence.
            return Found::default();
        };
        let Some(wanted) = wanted else { return self.find_all(query, span, filters) };
        let strict = self.find_text((query, span), &wanted, &filters, false);
        match strict {
            // Each word is somewhere, but not together: any of them may be wrong.
            (found, true) if found.total == 0 => {
                let (forgiving, _) = self.find_text((query, span), &wanted, &filters, true);
                Found { looked: forgiving.looked + found.looked, ..forgiving }
            }
            (found, _) => found,
        }
    }

    /// The lists of which every one must have a package.
    fn filters(&self, query: &Query) -> Option<Vec<&[u32]>> {
        let keywords = query.keywords.iter().map(|keyword| format!("{KEYWORD_SIGN}{keyword}"));
        let license = query.license.as_ref().map(|l| format!("{LICENSE_SIGN}{}", fold_license(l)));
        keywords.chain(license).map(|term| Some(self.entries(self.terms.get(&term)?))).collect()
    }

    /// What passes the filters, where there is no text.
    fn find_all(&self, query: &Query, span: Span, filters: Vec<&[u32]>) -> Found {
        let mut answer = Answer::new(self, query, span);
        let tables = [NOTHING];
        if filters.is_empty() {
            let docs = 0..u32::try_from(self.docs.len()).unwrap_or(u32::MAX);
            let live = docs.filter(|doc| self.doc(*doc).is_some());
            answer.looked = self.docs.len();
            live.for_each(|doc| answer.take(doc, 0));
        } else {
            answer.looked = filters.iter().map(|entries| entries.len()).sum();
            let groups = filters.into_iter().map(|entries| vec![vec![List { entries, table: 0 }]]);
            intersect(groups.collect(), &tables, |doc, _| answer.take(doc, 0));
        }
        answer.into_found(false)
    }

    /// What has the words and passes the filters, and whether more might be found by forgiving errors.
    fn find_text(
        &self,
        (query, span): (&Query, Span),
        wanted: &Wanted,
        filters: &[&[u32]],
        forgiving: bool,
    ) -> (Found, bool) {
        let mut text = self.text(wanted, forgiving);
        let mut answer = Answer::new(self, query, span);
        answer.wanted = Some(wanted);
        let nothing = text.tables.len();
        text.tables.push(NOTHING);
        let mut groups: Vec<Group<'_>> = if wanted.any {
            vec![text.words]
        } else {
            text.words.into_iter().map(|word| vec![word]).collect()
        };
        let has_words = !groups.is_empty();
        groups.extend(filters.iter().map(|entries| vec![vec![List { entries, table: nothing }]]));

        // Packages of that name need not have the words one by one.
        let joined = wanted.joined.as_deref().and_then(|joined| self.terms.get(joined));
        let entries = joined.map(|joined| self.entries(joined)).unwrap_or_default();
        let named = entries.iter().filter(|entry| fields_of(**entry) & field::WHOLE != 0);
        let named: Vec<u32> = named.map(|entry| doc_of(*entry)).collect();
        answer.looked = text.rows + entries.len() + groups.iter().map(entries_of).sum::<usize>();
        if has_words {
            intersect(groups, &text.tables, |doc, sum| {
                if named.binary_search(&doc).is_err() {
                    answer.take(doc, sum);
                }
            });
        }
        for doc in named {
            if filters.iter().all(|entries| fields_in(entries, doc).is_some()) {
                answer.take(doc, Score::OF_NAME);
            }
        }
        (answer.into_found(text.truncated || wanted.truncated), text.strict)
    }

    fn text(&self, wanted: &Wanted, forgiving: bool) -> Text<'_> {
        let mut text = Text::default();
        for word in &wanted.words {
            let mut lists = self.as_typed(word, wanted.is_text(), &mut text);
            if forgiving || lists.is_empty() {
                self.as_meant(word, &mut lists, &mut text);
            } else if typos::forgiven(word) > 0 {
                text.strict = true;
            }
            text.words.push(lists);
        }
        text
    }

    /// The lists of a word and of those that begin with it.
    fn as_typed<'a>(&'a self, word: &str, is_text: bool, text: &mut Text<'a>) -> Word<'a> {
        let exact = self.terms.get(word).map(|id| self.entries(id)).unwrap_or_default();
        let mut lists = Vec::new();
        let mut more: Vec<&[u32]> = Vec::new();
        if begins_more(word) {
            let mut words = self.terms.beginning_with(word);
            let lists = words.by_ref().take(MAX_CHOICE).map(|(_, id)| self.entries(id));
            more = lists.filter(|entries| !entries.is_empty()).collect();
            text.truncated |= words.next().is_some();
        }
        text.truncated |= choose(&mut more, |entries| entries.len(), exact.len());
        let with = more.iter().map(|entries| entries.len()).sum::<usize>() + exact.len();
        if !exact.is_empty() {
            let rarity = rarity(exact.len(), self.len());
            lists.push(List { entries: exact, table: text.tables.len() });
            text.tables.push(table(Quality::Whole, rarity, is_text));
        }
        if !more.is_empty() {
            let table_of_more = text.tables.len();
            text.tables.push(table(Quality::Beginning, rarity(with, self.len()), is_text));
            lists.extend(more.into_iter().map(|entries| List { entries, table: table_of_more }));
        }
        lists
    }

    /// Adds the lists of words that differ from this one by typing errors.
    fn as_meant<'a>(&'a self, word: &str, lists: &mut Word<'a>, text: &mut Text<'a>) {
        if typos::forgiven(word) == 0 {
            return;
        }
        let mut near: Vec<(u8, &[u32])> = Vec::new();
        let walk = typos::near(&self.terms, word, typos::forgiven(word), |distance, id: TermId| {
            let entries = self.entries(id);
            if !entries.is_empty() {
                near.push((distance, entries));
            }
        });
        text.rows += walk.rows;
        text.truncated |= !walk.is_whole;
        // Fewer errors first.
        near.sort_by_key(|(distance, _)| *distance);
        let far = near.partition_point(|(distance, _)| *distance < 2);
        let mut far = near.split_off(far);
        let taken = lists.iter().map(|list| list.entries.len()).sum();
        text.truncated |= choose(&mut near, |(_, entries)| entries.len(), taken);
        let taken = taken + near.iter().map(|(_, entries)| entries.len()).sum::<usize>();
        text.truncated |= choose(&mut far, |(_, entries)| entries.len(), taken);
        for near in [near, far] {
            let Some((distance, _)) = near.first() else { continue };
            let with = near.iter().map(|(_, entries)| entries.len()).sum();
            let rarity = rarity(with, self.len());
            let table_of_near = text.tables.len();
            text.tables.push(table(Quality::of_distance(*distance), rarity, false));
            lists.extend(near.iter().map(|(_, entries)| List { entries, table: table_of_near }));
        }
    }
}

/// Keeps as many lists as may be read, with `taken` entries already: the longest ones, which are in the order of their
/// words where they are equally long. Tells whether others were left out.
fn choose<L>(lists: &mut Vec<L>, len: impl Fn(&L) -> usize, taken: usize) -> bool {
    let before = lists.len();
    if before > MAX_EXPANSIONS {
        lists.sort_by_key(|list| std::cmp::Reverse(len(list)));
        lists.truncate(MAX_EXPANSIONS);
    }
    let mut entries = taken;
    lists.retain(|list| {
        entries += len(list);
        entries <= MAX_ENTRIES
    });
    lists.len() < before
}

/// What is known of a package in the window.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    sum: u32,
    /// What the last word has added.
    best: u32,
    /// How many groups it is in.
    groups: u8,
    /// The last word that was found, within its group.
    word: u8,
}

/// Packages that are in every group, each once, and the sums of what the words add, in the order of their numbers.
fn intersect(mut groups: Vec<Group<'_>>, tables: &[Table], mut take: impl FnMut(u32, u32)) {
    groups.sort_by_key(entries_of);
    let Ok(all) = u8::try_from(groups.len()) else { return };
    let mut window = vec![Slot::default(); WINDOW as usize];
    let mut touched: Vec<u32> = Vec::new();
    // The rarest leads: where it has nothing, the others are not read.
    while let Some(base) = groups.first().and_then(first_doc) {
        let mut reached = 0;
        for (before, group) in (0_u8..).zip(&mut groups) {
            let matched = read(group, base, before, tables, &mut window, &mut touched);
            if !matched {
                break;
            }
            reached = before + 1;
        }
        // The leading group is read to the end of the window in any case.
        for at in touched.drain(..) {
            if let Some(slot) = window.get_mut(at as usize) {
                if slot.groups == all && reached == all {
                    take(base + at, slot.sum);
                }
                slot.groups = 0;
            }
        }
    }
}

fn first_doc(group: &Group<'_>) -> Option<u32> {
    group.iter().flatten().filter_map(|list| list.entries.first()).map(|entry| doc_of(*entry)).min()
}

/// Reads what a group has in the window at `base`, of packages that are in all groups before it. Tells whether it has
/// any of those.
fn read(
    group: &mut Group<'_>,
    base: u32,
    before: u8,
    tables: &[Table],
    window: &mut [Slot],
    touched: &mut Vec<u32>,
) -> bool {
    let mut matched = false;
    for (word, lists) in (0_u8..).zip(group) {
        for list in lists {
            let Some(table) = tables.get(list.table) else { continue };
            let here = list.take_window(base);
            let mut note = |entry: u32| {
                let at = doc_of(entry) - base;
                let Some(slot) = window.get_mut(at as usize) else { return false };
                let adds = table.get(usize::from(fields_of(entry))).copied().unwrap_or_default();
                if slot.groups == before {
                    let sum = if before == 0 { adds } else { add(slot.sum, adds) };
                    *slot = Slot { sum, best: adds, groups: before + 1, word };
                    matched = true;
                    return true;
                }
                if slot.groups == before + 1 {
                    if slot.word != word {
                        slot.sum = add(slot.sum, adds);
                        (slot.word, slot.best) = (word, adds);
                    } else if adds > slot.best {
                        slot.sum = add(slot.sum - slot.best, adds);
                        slot.best = adds;
                    }
                }
                false
            };
            if before == 0 {
                touched
                    .extend(here.iter().filter(|entry| note(**entry)).map(|e| doc_of(*e) - base));
            } else if touched.len() * 16 < here.len() {
                // A few are looked for in many.
                for at in &*touched {
                    let doc = base + at;
                    if let Ok(found) = here.binary_search_by_key(&doc, |entry| doc_of(*entry))
                        && let Some(entry) = here.get(found)
                    {
                        note(*entry);
                    }
                }
            } else {
                here.iter().for_each(|entry| {
                    note(*entry);
                });
            }
        }
    }
    matched
}

impl<'a> List<'a> {
    /// Reads on to the end of the window, and passes over what comes before it.
    fn take_window(&mut self, base: u32) -> &'a [u32] {
        let rest = self.entries;
        let starts_before = rest.first().is_some_and(|entry| doc_of(*entry) < base);
        let start =
            if starts_before { rest.partition_point(|entry| doc_of(*entry) < base) } else { 0 };
        let rest = rest.get(start..).unwrap_or_default();
        // No list has more entries than there are packages in the window.
        let near = rest.get(..WINDOW as usize).unwrap_or(rest);
        let length = near.partition_point(|entry| doc_of(*entry) - base < WINDOW);
        let (here, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        self.entries = after;
        here
    }
}

/// What is found, counted and put in order as it comes.
struct Answer<'a> {
    index: &'a Index,
    query: &'a Query,
    span: Span,
    /// The key of the owner whose packages are wanted, if it is one that can own any.
    owner: Option<Option<[u8; 32]>>,
    wanted: Option<&'a Wanted>,
    best: Best<'a>,
    total: usize,
    looked: usize,
}

impl<'a> Answer<'a> {
    fn new(index: &'a Index, query: &'a Query, span: Span) -> Self {
        let owner = query.owner.as_ref().map(crate::package::owner_key);
        let best = Best::new(index, query, span.more);
        Self { index, query, span, owner, wanted: None, best, total: 0, looked: 0 }
    }

    /// Takes a package in, if it is all that is wanted. Of most of them, only the weight is looked at.
    fn take(&mut self, doc: u32, sum: u32) {
        let package = || self.index.doc(doc);
        let is_whose = |owner: Option<[u8; 32]>| {
            package().is_some_and(|p| owner.as_ref() == Some(p.owner_key()))
        };
        if self.owner.is_some_and(|owner| !is_whose(owner)) {
            return;
        }
        let version = self.query.version.as_ref();
        if version.is_some_and(|version| !package().is_some_and(|p| p.satisfies(version))) {
            return;
        }
        self.total += 1;
        let score = self.wanted.map_or_else(Score::default, |wanted| {
            let is_typed = || package().is_some_and(|p| wanted.is_typed(p.name.as_str()));
            Score::of(sum, self.index.norm(doc), is_typed)
        });
        self.best.add(score, doc);
    }

    fn into_found(self, truncated: bool) -> Found {
        let hits = self.best.into_sorted(self.span.skip).filter_map(|(score, doc)| {
            let package = self.index.doc(doc)?;
            Some(Hit { name: package.name.clone(), owner: package.owner()?, score })
        });
        Found { total: self.total, hits: hits.collect(), truncated, looked: self.looked }
    }
}
