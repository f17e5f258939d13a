//! The ledger's side of mirroring: what is to be kept by whom, and how far it is (specs/mirror.md §4).
//!
//! What must hold: only what a published checkpoint covers leaves as a piece, and none while this node is in quarantine:
//! its books may not be the newest.

use super::core::Core;
use std::collections::BTreeMap;
use weft_protocol::entry::Entry;
use weft_protocol::ids::{KeyBytes, LedgerId};
use weft_protocol::ledger::identity::Purpose;
use weft_protocol::mirror::{PIECE_ENTRIES, PieceId, Run};

/// What the thread knows of mirroring.
#[derive(Debug, Default)]
pub(super) struct Mirroring {
    /// How far each keeper has our entries, as it said since the last connection.
    upto: BTreeMap<LedgerId, u64>,
    /// What went wrong with a keeper last, in words.
    pub(super) troubles: BTreeMap<LedgerId, String>,
}

/// What is to be mirrored now.
#[derive(Debug, Clone)]
pub struct MirrorJob {
    /// Our ledger.
    pub ledger: LedgerId,
    /// The first place whose entries are all here: those left out before a forward go to no new keeper.
    pub first: u64,
    /// Entries that the published checkpoint covers.
    pub covered: u64,
    /// The recovery key in force, with its epoch.
    pub key: (u32, KeyBytes),
    /// Who keeps our entries.
    pub keepers: Vec<LedgerId>,
}

/// A piece before it is sealed.
#[derive(Debug)]
pub struct OpenPiece {
    /// Which.
    pub id: PieceId,
    /// The bytes of its entries.
    pub entries: Vec<Vec<u8>>,
}

/// How we stand with our mirrors.
#[derive(Debug, Clone)]
pub struct MirrorView {
    /// Entries that can be mirrored.
    pub covered: u64,
    /// Whether a recovery key is bound.
    pub has_key: bool,
    /// Each keeper, how far it is, and what went wrong last.
    pub keepers: Vec<(LedgerId, Option<u64>, Option<String>)>,
}

impl Core {
    /// Peers whose accord says that each keeps the other's entries.
    pub fn mirrors(&self) -> Vec<LedgerId> {
        let channels = self.engine().state().channels.values();
        channels.filter(|row| row.accord.mirror).map(|row| row.peer).collect()
    }

    /// Whether the accord with a peer says that each keeps the other's entries.
    pub fn mirrors_with(&self, peer: &LedgerId) -> bool {
        self.engine().state().channel_with(peer).is_some_and(|(_, row)| row.accord.mirror)
    }

    /// What is to be mirrored, if anything can be.
    pub fn mirror_job(&self) -> Option<MirrorJob> {
        let state = self.engine().state();
        let (ledger, identity) = (state.ledger().ok()?, state.identity().ok()?);
        let (epoch, key) = identity.current(Purpose::Recovery)?;
        let keepers = self.mirrors();
        let open = !self.engine().is_quarantined() && !keepers.is_empty();
        let first = self.floor().div_ceil(u64::from(PIECE_ENTRIES));
        open.then(|| MirrorJob {
            ledger,
            first,
            covered: self.checkpoint_size(),
            key: (epoch, *key),
            keepers,
        })
    }

    /// The entries of a piece, as far as the published checkpoint covers them; `None` when it covers none.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn open_piece(&self, number: u64, key: u32) -> Result<Option<OpenPiece>, String> {
        let first = number.saturating_mul(u64::from(PIECE_ENTRIES));
        let end = first.saturating_add(u64::from(PIECE_ENTRIES)).min(self.checkpoint_size());
        let mut entries = Vec::new();
        for seq in first..end {
            entries.push(self.own_bytes(seq)?);
        }
        let Some(last) = entries.last() else { return Ok(None) };
        let boot = Entry::parse(last).map_err(|e| e.to_string())?.body().boot;
        let count = u8::try_from(entries.len()).map_err(|e| e.to_string())?;
        Ok(Some(OpenPiece { id: PieceId { number, boot, key, count }, entries }))
    }

    /// Which runs of a keeper's list hold our entries as they are, under the recovery key of this epoch.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn runs_as_ours(&self, runs: &[Run], key: u32) -> Result<Vec<Run>, String> {
        let mut ours = Vec::new();
        for run in runs.iter().filter(|run| run.key == key) {
            // Starts only rise along the ledger: when both ends fit, so does what stands between.
            let ends =
                [run.at(run.number), run.number.checked_add(run.pieces - 1).and_then(|last| run.at(last))];
            let mut fits = true;
            for id in ends {
                let end = id.and_then(|id| id.end().ok()).filter(|end| *end <= self.checkpoint_size());
                fits &= match end {
                    // What was left out here is as ours as what is kept of it: nothing can be compared any more.
                    Some(end) if self.is_left_out(end.saturating_sub(1)).map_err(|e| e.to_string())? => true,
                    Some(end) => self.own_entry(end.saturating_sub(1))?.body().boot == run.boot,
                    None => false,
                };
            }
            ours.extend(fits.then_some(*run));
        }
        Ok(ours)
    }

    fn own_bytes(&self, seq: u64) -> Result<Vec<u8>, String> {
        let at = self.index().own(seq).map_err(|e| e.to_string())?;
        let at = at.ok_or_else(|| format!("entry {seq} is not in the index"))?;
        Ok(self.reader().read(at).map_err(|e| e.to_string())?.bytes)
    }

    /// Remembers how far a keeper has our entries, or what went wrong with it.
    pub fn note_mirrored(&mut self, keeper: LedgerId, upto: Option<u64>, trouble: Option<String>) {
        if let Some(upto) = upto {
            self.mirroring.upto.insert(keeper, upto);
        }
        match trouble {
            Some(why) => drop(self.mirroring.troubles.insert(keeper, why)),
            None => drop(self.mirroring.troubles.remove(&keeper)),
        }
    }

    /// How we stand with our mirrors.
    pub fn mirror_view(&self) -> MirrorView {
        let state = self.engine().state();
        let identity = state.identity.as_ref();
        let keeper = |peer: LedgerId| {
            let known =
                (self.mirroring.upto.get(&peer).copied(), self.mirroring.troubles.get(&peer).cloned());
            (peer, known.0, known.1)
        };
        MirrorView {
            covered: self.checkpoint_size(),
            has_key: identity.is_some_and(|identity| identity.current(Purpose::Recovery).is_some()),
            keepers: self.mirrors().into_iter().map(keeper).collect(),
        }
    }
}
