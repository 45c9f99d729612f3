//! Network namespaces and the links between them, for cutting: every part of a cluster in a namespace of its own, on
//! up to three networks whose bridges lie in a hub, which the test's own thread enters.
//!
//! It must never touch the machine's own network, nor leave anything behind: no namespace has a name, so that each
//! goes with its last process.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use crate::disk::run;
use crate::part::Part;

/// A network that parts share. The addresses are of the block for benchmarks (RFC 2544).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// Clients of etcd and its members.
    Store,
    /// Members of etcd among themselves.
    Peers,
    /// Workers, coordinators, and the operator.
    Work,
}

const NETS: [Net; 3] = [Net::Store, Net::Peers, Net::Work];
const PREFIX_BITS: u8 = 24;
/// The hub's own place on every network.
const HUB: u8 = 1;

impl Net {
    fn bridge(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Peers => "peers",
            Self::Work => "work",
        }
    }

    pub fn address(self, host: u8) -> Ipv4Addr {
        let third = match self {
            Self::Store => 1,
            Self::Peers => 2,
            Self::Work => 3,
        };
        Ipv4Addr::new(198, 18, third, host)
    }
}

/// A namespace: the process that keeps it, and its host number on every network that it is on.
pub struct Place {
    keeper: Part,
    host: u8,
}

impl Place {
    pub fn pid(&self) -> u32 {
        self.keeper.pid().as_raw().try_into().expect("a pid is positive")
    }

    pub fn address(&self, net: Net) -> Ipv4Addr {
        net.address(self.host)
    }

    /// A command that runs here.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid().to_string(), "--net"]).arg(program);
        command
    }

    fn enter(&self) {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid())).expect("the keeper lives");
        // SAFETY: it changes the network that this thread's sockets belong to, and touches no memory.
        let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(entered, 0, "cannot enter a namespace: {}", std::io::Error::last_os_error());
    }
}

pub struct Network {
    places: Vec<Place>,
    hub: Place,
    logs: std::path::PathBuf,
}

impl Network {
    /// Makes the hub and its bridges, and takes the calling thread there; needs root.
    pub fn make(logs: &Path) -> Self {
        let hub = keep("hub", HUB, logs);
        for net in NETS {
            let own = format!("{}/{PREFIX_BITS}", net.address(HUB));
            ip(&hub, &["link", "add", net.bridge(), "type", "bridge"]);
            ip(&hub, &["address", "add", &own, "dev", net.bridge()]);
            ip(&hub, &["link", "set", net.bridge(), "up"]);
        }
        hub.enter();
        Self { places: Vec::new(), hub, logs: logs.to_owned() }
    }

    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// A new namespace on some of the networks.
    pub fn add(&mut self, nets: &[Net]) {
        let host = HUB + 1 + u8::try_from(self.places.len()).expect("a cluster is small");
        let place = keep(&format!("place-{host}"), host, &self.logs);
        for net in nets {
            let (outer, inner) = (link(*net, host), net.bridge());
            let (pid, address) = (place.pid().to_string(), format!("{}/{PREFIX_BITS}", net.address(host)));
            ip(&self.hub, &["link", "add", &outer, "type", "veth", "peer", "name", inner, "netns", &pid]);
            ip(&self.hub, &["link", "set", &outer, "master", net.bridge(), "up"]);
            ip(&place, &["address", "add", &address, "dev", inner]);
            ip(&place, &["link", "set", inner, "up"]);
        }
        self.places.push(place);
    }

    /// Takes a place off a network: what it sends is lost without a word, and what is sent to it.
    pub fn cut(&self, place: usize, net: Net) {
        ip(&self.hub, &["link", "set", &link(net, self.places[place].host), "nomaster"]);
    }

    pub fn heal(&self, place: usize, net: Net) {
        ip(&self.hub, &["link", "set", &link(net, self.places[place].host), "master", net.bridge()]);
    }
}

fn link(net: Net, host: u8) -> String {
    format!("{}-{host}", net.bridge())
}

fn keep(name: &str, host: u8, logs: &Path) -> Place {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "ip link set lo up && echo && exec sleep infinity"]);
    let mut keeper = Part::start(name, command, logs);
    let mut ready = [0];
    std::io::Read::read_exact(&mut keeper.stdout(), &mut ready).expect("makes a namespace");
    Place { keeper, host }
}

fn ip(place: &Place, arguments: &[&str]) {
    run(place.command(Path::new("ip")).args(arguments));
}
