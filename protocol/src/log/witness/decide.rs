//! What a witness does with a request: one pure function of what it cosigned last (specs/witness.md §3).
//!
//! What must hold: [`Decision::Cosign`] is given only for a checkpoint that extends the one before it, or is it. The
//! caller makes what is to be cosigned durable in the same step in which it has checked `seen`, and signs only after that.

use super::request::{AddCheckpoint, Answer};
use crate::ids::Hash;
use crate::log::checkpoint::Checkpoint;
use crate::log::note::{Note, VerifierKey};
use crate::log::proof::verify_consistency;
use crate::log::tree::empty_root;

/// The checkpoint of a log that the witness cosigned last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Entries in the log.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// The note as the log signed it.
    pub note: Note,
}

/// Two checkpoints that one log has signed and that cannot both be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The one cosigned before.
    pub held: Note,
    /// The one given now: the same size, another root.
    pub given: Note,
}

/// Why a request is not answered with a cosignature, by the status of tlog-witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 404.
    #[error("this witness does not know the log")]
    UnknownLog,
    /// 403.
    #[error("the checkpoint is not signed by a key of its log")]
    Unsigned,
    /// 400: not a checkpoint, or the old size is the larger one.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// 422.
    #[error(
        "the checkpoint is not proven to extend the one of {old_size} entries that this witness cosigned"
    )]
    Inconsistent {
        /// The size cosigned last.
        old_size: u64,
    },
}

impl Refusal {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownLog => 404,
            Self::Unsigned => 403,
            Self::Malformed(_) => 400,
            Self::Inconsistent { .. } => 422,
        }
    }

    /// The answer that says so.
    pub fn answer(self) -> Answer {
        Answer::Refused(self.status(), self.to_string())
    }
}

/// What a witness does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Make this durable, then cosign and answer 200.
    Cosign(Box<Seen>),
    /// Answer 409 with the size cosigned last. A contradiction, if there is one, is evidence to be kept.
    Conflict {
        /// The size cosigned last; 0 when none.
        size: u64,
        /// What the log has signed twice.
        contradiction: Option<Box<Contradiction>>,
    },
    /// Answer so; nothing changes.
    Refuse(Refusal),
}

/// Decides on a request. `keys` are those of the log that the note's first line names, empty for a log that the
/// witness does not know; `seen` is what it cosigned last of that log.
pub fn decide(keys: &[VerifierKey], seen: Option<&Seen>, request: &AddCheckpoint) -> Decision {
    if keys.is_empty() {
        return Decision::Refuse(Refusal::UnknownLog);
    }
    let given = &request.note;
    let signed = keys.iter().any(|key| key.name().as_str() == origin_of(given) && given.verify(key).is_ok());
    if !signed {
        return Decision::Refuse(Refusal::Unsigned);
    }
    let Ok(checkpoint) = given.text().parse::<Checkpoint>() else {
        return Decision::Refuse(Refusal::Malformed("the note is no checkpoint"));
    };
    if request.old_size > checkpoint.size() {
        return Decision::Refuse(Refusal::Malformed("the old size is larger than the checkpoint's"));
    }
    let (size, root) = seen.map_or((0, empty_root()), |seen| (seen.size, seen.root));
    if let Some(seen) = seen.filter(|_| checkpoint.size() == size && checkpoint.root() != root) {
        let contradiction = Contradiction { held: seen.note.clone(), given: given.clone() };
        return Decision::Conflict { size, contradiction: Some(Box::new(contradiction)) };
    }
    if request.old_size != size {
        return Decision::Conflict { size, contradiction: None };
    }
    if !extends(request, (size, &root), &checkpoint) {
        return Decision::Refuse(Refusal::Inconsistent { old_size: size });
    }
    // The lines of others are nobody's word here: what is kept is what the log said.
    let mut note = given.clone();
    note.retain(|line| keys.iter().any(|key| line.claims(key)));
    Decision::Cosign(Box::new(Seen { size: checkpoint.size(), root: checkpoint.root(), note }))
}

/// The first line of a note: the origin, when it is a checkpoint.
pub fn origin_of(note: &Note) -> &str {
    note.text().split('\n').next().unwrap_or_default()
}

fn extends(request: &AddCheckpoint, (size, root): (u64, &Hash), checkpoint: &Checkpoint) -> bool {
    if size == 0 {
        return request.proof.is_empty();
    }
    verify_consistency(size, checkpoint.size(), &request.proof, root, &checkpoint.root()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use crate::log::proof::{LeafHashes, build_consistency};
    use crate::log::tree::tests::{naive_root, numbered_leaves};
    use proptest::prelude::*;

    const ORIGIN: &str = "weft/aaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn keys() -> Vec<VerifierKey> {
        vec![Checkpoint::log_key(ORIGIN, &secret(1).public()).unwrap()]
    }

    /// Leaves of the honest history, or of one that forks off it after so many.
    fn leaves(size: u64, fork_at: u64) -> Vec<Hash> {
        let mut leaves = numbered_leaves(size);
        let at = usize::try_from(fork_at).unwrap().min(leaves.len());
        leaves[at..].iter_mut().for_each(|leaf| leaf.0[0] ^= 1);
        leaves
    }

    fn note(leaves: &[Hash], seed: u8) -> Note {
        Checkpoint::new(ORIGIN, leaves.len() as u64, naive_root(leaves)).unwrap().sign(&secret(seed))
    }

    fn request(old_size: u64, leaves: &[Hash]) -> AddCheckpoint {
        let size = leaves.len() as u64;
        let proof = match old_size {
            0 => Vec::new(),
            _ => build_consistency(&mut LeafHashes(leaves), old_size, size).unwrap_or_default(),
        };
        AddCheckpoint { old_size, proof, note: note(leaves, 1) }
    }

    fn seen(leaves: &[Hash]) -> Seen {
        Seen { size: leaves.len() as u64, root: naive_root(leaves), note: note(leaves, 1) }
    }

    fn refused(refusal: Refusal) -> Decision {
        Decision::Refuse(refusal)
    }

    #[test]
    fn a_log_that_grows_is_cosigned_from_nothing_on() {
        let (five, nine) = (leaves(5, 99), leaves(9, 99));
        let first = decide(&keys(), None, &request(0, &five));
        assert_eq!(first, Decision::Cosign(Box::new(seen(&five))));
        assert_eq!(
            decide(&keys(), Some(&seen(&five)), &request(5, &nine)),
            Decision::Cosign(Box::new(seen(&nine)))
        );
        assert_eq!(
            decide(&keys(), Some(&seen(&five)), &request(5, &five)),
            Decision::Cosign(Box::new(seen(&five))),
            "the same again is cosigned again"
        );
    }

    #[test]
    fn another_old_size_is_told_the_right_one() {
        let conflict = |size| Decision::Conflict { size, contradiction: None };
        let nine = leaves(9, 99);
        assert_eq!(decide(&keys(), None, &request(5, &nine)), conflict(0));
        assert_eq!(decide(&keys(), Some(&seen(&leaves(5, 99))), &request(0, &nine)), conflict(5));
        assert_eq!(decide(&keys(), Some(&seen(&leaves(7, 99))), &request(5, &nine)), conflict(7));
        // A smaller checkpoint is never cosigned after a larger one, whatever it claims to extend.
        assert_eq!(decide(&keys(), Some(&seen(&nine)), &request(5, &leaves(7, 99))), conflict(9));
    }

    #[test]
    fn one_size_with_two_roots_is_a_contradiction_whatever_the_old_size() {
        let (honest, forked) = (leaves(9, 99), leaves(9, 4));
        for old_size in [0, 3, 9] {
            let Decision::Conflict { size: 9, contradiction: Some(found) } =
                decide(&keys(), Some(&seen(&honest)), &request(old_size, &forked))
            else {
                panic!("old size {old_size}");
            };
            assert_eq!((found.held, found.given), (note(&honest, 1), note(&forked, 1)));
        }
    }

    #[test]
    fn a_fork_that_is_longer_is_not_cosigned() {
        let honest = seen(&leaves(5, 99));
        let forked = leaves(9, 4);
        assert_eq!(
            decide(&keys(), Some(&honest), &request(5, &forked)),
            refused(Refusal::Inconsistent { old_size: 5 })
        );
        let mut empty = request(5, &leaves(9, 99));
        empty.proof.clear();
        assert_eq!(decide(&keys(), Some(&honest), &empty), refused(Refusal::Inconsistent { old_size: 5 }));
        let mut from_nothing = request(0, &leaves(9, 99));
        from_nothing.proof.push(Hash::ZERO);
        assert_eq!(decide(&keys(), None, &from_nothing), refused(Refusal::Inconsistent { old_size: 0 }));
    }

    #[test]
    fn who_is_not_the_log_is_refused_before_anything_else() {
        let five = leaves(5, 99);
        assert_eq!(decide(&[], None, &request(9, &five)), refused(Refusal::UnknownLog));
        let forged = AddCheckpoint { note: note(&five, 2), ..request(0, &five) };
        assert_eq!(decide(&keys(), None, &forged), refused(Refusal::Unsigned));
        let smaller = AddCheckpoint { old_size: 6, ..request(0, &five) };
        assert!(matches!(decide(&keys(), None, &smaller), Decision::Refuse(Refusal::Malformed(_))));
        let name = keys()[0].name().clone();
        let text = format!("{ORIGIN}\n5\nnonsense\n");
        let nonsense =
            AddCheckpoint { note: Note::sign(&text, &name, &secret(1)).unwrap(), ..request(0, &five) };
        assert!(matches!(decide(&keys(), None, &nonsense), Decision::Refuse(Refusal::Malformed(_))));
        // Signed by the log's key under its name, but the text is of another log.
        let text = format!("weft/other\n5\n{}\n", data_encoding::BASE64.encode(&[7; 32]));
        let other =
            AddCheckpoint { note: Note::sign(&text, &name, &secret(1)).unwrap(), ..request(0, &five) };
        assert_eq!(decide(&keys(), None, &other), refused(Refusal::Unsigned));
    }

    #[test]
    fn lines_of_others_are_not_kept() {
        let five = leaves(5, 99);
        let mut cosigned = request(0, &five);
        let name = super::super::witness_name(ORIGIN).unwrap();
        cosigned.note.cosign(&name, &secret(3), 7).unwrap();
        assert_eq!(decide(&keys(), None, &cosigned), Decision::Cosign(Box::new(seen(&five))));
    }

    #[test]
    fn each_refusal_has_the_status_of_the_format() {
        let statuses = [
            Refusal::UnknownLog,
            Refusal::Unsigned,
            Refusal::Malformed(""),
            Refusal::Inconsistent { old_size: 1 },
        ]
        .map(Refusal::status);
        assert_eq!(statuses, [404, 403, 400, 422]);
    }

    proptest! {
        /// Whatever is asked, in whatever order: all that a witness cosigns lies on one history.
        #[test]
        fn all_that_is_cosigned_is_one_history(
            asked in proptest::collection::vec((0_u64..12, 1_u64..12, 0_u64..12), 1..40)
        ) {
            let (mut last, mut history): (Option<Seen>, Vec<Hash>) = (None, Vec::new());
            for (old_size, size, fork_at) in asked {
                let asked = leaves(size, fork_at);
                let request = AddCheckpoint { old_size, ..request(old_size.min(size), &asked) };
                if let Decision::Cosign(next) = decide(&keys(), last.as_ref(), &request) {
                    prop_assert!(asked.starts_with(&history), "{size} forks at {fork_at}");
                    prop_assert_eq!(naive_root(&asked), next.root);
                    (last, history) = (Some(*next), asked);
                }
            }
        }
    }
}
