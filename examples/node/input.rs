//! Lines from standard input, read on a thread of their own: there is no portable way to wait for
//! standard input and sockets at once, and a thread needs no runtime.

use std::{
    io::{self, BufRead},
    thread,
};

use futures::{SinkExt, channel::mpsc, executor::block_on};

/// Longer lines are refused. The largest manifest that fits into a record is far below.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;

/// Requests that may stand between the thread and the session before the thread waits; from there on, so
/// does whoever writes to our standard input.
const QUEUE: usize = 16;

/// A line as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(String),
    TooLong,
    NotUtf8,
}

/// Reads lines until the input ends, and passes on what `parse` makes of each.
///
/// The thread is not joined: it may stand in a `read` that never returns, and ends with the process.
pub(crate) fn spawn<T: Send + 'static>(
    mut parse: impl FnMut(Line) -> Option<T> + Send + 'static,
) -> io::Result<mpsc::Receiver<T>> {
    let (mut sender, receiver) = mpsc::channel(QUEUE);
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            match read_line(&mut input, MAX_LINE_BYTES) {
                Ok(Some(line)) => {
                    let Some(parsed) = parse(line) else { continue };
                    if block_on(sender.send(parsed)).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "standard input cannot be read any further");
                    return;
                }
            }
        }
    })?;
    Ok(receiver)
}

/// The next line without its end, or `None` at the end of the input. Of a line that is too long no more
/// than `max` bytes are ever held.
fn read_line(input: &mut impl BufRead, max: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut too_long = false;
    let mut any = false;
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            break;
        }
        any = true;
        let (part, ends) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(end) => (chunk.split_at(end).0, true),
            None => (chunk, false),
        };
        too_long |= line.len() + part.len() > max;
        if !too_long {
            line.extend_from_slice(part);
        }
        let consumed = part.len() + usize::from(ends);
        input.consume(consumed);
        if ends {
            break;
        }
    }
    if !any {
        return Ok(None);
    }
    if too_long {
        return Ok(Some(Line::TooLong));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8(line).map_or(Line::NotUtf8, Line::Text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(input: &[u8]) -> Vec<Line> {
        // A tiny buffer, so that lines arrive in pieces.
        let mut input = BufReader::with_capacity(3, input);
        std::iter::from_fn(|| read_line(&mut input, 8).unwrap()).collect()
    }

    fn text(line: &str) -> Line {
        Line::Text(line.to_owned())
    }

    #[test]
    fn lines_end_at_either_kind_of_line_end_and_at_the_end_of_the_input() {
        assert_eq!(
            lines(b"one\ntwo\r\n\nlast"),
            [text("one"), text("two"), text(""), text("last")]
        );
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"one\n"), [text("one")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
        assert_eq!(
            lines(b"12345678\n123456789\n1234567890123456789\nnext\n"),
            [text("12345678"), Line::TooLong, Line::TooLong, text("next")]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_reported_and_the_next_line_is_read() {
        assert_eq!(lines(b"\xff\xfe\nnext"), [Line::NotUtf8, text("next")]);
    }
}
