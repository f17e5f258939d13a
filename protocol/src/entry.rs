//! An entry: one signed line of a ledger (specs/entry.md).
//!
//! `Entry = [ body: bstr(Body), node_sig ]`, and inside the body the operation is a byte string of its own, because
//! its author signs it before anybody knows its place. An [`Entry`] always holds bytes that passed the canonical
//! gate at every level; its signatures are checked apart ([`crate::ledger::signatures`]), so that audits can batch.

mod op;

pub use op::{Kind, Op, Payload};

use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::ids::{Hash, LedgerId, Salt, SigBytes, Signer, StreamId};
use crate::keys::{self, SecretKey};
use crate::log::tree::leaf_hash;
use minicbor::{Decode, Encode};
use std::ops::Range;

/// Cap of an entry of ours; the tile format would allow 65,535.
pub const MAX_ENTRY_BYTES: usize = 4_096;
/// Format version in field 0 of a body.
pub const ENTRY_VERSION: u8 = 1;

/// In which capacity somebody signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
#[expect(missing_docs, reason = "the words are defined in specs/glossary.md")]
pub enum Role {
    #[n(0)]
    Member,
    #[n(1)]
    Helper,
    #[n(2)]
    Coordinator,
    #[n(3)]
    Treasurer,
    #[n(4)]
    Operator,
    #[n(5)]
    Root,
    #[n(6)]
    Node,
}

/// How the person was present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum How {
    /// With a key of their own.
    #[n(0)]
    OwnKey,
    /// With a passkey.
    #[n(1)]
    Passkey,
    /// Signed in at the node; the network's desk key signs.
    #[n(2)]
    Custody,
    /// A paper slip, entered by somebody else; the desk key signs.
    #[n(3)]
    Paper,
    /// By word of mouth, entered by somebody else; the desk key signs.
    #[n(4)]
    Spoken,
}

/// One signature under an operation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Auth {
    /// Which key.
    #[n(0)]
    pub signer: Signer,
    /// In which capacity; signed.
    #[n(1)]
    pub role: Role,
    /// How the person was present; signed.
    #[n(2)]
    pub how: How,
    /// 64 bytes of Ed25519 (a passkey's is longer).
    #[n(3)]
    pub sig: Blob,
}

/// The place of an entry in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StreamHeader {
    /// Which stream.
    #[n(0)]
    pub id: StreamId,
    /// Place in it, from 0 without gaps.
    #[n(1)]
    pub sseq: u64,
    /// Leaf hash of the stream's previous entry; zero at 0.
    #[n(2)]
    pub sprev: Hash,
}

/// Everything in an entry but the node's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Body {
    /// [`ENTRY_VERSION`].
    #[n(0)]
    pub v: u8,
    /// Whose ledger.
    #[n(1)]
    pub ledger: LedgerId,
    /// Place in the ledger, from 0 without gaps.
    #[n(2)]
    pub seq: u64,
    /// Leaf hash of the entry before; zero at genesis.
    #[n(3)]
    pub prev: Hash,
    /// Milliseconds since 1970; never decreases.
    #[n(4)]
    pub time_ms: u64,
    /// Which log key signed.
    #[n(5)]
    pub epoch: u32,
    /// Area × 256 + n.
    #[n(6)]
    pub kind: u16,
    /// The operation, exactly as its author signed it.
    #[n(7)]
    pub op: Blob,
    /// Who authorised it; empty for the node's own.
    #[cbor(n(8), with = "list", has_nil)]
    pub auth: Vec<Auth>,
    /// Hides the content behind the leaf hash.
    #[n(9)]
    pub salt: Salt,
    /// Set when the entry is part of a stream.
    #[n(10)]
    pub stream: Option<StreamHeader>,
    /// The start of the node that wrote it; raised at each start that is not provably clean.
    #[n(11)]
    pub boot: u64,
}

/// An optional list: absent when empty, and the empty form is refused by the re-encode check.
pub(crate) mod list {
    use minicbor::decode::{Decode, Decoder, Error};
    use minicbor::encode::{self, Encode, Encoder, Write};

    pub(crate) fn encode<T: Encode<C>, C, W: Write>(
        items: &Vec<T>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        items.encode(e, ctx)
    }
    pub(crate) fn decode<'b, T: Decode<'b, C>, C>(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Vec<T>, Error> {
        Vec::decode(d, ctx)
    }
    #[expect(clippy::unnecessary_wraps, reason = "the derive asks for an Option")]
    pub(crate) fn nil<T>() -> Option<Vec<T>> {
        Some(Vec::new())
    }
    #[expect(clippy::ptr_arg, reason = "the derive passes the field by reference")]
    pub(crate) fn is_nil<T>(items: &Vec<T>) -> bool {
        items.is_empty()
    }
}

#[derive(Encode, Decode)]
struct Outer<'b> {
    #[cbor(b(0), with = "minicbor::bytes")]
    body: &'b [u8],
    #[n(1)]
    node_sig: SigBytes,
}

/// What follows the body in an entry: the two bytes of a head, and the signature.
const AFTER_BODY: usize = 2 + SigBytes::LEN;

/// A well-formed entry with its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Vec<u8>,
    /// Where the body stands in the bytes.
    body_at: Range<usize>,
    body: Body,
    op: Op,
    node_sig: SigBytes,
    leaf: Hash,
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The outer array.
    #[error("entry: {0}")]
    Outer(EncodingError),
    /// The body.
    #[error("entry body: {0}")]
    Body(EncodingError),
    /// The operation.
    #[error("operation: {0}")]
    Op(EncodingError),
    /// A kind that this version does not know.
    #[error("entry kind {0} is not known to this version")]
    UnknownKind(u16),
    /// Another format version.
    #[error("entry version {0}, this program reads version {ENTRY_VERSION}")]
    Version(u8),
}

impl Entry {
    /// The gate: reads an entry from its one canonical encoding.
    ///
    /// # Errors
    /// Names the level and the rule that the bytes break.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let outer: Outer<'_> = decode_canonical(bytes, MAX_ENTRY_BYTES).map_err(EntryError::Outer)?;
        let body: Body = decode_canonical(outer.body, MAX_ENTRY_BYTES).map_err(EntryError::Body)?;
        if body.v != ENTRY_VERSION {
            return Err(EntryError::Version(body.v));
        }
        let kind = Kind::from_code(body.kind).ok_or(EntryError::UnknownKind(body.kind))?;
        let op = Op::parse(kind, &body.op.0).map_err(EntryError::Op)?;
        let end = bytes.len().saturating_sub(AFTER_BODY);
        let body_at = end.saturating_sub(outer.body.len())..end;
        let leaf = leaf_hash(bytes);
        Ok(Self { bytes: bytes.to_vec(), body_at, body, op, node_sig: outer.node_sig, leaf })
    }

    /// Signs a body with the node's log key. In a genesis the signature covers 32 zero bytes as the ledger.
    ///
    /// # Errors
    /// When the result would not pass [`Entry::parse`] (too long, an unknown kind).
    pub fn sign(body: &Body, log_key: &SecretKey) -> Result<Self, EntryError> {
        let body_bytes = encode(body);
        let node_sig = log_key.sign(keys::ENTRY, &[context_ledger(body).as_bytes(), &body_bytes]);
        Self::parse(&encode(&Outer { body: &body_bytes, node_sig }))
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// What stands in it.
    pub fn body(&self) -> &Body {
        &self.body
    }
    /// The operation.
    pub fn op(&self) -> &Op {
        &self.op
    }
    /// What kind of operation it is.
    pub fn kind(&self) -> Kind {
        self.op.payload.kind()
    }
    /// SHA-256(0x00 ‖ bytes): its identity in the tree and in every reference.
    pub fn leaf(&self) -> Hash {
        self.leaf
    }
    /// The node's signature.
    pub fn node_sig(&self) -> &SigBytes {
        &self.node_sig
    }
    /// The message that [`Entry::node_sig`] signs.
    pub fn node_message(&self) -> Vec<u8> {
        let body = self.bytes.get(self.body_at.clone()).unwrap_or_default();
        keys::message(keys::ENTRY, &[context_ledger(&self.body).as_bytes(), body])
    }
    /// The message that one [`Auth`] of this entry signs.
    pub fn auth_message(&self, auth: &Auth) -> Vec<u8> {
        op_message(
            &context_ledger(&self.body),
            self.body.kind,
            auth.signer,
            auth.role,
            auth.how,
            &self.body.op.0,
        )
    }
    /// Whom the operation counts for in idempotency (specs/entry.md §3): all its signers, or zero for the node's own.
    /// Ascending, each once.
    pub fn authors(&self) -> Vec<Signer> {
        let mut signers: Vec<Signer> = self.body.auth.iter().map(|a| a.signer).collect();
        if signers.is_empty() {
            signers.push(Signer::ZERO);
        }
        signers.sort_unstable();
        signers.dedup();
        signers
    }
}

/// The ledger that signatures name: zero inside a genesis, whose id is not known before it is signed.
fn context_ledger(body: &Body) -> LedgerId {
    if body.kind == Kind::Genesis.code() { LedgerId::ZERO } else { body.ledger }
}

/// The message that an operation's author signs; role and how are signed, so a node cannot relabel them.
pub fn op_message(ledger: &LedgerId, kind: u16, signer: Signer, role: Role, how: How, op: &[u8]) -> Vec<u8> {
    let labels = [role as u8, how as u8];
    keys::message(keys::OP, &[ledger.as_bytes(), &kind.to_be_bytes(), signer.as_bytes(), &labels, op])
}

/// The id that a genesis body gives its ledger (specs/entry.md §4).
pub fn ledger_id(genesis: &Body) -> LedgerId {
    let zeroed = Body { ledger: LedgerId::ZERO, ..genesis.clone() };
    LedgerId(Hash::of("WEFT-LEDGER/1\n", &[&encode(&zeroed)]).0)
}

/// An operation with its authors' signatures, before it has a place: what a client posts to its node.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedOp {
    /// Area × 256 + n.
    #[n(0)]
    pub kind: u16,
    /// The operation's bytes.
    #[n(1)]
    pub op: Blob,
    /// Who authorises it.
    #[cbor(n(2), with = "list", has_nil)]
    pub auth: Vec<Auth>,
}

impl SignedOp {
    /// An operation nobody has signed yet.
    pub fn unsigned(op: &Op) -> Self {
        Self { kind: op.payload.kind().code(), op: Blob(op.to_bytes()), auth: Vec::new() }
    }

    /// Adds a signature.
    #[must_use]
    pub fn signed(mut self, ledger: &LedgerId, key: &SecretKey, role: Role, how: How) -> Self {
        let signer = key.public().signer();
        let message = op_message(ledger, self.kind, signer, role, how, &self.op.0);
        let sig = Blob(key.sign(keys::NOTE, &[&message]).0.to_vec());
        self.auth.push(Auth { signer, role, how, sig });
        self
    }

    /// Reads a posted operation.
    ///
    /// # Errors
    /// When it is longer than an entry may be or not canonical.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Op), EntryError> {
        let signed: Self = decode_canonical(bytes, MAX_ENTRY_BYTES).map_err(EntryError::Outer)?;
        let kind = Kind::from_code(signed.kind).ok_or(EntryError::UnknownKind(signed.kind))?;
        let op = Op::parse(kind, &signed.op.0).map_err(EntryError::Op)?;
        Ok((signed, op))
    }
}
