//! How much of the disk a file takes.

use super::*;

const VALUE_BYTES: usize = 300;
const BATCH: u32 = 500;

/// Keys without an order, as those of records are.
fn key(row: u32) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    Sha256::digest(row.to_be_bytes()).to_vec()
}

fn fill(file: &File, rows: u32) {
    for first in (0..rows).step_by(BATCH as usize) {
        let batch: Vec<_> = (first..first + BATCH)
            .map(|row| put(Table::Held, &key(row), &[row.to_le_bytes()[0]; VALUE_BYTES]))
            .collect();
        file.commit(&batch).unwrap();
    }
}

#[test]
fn a_file_takes_at_most_twice_its_records_and_gives_back_what_was_removed() {
    let (_folder, path) = place();
    let file = File::open(&path).unwrap();
    let rows = 20_000;
    fill(&file, rows);
    let own = u64::from(rows) * (32 + VALUE_BYTES as u64);
    let (open, _) = (file.size().unwrap(), drop(file));
    let file = File::open(&path).unwrap();
    let closed = file.size().unwrap();
    println!("{rows} rows, {own} bytes: {open} in use, {closed} closed");
    assert!(open <= own * 2 && closed <= own * 2, "{open} {closed} {own}");
    assert!(!file.compact().unwrap(), "there is little to give back");

    for first in (1_000..rows).step_by(BATCH as usize) {
        let batch: Vec<_> =
            (first..first + BATCH).map(|row| remove(Table::Held, &key(row))).collect();
        file.commit(&batch).unwrap();
    }
    let before = file.size().unwrap();
    assert!(file.compact().unwrap());
    let after = file.size().unwrap();
    println!("1000 rows left: {before} before, {after} after it was compacted");
    assert!(after < own / 5, "{before} {after}");
    assert_eq!(file.len(Table::Held).unwrap(), 1_000);
    for row in 0..1_000 {
        assert!(file.get(Table::Held, &key(row)).unwrap().is_some());
    }
    assert!(!file.compact().unwrap(), "it is small now");
}
