//! Whether a checkpoint has been witnessed enough, by a policy, and in which words that is told.
//!
//! Two conflicting checkpoints can both be cosigned by k of n witnesses, f of whom lie, only when 2k − n ≤ f: so
//! k must be at least ⌊(n + f) / 2⌋ + 1. A network's only peer is no outsider to their common history: a cosignature
//! by it alone is told as such.

use super::cosignature::{Cosignature, CosignatureError};
use super::policy::{Name, Policy};
use crate::log::note::{KeyName, Note, NoteVerifyError, SignatureLine, VerifierKey};

/// The words for a checkpoint that only the other side of the audited channel has cosigned.
pub const ONLY_COUNTERPARTY: &str = "witnessed only by its counterparty";

/// The least number of cosignatures out of `witnesses` of whom `liars` may sign anything, such that two conflicting
/// checkpoints cannot both have it. `None` when even all of them are not enough.
pub const fn least_quorum(witnesses: u32, liars: u32) -> Option<u32> {
    let least = witnesses.saturating_add(liars) / 2;
    let least = least.saturating_add(1);
    if least <= witnesses && liars < witnesses { Some(least) } else { None }
}

/// What a witness of the policy has to say of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It cosigned at this time, in seconds since 1970-01-01T00:00Z.
    Cosigned {
        /// When.
        time_s: u64,
    },
    /// No line of it.
    Missing,
    /// A line under its name and key id that does not verify.
    Bad,
}

/// One witness of the policy, and its word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Its name in the policy.
    pub name: Name,
    /// The name of its key, as in signature lines.
    pub key_name: KeyName,
    /// What it says.
    pub word: Word,
}

/// How a note stands under a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// Whether one of the policy's logs signed it; `None` when the policy lists no logs.
    pub log: Option<Result<(), NoteVerifyError>>,
    /// Whether the witnesses that cosigned are enough.
    pub reached: bool,
    /// Every witness of the policy, in its order.
    pub witnesses: Vec<Witnessed>,
    /// Lines that belong to no log or witness of the policy. The signature of the log itself is among them when the
    /// policy does not list it.
    pub unknown: Vec<SignatureLine>,
}

impl Quorum {
    /// The witnesses that cosigned.
    pub fn cosigned(&self) -> impl Iterator<Item = (&Witnessed, u64)> {
        self.witnesses.iter().filter_map(|witness| match witness.word {
            Word::Cosigned { time_s } => Some((witness, time_s)),
            Word::Missing | Word::Bad => None,
        })
    }

    /// Lines that claim to be a known witness's and are not.
    pub fn bad(&self) -> impl Iterator<Item = &Witnessed> {
        self.witnesses.iter().filter(|witness| witness.word == Word::Bad)
    }

    /// Whether all that vouches for the note is one counterparty.
    pub fn only_counterparty(&self, counterparties: &[KeyName]) -> bool {
        let mut cosigned = self.cosigned();
        match (cosigned.next(), cosigned.next()) {
            (Some((witness, _)), None) => counterparties.contains(&witness.key_name),
            (None | Some(_), _) => false,
        }
    }

    /// One sentence for people. `counterparties` are the witness names of networks that the ledger has accords with.
    pub fn words(&self, counterparties: &[KeyName]) -> String {
        let (count, of) = (self.cosigned().count(), self.witnesses.len());
        let enough = if self.reached { "enough for the policy" } else { "too few for the policy" };
        if self.only_counterparty(counterparties) {
            return format!("{ONLY_COUNTERPARTY}: {enough}");
        }
        match (count, of) {
            (_, 0) => "the policy asks for no witness".to_owned(),
            (0, _) => format!("witnessed by nobody: {enough}"),
            (_, _) => format!("witnessed by {count} of {of}: {enough}"),
        }
    }
}

/// Holds a note against a policy. Says nothing about whether its text is a checkpoint.
pub fn check_quorum(note: &Note, policy: &Policy) -> Quorum {
    let witnesses: Vec<Witnessed> = policy
        .witnesses()
        .iter()
        .map(|witness| {
            let word = match note.cosignature(&witness.key) {
                Ok(Cosignature { time_s, .. }) => Word::Cosigned { time_s },
                Err(CosignatureError::NotCosigned { .. } | CosignatureError::WrongType { .. }) => {
                    Word::Missing
                }
                Err(CosignatureError::Bad { .. }) => Word::Bad,
            };
            Witnessed { name: witness.name.clone(), key_name: witness.key.name().clone(), word }
        })
        .collect();
    let logs = || policy.logs().iter().map(|log| &log.key);
    let log = match logs().find(|key| note.verify(key).is_ok()) {
        Some(_) => Some(Ok(())),
        None => logs().next().map(|key| note.verify(key)),
    };
    let known: Vec<VerifierKey> =
        logs().chain(policy.witnesses().iter().map(|witness| &witness.key)).cloned().collect();
    let signed = |index: usize| {
        witnesses.get(index).is_some_and(|witness| matches!(witness.word, Word::Cosigned { .. }))
    };
    let reached = policy.reached(signed);
    Quorum { log, reached, unknown: note.lines_of_others(&known).cloned().collect(), witnesses }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Hash, LedgerId};
    use crate::keys::SecretKey;
    use crate::log::checkpoint::Checkpoint;
    use crate::log::witness::witness_key;

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn key(seed: u8) -> VerifierKey {
        witness_key(&LedgerId([seed; 32]), &secret(seed).public())
    }

    fn note(cosigners: &[u8]) -> Note {
        let mut note =
            Checkpoint::new(&LedgerId([9; 32]).origin(), 5, Hash([9; 32])).unwrap().sign(&secret(9));
        for seed in cosigners {
            note.cosign(key(*seed).name(), &secret(*seed), 1_000 + u64::from(*seed)).unwrap();
        }
        note
    }

    fn policy(of: u8, threshold: usize) -> Policy {
        let log = Checkpoint::log_key(&LedgerId([9; 32]).origin(), &secret(9).public()).unwrap();
        let text = Policy::of_witnesses((1..=of).map(key), threshold).to_string();
        Policy::parse(format!("log {log}\n{text}").as_bytes()).unwrap()
    }

    #[test]
    fn known_lines_are_verified_and_unknown_ones_listed() {
        let found = check_quorum(&note(&[1, 3, 7]), &policy(3, 2));
        assert_eq!((found.log, found.reached), (Some(Ok(())), true));
        let words: Vec<_> = found.witnesses.iter().map(|w| w.word).collect();
        assert_eq!(
            words,
            [Word::Cosigned { time_s: 1_001 }, Word::Missing, Word::Cosigned { time_s: 1_003 }]
        );
        assert_eq!(found.unknown.len(), 1);
        assert_eq!(found.unknown[0].name, *key(7).name());
    }

    #[test]
    fn a_bad_line_of_a_known_witness_counts_for_nothing_and_is_named() {
        let mut note = note(&[1]);
        let other = Cosignature::sign("another text\n", 5, &secret(2));
        note.add(other.line(key(2).name(), &key(2).key().bytes())).unwrap();
        let found = check_quorum(&note, &policy(2, 2));
        assert!(!found.reached && found.unknown.is_empty());
        assert_eq!(found.bad().map(|w| &w.key_name).collect::<Vec<_>>(), [key(2).name()]);
    }

    #[test]
    fn a_log_that_the_policy_does_not_list_is_no_log_of_it() {
        let text = Policy::of_witnesses([key(1)], 1).to_string();
        let other = Checkpoint::log_key("example.com/other", &secret(8).public()).unwrap();
        let with_other = Policy::parse(format!("log {other}\n{text}").as_bytes()).unwrap();
        assert!(matches!(check_quorum(&note(&[1]), &with_other).log, Some(Err(_))));
        let without = Policy::parse(text.as_bytes()).unwrap();
        assert_eq!(check_quorum(&note(&[1]), &without).log, None);
    }

    #[test]
    fn people_are_told_when_only_the_counterparty_has_witnessed() {
        let counterparty = [key(1).name().clone()];
        let words =
            |cosigners: &[u8], of, k| check_quorum(&note(cosigners), &policy(of, k)).words(&counterparty);
        assert_eq!(words(&[1], 1, 1), "witnessed only by its counterparty: enough for the policy");
        assert_eq!(words(&[2], 3, 2), "witnessed by 1 of 3: too few for the policy");
        assert_eq!(words(&[1, 2], 3, 2), "witnessed by 2 of 3: enough for the policy");
        assert_eq!(words(&[], 3, 2), "witnessed by nobody: too few for the policy");
        assert_eq!(words(&[], 0, 0), "the policy asks for no witness");
    }

    /// Tries every pair of sets of honest cosigners: two conflicting checkpoints share no honest witness.
    #[test]
    fn the_least_quorum_is_the_least_that_two_histories_cannot_both_have() {
        for witnesses in 0..12_u32 {
            for liars in 0..14_u32 {
                let conflict = |k: u32| {
                    let honest = witnesses.saturating_sub(liars);
                    let each = k.saturating_sub(liars.min(witnesses));
                    each * 2 <= honest && k <= witnesses
                };
                let least = (1..=witnesses).find(|k| !conflict(*k));
                let expected = if liars < witnesses { least } else { None };
                assert_eq!(least_quorum(witnesses, liars), expected, "{witnesses} of whom {liars} lie");
            }
        }
    }
}
