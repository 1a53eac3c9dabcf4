//! Machines of one network: a process each, in a network namespace of its own, with one cable to a switch.
//!
//! The switches are bridges in the namespace of the test. All of it ends with the processes: with those of the machines
//! when they are dropped or their input ends, with that of the test for the rest.

use std::process::{Command, Stdio};

use crate::{
    namespace::ip,
    process::{Node, executable},
};

/// Where every machine's node listens.
pub(crate) const PORT: &str = "/ip4/0.0.0.0/tcp/4001";

/// Says that it has its namespace, waits for its cable, and becomes the node.
const BOOT: &str = r#"echo '{"event":"booted"}'; read -r cable && exec "$0" "$@""#;

/// A switch without anything plugged in.
pub(crate) fn switch(name: &str) {
    ip(&format!("link add {name} type bridge"));
    ip(&format!("link set {name} up"));
}

/// A cable between two switches, of which this is the name at the first one.
pub(crate) fn join(cable: &str, [first, second]: [&str; 2]) {
    let end = format!("{cable}-end");
    ip(&format!("link add {cable} type veth peer name {end}"));
    for (end, switch) in [(cable, first), (&*end, second)] {
        ip(&format!("link set {end} master {switch} up"));
    }
}

/// A machine, and the node that runs on it.
pub(crate) struct Machine {
    pub(crate) node: Node,
    pub(crate) peer: String,
    /// Its address without a port.
    address: String,
    calls: u64,
}

impl Machine {
    /// Plugs a machine into a switch and starts its node, which knows these addresses.
    pub(crate) fn start(switch: &str, address: &str, bootstrap: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", BOOT]).arg(executable());
        command.args(["--json", "--listen", PORT]);
        command.args(bootstrap.iter().flat_map(|address| ["--bootstrap", *address]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut node = Node::of(&mut command);
        node.await_event("booted");

        let process = node.process.id();
        let port = format!("to-{process}");
        ip(&format!("link add {port} type veth peer name lan netns {process}"));
        ip(&format!("link set {port} master {switch} up"));
        let (peer, address) = (String::new(), address.to_owned());
        let mut machine = Self { node, peer, address, calls: 0 };
        machine.ip("link set lo up");
        machine.ip(&format!("address add {}/24 dev lan", machine.address));
        machine.ip("link set lan up");
        machine.node.say("");
        machine.peer = machine.node.await_event("started")["peer"].as_str().unwrap().to_owned();
        machine.await_listening();
        machine
    }

    /// Configures its interfaces.
    fn ip(&self, arguments: &str) {
        let command = format!("--net --target {} ip {arguments}", self.node.process.id());
        let status = Command::new("nsenter").args(command.split(' ')).status();
        assert!(status.unwrap().success(), "{command}");
    }

    fn await_listening(&mut self) {
        let here = self.prefix();
        self.node.await_line("the address", |line| {
            line["event"] == "listening" && line["address"].as_str().unwrap().starts_with(&here)
        });
    }

    /// Where it is, as its node's address begins.
    pub(crate) fn prefix(&self) -> String {
        format!("/ip4/{}/", self.address)
    }

    /// Its node's address, as others have it in their configuration.
    pub(crate) fn dialed_at(&self) -> String {
        format!("/ip4/{}/tcp/4001/p2p/{}", self.address, self.peer)
    }

    /// Its address is taken away, and it gets another one.
    pub(crate) fn move_to(&mut self, address: &str) {
        self.ip(&format!("address del {}/24 dev lan", self.address));
        self.ip(&format!("address add {address}/24 dev lan"));
        self.address = address.to_owned();
        self.await_listening();
    }

    /// A number for a call that no other one has.
    pub(crate) fn call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }
}
