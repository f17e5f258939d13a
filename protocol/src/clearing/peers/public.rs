//! Public streams of other networks: each entry in its place, signed by its author, and what it says taken in.
//!
//! What must hold: of a network that is known an entry is taken in when it is the next of its stream and one of the keys in
//! force has signed it. Read back from our own disk it passed that before, and only its place is looked at again.

use super::{Peers, Refusal};
use crate::entry::{Entry, Payload};
use crate::ids::{Hash, PUBLIC_STREAM};
use crate::ledger::Rejected;
use crate::ledger::identity::{Identity, is_identity};
use crate::ledger::state::StreamRow;

impl Peers {
    /// Takes in an entry of another network's public stream, in order, with all its signatures checked.
    ///
    /// # Errors
    /// Names the rule broken; a place we have already is [`Refusal::Known`].
    pub(in crate::clearing) fn absorb_public(&mut self, entry: &Entry) -> Result<(), Refusal> {
        self.check_public_place(entry)?;
        if !is_identity(&entry.op().payload) || !self.has_identity_entry(entry) {
            self.absorb_identity(entry)?;
        }
        self.note_public(entry);
        Ok(())
    }

    /// The same of one read back from the disk: its signature was verified before it came there.
    ///
    /// # Errors
    /// It does not follow what was stored before it.
    pub(in crate::clearing) fn absorb_stored_public(&mut self, entry: &Entry) -> Result<(), Refusal> {
        if is_identity(&entry.op().payload) || self.identity(&entry.body().ledger).is_none() {
            return self.absorb_public(entry);
        }
        self.check_public_place(entry)?;
        self.note_public(entry);
        Ok(())
    }

    fn check_public_place(&self, entry: &Entry) -> Result<(), Refusal> {
        let ledger = entry.body().ledger;
        let header = entry.body().stream.filter(|h| h.id == PUBLIC_STREAM);
        let header = header.ok_or(Refusal::Rejected(Rejected::StreamHeader))?;
        let next = self.public_next(&ledger);
        if header.sseq < next {
            return Err(Refusal::Known { sseq: header.sseq });
        }
        if header.sseq > next {
            return Err(Refusal::Gap { next, got: header.sseq });
        }
        let head = self.public.get(&ledger).map_or(Hash::ZERO, |row| row.head);
        if header.sprev != head {
            return Err(Refusal::Forked { sseq: header.sseq });
        }
        Ok(())
    }

    /// What it says, and that it is here.
    fn note_public(&mut self, entry: &Entry) {
        let ledger = entry.body().ledger;
        if let Payload::UnitDefined(unit) = &entry.op().payload {
            self.units.insert((ledger, unit.unit), unit.clone());
        }
        if let Payload::Capacity(told) = &entry.op().payload {
            self.capacities.insert((ledger, told.peer), told.clone());
        }
        if let Payload::ResetNotice(notice) = &entry.op().payload {
            self.hear_notice(ledger, notice);
        }
        self.hear_of_rounds(entry);
        self.public_taken = self.public_taken.saturating_add(1);
        let next = self.public_next(&ledger).saturating_add(1);
        self.public.insert(ledger, StreamRow { next, head: entry.leaf() });
        self.note_newest(entry);
        self.places.note(entry);
    }

    pub(super) fn has_identity_entry(&self, entry: &Entry) -> bool {
        self.identity_entries(&entry.body().ledger).iter().any(|known| known == entry.bytes())
    }

    /// Takes in an identity entry that comes after those we have, on the public stream or by KEY. Between two of
    /// them the public stream may hold entries of other areas, so its places are not asked for.
    pub(super) fn absorb_identity(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let ledger = entry.body().ledger;
        let identity = match self.identities.get(&ledger) {
            Some(known) if !is_identity(&entry.op().payload) => {
                return known.check_other(entry).map_err(Refusal::Rejected);
            }
            Some(known) => known.after(entry),
            None => Identity::from_entries([entry]),
        };
        self.identities.insert(ledger, identity.map_err(Refusal::Rejected)?);
        if is_identity(&entry.op().payload) {
            self.identity_entries.entry(ledger).or_default().push(entry.bytes().to_vec());
        }
        Ok(())
    }
}
