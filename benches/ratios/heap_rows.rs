//! What is measured in bytes, by a program of its own: an allocator that counts takes time from every row.

use std::{env, process::Command};

use crate::{dispatch::Outcome, report::Report};

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let names = ["waiting/heap-bytes", "running/heap-bytes"];
    let names: Vec<_> = names.into_iter().filter(|name| report.wants(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    // Cargo tells those that it runs where it is, and builds only the benchmark that it was asked for.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let status = Command::new(cargo)
        .args(["bench", "--quiet", "--locked", "--manifest-path", manifest, "--bench", "heap"])
        .arg("--")
        .args(names)
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("the benchmark `heap`: {status}").into()) }
}
