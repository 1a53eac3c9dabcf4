//! Lines to standard output, written whole by a thread of their own, so that a reader that is slow, or
//! reads nothing at all, holds up the session's answers but never the node itself.

use std::{
    collections::VecDeque,
    io::{self, Write},
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use futures::{
    channel::{mpsc, oneshot},
    executor::block_on_stream,
    future::poll_fn,
};

/// Lines that may wait to be written. When as many do, no further request is taken, and events are
/// dropped: there may be any number of those.
const QUEUE: usize = 1024;

/// Nobody reads standard output any longer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// What is to be written.
#[derive(Debug)]
pub(crate) struct Output {
    waiting: VecDeque<String>,
    writer: mpsc::Sender<String>,
    thread: JoinHandle<()>,
    /// Resolves when the thread has ended.
    ended: oneshot::Receiver<()>,
    dropped: u64,
}

impl Output {
    /// Starts the thread that writes.
    pub(crate) fn to(mut target: impl Write + Send + 'static) -> io::Result<Self> {
        let (writer, lines) = mpsc::channel::<String>(0);
        let (running, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("output".to_owned()).spawn(move || {
            let _running = running;
            for line in block_on_stream(lines) {
                let written = target.write_all(line.as_bytes()).and_then(|()| target.flush());
                if let Err(error) = written {
                    // The session notices that the channel has closed.
                    tracing::debug!(%error, "standard output is closed");
                    return;
                }
            }
        })?;
        Ok(Self { waiting: VecDeque::new(), writer, thread, ended, dropped: 0 })
    }

    /// Whether the reader keeps up.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < QUEUE
    }

    /// Writes an answer. There are no more of them than requests taken.
    pub(crate) fn answer(&mut self, line: String) {
        self.waiting.push_back(line);
    }

    /// Writes an event, unless the reader is far behind.
    pub(crate) fn event(&mut self, line: String) {
        if self.has_room() {
            self.waiting.push_back(line);
            return;
        }
        if self.dropped == 0 {
            tracing::warn!("standard output is not read: events are dropped");
        }
        self.dropped += 1;
    }

    /// Hands lines to the writer. Ready when it took some, so that there may be room again, or when nobody
    /// reads them any longer.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let mut written = false;
        while !self.waiting.is_empty() {
            match self.writer.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(self.closed())),
                Poll::Pending => break,
            }
            if let Some(line) = self.waiting.pop_front()
                && self.writer.start_send(line).is_err()
            {
                return Poll::Ready(Err(self.closed()));
            }
            written = true;
        }
        if written { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn closed(&mut self) -> Closed {
        self.waiting.clear();
        Closed
    }

    /// Writes what waits, and ends when all of it is written or nobody reads it. It may wait for a slow reader
    /// without end: whoever has no time for that drops it.
    pub(crate) async fn finish(mut self) {
        while !self.waiting.is_empty() {
            let Ok(()) = poll_fn(|cx| self.poll_write(cx)).await else { break };
        }
        drop(self.writer);
        // Always an error: the thread drops the other end when it ends.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes standard output panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use std::sync::{Arc, Mutex, mpsc as std_mpsc};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_line_is_written_whole_and_in_order() {
        let page = Page::default();
        let mut output = Output::to(page.clone()).unwrap();
        output.answer("one\n".to_owned());
        output.event("two\n".to_owned());
        block_on(output.finish());
        assert_eq!(*page.0.lock().unwrap(), [b"one\n", b"two\n"]);
    }

    /// Writes nothing until it is told to, and then fails.
    struct Stuck(std_mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_costs_bounded_memory_and_no_answer() {
        let (_stuck, never) = std_mpsc::channel();
        let mut output = Output::to(Stuck(never)).unwrap();
        for _ in 0..QUEUE + 10 {
            output.event("event\n".to_owned());
        }
        assert_eq!((output.waiting.len(), output.dropped), (QUEUE, 10));
        assert!(!output.has_room());
        output.answer("answer\n".to_owned());
        assert_eq!(output.waiting.len(), QUEUE + 1);
    }

    #[test]
    fn a_reader_that_reads_again_makes_room_and_the_session_hears_of_it() {
        let page = Page::default();
        let mut output = Output::to(page.clone()).unwrap();
        for line in 0..QUEUE {
            output.answer(format!("{line}\n"));
        }
        assert!(!output.has_room());
        assert_eq!(block_on(poll_fn(|cx| output.poll_write(cx))), Ok(()));
        assert!(output.has_room());
        block_on(output.finish());
        assert_eq!(page.0.lock().unwrap().len(), QUEUE);
    }

    #[test]
    fn a_reader_that_has_gone_is_noticed() {
        let (gone, told) = std_mpsc::channel();
        let mut output = Output::to(Stuck(told)).unwrap();
        drop(gone);
        for _ in 0..10 {
            output.answer("line\n".to_owned());
        }
        let mut write = || block_on(poll_fn(|cx| output.poll_write(cx)));
        assert!((0..10).any(|_| write() == Err(Closed)));
    }
}
