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
    let (folder, path) = place();
    let file = File::open(&path).unwrap();
    let rows = 20_000;
    fill(&file, rows);
    let own = u64::from(rows) * (32 + VALUE_BYTES as u64);
    let (open, _) = (file.size().unwrap(), drop(file));
    let file = File::open(&path).unwrap();
    let closed = file.size().unwrap();
    println!("{rows} rows, {own} bytes: {open} in use, {closed} closed");
    assert!(open <= own * 2 && closed <= own * 2, "{open} {closed} {own}");
    let free = file.free_bytes().unwrap();
    assert!(free < closed / 2, "{free} of {closed} are free");
    assert!(!file.compact().unwrap(), "there is little to give back");

    // More than every second row, all over the file: few pages are empty by that.
    let removed: Vec<_> = (0..rows).filter(|row| row % 20 > 8).collect();
    for rows in removed.chunks(BATCH as usize) {
        let batch: Vec<_> = rows.iter().map(|row| remove(Table::Held, &key(*row))).collect();
        file.commit(&batch).unwrap();
    }
    let before = file.size().unwrap();
    let free = file.free_bytes().unwrap();
    assert!(file.compact().unwrap());
    let after = file.size().unwrap();
    assert!(free.abs_diff(before - after) < before / 8, "{free}, {before} before, {after} after");
    assert!(file.free_bytes().unwrap() < after / 2);
    let left = u64::from(rows) - removed.len() as u64;
    println!("{left} rows left: {before} before, {after} after it was compacted");
    assert!(after < own * 9 / 20 * 5 / 4, "{before} {after}");
    let stands = |file: &File| {
        assert_eq!(file.len(Table::Held).unwrap(), left);
        for row in 0..rows {
            let is_there = file.get(Table::Held, &key(row)).unwrap().is_some();
            assert_eq!(is_there, row % 20 <= 8);
        }
    };
    stands(&file);
    assert!(!file.compact().unwrap(), "it is small now");

    // It goes on in the new file.
    file.commit(&[put(Table::Own, b"a", b"1")]).unwrap();
    drop(file);
    let file = File::open(&path).unwrap();
    assert_eq!(file.set_aside(), None);
    assert_eq!(file.get(Table::Own, b"a").unwrap(), Some(b"1".to_vec()));
    stands(&file);
    assert_eq!(names(folder.path()), ["node.redb", "node.redb.lock"]);
}
