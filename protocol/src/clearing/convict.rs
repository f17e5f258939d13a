//! Evidence at ingress: what convicts a network is recorded in the same batch as what showed it, so before anything
//! that the network says next is acknowledged (specs/evidence.md §6).
//!
//! Only proven evidence is recorded, against networks that we know and never against ourselves; of each at most a few.

use super::engine::{Cx, Engine, Record};
use super::peers::Peers;
use crate::entry::{Entry, Payload};
use crate::evidence::{Evidence, EvidenceType, Keys, NotEvidence, Proven};
use crate::ids::{Hash, LedgerId};
use crate::ledger::Rejected;
use crate::ledger::evidence::{EvidenceRecorded, MAX_RECORDED};

/// What became of evidence that was shown to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Recorded now.
    New,
    /// Recorded before.
    Known,
    /// Not recorded: the network is unknown here, or enough is recorded of it.
    Left,
    /// It is proven, and against ourselves: somebody else has our keys, or our data was set back.
    AgainstUs,
    /// It proves nothing.
    Unproven(NotEvidence),
}

impl Engine {
    /// Whether no new payment goes to, comes from or passes through a network: it was shown to have lied, or has broken
    /// a rule.
    pub fn is_frozen(&self, ledger: &LedgerId) -> bool {
        self.state.is_frozen(ledger) || self.peers.is_frozen(ledger) || self.is_banned(ledger)
    }

    /// Whether our operator has shut a network out.
    pub fn is_banned(&self, ledger: &LedgerId) -> bool {
        self.banned.contains(ledger)
    }

    /// Whom our operator shuts out from now on: no new payment goes to, comes from or passes through them. Open ones go on.
    pub fn set_banned(&mut self, banned: std::collections::BTreeSet<LedgerId>) {
        self.banned = banned;
    }

    /// Evidence that somebody has shown us, read already.
    pub fn take_evidence(&mut self, evidence: &Evidence, cx: &mut Cx<'_>) -> Taken {
        let accused = evidence.accused();
        match self.keys_of(&accused, Some(evidence)).and_then(|keys| evidence.verify(&keys)) {
            Ok(proven) => self.convict(&proven, cx),
            Err(why) => Taken::Unproven(why),
        }
    }

    /// A signed note, proof or cosignature has come to us, said to be by `by`: remembered, and evidence when it
    /// contradicts one before. True when a network was convicted by it.
    ///
    /// # Errors
    /// When it cannot be read, or is not signed by `by`.
    pub fn see(
        &mut self,
        kind: EvidenceType,
        by: LedgerId,
        half: &[u8],
        cx: &mut Cx<'_>,
    ) -> Result<bool, NotEvidence> {
        let keys = self.keys_of(&by, None)?;
        let identity = self.peers.identity_entries(&by).to_vec();
        let seen = self.peers.watch().see(kind, by, half, &identity, &keys)?;
        Ok(seen.is_some_and(|proven| self.convict(&proven, cx) == Taken::New))
    }

    /// Two statements of one network: recorded when they exclude each other. False when they do not, or are recorded.
    pub fn accuse(
        &mut self,
        kind: EvidenceType,
        accused: LedgerId,
        halves: [&[u8]; 2],
        cx: &mut Cx<'_>,
    ) -> bool {
        let Ok(keys) = self.keys_of(&accused, None) else { return false };
        let joined = Evidence::join(kind, accused, self.peers.identity_entries(&accused), halves, &keys);
        joined.is_ok_and(|proven| self.convict(&proven, cx) == Taken::New)
    }

    /// An entry has come for a place that we have already.
    pub(super) fn compare_known(&mut self, entry: &Entry, cx: &mut Cx<'_>) {
        let Some(header) = entry.body().stream else { return };
        let place = super::peers::Place { ledger: entry.body().ledger, stream: header.id, sseq: header.sseq };
        self.compare(entry, place, cx);
    }

    /// An entry that follows in its stream has come: another may stand at its place of the ledger.
    pub(super) fn compare_seq(&mut self, entry: &Entry, cx: &mut Cx<'_>) {
        if let Some(place) = self.peers.same_seq(entry) {
            self.compare(entry, place, cx);
        }
    }

    fn compare(&mut self, entry: &Entry, place: super::peers::Place, cx: &mut Cx<'_>) {
        let accused = entry.body().ledger;
        let Some(held) = self.held(&place, cx).filter(|held| held != entry.bytes()) else { return };
        self.accuse(EvidenceType::Entries, accused, [&held, entry.bytes()], cx);
    }

    /// The bytes of an entry received earlier: of this batch, or from the disk.
    fn held(&self, place: &super::peers::Place, cx: &Cx<'_>) -> Option<Vec<u8>> {
        let waiting = self.batch.records.iter().find_map(|record| record.received_at(place));
        waiting.or_else(|| (cx.held)(place))
    }

    /// Records what contradictions the last entry has shown: Decisions, identity entries.
    pub(super) fn convict_contradictions(&mut self, cx: &mut Cx<'_>) {
        for (kind, accused, [first, second]) in self.peers.take_contradictions() {
            self.accuse(kind, accused, [&first, &second], cx);
        }
    }

    /// After a start: evidence whose entry a crash left out, and contradictions whose evidence it left out.
    pub(super) fn recover_evidence(&mut self, cx: &mut Cx<'_>) {
        for (_, bytes) in self.peers.evidence().to_vec() {
            if let Ok(evidence) = Evidence::parse(&bytes) {
                let recorded = self.record(evidence.id(), evidence.accused(), evidence.kind(), cx);
                // Refused when the entry is there already, which is what it should be.
                drop(recorded);
            }
        }
        self.convict_contradictions(cx);
    }

    /// The keys of a network: ours of it, or those in the evidence when they say more.
    fn keys_of(&self, ledger: &LedgerId, shown: Option<&Evidence>) -> Result<Keys, NotEvidence> {
        let known = self.peers.identity_entries(ledger).iter().filter_map(|bytes| Entry::parse(bytes).ok());
        let known = Keys::from_entries(&known.collect::<Vec<_>>());
        match (known, shown.map(Evidence::keys)) {
            (Ok(known), Some(Ok(shown))) if shown.events() > known.events() => Ok(shown),
            (Ok(known), _) => Ok(known),
            (Err(_), Some(shown)) => shown,
            (Err(why), None) => Err(why),
        }
    }

    fn convict(&mut self, proven: &Proven, cx: &mut Cx<'_>) -> Taken {
        let (id, accused) = (proven.id(), proven.accused());
        if self.state.ledger() == Ok(accused) {
            return Taken::AgainstUs;
        }
        let is_known = self.state.channel_with(&accused).is_some() || self.peers.identity(&accused).is_some();
        let recorded = self.state.accused.get(&accused).map_or(&[][..], |row| &row.evidence);
        // In quarantine it is kept, and its entry is written at the end of it.
        let waiting = self.peers.evidence().iter().any(|(known, _)| *known == id);
        if waiting || recorded.iter().any(|(known, _)| *known == id) {
            return Taken::Known;
        }
        if !is_known || recorded.len().max(self.peers.evidence_against(&accused)) >= MAX_RECORDED {
            return Taken::Left;
        }
        // The bytes first: a crash between the two leaves evidence whose entry recovery writes.
        let bytes = proven.evidence().to_bytes();
        self.peers.keep_evidence(id, bytes.clone());
        self.batch.records.push(Record::Evidence(bytes));
        match self.record(id, accused, proven.kind(), cx) {
            Ok(()) | Err(Rejected::Quarantined) => Taken::New,
            Err(_) => Taken::Left,
        }
    }

    fn record(
        &mut self,
        evidence: Hash,
        accused: LedgerId,
        kind: EvidenceType,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let payload = Payload::EvidenceRecorded(EvidenceRecorded { evidence, accused, kind });
        self.own(payload, &[], evidence.as_bytes(), 0, cx)
    }
}

/// Two halves that exclude each other, as the peers' view found them.
pub(super) type Contradiction = (EvidenceType, LedgerId, [Vec<u8>; 2]);

impl Peers {
    pub(super) fn take_contradictions(&mut self) -> Vec<Contradiction> {
        std::mem::take(&mut self.contradictions)
    }

    /// Evidence that is recorded: its id and bytes, in the order recorded.
    pub fn evidence(&self) -> &[(Hash, Vec<u8>)] {
        &self.evidence
    }

    pub(super) fn keep_evidence(&mut self, id: Hash, bytes: Vec<u8>) {
        if self.evidence.iter().all(|(known, _)| *known != id) {
            self.evidence.push((id, bytes));
        }
    }

    /// How much evidence against a network is kept.
    fn evidence_against(&self, accused: &LedgerId) -> usize {
        let about = |bytes: &[u8]| Evidence::parse(bytes).is_ok_and(|kept| kept.accused() == *accused);
        self.evidence.iter().filter(|(_, bytes)| about(bytes)).count()
    }

    /// The newest head of a network's log that we have seen, as a note.
    pub(super) fn newest_note(&self, ledger: &LedgerId) -> Option<Vec<u8>> {
        self.watch.newest_head(ledger).map(<[u8]>::to_vec)
    }

    pub(super) fn watch(&mut self) -> &mut crate::evidence::watch::Watch {
        &mut self.watch
    }

    pub(super) fn same_seq(&self, entry: &Entry) -> Option<super::peers::Place> {
        self.places.same_seq(entry)
    }
}

#[cfg(test)]
mod tests;
