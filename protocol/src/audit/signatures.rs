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
use std::collections::BTreeMap;
use std::convert::Infallible;
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
pub(super) struct Job {
    pub(super) key: KeyBytes,
    pub(super) message: Vec<u8>,
    pub(super) sig: SigBytes,
    pub(super) about: About,
}

/// What did not verify.
#[derive(Debug, Default)]
pub(super) struct Failed {
    /// The first in the ledger's order.
    pub(super) first: Vec<About>,
    /// How many more.
    pub(super) more: u64,
}

/// Collects signatures and has them verified.
#[derive(Debug)]
pub(super) struct Checker {
    queues: BTreeMap<KeyBytes, Vec<Job>>,
    queued: usize,
    /// `None` once finished: then the threads end.
    batches: Option<SyncSender<Vec<Job>>>,
    threads: Vec<JoinHandle<Failed>>,
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
        Self { queues: BTreeMap::new(), queued: 0, batches: Some(batches), threads }
    }

    pub(super) fn push(&mut self, job: Job) {
        let queue = self.queues.entry(job.key).or_default();
        queue.push(job);
        self.queued = self.queued.saturating_add(1);
        if queue.len() >= BATCH {
            let full = std::mem::take(queue);
            self.queued = self.queued.saturating_sub(full.len());
            self.send(full);
        }
        if self.queued >= MAX_QUEUED {
            self.gather();
        }
    }

    /// Verifies what is left and gives what failed.
    pub(super) fn finish(&mut self) -> Failed {
        self.gather();
        self.batches = None;
        let mut failed = Failed::default();
        for thread in std::mem::take(&mut self.threads) {
            let of_thread = thread.join().expect("verifying signatures does not panic");
            failed.more = failed.more.saturating_add(of_thread.more);
            of_thread.first.into_iter().for_each(|about| failed.add(about));
        }
        failed.shorten();
        failed
    }

    fn send(&self, batch: Vec<Job>) {
        let batches = self.batches.as_ref().expect("nothing is pushed after the end");
        batches.send(batch).expect("threads end when the sender is gone, not before");
    }

    /// Makes batches of many keys out of the queues of keys that signed little.
    fn gather(&mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        for job in std::mem::take(&mut self.queues).into_values().flatten() {
            batch.push(job);
            if batch.len() >= BATCH {
                self.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
            }
        }
        if !batch.is_empty() {
            self.send(batch);
        }
        self.queued = 0;
    }
}

impl Failed {
    fn add(&mut self, about: About) {
        self.first.push(about);
        if self.first.len() >= MAX_FAILED.saturating_mul(2) {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        self.first.sort_by(|a, b| (a.entry, a.what).cmp(&(b.entry, b.what)));
        let more = self.first.len().saturating_sub(MAX_FAILED);
        self.first.truncate(MAX_FAILED);
        self.more = self.more.saturating_add(more as u64);
    }
}

fn work(waiting: &Mutex<Receiver<Vec<Job>>>) -> Failed {
    let mut failed = Failed::default();
    let mut keys = BTreeMap::new();
    loop {
        // A thread that panicked has left nothing half done behind this lock.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(jobs) = next else { return failed };
        if keys.len() > MAX_KEYS {
            keys.clear();
        }
        if !holds(&jobs, &mut keys) {
            one_by_one(jobs, &mut failed);
        }
    }
}

/// Whether all of them verify in one batch, by the rule for signatures in bulk.
fn holds(jobs: &[Job], keys: &mut BTreeMap<KeyBytes, bool>) -> bool {
    let mut verifier = batch::Verifier::new();
    let mut seed = Vec::with_capacity(jobs.len().saturating_mul(128));
    for job in jobs {
        if !*keys.entry(job.key).or_insert_with(|| PublicKey::new(&job.key).is_ok()) {
            return false;
        }
        verifier.queue((VerificationKeyBytes::from(job.key.0), Signature::from(job.sig.0), &job.message[..]));
        seed.extend_from_slice(job.key.as_bytes());
        seed.extend_from_slice(job.sig.as_bytes());
        seed.extend_from_slice(Hash::of("", &[&job.message]).as_bytes());
    }
    verifier.verify(Coefficients::over(&seed)).is_ok()
}

fn one_by_one(jobs: Vec<Job>, failed: &mut Failed) {
    for job in jobs {
        let verified = PublicKey::new(&job.key).and_then(|key| key.verify_message(&job.message, &job.sig));
        if verified.is_err() {
            failed.add(job.about);
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
    fn over(batch: &[u8]) -> Self {
        let seed = Hash::of("WEFT-BATCH/1\n", &[batch]);
        Self { seed, counter: 0, block: Hash::ZERO, used: Hash::LEN }
    }

    fn byte(&mut self) -> u8 {
        if self.used >= Hash::LEN {
            self.block = Hash::of("", &[self.seed.as_bytes(), &self.counter.to_be_bytes()]);
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let byte = self.block.0.get(self.used).copied().unwrap_or_default();
        self.used = self.used.saturating_add(1);
        byte
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
        out.iter_mut().for_each(|byte| *byte = self.byte());
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

    fn job(key: u8, number: u64) -> Job {
        let secret = SecretKey::from_seed(&[key; 32]);
        let text = number.to_be_bytes();
        let sig = secret.sign(OP, &[&text]);
        let about = About { entry: EntryRef::Own(number), what: "the node's signature", file: "f".into() };
        Job { key: secret.public().bytes(), message: message(OP, &[&text]), sig, about }
    }

    #[test]
    fn exactly_the_signatures_that_do_not_verify_are_named() {
        for threads in [1, 3] {
            let mut checker = Checker::new(threads);
            for number in 0..2_500 {
                let mut one = job(if number % 100 == 7 { 2 } else { 1 }, number);
                if [0, 1_500, 1_707, 2_499].contains(&number) {
                    one.sig.0[3] ^= 1;
                }
                if number == 9 {
                    one.message.push(0);
                }
                checker.push(one);
            }
            let failed = checker.finish();
            let entries: Vec<_> = failed.first.into_iter().map(|about| about.entry).collect();
            assert_eq!(entries, [0, 9, 1_500, 1_707, 2_499].map(EntryRef::Own));
            assert_eq!(failed.more, 0);
        }
    }

    #[test]
    fn a_weak_key_verifies_nothing_in_bulk_either() {
        let mut checker = Checker::new(1);
        let mut one = job(1, 1);
        // The identity of the curve: [S]B = R + [k]A holds for any message with S = 0 and R the identity.
        let mut identity = [0; 32];
        identity[0] = 1;
        one.key = KeyBytes(identity);
        one.sig = SigBytes([0; 64]);
        one.sig.0[0] = 1;
        checker.push(one);
        checker.push(job(1, 2));
        let failed = checker.finish().first;
        assert_eq!(failed.iter().map(|about| about.entry).collect::<Vec<_>>(), [EntryRef::Own(1)]);
    }

    #[test]
    fn of_very_many_failures_the_first_are_named_and_all_are_counted() {
        let good = job(1, 0);
        for threads in [1, 3] {
            let mut checker = Checker::new(threads);
            let total = MAX_FAILED as u64 + 2_000;
            for number in (0..total).rev() {
                // An S above the group order fails at once, so that this test is quick.
                let about = About { entry: EntryRef::Own(number), ..good.about.clone() };
                let sig = SigBytes([0xff; 64]);
                checker.push(Job { key: good.key, message: Vec::new(), sig, about });
            }
            let failed = checker.finish();
            assert_eq!(failed.first.len() as u64 + failed.more, total);
            let first: Vec<_> = failed.first.iter().take(3).map(|about| about.entry).collect();
            assert_eq!(first, [0, 1, 2].map(EntryRef::Own));
        }
    }
}
