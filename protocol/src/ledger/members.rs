//! Area 2, members: accounts, the keys that may act for them, and roles (specs/kinds.md §2).
//!
//! A ledger knows accounts only; who a person is stands in the private store. An account that holds keys of its
//! own can be debited by those keys alone, never by the desk.

use super::Rejected;
use super::authority::Authority;
use super::state::{Account, Change, SignerRow, State};
use crate::entry::Role;
use crate::ids::{AccountId, KeyBytes, Signer};
use crate::keys::{PublicKey, signer_of};
use minicbor::{Decode, Encode};

/// Whose an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum OwnerKind {
    /// A person.
    #[n(0)]
    Member,
    /// A group acting as one account holder.
    #[n(1)]
    Organisation,
    /// A project or chest of the commons.
    #[n(2)]
    Commons,
    /// A savings pool.
    #[n(3)]
    Pool,
    /// Another network; opened by an accord only.
    #[n(4)]
    Peer,
    /// Money that came from or went to a bank.
    #[n(5)]
    Outside,
    /// One of the network's own: hold, incoming, transit, exchange, rounding, disputed.
    #[n(6)]
    Own,
}

/// Payload: a new account.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AccountOpened {
    /// 16 random bytes.
    #[n(0)]
    pub account: AccountId,
    /// Whose it is: member, organisation, commons, pool or outside.
    #[n(1)]
    pub owner: OwnerKind,
    /// The holder's own key, if they have one.
    #[n(2)]
    pub key: Option<KeyBytes>,
    /// An organisation that buys for the neighbourhood.
    #[n(3)]
    pub anchor: bool,
}

/// Payload: keys or flags of an account changed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AccountChanged {
    /// Which account.
    #[n(0)]
    pub account: AccountId,
    /// A key to add.
    #[n(1)]
    pub add_key: Option<KeyBytes>,
    /// A key to take away.
    #[n(2)]
    pub remove_key: Option<Signer>,
    /// The anchor flag from now on.
    #[n(3)]
    pub anchor: Option<bool>,
}

/// Payload: an account closed; it must be empty.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AccountClosed {
    /// Which account.
    #[n(0)]
    pub account: AccountId,
}

/// Payload: a role granted or taken.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoleGranted {
    /// The holder's account.
    #[n(0)]
    pub account: AccountId,
    /// Helper, coordinator, treasurer or operator.
    #[n(1)]
    pub role: Role,
    /// False takes the role away.
    #[n(2)]
    pub granted: bool,
}

/// Keys that one account may have at a time: a phone, a computer, a helper's, a spare.
pub const MAX_ACCOUNT_KEYS: usize = 8;

pub(super) fn apply_opened(
    state: &State,
    auth: &Authority,
    opened: &AccountOpened,
) -> Result<Vec<Change>, Rejected> {
    auth.office_or_roots(state)?;
    if matches!(opened.owner, OwnerKind::Peer | OwnerKind::Own) {
        return Err(Rejected::OwnerKind { owner: opened.owner });
    }
    if state.accounts.contains_key(&opened.account) {
        return Err(Rejected::AccountExists { account: opened.account });
    }
    if opened.anchor && opened.owner != OwnerKind::Organisation {
        return Err(Rejected::AnchorOwner);
    }
    let mut account = Account::new(opened.owner, opened.anchor);
    let mut changes = Vec::new();
    if let Some(key) = opened.key {
        changes.push(register(state, &mut account, opened.account, &key)?);
    }
    changes.push(Change::Account(opened.account, account));
    Ok(changes)
}

pub(super) fn apply_changed(
    state: &State,
    auth: &Authority,
    changed: &AccountChanged,
) -> Result<Vec<Change>, Rejected> {
    auth.office_or_roots(state)?;
    if changed.add_key.is_none() && changed.remove_key.is_none() && changed.anchor.is_none() {
        return Err(Rejected::NothingToDo);
    }
    let mut account = state.holder(&changed.account)?.clone();
    let mut changes = Vec::new();
    if let Some(signer) = changed.remove_key {
        if !account.keys.contains(&signer) {
            return Err(Rejected::UnknownSigner { signer });
        }
        account.keys.retain(|k| *k != signer);
        let row = state.signers.get(&signer).cloned();
        changes.extend(row.map(|row| Change::Signer(signer, SignerRow { active: false, ..row })));
    }
    if let Some(key) = changed.add_key {
        changes.push(register(state, &mut account, changed.account, &key)?);
    }
    if let Some(anchor) = changed.anchor {
        if anchor && account.owner != OwnerKind::Organisation {
            return Err(Rejected::AnchorOwner);
        }
        account.anchor = anchor;
    }
    changes.push(Change::Account(changed.account, account));
    Ok(changes)
}

pub(super) fn apply_closed(
    state: &State,
    auth: &Authority,
    closed: &AccountClosed,
) -> Result<Vec<Change>, Rejected> {
    auth.office_or_roots(state)?;
    let mut account = state.holder(&closed.account)?.clone();
    if let Some((unit, balance)) = state.balances_of(&closed.account).find(|(_, b)| *b != 0) {
        return Err(Rejected::NotEmpty { account: closed.account, unit, balance });
    }
    if state.holds.values().any(|h| h.account == closed.account) {
        return Err(Rejected::HoldsOpen { account: closed.account });
    }
    account.closed = true;
    let mut changes = retire_keys(state, &account);
    changes.push(Change::Account(closed.account, account));
    Ok(changes)
}

/// The keys of an account that is closed sign nothing any more.
pub(super) fn retire_keys(state: &State, account: &Account) -> Vec<Change> {
    let retired = account.keys.iter().filter_map(|signer| {
        let row = state.signers.get(signer)?.clone();
        Some(Change::Signer(*signer, SignerRow { active: false, ..row }))
    });
    retired.collect()
}

pub(super) fn apply_role(
    state: &State,
    auth: &Authority,
    granted: &RoleGranted,
) -> Result<Vec<Change>, Rejected> {
    auth.roots(state)?;
    if matches!(granted.role, Role::Member | Role::Root | Role::Node) {
        return Err(Rejected::RoleNotGrantable { role: granted.role });
    }
    let mut account = state.holder(&granted.account)?.clone();
    if account.roles.contains(&granted.role) == granted.granted {
        return Err(Rejected::NothingToDo);
    }
    account.roles.retain(|r| *r != granted.role);
    if granted.granted {
        account.roles.push(granted.role);
        account.roles.sort();
    }
    Ok(vec![Change::Account(granted.account, account)])
}

fn register(state: &State, account: &mut Account, id: AccountId, key: &KeyBytes) -> Result<Change, Rejected> {
    PublicKey::new(key).map_err(Rejected::Key)?;
    let signer = signer_of(key);
    if state.signers.contains_key(&signer) || state.is_network_signer(signer) {
        return Err(Rejected::SignerExists { signer });
    }
    if account.keys.len() >= MAX_ACCOUNT_KEYS {
        return Err(Rejected::TooManyKeys { max: MAX_ACCOUNT_KEYS });
    }
    account.keys.push(signer);
    account.keys.sort();
    Ok(Change::Signer(signer, SignerRow { key: *key, account: id, active: true }))
}
