//! For the tests of commands: a node that gives canned answers over a real socket and keeps what it was asked.

use crate::args::Globals;
use crate::context::Context;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use weft_api::{
    Balance, Claim, KeysKept, Member, Owner, Pairing, PaymentState, Peer, Position, Roots, Status, Unit,
};
use weft_protocol::clearing::accord::{ACCORD_VERSION, Accord, Side, UnitPair};
use weft_protocol::entry::{Body, ENTRY_VERSION, Entry, Op, Payload};
use weft_protocol::ids::{AccountId, Hash, LedgerId, OpId, Salt, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::members::AccountClosed;

/// A request as the node saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Method and path with its query.
    pub(crate) line: String,
    /// The `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// JSON; null without a body.
    pub(crate) body: Value,
}

#[derive(Debug, Clone)]
struct Canned {
    line: String,
    status: u16,
    body: String,
}

/// A node before it runs. Several answers to one line are given in turn, the last one for ever.
#[derive(Debug, Default)]
pub(crate) struct FakeNode {
    answers: Vec<Canned>,
}

/// A node that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl FakeNode {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers requests with this line. Without a query in `line`, any query fits.
    pub(crate) fn answering(mut self, line: &str, status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).unwrap();
        self.answers.push(Canned { line: line.to_owned(), status, body });
        self
    }

    /// Answers with a problem.
    pub(crate) fn refusing(self, line: &str, status: u16, code: &str) -> Self {
        let body = serde_json::json!({
            "type": "about:blank", "title": "Refused", "status": status, "code": code, "detail": "by a rule",
        });
        self.answering(line, status, &body)
    }

    pub(crate) fn start(self) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("weftd.sock")).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(self.answers));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&log)));
            }
        });
        Running { folder, seen }
    }
}

impl Running {
    pub(crate) fn context(&self) -> Context {
        let data = self.folder.path().to_path_buf();
        Context::plain(Globals { data, url: None, token_file: None, json: false })
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The body of the last request with this line.
    pub(crate) fn body_of(&self, line: &str) -> Value {
        let fits = |seen: &Seen| seen.line == line;
        self.requests().into_iter().rev().find(fits).unwrap_or_else(|| panic!("no {line}")).body
    }

    /// A file in the node's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

async fn serve(mut stream: UnixStream, answers: Arc<Mutex<Vec<Canned>>>, log: Arc<Mutex<Vec<Seen>>>) {
    while let Some(seen) = read(&mut stream).await {
        let answer = choose(&mut answers.lock().unwrap(), &seen.line);
        log.lock().unwrap().push(seen);
        let Canned { status, body, .. } = answer;
        let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn choose(answers: &mut Vec<Canned>, line: &str) -> Canned {
    let bare = line.split('?').next().unwrap();
    let fits = |canned: &Canned| canned.line == line || canned.line == bare;
    let found: Vec<usize> = (0..answers.len()).filter(|i| fits(&answers[*i])).collect();
    match found[..] {
        [] => panic!("the test's node has no answer to {line}"),
        [only] => answers[only].clone(),
        [first, ..] => answers.remove(first),
    }
}

async fn read(stream: &mut UnixStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(seen) = parse(std::str::from_utf8(&bytes).unwrap()) {
            return Some(seen);
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

fn parse(text: &str) -> Option<Seen> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let header = |name: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").map_or(0, |n| n.parse().unwrap());
    if body.len() < length {
        return None;
    }
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let body = if length == 0 { Value::Null } else { serde_json::from_str(body).unwrap() };
    Some(Seen { line, key: header("idempotency-key"), body })
}

/// The status of a network with one unit.
pub(crate) fn status() -> Status {
    Status {
        schema: "weft.status/1".into(),
        version: "0.1.0".into(),
        site: "hull".into(),
        ledger: "11".repeat(32),
        genesis: "22".repeat(32),
        entries: 7,
        checkpoint: 7,
        state_digest: "33".repeat(32),
        boot: 1,
        peer_id: "12D3KooW".into(),
        addresses: Vec::new(),
        reach: weft_api::Reached::default(),
        desk: "44".repeat(8),
        roots: Roots { threshold: 1, keys: vec!["55".repeat(32)] },
        bound: Vec::new(),
        keys_kept: KeysKept::Plain,
        units: vec![Unit {
            unit: 1,
            code: "credit".into(),
            name: "Credit".into(),
            scale: 2,
            sum_minor: "0".into(),
        }],
        members: 2,
        claims_open: 0,
        messages: Vec::new(),
        problems: Vec::new(),
        news: Vec::new(),
        witness: weft_api::Witness::default(),
        mirrors: weft_api::Mirrors::default(),
        guard: None,
    }
}

/// The same with one root key.
pub(crate) fn with_root(key: &SecretKey) -> Status {
    Status { roots: Roots { threshold: 1, keys: vec![key.public().bytes().to_string()] }, ..status() }
}

/// A member whose account is 16 times `byte`.
pub(crate) fn member(name: &str, byte: u8) -> Member {
    Member {
        account: AccountId([byte; 16]).to_string(),
        name: Some(name.into()),
        owner: Owner::Member,
        own_keys: false,
        closed: false,
        balances: vec![Balance { unit: "credit".into(), amount: "5.00".into() }],
    }
}

/// A claim whose id is 32 times `byte`.
pub(crate) fn claim(byte: u8, state: PaymentState) -> Claim {
    Claim {
        claim: Hash([byte; 32]).to_string(),
        direction: "out".into(),
        peer: "lansing".into(),
        unit: "credit".into(),
        amount: "12.50".into(),
        state,
        expires_ms: 951_782_400_000,
        note: None,
        since_ms: None,
        decider: None,
        room: None,
        peer_seen_ms: None,
    }
}

/// Some entry.
pub(crate) fn entry() -> Entry {
    let payload = Payload::AccountClosed(AccountClosed { account: AccountId([1; 16]) });
    let op = Op { op_id: OpId([9; 16]), not_after_ms: 1, payload, sidecars: Vec::new() };
    let body = Body {
        v: ENTRY_VERSION,
        ledger: LedgerId([0x11; 32]),
        seq: 4,
        prev: Hash([5; 32]),
        time_ms: 0,
        epoch: 0,
        kind: op.payload.kind().code(),
        op: weft_protocol::encoding::Blob(op.to_bytes()),
        auth: Vec::new(),
        salt: Salt([7; 16]),
        stream: None,
        boot: 1,
    };
    Entry::sign(&body, &SecretKey::from_seed(&[3; 32])).unwrap()
}

/// An accord between the ledger of [`status`] and that of [`pairing`].
pub(crate) fn accord() -> Accord {
    let pair = UnitPair {
        unit_a: UnitId(1),
        unit_b: UnitId(1),
        num: 1,
        den: 1,
        position: Side::A,
        limit_a: 10_000,
        limit_b: 10_000,
        foreign: None,
    };
    Accord {
        v: ACCORD_VERSION,
        version: 1,
        previous: None,
        a: LedgerId([0x11; 32]),
        b: LedgerId([0x55; 32]),
        pairs: vec![pair],
        statement_interval_ms: 86_400_000,
        default_expiry_ms: 86_400_000,
        relay: false,
        mirror: false,
        disputers: [1, 1],
    }
}

/// A pairing that waits for us.
pub(crate) fn pairing() -> Pairing {
    Pairing {
        schema: "weft.pairing/1".into(),
        id: "7".into(),
        ledger: LedgerId([0x55; 32]).to_string(),
        site: "york".into(),
        terms: vec!["They may owe us at most 100.00 credit.".into()],
        words: "ant bee cat dog elk fox".split(' ').map(str::to_owned).collect(),
        accord: data_encoding::HEXLOWER.encode(&accord().to_bytes()),
        state: "waiting-for-us".into(),
        expires_ms: 4_000_000_000_000,
    }
}

/// A peer that owes us.
pub(crate) fn peer(alias: &str) -> Peer {
    let position = Position {
        unit: "credit".into(),
        amount: "-3.00".into(),
        we_may_owe: "100.00".into(),
        they_may_owe: "50.00".into(),
        room: "103.00".into(),
        in_flight: 1,
    };
    Peer {
        ledger: "77".repeat(32),
        alias: alias.into(),
        connected: true,
        open: true,
        halts: Vec::new(),
        positions: vec![position],
        acknowledged: 3,
        written: 4,
        received: 5,
        problems: Vec::new(),
        seen_ms: None,
    }
}
