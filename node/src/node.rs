//! A running node: what starts, in which order, and what stops, in the reverse order.

use crate::clearing::{Clearing, ClearingParts};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::data::{DataDir, DataError, Lock, RECOVERY_KEY, ROOT_KEY};
use crate::http;
use crate::keystore::Passphrase;
use crate::network::{Limits, Multiaddr, Network, NetworkConfig, PeerId, TapFrame};
use crate::service::{self, Hooks, Ledger, NewLedger, OpenFailure, RecoverySecret, WitnessSettings};
use crate::store::{Disk, RealDisk};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use weft_protocol::ids::KeyBytes;
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::{Predecessor, RootSet};
use weft_protocol::ledger::units::UnitDefined;
use weft_protocol::log::witness::Policy;

/// Frames that wait to be written to a tap.
const TAP_QUEUE: usize = 4_096;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is named after what failed and shows its error")]
pub enum StartError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenFailure),
    #[error("network: {0}")]
    Network(String),
    #[error("cannot listen on {what}: {source}")]
    Listen { what: String, source: std::io::Error },
    #[error("this folder holds no ledger yet: run `weftd init` first")]
    NoLedger,
    #[error("{0}")]
    Found(String),
    #[error("{0}")]
    Clearing(String),
    #[error(
        "the witness file {path} cannot be used: {why}. Repair it, or take it out of [witness] in weft.toml"
    )]
    Witness { path: String, why: String },
}

/// How a node is started.
#[derive(Debug, Default)]
pub struct Options {
    /// Listen here for peers, instead of what the configuration says.
    pub listen: Vec<String>,
    /// Tell peers these addresses, instead of what the configuration says.
    pub external: Vec<String>,
    /// Serve HTTP here, instead of what the configuration says.
    pub http: Option<String>,
    /// Faults that a test asked for.
    pub hooks: Hooks,
    /// Never sync: a fault that a test asked for.
    pub skip_sync: bool,
    /// Opens what mirrors keep, when the start finds itself in quarantine.
    pub recovery: Option<RecoverySecret>,
    /// Write every frame that peers exchange with us to this file, in the clear: for tests.
    pub tap: Option<PathBuf>,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    ledger: Ledger,
    ledger_thread: std::thread::JoinHandle<Result<(), String>>,
    network: Network,
    network_task: JoinHandle<()>,
    http_task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    clearing: Clearing,
    data: DataDir,
    http_address: Option<std::net::SocketAddr>,
    remarks: Vec<String>,
    _lock: Lock,
}

/// Who founds a ledger, and how its keys are kept.
#[derive(Debug, Default)]
pub struct Founding {
    /// Encrypts the keys from the first byte on.
    pub passphrase: Option<Passphrase>,
    /// Root keys that were made elsewhere and sign the genesis; none: one is made in the data folder.
    pub root_keys: Vec<SecretKey>,
    /// More keys of the root set, whose holders are not here.
    pub more_roots: Vec<KeyBytes>,
    /// How many of the root set must sign; 0 stands for 1.
    pub threshold: u8,
    /// Where the recovery key comes from.
    pub recovery: RecoveryKey,
    /// The ledger that this one takes the place of.
    pub predecessor: Option<Predecessor>,
}

/// The recovery key of a new ledger, which opens what peers keep for it (specs/ceremony.md §6).
#[derive(Debug, Default)]
pub enum RecoveryKey {
    /// None is bound: the root set can bind one later.
    #[default]
    None,
    /// One is made in the data folder, for people to carry away.
    Make,
    /// Somebody holds it elsewhere; this is its public half.
    Public(KeyBytes),
}

/// Makes a data folder with fresh keys, and founds its ledger with one root key in it.
///
/// # Errors
/// When the folder holds a node already, or cannot be written.
pub fn init(data: &DataDir, config: &Config, units: &[UnitDefined]) -> Result<(), StartError> {
    found(data, config, units, Founding::default())
}

/// Makes a data folder with fresh keys, and founds its ledger.
///
/// # Errors
/// When the folder holds a node already, cannot be written, or the root set breaks a rule.
pub fn found(
    data: &DataDir,
    config: &Config,
    units: &[UnitDefined],
    founding: Founding,
) -> Result<(), StartError> {
    let Founding { passphrase, mut root_keys, more_roots, threshold, recovery, predecessor } = founding;
    let mut keys: Vec<KeyBytes> =
        root_keys.iter().map(|key| key.public().bytes()).chain(more_roots).collect();
    let own = root_keys.is_empty();
    let root = RootSet { threshold: threshold.max(1), keys: Vec::new() };
    if !own {
        keys.sort_unstable();
        let set = RootSet { keys: keys.clone(), ..root.clone() };
        set.check().map_err(|e| StartError::Found(e.to_string()))?;
        let (have, need) = (root_keys.len(), usize::from(set.threshold));
        if have < need {
            let why = format!("founding needs {need} root keys here to sign the first entry, got {have}");
            return Err(StartError::Found(why));
        }
    }
    let data = &data.clone().create_with(Clock, passphrase.as_ref(), own)?;
    let text = toml::to_string(config).map_err(|e| StartError::Found(e.to_string()))?;
    crate::data::write_file(&data.config(), text.as_bytes())?;
    let _lock = data.lock()?;
    if own {
        let key = SecretKey::from_seed(&*data.seed(ROOT_KEY)?);
        keys.push(key.public().bytes());
        keys.sort_unstable();
        root_keys.push(key);
    }
    let root = RootSet { keys, ..root };
    let recovery = match recovery {
        RecoveryKey::None => None,
        RecoveryKey::Make => {
            let secret = zeroize::Zeroizing::new(Clock.random::<32>());
            data.keystore().add(RECOVERY_KEY, &secret).map_err(DataError::from)?;
            Some(weft_protocol::seal::public_key(&secret))
        }
        RecoveryKey::Public(key) => Some(key),
    };
    let mut opened = service::open(data, config, Arc::new(RealDisk), Hooks::default())?;
    let ledger = NewLedger { root: &root, units, recovery, predecessor };
    opened.core.found(&ledger, &root_keys).map_err(|e| StartError::Found(e.to_string()))?;
    opened.core.finish().map_err(StartError::Found)
}

impl Node {
    /// Starts: lock, stores, ledger thread, network, clearing, HTTP; each relies on those before.
    ///
    /// # Errors
    /// Why it does not start; everything started is stopped.
    pub async fn start(data: DataDir, options: Options) -> Result<Self, StartError> {
        let lock = data.lock()?;
        let config = Config::load(&data.config())?;
        let disk: Arc<dyn Disk> = if options.skip_sync {
            let disk = crate::store::disk::faulty::FaultyDisk::new();
            disk.skip_syncs(true);
            Arc::new(disk)
        } else {
            Arc::new(RealDisk)
        };
        let opened = service::open(&data, &config, disk, options.hooks)?;
        if opened.core.engine().state().identity.is_none() {
            return Err(StartError::NoLedger);
        }
        for remark in opened.remarks.iter().chain(&data.key_remarks()?) {
            tracing::warn!("{remark}");
        }
        let mut opened = opened;
        opened.core.set_witness(witness_settings(&data, &config)?, opened.clean);
        if let Some(secret) = &options.recovery
            && !opened.core.give_recovery_secret(secret.clone())
        {
            tracing::warn!(
                "the recovery key was not needed: this start has proven itself; take the key away again"
            );
        }
        let keys = opened.core.keys().clone();
        let shut_out = opened.core.private().shut_outs().map_err(|e| StartError::Network(e.to_string()))?;
        let blocked = shut_out.iter().filter_map(|out| PeerId::from_bytes(&out.peer).ok()).collect();
        let (ledger, ledger_thread) = service::start(opened.core);
        let (network, events, network_task) = start_network(&config, &options, &keys, blocked)?;
        let external = if options.external.is_empty() { config.network.external } else { options.external };
        let parts = ClearingParts {
            ledger: ledger.clone(),
            network: network.clone(),
            keys: keys.clone(),
            external,
            clock: Clock,
            data: data.clone(),
            federation: config.federation.clone(),
        };
        let clearing =
            Clearing::start(parts, events).await.map_err(|e| StartError::Clearing(e.to_string()))?;
        let socket = data.socket();
        let unix = listen_unix(&socket)
            .map_err(|source| StartError::Listen { what: socket.display().to_string(), source })?;
        let address = options.http.unwrap_or(config.http.listen);
        let tcp = if address.is_empty() {
            None
        } else {
            let bound = TcpListener::bind(&address).await;
            Some(bound.map_err(|source| StartError::Listen { what: address, source })?)
        };
        let http_address = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
        let (stop, stopping) = watch::channel(false);
        let app = http::App {
            ledger: ledger.clone(),
            network: network.clone(),
            clearing: clearing.clone(),
            keys,
            clock: Clock,
            site: config.site,
        };
        let http_task = tokio::spawn(http::serve(app, unix, tcp, stopping));
        let asking = crate::witness::run(ledger.clone(), clearing.clone(), Clock, stop.subscribe());
        tokio::spawn(asking);
        let every = Duration::from_secs(config.federation.letters_every_s.max(1));
        let letters = crate::mailbox::run(ledger.clone(), clearing.clone(), Clock, every, stop.subscribe());
        tokio::spawn(letters);
        tokio::spawn(crate::mirror::push(ledger.clone(), clearing.clone(), Clock, stop.subscribe()));
        tokio::spawn(crate::mirror::restore(ledger.clone(), clearing.clone(), stop.subscribe()));
        Ok(Self {
            ledger,
            ledger_thread,
            network,
            network_task,
            http_task,
            stop,
            clearing,
            data,
            http_address,
            remarks: opened.remarks,
            _lock: lock,
        })
    }

    /// Where HTTP is served on loopback.
    pub fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.http_address
    }

    /// Where peers reach the node.
    pub async fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.network.listen_addrs().await
    }

    /// The network layer.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The ledger and clearing, for tests that come between the two.
    #[cfg(test)]
    pub(crate) fn inside(&self) -> (&Ledger, &Clearing) {
        (&self.ledger, &self.clearing)
    }

    /// What opening found that people should know.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Stops: no new requests, the network, then the ledger with a checkpoint over everything.
    ///
    /// # Errors
    /// When the stop is not clean; what was acknowledged is safe all the same.
    pub async fn stop(self) -> Result<(), String> {
        self.stop.send_replace(true);
        // A failed task has nothing left to stop.
        let _ = self.http_task.await;
        self.network.shutdown().await;
        let _ = self.network_task.await;
        self.clearing.close();
        drop(self.clearing);
        let stopped = self.ledger.stopped();
        self.ledger.close().await;
        drop(self.ledger);
        let joined = tokio::task::spawn_blocking(move || self.ledger_thread.join()).await;
        let _ = std::fs::remove_file(self.data.socket());
        match (stopped, joined) {
            (Some(why), _) => Err(why),
            (None, Ok(Ok(closed))) => closed,
            (None, _) => Err("the ledger's thread panicked".to_owned()),
        }
    }
}

/// Reads the files that `[witness]` names.
fn witness_settings(data: &DataDir, config: &Config) -> Result<WitnessSettings, StartError> {
    let read = |name: &str| -> Result<Option<Policy>, StartError> {
        if name.is_empty() {
            return Ok(None);
        }
        let path = data.path().join(name);
        let failed = |why: String| StartError::Witness { path: path.display().to_string(), why };
        let bytes = std::fs::read(&path).map_err(|e| failed(e.to_string()))?;
        Policy::parse(&bytes).map(Some).map_err(|e| failed(e.to_string()))
    };
    let logs = read(&config.witness.logs)?;
    let logs = logs.iter().flat_map(|policy| policy.logs()).map(|log| log.key.clone()).collect();
    let view_every_ms = config.witness.view_every_s.saturating_mul(1_000);
    Ok(WitnessSettings { policy: read(&config.witness.policy)?, logs, view_every_ms })
}

type Started = (Network, mpsc::Receiver<crate::network::NetworkEvent>, JoinHandle<()>);

fn start_network(
    config: &Config,
    options: &Options,
    keys: &crate::data::Keys,
    blocked: Vec<PeerId>,
) -> Result<Started, StartError> {
    let listen = if options.listen.is_empty() { &config.network.listen } else { &options.listen };
    let parse = |addresses: &[String]| -> Result<Vec<Multiaddr>, StartError> {
        let bad = |a: &String| StartError::Network(format!("\"{a}\" is not a multiaddress"));
        addresses.iter().map(|a| a.parse().map_err(|_| bad(a))).collect()
    };
    let mut network = NetworkConfig::new(keys.libp2p.clone());
    network.blocked = blocked;
    network.listen = parse(listen)?;
    network.external =
        parse(if options.external.is_empty() { &config.network.external } else { &options.external })?;
    network.circuits = parse(&config.network.circuits)?;
    network.serve_circuits = config.network.serve_circuits;
    network.checks =
        Some(Duration::from_secs(config.network.reach_checks_s)).filter(|every| !every.is_zero());
    network.upnp = config.network.upnp;
    if network.serve_circuits && network.external.is_empty() {
        let why = "serve_circuits needs `external` in weft.toml: the addresses at which everybody can call this node";
        return Err(StartError::Network(why.to_owned()));
    }
    network.jitter_seed = u64::from_le_bytes(Clock.random());
    let mut limits = Limits::default();
    limits.redial.min_ms = config.network.redial_min_ms;
    limits.redial.max_ms = config.network.redial_max_ms;
    limits.redial.stable_ms = limits.redial.stable_ms.min(config.network.redial_max_ms);
    network.limits = limits;
    if let Some(path) = &options.tap {
        let (tap, frames) = mpsc::channel(TAP_QUEUE);
        network.tap = Some(tap);
        let path = path.clone();
        tokio::task::spawn_blocking(move || write_tap(&path, frames));
    }
    Network::start(network).map_err(|e| StartError::Network(e.to_string()))
}

/// Appends every frame to a file: one line each, protocol, direction, hex.
fn write_tap(path: &std::path::Path, mut frames: mpsc::Receiver<TapFrame>) {
    use std::io::Write;
    let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) else { return };
    while let Some(frame) = frames.blocking_recv() {
        let hex = data_encoding::HEXLOWER.encode(&frame.bytes);
        if writeln!(file, "{} {:?} {:?} {hex}", frame.protocol, frame.direction, frame.part).is_err() {
            return;
        }
    }
}

/// The socket that people and programs on this machine use; only the owner may connect.
fn listen_unix(path: &std::path::Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
