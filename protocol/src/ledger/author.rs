//! The author: gives an operation its place, signs it, and applies it. The only writer of a ledger.

use super::identity::{Purpose, is_public};
use super::{Rejected, SigCheck, State, Transition, apply, signatures};
use crate::entry::{Body, ENTRY_VERSION, Entry, Kind, Op, Payload, SignedOp, StreamHeader, ledger_id};
use crate::ids::{LedgerId, PUBLIC_STREAM, Salt};
use crate::keys::SecretKey;

/// The node's hand: its log key and the number of its start.
#[derive(Debug)]
pub struct Author {
    log_key: SecretKey,
    boot: u64,
}

/// An entry written, with what it changed.
#[derive(Debug, Clone)]
pub struct Written {
    /// The entry.
    pub entry: Entry,
    /// What it changed.
    pub transition: Transition,
}

impl Author {
    /// An author that writes with this boot.
    pub fn new(log_key: SecretKey, boot: u64) -> Self {
        Self { log_key, boot }
    }

    /// The key that signs entries, Intents and Decisions.
    pub fn log_key(&self) -> &SecretKey {
        &self.log_key
    }

    /// Builds, checks and signs the next entry, and makes it part of the state. On refusal nothing changed.
    ///
    /// `now_ms` is the clock's time; the entry's time never goes back.
    ///
    /// # Errors
    /// The rule that the operation breaks.
    pub fn write(
        &self,
        state: &mut State,
        signed: &SignedOp,
        now_ms: u64,
        salt: Salt,
    ) -> Result<Written, Rejected> {
        let (entry, checks) = self.draft(state, signed, now_ms, salt)?;
        let transition = apply(state, &entry)?;
        checks.iter().try_for_each(|check| check.verify().map_err(Rejected::Signature))?;
        state.commit(&transition);
        Ok(Written { entry, transition })
    }

    /// The next entry with the signatures it rests on, the node's own left out.
    fn draft(
        &self,
        state: &State,
        signed: &SignedOp,
        now_ms: u64,
        salt: Salt,
    ) -> Result<(Entry, Vec<SigCheck>), Rejected> {
        let kind = Kind::from_code(signed.kind)
            .ok_or(Rejected::Entry(crate::entry::EntryError::UnknownKind(signed.kind)))?;
        let stream = match kind {
            Kind::Step(_) => match Op::parse(kind, &signed.op.0).map_err(Rejected::Encoding)?.payload {
                Payload::Step(step) => Some(step.channel),
                _ => None,
            },
            kind if is_public(kind) => Some(PUBLIC_STREAM),
            _ => None,
        };
        let header = stream.map(|id| {
            let row = state.stream(&id);
            StreamHeader { id, sseq: row.next, sprev: row.head }
        });
        let epoch =
            state.identity.as_ref().and_then(|i| i.current(Purpose::Log)).map_or(0, |(epoch, _)| epoch);
        let mut body = Body {
            v: ENTRY_VERSION,
            ledger: state.identity.as_ref().map_or(LedgerId::ZERO, |i| i.ledger),
            seq: state.head.next_seq,
            prev: state.head.leaf,
            time_ms: now_ms.max(state.head.time_ms),
            epoch,
            kind: signed.kind,
            op: signed.op.clone(),
            auth: signed.auth.clone(),
            salt,
            stream: header,
            boot: self.boot.max(state.head.boot),
        };
        if kind == Kind::Genesis {
            body.ledger = ledger_id(&body);
        }
        let entry = Entry::sign(&body, &self.log_key).map_err(Rejected::Entry)?;
        let mut checks = signatures(state, &entry)?;
        checks.remove(0);
        Ok((entry, checks))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::TestNetwork;

    #[test]
    fn a_clock_that_goes_back_does_not_take_the_ledger_with_it() {
        let mut network = TestNetwork::new(1);
        let ann = network.member();
        let ben = network.member();
        let last = network.own().last().map(|entry| entry.body().time_ms).unwrap();
        network.now_ms = last - 30_000;
        for _ in 0..3 {
            network.transfer(ann, ben, 1).unwrap();
        }
        let times: Vec<u64> = network.own().iter().map(|entry| entry.body().time_ms).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(times[times.len() - 3..], [last; 3]);
        network.now_ms = last + 5;
        network.transfer(ann, ben, 1).unwrap();
        assert!(network.own().last().is_some_and(|entry| entry.body().time_ms > last));
    }
}
