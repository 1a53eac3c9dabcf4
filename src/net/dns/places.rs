//! A bound on what happens at a time, for which one waits in line.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::channel::oneshot;

/// So many places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Mutex<Line>>);

#[derive(Debug)]
struct Line {
    free: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
}

impl Places {
    pub(super) fn new(free: usize) -> Self {
        Self(Arc::new(Mutex::new(Line { free, waiting: VecDeque::new() })))
    }

    /// A place, as soon as there is one. Whoever goes away meanwhile is passed over.
    pub(super) async fn take(&self) -> Place {
        let place = {
            let mut line = self.line();
            if line.free > 0 {
                line.free -= 1;
                return Place { places: self.clone() };
            }
            let (sender, place) = oneshot::channel();
            line.waiting.push_back(sender);
            place
        };
        match place.await {
            Ok(place) => place,
            // Nobody drops a place that is waited for without handing it on.
            Err(oneshot::Canceled) => Place { places: self.clone() },
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.places.line();
        line.free += 1;
        let next = line.waiting.iter().position(|waiting| !waiting.is_canceled());
        let Some(next) = next else { return line.waiting.clear() };
        let Some(next) = line.waiting.drain(..=next).next_back() else { return };
        line.free -= 1;
        drop(line);
        // Goes back if it is not wanted any more: it is dropped then.
        let _ = next.send(Place { places: self.places.clone() });
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, executor::block_on};

    use super::*;

    #[test]
    fn whoever_waits_gets_the_place_of_one_that_leaves_in_order() {
        let places = Places::new(1);
        let first = block_on(places.take());
        let mut second = Box::pin(places.take());
        let mut third = Box::pin(places.take());
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        let second = (&mut second).now_or_never().unwrap();
        drop(second);
        assert!((&mut third).now_or_never().is_some());
    }

    #[test]
    fn whoever_goes_away_before_or_after_its_turn_keeps_nobody_waiting() {
        let places = Places::new(1);
        for leaves_before in [true, false] {
            let first = block_on(places.take());
            let mut second = Box::pin(places.take());
            let mut third = Box::pin(places.take());
            assert!((&mut second).now_or_never().is_none());
            assert!((&mut third).now_or_never().is_none());
            if leaves_before {
                drop(second);
                drop(first);
            } else {
                drop(first);
                drop(second);
            }
            assert!((&mut third).now_or_never().is_some());
        }
        assert_eq!(places.line().free, 1);
    }
}
