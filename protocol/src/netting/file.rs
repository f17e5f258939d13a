//! Netting without a network: names as parties, and the certificate of all components as one file (specs/netting.md §5).
//!
//! What must hold: a certificate that [`Certificate::verify`] accepts clears as much as can be cleared of exactly the
//! debts it is checked against, whoever made it.

use super::certificate::CertificateError;
use super::{Cleared, Component, Debts, Party};
use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::ids::Hash;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

/// The longest name of a party, in bytes: what a column of a table holds.
pub const MAX_NAME_BYTES: usize = 200;
/// Bytes of a certificate beside its numbers: heads, version, two hashes.
pub const MAX_FRAME_BYTES: usize = 128;
/// The version of certificates.
pub const CERTIFICATE_VERSION: u8 = 1;
/// Bytes of a number.
const NUMBER_BYTES: usize = 8;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left without blanks.
    #[error("the name is empty")]
    Empty,
    /// Too long.
    #[error("the name has {bytes} bytes; at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It has a character that nobody can see.
    #[error("the name has the control character U+{0:04X} in it")]
    Control(u32),
}

/// The party of a name (specs/netting.md §5.2). Blanks around it do not count.
///
/// # Errors
/// When the text is no name.
pub fn party(name: &str) -> Result<Party, NameError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if let Some(hidden) = name.chars().find(|letter| letter.is_control()) {
        return Err(NameError::Control(u32::from(hidden)));
    }
    Ok(Hash::of("WEFT-NETTING-NAME/1\n", &[name.as_bytes()]).0)
}

/// What is cleared of some debts, with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What the costs were drawn with.
    pub seed: Hash,
    /// Which debts it is of: [`Debts::hash`].
    pub debts: Hash,
    /// By how much each edge shrinks, in the order of [`Debts::arcs`].
    pub reductions: Vec<i64>,
    /// A potential for each party, in the order of [`Debts::parties`].
    pub potentials: Vec<i64>,
}

/// Why a certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is no certificate.
    #[error("it is not a certificate: {0}")]
    Form(#[from] EncodingError),
    /// Of a version that this program does not know.
    #[error("it is a certificate of version {0}; only version {CERTIFICATE_VERSION} is known")]
    Version(u8),
    /// It is of other debts.
    #[error("it is of other debts: {of}, and these are {these}")]
    Debts {
        /// What it is of.
        of: Hash,
        /// What it was checked against.
        these: Hash,
    },
    /// Not one reduction for each edge, or not one potential for each party.
    #[error(
        "it has {reductions} reductions for {edges} edges, and {potentials} potentials for {parties} parties"
    )]
    Shape {
        /// Edges there are.
        edges: usize,
        /// Reductions given.
        reductions: usize,
        /// Parties there are.
        parties: usize,
        /// Potentials given.
        potentials: usize,
    },
    /// It says something of an edge or a party that is on no circle.
    #[error("it says {said} of {what} {place}, which is in no component")]
    Outside {
        /// Edge or party.
        what: &'static str,
        /// Which one, in its order.
        place: usize,
        /// The number given.
        said: i64,
    },
    /// A component breaks a rule.
    #[error("component {component}: {error}")]
    Component {
        /// Which one, from 0.
        component: usize,
        /// The rule.
        error: CertificateError,
    },
}

impl FileError {
    /// The rule broken, as the specification calls it.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Form(_) | Self::Version(_) => "form",
            Self::Debts { .. } => "debts",
            Self::Shape { .. } => "shape",
            Self::Outside { .. } => "outside",
            Self::Component { error, .. } => error.rule(),
        }
    }
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct Bytes {
    #[n(0)]
    v: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    seed: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    debts: [u8; 32],
    #[n(3)]
    reductions: Blob,
    #[n(4)]
    potentials: Blob,
}

fn packed(numbers: &[i64]) -> Blob {
    Blob(numbers.iter().flat_map(|number| number.to_be_bytes()).collect())
}

fn unpacked(bytes: &Blob) -> Option<Vec<i64>> {
    let (numbers, rest) = bytes.0.as_chunks::<NUMBER_BYTES>();
    rest.is_empty().then(|| numbers.iter().map(|number| i64::from_be_bytes(*number)).collect())
}

impl Debts {
    /// What names these debts and no others (specs/netting.md §5.4).
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut hasher = Sha256::new_with_prefix("WEFT-NETTING-DEBTS/1\n");
        for arc in &self.arcs {
            hasher.update(self.parties[arc.debtor as usize]);
            hasher.update(self.parties[arc.creditor as usize]);
            hasher.update(arc.amount.to_be_bytes());
        }
        Hash(hasher.finalize().into())
    }
}

impl Certificate {
    /// Clears all that can be cleared.
    #[must_use]
    pub fn solve(debts: &Debts, seed: &Hash) -> Self {
        let parts = debts.components(seed);
        let solved = parts.iter().map(|part| (part, part.solve()));
        Self::of(debts, seed, solved)
    }

    /// Puts together what is cleared in each component.
    fn of<'a>(debts: &Debts, seed: &Hash, parts: impl Iterator<Item = (&'a Component, Cleared)>) -> Self {
        let mut reductions = vec![0; debts.arcs.len()];
        let mut potentials = vec![0; debts.parties.len()];
        for (part, cleared) in parts {
            for (edge, reduction) in part.edges.iter().zip(cleared.reductions) {
                reductions[*edge] = reduction;
            }
            for (node, potential) in part.nodes.iter().zip(cleared.potentials) {
                potentials[*node as usize] = potential;
            }
        }
        Self { seed: *seed, debts: debts.hash(), reductions, potentials }
    }

    /// All that is cleared.
    #[must_use]
    pub fn volume(&self) -> i128 {
        self.reductions.iter().map(|reduction| i128::from(*reduction)).sum()
    }

    /// The longest certificate of debts.
    #[must_use]
    pub fn max_bytes(debts: &Debts) -> usize {
        let numbers = debts.arcs.len().saturating_add(debts.parties.len());
        numbers.saturating_mul(NUMBER_BYTES).saturating_add(MAX_FRAME_BYTES)
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&Bytes {
            v: CERTIFICATE_VERSION,
            seed: self.seed.0,
            debts: self.debts.0,
            reductions: packed(&self.reductions),
            potentials: packed(&self.potentials),
        })
    }

    /// Reads a file; `debts` say how long it may be.
    ///
    /// # Errors
    /// When it is no certificate.
    pub fn from_bytes(bytes: &[u8], debts: &Debts) -> Result<Self, FileError> {
        let file: Bytes = decode_canonical(bytes, Self::max_bytes(debts))?;
        if file.v != CERTIFICATE_VERSION {
            return Err(FileError::Version(file.v));
        }
        let numbers = |what: &str, bytes: &Blob| {
            let uneven = || EncodingError::Structure(format!("{what} are not of {NUMBER_BYTES} bytes each"));
            unpacked(bytes).ok_or_else(uneven)
        };
        let reductions = numbers("reductions", &file.reductions)?;
        let potentials = numbers("potentials", &file.potentials)?;
        Ok(Self { seed: Hash(file.seed), debts: Hash(file.debts), reductions, potentials })
    }

    /// Checks that this is the most that can be cleared of these debts.
    ///
    /// # Errors
    /// The first rule that it breaks, in the order of specs/netting.md §5.5.
    pub fn verify(&self, debts: &Debts) -> Result<(), FileError> {
        let these = debts.hash();
        if self.debts != these {
            return Err(FileError::Debts { of: self.debts, these });
        }
        let (edges, parties) = (debts.arcs.len(), debts.parties.len());
        let (reductions, potentials) = (self.reductions.len(), self.potentials.len());
        if (reductions, potentials) != (edges, parties) {
            return Err(FileError::Shape { edges, reductions, parties, potentials });
        }
        let components = debts.components(&self.seed);
        self.nothing_outside(&components)?;
        for (component, part) in components.iter().enumerate() {
            let cleared = Cleared {
                reductions: part.edges.iter().map(|edge| self.reductions[*edge]).collect(),
                potentials: part.nodes.iter().map(|node| self.potentials[*node as usize]).collect(),
            };
            part.verify(&cleared).map_err(|error| FileError::Component { component, error })?;
        }
        Ok(())
    }

    fn nothing_outside(&self, components: &[Component]) -> Result<(), FileError> {
        let mut edges = vec![false; self.reductions.len()];
        let mut nodes = vec![false; self.potentials.len()];
        for part in components {
            part.edges.iter().for_each(|edge| edges[*edge] = true);
            part.nodes.iter().for_each(|node| nodes[*node as usize] = true);
        }
        let outside = |what, inside: &[bool], numbers: &[i64]| {
            let mut said = inside.iter().zip(numbers).enumerate();
            match said.find(|(_, (inside, said))| !**inside && **said != 0) {
                Some((place, (_, said))) => Err(FileError::Outside { what, place, said: *said }),
                None => Ok(()),
            }
        };
        outside("edge", &edges, &self.reductions)?;
        outside("party", &nodes, &self.potentials)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Debt;
    use super::*;

    const SEED: Hash = Hash([0; 32]);

    fn debts() -> Debts {
        let debt = |debtor, creditor, amount| Debt {
            debtor: party(debtor).unwrap(),
            creditor: party(creditor).unwrap(),
            amount,
        };
        let all = [debt("Ada", "Bo", 5), debt("Bo", "Cy", 7), debt("Cy", "Ada", 4), debt("Cy", "Di", 9)];
        Debts::new(&all).unwrap()
    }

    #[test]
    fn a_name_is_what_is_left_without_blanks_around_it() {
        assert_eq!(party(" Ada\u{a0}"), party("Ada"));
        assert_ne!(party("Ada"), party("ada"));
        assert_eq!(party(" \t"), Err(NameError::Empty));
        assert_eq!(party(&"x".repeat(201)), Err(NameError::TooLong { bytes: 201 }));
        assert_eq!(party("A\u{7}b"), Err(NameError::Control(7)));
    }

    #[test]
    fn a_certificate_survives_its_file_and_verifies() {
        let debts = debts();
        let certificate = Certificate::solve(&debts, &SEED);
        assert_eq!(certificate.volume(), 12);
        let bytes = certificate.to_bytes();
        assert!(bytes.len() <= Certificate::max_bytes(&debts));
        let read = Certificate::from_bytes(&bytes, &debts).unwrap();
        assert_eq!(read, certificate);
        read.verify(&debts).unwrap();
    }

    #[test]
    fn every_rule_of_the_file_is_named() {
        let debts = debts();
        let right = Certificate::solve(&debts, &SEED);
        let rule = |change: &dyn Fn(&mut Certificate)| {
            let mut certificate = right.clone();
            change(&mut certificate);
            let read = Certificate::from_bytes(&certificate.to_bytes(), &debts);
            read.and_then(|read| read.verify(&debts)).unwrap_err().rule()
        };
        let outside = right.reductions.iter().position(|reduction| *reduction == 0).unwrap();
        assert_eq!(rule(&|c| c.debts = SEED), "debts");
        assert_eq!(rule(&|c| c.reductions.truncate(3)), "shape");
        assert_eq!(rule(&|c| c.reductions[outside] = 1), "outside");
        assert_eq!(rule(&|c| c.reductions[(outside + 1) % 4] = -1), "range");
        assert_eq!(rule(&|c| c.reductions[(outside + 1) % 4] = 3), "conservation");
        assert_eq!(rule(&|c| c.reductions.fill(0)), "optimal");
        assert_eq!(rule(&|c| c.reductions.resize(1_000, 0)), "form");
        let mut bytes = right.to_bytes();
        bytes[2] = 2;
        assert_eq!(Certificate::from_bytes(&bytes, &debts), Err(FileError::Version(2)));
        bytes.push(0);
        assert!(matches!(Certificate::from_bytes(&bytes, &debts), Err(FileError::Form(_))));
    }
}
