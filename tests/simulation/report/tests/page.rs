//! What whoever opens the page can rely on.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::{collections::BTreeSet, env, fs, path::Path};

use simulation_report::{
    Axis, Bug, Distribution, Extrapolation, Growth, GrowthPoint, Line, Measured, Mutation, Plot,
    Report, Resource, Run, Samples, Section, Table, Theory, TimeSeries,
};

const ATTACK: &str = "\"><script>alert('1')</script>&amp;<b>\0";

fn hops() -> Distribution {
    let counts = [(2, 3), (3, 11), (4, 19), (5, 6), (7, 1)];
    let values = counts.iter().flat_map(|(hops, count)| vec![f64::from(*hops); *count]);
    Distribution::new("Hops of a lookup", Axis::new("hops", ""), values.collect())
}

fn survival() -> TimeSeries {
    let days = || (0..=6).map(|at| f64::from(at) * 5.0);
    let theory = days().map(|day| (day, 100.0 * (-0.004 * day).exp())).collect();
    let measured = days().map(|day| (day, 100.0 - 0.3 * day)).collect();
    TimeSeries::new("Survival under churn", Axis::new("time", "days"), Axis::new("records", "%"))
        .with_line(Line::measured("measured", measured))
        .with_line(Line::theory("theory", theory))
        .with_mark(10.0, "power cut")
}

fn hops_by_size() -> Growth {
    let point = |nodes: f64, median: f64, p95: f64| GrowthPoint { nodes, median, p95 };
    let points = vec![point(200.0, 3.0, 5.0), point(1000.0, 4.0, 6.0), point(5000.0, 5.0, 7.0)];
    Growth::new("Hops as the network grows", Axis::new("hops", ""))
        .with_measured(Measured::new("measured", points))
        .with_theory(Theory::log2("log₂ N"))
        .with_fit_up_to(1e6)
}

/// A page with everything on it, every string of which is `text`.
fn everything(text: &str) -> Report {
    let axis = || Axis::new(text, text);
    let mut run = Run { scenario: text.into(), command: text.into(), ..Run::default() };
    run.count_fault(text);
    run.count_call(text, text);
    let samples: Samples = [1.0, 2.0, 3.0].into_iter().collect();
    let line = Line::measured(text, vec![(0.0, 1.0), (1.0, 2.0)]);
    let points = vec![GrowthPoint::of(20, &samples)];
    let mutation = Mutation {
        name: text.into(),
        breaks: text.into(),
        found_by: text.into(),
        ..Mutation::default()
    };
    let bug = Bug { what: text.into(), scenario: text.into(), fix: text.into(), seeds: vec![1] };
    let section = Section::new(text)
        .text(text)
        .command(text)
        .distribution(&Distribution::new(text, axis(), samples))
        .series(&TimeSeries::new(text, axis(), axis()).with_line(line).with_mark(0.5, text))
        .growth(
            &Growth::new(text, axis())
                .with_measured(Measured::new(text, points))
                .with_theory(Theory::log2(text)),
        )
        .extrapolation(
            &Extrapolation::new(text, 1e6, 1e7)
                .with_resource(Resource::new(axis(), Vec::new()).multiplied(2.0, text)),
        )
        .table(Table::of_mutations(text, &[mutation]))
        .table(Table::of_bugs(text, &[bug]).with_note(text));
    Report::new(text).with_notice(text).run(run).section(section.clone()).section(section)
}

/// Every element that begins also ends, in the right order.
fn assert_well_formed(markup: &str) {
    let mut open = Vec::new();
    let mut rest = markup;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        let name = tag.split_whitespace().next().unwrap_or_default();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "in {markup}");
        } else if !tag.ends_with('/') && !tag.starts_with('!') && name != "meta" {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() {
    let html = everything("text").to_html().replace("http://www.w3.org/2000/svg", "");
    for forbidden in
        ["<script", "http:", "https:", " src=", "url(", "@import", "javascript:", "<link"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn no_text_becomes_markup() {
    let report = everything(ATTACK);
    let html = report.to_html();
    assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains('\0'));
    assert_well_formed(&html);
    report.plots().for_each(|plot| assert_well_formed(&plot.to_svg()));
}

#[test]
fn every_plot_is_told_to_who_does_not_see_it() {
    let html = everything("text").to_html();
    let count = html.matches("<svg").count();
    assert_eq!(count, 6);
    assert_eq!(html.matches("role=\"img\"").count(), count);
    assert_eq!(html.matches("<desc id=").count(), count);
    let ids: Vec<&str> =
        html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}

#[test]
fn the_same_data_gives_the_same_page() {
    assert_eq!(everything("text").to_html(), everything("text").to_html());
}

#[test]
fn an_empty_report_is_a_page() {
    assert_well_formed(&Report::new("").to_html());
    assert_well_formed(&Report::new("").run(Run::default()).section(Section::new("")).to_html());
}

#[test]
fn where_nothing_was_measured_the_plot_says_so() {
    let axis = || Axis::new("latency", "ms");
    let nothing = Distribution::new("nothing", axis(), Samples::default());
    assert!(nothing.plot().to_svg().contains(">no data<"));
    let not_a_number = [f64::NAN, f64::INFINITY].into_iter().collect();
    let svg = Distribution::new("odd", axis(), not_a_number).plot().to_svg();
    assert!(svg.contains(">no data: 2 values are no numbers<"));
    assert!(TimeSeries::new("no lines", axis(), axis()).plot().to_svg().contains(">no data<"));
    assert!(Growth::new("no points", axis()).plot().to_svg().contains(">no data<"));
}

#[test]
fn what_has_no_fit_is_not_extrapolated() {
    let fits = vec![(20.0, 10.0), (200.0, 13.3), (1000.0, 15.6), (5000.0, 18.0)];
    let paper = |points| {
        let paper = Extrapolation::new("paper", 1e6, 1e7);
        let paper = paper.with_resource(Resource::new(Axis::new("memory", "MiB"), points));
        Report::new("").section(Section::new("").extrapolation(&paper)).to_html()
    };
    let html = paper(fits);
    assert!(html.contains("5.65 + 1·log₂ N, residual"), "{html}");
    assert!(html.contains(">25.6</td>") && html.contains("20 to 5,000"), "{html}");
    let html = paper(vec![(20.0, 10.0), (200.0, 13.3)]);
    assert!(html.contains("no fit: measured at 2 sizes of network, 3 are needed"), "{html}");
    assert!(html.contains(">not extrapolated</td>"));
    let html = paper(vec![(20.0, 20.0), (200.0, 200.0), (1000.0, 1000.0)]);
    assert!(html.contains("% off any a + b·log₂ N") && html.contains(">not extrapolated</td>"));
}

#[test]
fn runs_are_summed_up() {
    let mut run = Run {
        scenario: "churn".into(),
        seeds: (1..=30).collect(),
        nodes: 20,
        virtual_hours: 720.0,
        wall_seconds: 600.0,
        ..Run::default()
    };
    run.count_fault("kill");
    run.count_call("get", "ok");
    run.count_call("get", "timeout");
    let html = Report::new("").run(run).to_html();
    for shown in
        ["<dd>30 days</dd>", "<dd>4,320 ×</dd>", "<dd>10 min</dd>", ">1–30</td>", ">timeout</th>"]
    {
        assert!(html.contains(shown), "{shown} in {html}");
    }
}

#[test]
fn a_mutation_that_no_seed_found_is_said_so() {
    let found =
        Mutation { name: "lost wake".into(), first_failing_seed: Some(7), ..Mutation::default() };
    let missed = Mutation { name: "late repair".into(), seeds_tried: 50, ..Mutation::default() };
    let table = Table::of_mutations("planted", &[found, missed]);
    let html = Report::new("").section(Section::new("").table(table)).to_html();
    assert!(html.contains(">7</td>") && html.contains(">not found</td>"));
}

#[test]
fn a_plot_has_a_name_as_a_file() {
    assert_eq!(hops().plot().file_name(), "hops-of-a-lookup.svg");
    assert_eq!(Distribution::default().plot().file_name(), "plot.svg");
}

/// The pictures as they were looked at. `BLESS=1` writes them anew: look at them then.
#[test]
fn pictures_stay_as_they_were() {
    let plots: [Plot; 3] = [hops().plot(), survival().plot(), hops_by_size().plot()];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for plot in plots {
        let path = folder.join(plot.file_name());
        if env::var_os("BLESS").is_some() {
            fs::write(&path, plot.to_svg()).expect("the folder is there");
        }
        let golden = fs::read_to_string(&path).expect("a picture for each plot");
        assert_eq!(plot.to_svg(), golden, "{}", path.display());
        assert_well_formed(&golden);
    }
}
