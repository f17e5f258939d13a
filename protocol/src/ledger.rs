//! The ledger: one total function from a state and an entry to the next state, or a refusal (specs/ledger.md).
//!
//! [`apply`] decides everything that our own entries alone can decide. After every entry the balances of each unit
//! sum to zero, places have no gaps, time and boot never go back, and no operation is done twice. Whether the
//! signatures verify is listed by [`signatures`], so that the node checks them one by one at ingress and the audit
//! in batches.

pub mod author;
pub mod authority;
pub mod capacity;
pub mod clearing;
pub mod dispute;
pub mod erasure;
pub mod evidence;
pub mod forward;
pub mod halt;
pub mod identity;
pub mod members;
pub mod movement;
pub mod netting;
pub mod own_accounts;
mod rejected;
pub mod reset;
pub mod rules;
pub mod settled;
pub mod settlement;
pub mod state;
pub mod succession;
pub mod transfer;
pub mod units;
pub mod witness;
pub mod writeoff;

pub use rejected::Rejected;
pub use state::State;

use crate::encoding::Blob;
use crate::entry::{Entry, Payload};
use crate::ids::{AccountId, Hash, KeyBytes, SigBytes, UnitId};
use crate::keys::{PublicKey, SignatureError};
use crate::netting::round::vote_message;
use authority::Authority;
use state::{Change, Head, StreamRow};

/// An operation may wait at most this long before it is refused for ever.
pub const MAX_OP_LIFE_MS: u64 = 35 * 86_400_000;

/// What an accepted entry changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Rows set, in order.
    pub changes: Vec<Change>,
    /// Where the ledger then ends.
    pub head: Head,
    /// What people should be told.
    pub notices: Vec<Notice>,
}

/// Something allowed that people should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A balance went beyond the warning level.
    NearLimit {
        /// Whose.
        account: AccountId,
        /// In which unit.
        unit: UnitId,
        /// The balance now.
        balance: i64,
    },
    /// The limit towards a peer is near.
    NearPeerLimit {
        /// Which peer.
        peer: crate::ids::LedgerId,
        /// The largest single payment that it still allows, in minor units of the position unit; `None`: any.
        largest: Option<u64>,
    },
    /// A coordinator lifted a stop for this payment.
    StopLifted {
        /// Whose.
        account: AccountId,
        /// In which unit.
        unit: UnitId,
        /// The balance now.
        balance: i64,
    },
}

/// A signature that must verify for an entry to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigCheck {
    /// With this key: registered in the ledger, so it was canonical and not weak then. Parsing a key costs as much as
    /// verifying in bulk does, so it stays bytes until somebody verifies.
    pub key: KeyBytes,
    /// Over these bytes.
    pub message: Vec<u8>,
    /// The signature.
    pub sig: SigBytes,
}

impl SigCheck {
    /// A check of a signature given as a blob.
    ///
    /// # Errors
    /// A signature that is not 64 bytes.
    pub fn new(key: &KeyBytes, message: Vec<u8>, sig: &Blob) -> Result<Self, Rejected> {
        let sig = SigBytes::from_slice(&sig.0).ok_or(Rejected::SignatureLength { got: sig.0.len() })?;
        Ok(Self { key: *key, message, sig })
    }

    /// Verifies strictly.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`]; a key that is not canonical or weak.
    pub fn verify(&self) -> Result<(), SignatureError> {
        PublicKey::new(&self.key)?.verify_message(&self.message, &self.sig)
    }
}

/// Every signature that an entry's acceptance rests on and that our own entries alone can judge: the node's, the
/// authors', the root set's under an accord, our own under Intents and Decisions.
///
/// # Errors
/// A signer or epoch that the state does not know.
pub fn signatures(state: &State, entry: &Entry) -> Result<Vec<SigCheck>, Rejected> {
    resolve(state, entry).map(|(_, checks)| checks)
}

/// Whose signatures an entry carries, and all [`signatures`]: in this order so that nothing is looked up twice.
///
/// # Errors
/// As [`signatures`].
pub(crate) fn resolve(state: &State, entry: &Entry) -> Result<(Authority, Vec<SigCheck>), Rejected> {
    let genesis;
    let identity = match &entry.op().payload {
        Payload::Genesis(payload) if state.identity.is_none() => {
            genesis = identity::Identity::from_genesis(entry, payload)?;
            &genesis
        }
        _ => state.identity()?,
    };
    let mut checks = vec![SigCheck {
        key: identity.node_key_bytes(entry)?,
        message: entry.node_message(),
        sig: *entry.node_sig(),
    }];
    let (authority, of_people) = Authority::resolve(state, entry)?;
    checks.extend(of_people);
    match &entry.op().payload {
        Payload::Step(step) => checks.extend(clearing::step_signatures(identity, step)?),
        Payload::Voted(voted) => {
            let message = vote_message(&voted.round, &voted.result, voted.accepts, &identity.ledger);
            checks.push(SigCheck { key: identity.log_key_bytes(voted.epoch)?, message, sig: voted.sig });
        }
        Payload::Recovered(recovered) => {
            checks.extend(succession::recovered_signatures(identity, recovered)?);
        }
        _ => {}
    }
    Ok((authority, checks))
}

/// Verifies all [`signatures`] of an entry, one by one and strictly.
///
/// # Errors
/// The first that does not verify.
pub fn verify_signatures(state: &State, entry: &Entry) -> Result<(), Rejected> {
    signatures(state, entry)?.iter().try_for_each(|check| check.verify().map_err(Rejected::Signature))
}

/// The rules: what this entry changes, or why it is refused. Signatures are checked apart.
///
/// # Errors
/// Names the rule that the entry breaks; the state is unchanged.
pub fn apply(state: &State, entry: &Entry) -> Result<Transition, Rejected> {
    check_place(state, entry)?;
    check_op(state, entry)?;
    decide(state, entry, &Authority::of(state, entry)?)
}

/// As [`apply`], for an entry that was [`resolve`]d on exactly this state.
///
/// # Errors
/// As [`apply`].
pub(crate) fn apply_resolved(
    state: &State,
    entry: &Entry,
    authority: &Authority,
) -> Result<Transition, Rejected> {
    check_place(state, entry)?;
    check_op(state, entry)?;
    decide(state, entry, authority)
}

fn decide(state: &State, entry: &Entry, authority: &Authority) -> Result<Transition, Rejected> {
    check_author(entry, authority)?;
    let body = entry.body();
    let mut notices = Vec::new();
    let mut changes = match &entry.op().payload {
        Payload::Genesis(genesis) => {
            authority.root_quorum(genesis.root.threshold)?;
            identity::apply_genesis(entry, genesis)?
        }
        Payload::KeyBound(bound) => {
            authority.roots(state)?;
            identity::apply_key(state, bound)?
        }
        Payload::KeyRevoked(revoked) => {
            authority.roots(state)?;
            identity::apply_revoked(state, revoked)?
        }
        Payload::RootChanged(changed) => identity::apply_root(state, authority, changed)?,
        Payload::Succession(one) => succession::apply_succession(state, authority, entry, one)?,
        Payload::Recovered(recovered) => succession::apply_recovered(state, recovered)?,
        Payload::AccountOpened(opened) => members::apply_opened(state, authority, opened)?,
        Payload::AccountChanged(changed) => members::apply_changed(state, authority, changed)?,
        Payload::AccountClosed(closed) => members::apply_closed(state, authority, closed)?,
        Payload::RoleGranted(granted) => members::apply_role(state, authority, granted)?,
        Payload::UnitDefined(defined) => units::apply_defined(state, authority, defined)?,
        Payload::RuleSet(set) => rules::apply_rule(state, authority, set, body.seq)?,
        Payload::Transfer(transfer) => {
            let moved = transfer::apply_transfer(state, authority, entry, transfer)?;
            notices = moved.notices;
            moved.changes
        }
        Payload::Reversal(reversal) => transfer::apply_reversal(state, authority, reversal)?,
        Payload::Hold(hold) => {
            let moved = transfer::apply_hold(state, authority, entry, hold)?;
            notices = moved.notices;
            moved.changes
        }
        Payload::End(end) => transfer::apply_end(state, end)?,
        Payload::Credit(credit) => transfer::apply_credit(state, credit)?,
        Payload::Book(book) => transfer::apply_book(state, entry, book)?,
        Payload::Release(release) => transfer::apply_release(state, release)?,
        Payload::Returned(returned) => transfer::apply_returned(state, returned)?,
        Payload::Settled(one) => settled::apply_settled(state, authority, entry, one)?,
        Payload::WriteOff(off) => writeoff::apply_write_off(state, authority, body.time_ms, off)?,
        Payload::DisputeClosed(closed) => dispute::apply_closed(state, closed)?,
        Payload::ResetBooked(booked) => reset::apply_booked(state, booked)?,
        Payload::ResetNotice(notice) => reset::apply_notice(state, authority, body.time_ms, notice)?,
        Payload::Erasure(erasure) => erasure::apply_erasure(state, authority, erasure, body.seq)?,
        Payload::Forward(forward) => forward::apply_forward(state, authority, forward)?,
        Payload::Capacity(capacity) => capacity::apply_capacity(state, capacity, body.time_ms)?,
        Payload::Announced(one) => netting::apply_announced(state, one, body.time_ms)?,
        Payload::Listed(listed) => netting::apply_listed(state, entry, listed)?,
        Payload::ResultPage(page) => netting::apply_page(page)?,
        Payload::Voted(voted) => netting::apply_voted(state, entry, voted)?,
        Payload::Committed(committed) => netting::apply_committed(committed)?,
        Payload::Netted(netted) => netting::apply_netted(state, netted)?,
        Payload::PeerView(view) => witness::apply_view(state, view, body.time_ms)?,
        Payload::EvidenceRecorded(recorded) => evidence::apply_recorded(state, recorded)?,
        Payload::FreezeLifted(lifted) => evidence::apply_lifted(state, authority, entry, lifted)?,
        Payload::Step(step) => clearing::apply_step(state, entry, step)?,
    };
    let done = |signer| Change::Op(signer, entry.op().op_id, entry.op().not_after_ms);
    changes.extend(entry.authors().into_iter().map(done));
    if let Some(header) = body.stream {
        let next = header.sseq.checked_add(1).ok_or(Rejected::Full)?;
        changes.push(Change::Stream(header.id, StreamRow { next, head: entry.leaf() }));
    }
    let next_seq = body.seq.checked_add(1).ok_or(Rejected::Full)?;
    let head = Head { next_seq, leaf: entry.leaf(), time_ms: body.time_ms, boot: body.boot };
    Ok(Transition { changes, head, notices })
}

/// Ledger, place, chain, time, boot, stream.
fn check_place(state: &State, entry: &Entry) -> Result<(), Rejected> {
    let (body, head) = (entry.body(), &state.head);
    if let Some(identity) = &state.identity {
        if body.ledger != identity.ledger {
            return Err(Rejected::LedgerMismatch { expected: identity.ledger, got: body.ledger });
        }
        if matches!(entry.op().payload, Payload::Genesis(_)) {
            return Err(Rejected::GenesisPlace);
        }
        if identity.signing_epoch(&entry.op().payload) != Some(body.epoch) {
            return Err(Rejected::UnknownEpoch { epoch: body.epoch });
        }
    } else if !matches!(entry.op().payload, Payload::Genesis(_)) {
        return Err(Rejected::NoGenesis);
    }
    if body.seq != head.next_seq {
        return Err(Rejected::Seq { expected: head.next_seq, got: body.seq });
    }
    if body.prev != head.leaf {
        return Err(Rejected::Prev { seq: body.seq });
    }
    if body.time_ms < head.time_ms {
        return Err(Rejected::TimeBack { last_ms: head.time_ms, got_ms: body.time_ms });
    }
    if body.boot < head.boot {
        return Err(Rejected::BootBack { last: head.boot, got: body.boot });
    }
    let channel = match &entry.op().payload {
        Payload::Step(step) => Some(step.channel),
        _ => None,
    };
    let belongs = State::stream_of(entry.kind(), channel);
    match (belongs, body.stream) {
        (None, None) => Ok(()),
        (Some(id), Some(header)) if header.id == id => {
            let row = state.stream(&id);
            if header.sseq == row.next && header.sprev == row.head {
                Ok(())
            } else {
                Err(Rejected::StreamPlace { stream: id, expected: row.next, got: header.sseq })
            }
        }
        _ => Err(Rejected::StreamHeader),
    }
}

/// Life of the operation and idempotency.
fn check_op(state: &State, entry: &Entry) -> Result<(), Rejected> {
    let (op, time_ms) = (entry.op(), entry.body().time_ms);
    if op.not_after_ms < time_ms {
        return Err(Rejected::OpExpired { not_after_ms: op.not_after_ms, now_ms: time_ms });
    }
    if op.not_after_ms > time_ms.saturating_add(MAX_OP_LIFE_MS) {
        return Err(Rejected::OpLife { not_after_ms: op.not_after_ms, now_ms: time_ms });
    }
    // Every signer counts: else two signatures in another order would make an operation new again.
    if entry.authors().into_iter().any(|signer| state.ops.contains_key(&(signer, op.op_id))) {
        return Err(Rejected::OpDone { op_id: op.op_id });
    }
    Ok(())
}

/// The node signs its own operations only with the entry; people's operations carry their signatures.
fn check_author(entry: &Entry, authority: &Authority) -> Result<(), Rejected> {
    let by_node = match &entry.op().payload {
        Payload::Settled(settled) => settled.act.is_of_node(),
        Payload::WriteOff(off) => off.act == writeoff::WriteOffAct::TakenBack,
        Payload::End(_)
        | Payload::Credit(_)
        | Payload::Book(_)
        | Payload::Release(_)
        | Payload::Returned(_)
        | Payload::DisputeClosed(_)
        | Payload::ResetBooked(_)
        | Payload::Recovered(_)
        | Payload::PeerView(_)
        | Payload::EvidenceRecorded(_)
        | Payload::Capacity(_)
        | Payload::Announced(_)
        | Payload::Listed(_)
        | Payload::ResultPage(_)
        | Payload::Voted(_)
        | Payload::Committed(_)
        | Payload::Netted(_)
        | Payload::Step(_) => true,
        Payload::Genesis(_)
        | Payload::KeyBound(_)
        | Payload::Succession(_)
        | Payload::KeyRevoked(_)
        | Payload::RootChanged(_)
        | Payload::AccountOpened(_)
        | Payload::AccountChanged(_)
        | Payload::AccountClosed(_)
        | Payload::RoleGranted(_)
        | Payload::UnitDefined(_)
        | Payload::RuleSet(_)
        | Payload::Transfer(_)
        | Payload::Reversal(_)
        | Payload::FreezeLifted(_)
        | Payload::Hold(_)
        | Payload::Erasure(_)
        | Payload::ResetNotice(_)
        | Payload::Forward(_) => false,
    };
    match (by_node, authority.is_node()) {
        (true, false) => Err(Rejected::NodeOnly),
        (false, true) => Err(Rejected::Unsigned),
        (true, true) | (false, false) => Ok(()),
    }
}

/// The id of an operation that the node does on its own (specs/entry.md §3): the same cause gives the same id.
pub fn node_op_id(kind: u16, t: u8, channel: &[u8], claim: &[u8], part: u8) -> crate::ids::OpId {
    let digest = Hash::of("WEFT-NODEOP/1\n", &[&kind.to_be_bytes(), &[t], channel, claim, &[part]]);
    crate::ids::OpId(digest.prefix())
}
