//! The clocks of the process: the operating system's, answered from virtual time on a thread that simulates, and the one
//! that each node is given.

use std::{
    ffi::c_int,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use peerage::{Clock, Timer};
use process::Alarm;

/// The calendar at time zero: 2033-05-18.
pub(crate) const EPOCH: Duration = Duration::from_secs(2_000_000_000);

/// What the monotonic clock shows at time zero. A machine that has been up for a while can subtract from it.
const UPTIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Takes the place of the C library's. `Instant::now` and `SystemTime::now` end here.
///
/// # Safety
/// As for the C library's: `time` is valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    let origin = match clock {
        libc::CLOCK_MONOTONIC | libc::CLOCK_BOOTTIME | libc::CLOCK_MONOTONIC_RAW => UPTIME,
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => EPOCH,
        // What a thread or the process has taken is no part of the simulation.
        _ => Duration::MAX,
    };
    match process::now() {
        Some(now) if origin < Duration::MAX => {
            let shown = origin + now;
            let shown = libc::timespec {
                tv_sec: shown.as_secs() as libc::time_t,
                tv_nsec: libc::c_long::from(shown.subsec_nanos() as i32),
            };
            // SAFETY: the caller promises that it can be written.
            unsafe { time.write(shown) };
            0
        }
        // SAFETY: the system call of that name, with its own arguments.
        _ => unsafe {
            crate::entropy::real_syscall(libc::SYS_clock_gettime, clock.into(), time as i64, 0)
                as c_int
        },
    }
}

/// What has time moved on by, as one machine sees it: the calendar of each may be wrong in its own way.
#[derive(Debug, Clone, Default)]
pub(crate) struct MachineClock(Arc<Offsets>);

#[derive(Debug, Default)]
struct Offsets {
    /// By how many nanoseconds the calendar differs from the true one.
    calendar: AtomicI64,
    /// For how many nanoseconds the monotonic clock has stood still.
    stood: AtomicI64,
}

impl MachineClock {
    /// Sets the calendar to so much off the true time, in milliseconds.
    pub(crate) fn set_skew(&self, millis: i64) {
        self.0.calendar.store(millis * 1_000_000, Ordering::Relaxed);
    }

    /// The monotonic clock has stood still for so long, as it does on machines that sleep.
    pub(crate) fn stand_still(&self, time: Duration) {
        self.0.stood.fetch_add(time.as_nanos() as i64, Ordering::Relaxed);
    }

    fn stood(&self) -> Duration {
        Duration::from_nanos(self.0.stood.load(Ordering::Relaxed) as u64)
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Duration {
        current() - self.stood()
    }

    fn unix_time(&self) -> Duration {
        let skew = self.0.calendar.load(Ordering::Relaxed);
        let by = Duration::from_nanos(skew.unsigned_abs());
        let true_time = EPOCH + current();
        if skew < 0 { true_time - by } else { true_time + by }
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(MachineTimer { clock: self.clone(), alarm: Alarm::never(), due: Duration::MAX })
    }
}

struct MachineTimer {
    clock: MachineClock,
    alarm: Alarm,
    due: Duration,
}

impl Timer for MachineTimer {
    fn poll_at(&mut self, deadline: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let due = deadline + self.clock.stood();
        if due != self.due {
            self.alarm.set_after(due.saturating_sub(current()));
            self.due = due;
        }
        self.alarm.poll(cx)
    }
}

fn current() -> Duration {
    process::now().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Instant, SystemTime};

    #[test]
    fn time_stands_still_until_it_is_moved() {
        process::begin(1);
        let (start, date) = (Instant::now(), SystemTime::now());
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!((Instant::now(), SystemTime::now()), (start, date));
        assert_eq!(date.duration_since(SystemTime::UNIX_EPOCH).expect("a date"), EPOCH);
        process::advance(Duration::from_secs(3600));
        assert_eq!(start.elapsed(), Duration::from_secs(3600));
        assert_eq!(date.elapsed().expect("later"), Duration::from_secs(3600));
    }

    #[test]
    fn other_threads_see_the_time_of_the_operating_system() {
        process::begin(1);
        std::thread::spawn(|| {
            let start = Instant::now();
            std::thread::sleep(Duration::from_millis(2));
            assert!(start.elapsed() >= Duration::from_millis(2));
            let date = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a date");
            assert!(date < EPOCH);
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn timers_of_the_libraries_below_a_node_run_on_virtual_time() {
        use std::{future::Future, pin::pin};
        process::begin(1);
        let mut delay = pin!(futures_timer::Delay::new(Duration::from_secs(5)));
        let mut timer = pin!(async_io::Timer::at(Instant::now() + Duration::from_secs(7)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for (time, expected) in [(4, [false, false]), (5, [true, false]), (7, [true, true])] {
            process::advance(Duration::from_secs(time));
            let ready =
                [delay.as_mut().poll(&mut cx).is_ready(), timer.as_mut().poll(&mut cx).is_ready()];
            assert_eq!(ready, expected, "after {time} s");
            let next = [5, 7].into_iter().find(|due| *due > time).map(Duration::from_secs);
            assert_eq!(process::next_alarm(), next);
        }
    }
}
