//! Signatures in bulk (specs/entry.md §5): ZIP-215 batches over canonical keys that are not weak.
//!
//! A batch that fails is verified again one by one, strictly, to name what is wrong. Messages leave memory with
//! their batch, so the number held is bounded.

use super::finding::EntryRef;
use crate::ids::{Hash, KeyBytes, SigBytes};
use crate::keys::PublicKey;
use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
use rand_core::{TryCryptoRng, TryRng};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

/// Signatures of one key that are verified together: the gain flattens beyond.
const BATCH: usize = 1_024;
/// Signatures held back over all keys: at 500 bytes each 16 MB.
const MAX_QUEUED: usize = 32 * BATCH;

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
    pub(super) key: PublicKey,
    pub(super) message: Vec<u8>,
    pub(super) sig: SigBytes,
    pub(super) about: About,
}

/// Collects signatures and verifies them in batches on some threads.
#[derive(Debug)]
pub(super) struct Checker {
    threads: usize,
    queues: BTreeMap<KeyBytes, Vec<Job>>,
    queued: usize,
    ready: Vec<Vec<Job>>,
    failed: Vec<About>,
}

impl Checker {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            queues: BTreeMap::new(),
            queued: 0,
            ready: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, job: Job) {
        let key = job.key.bytes();
        let queue = self.queues.entry(key).or_default();
        queue.push(job);
        self.queued = self.queued.saturating_add(1);
        if queue.len() >= BATCH {
            let full = std::mem::take(queue);
            self.queued = self.queued.saturating_sub(full.len());
            self.ready.push(full);
        }
        if self.queued >= MAX_QUEUED {
            self.gather();
        }
        if self.ready.len() >= self.threads.saturating_mul(2) {
            self.run();
        }
    }

    /// Verifies what is left and gives everything that failed, in no particular order.
    pub(super) fn finish(mut self) -> Vec<About> {
        self.gather();
        self.run();
        self.failed
    }

    /// Makes batches of many keys out of the queues of keys that signed little.
    fn gather(&mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        for job in std::mem::take(&mut self.queues).into_values().flatten() {
            batch.push(job);
            if batch.len() >= BATCH {
                self.ready.push(std::mem::take(&mut batch));
            }
        }
        if !batch.is_empty() {
            self.ready.push(batch);
        }
        self.queued = 0;
    }

    fn run(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        let share = ready.len().div_ceil(self.threads).max(1);
        let failed: Vec<About> = std::thread::scope(|scope| {
            let spawn = |batches| scope.spawn(move || failures(batches));
            let workers: Vec<_> = ready.chunks(share).map(spawn).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<About>>| {
                worker.join().expect("verifying signatures does not panic")
            };
            workers.into_iter().flat_map(join).collect()
        });
        self.failed.extend(failed);
    }
}

fn failures(batches: &[Vec<Job>]) -> Vec<About> {
    batches.iter().filter(|batch| !holds(batch)).flat_map(|batch| one_by_one(batch)).collect()
}

fn holds(jobs: &[Job]) -> bool {
    let mut verifier = batch::Verifier::new();
    let mut seed = Vec::with_capacity(jobs.len().saturating_mul(128));
    for job in jobs {
        let key = VerificationKeyBytes::from(job.key.bytes().0);
        verifier.queue((key, Signature::from(job.sig.0), &job.message[..]));
        let digest = Hash::of("", &[&job.message]);
        seed.extend_from_slice(job.key.bytes().as_bytes());
        seed.extend_from_slice(job.sig.as_bytes());
        seed.extend_from_slice(digest.as_bytes());
    }
    verifier.verify(Coefficients::over(&seed)).is_ok()
}

fn one_by_one(jobs: &[Job]) -> Vec<About> {
    let fails = |job: &&Job| job.key.verify_message(&job.message, &job.sig).is_err();
    jobs.iter().filter(fails).map(|job| job.about.clone()).collect()
}

/// The coefficients of a batch: derived from all of its keys, signatures and messages, so whoever made them could
/// not know the coefficients before, and the same batch always gives the same answer.
struct Coefficients {
    seed: Hash,
    counter: u64,
}

impl Coefficients {
    fn over(batch: &[u8]) -> Self {
        Self { seed: Hash::of("WEFT-BATCH/1\n", &[batch]), counter: 0 }
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
        for part in out.chunks_mut(Hash::LEN) {
            let block = Hash::of("", &[self.seed.as_bytes(), &self.counter.to_be_bytes()]);
            self.counter = self.counter.wrapping_add(1);
            part.copy_from_slice(block.0.get(..part.len()).unwrap_or_default());
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

    fn job(key: u8, number: u64) -> Job {
        let secret = SecretKey::from_seed(&[key; 32]);
        let text = number.to_be_bytes();
        let sig = secret.sign(OP, &[&text]);
        let about = About { entry: EntryRef::Own(number), what: "the node's signature", file: "f".into() };
        Job { key: secret.public(), message: message(OP, &[&text]), sig, about }
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
            let mut failed: Vec<_> = checker.finish().into_iter().map(|about| about.entry).collect();
            failed.sort();
            assert_eq!(failed, [0, 9, 1_500, 1_707, 2_499].map(EntryRef::Own));
        }
    }
}
