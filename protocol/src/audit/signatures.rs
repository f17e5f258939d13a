//! Signatures in bulk (specs/audit.md §5): ZIP-215 batches over canonical keys that are not weak, on all cores.
//!
//! The replay hands over signatures and goes on; threads verify them behind a bounded queue, so the number held in
//! memory is bounded. A batch that fails is verified again one by one, strictly, to name what is wrong. Which thread
//! does what changes nothing in what is found.

use super::finding::{EntryRef, MAX_FINDINGS_PER_CLASS};
use crate::ids::{Hash, KeyBytes, SigBytes};
use crate::keys::PublicKey;
use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Signatures that are verified together: the gain flattens beyond.
pub const BATCH: usize = 1_024;
/// Signatures held back over all keys: at 700 bytes each 23 MB.
const MAX_QUEUED: usize = 32 * BATCH;
/// Full batches that wait for each thread: enough that none is idle while the replay reads a tile.
const WAITING_BATCHES: usize = 4;
/// Failed signatures that a thread remembers; of more only the first in the ledger's order.
const MAX_FAILED: usize = 4 * MAX_FINDINGS_PER_CLASS as usize;
/// Keys that a thread remembers as good; then it begins anew.
const MAX_KEYS: usize = 100_000;

/// What a signature is about, for findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) entry: EntryRef,
    pub(super) what: &'static str,
    pub(super) file: Arc<str>,
}

/// A signature to verify.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) key: KeyBytes,
    pub(super) message: &'a [u8],
    pub(super) sig: SigBytes,
    pub(super) about: &'a About,
}

/// What did not verify.
#[derive(Debug, Default)]
pub(super) struct Failed {
    /// The first in the ledger's order.
    pub(super) first: Vec<About>,
    /// How many more.
    pub(super) more: u64,
}

/// Signatures with their messages, one after another in one piece of memory.
#[derive(Debug, Default)]
struct Batch {
    messages: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    key: KeyBytes,
    sig: SigBytes,
    /// Where its message stands.
    message: Range<usize>,
    entry: EntryRef,
    what: &'static str,
    /// Index of its file.
    file: usize,
}

/// Something in a batch that did not verify.
#[derive(Debug, Default)]
struct Culprits {
    first: Vec<(EntryRef, &'static str, usize)>,
    more: u64,
}

/// Collects signatures and has them verified.
#[derive(Debug)]
pub(super) struct Checker {
    queues: BTreeMap<KeyBytes, Batch>,
    queued: usize,
    files: Vec<Arc<str>>,
    /// `None` once finished: then the threads end.
    batches: Option<SyncSender<Batch>>,
    threads: Vec<JoinHandle<Culprits>>,
}

impl Checker {
    pub(super) fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        let (batches, waiting) = sync_channel(threads.saturating_mul(WAITING_BATCHES));
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |_| {
            let waiting = waiting.clone();
            thread::spawn(move || work(&waiting))
        };
        let threads = (0..threads).map(start).collect();
        Self { queues: BTreeMap::new(), queued: 0, files: Vec::new(), batches: Some(batches), threads }
    }

    pub(super) fn push(&mut self, job: &Job<'_>) {
        let file = self.file(&job.about.file);
        let queue = self.queues.entry(job.key).or_default();
        let (entry, what) = (job.about.entry, job.about.what);
        queue.push(Item { key: job.key, sig: job.sig, message: 0..0, entry, what, file }, job.message);
        self.queued = self.queued.saturating_add(1);
        if queue.items.len() >= BATCH {
            // A key that has filled a batch fills the next one, too: it has its memory at once.
            let full = std::mem::replace(queue, queue.as_roomy());
            self.queued = self.queued.saturating_sub(full.items.len());
            self.send(full);
        }
        if self.queued >= MAX_QUEUED {
            self.gather();
        }
    }

    /// What is verified together mostly stands in one file.
    fn file(&mut self, file: &Arc<str>) -> usize {
        if self.files.last().is_none_or(|last| !Arc::ptr_eq(last, file)) {
            self.files.push(file.clone());
        }
        self.files.len().saturating_sub(1)
    }

    /// Verifies what is left and gives what failed.
    pub(super) fn finish(&mut self) -> Failed {
        self.gather();
        self.batches = None;
        let mut culprits = Culprits::default();
        for thread in std::mem::take(&mut self.threads) {
            let of_thread = thread.join().expect("verifying signatures does not panic");
            culprits.more = culprits.more.saturating_add(of_thread.more);
            of_thread.first.into_iter().for_each(|culprit| culprits.add(culprit));
        }
        culprits.shorten();
        let about = |(entry, what, file): (EntryRef, &'static str, usize)| {
            let file = self.files.get(file).cloned().unwrap_or_else(|| "".into());
            About { entry, what, file }
        };
        Failed { first: culprits.first.into_iter().map(about).collect(), more: culprits.more }
    }

    fn send(&self, batch: Batch) {
        let batches = self.batches.as_ref().expect("nothing is pushed after the end");
        batches.send(batch).expect("threads end when the sender is gone, not before");
    }

    /// Makes batches of many keys out of the queues of keys that signed little.
    fn gather(&mut self) {
        let mut batch = Batch::default();
        for queue in std::mem::take(&mut self.queues).into_values() {
            for item in queue.items {
                let message = queue.messages.get(item.message.clone()).unwrap_or_default();
                batch.push(item, message);
                if batch.items.len() >= BATCH {
                    self.send(std::mem::take(&mut batch));
                }
            }
        }
        if !batch.items.is_empty() {
            self.send(batch);
        }
        self.queued = 0;
    }
}

impl Batch {
    /// An empty one with as much room.
    fn as_roomy(&self) -> Self {
        Self {
            messages: Vec::with_capacity(self.messages.len()),
            items: Vec::with_capacity(self.items.len()),
        }
    }

    fn push(&mut self, item: Item, message: &[u8]) {
        let start = self.messages.len();
        self.messages.extend_from_slice(message);
        self.items.push(Item { message: start..self.messages.len(), ..item });
    }

    fn message(&self, item: &Item) -> &[u8] {
        self.messages.get(item.message.clone()).unwrap_or_default()
    }

    /// Whether all of them verify in one batch, by the rule for signatures in bulk.
    fn holds(&self, keys: &mut BTreeMap<KeyBytes, bool>) -> bool {
        let mut verifier = batch::Verifier::new();
        let mut seed = Sha256::new_with_prefix("WEFT-BATCH/1\n");
        let mut last = None;
        for item in &self.items {
            if last != Some(item.key) {
                if !*keys.entry(item.key).or_insert_with(|| PublicKey::new(&item.key).is_ok()) {
                    return false;
                }
                last = Some(item.key);
            }
            let message = self.message(item);
            verifier.queue((VerificationKeyBytes::from(item.key.0), Signature::from(item.sig.0), message));
            seed.update(item.key.as_bytes());
            seed.update(item.sig.as_bytes());
            seed.update((message.len() as u64).to_be_bytes());
            seed.update(message);
        }
        verifier.verify(Coefficients::new(Hash(seed.finalize().into()))).is_ok()
    }

    fn one_by_one(&self, culprits: &mut Culprits) {
        for item in &self.items {
            let verified =
                PublicKey::new(&item.key).and_then(|key| key.verify_message(self.message(item), &item.sig));
            if verified.is_err() {
                culprits.add((item.entry, item.what, item.file));
            }
        }
    }
}

impl Culprits {
    fn add(&mut self, culprit: (EntryRef, &'static str, usize)) {
        self.first.push(culprit);
        if self.first.len() >= MAX_FAILED.saturating_mul(2) {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        self.first.sort_unstable();
        let more = self.first.len().saturating_sub(MAX_FAILED);
        self.first.truncate(MAX_FAILED);
        self.more = self.more.saturating_add(more as u64);
    }
}

fn work(waiting: &Mutex<Receiver<Batch>>) -> Culprits {
    let mut culprits = Culprits::default();
    let mut keys = BTreeMap::new();
    loop {
        // A thread that panicked has left nothing half done behind this lock.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return culprits };
        if keys.len() > MAX_KEYS {
            keys.clear();
        }
        if !batch.holds(&mut keys) {
            batch.one_by_one(&mut culprits);
        }
    }
}

/// The coefficients of a batch: derived from all of its keys, signatures and messages, so whoever made them could
/// not know the coefficients before, and the same batch always gives the same answer.
struct Coefficients {
    seed: Hash,
    counter: u64,
    block: Hash,
    /// Bytes of the block that were given out.
    used: usize,
}

impl Coefficients {
    fn new(seed: Hash) -> Self {
        Self { seed, counter: 0, block: Hash::ZERO, used: Hash::LEN }
    }

    /// At most so many fresh bytes, and at least one.
    fn take(&mut self, most: usize) -> &[u8] {
        if self.used >= Hash::LEN {
            self.block = Hash::of("", &[self.seed.as_bytes(), &self.counter.to_be_bytes()]);
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let start = self.used;
        self.used = start.saturating_add(most).min(Hash::LEN);
        self.block.0.get(start..self.used).unwrap_or_default()
    }
}

impl TryRng for Coefficients {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let mut rest = out;
        while !rest.is_empty() {
            let fresh = self.take(rest.len());
            let (now, later) = rest.split_at_mut(fresh.len());
            now.copy_from_slice(fresh);
            rest = later;
        }
        Ok(())
    }
}

impl TryCryptoRng for Coefficients {}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{OP, SecretKey, message};

    struct Signed {
        key: KeyBytes,
        message: Vec<u8>,
        sig: SigBytes,
        about: About,
    }

    impl Signed {
        fn push(&self, checker: &mut Checker) {
            let Self { key, message, sig, about } = self;
            checker.push(&Job { key: *key, message, sig: *sig, about });
        }
    }

    fn signed(key: u8, number: u64) -> Signed {
        let secret = SecretKey::from_seed(&[key; 32]);
        let text = number.to_be_bytes();
        let sig = secret.sign(OP, &[&text]);
        let about = About { entry: EntryRef::Own(number), what: "the node's signature", file: "f".into() };
        Signed { key: secret.public().bytes(), message: message(OP, &[&text]), sig, about }
    }

    #[test]
    fn exactly_the_signatures_that_do_not_verify_are_named() {
        for threads in [1, 3] {
            let mut checker = Checker::new(threads);
            for number in 0..2_500 {
                let mut one = signed(if number % 100 == 7 { 2 } else { 1 }, number);
                if [0, 1_500, 1_707, 2_499].contains(&number) {
                    one.sig.0[3] ^= 1;
                }
                if number == 9 {
                    one.message.push(0);
                }
                if number == 1_707 {
                    one.about.file = "g".into();
                }
                one.push(&mut checker);
            }
            let failed = checker.finish();
            let named: Vec<_> = failed.first.iter().map(|about| (about.entry, &*about.file)).collect();
            let right = [(0, "f"), (9, "f"), (1_500, "f"), (1_707, "g"), (2_499, "f")];
            assert_eq!(named, right.map(|(seq, file)| (EntryRef::Own(seq), file)));
            assert_eq!(failed.more, 0);
        }
    }

    #[test]
    fn a_weak_key_verifies_nothing_in_bulk_either() {
        let mut checker = Checker::new(1);
        let mut one = signed(1, 1);
        // The identity of the curve: [S]B = R + [k]A holds for any message with S = 0 and R the identity.
        let mut identity = [0; 32];
        identity[0] = 1;
        one.key = KeyBytes(identity);
        one.sig = SigBytes([0; 64]);
        one.sig.0[0] = 1;
        one.push(&mut checker);
        signed(1, 2).push(&mut checker);
        let failed = checker.finish().first;
        assert_eq!(failed.iter().map(|about| about.entry).collect::<Vec<_>>(), [EntryRef::Own(1)]);
    }

    #[test]
    fn of_very_many_failures_the_first_are_named_and_all_are_counted() {
        let mut one = signed(1, 0);
        // An S above the group order fails at once, so that this test is quick.
        one.sig = SigBytes([0xff; 64]);
        for threads in [1, 3] {
            let mut checker = Checker::new(threads);
            let total = MAX_FAILED as u64 + 2_000;
            for number in (0..total).rev() {
                one.about.entry = EntryRef::Own(number);
                one.push(&mut checker);
            }
            let failed = checker.finish();
            assert_eq!(failed.first.len() as u64 + failed.more, total);
            let first: Vec<_> = failed.first.iter().take(3).map(|about| about.entry).collect();
            assert_eq!(first, [0, 1, 2].map(EntryRef::Own));
        }
    }

    #[test]
    fn a_key_that_signs_much_and_many_that_sign_little_are_all_verified() {
        let mut checker = Checker::new(2);
        for number in 0..1_100 {
            signed(u8::try_from(number % 50).unwrap(), number).push(&mut checker);
        }
        let mut wrong = signed(3, 5_000);
        wrong.message[12] ^= 1;
        wrong.push(&mut checker);
        checker.gather();
        assert_eq!(checker.queued, 0);
        let failed = checker.finish().first;
        assert_eq!(failed.iter().map(|about| about.entry).collect::<Vec<_>>(), [EntryRef::Own(5_000)]);
    }
}
