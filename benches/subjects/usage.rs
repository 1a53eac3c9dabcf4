//! What a process uses, as the kernel tells it in `/proc`.

use std::{fs, path::Path, time::Duration};

use crate::Outcome;

/// The time on a processor that the process has had. `stat` counts hundredths of a second, which is about as much as
/// one change costs; `schedstat` counts nanoseconds, of one thread.
pub(crate) fn cpu(pid: u32) -> Outcome<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path().join("schedstat");
        let text = fs::read_to_string(&path)?;
        let run = text.split_whitespace().next().ok_or("`schedstat` is empty")?;
        nanos += run.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// The memory of the process that is resident, in MiB.
pub(crate) fn memory(pid: u32) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|resident| resident.split_whitespace().next());
    Ok(kib.ok_or("`status` tells no `VmRSS`")?.parse::<f64>()? / 1024.0)
}

/// The sockets that the process has open: those of connections, those that are just being opened, and a few to listen.
pub(crate) fn sockets(pid: u32) -> Outcome<usize> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
    let is_socket = |path: &Path| path.to_string_lossy().starts_with("socket:");
    Ok(files.filter(|file| fs::read_link(file.path()).is_ok_and(|path| is_socket(&path))).count())
}
