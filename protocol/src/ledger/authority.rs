//! Who stands behind an operation: its signatures, resolved to people and offices (specs/kinds.md §6).
//!
//! This says *whose* signatures an entry carries and what they allow; whether they verify is checked apart, so
//! that an audit can do it in batches. An entry is only accepted when both hold.

use super::identity::{Purpose, RootSet};
use super::members::OwnerKind;
use super::state::State;
use super::{Rejected, SigCheck};
use crate::entry::{Auth, Entry, How, Payload, Role};
use crate::ids::{AccountId, KeyBytes, SigBytes, Signer};
use crate::keys::signer_of;
use std::collections::BTreeSet;

/// Signatures under one operation; more is a mistake.
pub const MAX_AUTH: usize = 16;
/// Signatures under a change of the root set: all of two sets of 15.
pub const MAX_ROOT_AUTH: usize = 2 * super::identity::MAX_ROOT_KEYS;

/// The people and offices that an operation carries signatures of.
#[derive(Debug, Default)]
pub struct Authority {
    holders: BTreeSet<AccountId>,
    holder_roles: BTreeSet<(AccountId, Role)>,
    desk: BTreeSet<Role>,
    roots: BTreeSet<Signer>,
}

impl Authority {
    /// Resolves the signatures of an entry, and lists them for verification.
    ///
    /// # Errors
    /// A signer that this ledger does not know, or that may not sign in the capacity named.
    pub fn resolve(state: &State, entry: &Entry) -> Result<(Self, Vec<SigCheck>), Rejected> {
        let mut checks = Vec::new();
        let authority = Self::read(state, entry, |key, one| {
            checks.push(SigCheck::new(&key, entry.auth_message(one), &one.sig)?);
            Ok(())
        })?;
        Ok((authority, checks))
    }

    /// Resolves the signatures of an entry without listing them: keys stay bytes, which is much cheaper.
    ///
    /// # Errors
    /// As [`Authority::resolve`].
    pub(super) fn of(state: &State, entry: &Entry) -> Result<Self, Rejected> {
        Self::read(state, entry, |_, one| match one.sig.0.len() {
            SigBytes::LEN => Ok(()),
            got => Err(Rejected::SignatureLength { got }),
        })
    }

    fn read(
        state: &State,
        entry: &Entry,
        mut each: impl FnMut(KeyBytes, &Auth) -> Result<(), Rejected>,
    ) -> Result<Self, Rejected> {
        let mut authority = Self::default();
        let auth = &entry.body().auth;
        let max = match entry.op().payload {
            Payload::RootChanged(_) => MAX_ROOT_AUTH,
            _ => MAX_AUTH,
        };
        if auth.len() > max {
            return Err(Rejected::TooManySignatures { got: auth.len(), max });
        }
        for one in auth {
            let key = match (&entry.op().payload, one.role, one.how) {
                (_, _, How::Passkey) => return Err(Rejected::PasskeyNotYet),
                (Payload::Genesis(genesis), Role::Root, How::OwnKey) => genesis.root.key_of(one.signer),
                (Payload::RootChanged(changed), Role::Root, How::OwnKey) => {
                    let old = state.identity()?.root.key_of(one.signer);
                    old.or_else(|| changed.root.key_of(one.signer))
                }
                (_, Role::Root, How::OwnKey) => state.identity()?.root.key_of(one.signer),
                (_, Role::Root | Role::Node, _) => None,
                (_, role, How::OwnKey) => authority.own_key(state, one.signer, role)?,
                (_, role, How::Custody | How::Paper | How::Spoken) => {
                    authority.desk_key(state, one.signer, role)
                }
            };
            let key = key.ok_or(Rejected::UnknownSigner { signer: one.signer })?;
            if one.role == Role::Root && !authority.roots.insert(one.signer) {
                return Err(Rejected::SignedTwice { signer: one.signer });
            }
            each(key, one)?;
        }
        Ok(authority)
    }

    fn own_key(&mut self, state: &State, signer: Signer, role: Role) -> Result<Option<KeyBytes>, Rejected> {
        let Some(row) = state.signers.get(&signer).filter(|row| row.active) else { return Ok(None) };
        let account = state.holder(&row.account)?;
        if role != Role::Member && !account.roles.contains(&role) {
            return Err(Rejected::RoleNotHeld { signer, role });
        }
        self.holders.insert(row.account);
        self.holder_roles.insert((row.account, role));
        Ok(Some(row.key))
    }

    fn desk_key(&mut self, state: &State, signer: Signer, role: Role) -> Option<KeyBytes> {
        let (_, key) = state.identity.as_ref()?.current(Purpose::Desk)?;
        if signer_of(key) != signer {
            return None;
        }
        self.desk.insert(role);
        Some(*key)
    }

    /// A debit of a holder's account: by its own keys if it has any, else through the desk. Accounts of the
    /// commons, of pools and of the outside move by an office.
    pub(super) fn may_debit(
        &self,
        state: &State,
        account: &AccountId,
        owner: OwnerKind,
    ) -> Result<(), Rejected> {
        let allowed = match owner {
            OwnerKind::Member | OwnerKind::Organisation => {
                let keyless = state.accounts.get(account).is_some_and(|a| a.keys.is_empty());
                self.holders.contains(account) || (keyless && !self.desk.is_empty())
            }
            OwnerKind::Commons | OwnerKind::Pool | OwnerKind::Outside => self.coordinator(state),
            OwnerKind::Peer | OwnerKind::Own => false,
        };
        if allowed { Ok(()) } else { Err(Rejected::NotAuthorised { account: *account }) }
    }

    /// A coordinator or treasurer stands behind the operation (or the root set does).
    pub(super) fn coordinator(&self, state: &State) -> bool {
        let office = |role: &Role| matches!(role, Role::Coordinator | Role::Treasurer);
        self.desk.iter().any(office)
            || self.holder_roles.iter().any(|(_, role)| office(role))
            || self.roots(state).is_ok()
    }

    /// A coordinator, an operator or the root set stands behind the operation.
    pub(super) fn office_or_roots(&self, state: &State) -> Result<(), Rejected> {
        let office = |role: &Role| matches!(role, Role::Coordinator | Role::Operator);
        let held = self.desk.iter().any(office) || self.holder_roles.iter().any(|(_, role)| office(role));
        if held { Ok(()) } else { self.roots(state).map_err(|_| Rejected::OfficeNeeded) }
    }

    /// A treasurer, an operator or the root set stands behind the operation.
    pub(super) fn treasury(&self, state: &State) -> Result<(), Rejected> {
        let office = |role: &Role| matches!(role, Role::Treasurer | Role::Operator);
        let held = self.desk.iter().any(office) || self.holder_roles.iter().any(|(_, role)| office(role));
        if held { Ok(()) } else { self.roots(state).map_err(|_| Rejected::OfficeNeeded) }
    }

    /// The root set stands behind the operation.
    pub(super) fn roots(&self, state: &State) -> Result<(), Rejected> {
        let need = state.identity()?.root.threshold;
        self.root_quorum(need)
    }

    /// A quorum of one root set; else how many of it have signed.
    pub(super) fn quorum_of(&self, set: &RootSet) -> Result<(), usize> {
        let have = self.roots.iter().filter(|signer| set.key_of(**signer).is_some()).count();
        if have >= usize::from(set.threshold) { Ok(()) } else { Err(have) }
    }

    /// At least `need` root signatures.
    pub(super) fn root_quorum(&self, need: u8) -> Result<(), Rejected> {
        let have = self.roots.len();
        if have >= usize::from(need) { Ok(()) } else { Err(Rejected::RootQuorum { need, have }) }
    }

    /// Nobody signed: an operation of the node itself.
    pub(super) fn is_node(&self) -> bool {
        self.holders.is_empty() && self.desk.is_empty() && self.roots.is_empty()
    }
}
