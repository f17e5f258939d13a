//! What signed notes have been seen: the first of two that contradict is remembered until the second comes.
//!
//! Bounded for each network; the oldest is forgotten. It holds nothing that is not signed by its network, so nobody
//! can fill it for another. It lives in memory: who keeps notes durably shows them again after a start.

use super::statement::Statement;
use super::{Evidence, EvidenceType, Keys, NotEvidence, Proven};
use crate::ids::LedgerId;
use std::collections::{BTreeMap, VecDeque};

/// Notes remembered of one network and type: checkpoints of more than ten minutes at one every ten seconds.
pub const MAX_REMEMBERED: usize = 64;

/// Which log, and at which size or index.
type Subject = (String, u64);
/// What was seen of one network and type.
type Halves = VecDeque<(Subject, Vec<u8>)>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// In the order in which they came.
    halves: BTreeMap<(LedgerId, EvidenceType), Halves>,
}

impl Watch {
    /// A half of type [`EvidenceType::Notes`], [`EvidenceType::Proofs`] or [`EvidenceType::Cosignatures`] has come,
    /// said to be by `by`, whose identity entries and keys these are. Gives evidence when it contradicts one that was
    /// seen before. Other types are remembered elsewhere and give nothing here.
    ///
    /// # Errors
    /// When it cannot be read or is not signed by `by`: nothing is remembered.
    pub fn see(
        &mut self,
        kind: EvidenceType,
        by: LedgerId,
        half: &[u8],
        identity: &[Vec<u8>],
        keys: &Keys,
    ) -> Result<Option<Proven>, NotEvidence> {
        let statement = Statement::parse(kind, half).map_err(|why| NotEvidence::Half { half: 1, why })?;
        let subject = match &statement {
            Statement::Head(head) | Statement::Seen(head) => {
                (head.checkpoint.origin().to_string(), head.checkpoint.size())
            }
            Statement::Included(head, index, _) => (head.checkpoint.origin().to_string(), *index),
            Statement::Entry(_) | Statement::Decision(_) => return Ok(None),
        };
        statement.by(&by, 1)?;
        keys.check(&by, &statement, 1)?;
        let known = self.halves.entry((by, kind)).or_default();
        if let Some((_, first)) = known.iter().find(|(seen, _)| *seen == subject) {
            return match Evidence::join(kind, by, identity, [first, half], keys) {
                Ok(proven) => Ok(Some(proven)),
                Err(NotEvidence::Same) => Ok(None),
                Err(why) => Err(why),
            };
        }
        known.push_back((subject, half.to_vec()));
        while known.len() > MAX_REMEMBERED {
            known.pop_front();
        }
        Ok(None)
    }

    /// The newest head of a network's log that was seen: the largest of its last succession.
    pub fn newest_head(&self, by: &LedgerId) -> Option<&[u8]> {
        let heads = self.halves.get(&(*by, EvidenceType::Notes))?;
        // Names of one ledger's logs differ in the number at their end: the longer one is the larger.
        let newest = heads.iter().max_by_key(|((origin, size), _)| (origin.len(), origin.as_str(), *size));
        newest.map(|(_, half)| half.as_slice())
    }
}
