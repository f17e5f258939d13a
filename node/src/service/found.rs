//! Founding a ledger: the genesis, signed by the root set, the recovery key and the first units.

use super::core::Core;
use super::payments::{OpRefused, Prepared};
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{KeyBytes, LedgerId, OpId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::{Genesis, KeyBound, Predecessor, Purpose, PurposeKey, RootSet};
use weft_protocol::ledger::units::UnitDefined;

/// What a ledger begins with.
#[derive(Debug, Clone, Copy)]
pub struct NewLedger<'a> {
    /// Its first root set.
    pub root: &'a RootSet,
    /// Its first units.
    pub units: &'a [UnitDefined],
    /// Its recovery key.
    pub recovery: Option<KeyBytes>,
    /// The ledger that it takes the place of.
    pub predecessor: Option<Predecessor>,
}

impl Core {
    /// Writes the genesis, the recovery key if there is one, and the units, signed by as many of the root set as are here.
    ///
    /// # Errors
    /// The rule broken: a second genesis, too few signatures, a unit that is none.
    pub fn found(&mut self, new: &NewLedger<'_>, signers: &[SecretKey]) -> Result<(), OpRefused> {
        let keys = self.keys().clone();
        let key = |purpose, key| PurposeKey { purpose, key };
        let genesis = Genesis {
            root: new.root.clone(),
            next_root: None,
            keys: vec![
                key(Purpose::Log, keys.log.public().bytes()),
                key(Purpose::Witness, keys.witness.public().bytes()),
                key(Purpose::Seal, weft_protocol::seal::public_key(&keys.seal)),
                key(Purpose::Libp2p, KeyBytes(crate::network::public_key_of_seed(&keys.libp2p))),
                key(Purpose::Desk, keys.desk.public().bytes()),
            ],
            charter: None,
            predecessor: new.predecessor,
        };
        self.submit(self.by_roots(Payload::Genesis(genesis), signers, &LedgerId::ZERO))?;
        let ledger = self.engine().state().ledger().map_err(OpRefused::Rule)?;
        if let Some(key) = new.recovery {
            let bound = KeyBound { purpose: Purpose::Recovery, epoch: 0, key };
            self.submit(self.by_roots(Payload::KeyBound(bound), signers, &ledger))?;
        }
        for unit in new.units {
            self.submit(self.by_roots(Payload::UnitDefined(unit.clone()), signers, &ledger))?;
        }
        Ok(())
    }

    fn by_roots(&self, payload: Payload, signers: &[SecretKey], ledger: &LedgerId) -> Prepared {
        let not_after_ms = self.clock().now_ms().saturating_add(super::payments::DESK_OP_LIFE_MS);
        let op = Op { op_id: OpId(self.clock().random()), not_after_ms, payload, sidecars: Vec::new() };
        let sign = |signed: SignedOp, key: &SecretKey| signed.signed(ledger, key, Role::Root, How::OwnKey);
        let signed = signers.iter().fold(SignedOp::unsigned(&op), sign);
        Prepared { signed, texts: Vec::new(), expires_ms: None }
    }
}
