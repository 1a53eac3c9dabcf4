//! What happens, in its order: as one number, so that two runs can be compared, and as text for whoever wants to read it.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

/// A kind of thing that happens. Its numbers are what [`note`] is told with it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// A task is polled.
    Poll,
    /// Bytes have arrived at the far end: connection and direction, how many, and a digest of them.
    Arrived,
    /// A connection changes: which, and how.
    Connection,
}

struct Trace {
    hash: u64,
    lines: u64,
    text: Option<BufWriter<File>>,
}

thread_local! {
    static TRACE: RefCell<Trace> = const { RefCell::new(Trace { hash: 0, lines: 0, text: None }) };
}

/// Writes the text to this file from now on.
pub(crate) fn write_to(path: &Path) -> io::Result<()> {
    let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    TRACE.with_borrow_mut(|trace| trace.text = Some(file));
    Ok(())
}

/// Something has happened that numbers tell.
pub(crate) fn note(what: What, numbers: [u64; 3]) {
    let now = process::now().unwrap_or_default();
    TRACE.with_borrow_mut(|trace| {
        trace.mix(now.as_nanos() as u64);
        trace.mix(what as u64);
        numbers.into_iter().for_each(|number| trace.mix(number));
        trace.lines += 1;
        if let Some(text) = &mut trace.text {
            let [a, b, c] = numbers;
            // What cannot be written is missed by whoever reads it, and by nobody else.
            let _ = writeln!(text, "{:.9} {what:?} {a} {b} {c:x}", now.as_secs_f64());
        }
    });
}

/// Something has happened that words tell.
pub(crate) fn tell(words: fmt::Arguments<'_>) {
    let now = process::now().unwrap_or_default();
    TRACE.with_borrow_mut(|trace| {
        let mut line = String::new();
        let _ = write!(line, "{:.9} {words}", now.as_secs_f64());
        let digest = digest(line.as_bytes());
        trace.mix(digest);
        trace.lines += 1;
        if let Some(text) = &mut trace.text {
            let _ = writeln!(text, "{line}");
        }
    });
}

/// The number that stands for all that has happened, and how much that was. The text is complete after this.
pub(crate) fn end() -> (u64, u64) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(text) = &mut trace.text {
            let _ = text.flush();
        }
        (trace.hash, trace.lines)
    })
}

impl Trace {
    fn mix(&mut self, word: u64) {
        self.hash = mixed(self.hash, word);
    }
}

fn mixed(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

/// A digest that tells byte strings apart that differ by chance.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mixed(hash, u64::from_le_bytes(word));
    }
    hash
}
