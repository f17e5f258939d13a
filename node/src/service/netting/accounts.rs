//! How far accounts may move: what netting invoices between members can use (specs/netting.md §6).

use super::NettingRefused;
use crate::service::Core;
use weft_api::{NettingAccount, NettingAccounts};
use weft_protocol::amount::{MAX_AMOUNT, format_decimal};
use weft_protocol::ids::{AccountId, UnitId};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::rules::Levels;
use weft_protocol::ledger::state::Account;
use weft_protocol::netting::proposal::Rooms;

/// As far as nobody has to be asked: to the stop, or to where nothing goes.
fn furthest(levels: &Levels) -> Option<i64> {
    let lowest = [levels.stop, levels.firm].into_iter().flatten().min()?;
    i64::try_from(lowest).ok()
}

impl Core {
    /// How far every open account of a member may go down and up in a unit, in its smallest parts.
    pub(super) fn rooms(&self, unit: UnitId) -> Rooms {
        let state = self.engine().state();
        let holds = |owner| match owner {
            OwnerKind::Member | OwnerKind::Organisation | OwnerKind::Commons => true,
            OwnerKind::Pool | OwnerKind::Outside | OwnerKind::Peer | OwnerKind::Own => false,
        };
        let open = state.accounts.iter().filter(|(_, row)| holds(row.owner) && !row.closed);
        let room = |(account, _): (&AccountId, &Account)| {
            let (balance, limit) = (state.balance(account, unit), state.limit_of(account, unit));
            let below = limit.and_then(|limit| furthest(&limit.below)).unwrap_or(MAX_AMOUNT);
            let above = limit.and_then(|limit| furthest(&limit.above)).unwrap_or(MAX_AMOUNT);
            // An account beyond its limit moves only towards it, which is not taken into account here.
            let within = |room: i64| room.clamp(0, MAX_AMOUNT);
            (*account, (within(balance.saturating_add(below)), within(above.saturating_sub(balance))))
        };
        open.map(room).collect()
    }

    /// How far every open account of a member may go down and up in a unit.
    ///
    /// # Errors
    /// No such unit, or several could be meant.
    pub fn netting_accounts(&self, unit: Option<&str>) -> Result<NettingAccounts, NettingRefused> {
        let unit = self.unit_called(unit)?;
        let defined = self.engine().state().units.get(&unit).ok_or(Rejected::RoundUnit)?;
        let show = |room: i64| format_decimal(room, defined.scale);
        let room = self.rooms(unit).into_iter().map(|(account, (give, take))| NettingAccount {
            account: account.to_string(),
            may_give: show(give),
            may_take: show(take),
        });
        Ok(NettingAccounts {
            schema: "weft.netting-accounts/1".to_owned(),
            unit: defined.code.clone(),
            scale: defined.scale,
            accounts: room.collect(),
        })
    }
}
