//! The node's keys by purpose and epoch: the first key of a purpose is in the file `log`, the next in `log-1`, and so
//! on (specs/ceremony.md §4).
//!
//! What must hold: the secret of a key is on disk before an entry can bind it, and no file is ever written over. So a
//! crash between the two leaves a key that waits: asked for the next key again, the node gives the same.

use super::{Keystore, KeystoreError, purpose};
use crate::clock::Clock;
use weft_protocol::ids::KeyBytes;
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::{Identity, Purpose};
use zeroize::Zeroizing;

/// The file of a key.
pub fn file_of(purpose: Purpose, epoch: u32) -> String {
    match epoch {
        0 => purpose::name(purpose).to_owned(),
        epoch => format!("{}-{epoch}", purpose::name(purpose)),
    }
}

/// The public half of a node's key.
pub fn public_of(purpose: Purpose, seed: &[u8; 32]) -> KeyBytes {
    match purpose {
        Purpose::Seal | Purpose::Recovery => weft_protocol::seal::public_key(seed),
        Purpose::Libp2p => KeyBytes(crate::network::public_key_of_seed(seed)),
        Purpose::Log | Purpose::Witness | Purpose::Desk => SecretKey::from_seed(seed).public().bytes(),
    }
}

impl Keystore {
    /// The next key of a purpose: the one that waits already, else a fresh one. Its secret is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written or read.
    pub fn next(
        &self,
        identity: &Identity,
        purpose: Purpose,
        clock: Clock,
    ) -> Result<(u32, KeyBytes), KeystoreError> {
        let epoch = identity.next_epoch(purpose);
        let file = file_of(purpose, epoch);
        if !self.has(&file) {
            self.add(&file, &Zeroizing::new(clock.random::<32>()))?;
        }
        Ok((epoch, public_of(purpose, &*self.read(&file)?)))
    }

    /// The secrets of a purpose that are here, the one in force and older ones, by epoch; and the one that waits.
    ///
    /// # Errors
    /// When the one in force is not here, or a file is no key.
    pub fn of(
        &self,
        identity: Option<&Identity>,
        purpose: Purpose,
    ) -> Result<Vec<Zeroizing<[u8; 32]>>, KeystoreError> {
        let current = identity.and_then(|identity| identity.current(purpose)).map_or(0, |(epoch, _)| epoch);
        let next = identity.map_or(0, |identity| identity.next_epoch(purpose));
        let mut secrets = vec![self.read(&file_of(purpose, current))?];
        for epoch in (0..=next).filter(|epoch| *epoch != current) {
            let file = file_of(purpose, epoch);
            if self.has(&file) {
                secrets.push(self.read(&file)?);
            }
        }
        Ok(secrets)
    }
}
