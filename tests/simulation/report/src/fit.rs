use std::{collections::BTreeSet, fmt};

use crate::samples::drawable;

/// Sizes of a network that a fit needs: through two points any line fits, and says nothing of how well.
const FEWEST_SIZES: usize = 3;
/// The largest residual, as a share of the mean value, that is still called a fit.
const WORST_RESIDUAL: f64 = 0.25;

/// `a + b·log₂ N`, least squares through measured points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// `a`, the value at one node.
    pub intercept: f64,
    /// `b`, what each doubling of the network adds.
    pub slope: f64,
    /// The typical distance of a point from the curve, in the value's unit: the root of the squares' sum over the degrees
    /// of freedom.
    pub residual: f64,
    /// The mean of the points' values, which the residual is judged by.
    pub mean: f64,
    /// The smallest network measured.
    pub smallest: f64,
    /// The largest network measured.
    pub largest: f64,
}

/// Why nothing is said about a network of another size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoFit {
    /// This many sizes of network were measured, of the three that are needed.
    TooFewSizes(usize),
    /// The points lie this far from any such curve, as a share of their mean.
    TooFarOff(f64),
    /// The curve is below zero at this many nodes, where a cost cannot be.
    BelowZero(f64),
}

impl fmt::Display for NoFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewSizes(sizes) => {
                write!(f, "measured at {sizes} sizes of network, {FEWEST_SIZES} are needed")
            }
            Self::TooFarOff(share) => {
                write!(f, "the points lie {:.0} % off any a + b·log₂ N", share * 100.0)
            }
            Self::BelowZero(_) => write!(f, "the fitted curve falls below zero"),
        }
    }
}

impl Fit {
    /// Fits points `(nodes, value)`. Points that are no numbers, or of no network, do not count.
    pub fn through(points: &[(f64, f64)]) -> Result<Self, NoFit> {
        let points: Vec<(f64, f64)> = points
            .iter()
            .copied()
            .filter(|(nodes, value)| drawable(*nodes) && *nodes >= 1.0 && drawable(*value))
            .collect();
        let sizes: BTreeSet<u64> = points.iter().map(|(nodes, _)| nodes.to_bits()).collect();
        if sizes.len() < FEWEST_SIZES {
            return Err(NoFit::TooFewSizes(sizes.len()));
        }
        let count = points.len() as f64;
        let mean_of = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let centre = mean_of(&|(nodes, _)| nodes.log2());
        let mean = mean_of(&|(_, value)| *value);
        let together = mean_of(&|(nodes, value)| (nodes.log2() - centre) * (value - mean));
        let slope = together / mean_of(&|(nodes, _)| (nodes.log2() - centre).powi(2));
        let intercept = mean - slope * centre;
        let squares: f64 = points
            .iter()
            .map(|(nodes, value)| (value - intercept - slope * nodes.log2()).powi(2))
            .sum();
        let residual = (squares / (count - 2.0)).sqrt();
        if residual > WORST_RESIDUAL * mean.abs() {
            return Err(NoFit::TooFarOff(residual / mean.abs()));
        }
        let nodes = || points.iter().map(|(nodes, _)| *nodes);
        let (smallest, largest) =
            (nodes().fold(f64::INFINITY, f64::min), nodes().fold(0.0, f64::max));
        Ok(Self { intercept, slope, residual, mean, smallest, largest })
    }

    /// The value that the curve has for a network of this size.
    pub fn at(&self, nodes: f64) -> Result<f64, NoFit> {
        let value = self.curve(nodes);
        if value < 0.0 { Err(NoFit::BelowZero(nodes)) } else { Ok(value) }
    }

    pub(crate) fn curve(&self, nodes: f64) -> f64 {
        self.intercept + self.slope * nodes.max(1.0).log2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_the_logarithm_is_found_exactly() {
        let points =
            [16.0, 64.0, 256.0, 4096.0].map(|nodes: f64| (nodes, 3.0 + 0.5 * nodes.log2()));
        let fit = Fit::through(&points).unwrap();
        assert!((fit.intercept - 3.0).abs() < 1e-9 && (fit.slope - 0.5).abs() < 1e-9);
        assert!(fit.residual < 1e-9);
        assert_eq!((fit.smallest, fit.largest), (16.0, 4096.0));
        assert!((fit.at(1_048_576.0).unwrap() - 13.0).abs() < 1e-9);
    }

    #[test]
    fn the_residual_says_how_far_the_points_lie_off() {
        let points = [(2.0, 9.0), (4.0, 11.0), (8.0, 9.0), (16.0, 11.0)];
        let fit = Fit::through(&points).unwrap();
        assert!((0.9..1.4).contains(&fit.residual), "{}", fit.residual);
    }

    #[test]
    fn two_sizes_are_no_fit() {
        let points = [(20.0, 1.0), (20.0, 2.0), (200.0, 3.0), (f64::NAN, 4.0), (0.0, 4.0)];
        assert_eq!(Fit::through(&points), Err(NoFit::TooFewSizes(2)));
    }

    #[test]
    fn what_does_not_grow_with_the_logarithm_is_no_fit() {
        let linear = [20.0, 200.0, 1000.0, 5000.0].map(|nodes| (nodes, nodes));
        assert!(matches!(Fit::through(&linear), Err(NoFit::TooFarOff(_))));
    }

    #[test]
    fn a_cost_below_zero_is_no_answer() {
        let falls = [(2.0, 10.0), (4.0, 9.0), (8.0, 8.0)];
        let fit = Fit::through(&falls).unwrap();
        assert_eq!(fit.at(1e6), Err(NoFit::BelowZero(1e6)));
    }

    #[test]
    fn all_zero_fits_zero() {
        let fit = Fit::through(&[(2.0, 0.0), (4.0, 0.0), (8.0, 0.0)]).unwrap();
        assert_eq!(fit.at(1e6), Ok(0.0));
    }
}
