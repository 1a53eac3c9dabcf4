//! Licences are SPDX expressions.

use spdx::{Expression, LicenseItem, ParseMode};

use crate::{Error, Result};

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

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(
            text in ".{0,60}",
            near in "(MIT|mit|GPL-[23]\\.0|Apache|LicenseRef-|AdditionRef-|DocumentRef-a:|with|[ ()/+:,é]|OR|AND){0,12}",
        ) {
            let _ = check_license(&text);
            let _ = check_license(&near);
        }
    }
}
