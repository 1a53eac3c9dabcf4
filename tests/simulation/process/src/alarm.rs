//! Timers of a simulated process.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{NONE, NOW, nanos};

/// When it is due, and which of those that are due at that time.
type Key = (u64, u64);

#[derive(Debug)]
struct Armed {
    tasks: BTreeMap<Key, Waker>,
    count: u64,
}

thread_local! {
    static ARMED: RefCell<Armed> = const { RefCell::new(Armed { tasks: BTreeMap::new(), count: 0 }) };
}

/// Wakes a task at a time. It does nothing before it is polled.
pub struct Alarm {
    /// In nanoseconds. None: never.
    due: Option<u64>,
    armed: Option<Key>,
}

impl Alarm {
    /// One that is due in so long.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        let mut alarm = Self::never();
        alarm.set_after(time);
        alarm
    }

    /// One that is never due.
    #[must_use]
    pub const fn never() -> Self {
        Self { due: None, armed: None }
    }

    /// It is due in so long from now on.
    pub fn set_after(&mut self, time: Duration) {
        self.clear();
        self.due = Some(current().saturating_add(nanos(time)));
    }

    /// It is never due from now on.
    pub fn clear(&mut self) {
        self.disarm();
        self.due = None;
    }

    /// Whether it will ever be due.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.due.is_some()
    }

    /// Ready from when it is due. Before that, the task of the last call is woken then.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else { return Poll::Pending };
        if due <= current() {
            self.disarm();
            return Poll::Ready(());
        }
        self.arm(due, cx.waker());
        Poll::Pending
    }

    fn arm(&mut self, due: u64, task: &Waker) {
        // What is dropped may set timers itself, so it is dropped after the table has been left.
        let _before = ARMED.with_borrow_mut(|armed| {
            if let Some(key) = self.armed
                && let Some(before) = armed.tasks.get_mut(&key)
            {
                return (!before.will_wake(task)).then(|| std::mem::replace(before, task.clone()));
            }
            armed.count += 1;
            let key = (due, armed.count);
            self.armed = Some(key);
            armed.tasks.insert(key, task.clone())
        });
    }

    fn disarm(&mut self) {
        if let Some(key) = self.armed.take() {
            // At the end of a thread there may be no table any more.
            let _task = ARMED.try_with(|armed| armed.borrow_mut().tasks.remove(&key));
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("due", &self.due).finish()
    }
}

fn current() -> u64 {
    let now = NOW.get();
    assert!(now != NONE, "timers only run in a simulation, and none runs on this thread");
    now
}

/// When the next timer is due that somebody waits for.
#[must_use]
pub fn next_alarm() -> Option<Duration> {
    ARMED.with_borrow(|armed| {
        armed.tasks.first_key_value().map(|((due, _), _)| Duration::from_nanos(*due))
    })
}

/// Wakes those whose time has come, in the order of their times.
pub(crate) fn wake_due() {
    let now = current();
    let due = || {
        ARMED.with_borrow_mut(|armed| {
            let entry = armed.tasks.first_entry()?;
            (entry.key().0 <= now).then(|| entry.remove())
        })
    };
    while let Some(task) = due() {
        task.wake();
    }
}
