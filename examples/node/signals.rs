//! Signals that ask the process to leave.
//!
//! The first one is a request, as `quit` is: calls that are under way are answered, peers are told, and the exit
//! status is 0, since what was asked for was done. (So a service manager does not take a stop for a failure.) A second
//! one ends the process at once, by the signal itself: a shell shows 128 and its number, 143 for `SIGTERM` and 130
//! for `SIGINT`. Nothing is lost by that but the goodbye.
//!
//! Only Unix has them. Elsewhere the process ends as it would without this.

use std::io;

use crate::session::Form;

/// Resolves when a signal has asked the process to leave. From here on, the process no longer ends by itself at the
/// first one.
#[cfg(unix)]
pub(crate) fn watch(form: Form) -> io::Result<impl Future<Output = ()>> {
    use futures::{channel::oneshot, future::pending};

    let signals = signal_hook::iterator::Signals::new(unix::asking_to_leave(form))?;
    let (sender, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || unix::listen(signals, sender))?;
    Ok(async {
        if told.await.is_err() {
            // The thread has ended, which it does not do by itself.
            pending().await
        }
    })
}

#[cfg(not(unix))]
pub(crate) fn watch(_: Form) -> io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}

#[cfg(unix)]
mod unix {
    use std::{
        ffi::c_int,
        io::{self, Write},
        time::{Duration, Instant},
    };

    use futures::channel::oneshot;
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        iterator::Signals,
        low_level::{emulate_default_handler, signal_name},
    };

    use crate::session::Form;

    /// Signals as close to the first as this are the same request: `timeout`, for one, sends each to the process and
    /// to its group.
    const SAME_REQUEST: Duration = Duration::from_millis(100);

    /// The signals that ask the process to leave. A terminal that is closed sends `SIGHUP`. Without a terminal that
    /// signal is left alone: under `nohup` it is ignored, and has to stay so.
    pub(super) fn asking_to_leave(form: Form) -> &'static [c_int] {
        match form {
            Form::Prompt => &[SIGTERM, SIGINT, SIGHUP],
            Form::Json | Form::Words => &[SIGTERM, SIGINT],
        }
    }

    /// Passes the first signal on, and ends the process at the second. On a thread of its own, so that the second
    /// is heard whatever the rest of the process is stuck in.
    pub(super) fn listen(mut signals: Signals, leave: oneshot::Sender<()>) {
        let mut signals = signals.forever();
        let Some(first) = signals.next() else { return };
        let asked = Instant::now();
        // Nobody hears it if the session has ended by itself meanwhile.
        let _ = leave.send(());
        let name = signal_name(first).unwrap_or("a signal");
        // Nobody may read it: the terminal may be gone.
        let _ = writeln!(io::stderr(), "node: {name}: leaving; a second signal ends it at once");
        for signal in signals {
            if asked.elapsed() >= SAME_REQUEST {
                // It does not return for a signal whose default is to end the process.
                let _ = emulate_default_handler(signal);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_signal_that_nohup_ignores_is_listened_to_only_at_a_prompt() {
            assert!(asking_to_leave(Form::Prompt).contains(&SIGHUP));
            for form in [Form::Json, Form::Words] {
                assert!(!asking_to_leave(form).contains(&SIGHUP), "{form:?}");
            }
        }
    }
}
