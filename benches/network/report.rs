//! How a figure is printed, and held to its target.

use std::time::Duration;

use crate::Outcome;

/// What a figure has to keep to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// Prints figures, and remembers them for the ratios.
#[derive(Debug, Default)]
pub(crate) struct Report {
    known: Vec<(usize, &'static str, f64)>,
    is_short: bool,
}

impl Report {
    pub(crate) fn figure(&mut self, size: usize, name: &'static str, value: f64, unit: &str) {
        self.known.push((size, name, value));
        println!("network {size} {name} {} {unit}", figures(value));
    }

    pub(crate) fn target(
        &mut self,
        size: usize,
        name: &'static str,
        value: f64,
        unit: &str,
        target: Target,
    ) {
        self.known.push((size, name, value));
        self.judge(&size.to_string(), name, value, unit, target);
    }

    /// How many times more a figure is in the largest network than in the smallest.
    pub(crate) fn ratio(&mut self, name: &str, target: Target) {
        let of_name = self.known.iter().filter(|(_, known, _)| *known == name);
        let small = of_name.clone().min_by_key(|(size, ..)| *size);
        let large = of_name.max_by_key(|(size, ..)| *size);
        if let (Some(&(small_size, _, small)), Some(&(large_size, _, large))) = (small, large)
            && small_size < large_size
        {
            self.judge(&format!("{large_size}/{small_size}"), name, large / small, "times", target);
        }
    }

    /// Tells of a part that could not be carried out.
    pub(crate) fn part(&mut self, size: usize, name: &str, measured: Outcome<()>) {
        if let Err(error) = measured {
            self.is_short = true;
            eprintln!("      {name} of {size}: {error}");
            println!("network {size} {name} failed");
        }
    }

    pub(crate) fn is_short(&self) -> bool {
        self.is_short
    }

    /// What is no number is short.
    fn judge(&mut self, size: &str, name: &str, value: f64, unit: &str, target: Target) {
        let (sign, target, is_kept) = match target {
            Target::AtMost(most) => ("<=", most, value <= most),
            Target::AtLeast(least) => (">=", least, value >= least),
        };
        let verdict = if is_kept { "ok" } else { "short" };
        self.is_short |= !is_kept;
        let value = figures(value);
        println!("network {size} {name} {value} {unit} {sign} {} {verdict}", figures(target));
    }
}

/// Three significant figures, and whole numbers as they are.
fn figures(value: f64) -> String {
    if value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    let before = value.abs().log10().floor();
    let decimals = if before.is_finite() { (2.0 - before).clamp(0.0, 6.0) as usize } else { 2 };
    format!("{value:.decimals$}")
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn most(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NAN, f64::max)
}

pub(crate) fn least(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NAN, f64::min)
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
