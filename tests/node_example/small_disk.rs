//! A disk without room, and one that cannot be written.

use std::fs;

use super::*;

/// A file system of a few megabytes in memory, in a namespace of its own. It is gone with the process that holds it.
struct SmallDisk {
    holder: Child,
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// None where there are no such namespaces: then it prints why.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let script = "mount -t tmpfs -o size=\"$2\"m tmpfs \"$1\" && echo mounted && exec cat";
        let holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(folder.path())
            .arg(megabytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut holder = match holder {
            Ok(holder) => holder,
            Err(error) => {
                println!("skipped: no `unshare` to mount a small disk: {error}");
                return None;
            }
        };
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said != "mounted\n" {
            let output = holder.wait_with_output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            println!("skipped: no small disk can be mounted here: {errors}");
            return None;
        }
        let disk = Self { holder, folder };
        let seen = disk.run("true").status();
        if !seen.as_ref().is_ok_and(ExitStatus::success) {
            println!("skipped: the namespace of a small disk cannot be entered: {seen:?}");
            return None;
        }
        Some(disk)
    }

    /// A program that sees the disk.
    fn run(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let holder = self.holder.id().to_string();
        command.args(["--target", &holder, "--user", "--mount", "--preserve-credentials", "--"]);
        command.arg(program);
        command
    }

    /// The disk as this process sees it.
    fn seen_from_here(&self) -> std::path::PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(self.folder.path().strip_prefix("/").unwrap())
    }

    /// A node with its data on the disk, and its key in this file.
    fn node(&self, key: &Path) -> Command {
        let mut command = self.run(executable());
        command.args(["--json", "--listen", ANY_PORT, "--key"]).arg(key);
        command.arg("--data").arg(self.folder.path().join("data"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Takes all that is left of the disk.
fn fill(ballast: &Path) {
    let mut file = fs::File::create(ballast).unwrap();
    for bytes in [64 * 1024, 4096] {
        while file.write_all(&vec![1; bytes]).is_ok() {}
    }
}

fn register(node: &mut Node, number: u32) -> Value {
    let manifest = json!({"name": format!("tool-{number}"), "version": "1.0.0"});
    let id = json!(number);
    node.say(&json!({"id": id, "op": "register", "manifest": manifest}).to_string());
    node.await_answer(&id)
}

#[test]
fn a_node_goes_on_with_a_full_disk_and_recovers_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("alice.key");
    let mut node = Node::of(&mut disk.node(&key));
    started_and_listening(&mut node);
    assert!(register(&mut node, 0).get("ok").is_some());
    let ballast = disk.seen_from_here().join("ballast");
    fill(&ballast);

    // What the file has of free pages is used first.
    let refused = (1..2000).find_map(|number| {
        let answer = register(&mut node, number);
        answer.get("error").map(|error| (number, error.clone()))
    });
    let (number, error) = refused.expect("the disk is full");
    assert_eq!(error["kind"], "storage", "{error}");
    assert!(error["message"].as_str().unwrap().contains("no space is left"), "{error}");
    let failed = node.await_event("storage_failed");
    assert!(failed["reason"].as_str().unwrap().contains("no space is left"), "{failed}");
    for package in ["tool-0", &format!("tool-{}", number - 1)] {
        node.ask(json!({"id": package, "op": "get", "package": package}));
    }
    assert!(register(&mut node, number + 1).get("error").is_some());

    fs::remove_file(&ballast).unwrap();
    node.await_event("storage_recovered");
    assert!(register(&mut node, number + 2).get("ok").is_some());
    node.process.kill().unwrap();
    drop(node);

    let mut node = Node::of(&mut disk.node(&key));
    started_and_listening(&mut node);
    for number in 0..=number + 2 {
        // Those that were refused as well: the node went on trying.
        let package = format!("tool-{number}");
        node.ask(json!({"id": package, "op": "get", "package": package}));
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_what_to_do() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let keys = tempfile::tempdir().unwrap();
    let mut remount = disk.run("mount");
    let remounted = remount.args(["-o", "remount,ro"]).arg(disk.folder.path()).status().unwrap();
    assert!(remounted.success());
    let output = disk.node(&keys.path().join("alice.key")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("cannot be written") && errors.contains("`--memory`"), "{errors}");
    assert!(errors.contains(disk.folder.path().to_str().unwrap()), "{errors}");
}
