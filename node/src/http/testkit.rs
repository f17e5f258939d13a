//! A real node without peers, served on a real Unix socket and TCP port, and a client that can send anything.

use super::{App, bind_unix, serve};
use crate::clearing::Clearing;
use crate::clock::Clock;
use crate::config::Config;
use crate::data::{DataDir, Keys, Lock};
use crate::network::{Network, NetworkConfig};
use crate::service::{self, Core, Hooks, Ledger, Prepared};
use crate::store::RealDisk;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use weft_api::{Done, Member, Problem, Status};
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{KeyBytes, LedgerId, OpId, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::{Genesis, Purpose, PurposeKey, RootSet};
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};

/// Far above what any request takes, so that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An `Idempotency-Key` of sixteen equal bytes.
pub(super) fn key(n: u8) -> String {
    OpId([n; 16]).to_string()
}

pub(super) struct Node {
    dir: tempfile::TempDir,
    _lock: Lock,
    ledger: Ledger,
    network: Network,
    keys: Arc<Keys>,
    tcp: SocketAddr,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<()>,
    thread: std::thread::JoinHandle<Result<(), String>>,
    _events: tokio::sync::mpsc::Receiver<crate::network::NetworkEvent>,
}

impl Node {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        data.create(Clock).unwrap();
        let lock = data.lock().unwrap();
        let config = Config::new("hull").unwrap();
        let mut core = service::open(&data, &config, Arc::new(RealDisk), Hooks::default()).unwrap().core;
        found(&mut core, &data);
        let keys = core.keys().clone();
        let (ledger, thread) = service::start(core);
        // What was founded becomes durable with the first group.
        ledger.run(|_| ()).await.unwrap();
        let mut network = NetworkConfig::new(keys.libp2p.clone());
        network.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        network.limits.max_memory_bytes = usize::MAX;
        let (network, events, _) = Network::start(network).unwrap();
        let unix = bind_unix(&data.socket()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = listener.local_addr().unwrap();
        let (stop, shutdown) = watch::channel(false);
        let app = App {
            ledger: ledger.clone(),
            network: network.clone(),
            clearing: Clearing {},
            keys: keys.clone(),
            clock: Clock,
            site: "hull".to_owned(),
        };
        let served = tokio::spawn(serve(app, unix, Some(listener), shutdown));
        Self { dir, _lock: lock, ledger, network, keys, tcp, stop, served, thread, _events: events }
    }

    pub(super) async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.served).await.unwrap().unwrap();
        self.network.shutdown().await;
        drop(self.ledger);
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap().unwrap();
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn token(&self) -> String {
        self.keys.api_token.to_string()
    }

    pub(super) async fn digest(&self) -> String {
        self.get("/api/v1/status").await.json::<Status>(200).state_digest
    }

    pub(super) async fn publish(&self) {
        self.ledger.run(|core| core.publish().unwrap()).await.unwrap();
    }

    pub(super) async fn member(&self, n: u8, name: &str) -> Member {
        self.post("/api/v1/members", Some(&key(n)), &format!(r#"{{"name":"{name}"}}"#)).await.json(201)
    }

    pub(super) async fn pay(&self, n: u8, from: &str, to: &str, amount: &str) -> Done {
        let body = format!(
            r#"{{"from":"{from}","to":"{to}","amount":"{amount}","memo":"for {n}","when":"2024-02-29"}}"#
        );
        self.post("/api/v1/payments", Some(&key(n)), &body).await.json(201)
    }

    /// No member may go further below zero than this, in minor units, without a coordinator.
    pub(super) async fn limit_below(&self, stop: u64) {
        let root = SecretKey::from_seed(&DataDir::new(self.dir.path().join("data")).seed("root-1").unwrap());
        let write = move |core: &mut Core| {
            let authority = core.engine().state().identity().unwrap().genesis;
            let below = Levels { warn: None, stop: Some(stop), firm: None };
            let limit = LimitRule {
                unit: UnitId(1),
                account: None,
                owner: Some(OwnerKind::Member),
                below: Some(below),
                above: None,
            };
            by_root(core, &root, Payload::RuleSet(RuleSet { authority, rule: Rule::Limit(limit) }), 0xf3);
        };
        self.ledger.run(write).await.unwrap();
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, key: Option<&str>, body: &str) -> Answer {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(key.map(|key| (weft_api::IDEMPOTENCY_KEY, key)));
        self.send("POST", path, &headers, body).await
    }

    /// Over the Unix socket.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let socket = DataDir::new(self.dir.path().join("data")).socket();
        let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        exchange(stream, method, path, headers, body).await
    }

    pub(super) async fn tcp(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let stream = tokio::net::TcpStream::connect(self.tcp).await.unwrap();
        exchange(stream, method, path, headers, body).await
    }
}

/// A genesis with one root key, and the unit `credit`.
fn found(core: &mut Core, data: &DataDir) {
    let root = SecretKey::from_seed(&data.seed("root-1").unwrap());
    let keys = core.keys().clone();
    let bound = [
        (Purpose::Log, keys.log.public().bytes()),
        (Purpose::Witness, keys.witness.public().bytes()),
        (Purpose::Seal, weft_protocol::seal::public_key(&keys.seal)),
        (Purpose::Libp2p, KeyBytes(crate::network::public_key_of_seed(&keys.libp2p))),
        (Purpose::Desk, keys.desk.public().bytes()),
    ];
    let genesis = Genesis {
        root: RootSet { threshold: 1, keys: vec![root.public().bytes()] },
        next_root: None,
        keys: bound.map(|(purpose, key)| PurposeKey { purpose, key }).to_vec(),
        charter: None,
    };
    by_root(core, &root, Payload::Genesis(genesis), 0xf1);
    let (code, name) = ("credit".to_owned(), "Credit".to_owned());
    let unit = UnitDefined { unit: UnitId(1), code, name, kind: UnitKind::Credit, scale: 2 };
    by_root(core, &root, Payload::UnitDefined(unit), 0xf2);
}

fn by_root(core: &mut Core, root: &SecretKey, payload: Payload, n: u8) {
    let ledger = core.engine().state().ledger().unwrap_or(LedgerId::ZERO);
    let op = Op { op_id: OpId([n; 16]), not_after_ms: Clock.now_ms() + 60_000, payload, sidecars: vec![] };
    let signed = SignedOp::unsigned(&op).signed(&ledger, root, Role::Root, How::OwnKey);
    core.submit(Prepared { signed, texts: vec![], expires_ms: None }).unwrap();
}

pub(super) struct Answer {
    pub(super) status: u16,
    kind: String,
    body: String,
}

impl Answer {
    #[track_caller]
    pub(super) fn text(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub(super) fn json<T: DeserializeOwned>(self, status: u16) -> T {
        assert_eq!((self.status, self.kind.as_str()), (status, "application/json"), "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    #[track_caller]
    pub(super) fn problem(self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.kind.as_str()),
            (status, "application/problem+json"),
            "{code}: {}",
            self.body
        );
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}", problem.detail);
        assert!(!problem.title.is_empty() && !problem.detail.is_empty());
    }
}

/// One HTTP/1.1 request on a connection of its own.
async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n");
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let talk = async {
        // A server may answer and close before it has read all of a body that is too long.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = String::from_utf8(tokio::time::timeout(PATIENCE, talk).await.unwrap()).unwrap();
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-type: ").map(str::to_owned));
    Answer { status, kind: kind.unwrap_or_default(), body: body.to_owned() }
}
