//! Forwards, and what is not here because of one (specs/kinds.md §16, specs/store.md §12).

use super::core::Core;
use super::payments::{OpRefused, Prepared};
use weft_protocol::entry::{Entry, Payload, Role};
use weft_protocol::ids::{Hash, OpId};
use weft_protocol::ledger::forward::Forward;

impl Core {
    /// Signs the books as they stand, through the desk; or finds that done by the same operation. Gives the entry and the
    /// digest in it.
    ///
    /// # Errors
    /// The rule broken; nothing changed.
    pub fn forward(&mut self, op_id: OpId) -> Result<(Entry, Hash), OpRefused> {
        if let Some(known) = self.forwarded_by(&op_id)? {
            return Ok(known);
        }
        let state = self.engine().state().digest();
        let payload = Payload::Forward(Forward { state });
        let signed = self.at_desk(payload, op_id, Role::Operator, &[]).map_err(OpRefused::Rule)?;
        let answer = self.submit(Prepared { signed, texts: Vec::new(), expires_ms: None })?;
        Ok((answer.entry, state))
    }

    /// The books have changed since: a repeated request is found by its operation alone.
    fn forwarded_by(&self, op_id: &OpId) -> Result<Option<(Entry, Hash)>, OpRefused> {
        let desk = self.keys().desk.public().signer();
        let found = self.index().op(&desk, op_id).map_err(|e| OpRefused::Store(e.to_string()))?;
        let Some(seq) = found else { return Ok(None) };
        let entry = self.own_entry(seq).map_err(OpRefused::Store)?;
        let Payload::Forward(forward) = &entry.op().payload else { return Ok(None) };
        let state = forward.state;
        Ok(Some((entry, state)))
    }

    /// Whether an entry of ours is not here any more.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_left_out(&self, seq: u64) -> Result<bool, crate::store::IndexError> {
        Ok(seq < self.floor() && self.index().own(seq)?.is_none())
    }
}
