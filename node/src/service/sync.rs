//! The ledger's side of public streams that travel: what we have of everybody, what we lack, and taking it in
//! (specs/network.md §11).

use super::core::Core;
use super::guard::in_stream;
use crate::federation::{Brought, Quotas};
use crate::store::index::Page;
use crate::store::private::StoredDescriptor;
use crate::store::segments::Position;
use crate::store::{IndexError, SegmentReader};
use std::collections::BTreeMap;
use weft_protocol::clearing::peers::Refusal;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::Entry;
use weft_protocol::federation::descriptor::{DESCRIPTOR_VERSION, Descriptor};
use weft_protocol::federation::sync::{
    Have, Haves, MAX_DESCRIPTORS, MAX_ENTRIES, MAX_ENTRY_BYTES, MAX_HAVES,
};
use weft_protocol::ids::{KeyBytes, LedgerId, PUBLIC_STREAM};

/// A descriptor is good for this long.
const DESCRIPTOR_LIFE_MS: u64 = 30 * 86_400_000;
/// One of ours that still says the truth is made anew after this time, so that others know that it is still so.
const DESCRIPTOR_FRESH_MS: u64 = 86_400_000;
/// A descriptor of others that is good for longer is not taken: it would outlive its truth.
const DESCRIPTOR_LONGEST_MS: u64 = 31 * 86_400_000;
/// Who is in reach is looked up again after this time: it is a walk over all that networks tell.
const REACH_FRESH_MS: u64 = 1_000;
/// The highest number of a descriptor that is taken: what the store can compare.
const MAX_DSEQ: u64 = i64::MAX as u64;

/// Our own descriptor as it was made last.
#[derive(Debug, Clone)]
pub struct OwnDescriptor {
    about: Descriptor,
    epoch: u32,
    bytes: Vec<u8>,
}

/// What a list of somebody's has that we lack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Authors, and the place from which we lack entries.
    pub entries: Vec<(LedgerId, u64)>,
    /// Authors whose newer descriptor we lack.
    pub descriptors: Vec<LedgerId>,
}

impl Lacking {
    /// Whether nothing is lacking.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.descriptors.is_empty()
    }
}

/// What was taken in of entries brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenIn {
    /// New ones.
    pub new: usize,
    /// Whether it is worth asking for the next ones.
    pub goes_on: bool,
}

/// A page of a public stream that is to be read, on whatever thread.
#[derive(Debug)]
pub struct PublicPage {
    places: Vec<Position>,
    is_ours: bool,
    reader: SegmentReader,
}

impl PublicPage {
    /// The entries as they were received, or as our stream has them: as many as an answer may hold.
    ///
    /// # Errors
    /// When the segments cannot be read.
    pub fn entries(&self) -> Result<Vec<Blob>, String> {
        let (mut entries, mut bytes) = (Vec::with_capacity(self.places.len()), 0);
        for at in &self.places {
            let mut entry = self.reader.read(*at).map_err(|e| e.to_string())?.bytes;
            if self.is_ours {
                entry = in_stream(Entry::parse(&entry).map_err(|e| e.to_string())?).bytes().to_vec();
            }
            bytes += entry.len();
            if bytes > MAX_ENTRY_BYTES && !entries.is_empty() {
                break;
            }
            entries.push(Blob(entry));
        }
        Ok(entries)
    }
}

impl Core {
    /// Whatever changes when there is news: how many public entries and descriptors there were.
    pub fn public_mark(&self) -> (u64, u64) {
        let ours = self.engine().state().stream(&PUBLIC_STREAM).next;
        (self.engine().peers().public_taken() + ours, self.descriptors_taken)
    }

    /// How far we have every author.
    ///
    /// # Errors
    /// When the private store cannot be read.
    pub fn haves(&self) -> Result<BTreeMap<LedgerId, Have>, String> {
        let now_ms = self.clock().now_ms();
        let numbers = self.private().descriptor_numbers(now_ms).map_err(|e| e.to_string())?;
        let peers = self.engine().peers();
        let us = self.engine().state().ledger().map_err(|e| e.to_string())?;
        let own = (us, self.engine().state().stream(&PUBLIC_STREAM).next);
        let all = peers.known().map(|ledger| (*ledger, peers.public_next(ledger))).chain([own]);
        let all = all.filter(|(_, next)| *next > 0).map(|(ledger, next)| {
            let own = self.own_descriptor.as_ref().filter(|_| ledger == us).map(|own| own.about.dseq);
            let dseq = own.or_else(|| numbers.get(&ledger).copied()).unwrap_or(0);
            (ledger, Have { ledger, next, dseq })
        });
        Ok(all.collect())
    }

    /// One page of that, and whether there is another.
    ///
    /// # Errors
    /// When the private store cannot be read.
    pub fn haves_after(&self, after: Option<LedgerId>) -> Result<(Haves, bool), String> {
        let all = self.haves()?;
        let mut rest = all.values().filter(|have| after.is_none_or(|after| have.ledger > after));
        let page = Haves::new(rest.by_ref().take(MAX_HAVES).copied());
        Ok((page, rest.next().is_some()))
    }

    /// What somebody has that we lack. Nothing is asked for of whom the operator has shut out.
    ///
    /// # Errors
    /// When the private store cannot be read.
    pub fn lacking(&mut self, theirs: &Haves) -> Result<Lacking, String> {
        let ours = self.haves()?;
        let us = self.engine().state().ledger().ok();
        let mut lacking = Lacking::default();
        let others = theirs.as_slice().iter().filter(|have| Some(have.ledger) != us);
        for have in others {
            if self.engine().is_banned(&have.ledger) {
                continue;
            }
            let known = ours.get(&have.ledger);
            let next = known.map_or(0, |known| known.next);
            if have.next > next && Quotas::may_have(next, self.is_in_reach(&have.ledger)) {
                lacking.entries.push((have.ledger, next));
            }
            if have.dseq > known.map_or(0, |known| known.dseq) && have.dseq <= MAX_DSEQ {
                lacking.descriptors.push(have.ledger);
            }
        }
        Ok(lacking)
    }

    /// Where a page of an author's public stream stands, from a place on. What came in this very group is told next time.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn public_page(&self, author: &LedgerId, from: u64) -> Result<PublicPage, String> {
        let page = Page::oldest(MAX_ENTRIES);
        let page = from.checked_sub(1).map_or(page, |before| page.after(before));
        let is_ours = self.engine().state().ledger().is_ok_and(|us| us == *author);
        let read = |e: IndexError| e.to_string();
        let rows: Vec<(u64, Position)> = if is_ours {
            let rows = self.index().stream_entries(&PUBLIC_STREAM, page).map_err(read)?;
            let places = rows.into_iter().map(|(sseq, seq)| {
                let at = self.index().own(seq).map_err(read)?;
                at.map(|at| (sseq, at)).ok_or_else(|| format!("entry {seq} is not in the index"))
            });
            places.collect::<Result<_, _>>()?
        } else {
            self.index().received_entries(author, &PUBLIC_STREAM, page).map_err(read)?
        };
        let following = rows.into_iter().zip(from..).take_while(|((sseq, _), place)| sseq == place);
        let places = following.map(|((_, at), _)| at).collect();
        Ok(PublicPage { places, is_ours, reader: self.reader().clone() })
    }

    /// Takes in what a peer brought of an author's public stream.
    pub fn take_public(&mut self, from: LedgerId, author: LedgerId, entries: Vec<Entry>) -> TakenIn {
        let mut taken = TakenIn { new: 0, goes_on: false };
        let in_reach = self.is_in_reach(&author);
        let now_ms = self.uptime_ms();
        for entry in entries {
            let Some(place) = place_of(&entry, &author) else { return taken };
            let brought = Brought {
                is_first: self.engine().peers().identity(&author).is_none(),
                place,
                in_reach,
                known: self.engine().peers().known().count(),
                bytes: entry.bytes().len(),
            };
            let is_new = place >= self.engine().peers().public_next(&author);
            if is_new
                && author != from
                && let Err(why) = self.quotas.charge(from, brought, now_ms)
            {
                tracing::debug!(author = %author.short(), from = %from.short(), %why, "not taken in");
                return TakenIn { goes_on: false, ..taken };
            }
            match self.with_engine(|engine, cx| engine.hear_entry(entry, cx)) {
                Ok(()) => taken.new += 1,
                Err(Refusal::Known { .. }) => {}
                Err(why) => {
                    tracing::debug!(author = %author.short(), from = %from.short(), %why, "a public entry was left aside");
                    return TakenIn { goes_on: false, ..taken };
                }
            }
        }
        taken.goes_on = taken.new > 0;
        taken
    }

    /// Takes in descriptors that anybody brought; each proves itself. Gives whose are new.
    pub fn take_descriptors(&mut self, descriptors: &[Blob]) -> Vec<LedgerId> {
        let now_ms = self.clock().now_ms();
        let mut new = Vec::new();
        for bytes in descriptors.iter().take(MAX_DESCRIPTORS) {
            match self.take_descriptor(bytes, now_ms) {
                Ok(Some(ledger)) => new.push(ledger),
                Ok(None) => {}
                Err(why) => tracing::debug!(%why, "a descriptor was left aside"),
            }
        }
        new
    }

    fn take_descriptor(&mut self, bytes: &Blob, now_ms: u64) -> Result<Option<LedgerId>, String> {
        let ledger = Descriptor::ledger_of(&bytes.0).map_err(|e| e.to_string())?;
        let identity = self.engine().peers().identity(&ledger);
        let identity = identity.ok_or_else(|| format!("network {} is not known", ledger.short()))?;
        let descriptor = Descriptor::open(&bytes.0, identity).map_err(|e| e.to_string())?;
        let good = descriptor.expires_ms > now_ms
            && descriptor.expires_ms <= now_ms.saturating_add(DESCRIPTOR_LONGEST_MS)
            && descriptor.dseq <= MAX_DSEQ;
        if !good {
            return Err(format!(
                "that of network {} has expired, or says to be good too long",
                ledger.short()
            ));
        }
        let row = StoredDescriptor {
            ledger,
            dseq: descriptor.dseq,
            expires_ms: descriptor.expires_ms,
            site: descriptor.site,
            bytes: bytes.0.clone(),
        };
        let is_new = self.private().put_descriptor(&row).map_err(|e| e.to_string())?;
        self.descriptors_taken += u64::from(is_new);
        Ok(is_new.then_some(ledger))
    }

    /// Descriptors for somebody who asks.
    pub fn descriptors_for(&self, ledgers: &[LedgerId]) -> Vec<Blob> {
        let (now_ms, us) = (self.clock().now_ms(), self.engine().state().ledger().ok());
        let one = |ledger: &LedgerId| {
            if Some(*ledger) == us {
                return self.own_descriptor.as_ref().map(|own| Blob(own.bytes.clone()));
            }
            let row = self.private().descriptor(ledger).ok().flatten()?;
            (row.expires_ms > now_ms).then_some(Blob(row.bytes))
        };
        ledgers.iter().take(MAX_DESCRIPTORS).filter_map(one).collect()
    }

    /// The newest descriptor of another network that is good now.
    pub fn descriptor_of(&self, ledger: &LedgerId) -> Option<Descriptor> {
        let row = self.private().descriptor(ledger).ok().flatten()?;
        let descriptor = Descriptor::open(&row.bytes, self.engine().peers().identity(ledger)?).ok()?;
        (descriptor.expires_ms > self.clock().now_ms()).then_some(descriptor)
    }

    /// Our descriptor: the one that others have, as long as it says the truth and is not a day old.
    pub fn own_descriptor(&mut self, peer: KeyBytes, addresses: Vec<String>) -> Blob {
        let now_ms = self.clock().now_ms();
        let state = self.engine().state();
        let (Ok(ledger), Ok(epoch)) = (state.ledger(), weft_protocol::ledger::clearing::log_epoch(state))
        else {
            return Blob(Vec::new());
        };
        if let Some(own) = &self.own_descriptor {
            let same = own.about.addresses == addresses && own.about.peer == peer && own.epoch == epoch;
            let fresh = (own.about.issued_ms..own.about.issued_ms.saturating_add(DESCRIPTOR_FRESH_MS))
                .contains(&now_ms);
            if same && fresh {
                return Blob(own.bytes.clone());
            }
        }
        let before = self.own_descriptor.as_ref().map_or(0, |own| own.about.dseq);
        let about = Descriptor {
            v: DESCRIPTOR_VERSION,
            ledger,
            dseq: now_ms.max(before + 1),
            issued_ms: now_ms,
            expires_ms: now_ms.saturating_add(DESCRIPTOR_LIFE_MS),
            site: self.site().to_owned(),
            peer,
            addresses,
            capabilities: Vec::new(),
        };
        // Without the log key in force it would verify nowhere.
        let Ok(bytes) = self.engine().log_key().map(|key| about.sign(key)) else { return Blob(Vec::new()) };
        self.own_descriptor = Some(OwnDescriptor { about, epoch, bytes: bytes.clone() });
        self.descriptors_taken += 1;
        Blob(bytes)
    }

    /// Writes what has changed of what our accords let pass, and erases addresses that are nobody's any more.
    pub fn keep_federation(&mut self, capacity_every_ms: u64) {
        self.with_engine(|engine, cx| engine.tell_capacity(capacity_every_ms, cx));
    }

    /// Erases descriptors that have expired.
    pub fn forget_old_addresses(&self) {
        if let Err(error) = self.private().forget_expired_descriptors(self.clock().now_ms()) {
            tracing::warn!(%error, "old descriptors could not be erased");
        }
    }

    /// Whether a network is a peer, or a way leads there, as of a moment ago.
    pub fn is_in_reach(&mut self, author: &LedgerId) -> bool {
        if self.engine().state().channel_with(author).is_some() {
            return true;
        }
        let now_ms = self.uptime_ms();
        let old = self.reach.as_ref().is_none_or(|(at_ms, _)| at_ms.saturating_add(REACH_FRESH_MS) <= now_ms);
        if old {
            self.reach = Some((now_ms, self.engine().in_reach()));
        }
        self.reach.as_ref().is_some_and(|(_, reach)| reach.contains(author))
    }
}

fn place_of(entry: &Entry, author: &LedgerId) -> Option<u64> {
    let header = entry.body().stream.filter(|header| header.id == PUBLIC_STREAM)?;
    (entry.body().ledger == *author).then_some(header.sseq)
}
