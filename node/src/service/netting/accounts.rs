//! How far accounts may move: what netting invoices between members can use (specs/netting.md §6).

use super::NettingRefused;
use crate::service::Core;
use weft_api::{NettingAccount, NettingAccounts};
use weft_protocol::amount::{MAX_AMOUNT, format_decimal};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::rules::Levels;

/// As far as nobody has to be asked: to the stop, or to where nothing goes.
fn furthest(levels: &Levels) -> Option<i64> {
    let lowest = [levels.stop, levels.firm].into_iter().flatten().min()?;
    i64::try_from(lowest).ok()
}

impl Core {
    /// How far every open account of a member may go down and up in a unit.
    ///
    /// # Errors
    /// No such unit, or several could be meant.
    pub fn netting_accounts(&self, unit: Option<&str>) -> Result<NettingAccounts, NettingRefused> {
        let unit = self.unit_called(unit)?;
        let state = self.engine().state();
        let defined = state.units.get(&unit).ok_or(Rejected::RoundUnit)?;
        let holds = |owner| match owner {
            OwnerKind::Member | OwnerKind::Organisation | OwnerKind::Commons => true,
            OwnerKind::Pool | OwnerKind::Outside | OwnerKind::Peer | OwnerKind::Own => false,
        };
        let open = state.accounts.iter().filter(|(_, row)| holds(row.owner) && !row.closed);
        let room = open.map(|(account, _)| {
            let (balance, limit) = (state.balance(account, unit), state.limit_of(account, unit));
            let below = limit.and_then(|limit| furthest(&limit.below)).unwrap_or(MAX_AMOUNT);
            let above = limit.and_then(|limit| furthest(&limit.above)).unwrap_or(MAX_AMOUNT);
            // An account beyond its limit moves only towards it, which is not taken into account here.
            let show = |room: i64| format_decimal(room.clamp(0, MAX_AMOUNT), defined.scale);
            NettingAccount {
                account: account.to_string(),
                may_give: show(balance.saturating_add(below)),
                may_take: show(above.saturating_sub(balance)),
            }
        });
        Ok(NettingAccounts {
            schema: "weft.netting-accounts/1".to_owned(),
            unit: defined.code.clone(),
            scale: defined.scale,
            accounts: room.collect(),
        })
    }
}
