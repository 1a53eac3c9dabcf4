//! Numbers and words as they are written on the page.

/// Text as it may stand in an element or in a quoted attribute. What XML cannot hold becomes a replacement character.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number for a table: a whole one in full, another with three significant digits.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "–".into()
    } else if value == 0.0 {
        "0".into()
    } else if !(1e-4..1e15).contains(&size) {
        scientific(value)
    } else if size >= 100.0 || value.fract() == 0.0 {
        grouped(value)
    } else {
        let places = (2 - size.log10().floor() as i32).max(0) as usize;
        minus(without_zeros(format!("{value:.places$}")))
    }
}

/// Numbers of one axis, which are `step` apart and at most `largest`: `20k` rather than `20,000`.
pub(crate) fn on_axis(value: f64, step: f64, largest: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let (scale, suffix) = match largest {
        large if large >= 1e15 => return scientific(value),
        large if large >= 1e12 && step >= 1e9 => (1e12, "T"),
        large if large >= 1e9 && step >= 1e6 => (1e9, "G"),
        large if large >= 1e6 && step >= 1e3 => (1e6, "M"),
        large if large >= 1e4 && step >= 1.0 => (1e3, "k"),
        _ if value.abs() < 1e-4 => return scientific(value),
        _ if step >= 1.0 => return grouped(value),
        _ => (1.0, ""),
    };
    minus(without_zeros(format!("{:.6}", value / scale))) + suffix
}

/// A quantity of a logarithmic axis, where each number stands for itself.
pub(crate) fn on_log_axis(value: f64) -> String {
    on_axis(value, value, value.max(if value >= 1e3 { 1e4 } else { 0.0 }))
}

/// A share of a whole, in per cent.
pub(crate) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return "–".into();
    }
    without_zeros(format!("{:.1}", share * 100.0)) + " %"
}

/// Hours as people say them.
pub(crate) fn hours(hours: f64) -> String {
    spell(hours * 3600.0)
}

/// Seconds as people say them.
pub(crate) fn seconds(seconds: f64) -> String {
    spell(seconds)
}

fn spell(seconds: f64) -> String {
    const UNITS: [(f64, &str); 5] = [
        (365.25 * 86_400.0, "years"),
        (86_400.0, "days"),
        (3600.0, "hours"),
        (60.0, "min"),
        (1.0, "s"),
    ];
    let unit = UNITS.iter().find(|(size, _)| seconds >= size * 2.0);
    let (size, name) = unit.copied().unwrap_or((1.0, "s"));
    format!("{} {name}", number(seconds / size))
}

/// Seeds as ranges: `1–30, 77`.
pub(crate) fn ranges(numbers: &[u64]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in sorted {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let words = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}–{last}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("−{text}") } else { text }
}

fn scientific(value: f64) -> String {
    let written = format!("{value:.2e}");
    let (digits, power) = written.split_once('e').unwrap_or((&written, "0"));
    format!("{}e{}", minus(without_zeros(digits.into())), minus(power.into()))
}

fn without_zeros(number: String) -> String {
    if !number.contains('.') {
        return number;
    }
    number.trim_end_matches('0').trim_end_matches('.').into()
}

fn minus(number: String) -> String {
    number.strip_prefix('-').map_or(number.clone(), |positive| format!("−{positive}"))
}

/// About how wide a text is in a usual sans-serif font of this size, rather too wide than too narrow.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let ems = text.chars().map(|c| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | 'I' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' | '"' => 0.43,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '—' | '…' => 0.98,
        'A'..='Z' | '=' | '+' | '<' | '>' | '−' | '~' | '#' => 0.76,
        '\u{1100}'.. if !('\u{2000}'..='\u{2bff}').contains(&c) => 1.05,
        _ => 0.63,
    });
    ems.sum::<f64>() * size
}

/// Breaks text into at most `most` lines that are at most `room` wide. What does not fit ends in an ellipsis.
pub(crate) fn wrap(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    let cut = lines.len() > most;
    lines.truncate(most);
    if let Some(last) = lines.last_mut().filter(|_| cut) {
        last.push('…');
    }
    lines.into_iter().map(|line| shortened(line, size, room)).collect()
}

fn shortened(line: String, size: f64, room: f64) -> String {
    if width(&line, size) <= room {
        return line;
    }
    let mut short = line.trim_end_matches('…').to_owned();
    while short.pop().is_some() && width(&short, size) + size > room {}
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<b a=\"x\">&'\0"), "&lt;b a=&quot;x&quot;&gt;&amp;&#39;\u{fffd}");
    }

    #[test]
    fn numbers_read_well() {
        let cases = [
            (1_234_567.0, "1,234,567"),
            (-1234.4, "−1,234"),
            (12.345, "12.3"),
            (0.012_34, "0.0123"),
            (3.0, "3"),
            (0.0, "0"),
            (f64::NAN, "–"),
            (2e20, "2e20"),
            (-1.5e-7, "−1.5e−7"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn an_axis_uses_one_suffix() {
        assert_eq!(on_axis(5000.0, 5000.0, 20_000.0), "5k");
        assert_eq!(on_axis(5000.0, 1000.0, 8000.0), "5,000");
        assert_eq!(on_axis(0.1 + 0.2, 0.1, 0.5), "0.3");
        assert_eq!(on_axis(-2.5e6, 5e5, 3e6), "−2.5M");
        assert_eq!(on_axis(1e16, 1e16, 2e16), "1e16");
        let log = [0.01, 1.0, 500.0, 1e3, 1e6].map(on_log_axis);
        assert_eq!(log, ["0.01", "1", "500", "1k", "1M"]);
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(hours(24.0 * 1000.0), "2.74 years");
        assert_eq!(hours(720.0), "30 days");
        assert_eq!(seconds(90.0), "90 s");
        assert_eq!(seconds(700.0), "11.7 min");
    }

    #[test]
    fn seeds_that_follow_each_other_are_a_range() {
        assert_eq!(ranges(&[3, 1, 2, 77, 9, 8, u64::MAX]), format!("1–3, 8, 9, 77, {}", u64::MAX));
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn long_text_is_broken_and_cut() {
        let lines = wrap("survival of records under churn over thirty days", 12.0, 110.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| width(line, 12.0) <= 110.0), "{lines:?}");
        assert!(lines.last().unwrap().ends_with('…'));
        assert!(wrap(&"x".repeat(400), 12.0, 110.0, 2).iter().all(|l| width(l, 12.0) <= 110.0));
    }
}
