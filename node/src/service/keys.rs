//! Keys of the node that change while it runs (specs/ceremony.md §4): the next one is made before an entry binds it, and
//! used from that entry on.

use super::core::Core;
use super::payments::OpRefused;
use crate::keystore::KeystoreError;
use crate::keystore::ring::{file_of, public_of};
use std::sync::Arc;
use weft_protocol::entry::Payload;
use weft_protocol::ids::KeyBytes;
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::identity::Purpose;

/// Why there is no next key.
#[derive(Debug, thiserror::Error)]
pub enum NextKeyError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] Rejected),
    /// The keystore.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A recovery key is people's, not the node's.
    #[error("a recovery key is made by people, away from the node: `weft key new FILE --recovery`")]
    NotTheNodes,
}

impl Core {
    /// The next key of a purpose, made if there is none; asked again it is the same until an entry binds it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn next_key(&self, purpose: Purpose) -> Result<(u32, KeyBytes), NextKeyError> {
        if purpose == Purpose::Recovery {
            return Err(NextKeyError::NotTheNodes);
        }
        let identity = self.engine().state().identity()?;
        Ok(self.parts.data.keystore().next(identity, purpose, self.clock())?)
    }

    /// Before an entry binds a key of the node: its secret must be here, else the node could not go on.
    pub(super) fn take_up(&mut self, payload: &Payload) -> Result<(), OpRefused> {
        let (purpose, key) = match payload {
            Payload::KeyBound(bound) => (bound.purpose, bound.key),
            Payload::KeyRevoked(revoked) => match revoked.replacement {
                Some(key) => (revoked.purpose, key),
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        if purpose == Purpose::Recovery {
            return Ok(());
        }
        let epoch = self.engine().state().identity().map_err(OpRefused::Rule)?.next_epoch(purpose);
        let file = file_of(purpose, epoch);
        let seed = self.parts.data.keystore().read(&file).ok().filter(|seed| public_of(purpose, seed) == key);
        let seed = seed.ok_or(OpRefused::NoSecret { file })?;
        if purpose == Purpose::Log {
            self.parts.engine.hold_log_key(SecretKey::from_seed(&seed));
        }
        Ok(())
    }

    /// After an entry has changed the identity: the keys in force are used from here on, but for the libp2p key, which
    /// is used from the next start on.
    pub(super) fn refresh_keys(&mut self, payload: &Payload) {
        if !matches!(payload, Payload::KeyBound(_) | Payload::KeyRevoked(_)) {
            return;
        }
        let identity = self.parts.engine.state().identity.as_ref();
        match self.parts.data.keys_of(identity) {
            Ok(keys) => self.parts.keys = Arc::new(keys),
            // They were read a moment ago; should the disk fail now, the old ones are kept and the next start tells.
            Err(error) => tracing::error!(%error, "the new key cannot be read again"),
        }
    }
}
