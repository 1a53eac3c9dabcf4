//! Checks of text that more than one type makes.

use semver::Version;

use crate::error::{Error, Result};

/// Whether text of one line may not hold this character: a control character, or one that reorders
/// or breaks the text around it, so that a reader sees something else than what is written.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// One line of printable text of at most `max` bytes.
pub(crate) fn check_line(field: impl Fn() -> String, text: &str, max: usize) -> Result<()> {
    check(field, text, max, |_| false, "printable text on one line is accepted")
}

/// Printable text of at most `max` bytes; may have several lines and tabs.
pub(crate) fn check_lines(field: impl Fn() -> String, text: &str, max: usize) -> Result<()> {
    let also = |c| matches!(c, '\n' | '\t');
    check(field, text, max, also, "printable text, newlines and tabs are accepted")
}

/// As [`check_line`], and not empty.
pub(crate) fn check_some_line(field: impl Fn() -> String, text: &str, max: usize) -> Result<()> {
    if text.is_empty() {
        let reason = format!("is empty; 1 to {max} bytes are accepted");
        return Err(Error::invalid(field(), reason));
    }
    check_line(field, text, max)
}

fn check(
    field: impl Fn() -> String,
    text: &str,
    max: usize,
    also: impl Fn(char) -> bool,
    accepted: &str,
) -> Result<()> {
    if text.len() > max {
        return Err(Error::invalid(field(), format!("is {} of at most {max} bytes", text.len())));
    }
    // Nearly all text is this, and is looked through many bytes at a time.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    if let Some(c) = text.chars().find(|c| deceives(*c) && !also(*c)) {
        let reason = format!("has the control character U+{:04X}; {accepted}", u32::from(c));
        return Err(Error::invalid(field(), reason));
    }
    Ok(())
}

/// At most `max` items.
pub(crate) fn check_count(field: &'static str, count: usize, max: usize) -> Result<()> {
    if count > max {
        return Err(Error::invalid(field, format!("has {count} of at most {max} items")));
    }
    Ok(())
}

/// The bytes of a version as text, without writing it.
pub(crate) fn version_len(version: &Version) -> usize {
    let digits = |n: u64| n.checked_ilog10().unwrap_or_default() as usize + 1;
    // Each with the sign before it.
    let tail = |length: usize| if length == 0 { 0 } else { 1 + length };
    let numbers = digits(version.major) + 1 + digits(version.minor) + 1 + digits(version.patch);
    numbers + tail(version.pre.len()) + tail(version.build.len())
}

/// Whether two versions are of one release: they differ in nothing but build metadata.
pub(crate) fn is_same_release(one: &Version, other: &Version) -> bool {
    one.cmp_precedence(other).is_eq()
}

/// Whether a version, written out, is this text.
pub(crate) fn is_version(text: &str, version: &Version) -> bool {
    fn after_number(text: &str, number: u64) -> Option<&str> {
        let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at_checked(end)?;
        let is_short = digits == "0" || !digits.starts_with('0');
        (is_short && digits.parse() == Ok(number)).then_some(rest)
    }

    fn after_tail<'a>(text: &'a str, sign: char, tail: &str) -> Option<&'a str> {
        if tail.is_empty() { Some(text) } else { text.strip_prefix(sign)?.strip_prefix(tail) }
    }

    let rest = || {
        let minor = after_number(text, version.major)?.strip_prefix('.')?;
        let patch = after_number(minor, version.minor)?.strip_prefix('.')?;
        let pre = after_number(patch, version.patch)?;
        after_tail(after_tail(pre, '-', &version.pre)?, '+', &version.build)
    };
    rest() == Some("")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_version_is_measured_and_recognised_without_being_written(
            numbers in any::<[u64; 3]>(), small in any::<[u8; 3]>(), is_small: bool,
            pre in "|[a-z][a-z0-9]{0,5}(\\.[1-9])?", build in "|[0-9a-z]{1,5}",
            other in "[0-9]{1,3}\\.[0-9]{1,2}\\.[0-9](-[a-z0]{1,2})?(\\+[a-z0]{1,2})?",
        ) {
            let [major, minor, patch] = if is_small { small.map(u64::from) } else { numbers };
            let mut version = Version::new(major, minor, patch);
            version.pre = pre.parse().unwrap();
            version.build = build.parse().unwrap();
            let text = version.to_string();
            prop_assert_eq!(version_len(&version), text.len());
            prop_assert!(is_version(&text, &version));
            prop_assert_eq!(is_version(&other, &version), other == text);
            for end in 0..text.len() {
                prop_assert!(!is_version(&text[..end], &version));
            }
            let longer = [format!("0{text}"), format!("{text}0")];
            prop_assert!(longer.iter().all(|text| !is_version(text, &version)));
            if let Ok(parsed) = other.parse::<Version>() {
                prop_assert!(is_version(&other, &parsed));
            }
        }
    }
}
