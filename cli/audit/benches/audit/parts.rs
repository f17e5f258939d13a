//! What no audit can leave out, each by itself on one thread: decoding with the leaf hash, the tree, and the
//! signatures in batches of the same size over the same keys. And what comes beside: the rules, reading the files.

use crate::{Outcome, cpu_ns, median};
use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::path::Path;
use weft_audit::DirSource;
use weft_protocol::audit::{Item, SIGNATURES_PER_BATCH, Source};
use weft_protocol::entry::Entry;
use weft_protocol::ledger::state::State;
use weft_protocol::ledger::{self, SigCheck};
use weft_protocol::log::tile::TileBuilder;

/// Entries measured together: as many as the audit holds signatures back for.
const CHUNK: usize = 32 * SIGNATURES_PER_BATCH;

/// What one part has cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Part {
    pub(crate) ns: u64,
    pub(crate) count: u64,
}

impl Part {
    pub(crate) fn each_ns(self) -> u64 {
        self.ns / self.count.max(1)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) decode: Part,
    pub(crate) tree: Part,
    pub(crate) node_signatures: Part,
    pub(crate) people_signatures: Part,
    pub(crate) apply: Part,
    pub(crate) read: Part,
}

/// Adds up what a part costs, chunk by chunk, in each of some rounds.
struct Rounds {
    ns: Vec<u64>,
    count: u64,
}

impl Rounds {
    fn new(rounds: usize) -> Self {
        Self { ns: vec![0; rounds.max(1)], count: 0 }
    }

    fn add(&mut self, count: usize, mut work: impl FnMut()) {
        self.count += count as u64;
        for ns in &mut self.ns {
            let before = cpu_ns();
            work();
            *ns += cpu_ns() - before;
        }
    }

    fn part(self) -> Part {
        Part { ns: median(self.ns), count: self.count }
    }
}

impl Parts {
    /// Measures a bundle.
    pub(crate) fn measure(bundle: &Path, rounds: usize) -> Outcome<Self> {
        let mut source = DirSource::open(bundle)?;
        let [mut decode, mut tree, mut node, mut people] = std::array::from_fn(|_| Rounds::new(rounds));
        let (mut apply, mut read) = (Part::default(), Part::default());
        let mut state = State::default();
        loop {
            let before = cpu_ns();
            let bytes: Vec<Vec<u8>> = std::iter::from_fn(|| match source.next_item()? {
                Item::Own { bytes, .. } => Some(bytes),
                Item::Received { .. } | Item::Problem(_) => None,
            })
            .take(CHUNK)
            .collect();
            read.ns += cpu_ns() - before;
            read.count += bytes.len() as u64;
            if bytes.is_empty() {
                break;
            }
            decode.add(bytes.len(), || bytes.iter().for_each(|bytes| assert!(Entry::parse(bytes).is_ok())));
            let entries = bytes.iter().map(|bytes| Entry::parse(bytes)).collect::<Result<Vec<_>, _>>()?;
            tree.add(entries.len(), || {
                let mut builder = TileBuilder::new();
                entries.iter().for_each(|entry| builder.push(entry.leaf()));
                assert!(!builder.take_changed().is_empty());
            });
            let (mut by_node, mut by_people) = (Vec::new(), Vec::new());
            for entry in &entries {
                let mut checks = ledger::signatures(&state, entry)?;
                by_people.extend(checks.drain(1..));
                by_node.append(&mut checks);
                let before = cpu_ns();
                let transition = ledger::apply(&state, entry)?;
                state.commit(&transition);
                apply.ns += cpu_ns() - before;
                apply.count += 1;
            }
            by_people.sort_by_key(|check| check.key);
            node.add(by_node.len(), || verify(&by_node));
            people.add(by_people.len(), || verify(&by_people));
        }
        Ok(Self {
            decode: decode.part(),
            tree: tree.part(),
            node_signatures: node.part(),
            people_signatures: people.part(),
            apply,
            read,
        })
    }

    fn all(&mut self) -> [&mut Part; 6] {
        let Self { decode, tree, node_signatures, people_signatures, apply, read } = self;
        [decode, tree, node_signatures, people_signatures, apply, read]
    }

    /// The figures for the process that asked.
    pub(crate) fn into_line(mut self) -> String {
        self.all().map(|part| format!("{} {}", part.ns, part.count)).join(" ")
    }

    /// Reads what [`Parts::into_line`] wrote.
    pub(crate) fn from_line(figures: &[u64]) -> Outcome<Self> {
        let mut parts = Self::default();
        if figures.len() != parts.all().len() * 2 {
            return Err("the parts printed something else".into());
        }
        for (part, figures) in parts.all().into_iter().zip(figures.chunks(2)) {
            (part.ns, part.count) = (figures[0], figures[1]);
        }
        Ok(parts)
    }
}

fn verify(checks: &[SigCheck]) {
    for checks in checks.chunks(SIGNATURES_PER_BATCH) {
        let mut verifier = batch::Verifier::new();
        for check in checks {
            let key = VerificationKeyBytes::from(check.key.0);
            verifier.queue((key, Signature::from(check.sig.0), &check.message[..]));
        }
        assert!(verifier.verify(ChaCha8Rng::from_seed([7; 32])).is_ok(), "every signature is right");
    }
}
