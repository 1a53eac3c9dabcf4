use crate::text::{on_axis, on_log_axis};

/// Values that spread over more than this factor stand on a logarithmic axis.
const WIDE: f64 = 100.0;
/// What is less counts as zero: its logarithm would have no end.
pub(super) const LEAST: f64 = 1e-90;

/// Where values stand between two ends of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) is_log: bool,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Pixels of `low` and `high`.
    pub(super) from: f64,
    pub(super) to: f64,
}

/// A value that is named beside the axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Whether values from `low`, the smallest above zero, to `high` need a logarithmic axis.
pub(super) fn is_wide(low: f64, high: f64) -> bool {
    low >= LEAST && high / low > WIDE
}

/// The smallest of 1, 2, 5, 10, 20, … times a power of ten that is not below `rough`.
pub(super) fn round_up(rough: f64) -> f64 {
    if rough < LEAST || !rough.is_finite() {
        return LEAST;
    }
    let power = 10f64.powf(rough.log10().floor());
    let found = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= rough * (1.0 - 1e-9));
    found.unwrap_or(10.0) * power
}

/// Smallest and largest of some numbers, if there are any.
pub(super) fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

impl Scale {
    pub(super) fn linear((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let (low, high) = if high - low > low.abs().max(high.abs()) * 1e-9 {
            (low, high)
        } else {
            let aside = (low.abs() * 0.1).max(0.5);
            (low - aside, high + aside)
        };
        Self { is_log: false, low, high, from, to }
    }

    /// Both values are at least [`LEAST`].
    pub(super) fn log((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let (low, high) =
            if high / low > 1.0 + 1e-6 { (low, high) } else { (low / 2.0, high * 2.0) };
        Self { is_log: true, low, high, from, to }
    }

    /// An axis from zero, or from below, up to the tick above the largest value. Logarithmic where values spread wide.
    pub(super) fn upright(values: &[f64], pixels: (f64, f64)) -> Self {
        let (low, high) = range(values.iter().copied()).unwrap_or((0.0, 1.0));
        if is_wide(low, high) {
            let low = 10f64.powf(low.log10().floor());
            return Self::log((low, round_up(high)), pixels);
        }
        let (low, high) = (low.min(0.0), high.max(0.0));
        let high = if low == high { 1.0 } else { high };
        let step = round_up((high - low) / 5.0);
        let to_step = |value: f64| (value / step - 1e-9).ceil() * step;
        Self::linear((-to_step(-low), to_step(high)), pixels)
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = if self.is_log {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// At most about `most` ticks at round values.
    pub(super) fn ticks(&self, most: usize) -> Vec<Tick> {
        let most = most.max(2);
        let mut ticks = if self.is_log { self.log_ticks(most) } else { Vec::new() };
        if ticks.len() < 2 {
            ticks = self.linear_ticks(most);
        }
        ticks.dedup_by(|next, tick| next.label == tick.label);
        ticks
    }

    fn linear_ticks(&self, most: usize) -> Vec<Tick> {
        let step = round_up((self.high - self.low) / most as f64);
        let first = (self.low / step - 1e-9).ceil();
        let largest = self.low.abs().max(self.high.abs());
        (0..=most)
            .map(|at| (first + at as f64) * step)
            .take_while(|value| *value <= self.high + step * 1e-6)
            .map(|at| Tick { at, label: on_axis(at, step, largest) })
            .collect()
    }

    fn log_ticks(&self, most: usize) -> Vec<Tick> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let inside = |value: &f64| (self.low * 0.999..=self.high * 1.001).contains(value);
        let tick = |at: f64| Tick { at, label: on_log_axis(at) };
        let choose = |times: &[f64], every: usize| -> Vec<Tick> {
            let powers = (first..=last).filter(|power| power.rem_euclid(every as i32) == 0);
            let values = powers.flat_map(|power| times.iter().map(move |t| t * 10f64.powi(power)));
            values.filter(inside).map(tick).collect()
        };
        let ticks = choose(&[1.0, 2.0, 5.0], 1);
        if ticks.len() <= most {
            return ticks;
        }
        let decades = (last - first).unsigned_abs() as usize;
        choose(&[1.0], decades.div_ceil(most).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, most: usize) -> Vec<String> {
        scale.ticks(most).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        let pixels = (0.0, 100.0);
        assert_eq!(
            labels(Scale::linear((0.0, 30.0), pixels), 6),
            ["0", "5", "10", "15", "20", "25", "30"]
        );
        assert_eq!(labels(Scale::linear((0.0, 0.7), pixels), 4), ["0", "0.2", "0.4", "0.6"]);
        assert_eq!(
            labels(Scale::log((1.0, 1e6), pixels), 7),
            ["1", "10", "100", "1k", "10k", "100k", "1M"]
        );
        assert_eq!(labels(Scale::log((15.0, 700.0), pixels), 7), ["20", "50", "100", "200", "500"]);
        assert_eq!(labels(Scale::log((31.0, 44.0), pixels), 4), ["35", "40"]);
    }

    #[test]
    fn an_axis_holds_its_values_and_ends_at_a_tick() {
        let scale = Scale::upright(&[3.0, 11.3], (100.0, 0.0));
        assert_eq!((scale.low, scale.high), (0.0, 15.0));
        let below = Scale::upright(&[-3.0, 2.0], (100.0, 0.0));
        assert_eq!((below.low, below.high), (-3.0, 2.0));
        assert!(Scale::upright(&[1.0, 200.0], (100.0, 0.0)).is_log);
    }

    #[test]
    fn an_axis_of_odd_values_has_ticks_and_an_end() {
        let odd = [0.0, 5e-324, 1e-300, LEAST, 1.0, 1e16, 1e16 + 2.0, -1e99, 1e99];
        for low in odd {
            for high in odd.into_iter().filter(|high| *high >= low) {
                let scale = Scale::linear((low, high), (0.0, 300.0));
                assert!(scale.ticks(6).len() <= 7);
                assert!((0.0..=300.0).contains(&scale.place(high)), "{low} {high}");
                if low >= LEAST {
                    let log = Scale::log((low, high), (0.0, 300.0));
                    assert!(log.ticks(6).len() <= 9, "{low} {high} {:?}", log.ticks(6));
                    assert!((0.0..=300.0).contains(&log.place(low)), "{low} {high}");
                }
            }
        }
    }
}
