//! The audit: a ledger replayed from its bytes alone, and two ledgers held against each other (specs/audit.md).
//!
//! Pure; reads through [`Source`]. It never stops at the first problem and changes nothing. Every entry goes through
//! the same `apply` as in the node; signatures are verified in batches; memory is that of the state, of the facts of
//! the claims, and of a bounded number of signatures.

mod base;
mod channel;
mod compare;
mod evidence;
pub mod finding;
mod netted;
mod networks;
mod openings;
mod peers;
mod replay;
mod resets;
mod resume;
mod revoked;
pub mod rounds;
pub mod settlements;
mod signatures;
mod source;
mod statements;
mod tree;
mod witnesses;

pub use evidence::{EVIDENCE_FOLDER, evidence_file};
pub use finding::{
    Class, EntryRef, Finding, Findings, LeftOut, Outcome, PeerReport, Position, Report, SignatureCounts,
    Since, UnitSum,
};
pub use openings::Opened;
pub use resume::{MAX_RESULT_BYTES, NoResult, Resumed, Saved, SavedError};
pub use signatures::BATCH as SIGNATURES_PER_BATCH;
pub use source::{Item, NamedBytes, Source};
pub use witnesses::Witnessed;

use crate::ids::{Hash, KeyBytes, LedgerId, UnitId};
use crate::ledger::state::State;
use crate::log::checkpoint::{Checkpoint, CheckpointError};
use crate::log::note::{Note, NoteError};
use crate::log::proof::{BuildError, ProofError, build_inclusion, verify_inclusion};
use crate::log::receipt::Receipt;
use crate::log::tile::{TileBuilder, TilePath, TileReader};
use crate::log::witness::Policy;
use channel::Side;
use networks::Networks;
use std::collections::BTreeMap;

/// What an audit is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Threads that verify signatures; 0 counts as 1.
    pub threads: usize,
    /// The ledger that it must be; `None` takes whatever the genesis says.
    pub ledger: Option<LedgerId>,
    /// An earlier checkpoint of the same ledger, kept by somebody else.
    pub earlier: Option<NamedBytes>,
    /// Which witnesses are enough; `None` judges nobody and tells who there is.
    pub policy: Option<Policy>,
}

/// An audited ledger: its report, and what is needed to compare it with another.
#[derive(Debug)]
pub struct Audit {
    /// What was found.
    pub report: Report,
    sides: BTreeMap<crate::ids::StreamId, Side>,
    state: State,
    rest: Rest,
}

/// What only the next audit needs.
#[derive(Debug)]
struct Rest {
    tree: TileBuilder,
    log_keys: Vec<(u64, KeyBytes)>,
    networks: Networks,
    predecessor: Option<crate::ledger::identity::Predecessor>,
    positions: Option<BTreeMap<String, u64>>,
}

impl Audit {
    /// The state after the last entry.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The result of this audit, from which the next one can go on (specs/audit.md §7).
    ///
    /// # Errors
    /// When something is wrong, was not checked, or was no bundle.
    pub fn result(&self) -> Result<Vec<u8>, NoResult> {
        let Report { ledger, findings, time_ms, kinds, signatures, .. } = &self.report;
        let (Outcome::Right, Some(ledger), Some(time_ms)) = (findings.outcome(), *ledger, *time_ms) else {
            return Err(NoResult::NotRight);
        };
        let positions = self.rest.positions.as_ref().ok_or(NoResult::NotExact)?;
        if self.rest.networks.left_out > 0 {
            return Err(NoResult::LeftOut(self.rest.networks.left_out));
        }
        let parts = resume::Parts {
            ledger,
            tree: &self.rest.tree,
            state: &self.state,
            log_keys: self.rest.log_keys.clone(),
            kinds: kinds.iter().map(|(kind, count)| (kind.code(), *count)).collect(),
            counts: *signatures,
            time_ms,
            sides: &self.sides,
            networks: &self.rest.networks,
            positions,
            left_out: self.report.left_out,
            predecessor: self.rest.predecessor,
        };
        Ok(parts.to_bytes())
    }
}

/// Replays a ledger and reports. `progress` is told the number of entries read, now and then.
pub fn replay(source: &mut dyn Source, options: &Options, progress: &mut dyn FnMut(u64)) -> Audit {
    replay::run(source, options, None, progress)
}

/// As [`replay`], from where an earlier audit ended (specs/audit.md §7).
pub fn replay_since(
    source: &mut dyn Source,
    options: &Options,
    resumed: Resumed,
    progress: &mut dyn FnMut(u64),
) -> Audit {
    replay::run(source, options, Some(resumed), progress)
}

/// The two peer accounts of one unit pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairPosition {
    /// Index of the pair in the accord.
    pub pair: u8,
    /// The first ledger's unit.
    pub unit_a: UnitId,
    /// The second ledger's unit.
    pub unit_b: UnitId,
    /// What the first ledger owes the second, in its own books.
    pub a: i64,
    /// What the second owes the first, in its own books.
    pub b: i64,
    /// What is in flight: a + b.
    pub in_flight: i128,
}

/// Two audited ledgers held against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The first ledger.
    pub a: Option<LedgerId>,
    /// The second.
    pub b: Option<LedgerId>,
    /// Claims that both know.
    pub claims: u64,
    /// How the peer accounts stand.
    pub positions: Vec<PairPosition>,
    /// What was found.
    pub findings: Findings,
}

/// Compares what two audited ledgers say of each other: acknowledgements, hops, amounts, positions.
pub fn compare(a: &Audit, b: &Audit) -> Comparison {
    let (ledger_a, ledger_b) = (a.report.ledger, b.report.ledger);
    let mut comparison = Comparison {
        a: ledger_a,
        b: ledger_b,
        claims: 0,
        positions: Vec::new(),
        findings: Findings::default(),
    };
    let findings = &mut comparison.findings;
    let (Some(ledger_a), Some(ledger_b)) = (ledger_a, ledger_b) else {
        findings.add(Finding::unreadable("one of the ledgers has no readable genesis"));
        return comparison;
    };
    let common = a.sides.iter().filter(|(_, side)| side.peer == ledger_b);
    let common =
        common.filter_map(|(id, side)| Some((side, b.sides.get(id).filter(|s| s.peer == ledger_a)?)));
    let common: Vec<_> = common.collect();
    // Of a channel that was begun anew the old streams are not held against each other (specs/clearing.md 17.13).
    let in_force = |(one, _): &&(&Side, &Side)| {
        [a, b].iter().all(|audit| audit.state.channels.contains_key(&one.channel))
    };
    let Some((one, other)) = common.iter().find(in_force).copied() else {
        findings.add(match common.is_empty() {
            true => Finding::unreadable("the two ledgers have no channel with each other"),
            false => Finding::new(
                Class::InFlight,
                "one of the ledgers has begun the channel anew, the other not yet: they are not compared",
            ),
        });
        return comparison;
    };
    let now_ms = a.state.head.time_ms.max(b.state.head.time_ms);
    // Neither is "the" audited ledger: entries are named with their network.
    let cross = compare::Cross { audited: LedgerId::ZERO, now_ms, may_lag: true, one, other };
    cross.check(findings);
    resets::check(one, other, &LedgerId::ZERO, findings);
    comparison.claims = peers::distinct(one.legs().filter(|leg| other.claims.contains_key(leg)));
    comparison.positions = positions(a, b, one, other, findings);
    comparison
}

fn positions(a: &Audit, b: &Audit, one: &Side, other: &Side, findings: &mut Findings) -> Vec<PairPosition> {
    let Some(accord) = &one.accord else { return Vec::new() };
    let moving = compare::in_flight(one, other);
    let balance = |audit: &Audit, side: &Side, unit| {
        audit.state.channels.get(&side.channel).map_or(0, |row| audit.state.balance(&row.account, unit))
    };
    let a_is_a = accord.a == one.ledger;
    let mut positions = Vec::new();
    for (pair, terms) in (0_u8..).zip(&accord.pairs) {
        let (unit_a, unit_b) = (terms.booked_unit(a_is_a), terms.booked_unit(!a_is_a));
        let (at_a, at_b) = (balance(a, one, unit_a), balance(b, other, unit_b));
        let difference = i128::from(at_a).saturating_add(i128::from(at_b));
        let expected = moving.get(&pair).copied().unwrap_or(0);
        if !terms.clears() {
            findings.add(Finding::new(Class::NotChecked, format!("no claims go through unit pair {pair}")));
        } else if difference != expected {
            let what = format!(
                "the positions {at_a} and {at_b} are not opposite: they differ by {difference}, in flight is {expected}"
            );
            findings.add(Finding::new(Class::Mismatch, what));
        }
        positions.push(PairPosition { pair, unit_a, unit_b, a: at_a, b: at_b, in_flight: expected });
    }
    positions
}

/// Why no receipt could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The checkpoint is no note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The note is no checkpoint.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not covered, or tiles are missing.
    #[error("no proof for entry {seq}: {why}")]
    Build {
        /// Which entry.
        seq: u64,
        /// Why not.
        why: BuildError,
    },
    /// The tiles do not lead to the root.
    #[error("the tiles do not prove entry {seq}: {why}")]
    Tiles {
        /// Which entry.
        seq: u64,
        /// Why not.
        why: ProofError,
    },
}

/// Makes the receipt of an entry, the text of a `tlog-proof` file: from a checkpoint note, hash tiles and the
/// entry's leaf hash. The note's signature is the receiver's to check.
///
/// # Errors
/// When the entry is not covered by the checkpoint, or the tiles do not prove it.
pub fn prove(
    note: &[u8],
    seq: u64,
    leaf: &Hash,
    load: impl FnMut(&TilePath) -> Option<Vec<u8>>,
) -> Result<Receipt, ProveError> {
    let note = Note::parse(note)?;
    let checkpoint: Checkpoint = note.text().parse()?;
    let mut reader = TileReader::new(checkpoint.size(), load);
    let proof =
        build_inclusion(&mut reader, seq, checkpoint.size()).map_err(|why| ProveError::Build { seq, why })?;
    verify_inclusion(leaf, seq, checkpoint.size(), &proof, &checkpoint.root())
        .map_err(|why| ProveError::Tiles { seq, why })?;
    Ok(Receipt { extra: Vec::new(), index: seq, proof, note })
}

#[cfg(test)]
mod tests;
