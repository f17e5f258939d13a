//! Evidence that the ledger has recorded: its bytes are proven anew, with nothing but what they hold (specs/audit.md §10).
//!
//! An entry alone shows only that this node says that another has lied. What must hold: a network is told as convicted
//! by so many pieces as were proven here, and never by one more.

use super::finding::{Class, EntryRef, Finding, Findings};
use super::source::{NamedBytes, Source};
use crate::entry::{Entry, Payload};
use crate::evidence::{Evidence, EvidenceType, FILE_EXTENSION, NotEvidence};
use crate::ids::{Hash, LedgerId};
use crate::ledger::state::State;
use std::collections::{BTreeMap, BTreeSet};

/// The folder in a bundle.
pub const EVIDENCE_FOLDER: &str = "evidence/";

/// The file of a bundle that holds evidence.
pub fn evidence_file(id: &Hash) -> String {
    format!("{EVIDENCE_FOLDER}{id}.{FILE_EXTENSION}")
}

/// What an entry records: the id, who lied, and how.
type Recorded = (Hash, LedgerId, EvidenceType);

/// Where evidence is recorded, as far as those entries were read.
#[derive(Debug, Default)]
pub(super) struct RecordedAt {
    places: BTreeMap<Hash, u64>,
}

impl RecordedAt {
    /// What an entry records.
    pub(super) fn see(&mut self, seq: u64, entry: &Entry) {
        if let Payload::EvidenceRecorded(recorded) = &entry.op().payload {
            self.places.entry(recorded.evidence).or_insert(seq);
        }
    }

    /// Proves everything that is there, and tells what is recorded of each network.
    pub(super) fn check(&self, source: &mut dyn Source, state: &State, findings: &mut Findings) {
        let rows = state.accused.iter();
        let recorded: BTreeSet<Recorded> = rows
            .flat_map(|(accused, row)| row.evidence.iter().map(|(id, kind)| (*id, *accused, *kind)))
            .collect();
        let is_exact = source.is_exact();
        let (mut here, mut proven) = (BTreeSet::new(), BTreeSet::new());
        source.evidence(&mut |file| {
            let judged = file.and_then(|named| judge(&named, is_exact, &recorded, &mut here));
            match judged {
                Ok(convicts) => drop(proven.insert(convicts)),
                Err(finding) => findings.add(finding),
            }
        });
        for (id, accused, kind) in recorded.iter().filter(|(id, ..)| !here.contains(id)) {
            let what = format!(
                "it records evidence {id} that the network with ledger {accused} {}, and the evidence is not here: whether that \
                 is so was not looked at",
                kind.text()
            );
            let finding = Finding::new(Class::NotChecked, what);
            let place = self.places.get(id).map(|seq| EntryRef::Own(*seq));
            findings.add(match place {
                Some(place) => finding.at(place),
                None => finding,
            });
        }
        for (accused, row) in &state.accused {
            let count = |set: &BTreeSet<Recorded>| set.iter().filter(|(_, of, _)| of == accused).count();
            let shown: BTreeSet<&str> =
                proven.iter().filter(|(_, of, _)| of == accused).map(|(.., kind)| kind.text()).collect();
            let (said, held) = (count(&recorded), count(&proven));
            if said == 0 {
                continue;
            }
            let stopped =
                if row.frozen { "new payments with it are stopped" } else { "its freeze was lifted" };
            let what = if shown.is_empty() {
                format!(
                    "the network with ledger {accused} is recorded as convicted: {said} pieces of evidence are recorded, none was \
                     proven here; {stopped}"
                )
            } else {
                let shown = shown.into_iter().collect::<Vec<_>>().join("; it ");
                format!(
                    "the network with ledger {accused} is convicted: it {shown}; pieces of evidence recorded: {said}, proven here \
                     again: {held}; {stopped}"
                )
            };
            findings.add(Finding::new(Class::Warning, what));
        }
    }
}

/// Whom a file convicts, if it is recorded and proven.
fn judge(
    named: &NamedBytes,
    is_exact: bool,
    recorded: &BTreeSet<Recorded>,
    here: &mut BTreeSet<Hash>,
) -> Result<Recorded, Finding> {
    let error = |what: String| Finding::error(what).in_file(&*named.file);
    let evidence =
        Evidence::from_text(&named.bytes).map_err(|why| error(format!("it is no evidence: {why}")))?;
    let id = evidence.id();
    if is_exact && named.file != evidence_file(&id) {
        return Err(error(format!("it is evidence {id}, its name says otherwise")));
    }
    let convicts = (id, evidence.accused(), evidence.kind());
    if !recorded.iter().any(|(known, ..)| *known == id) {
        let what = format!("no entry records evidence {id}");
        let class = if is_exact { Class::Error } else { Class::NotChecked };
        return Err(Finding::new(class, what).in_file(&*named.file));
    }
    here.insert(id);
    if !recorded.contains(&convicts) {
        return Err(error(format!(
            "evidence {id} convicts another network, or of another thing, than its entry says"
        )));
    }
    match evidence.verify_alone() {
        Ok(_) => Ok(convicts),
        Err(NotEvidence::NoKey) => {
            let what = format!(
                "evidence {id} holds no identity entries of the accused: whether it is proven was not looked at (weft audit evidence \
                 --key does it)"
            );
            Err(Finding::new(Class::NotChecked, what).in_file(&*named.file))
        }
        Err(why) => Err(error(format!("evidence {id} proves nothing: {why}"))),
    }
}
