//! Tests in a network of their own: a namespace of Linux, in which a test starts its own executable again.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{env, process::Command};

/// Set in the environment of a test that runs in its namespace.
const INSIDE: &str = "PEERAGE_TEST_NAMESPACE";

/// Runs a test in a namespace of its own, in which there is a loopback interface that is down. True for the one inside: it
/// is to go on. Where no namespace can be had, it says so, and there is none inside.
pub(crate) fn is_inside(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]);
        command
    };
    match unshare().args(["ip", "link", "show", "lo"]).output() {
        Ok(output) if output.status.success() => {
            let test = [test, "--exact", "--nocapture"];
            let inside =
                unshare().arg(env::current_exe().unwrap()).args(test).env(INSIDE, "1").status();
            assert!(inside.unwrap().success(), "it failed in its namespace");
        }
        Ok(output) => {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned();
            println!("skipped: no network namespace can be had: {reason}");
        }
        Err(error) => println!("skipped: `unshare` cannot be run: {error}"),
    }
    false
}

pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

pub(crate) fn loopback_up() {
    ip("link set lo up");
}
