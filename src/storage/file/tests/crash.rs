//! Processes that are killed while they commit.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::*;

/// Where a child finds the file. Without it, the test is the parent.
const CHILD: &str = "PEERAGE_TEST_COMMITS_TO";
const KILLS: u32 = 30;
const ROWS: u32 = 20;
/// How many batches a child keeps, so that rows are removed as well.
const KEPT: u32 = 40;

fn key(batch: u32, row: u32) -> Vec<u8> {
    // The rows of a batch lie all over the table.
    [row.to_be_bytes(), batch.to_be_bytes()].concat()
}

fn last(file: &File) -> u32 {
    let last = file.get(Table::Meta, b"last").unwrap();
    last.map_or(0, |last| u32::from_be_bytes(last.try_into().unwrap()))
}

fn batch(number: u32) -> Vec<Change> {
    let value = number.to_be_bytes().repeat(75);
    let rows = 0..ROWS;
    let mut changes: Vec<_> =
        rows.clone().map(|row| put(Table::Held, &key(number, row), &value)).collect();
    if let Some(old) = number.checked_sub(KEPT) {
        changes.extend(rows.map(|row| remove(Table::Held, &key(old, row))));
    }
    changes.push(put(Table::Meta, b"last", &number.to_be_bytes()));
    changes
}

/// Commits until it is killed, and says the number of each commit once it is durable.
fn commits_for_ever(path: &Path) -> ! {
    let file = File::open(path).unwrap();
    println!();
    for number in last(&file) + 1.. {
        file.commit(&batch(number)).unwrap();
        println!("committed {number}");
    }
    unreachable!("it is killed before the numbers end");
}

/// The last commit that a process has acknowledged before it was killed.
fn killed_after(path: &Path, lines: u32) -> Option<u32> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "storage::file::tests::crash::what_a_killed_process_has_committed_is_there",
        ])
        .args(["--nocapture", "--test-threads", "1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = None;
    let numbers = output
        .lines()
        .map_while(|line| line.ok())
        .filter_map(|line| line.strip_prefix("committed ")?.parse::<u32>().ok());
    for (count, number) in (1..).zip(numbers) {
        acknowledged = Some(number);
        if count == lines {
            // Whatever it does at this moment, most likely the next commit.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[test]
fn what_a_killed_process_has_committed_is_there() {
    if let Some(path) = env::var_os(CHILD) {
        commits_for_ever(Path::new(&path));
    }
    let (folder, path) = place();
    for kill in 0..KILLS {
        let acknowledged = killed_after(&path, 1 + kill * 7 % 23).expect("a commit");
        let options = FileOptions::default().check_up_to(u64::MAX * u64::from(kill % 2));
        let file = options.open(&path).unwrap();
        assert_eq!(file.set_aside(), None);
        let last = last(&file);
        assert!([acknowledged, acknowledged + 1].contains(&last), "{acknowledged} {last}");
        let expected: std::collections::BTreeMap<_, _> = (1..=last)
            .rev()
            .take(KEPT as usize)
            .flat_map(|batch| (0..ROWS).map(move |row| (key(batch, row), batch)))
            .map(|(key, batch)| (key, batch.to_be_bytes().repeat(75)))
            .collect();
        assert_eq!(rows(&file, Table::Held, 100), expected.into_iter().collect::<Vec<_>>());
    }
    assert_eq!(names(folder.path()), ["node.redb", "node.redb.lock"]);
}
