//! What a liar signs twice: one move for each type of evidence, and evidence that it makes up against others.
//!
//! Both halves go to the same neighbour, or each to another one: whoever then has both must stop.

use super::{Liar, Message, Twice};
use std::sync::Arc;
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, Entry};
use weft_protocol::evidence::{Evidence, EvidenceType, InclusionHalf, Keys};
use weft_protocol::ids::{ClaimId, Hash, KeyBytes};
use weft_protocol::log::checkpoint::Checkpoint;

use weft_protocol::log::proof::{LeafHashes, build_inclusion};
use weft_protocol::log::tree::root_of;
use weft_protocol::log::witness::{Cosignature, witness_key};

impl Liar {
    /// Now and then it signs something for the second time, or accuses somebody.
    pub(super) fn forge(&mut self) {
        if !self.random.chance(120) {
            return;
        }
        let neighbours: Vec<usize> = self.lines.keys().copied().collect();
        let to = self.random.pick(&neighbours);
        let any = self.random.below(8);
        if let Twice::Only(kind) = self.twice {
            match kind {
                EvidenceType::Notes | EvidenceType::Proofs | EvidenceType::Cosignatures => {
                    self.sign_twice(to, kind);
                }
                EvidenceType::Entries if any < 4 => self.same_place(to, 0),
                EvidenceType::Entries => self.same_seq(to),
                // It says yes and no as the decider of a claim.
                EvidenceType::Decisions => {}
            }
            return;
        }
        match any {
            0 => self.sign_twice(to, EvidenceType::Notes),
            1 => self.sign_twice(to, EvidenceType::Proofs),
            2 => self.sign_twice(to, EvidenceType::Cosignatures),
            3 => self.same_place(to, 0),
            4 => self.same_place(to, 1),
            5 => self.same_seq(to),
            6 => self.accuse(to),
            _ => self.show_itself(to),
        }
    }

    /// Two notes about one thing; sometimes the second goes to another neighbour, who may have seen the first.
    fn sign_twice(&mut self, to: usize, kind: EvidenceType) {
        let number = self.random.between(1, 4);
        for root in [1, 2] {
            let half = self.half(kind, number, root);
            let neighbours: Vec<usize> = self.lines.keys().copied().collect();
            let to = if self.random.chance(300) { self.random.pick(&neighbours) } else { to };
            self.out.push((to, Message::Note(kind, half)));
        }
    }

    fn half(&mut self, kind: EvidenceType, number: u64, root: u8) -> Vec<u8> {
        let ledger = self.map.ledgers[self.map.us];
        let log = self.keys.log();
        let note = |root: Hash, size: u64| {
            Checkpoint::new(&ledger.origin(), size, root).expect("a checkpoint").sign(&log)
        };
        match kind {
            EvidenceType::Notes => note(Hash([root; 32]), number).to_string().into_bytes(),
            EvidenceType::Proofs => {
                let size = number + 1 + self.random.below(5);
                let leaf = |i: u64| Hash::of("", &[&[root], &i.to_be_bytes()]);
                let leaves: Vec<Hash> = (0..size).map(leaf).collect();
                let proof =
                    build_inclusion(&mut LeafHashes(&leaves), number, size).expect("a place in the tree");
                let note = Blob(note(root_of(leaves.iter().copied()), size).to_string().into_bytes());
                InclusionHalf { note, index: number, leaf: leaf(number), proof }.to_bytes()
            }
            EvidenceType::Cosignatures => {
                let other = Checkpoint::new("weft/somebody", number, Hash([root; 32])).expect("a checkpoint");
                let text = other.to_string();
                let witness = self.keys.witness();
                let name = witness_key(&ledger, &witness.public());
                let key: KeyBytes = witness.public().bytes();
                let line = Cosignature::sign(&text, self.time_ms / 1_000, &witness).line(name.name(), &key);
                let mut note = other.sign(&log);
                note.add(line).expect("a second line");
                note.to_string().into_bytes()
            }
            EvidenceType::Entries | EvidenceType::Decisions => {
                unreachable!("these go over the channel, not as notes")
            }
        }
    }

    /// Another line for a place of the channel that the neighbour has; of a later boot it is no evidence.
    fn same_place(&mut self, to: usize, boots: u64) {
        let Some(line) = self.lines.get(&to) else { return };
        let Some(known) = usize::try_from(line.acked).ok().and_then(|acked| acked.checked_sub(1)) else {
            return;
        };
        let bytes = line.written[self.random.index(known + 1)].clone();
        if let Some(forged) = self.otherwise(&bytes, |body| body.boot += boots) {
            self.out.push((to, Message::Push(vec![forged])));
        }
    }

    fn otherwise(&mut self, bytes: &[u8], change: impl FnOnce(&mut Body)) -> Option<Arc<[u8]>> {
        let entry = Entry::parse(bytes).ok()?;
        let mut body = entry.body().clone();
        body.salt = self.random.salt();
        change(&mut body);
        Some(Entry::sign(&body, &self.keys.log()).ok()?.bytes().into())
    }

    /// The next line of the channel, at a place of the ledger where another line of it stands already.
    fn same_seq(&mut self, to: usize) {
        let Some(line) = self.lines.get(&to).filter(|line| !line.written.is_empty()) else { return };
        let earlier = line.written[self.random.index(line.written.len())].clone();
        let Ok(earlier) = Entry::parse(&earlier) else { return };
        let (seq, prev) = (self.seq, self.prev);
        self.seq = earlier.body().seq;
        let claim = ClaimId(self.random.bytes());
        self.write(to, Some(claim), Some(Hash::ZERO), StepArgs::Free);
        (self.seq, self.prev) = (seq, prev);
    }

    /// Evidence against a neighbour, made of what the liar can sign and what the neighbour has signed.
    fn accuse(&mut self, to: usize) {
        let victims: Vec<usize> = (0..self.map.ledgers.len()).filter(|i| *i != self.map.us).collect();
        let victim = self.random.pick(&victims);
        let ledger = self.map.ledgers[victim];
        let log = self.keys.log();
        let note = |root: u8| {
            let checkpoint = Checkpoint::new(&ledger.origin(), 7, Hash([root; 32])).expect("a checkpoint");
            checkpoint.sign(&log).to_string().into_bytes()
        };
        // Signed by the wrong key: it cannot even be joined, so the bytes are put together by hand.
        let identity = [self.map.genesis[victim].clone()];
        let (first, second) = (note(1), note(2));
        self.out.push((to, Message::Evidence(raw(1, ledger.as_bytes(), &identity, [&first, &second]))));
        let theirs = self.heard_lines.get(&victim).cloned().unwrap_or_default();
        let Some(signed) = theirs.first() else { return };
        // Two true lines of one network, and one of them with itself.
        let last = theirs.last().unwrap_or(signed);
        self.out.push((to, Message::Evidence(raw(3, ledger.as_bytes(), &identity, [signed, last]))));
        if let Some(forged) = self.otherwise(signed, |_| {}) {
            self.out.push((to, Message::Evidence(raw(3, ledger.as_bytes(), &identity, [signed, &forged]))));
        }
    }

    /// It convicts itself, in somebody's hearing.
    fn show_itself(&mut self, to: usize) {
        let (first, second) = (self.half(EvidenceType::Notes, 9, 1), self.half(EvidenceType::Notes, 9, 2));
        let genesis = self.map.genesis[self.map.us].clone();
        let Ok(entry) = Entry::parse(&genesis) else { return };
        let Ok(keys) = Keys::from_entries(&[entry]) else { return };
        let ledger = self.map.ledgers[self.map.us];
        let joined = Evidence::join(EvidenceType::Notes, ledger, &[genesis], [&first, &second], &keys);
        if let Ok(proven) = joined {
            self.out.push((to, Message::Evidence(proven.evidence().to_bytes())));
        }
    }
}

/// The bytes of an Evidence that nobody has checked.
fn raw(kind: u8, accused: &[u8; 32], identity: &[Vec<u8>], halves: [&[u8]; 2]) -> Vec<u8> {
    let mut out = vec![0xa5, 0, 1, 1, kind, 2];
    bytes(accused, &mut out);
    out.extend([3, 0x80 | u8::try_from(identity.len()).expect("a short list")]);
    identity.iter().for_each(|entry| bytes(entry, &mut out));
    out.extend([4, 0x82]);
    halves.iter().for_each(|half| bytes(half, &mut out));
    out
}

fn bytes(content: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(content.len()).expect("a short byte string");
    match u8::try_from(len) {
        Ok(len @ 0..=23) => out.push(0x40 | len),
        Ok(len) => out.extend([0x58, len]),
        Err(_) => {
            out.push(0x59);
            out.extend(len.to_be_bytes());
        }
    }
    out.extend_from_slice(content);
}
