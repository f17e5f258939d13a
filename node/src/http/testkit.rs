//! Real nodes, on a real Unix socket and TCP port each, and a client that can send anything.

use crate::clock::Clock;
use crate::config::Config;
use crate::data::{DataDir, Keys};
use crate::node::{self, Options};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weft_api::{Confirm, Done, Invitation, Member, Pairing, Pairings, Peers, Problem, RootSignature, Status};
use weft_protocol::encoding::encode;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{OpId, UnitId};
use weft_protocol::keys::SecretKey;
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
    running: crate::node::Node,
    data: DataDir,
    keys: Keys,
    tcp: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Node {
    pub(super) async fn start() -> Self {
        Self::named("hull").await
    }

    /// A node of this site with the unit `credit`.
    pub(super) async fn named(site: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        let mut config = Config::new(site).unwrap();
        (config.network.redial_min_ms, config.network.redial_max_ms) = (50, 400);
        let (code, name) = ("credit".to_owned(), "Credit".to_owned());
        let unit = UnitDefined { unit: UnitId(1), code, name, kind: UnitKind::Credit, scale: 2 };
        node::init(&data, &config, &[unit]).unwrap();
        let running = node::Node::start(data.clone(), Options::default()).await.unwrap();
        let (keys, tcp) = (data.keys().unwrap(), running.http_address().unwrap());
        Self { running, data, keys, tcp, _dir: dir }
    }

    pub(super) async fn stop(self) {
        tokio::time::timeout(PATIENCE, self.running.stop()).await.unwrap().unwrap();
    }

    pub(super) fn running(&self) -> &crate::node::Node {
        &self.running
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn root(&self) -> SecretKey {
        SecretKey::from_seed(&self.data.seed("root-1").unwrap())
    }

    pub(super) fn token(&self) -> String {
        self.keys.api_token.to_string()
    }

    pub(super) async fn digest(&self) -> String {
        self.get("/api/v1/status").await.json::<Status>(200).state_digest
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
    pub(super) async fn limit_below(&self, n: u8, stop: u64) {
        let status: Status = self.get("/api/v1/status").await.json(200);
        let below = Levels { warn: None, stop: Some(stop), firm: None };
        let (unit, owner) = (UnitId(1), Some(OwnerKind::Member));
        let rule = Rule::Limit(LimitRule { unit, account: None, owner, below: Some(below), above: None });
        let payload = Payload::RuleSet(RuleSet { authority: status.genesis.parse().unwrap(), rule });
        let op =
            Op { op_id: OpId([n; 16]), not_after_ms: Clock.now_ms() + 60_000, payload, sidecars: vec![] };
        let ledger = status.ledger.parse().unwrap();
        let signed = SignedOp::unsigned(&op).signed(&ledger, &self.root(), Role::Root, How::OwnKey);
        let body = format!(r#"{{"signed_op":"{}"}}"#, data_encoding::HEXLOWER.encode(&encode(&signed)));
        let _: Done = self.post("/api/v1/ops", Some(&key(n)), &body).await.json(201);
    }

    /// Pairs with another node as two operators do, 100 credits each way; each calls the other by its site.
    pub(super) async fn pair(&self, other: &Self) {
        let offer = r#"{"unit":"credit","they_may_owe":"100","we_may_owe":"100"}"#;
        let offer: Invitation = self.post("/api/v1/peers/invitations", None, offer).await.json(201);
        let join = format!(r#"{{"link":"{}","unit":"credit"}}"#, offer.link);
        let theirs: Pairing = other.post("/api/v1/peers/join", None, &join).await.json(201);
        other.confirm(&theirs).await;
        let ours: Pairings = self.get("/api/v1/peers/pairings").await.json(200);
        self.confirm(&ours.pairings[0]).await;
        for node in [self, other] {
            let open =
                async || node.get("/api/v1/peers").await.json::<Peers>(200).peers.iter().any(|p| p.open);
            let wait = async {
                while !open().await {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, wait).await.unwrap();
        }
    }

    async fn confirm(&self, pairing: &Pairing) {
        let accord = data_encoding::HEXLOWER.decode(pairing.accord.as_bytes()).unwrap();
        let root = self.root();
        let signature = RootSignature {
            signer: root.public().signer().to_string(),
            sig: root.sign(weft_protocol::keys::ACCORD, &[&accord]).to_string(),
        };
        let confirm = Confirm { words: pairing.words.clone(), signatures: vec![signature] };
        let confirm = serde_json::to_string(&confirm).unwrap();
        let path = format!("/api/v1/peers/pairings/{}/confirm", pairing.id);
        let _: Pairing = self.post(&path, None, &confirm).await.json(200);
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
        let stream = tokio::net::UnixStream::connect(self.data.socket()).await.unwrap();
        exchange(stream, method, path, headers, body).await
    }

    /// A request that may outlive the node's handle.
    pub(super) fn detached_get(&self, path: &str) -> impl Future<Output = Answer> + Send + 'static {
        let (socket, path) = (self.data.socket(), path.to_owned());
        async move {
            let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
            exchange(stream, "GET", &path, &[], "").await
        }
    }

    pub(super) async fn tcp(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let stream = tokio::net::TcpStream::connect(self.tcp).await.unwrap();
        exchange(stream, method, path, headers, body).await
    }
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
