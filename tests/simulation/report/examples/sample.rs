//! Writes a page of made-up data, to look at it: `cargo run --example sample -- page.html`. The plots go beside it, as files
//! of their own, if a folder is given too.

use std::{collections::BTreeMap, env, error::Error, fs, path::Path};

use simulation_report::{
    Axis, Bug, Distribution, Extrapolation, Growth, GrowthPoint, Line, Measured, Mutation, Report,
    Resource, Run, Samples, Section, Table, Theory, TimeSeries,
};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let page = arguments.next().ok_or("which file is the page to be written to?")?;
    let report = sample();
    fs::write(&page, report.to_html())?;
    if let Some(folder) = arguments.next() {
        fs::create_dir_all(&folder)?;
        for plot in report.plots() {
            fs::write(Path::new(&folder).join(plot.file_name()), plot.to_svg())?;
        }
    }
    println!("{page}: sample data, made up");
    Ok(())
}

fn sample() -> Report {
    let dice = &mut Dice(1);
    Report::new("Simulation of a registry: sample data")
        .with_notice(
            "Sample data. Every number on this page is made up, to show what the page looks like.",
        )
        .run(run("churn", 200, 30))
        .run(run("partitions", 20, 1000))
        .section(lookups(dice))
        .section(costs(dice))
        .section(over_time(dice))
        .section(growth())
        .section(found())
        .section(odd())
}

fn run(scenario: &str, nodes: u64, seeds: u64) -> Run {
    let outcomes = |all: u64| {
        BTreeMap::from([
            ("ok".to_owned(), all * 97 / 100),
            ("not found".to_owned(), all * 2 / 100),
            ("timeout".to_owned(), all / 100),
        ])
    };
    let calls = [("get", 91_200), ("register", 12_000), ("search", 33_000), ("withdraw", 900)];
    let faults = [("kill", 268), ("partition", 12), ("connection reset", 5012), ("torn write", 31)];
    Run {
        scenario: scenario.into(),
        seeds: (1..=seeds).collect(),
        replayed: seeds / 20,
        failed: if seeds > 100 { vec![17, 412, 413] } else { Vec::new() },
        nodes,
        virtual_hours: seeds as f64 * 24.0,
        wall_seconds: seeds as f64 * 21.3,
        faults: faults.map(|(kind, count)| (kind.to_owned(), count * seeds)).into(),
        calls: calls.map(|(kind, count)| (kind.to_owned(), outcomes(count * seeds))).into(),
        command: format!(
            "simulate --scenario {scenario} --seeds 1..{seeds} --nodes {nodes} --hours 24"
        ),
    }
}

fn latencies(dice: &mut Dice, middle: f64, spread: f64, count: usize) -> Samples {
    (0..count).map(|_| middle * (spread * dice.normal()).exp()).collect()
}

fn lookups(dice: &mut Dice) -> Section {
    let hops: Samples = (0..5000).map(|_| (4.0 + dice.normal() * 1.1).round().max(1.0)).collect();
    let get = latencies(dice, 180.0, 0.8, 20_000);
    let search = latencies(dice, 35.0, 0.35, 4000);
    Section::new("Lookups")
        .text("How far a lookup goes, and how long callers wait. Hops are whole numbers; the latency of a get spreads over more than a factor of 100, so its axis is logarithmic.")
        .distribution(&Distribution::new("Hops of a lookup, 200 nodes", Axis::new("hops", ""), hops))
        .distribution(&Distribution::new("Latency of a get", Axis::new("latency", "ms"), get))
        .distribution(&Distribution::new("Latency of a search", Axis::new("latency", "ms"), search))
}

fn costs(dice: &mut Dice) -> Section {
    let bytes = latencies(dice, 61_000.0, 0.3, 900);
    let idle: Samples = (0..400)
        .map(|_| if dice.uniform() < 0.1 { 0.0 } else { 900.0 * dice.normal().exp() })
        .collect();
    Section::new("Costs")
        .distribution(&Distribution::new(
            "Bytes of a register to all nodes",
            Axis::new("sent by all nodes", "bytes"),
            bytes,
        ))
        .distribution(&Distribution::new(
            "Bytes of an idle node",
            Axis::new("sent and received", "bytes an hour"),
            idle,
        ))
}

fn over_time(dice: &mut Dice) -> Section {
    let days = || (0..=30 * 24).map(|hour| f64::from(hour) / 24.0);
    let decay = |rate: f64| move |day: f64| (day, 100.0 * (-rate * day).exp());
    let noisy: Vec<(f64, f64)> = days()
        .map(decay(0.0021))
        .map(|(day, share)| (day, (share + dice.normal() * 0.3).min(100.0)))
        .collect();
    let survival = TimeSeries::new(
        "Survival of records under churn, median session one hour",
        Axis::new("time", "days"),
        Axis::new("records that resolve", "%"),
    )
    .with_line(Line::measured("20 replicas, repaired hourly", noisy))
    .with_line(Line::measured("3 replicas", days().map(decay(0.08)).collect()))
    .with_line(Line::theory("theory, 20 replicas", days().map(decay(0.002)).collect()))
    .with_line(Line::theory("theory, 3 replicas", days().map(decay(0.083)).collect()));
    let minutes = || (0..=90).map(f64::from);
    let healing = |fast: f64| {
        minutes()
            .map(move |minute| {
                let since = (minute - 30.0).max(0.0);
                (minute, if minute < 10.0 { 100.0 } else { 100.0 - 48.0 * (-since / fast).exp() })
            })
            .collect::<Vec<_>>()
    };
    let healed = TimeSeries::new(
        "Catalogues converge after a partition heals",
        Axis::new("time", "minutes"),
        Axis::new("of all packages that a node lists", "%"),
    )
    .with_line(Line::measured("slowest node", healing(9.0)))
    .with_line(Line::measured("median node", healing(3.0)))
    .with_mark(10.0, "cut in two")
    .with_mark(30.0, "healed");
    let memory = TimeSeries::new(
        "Memory of a node",
        Axis::new("time", "days"),
        Axis::new("allocated", "MiB"),
    )
    .with_line(Line::measured(
        "median node",
        days().map(|day| (day, 21.0 + 3.0 * (1.0 - (-day).exp()))).collect(),
    ))
    .with_line(Line::measured(
        "largest node",
        days()
            .map(|day| {
                if (11.0..12.0).contains(&day) { (day, f64::NAN) } else { (day, 24.0 + day.sin()) }
            })
            .collect(),
    ));
    Section::new("Over time").series(&survival).series(&healed).series(&memory)
}

fn growth() -> Section {
    let point = |nodes: f64, median: f64, p95: f64| GrowthPoint { nodes, median, p95 };
    let hops = vec![
        point(20.0, 2.0, 3.0),
        point(200.0, 3.4, 5.0),
        point(1000.0, 4.2, 6.0),
        point(5000.0, 5.1, 7.0),
    ];
    let bystander = vec![
        point(20.0, 118.0, 160.0),
        point(200.0, 121.0, 190.0),
        point(1000.0, 125.0, 188.0),
        point(5000.0, 124.0, 201.0),
    ];
    let busy = vec![
        point(20.0, 90_000.0, 160_000.0),
        point(200.0, 120_000.0, 290_000.0),
        point(1000.0, 131_000.0, 300_000.0),
        point(5000.0, 160_000.0, 410_000.0),
    ];
    let idle = vec![
        point(20.0, 1180.0, 1600.0),
        point(200.0, 1400.0, 2900.0),
        point(1000.0, 1500.0, 3000.0),
        point(5000.0, 1610.0, 4100.0),
    ];
    let axis = |label: &str| Axis::new(label, "bytes an hour");
    let hops_measured = Measured::new("measured", hops);
    let idle = Measured::new("idle node", idle);
    let paper = paper(&hops_measured, &idle);
    Section::new("Growth")
        .growth(
            &Growth::new("Hops as the network grows", Axis::new("hops", ""))
                .with_measured(hops_measured)
                .with_theory(Theory::log2("log₂ N"))
                .with_theory(Theory { label: "½ log₂ N".into(), intercept: 0.0, slope: 0.5 })
                .with_fit_up_to(1e6),
        )
        .growth(
            &Growth::new("What a bystander of a register pays", Axis::new("messages", ""))
                .with_measured(Measured::new("bystander", bystander))
                .with_theory(Theory::constant("constant", 120.0)),
        )
        .growth(
            &Growth::new("Bytes of a node", axis("sent and received"))
                .with_measured(Measured::new("busy node", busy))
                .with_measured(idle),
        )
        .extrapolation(&paper)
}

fn paper(hops: &Measured, idle: &Measured) -> Extrapolation {
    Extrapolation::new("A network that nobody ran", 1e6, 1e7)
        .with_resource(Resource::new(Axis::new("hops of a lookup", ""), hops.medians()))
        .with_resource(Resource::new(Axis::new("idle node sends", "bytes an hour"), idle.medians()))
        .with_resource(
            Resource::new(
                Axis::new("memory", "MiB"),
                vec![(20.0, 21.0), (200.0, 24.0), (1000.0, 25.0)],
            )
            .multiplied(1.4, "14 records a node instead of 10"),
        )
        .with_resource(Resource::new(Axis::new("disk", "MiB"), vec![(20.0, 3.0), (200.0, 3.2)]))
        .with_resource(Resource::new(
            Axis::new("messages", "an hour"),
            vec![(20.0, 20.0), (200.0, 200.0), (1000.0, 1000.0)],
        ))
}

fn found() -> Section {
    let mutation = |name: &str, breaks: &str, seed: Option<u64>| Mutation {
        name: name.into(),
        breaks: breaks.into(),
        found_by: "answered once and in time".into(),
        first_failing_seed: seed,
        seeds_tried: seed.unwrap_or(50),
    };
    let bug = Bug {
        what: "A <node> that restarts twice & loses its tombstone".into(),
        scenario: "restarts".into(),
        seeds: vec![17, 412, 413],
        fix: String::new(),
    };
    Section::new("What it finds")
        .table(Table::of_mutations(
            "Planted bugs",
            &[
                mutation("lost-wake", "a command does not wake the node", Some(1)),
                mutation("no-high-water-mark", "an older record is taken again", Some(23)),
                mutation("late-repair", "a repair is never sent", None),
            ],
        ))
        .table(Table::of_bugs("Bugs found", &[bug]))
        .text("Each failing seed prints the one command that replays it:")
        .command("simulate --scenario restarts --seeds 17 --nodes 20 --hours 24 --replay")
}

fn odd() -> Section {
    let axis = || Axis::new("latency", "ms");
    Section::new("Odd data")
        .text(
            "What the page does with nothing, with one value, and with values that are no numbers.",
        )
        .distribution(&Distribution::new("Nothing was measured", axis(), Samples::default()))
        .distribution(&Distribution::new("One value", axis(), [12.5].into_iter().collect()))
        .distribution(&Distribution::new(
            "Close quantiles",
            axis(),
            (0..1000)
                .map(|at| 100.0 + f64::from(at % 7) + if at == 0 { 60.0 } else { 0.25 })
                .collect(),
        ))
        .series(
            &TimeSeries::new("No numbers", Axis::new("time", "days"), axis())
                .with_line(Line::measured("none", vec![(f64::NAN, 1.0)])),
        )
}
