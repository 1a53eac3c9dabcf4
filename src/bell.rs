//! Tells whether something has asked to be polled, so that it is left alone when it has not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use futures::task::AtomicWaker;

/// The waker that one part of a task is polled with. Ringing it wakes the task and leaves a note for whom: what wakes
/// the task for another part's sake is no reason to poll this one. The network has one, so that a command or a deadline
/// does not mean a walk through every protocol; so has each listener, whose poll means system calls.
#[derive(Debug)]
pub(crate) struct Bell {
    rope: Arc<Rope>,
    waker: Waker,
}

#[derive(Debug)]
struct Rope {
    rung: AtomicBool,
    task: Arc<AtomicWaker>,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Whoever finds it rung already has nothing to add: the task is awake and has yet to look.
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

impl Bell {
    /// A bell for the task in `task`, that has been rung: what was never polled waits for nothing yet.
    pub(crate) fn new(task: Arc<AtomicWaker>) -> Self {
        let rope = Arc::new(Rope { rung: AtomicBool::new(true), task });
        let waker = Waker::from(Arc::clone(&rope));
        Self { rope, waker }
    }

    /// Says whose task it wakes, for everybody else who was given the same waker, too. To be called before
    /// [`answer`](Self::answer), so that no ring is lost between the two.
    pub(crate) fn attach(&self, task: &Waker) {
        self.rope.task.register(task);
    }

    /// Whether it has been rung since the last time.
    pub(crate) fn answer(&self) -> bool {
        // A plain look first: most polls are for somebody else.
        self.rope.rung.load(Ordering::Acquire) && self.rope.rung.swap(false, Ordering::AcqRel)
    }

    /// Makes the next [`answer`](Self::answer) say yes, without waking anybody.
    pub(crate) fn keep_rung(&self) {
        self.rope.rung.store(true, Ordering::Release);
    }

    /// To poll with.
    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_test::task::new_count_waker;

    fn at_rest() -> (Bell, futures_test::task::AwokenCount) {
        let bell = Bell::new(Arc::default());
        let (waker, wakes) = new_count_waker();
        bell.attach(&waker);
        assert!(bell.answer());
        (bell, wakes)
    }

    #[test]
    fn a_ring_wakes_the_task_and_is_answered_once() {
        let (bell, wakes) = at_rest();
        assert!(!bell.answer());
        bell.context().waker().wake_by_ref();
        bell.context().waker().wake_by_ref();
        assert_eq!(wakes.get(), 1);
        assert!(bell.answer());
        assert!(!bell.answer());
    }

    #[test]
    fn the_task_that_polled_last_is_the_one_that_is_woken() {
        let (bell, first) = at_rest();
        let (waker, second) = new_count_waker();
        bell.attach(&waker);
        bell.context().waker().wake_by_ref();
        assert_eq!((first.get(), second.get()), (0, 1));
    }

    #[test]
    fn what_is_kept_rung_is_answered_without_a_wake() {
        let (bell, wakes) = at_rest();
        bell.keep_rung();
        assert_eq!(wakes.get(), 0);
        assert!(bell.answer());
    }
}
