//! A home behind a router, and the world outside: three network namespaces, packet filtering and address translation by the
//! kernel, and a real gateway daemon (miniupnpd) that opens ports when it is asked.
//!
//! The router lets nobody in by itself. Needs root, `ip`, `nft` and `miniupnpd`. What must hold: namespaces and daemon go
//! away with the [`Gateway`].

use super::cells::{Cell, PORT, PREFIX, ip, sweep};
use super::{Failure, Outcome};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Addresses: at home, the router at home and outside, and somebody outside. Outside has to look public, or no gateway
/// offers to open a port; nothing of it leaves the namespaces.
const HOME: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
const ROUTER_AT_HOME: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const ROUTER_OUTSIDE: Ipv4Addr = Ipv4Addr::new(45, 45, 45, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(45, 45, 45, 2);

/// A home, its router, and somebody outside.
#[derive(Debug)]
pub struct Gateway {
    spaces: [String; 3],
    folder: PathBuf,
    daemon: Option<Child>,
    quic: bool,
}

/// Where the daemon is, if this machine has all that is needed.
pub fn possible() -> Option<PathBuf> {
    let daemon = Path::new("/usr/sbin/miniupnpd");
    let has_filter = Command::new("nft").arg("--version").stdout(Stdio::null()).status();
    let has_all = super::cells::possible() && has_filter.is_ok_and(|status| status.success());
    (has_all && daemon.exists()).then(|| daemon.to_owned())
}

fn inside(space: &str, program: &str, arguments: &[&str]) -> Outcome<()> {
    let all = [&["netns", "exec", space, program], arguments].concat();
    ip(&all).map(drop)
}

/// Joins two namespaces by a cable with an address at each end.
fn cable(name: &str, ends: [(&str, Ipv4Addr); 2]) -> Outcome<[String; 2]> {
    let devices = [format!("{name}0"), format!("{name}1")];
    ip(&["link", "add", &devices[0], "type", "veth", "peer", "name", &devices[1]])?;
    for (device, (space, address)) in devices.iter().zip(ends) {
        ip(&["link", "set", device, "netns", space])?;
        ip(&["-n", space, "addr", "add", &format!("{address}/24"), "dev", device])?;
        ip(&["-n", space, "link", "set", device, "up"])?;
        ip(&["-n", space, "link", "set", "lo", "up"])?;
    }
    Ok(devices)
}

impl Gateway {
    /// Makes a home whose router opens ports when it is asked to, or does not listen to such wishes.
    ///
    /// # Errors
    /// When a namespace, a device or a rule cannot be made, or the daemon does not start.
    pub fn new(folder: &Path, opens: bool, quic: bool) -> Outcome<Self> {
        sweep()?;
        let letter = super::cells::next_letter();
        let id = std::process::id();
        let spaces = ["h", "r", "o"].map(|of| format!("{PREFIX}{id}{letter}{of}"));
        let mut gateway = Self { spaces, folder: folder.to_owned(), daemon: None, quic };
        for space in &gateway.spaces {
            ip(&["netns", "add", space])?;
        }
        let [home, router, outside] = &gateway.spaces;
        let at_home = cable(&format!("w{id}{letter}h"), [(home, HOME), (router, ROUTER_AT_HOME)])?;
        let beyond = cable(&format!("w{id}{letter}o"), [(outside, OUTSIDE), (router, ROUTER_OUTSIDE)])?;
        ip(&["-n", home, "route", "add", "default", "via", &ROUTER_AT_HOME.to_string()])?;
        inside(router, "sysctl", &["-qw", "net.ipv4.ip_forward=1"])?;
        let rules = gateway.file("gateway.nft", &rules(&at_home[1], &beyond[1]))?;
        inside(router, "nft", &["-f", &rules])?;
        if opens {
            let settings = gateway.file("gateway.conf", &settings(&at_home[1], &beyond[1]))?;
            let mut command = Command::new("ip");
            command.args(["netns", "exec", router, "/usr/sbin/miniupnpd", "-d", "-f", &settings]);
            // A file of its own, or it takes the daemon of another test for itself.
            command.arg("-P").arg(folder.join("gateway.pid"));
            let log = std::fs::File::create(folder.join("gateway.log"))?;
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            gateway.daemon = Some(command.spawn()?);
        }
        Ok(gateway)
    }

    fn file(&self, name: &str, text: &str) -> Outcome<String> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        path.to_str().map(str::to_owned).ok_or_else(|| Failure::new("a folder whose name is no text"))
    }

    fn cell(&self, space: usize, address: Ipv4Addr, hidden: bool) -> Cell {
        Cell { namespace: self.spaces[space].clone(), address, quic: self.quic, hidden }
    }

    /// Where somebody at home lives: nobody knows how to reach them.
    pub fn home(&self) -> Cell {
        self.cell(0, HOME, true)
    }

    /// Where somebody outside lives.
    pub fn outside(&self) -> Cell {
        self.cell(2, OUTSIDE, false)
    }

    /// Where others would reach who is at home, if the router let them in.
    pub fn would_be_at(&self) -> String {
        Cell { address: ROUTER_OUTSIDE, ..self.outside() }.multiaddr()
    }

    /// What the router's daemon has said.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // One that has ended by itself needs no end.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for space in &self.spaces {
            // A namespace that stays is swept by the next run.
            let _ = ip(&["netns", "del", space]);
        }
    }
}

/// Answers alone come in, and what the daemon has opened; what goes out carries the router's address and, where it can, the
/// same port.
fn rules(at_home: &str, beyond: &str) -> String {
    format!(
        "table inet filter {{
            chain input {{ type filter hook input priority 0; policy drop; ct state established,related accept
                iifname {at_home} accept; iifname lo accept; }}
            chain forward {{ type filter hook forward priority 0; policy drop; ct state established,related accept
                iifname {at_home} accept; jump miniupnpd; }}
            chain miniupnpd {{ }}
            chain prerouting {{ type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }}
            chain prerouting_miniupnpd {{ }}
            chain postrouting {{ type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd
                oifname {beyond} masquerade; }}
            chain postrouting_miniupnpd {{ }}
        }}
        "
    )
}

fn settings(at_home: &str, beyond: &str) -> String {
    format!(
        "ext_ifname={beyond}\nlistening_ip={at_home}\nhttp_port=0\nenable_natpmp=no\nenable_upnp=yes\nsystem_uptime=no\n\
         uuid=00000000-0000-0000-0000-000000000001\nallow {PORT} {HOME}/32 {PORT}\ndeny 0-65535 0.0.0.0/0 0-65535\n"
    )
}
