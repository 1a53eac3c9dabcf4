//! Tasks, each polled only when it was woken. A task that misses its wake stands still, and somebody will miss its answer.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use crate::trace::{self, What};

type Queue = Arc<Mutex<VecDeque<u64>>>;

/// Polls in a row, without time going on, that no honest task needs.
const MAX_POLLS_AT_ONCE: u64 = 2_000_000;

struct TaskWaker {
    task: u64,
    is_queued: AtomicBool,
    queue: Queue,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.task);
        }
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    /// On which machine it runs.
    machine: usize,
    state: Arc<TaskWaker>,
    waker: Waker,
}

#[derive(Default)]
pub(crate) struct Executor {
    tasks: BTreeMap<u64, Task>,
    queue: Queue,
    count: u64,
    /// What was woken on machines that stand still.
    waiting: BTreeMap<usize, Vec<u64>>,
    /// Polls on each machine so far.
    polls: Vec<u64>,
}

/// A task has never said that it waits, however often it was polled.
#[derive(Debug)]
pub(crate) struct Livelock {
    pub(crate) machine: usize,
}

impl Executor {
    /// Begins a task on a machine.
    pub(crate) fn spawn(
        &mut self,
        machine: usize,
        future: impl Future<Output = ()> + 'static,
    ) -> u64 {
        self.count += 1;
        let task = self.count;
        let queue = Arc::clone(&self.queue);
        let state = Arc::new(TaskWaker { task, is_queued: AtomicBool::new(false), queue });
        let waker = Waker::from(Arc::clone(&state));
        waker.wake_by_ref();
        self.tasks.insert(task, Task { future: Box::pin(future), machine, state, waker });
        task
    }

    /// Ends a task as it is. Answers whether it was still there.
    pub(crate) fn drop_task(&mut self, task: u64) -> bool {
        // What it drops may wake others, and ends no task itself.
        self.tasks.remove(&task).is_some()
    }

    /// The machine stands still: its tasks are not polled. Or it goes on, with those that were woken meanwhile.
    pub(crate) fn stand_still(&mut self, machine: usize, stands: bool) {
        if stands {
            self.waiting.entry(machine).or_default();
        } else {
            let woken = self.waiting.remove(&machine).unwrap_or_default();
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(woken);
        }
    }

    pub(crate) fn stands_still(&self, machine: usize) -> bool {
        self.waiting.contains_key(&machine)
    }

    /// How often tasks of this machine were polled.
    pub(crate) fn polls(&self, machine: usize) -> u64 {
        self.polls.get(machine).copied().unwrap_or_default()
    }

    /// Polls what was woken, in that order, until nothing is.
    pub(crate) fn run(&mut self) -> Result<(), Livelock> {
        for _ in 0..MAX_POLLS_AT_ONCE {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(id) = next else { return Ok(()) };
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if let Some(waiting) = self.waiting.get_mut(&task.machine) {
                waiting.push(id);
                continue;
            }
            task.state.is_queued.store(false, Ordering::Relaxed);
            trace::note(What::Poll, [id, task.machine as u64, 0]);
            let machine = task.machine;
            if self.polls.len() <= machine {
                self.polls.resize(machine + 1, 0);
            }
            self.polls[machine] += 1;
            let waker = task.waker.clone();
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.drop_task(id);
            }
        }
        let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).front().copied();
        let machine = next.and_then(|id| self.tasks.get(&id)).map_or(0, |task| task.machine);
        Err(Livelock { machine })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc, task::Poll};

    fn counting(
        polls: &Rc<Cell<u32>>,
        mut then: impl FnMut(&Waker) + 'static,
    ) -> impl Future<Output = ()> + 'static {
        let polls = Rc::clone(polls);
        std::future::poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            then(cx.waker());
            Poll::Pending
        })
    }

    #[test]
    fn a_task_that_was_not_woken_is_not_polled() {
        let (mut executor, polls) = (Executor::default(), Rc::default());
        let kept: Rc<Cell<Option<Waker>>> = Rc::default();
        let keeps = Rc::clone(&kept);
        executor.spawn(0, counting(&polls, move |waker| keeps.set(Some(waker.clone()))));
        executor.run().expect("no livelock");
        executor.run().expect("no livelock");
        assert_eq!(polls.get(), 1);
        kept.take().expect("a waker").wake();
        executor.run().expect("no livelock");
        assert_eq!((polls.get(), executor.polls(0)), (2, 2));
    }

    #[test]
    fn a_machine_that_stands_still_goes_on_where_it_was_woken() {
        let (mut executor, polls) = (Executor::default(), Rc::default());
        executor.stand_still(3, true);
        executor.spawn(3, counting(&polls, |_| {}));
        executor.run().expect("no livelock");
        assert_eq!(polls.get(), 0);
        executor.stand_still(3, false);
        executor.run().expect("no livelock");
        assert_eq!(polls.get(), 1);
    }

    #[test]
    fn a_task_that_always_wakes_itself_is_found_out() {
        let (mut executor, polls) = (Executor::default(), Rc::default());
        executor.spawn(2, counting(&polls, |waker| waker.wake_by_ref()));
        assert_eq!(executor.run().expect_err("a livelock").machine, 2);
    }
}
