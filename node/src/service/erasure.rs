//! Erasing a person: the entry first, then everything personal, so that a crash in between is finished at the next
//! start (specs/store.md §8).
//!
//! What must hold: nothing personal is destroyed without an entry that says so, and no entry says so for longer than
//! one start while anything personal is still there.

use super::core::Core;
use super::names::Names;
use super::payments::{OpAnswer, OpRefused, Prepared};
use super::rows::HistoryRow;
use crate::store::index::Page;
use crate::store::private::{Erased, Traces};
use weft_protocol::clearing::intent::Intent;
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::{Kind, Payload, Role};
use weft_protocol::ids::{AccountId, Hash, OpId};
use weft_protocol::ledger::erasure::{Erasure, ErasureReason};

impl Core {
    /// Writes that the holder of an account is erased, through the desk, and forgets the name in memory.
    ///
    /// # Errors
    /// The rule broken; nothing changed.
    pub fn erase(
        &mut self,
        account: AccountId,
        reason: ErasureReason,
        op_id: OpId,
    ) -> Result<OpAnswer, OpRefused> {
        let payload = Payload::Erasure(Erasure { account, reason });
        let signed = self.at_desk(payload, op_id, Role::Operator, &[]).map_err(OpRefused::Rule)?;
        let answer = self.submit(Prepared { signed, texts: Vec::new(), expires_ms: None })?;
        self.names.forget(&account);
        Ok(answer)
    }

    /// The account that an operation of this id has erased, when there is one.
    pub fn erased_by(&self, op_id: &OpId) -> Option<AccountId> {
        let seq = self.index().op(&self.keys().desk.public().signer(), op_id).ok()??;
        match &self.own_entry(seq).ok()?.op().payload {
            Payload::Erasure(erasure) => Some(erasure.account),
            _ => None,
        }
    }

    /// What the private store may hold about an account besides its row: found through the account's entries.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn traces(&self, account: &AccountId) -> Result<Traces, String> {
        let mut traces = Traces::default();
        let mut page = Page::oldest(crate::store::index::MAX_PAGE_ROWS);
        loop {
            let rows = self.index().account_history(account, page).map_err(|e| e.to_string())?;
            let Some((last, _)) = rows.last() else { return Ok(traces) };
            page = page.after(*last);
            for (seq, bytes) in rows {
                let row: HistoryRow = minicbor::decode(&bytes).map_err(|e| e.to_string())?;
                traces.commitments.extend(row.sidecar);
                traces.claims.extend(row.claim);
                match Kind::from_code(row.kind) {
                    Some(Kind::Hold) => traces.claims.extend(self.claim_of_hold(&self.own_entry(seq)?)?),
                    Some(Kind::Credit) => traces.commitments.extend(self.sidecar_of_credit(seq)),
                    _ => {}
                }
            }
        }
    }

    /// The commitment to the payee and memo of a credit: our ACCEPT, which holds the Intent, stands right before it.
    pub fn sidecar_of_credit(&self, credit: u64) -> Option<Hash> {
        let accept = self.own_entry(credit.checked_sub(1)?).ok()?;
        let Payload::Step(step) = &accept.op().payload else { return None };
        let StepArgs::Accept(args) = &step.args else { return None };
        Intent::parse(&args.intent.as_ref()?.0).ok().map(|intent| intent.sidecar)
    }

    /// After a restore, once everything that came back is durable: whom an erasure after the backup had erased is erased
    /// again. What fails is tried at the next look.
    pub(super) fn erase_again(&mut self) {
        if !std::mem::take(&mut self.watch.erase_again) {
            return;
        }
        // Accounts have come back, and with them their names; erasures, too.
        let names = Names::read(self.private(), self.engine().state()).map_err(|e| e.to_string());
        let again = names.and_then(|names| {
            self.names = names;
            self.finish_erasures()
        });
        match again {
            Ok(again) if again.is_empty() => {}
            Ok(again) => {
                tracing::info!(people = again.len(), "erased again: the backup was older than their erasure");
            }
            Err(why) => {
                tracing::error!(%why, "who was erased after the backup is not erased again yet");
                self.watch.erase_again = true;
            }
        }
    }

    /// Finishes what a crash has interrupted: destroys what is still there of people whose erasure is written.
    ///
    /// # Errors
    /// When the stores cannot be read or rewritten.
    pub(super) fn finish_erasures(&self) -> Result<Vec<Erased>, String> {
        let mut finished = Vec::new();
        for account in self.engine().state().erased.keys() {
            if self.private().person(account).map_err(|e| e.to_string())?.is_some() {
                let erased = self.private().erase_person(account, &self.traces(account)?);
                finished.push(erased.map_err(|e| e.to_string())?);
            }
        }
        self.private().scrub_if_due().map_err(|e| e.to_string())?;
        Ok(finished)
    }
}
