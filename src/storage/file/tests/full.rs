//! A disk without room.

use std::{env, process::Command};

use super::*;

/// Where a child finds the small disk. Without it, the test is the parent.
const CHILD: &str = "PEERAGE_TEST_SMALL_DISK";
const NAME: &str = "storage::file::tests::full::a_full_disk_is_an_error_until_there_is_room_again";

fn batch(number: u32) -> Vec<Change> {
    let value = number.to_be_bytes().repeat(75);
    (0..50_u32)
        .map(|row| put(Table::Held, &[number.to_be_bytes(), row.to_be_bytes()].concat(), &value))
        .collect()
}

/// The batches that are there, as whole ones.
fn batches_of(file: &File) -> u32 {
    let found = rows(file, Table::Held, 64);
    assert_eq!(found.len() % 50, 0, "batches are whole");
    let batches = u32::try_from(found.len() / 50).unwrap();
    let expected = (0..batches).flat_map(batch);
    assert!(expected.map(|row| (row.key, row.value.unwrap())).eq(found));
    batches
}

/// Commits until there is no room.
fn fill(file: &File) -> u32 {
    let mut number = batches_of(file);
    loop {
        match file.commit(&batch(number)) {
            Ok(()) => number += 1,
            Err(error) => {
                assert_eq!(error, StorageError::Full);
                return number;
            }
        }
    }
}

fn on_a_small_disk(disk: &Path) {
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; 2 * 1024 * 1024]).unwrap();
    let path = disk.join("node.redb");
    let file = File::open(&path).unwrap();
    let number = fill(&file);
    assert!(number > 10, "{number}");
    for _ in 0..5 {
        assert_eq!(file.commit(&batch(number)).unwrap_err(), StorageError::Full);
        assert_eq!(batches_of(&file), number);
    }
    drop(file);
    // After a restart on the full disk, too.
    let file = File::open(&path).unwrap();
    assert_eq!(file.set_aside(), None);
    assert_eq!(batches_of(&file), number);
    // What closing has given back may be enough for one more.
    let number = fill(&file);

    fs::remove_file(&ballast).unwrap();
    file.commit(&batch(number)).unwrap();
    assert_eq!(batches_of(&file), number + 1);
    assert!(fill(&file) > number + 10);

    // The last bytes of the disk gone, too.
    let rest = fs::File::create(disk.join("rest")).unwrap();
    let bytes = [0; 4096];
    while std::io::Write::write_all(&mut &rest, &bytes).is_ok() {}
    drop(rest);
    let number = batches_of(&file);
    for _ in 0..5 {
        assert_eq!(file.commit(&batch(number)).unwrap_err(), StorageError::Full);
        assert_eq!(batches_of(&file), number);
    }
    drop(file);
    assert_eq!(batches_of(&File::open(&path).unwrap()), number);

    let mounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk).status().unwrap();
    assert!(mounted.success());
    let error = File::open(&path).unwrap_err();
    assert!(matches!(error, StorageError::ReadOnly { .. }), "{error}");
}

#[test]
fn a_full_disk_is_an_error_until_there_is_room_again() {
    if let Some(disk) = env::var_os(CHILD) {
        on_a_small_disk(Path::new(&disk));
        println!("\nwas full");
        return;
    }
    let folder = tempdir().unwrap();
    // A disk in a namespace of the child's own: it is gone with the child.
    let script = "mount -t tmpfs -o size=6m tmpfs \"$1\" || exit 99; shift; exec \"$@\"";
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, folder.path())
        .output();
    let output = match child {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: no `unshare` to mount a small disk: {error}");
            return;
        }
    };
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(99) || wrong.starts_with("unshare:") {
        println!("skipped: no small disk can be mounted here: {wrong}");
        return;
    }
    assert!(output.status.success() && said.contains("was full"), "{said}{wrong}");
}
