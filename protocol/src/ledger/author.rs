//! The author: gives an operation its place, signs it, and applies it. The only writer of a ledger.

use super::identity::{Identity, Purpose, is_public};
use super::{Rejected, SigCheck, State, Transition, apply, signatures};
use crate::entry::{Body, ENTRY_VERSION, Entry, Kind, Op, Payload, SignedOp, StreamHeader, ledger_id};
use crate::ids::{KeyBytes, LedgerId, PUBLIC_STREAM, Salt};
use crate::keys::SecretKey;

/// The node's hand: the log keys it holds and the number of its start.
#[derive(Debug)]
pub struct Author {
    log_keys: Vec<SecretKey>,
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
        Self { log_keys: vec![log_key], boot }
    }

    /// The number of the start under which it writes.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Writes under this number from now on, if it is later.
    pub fn raise_boot(&mut self, boot: u64) {
        self.boot = self.boot.max(boot);
    }

    /// The same hand once more, for tests that follow more than one way from a state.
    #[cfg(feature = "simulator")]
    pub(crate) fn fork(&self) -> Self {
        let log_keys = self.log_keys.iter().map(|key| SecretKey::from_seed(&key.seed())).collect();
        Self { log_keys, boot: self.boot }
    }

    /// Gives the author one more log key: the one that is to be bound next.
    pub fn hold(&mut self, log_key: SecretKey) {
        self.log_keys.push(log_key);
    }

    /// The log key of an epoch of our own identity.
    ///
    /// # Errors
    /// [`Rejected::LogKeyMissing`] when this node does not hold it.
    pub fn log_key(&self, identity: &Identity, epoch: u32) -> Result<&SecretKey, Rejected> {
        let key = identity.key(Purpose::Log, epoch).ok_or(Rejected::UnknownEpoch { epoch })?;
        self.held(key)
    }

    fn held(&self, key: &KeyBytes) -> Result<&SecretKey, Rejected> {
        self.log_keys.iter().find(|held| held.public().bytes() == *key).ok_or(Rejected::LogKeyMissing)
    }

    /// The key that signs an operation's entry. A key that is to sign from then on must be here already: else the
    /// ledger could not go on.
    fn key_for(&self, state: &State, payload: &Payload) -> Result<(u32, &SecretKey), Rejected> {
        let Some(identity) = &state.identity else {
            // A genesis that names another log key than ours, or none, is refused by its rules.
            return Ok((0, self.log_keys.first().ok_or(Rejected::LogKeyMissing)?));
        };
        let epoch = identity.signing_epoch(payload).ok_or(Rejected::LogKeyMissing)?;
        match payload {
            Payload::KeyRevoked(revoked) if revoked.purpose == Purpose::Log => match &revoked.replacement {
                Some(key) => Ok((epoch, self.held(key)?)),
                None => Ok((epoch, self.log_key(identity, epoch)?)),
            },
            Payload::KeyBound(bound) if bound.purpose == Purpose::Log => {
                self.held(&bound.key)?;
                Ok((epoch, self.log_key(identity, epoch)?))
            }
            _ => Ok((epoch, self.log_key(identity, epoch)?)),
        }
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
        let malformed = |e| Rejected::Entry(crate::entry::EntryError::Op(e));
        let payload = Op::parse(kind, &signed.op.0).map_err(malformed)?.payload;
        let (epoch, log_key) = self.key_for(state, &payload)?;
        let stream = match &payload {
            Payload::Step(step) => Some(step.channel),
            _ if is_public(kind) => Some(PUBLIC_STREAM),
            _ => None,
        };
        let header = stream.map(|id| {
            let row = state.stream(&id);
            StreamHeader { id, sseq: row.next, sprev: row.head }
        });
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
        let entry = Entry::sign(&body, log_key).map_err(Rejected::Entry)?;
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
