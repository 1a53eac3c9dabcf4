//! A clock that is wrong, for trials of what a peer and its neighbours make of that.
//!
//! `NODE_CLOCK_OFFSET=-10min` in the environment has this peer's calendar ten minutes behind the machine's, and `3days`
//! three days ahead. Only the calendar differs: the clock that deadlines go by is the machine's.

use std::{env, sync::Arc, time::Duration};

use humantime_serde::re::humantime::parse_duration;
use peerage::{Clock, Error, Result, SystemClock, Timer};

use crate::ops::invalid;

const VARIABLE: &str = "NODE_CLOCK_OFFSET";

/// The machine's clock, unless the environment says by how much it is to be wrong.
pub(crate) fn from_environment() -> Result<Arc<dyn Clock>> {
    match env::var(VARIABLE) {
        Ok(text) => Ok(Arc::new(text.parse::<WrongClock>()?)),
        Err(env::VarError::NotPresent) => Ok(Arc::new(SystemClock::new())),
        Err(error) => Err(invalid(VARIABLE, error.to_string())),
    }
}

#[derive(Debug)]
struct WrongClock {
    right: SystemClock,
    by: Offset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offset {
    Ahead(Duration),
    Behind(Duration),
}

impl Clock for WrongClock {
    fn now(&self) -> Duration {
        self.right.now()
    }

    fn unix_time(&self) -> Duration {
        match self.by {
            Offset::Ahead(by) => self.right.unix_time().saturating_add(by),
            Offset::Behind(by) => self.right.unix_time().saturating_sub(by),
        }
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.right.timer()
    }
}

impl std::str::FromStr for WrongClock {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (sign, duration) = match text.strip_prefix('-') {
            Some(duration) => (Offset::Behind as fn(Duration) -> Offset, duration),
            None => (Offset::Ahead as fn(Duration) -> Offset, text),
        };
        let duration = parse_duration(duration).map_err(|error| {
            invalid(
                VARIABLE,
                format!("`{text}` is no duration such as `10min` or `-3days` ({error})"),
            )
        })?;
        Ok(Self { right: SystemClock::new(), by: sign(duration) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ahead_or_behind_by_a_duration() {
        let by = |text: &str| text.parse::<WrongClock>().map(|clock| clock.by);
        assert_eq!(by("10min"), Ok(Offset::Ahead(Duration::from_secs(600))));
        assert_eq!(by("-3days"), Ok(Offset::Behind(Duration::from_secs(259_200))));
        assert!(by("").is_err() && by("soon").is_err() && by("--1s").is_err());
        let clock: WrongClock = "-1h".parse().unwrap();
        let differs = SystemClock::new().unix_time() - clock.unix_time();
        assert!(differs.abs_diff(Duration::from_secs(3600)) < Duration::from_secs(60));
    }
}
