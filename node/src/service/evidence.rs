//! The ledger's side of evidence: what peers show us, what we show them, and what operators are told
//! (specs/evidence.md §6).

use super::core::Core;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::clearing::convict::Taken;
use weft_protocol::encoding::Blob;
use weft_protocol::evidence::{Evidence, EvidenceType, NotEvidence};
use weft_protocol::ids::{Hash, LedgerId};
use weft_protocol::wire::{EvidenceShown, EvidenceTaken};

/// Which peer was shown which evidence since this start.
#[derive(Debug, Default)]
pub(super) struct Shown {
    read: BTreeMap<LedgerId, BTreeSet<Hash>>,
    /// Left aside by the peer, which may come to know the accused: shown again on the next connection.
    left: BTreeMap<LedgerId, BTreeSet<Hash>>,
}

impl Core {
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
