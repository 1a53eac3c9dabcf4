//! Licences are SPDX expressions. They are found by themselves and by their parts.

use std::collections::BTreeSet;

use spdx::{Expression, LicenseItem, ParseMode};

use super::Manifest;
use crate::error::{Error, Result};

/// As the specification says. Identifiers that it has replaced, such as `GPL-3.0`, still mean what they meant.
const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };

/// Checks that a licence is an SPDX expression, such as `MIT OR Apache-2.0`.
///
/// It is checked when a package is published, and not when it is read: the list of licences grows, and a node that is
/// older than a licence reads what is published under it all the same.
pub(super) fn check_license(license: &str) -> Result<()> {
    let why = match Expression::parse_mode(license, MODE) {
        Ok(expression) if expression.requirements().all(|one| is_named(&one.req.license)) => {
            return Ok(());
        }
        Ok(_) => "has a `LicenseRef-` without a name".to_owned(),
        Err(error) => {
            let at = license.get(error.span).filter(|at| !at.is_empty());
            let at = at.map(|at| format!(" at `{at}`")).unwrap_or_default();
            format!("is not an SPDX expression ({}{at})", error.reason)
        }
    };
    let remedy = match Expression::canonicalize(license) {
        Ok(Some(better)) if Expression::parse_mode(&better, MODE).is_ok() => {
            format!("write `{better}`")
        }
        _ => "one such as `MIT OR Apache-2.0` is accepted, and `LicenseRef-…` for a licence that \
              is not on the list of SPDX"
            .to_owned(),
    };
    Err(Error::invalid("license", format!("`{license}` {why}; {remedy}")))
}

fn is_named(license: &LicenseItem) -> bool {
    match license {
        LicenseItem::Spdx { .. } => true,
        LicenseItem::Other(other) => !other.lic_ref.is_empty(),
    }
}

/// A licence as it is compared: in lower case, with alternatives in the order of their names. It need not be one that is
/// known here.
pub(crate) fn fold_license(license: &str) -> String {
    let folded = in_lower_case(license);
    Reader::read(&folded).map_or(folded, |(whole, _)| whole)
}

/// The most operands of one operator of which every choice of several is a term: 26 of them. Of a few more, these are the
/// pairs.
const MAX_CHOSEN_FREELY: usize = 5;
/// The most operands of which each pair is a term.
const MAX_PAIRED: usize = 8;

/// What a licence is found by, as [`fold_license`] has it: the whole, each part, each licence and exception, and some of
/// the operands that one operator joins, however they are grouped. Of so many operands as anybody writes those are any of
/// them; else it is all or one, and two of up to eight, so that no licence has more than some hundred terms.
pub(crate) fn license_terms(license: &str) -> BTreeSet<String> {
    let folded = in_lower_case(license);
    let words = folded.split(|c: char| c == ' ' || is_sign(c));
    let words = words.filter(|word| !word.is_empty() && !is_operator(word));
    let mut terms: BTreeSet<String> = words.map(str::to_owned).collect();
    match Reader::read(&folded) {
        Some((_, parts)) => terms.extend(parts),
        None => {
            terms.insert(folded);
        }
    }
    terms
}

/// In lower case, with single spaces.
fn in_lower_case(license: &str) -> String {
    let mut folded = String::with_capacity(license.len());
    for word in license.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(&word.to_lowercase());
    }
    folded
}

fn is_sign(c: char) -> bool {
    matches!(c, '(' | ')' | '/' | ',')
}

fn is_operator(word: &str) -> bool {
    matches!(word, "or" | "and" | "with")
}

/// Operands that one operator joins, or a single one.
struct Joined<'a> {
    operator: Option<&'a str>,
    operands: Vec<String>,
}

/// Reads an expression of whatever licences: those of other peers may be newer than the list that is known here. A slash
/// or a comma is how alternatives were once written.
struct Reader<'a> {
    rest: &'a str,
    /// All that has been read, each part by itself.
    parts: Vec<String>,
}

impl<'a> Reader<'a> {
    /// The whole expression, and its parts, if it is one.
    fn read(folded: &'a str) -> Option<(String, Vec<String>)> {
        // Groups within groups are bounded by this.
        if folded.len() > Manifest::MAX_LICENSE_BYTES {
            return None;
        }
        let mut reader = Self { rest: folded, parts: Vec::new() };
        let whole = reader.alternatives()?.text();
        reader.peek().is_empty().then_some((whole, reader.parts))
    }

    /// The next word or sign. Empty at the end.
    fn peek(&self) -> &'a str {
        let rest = self.rest.trim_start();
        let end = match rest.chars().next() {
            Some(c) if is_sign(c) => 1,
            _ => rest.find(|c: char| c == ' ' || is_sign(c)).unwrap_or(rest.len()),
        };
        rest.get(..end).unwrap_or_default()
    }

    fn next(&mut self) -> &'a str {
        let next = self.peek();
        self.rest = self.rest.trim_start().get(next.len()..).unwrap_or_default();
        next
    }

    fn alternatives(&mut self) -> Option<Joined<'a>> {
        let mut all = vec![self.conjunction()?];
        while matches!(self.peek(), "or" | "/" | ",") {
            self.next();
            all.push(self.conjunction()?);
        }
        Some(self.join("or", all))
    }

    fn conjunction(&mut self) -> Option<Joined<'a>> {
        let mut all = vec![self.operand()?];
        while self.peek() == "and" {
            self.next();
            all.push(self.operand()?);
        }
        Some(self.join("and", all))
    }

    fn operand(&mut self) -> Option<Joined<'a>> {
        if self.peek() == "(" {
            self.next();
            let group = self.alternatives()?;
            return (self.next() == ")").then_some(group);
        }
        let mut license = self.name()?.to_owned();
        if self.peek() == "with" {
            self.next();
            license = format!("{license} with {}", self.name()?);
        }
        self.parts.push(license.clone());
        Some(Joined { operator: None, operands: vec![license] })
    }

    /// The name of a licence or an exception, if that comes next.
    fn name(&mut self) -> Option<&'a str> {
        let name = self.next();
        let is_name = !name.is_empty() && !is_operator(name) && !name.starts_with(is_sign);
        is_name.then_some(name)
    }

    fn join(&mut self, operator: &'a str, mut all: Vec<Joined<'a>>) -> Joined<'a> {
        if all.len() == 1
            && let Some(only) = all.pop()
        {
            return only;
        }
        let mut operands = Vec::new();
        for part in all {
            match part.operator {
                Some(other) if other != operator => operands.push(format!("({})", part.text())),
                _ => operands.extend(part.operands),
            }
        }
        operands.sort();
        operands.dedup();
        self.choose(operator, &operands);
        let joined = Joined { operator: Some(operator), operands };
        self.parts.push(joined.text());
        joined
    }

    /// Some of the operands that one operator joins are a part as well. They are in order.
    fn choose(&mut self, operator: &str, operands: &[String]) {
        if operands.len() > MAX_PAIRED {
            return;
        }
        for chosen in 0..1_u32 << operands.len() {
            let count = chosen.count_ones();
            if count == 2 || (count > 2 && operands.len() <= MAX_CHOSEN_FREELY) {
                let is_chosen = |(place, _): &(usize, &String)| chosen >> place & 1 == 1;
                let operands = operands.iter().enumerate().filter(is_chosen);
                let operands: Vec<&str> = operands.map(|(_, operand)| &**operand).collect();
                self.parts.push(operands.join(&format!(" {operator} ")));
            }
        }
    }
}

impl Joined<'_> {
    fn text(&self) -> String {
        match self.operator {
            Some(operator) => self.operands.join(&format!(" {operator} ")),
            None => self.operands.concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(license: &str) -> String {
        match check_license(license) {
            Err(Error::Invalid { field, reason }) => {
                assert_eq!(field, "license");
                reason
            }
            other => panic!("{license}: {other:?}"),
        }
    }

    #[test]
    fn an_expression_of_spdx_is_accepted() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "GPL-3.0-or-later",
            "GPL-3.0",
            "MPL-2.0+",
            "LicenseRef-Proprietary",
            "DocumentRef-spdx-tool-1.2:LicenseRef-MIT-Style-2 OR MIT",
        ] {
            assert_eq!(check_license(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_nearly_one_is_refused_with_the_way_to_write_it() {
        for (bad, better) in [
            ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
            ("MIT / Apache-2.0", "MIT OR Apache-2.0"),
            ("mit", "MIT"),
            ("Apache 2.0", "Apache-2.0"),
            ("GPL-3.0+", "GPL-3.0-or-later"),
        ] {
            let reason = refusal(bad);
            assert!(reason.ends_with(&format!("; write `{better}`")), "{bad}: {reason}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_part_at_fault() {
        for (bad, why) in [
            ("MIT OR (((((", "is not an SPDX expression"),
            ("(MIT", "unclosed"),
            ("MIT)", "unopened"),
            ("MIT Apache-2.0", "at `Apache-2.0`"),
            ("Beerware OR Freeware", "at `Freeware`"),
            ("see LICENSE", "at `see`"),
            ("LicenseRef-", "without a name"),
            ("MIT\u{e9}", "invalid character"),
        ] {
            let reason = refusal(bad);
            assert!(reason.contains(why) && reason.contains("is accepted"), "{bad}: {reason}");
        }
    }

    #[test]
    fn an_expression_is_found_by_its_parts_in_any_order() {
        let has =
            |license: &str, wanted: &str| license_terms(license).contains(&fold_license(wanted));
        let unicode = "(MIT OR  Apache-2.0) AND Unicode-3.0";
        for (license, wanted) in [
            ("MIT", "mit"),
            ("MIT OR Apache-2.0", "Apache-2.0"),
            ("MIT OR Apache-2.0", "apache-2.0 or mit"),
            ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
            (unicode, "Apache-2.0 OR MIT"),
            (unicode, "Unicode-3.0 AND (Apache-2.0 OR MIT)"),
            ("MIT OR (Zlib OR Apache-2.0)", "Zlib OR MIT OR Apache-2.0"),
            ("MIT OR Apache-2.0 OR Zlib", "MIT OR Apache-2.0"),
            ("MIT OR Apache-2.0 OR Zlib", "Zlib OR MIT"),
            ("(MIT OR Apache-2.0) OR Zlib", "Zlib OR Apache-2.0"),
            ("MIT OR (Apache-2.0 OR Zlib)", "MIT OR Apache-2.0"),
            ("MIT AND (ISC AND Zlib) OR 0BSD", "ISC AND MIT"),
            ("MIT OR ISC OR Zlib OR 0BSD OR X11", "X11 OR Zlib OR MIT"),
            ("(MIT AND ISC) OR Zlib OR 0BSD", "0BSD OR (ISC AND MIT)"),
            ("Apache-2.0 WITH LLVM-exception OR MIT", "apache-2.0 with llvm-exception"),
            ("Apache-2.0 WITH LLVM-exception OR MIT", "LLVM-exception"),
            ("Apache-2.0 WITH LLVM-exception OR MIT", "Apache-2.0"),
            ("see LICENSE", "see license"),
            ("LicenseRef-New-9.0 OR MIT", "licenseref-new-9.0"),
        ] {
            assert!(has(license, wanted), "{wanted} in {license}");
        }
        for (license, wanted) in [
            ("MIT OR Apache-2.0", "MI"),
            ("MIT OR Apache-2.0", "or"),
            ("MIT OR Apache-2.0", "MIT AND Apache-2.0"),
            ("MIT AND Apache-2.0 OR Zlib", "Apache-2.0 OR Zlib"),
            (unicode, "MIT OR Unicode-3.0"),
            ("MIT OR Apache-2.0", "MIT OR Apache-2.0 OR Zlib"),
            ("(MIT AND ISC) OR Zlib OR 0BSD", "MIT OR Zlib"),
        ] {
            assert!(!has(license, wanted), "{wanted} in {license}");
        }
    }

    #[test]
    fn however_many_licences_there_are_the_terms_are_bounded() {
        for count in 1..26 {
            let joined = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];
            let operands: Vec<_> =
                (0..count).map(|n| format!("{}{}", joined[n % 13], n / 13)).collect();
            let text = operands.join("/");
            let terms = license_terms(&text);
            assert!(terms.len() <= 5 * count + 9, "{} terms of {count}", terms.len());
            assert!(terms.contains(&fold_license(&text)));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(
            text in ".{0,60}",
            near in "(MIT|mit|GPL-[23]\\.0|Apache|LicenseRef-|AdditionRef-|DocumentRef-a:|with|[ ()/+:,é]|OR|AND){0,12}",
        ) {
            let _ = check_license(&text);
            let _ = check_license(&near);
            for text in [&text, &near] {
                assert!(license_terms(text).contains(&fold_license(text)), "{text}");
            }
        }
    }
}
