//! The ledger's side of evidence: what peers show us, what we show them, and what operators are told
//! (specs/evidence.md §6).

use super::bells::Concern;
use super::core::Core;
use crate::store::segments::NoteKind;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::clearing::convict::Taken;
use weft_protocol::encoding::Blob;
use weft_protocol::evidence::{Evidence, EvidenceType, NotEvidence, TextError};
use weft_protocol::ids::{Hash, LedgerId};
use weft_protocol::ledger::evidence::MAX_RECORDED;
use weft_protocol::ledger::witness::is_origin_of;
use weft_protocol::log::note::Note;
use weft_protocol::log::witness::{decide::origin_of, witness_name};
use weft_protocol::wire::{EvidenceShown, EvidenceTaken};

/// Which peer was shown which evidence since this start.
#[derive(Debug, Default)]
pub(super) struct Shown {
    read: BTreeMap<LedgerId, BTreeSet<Hash>>,
    /// Left aside by the peer, which may come to know the accused: shown again on the next connection.
    left: BTreeMap<LedgerId, BTreeSet<Hash>>,
}

/// Why evidence that people handed in was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceRefused {
    /// It is no file of evidence.
    #[error("{0}")]
    Form(TextError),
    /// It proves nothing.
    #[error("{0}: nobody is convicted by it")]
    Unproven(NotEvidence),
    /// It is against this very network.
    #[error(
        "it proves that this network {what}: somebody else has our keys, or our data was set back; revoke the keys that \
         signed it (weft key revoke), and tell the peers"
    )]
    AgainstUs {
        /// What was signed twice, in words.
        what: &'static str,
    },
    /// Nobody has shown us who the accused is.
    #[error("it is proven, and nobody has shown this node the network {accused}: there is nothing to stop")]
    UnknownNetwork {
        /// Who.
        accused: LedgerId,
    },
    /// As much is recorded as ever will be.
    #[error(
        "it is proven, and {MAX_RECORDED} are recorded of the network {accused}: no more are kept of one"
    )]
    Enough {
        /// Of whom.
        accused: LedgerId,
    },
}

/// Evidence that people handed in, and that is recorded.
#[derive(Debug, Clone)]
pub struct HandedIn {
    /// As it is recorded.
    pub evidence: weft_api::Evidence,
    /// Whether it was not recorded before.
    pub is_new: bool,
}

impl Core {
    /// People hand in a file that somebody gave them.
    ///
    /// # Errors
    /// Why it is not recorded; nothing changed.
    pub fn hand_in_evidence(&mut self, file: &[u8]) -> Result<HandedIn, EvidenceRefused> {
        let evidence = Evidence::from_text(file).map_err(EvidenceRefused::Form)?;
        let (id, accused, kind) = (evidence.id(), evidence.accused(), evidence.kind());
        let is_new = match self.with_engine(|engine, cx| engine.take_evidence(&evidence, cx)) {
            Taken::New => true,
            Taken::Known => false,
            Taken::Left if self.engine().peers().identity(&accused).is_none() => {
                return Err(EvidenceRefused::UnknownNetwork { accused });
            }
            Taken::Left => return Err(EvidenceRefused::Enough { accused }),
            Taken::AgainstUs => return Err(EvidenceRefused::AgainstUs { what: kind.text() }),
            Taken::Unproven(why) => return Err(EvidenceRefused::Unproven(why)),
        };
        let recorded = self.recorded_evidence().into_iter().find(|one| one.id == id.to_string());
        let recorded = recorded.unwrap_or_else(|| weft_api::Evidence {
            id: id.to_string(),
            accused: accused.to_string(),
            kind: kind.code(),
            frozen: self.engine().is_frozen(&accused),
            words: vec![format!("The network with ledger {accused} {}.", kind.text())],
            file: evidence.to_text(),
        });
        Ok(HandedIn { evidence: recorded, is_new })
    }

    /// A checkpoint has come to us, with whatever lines stand under it: what its log and what witnesses that we know
    /// have signed is remembered, and evidence when it contradicts what came before.
    pub fn see_note(&mut self, note: &Note) {
        let origin = origin_of(note);
        let names = |ledger: &LedgerId| {
            let name = witness_name(&ledger.origin()).ok();
            note.signatures().iter().any(|line| Some(&line.name) == name.as_ref())
        };
        let mut halves = Vec::new();
        for ledger in self.engine().peers().known() {
            if is_origin_of(origin, ledger) {
                halves.push((EvidenceType::Notes, *ledger));
            }
            if names(ledger) {
                halves.push((EvidenceType::Cosignatures, *ledger));
            }
        }
        let bytes = note.to_string().into_bytes();
        for (kind, by) in halves {
            match self.see(kind, by, &bytes) {
                Ok(_) => {}
                Err(why) => {
                    tracing::debug!(by = %by.short(), %why, "a line under a checkpoint was left aside")
                }
            }
        }
    }

    /// After a start: what we have cosigned of others' logs is what we have seen of them.
    pub(super) fn see_cosigned(&mut self) {
        for name in self.note_names(NoteKind::PEER_CHECKPOINT) {
            let kept = self.note(NoteKind::PEER_CHECKPOINT, &name).ok().flatten();
            if let Some(note) = kept.and_then(|bytes| Note::parse(&bytes).ok()) {
                self.see_note(&note);
            }
        }
    }

    /// A peer shows us evidence.
    ///
    /// # Errors
    /// When it cannot be read: the request is refused.
    pub fn evidence_in(&mut self, from: &LedgerId, bytes: &[u8]) -> Result<EvidenceTaken, NotEvidence> {
        let evidence = Evidence::parse(bytes)?;
        let (id, accused, kind) = (evidence.id(), evidence.accused(), evidence.kind());
        let taken = self.with_engine(|engine, cx| engine.take_evidence(&evidence, cx));
        self.note_shown(*from, id, EvidenceTaken::RECORDED);
        let (from, accused) = (from.short(), accused.short());
        let taken = match taken {
            Taken::New | Taken::Known => EvidenceTaken::RECORDED,
            Taken::Left => EvidenceTaken::LEFT,
            Taken::AgainstUs => {
                tracing::error!(%from, %id, "evidence against this network: it {}", kind.text());
                let why = format!(
                    "it shows evidence that this network {} ({id}): somebody else has our keys, or our data was set back",
                    kind.text()
                );
                self.problems.insert(self.engine().state().ledger().unwrap_or(LedgerId::ZERO), why);
                EvidenceTaken::LEFT
            }
            Taken::Unproven(why) => {
                tracing::warn!(%accused, %from, %why, "evidence that proves nothing was shown to us");
                EvidenceTaken::UNPROVEN
            }
        };
        Ok(EvidenceTaken { message: EvidenceTaken::NUMBER, id, taken })
    }

    /// The next evidence that a peer has not been shown since this start: never what is about itself.
    pub fn evidence_out(&self, to: &LedgerId) -> Option<(Hash, EvidenceShown)> {
        let was = |sets: &BTreeMap<LedgerId, BTreeSet<Hash>>, id: &Hash| {
            sets.get(to).is_some_and(|ids| ids.contains(id))
        };
        let shown = |id: &Hash| was(&self.shown.read, id) || was(&self.shown.left, id);
        let next = self.engine().peers().evidence().iter().find(|(id, bytes)| {
            let about = Evidence::parse(bytes).map(|evidence| evidence.accused());
            !shown(id) && about.is_ok_and(|accused| accused != *to)
        });
        let (id, bytes) = next?;
        let message = EvidenceShown { message: EvidenceShown::NUMBER, evidence: Blob(bytes.clone()) };
        Some((*id, message))
    }

    /// A peer has answered to evidence, or showed it to us.
    pub fn note_shown(&mut self, peer: LedgerId, id: Hash, taken: u8) {
        let left = taken == EvidenceTaken::LEFT;
        let sets = if left { &mut self.shown.left } else { &mut self.shown.read };
        sets.entry(peer).or_default().insert(id);
    }

    /// On a new connection a peer is shown again what it left aside.
    pub fn forget_left(&mut self, peer: &LedgerId) {
        self.shown.left.remove(peer);
    }

    /// A peer that asks after its start may have lost what it was shown: it is shown all again.
    pub(super) fn forget_shown(&mut self, peer: &LedgerId) {
        self.shown.read.remove(peer);
        self.shown.left.remove(peer);
        self.moved.insert(Concern::Evidence);
    }

    /// A note that another network has signed has come to us; evidence when it contradicts one that came before.
    ///
    /// # Errors
    /// When it cannot be read, or is not signed by `by`.
    pub fn see(&mut self, kind: EvidenceType, by: LedgerId, half: &[u8]) -> Result<bool, NotEvidence> {
        self.with_engine(|engine, cx| engine.see(kind, by, half, cx))
    }

    /// Two notes that one network has signed and that cannot both be true.
    pub fn accuse(&mut self, kind: EvidenceType, accused: LedgerId, halves: [&[u8]; 2]) -> bool {
        self.with_engine(|engine, cx| engine.accuse(kind, accused, halves, cx))
    }

    /// All evidence recorded, in order, as people and programs read it.
    pub fn recorded_evidence(&self) -> Vec<weft_api::Evidence> {
        let read = |bytes: &Vec<u8>| Evidence::parse(bytes).and_then(|evidence| evidence.verify_alone()).ok();
        let proven = self.engine().peers().evidence().iter().filter_map(|(_, bytes)| read(bytes));
        let show = |proven: weft_protocol::evidence::Proven| weft_api::Evidence {
            id: proven.id().to_string(),
            accused: proven.accused().to_string(),
            kind: proven.kind().code(),
            frozen: self.engine().state().is_frozen(&proven.accused()),
            words: proven.words(),
            file: proven.evidence().to_text(),
        };
        proven.map(show).collect()
    }

    /// What is recorded of a network, in words; nothing when nothing is.
    pub fn accusations(&self, ledger: &LedgerId) -> Vec<String> {
        let Some(row) = self.engine().state().accused.get(ledger) else { return Vec::new() };
        let stopped = if row.frozen {
            "no new payments go to it or come from it"
        } else {
            "payments go on, because the root set has lifted the stop"
        };
        let said =
            |(id, kind): &(Hash, EvidenceType)| format!("it {}; {stopped} (evidence {id})", kind.text());
        row.evidence.iter().map(said).collect()
    }
}
