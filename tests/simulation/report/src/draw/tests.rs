use crate::{
    Axis, Distribution, Growth, GrowthPoint, Line, Measured, Plot, Samples, Theory, TimeSeries,
};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.uniform() * end as f64) as usize
    }

    /// From a billionth to a billion.
    fn magnitude(&mut self) -> f64 {
        10f64.powf(self.uniform() * 18.0 - 9.0)
    }

    /// Values of one kind that a simulation measures: counts, times, bytes, the same again and again.
    fn samples(&mut self) -> Samples {
        let (count, size) = (1 + self.below(300), self.magnitude());
        let kind = self.below(5);
        let sample = |dice: &mut Self| match kind {
            0 => (dice.uniform() * 12.0).floor(),
            1 => size * (1.0 + dice.uniform()),
            2 => size * 10f64.powf(dice.uniform() * 7.0),
            3 => size,
            _ => (size * 10f64.powf(dice.uniform() * 4.0) - size * 2.0).max(0.0),
        };
        (0..count).map(|_| sample(self)).collect()
    }

    fn words(&mut self, most: usize) -> String {
        let words =
            ["records", "of a", "node", "WWWWWWWWWWWWWWWWWWWWWWWW", "churn,", "%", "20 replicas"];
        (0..self.below(most + 1))
            .map(|_| words[self.below(words.len())])
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn axis(&mut self) -> Axis {
        Axis::new(self.words(4), self.words(2))
    }
}

fn assert_readable(plot: &Plot) {
    for (at, (text, [left, top, right, bottom])) in plot.texts.iter().enumerate() {
        assert!(
            *left >= -1.0 && *right <= plot.width + 1.0 && *top >= 0.0 && *bottom <= plot.height,
            "{text:?} leaves {plot:?}"
        );
        for (other, [others_left, others_top, others_right, others_bottom]) in
            plot.texts.iter().skip(at + 1)
        {
            let apart = right <= others_left
                || others_right <= left
                || *bottom <= others_top + 0.01
                || *others_bottom <= top + 0.01;
            assert!(apart, "{text:?} covers {other:?} in {plot:?}: {:?}", plot.texts);
        }
    }
    for odd in ["NaN", "inf"] {
        assert!(!plot.body.contains(odd), "{odd} in {plot:?}");
    }
}

#[test]
fn no_text_of_a_distribution_covers_another() {
    for seed in 0..400 {
        let dice = &mut Dice(seed);
        let figure = Distribution::new(dice.words(8), dice.axis(), dice.samples());
        assert_readable(&figure.plot());
    }
}

#[test]
fn no_text_of_values_over_time_covers_another() {
    for seed in 0..400 {
        let dice = &mut Dice(seed);
        let mut figure = TimeSeries::new(dice.words(8), dice.axis(), dice.axis());
        for _ in 0..=dice.below(6) {
            let (count, span) = (dice.below(40), dice.magnitude());
            let values = dice.samples();
            let points =
                values.values().iter().take(count).map(|value| (dice.uniform() * span, *value));
            let points = points.collect();
            figure = figure.with_line(Line::measured(dice.words(4), points));
        }
        for _ in 0..dice.below(6) {
            let at = dice.magnitude();
            figure = figure.with_mark(at, dice.words(3));
        }
        assert_readable(&figure.plot());
    }
}

#[test]
fn no_text_of_a_growth_covers_another() {
    for seed in 0..400 {
        let dice = &mut Dice(seed);
        let mut figure = Growth::new(dice.words(8), dice.axis());
        for _ in 0..=dice.below(3) {
            let point = |dice: &mut Dice| {
                let samples = dice.samples();
                GrowthPoint::of(1 + dice.below(5000) as u64, &samples)
            };
            let points = (0..dice.below(6)).map(|_| point(dice)).collect();
            figure = figure.with_measured(Measured::new(dice.words(4), points));
        }
        figure = figure.with_theory(Theory::log2("log₂ N"));
        if dice.below(2) == 0 {
            figure = figure.with_fit_up_to(1e6);
        }
        assert_readable(&figure.plot());
    }
}

#[test]
fn values_that_are_no_numbers_are_drawn_without_a_panic() {
    let odd = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        5e-324,
        -1e99,
        1e99,
        0.0,
        -0.0,
    ];
    for one in odd {
        for other in odd {
            let axis = || Axis::new("value", "ms");
            assert_readable(
                &Distribution::new("odd", axis(), [one, other].into_iter().collect()).plot(),
            );
            let line =
                Line::measured("odd", vec![(one, other), (other, one), (1.0, one), (2.0, other)]);
            assert_readable(
                &TimeSeries::new("odd", axis(), axis())
                    .with_line(line)
                    .with_mark(one, "odd")
                    .plot(),
            );
            let points = vec![
                GrowthPoint { nodes: one, median: other, p95: one },
                GrowthPoint { nodes: 20.0, median: one, p95: other },
                GrowthPoint { nodes: 200.0, median: 3.0, p95: one },
            ];
            let growth = Growth::new("odd", axis())
                .with_measured(Measured::new("odd", points))
                .with_theory(Theory { label: "odd".into(), intercept: one, slope: other })
                .with_fit_up_to(other);
            assert_readable(&growth.plot());
        }
    }
}

#[test]
fn a_line_breaks_where_nothing_was_measured() {
    let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, 1.0)];
    let plot = TimeSeries::new("gap", Axis::new("time", "h"), Axis::new("nodes", ""))
        .with_line(Line::measured("nodes", points))
        .plot();
    let path = plot.body.lines().find(|line| line.starts_with("<path")).unwrap();
    assert_eq!(path.matches('M').count(), 2, "{path}");
}

#[test]
fn many_points_make_no_large_picture() {
    let dice = &mut Dice(1);
    let points = (0..200_000).map(|at| (f64::from(at), dice.uniform()));
    let plot = TimeSeries::new("long", Axis::new("time", "s"), Axis::new("share", ""))
        .with_line(Line::measured("node", points.collect()))
        .plot();
    assert!(plot.body.len() < 60_000, "{}", plot.body.len());
}
