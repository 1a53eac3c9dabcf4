/// Measured values, sorted.
///
/// What is no number, or too large to be drawn, is left out and counted: [`Samples::left_out`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    sorted: Vec<f64>,
    left_out: usize,
}

/// Sums and differences of such values are finite, whatever is done with them here.
pub(crate) fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e100
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut samples = Self::default();
        samples.extend(values);
        samples
    }
}

impl Extend<f64> for Samples {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for value in values {
            if drawable(value) {
                // Minus zero would be printed as such.
                self.sorted.push(value + 0.0);
            } else {
                self.left_out += 1;
            }
        }
        self.sorted.sort_by(f64::total_cmp);
    }
}

impl Samples {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// How many values were no numbers.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The values, smallest first.
    pub fn values(&self) -> &[f64] {
        &self.sorted
    }

    /// The smallest value.
    pub fn min(&self) -> Option<f64> {
        self.sorted.first().copied()
    }

    /// The largest value.
    pub fn max(&self) -> Option<f64> {
        self.sorted.last().copied()
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sorted.iter().sum::<f64>() / self.len() as f64)
    }

    /// The smallest measured value that at least this share of all values does not exceed (nearest rank): 0.5 is the
    /// median. A share outside 0 to 1 counts as the nearer end.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        if share.is_nan() {
            return None;
        }
        // 0.95 * 20 is a little more than 19 in floating point, and its rank is 19.
        let rank = (share.clamp(0.0, 1.0) * self.len() as f64 - 1e-9).ceil() as usize;
        self.sorted.get(rank.max(1) - 1).copied()
    }

    /// How many values lie in `low..high`.
    pub(crate) fn between(&self, low: f64, high: f64) -> usize {
        let below = |edge: f64| self.sorted.partition_point(|value| *value < edge);
        below(high).saturating_sub(below(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let samples: Samples = (1..=20).rev().map(f64::from).collect();
        assert_eq!(samples.quantile(0.5), Some(10.0));
        assert_eq!(samples.quantile(0.95), Some(19.0));
        assert_eq!(samples.quantile(0.99), Some(20.0));
        assert_eq!(samples.quantile(0.0), Some(1.0));
        assert_eq!(samples.quantile(7.0), Some(20.0));
        assert_eq!(samples.quantile(f64::NAN), None);
        assert_eq!(samples.mean(), Some(10.5));
    }

    #[test]
    fn what_is_no_number_is_left_out_and_counted() {
        let samples: Samples = [f64::NAN, 2.0, f64::INFINITY, 1.0].into_iter().collect();
        assert_eq!(samples.values(), [1.0, 2.0]);
        assert_eq!(samples.left_out(), 2);
    }

    #[test]
    fn without_values_there_is_no_quantile() {
        let none = Samples::default();
        assert_eq!((none.quantile(0.5), none.mean(), none.min()), (None, None, None));
    }
}
