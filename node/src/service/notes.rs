//! Notes: records beside the entries, kept because they are proof of what others said or bind what we may do
//! (specs/store.md 2.6). The newest of a kind and name counts; older ones stay in the segments.
//!
//! What must hold: a note is durable with the group of the task that kept it, and before the entries of that group.

use super::core::Core;
use crate::store::segments::{NoteKind, Position, ReadError, Record, RecordKey, RecordTooLong};
use std::collections::BTreeMap;

/// What the thread knows of notes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The newest durable one of each kind and name.
    places: BTreeMap<(NoteKind, [u8; 32]), Position>,
    /// Kept by tasks, not yet written.
    pub(super) waiting: Vec<Record>,
    unindexed: u64,
}

impl Notes {
    /// Takes over what an open has found, in the order of the segments.
    pub(super) fn found(places: BTreeMap<(NoteKind, [u8; 32]), Position>) -> Self {
        Self { places, ..Self::default() }
    }

    /// What waited stands at these places now, durably.
    pub(super) fn written(&mut self, positions: &[Position]) {
        for (record, at) in self.waiting.drain(..).zip(positions) {
            if let RecordKey::Note { kind, name } = record.key {
                self.places.insert((kind, name), *at);
                self.unindexed += 1;
            }
        }
    }

    /// How many were written since the index was told; it counts all records.
    pub(super) fn take_unindexed(&mut self) -> u64 {
        std::mem::take(&mut self.unindexed)
    }
}

impl Core {
    /// Keeps a note: durable before the answer of the task that calls this, and before the entries it writes.
    ///
    /// # Errors
    /// When it is longer than its kind may be, or of a kind that is not known.
    pub fn keep_note(&mut self, kind: NoteKind, name: [u8; 32], bytes: Vec<u8>) -> Result<(), RecordTooLong> {
        let record = Record { key: RecordKey::Note { kind, name }, bytes };
        record.as_ref()?;
        self.notes.waiting.push(record);
        Ok(())
    }

    /// The newest note of a kind and name.
    ///
    /// # Errors
    /// When it cannot be read back.
    pub fn note(&self, kind: NoteKind, name: &[u8; 32]) -> Result<Option<Vec<u8>>, ReadError> {
        let key = RecordKey::Note { kind, name: *name };
        if let Some(waiting) = self.notes.waiting.iter().rev().find(|record| record.key == key) {
            return Ok(Some(waiting.bytes.clone()));
        }
        let place = self.notes.places.get(&(kind, *name));
        place.map(|at| self.reader.read(*at).map(|record| record.bytes)).transpose()
    }

    /// The names of the durable notes of a kind, ascending.
    pub fn note_names(&self, kind: NoteKind) -> Vec<[u8; 32]> {
        let range = (kind, [0; 32])..=(kind, [u8::MAX; 32]);
        self.notes.places.range(range).map(|((_, name), _)| *name).collect()
    }
}
