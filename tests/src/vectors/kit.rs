//! What all vectors share: hex, a reading of CBOR as JSON, keys from seeds, and a ledger that is written line by line.

use serde_json::{Value, json};
use weft_protocol::entry::{Body, Entry, How, Op, Payload, Role, SignedOp, StreamHeader, ledger_id};
use weft_protocol::ids::{Hash, LedgerId, OpId, PUBLIC_STREAM, Salt};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::author::Author;
use weft_protocol::ledger::identity::{Genesis, PURPOSES, Purpose, PurposeKey, RootSet, is_public};
use weft_protocol::ledger::{State, apply, verify_signatures};

/// Seeds of log keys that a node holds before they are bound.
const NEXT_LOG_SEEDS: [u8; 3] = [15, 16, 79];
/// 2026-01-01T00:00:00Z, when every ledger here begins.
pub(super) const START_MS: u64 = 1_767_225_600_000;
/// How long operations here may wait.
pub(super) const LIFE_MS: u64 = 86_400_000;

pub(super) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("our own hex");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// The key whose seed is this byte, 32 times.
pub(super) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(super) fn op_id(n: u64) -> OpId {
    OpId(Hash::of("", &[b"op", &n.to_be_bytes()]).prefix())
}

/// The name of a variant as a code: `MapOrder { .. }` gives `map-order`.
pub(super) fn code_of(debug: &str) -> String {
    let name = debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut code = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !code.is_empty() {
            code.push('-');
        }
        code.push(c.to_ascii_lowercase());
    }
    code
}

/// Canonical CBOR as JSON: byte strings as `h'…'`, map keys as text.
pub(super) fn reading(bytes: &[u8]) -> Value {
    let mut at = 0;
    item(bytes, &mut at)
}

fn item(bytes: &[u8], at: &mut usize) -> Value {
    let first = bytes[*at];
    *at += 1;
    let (major, info) = (first >> 5, first & 0x1f);
    let width = match info {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        _ => 8,
    };
    let mut argument = if width == 0 { u64::from(info) } else { 0 };
    for _ in 0..width {
        argument = (argument << 8) | u64::from(bytes[*at]);
        *at += 1;
    }
    let len = usize::try_from(argument).unwrap_or(usize::MAX);
    match major {
        0 => json!(argument),
        1 => json!(-1 - i64::try_from(argument).expect("our negative numbers fit")),
        2 | 3 => {
            let content = &bytes[*at..*at + len];
            *at += len;
            if major == 2 {
                json!(format!("h'{}'", hex(content)))
            } else {
                json!(std::str::from_utf8(content).expect("text passed the gate"))
            }
        }
        4 => Value::Array((0..len).map(|_| item(bytes, at)).collect()),
        5 => {
            let pair = |_| {
                let key = item(bytes, at).to_string();
                (key, item(bytes, at))
            };
            Value::Object((0..len).map(pair).collect())
        }
        _ => json!(first == 0xf5),
    }
}

/// The state as JSON that a person can compare with.
pub(super) fn entry_case(entry: &Entry, state: &State) -> Value {
    json!({
        "hex": hex(entry.bytes()),
        "leaf": entry.leaf().to_string(),
        "body": reading(&weft_protocol::encoding::encode(entry.body())),
        "op": reading(&entry.body().op.0),
        "digest": state.digest().to_string(),
    })
}

/// Seeds of a ledger's keys: root keys, then log, witness, seal, libp2p, desk counted up from `first`.
pub(super) fn genesis(roots: &[u8], threshold: u8, first: u8) -> Genesis {
    let mut keys: Vec<_> = roots.iter().map(|seed| key(*seed).public().bytes()).collect();
    keys.sort();
    let keys_of_purpose = PURPOSES.iter().zip(first..).map(|(purpose, seed)| PurposeKey {
        purpose: *purpose,
        key: match purpose {
            Purpose::Seal | Purpose::Recovery => weft_protocol::ids::KeyBytes([seed; 32]),
            Purpose::Log | Purpose::Witness | Purpose::Libp2p | Purpose::Desk => key(seed).public().bytes(),
        },
    });
    let charter = Some(Hash::of("WEFT-SIDECAR/1\n", &[&[0x5a; 32], b"We help each other."]));
    let root = RootSet { threshold, keys };
    Genesis { root, next_root: None, keys: keys_of_purpose.collect(), charter, predecessor: None }
}

/// Who signs: seed of the key, role, how.
pub(super) type Sign = (u8, Role, How);

/// A ledger written line by line.
pub(super) struct Book {
    pub(super) state: State,
    pub(super) log_seed: u8,
    pub(super) now_ms: u64,
    pub(super) count: u64,
    pub(super) cases: Vec<Value>,
    pub(super) entries: Vec<Vec<u8>>,
}

impl Book {
    pub(super) fn new(log_seed: u8) -> Self {
        let (state, cases, entries) = (State::default(), Vec::new(), Vec::new());
        Self { state, log_seed, now_ms: START_MS, count: 0, cases, entries }
    }

    pub(super) fn ledger(&self) -> LedgerId {
        self.state.ledger().unwrap_or(LedgerId::ZERO)
    }

    pub(super) fn op(&mut self, payload: Payload, sidecars: Vec<Hash>) -> Op {
        self.count += 1;
        Op { op_id: op_id(self.count), not_after_ms: self.now_ms + LIFE_MS, payload, sidecars }
    }

    pub(super) fn signed(&self, op: &Op, signs: &[Sign]) -> SignedOp {
        let sign = |signed: SignedOp, (seed, role, how): &Sign| {
            signed.signed(&self.ledger(), &key(*seed), *role, *how)
        };
        signs.iter().fold(SignedOp::unsigned(op), sign)
    }

    fn salt(&self) -> Salt {
        Salt(Hash::of("", &[b"salt", &self.state.head.next_seq.to_be_bytes()]).prefix())
    }

    /// Writes an entry that must be accepted, and gives its leaf.
    pub(super) fn write(
        &mut self,
        about: &str,
        payload: Payload,
        sidecars: Vec<Hash>,
        signs: &[Sign],
    ) -> Hash {
        let op = self.op(payload, sidecars);
        self.write_op(about, &op, signs)
    }

    pub(super) fn write_op(&mut self, about: &str, op: &Op, signs: &[Sign]) -> Hash {
        self.now_ms += 1_000;
        let signed = self.signed(op, signs);
        let mut author = Author::new(key(self.log_seed), START_MS);
        NEXT_LOG_SEEDS.into_iter().for_each(|seed| author.hold(key(seed)));
        let (now, salt) = (self.now_ms, self.salt());
        let written = author.write(&mut self.state, &signed, now, salt);
        let written = written.unwrap_or_else(|e| panic!("{about}: {e}"));
        let mut case = entry_case(&written.entry, &self.state);
        case["about"] = json!(about);
        self.cases.push(case);
        self.entries.push(written.entry.bytes().to_vec());
        written.entry.leaf()
    }

    /// The body that the next entry would have.
    pub(super) fn next_body(&self, signed: &SignedOp) -> Body {
        let kind = weft_protocol::entry::Kind::from_code(signed.kind);
        let row = self.state.stream(&PUBLIC_STREAM);
        let header = StreamHeader { id: PUBLIC_STREAM, sseq: row.next, sprev: row.head };
        let payload = kind.and_then(|kind| Op::parse(kind, &signed.op.0).ok()).map(|op| op.payload);
        let epoch = self.state.identity.as_ref().and_then(|i| i.signing_epoch(payload.as_ref()?));
        let mut body = Body {
            v: 1,
            ledger: self.ledger(),
            seq: self.state.head.next_seq,
            prev: self.state.head.leaf,
            time_ms: self.now_ms + 1_000,
            epoch: epoch.unwrap_or(0),
            kind: signed.kind,
            op: signed.op.clone(),
            auth: signed.auth.clone(),
            salt: self.salt(),
            stream: kind.filter(|kind| is_public(*kind)).map(|_| header),
            boot: START_MS,
        };
        if kind == Some(weft_protocol::entry::Kind::Genesis) {
            body.ledger = ledger_id(&body);
        }
        body
    }
}

/// Why bytes are refused after the entries so far: code, class and, where they are no entry, the rule of the encoding.
pub(super) fn refusal(state: &State, bytes: &[u8]) -> Option<(String, Option<String>)> {
    let entry = match Entry::parse(bytes) {
        Ok(entry) => entry,
        Err(e) => {
            use weft_protocol::entry::EntryError;
            let detail = match e {
                EntryError::Outer(e) | EntryError::Body(e) | EntryError::Op(e) => encoding_code(&e),
                EntryError::UnknownKind(_) => "unknown-kind".into(),
                EntryError::Version(_) => "version".into(),
            };
            return Some(("entry".into(), Some(detail)));
        }
    };
    let refused = apply(state, &entry).map(|_| ()).and_then(|()| verify_signatures(state, &entry));
    refused.err().map(|rejected| (rejected.code(), None))
}

pub(super) fn encoding_code(error: &weft_protocol::encoding::EncodingError) -> String {
    match error {
        weft_protocol::encoding::EncodingError::Shape(shape) => code_of(&format!("{shape:?}")),
        other => code_of(&format!("{other:?}")),
    }
}

/// The class of a code, as `specs/ledger.md` §7 lists them.
pub(super) fn class_of(code: &str) -> &'static str {
    match code {
        "encoding" | "entry" | "key" | "signature-length" => "form",
        "signature" => "signature",
        "no-genesis" | "genesis-place" | "genesis-keys" | "ledger-mismatch" | "seq" | "prev"
        | "time-back" | "boot-back" | "stream-header" | "stream-place" | "unknown-epoch" => "place",
        "op-expired" | "op-life" | "op-done" | "node-only" | "unsigned" | "nothing-to-do" => "operation",
        "too-many-signatures"
        | "unknown-signer"
        | "signed-twice"
        | "role-not-held"
        | "role-not-grantable"
        | "passkey-not-yet"
        | "root-quorum"
        | "office-needed"
        | "not-authorised"
        | "authority-unknown"
        | "new-root-quorum" => "authority",
        _ => "rule",
    }
}
