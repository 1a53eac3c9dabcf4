//! Checks of text that more than one type makes.

use crate::{Error, Result};

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
