//! How much memory a node holds when nothing happens: a large ledger, and peers that are connected and silent.
//!
//! The node runs in a process of its own, which holds this program and the node alone; the peers are in the process that
//! measures. They are known to the network layer, and have no accord: what an accord adds is entries, which are counted.

use crate::kit::{Failure, Outcome, memory_kib};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use weft_node::data::DataDir;
use weft_node::network::{
    BackoffPolicy, Multiaddr, Network, NetworkConfig, PeerId, peer_id_from_public_key, public_key_of_seed,
};
use weft_node::node::{Node, Options};

/// How long the node may take to be ready, and the peers to be connected.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long everything rests before it is measured.
const REST: Duration = Duration::from_secs(5);

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// All that is resident.
    pub resident_kib: u64,
    /// Of it, what is no file: heap and stacks.
    pub anonymous_kib: u64,
    /// The most that was ever resident.
    pub peak_kib: u64,
}

/// The network identity of the peer with this number.
fn seed(number: u32) -> [u8; 32] {
    let mut seed = [0x77; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    seed
}

fn peer(number: u32) -> Outcome<PeerId> {
    Ok(peer_id_from_public_key(&public_key_of_seed(&seed(number)))?)
}

/// Runs the node of a data folder with so many known peers, until nobody reads what it says any more.
///
/// # Errors
/// When it does not start or stop.
pub async fn serve(data: &Path, peers: u32, listen: &str, say: &mut dyn FnMut(&str)) -> Outcome<()> {
    let options =
        Options { listen: vec![listen.to_owned()], http: Some(String::new()), ..Options::default() };
    let node = Node::start(DataDir::new(data), options).await?;
    for number in 0..peers {
        node.network().set_peer(peer(number)?, Vec::new()).await?;
    }
    let address = node.listen_addresses().await.into_iter().next();
    let address = address.ok_or_else(|| Failure::new("the node listens nowhere"))?;
    say(&format!("ready {address} {}", node.network().local_peer_id()));
    // Until whoever started it closes its end.
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    node.stop().await.map_err(Failure::new)
}

/// Measures a node with so many silent peers. `program` serves it as [`serve`] says.
///
/// # Errors
/// When the node does not start or a peer does not connect.
pub async fn measure(program: &Path, data: &Path, peers: u32, listen: &str) -> Outcome<Memory> {
    let mut command = Command::new(program);
    command.arg("memory-here").arg(data).args(["--peers", &peers.to_string(), "--listen", listen]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::new("the node has no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.ok().and_then(Result::ok).flatten();
    let line = line.ok_or_else(|| Failure::new("the node did not start"))?;
    let mut words = line.split_whitespace().skip(1);
    let (Some(address), Some(id)) = (words.next(), words.next()) else {
        return Err(Failure::new(format!("the node said \"{line}\"")));
    };
    let (address, id): (Multiaddr, PeerId) = (address.parse()?, id.parse()?);
    let mut connected = Vec::new();
    for number in 0..peers {
        connected.push(connect(number, id, &address).await?);
    }
    for network in &connected {
        let until = async {
            while network.connected_peers().await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok::<(), Failure>(())
        };
        let waited = tokio::time::timeout(PATIENCE, until).await;
        waited.unwrap_or_else(|_| Err(Failure::new("a peer did not connect")))?;
    }
    tokio::time::sleep(REST).await;
    let memory = memory_of(&child)?;
    drop(child.stdin.take());
    let status = tokio::time::timeout(PATIENCE, child.wait()).await;
    match status {
        Ok(Ok(status)) if status.success() => Ok(memory),
        other => Err(Failure::new(format!("the node did not stop cleanly: {other:?}"))),
    }
}

async fn connect(number: u32, to: PeerId, address: &Multiaddr) -> Outcome<Network> {
    let mut config = NetworkConfig::new(seed(number).into());
    config.limits.redial = BackoffPolicy { min_ms: 50, max_ms: 1_000, ..BackoffPolicy::default() };
    // All of them are in this process.
    config.limits.max_memory_bytes = usize::MAX;
    let (network, mut events, _task) = Network::start(config)?;
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    network.set_peer(to, vec![address.clone()]).await?;
    Ok(network)
}

fn memory_of(child: &Child) -> Outcome<Memory> {
    let process = child.id().ok_or_else(|| Failure::new("the node is gone"))?;
    let kib = |figure: &str| memory_kib(process, figure);
    Ok(Memory { resident_kib: kib("VmRSS")?, anonymous_kib: kib("RssAnon")?, peak_kib: kib("VmHWM")? })
}
