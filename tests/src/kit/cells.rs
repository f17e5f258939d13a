//! Network namespaces for nodes, and the wire between them: packets that are late, lost, or cannot pass.
//!
//! Each namespace has one network device; this process holds the other end of all of them and carries every packet by
//! its address, after a delay, unless it is lost. So what the nodes' kernels do about a bad network is the real thing.
//! Needs root and the TUN device. What must hold: the namespaces go away with the [`Wire`], and those that a killed run
//! left behind go away with the next.

use super::{Dice, Failure, Outcome};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tun::Tun;

/// Beginning of the names of namespaces and devices.
pub(super) const PREFIX: &str = "weft";
/// The port that every node listens on.
pub(super) const PORT: u16 = 4_001;
/// Largest packet.
const MTU: u16 = 1_500;
/// Packets on their way to one node; more are lost, as at a router.
const QUEUE: usize = 4_096;
/// The cells' addresses are 10.77.0.1 and on.
const NETWORK: [u8; 3] = [10, 77, 0];
/// The protocol number of UDP, over which QUIC goes.
const UDP: u8 = 17;
/// That of TCP.
const TCP: u8 = 6;

/// Wires that this process has made.
static WIRES: AtomicU8 = AtomicU8::new(0);

/// Where one node lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Name of the namespace.
    pub namespace: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether its node speaks QUIC instead of TCP.
    pub quic: bool,
    /// Whether it is behind a router that lets in only answers.
    pub hidden: bool,
}

impl Cell {
    /// Where peers connect to.
    pub fn multiaddr(&self) -> String {
        let transport = if self.quic { format!("udp/{PORT}/quic-v1") } else { format!("tcp/{PORT}") };
        format!("/ip4/{}/{transport}", self.address)
    }
}

/// What packets meet.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// How late each packet comes, one way.
    pub delay: Duration,
    /// How many packets of a hundred are lost, of TCP.
    pub tcp_loss: u64,
    /// The same for UDP.
    pub udp_loss: u64,
    /// On which side each cell is: packets between sides are lost. Cells not named are on side 0.
    pub sides: Vec<u8>,
}

impl Weather {
    fn side(&self, place: usize) -> u8 {
        self.sides.get(place).copied().unwrap_or(0)
    }
}

/// Packets so far.
#[derive(Debug, Default)]
struct Counts {
    carried: AtomicU64,
    lost: AtomicU64,
    bytes: AtomicU64,
}

/// The cells and what connects them.
#[derive(Debug)]
pub struct Wire {
    cells: Vec<Cell>,
    weather: watch::Sender<Weather>,
    counts: Arc<Counts>,
    /// What hidden cells wait for answers to.
    asked: Asked,
    _carriers: JoinSet<()>,
}

/// Packets that hidden cells have sent: protocol, from where, to where; and which cells are hidden.
type Asked = Arc<Mutex<(HashSet<usize>, HashSet<Flow>)>>;
type Flow = (u8, [u8; 6], [u8; 6]);

/// Whether this machine can: root, `ip`, and a TUN device.
pub fn possible() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
        && Path::new("/dev/net/tun").exists()
        && ip(&["netns", "list"]).is_ok()
}

pub(super) fn ip(arguments: &[&str]) -> Outcome<String> {
    let out = Command::new("ip").args(arguments).stdin(Stdio::null()).output()?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(Failure::new(format!("ip {}: {}", arguments.join(" "), said.trim())))
}

/// Removes namespaces of runs that are no more: their names tell the process.
pub(super) fn sweep() -> Outcome<()> {
    for line in ip(&["netns", "list"])?.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process =
            name.strip_prefix(PREFIX).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        if process.is_some_and(|id| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists()) {
            ip(&["netns", "del", name])?;
        }
    }
    Ok(())
}

/// One test of a process may have a wire beside another's; names of devices have at most 15 letters.
pub(super) fn next_letter() -> char {
    char::from(b'a' + WIRES.fetch_add(1, Ordering::Relaxed) % 26)
}

impl Wire {
    /// Makes so many cells, connected with each other, for nodes that speak TCP or QUIC. Only inside a runtime.
    ///
    /// # Errors
    /// When a namespace or a device cannot be made.
    pub fn new(cells: u8, quic: bool, seed: u64) -> Outcome<Self> {
        sweep()?;
        let letter = next_letter();
        let mut wire = Self {
            cells: Vec::new(),
            weather: watch::Sender::new(Weather::default()),
            counts: Arc::default(),
            asked: Asked::default(),
            _carriers: JoinSet::new(),
        };
        let mut devices = Vec::new();
        for number in 1..=cells {
            let name = format!("{PREFIX}{}{letter}{number}", std::process::id());
            let [a, b, c] = NETWORK;
            let address = Ipv4Addr::new(a, b, c, number);
            let cell = Cell { namespace: name.clone(), address, quic, hidden: false };
            ip(&["netns", "add", &name])?;
            // From here on it goes away with the wire.
            wire.cells.push(cell.clone());
            let mut devices_made = Tun::builder().name(&name).mtu(i32::from(MTU)).close_on_exec().build()?;
            let device = devices_made.pop().ok_or_else(|| Failure::new("no network device was made"))?;
            ip(&["link", "set", &name, "netns", &name])?;
            ip(&["-n", &name, "addr", "add", &format!("{}/24", cell.address), "dev", &name])?;
            ip(&["-n", &name, "link", "set", &name, "up"])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            devices.push(Arc::new(device));
        }
        let mut ways = Vec::new();
        for device in &devices {
            let (way, arriving) = mpsc::channel(QUEUE);
            wire._carriers.spawn(deliver(Arc::clone(device), arriving));
            ways.push(way);
        }
        for (place, device) in devices.into_iter().enumerate() {
            let carrier = Carrier {
                place,
                ways: ways.clone(),
                weather: wire.weather.subscribe(),
                counts: Arc::clone(&wire.counts),
                asked: Arc::clone(&wire.asked),
                dice: Dice(seed ^ (place as u64) << 32),
            };
            wire._carriers.spawn(carrier.carry(device));
        }
        Ok(wire)
    }

    /// The cells.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Puts a cell behind a router that keeps its address and lets in only what comes from where it has sent to.
    pub fn hide(&mut self, place: usize) {
        self.cells[place].hidden = true;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).0.insert(place);
    }

    /// Changes what packets meet from now on.
    pub fn weather(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }

    /// Packets carried, packets lost, bytes carried.
    pub fn counts(&self) -> [u64; 3] {
        [&self.counts.carried, &self.counts.lost, &self.counts.bytes]
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// TCP segments that the kernels of all cells have sent, and those among them that they sent again.
    ///
    /// # Errors
    /// When a namespace does not say.
    pub fn segments(&self) -> Outcome<[u64; 2]> {
        let mut sum = [0; 2];
        for cell in &self.cells {
            let text = ip(&["netns", "exec", &cell.namespace, "cat", "/proc/net/snmp"])?;
            let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
            let names = lines.next().unwrap_or_default().split_whitespace();
            let values = lines.next().unwrap_or_default().split_whitespace();
            for (name, value) in names.zip(values) {
                let place = ["OutSegs", "RetransSegs"].iter().position(|known| *known == name);
                if let Some(place) = place {
                    sum[place] += value.parse::<u64>()?;
                }
            }
        }
        Ok(sum)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for cell in &self.cells {
            // A namespace that stays is swept by the next run.
            let _ = ip(&["netns", "del", &cell.namespace]);
        }
    }
}

type Packet = (Instant, Vec<u8>);

/// What takes the packets of one cell.
struct Carrier {
    place: usize,
    ways: Vec<mpsc::Sender<Packet>>,
    weather: watch::Receiver<Weather>,
    counts: Arc<Counts>,
    asked: Asked,
    dice: Dice,
}

impl Carrier {
    async fn carry(mut self, device: Arc<Tun>) {
        let mut buffer = vec![0; usize::from(MTU)];
        while let Ok(len) = device.recv(&mut buffer).await {
            let packet = &buffer[..len];
            let Some(to) = destination(packet).filter(|to| *to < self.ways.len()) else { continue };
            let due = self.passes(packet, to).map(|delay| Instant::now() + delay);
            let sent = due.is_some_and(|due| self.ways[to].try_send((due, packet.to_vec())).is_ok());
            let count = if sent { &self.counts.carried } else { &self.counts.lost };
            count.fetch_add(1, Ordering::Relaxed);
            if sent {
                self.counts.bytes.fetch_add(len as u64, Ordering::Relaxed);
            }
        }
    }

    /// How late it comes, when it does.
    fn passes(&mut self, packet: &[u8], to: usize) -> Option<Duration> {
        if !self.is_let_in(packet, to) {
            return None;
        }
        let weather = self.weather.borrow();
        let loss = if packet[9] == UDP { weather.udp_loss } else { weather.tcp_loss };
        let lost = weather.side(self.place) != weather.side(to) || self.dice.below(100) < loss;
        (!lost).then_some(weather.delay)
    }
}

impl Carrier {
    /// Whether the router of a hidden cell lets it in; what leaves one is noted.
    fn is_let_in(&self, packet: &[u8], to: usize) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((protocol, from_port, to_port)) = flow(packet) else { return !asked.0.contains(&to) };
        if asked.0.contains(&self.place) {
            asked.1.insert((protocol, from_port, to_port));
        }
        !asked.0.contains(&to) || asked.1.contains(&(protocol, to_port, from_port))
    }
}

/// Protocol, and address with port of both ends of a packet without options; `None` for what has no ports.
fn flow(packet: &[u8]) -> Option<Flow> {
    let (addresses, ports) = (packet.get(12..20)?, packet.get(20..24)?);
    let end = |n: usize| -> Option<[u8; 6]> {
        [&addresses[4 * n..4 * n + 4], &ports[2 * n..2 * n + 2]].concat().try_into().ok()
    };
    matches!(packet[9], TCP | UDP).then_some((packet[9], end(0)?, end(1)?))
}

/// The place of the cell that an IPv4 packet goes to.
fn destination(packet: &[u8]) -> Option<usize> {
    let address = packet.get(16..20).filter(|_| packet[0] >> 4 == 4)?;
    let number = address.strip_prefix(&NETWORK)?.first()?;
    usize::from(*number).checked_sub(1)
}

async fn deliver(device: Arc<Tun>, mut arriving: mpsc::Receiver<Packet>) {
    while let Some((due, packet)) = arriving.recv().await {
        tokio::time::sleep_until(due).await;
        // A device that does not take it loses it, as a full network card does.
        let _ = device.send(&packet).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_go_where_their_address_says_and_others_nowhere() {
        let mut packet = vec![0x45; 20];
        packet[16..20].copy_from_slice(&[10, 77, 0, 3]);
        assert_eq!(destination(&packet), Some(2));
        packet[19] = 0;
        assert_eq!(destination(&packet), None);
        packet[16..20].copy_from_slice(&[10, 78, 0, 3]);
        assert_eq!(destination(&packet), None);
        assert_eq!(destination(&packet[..19]), None);
        packet[19] = 3;
        assert_eq!(flow(&packet), None, "no ports");
        packet.extend([0x0f, 0xa1, 0x1e, 0x0c]);
        packet[9] = TCP;
        assert_eq!(
            flow(&packet),
            Some((TCP, [0x45, 0x45, 0x45, 0x45, 0x0f, 0xa1], [10, 78, 0, 3, 0x1e, 0x0c]))
        );
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
    }
}
