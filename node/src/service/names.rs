//! Names people use, in memory: whom they mean here, and which peers they mean behind an @.
//!
//! The private store has them all, but they are asked for with every payment.
//! What must hold: what is found here is what the store says; a name goes from here before, or with, its row.

use super::core::Core;
use crate::store::Private;
use crate::store::private::{LocalPeer, Person, PrivateError};
use std::collections::BTreeMap;
use weft_protocol::clearing::engine::Payee;
use weft_protocol::ids::{AccountId, LedgerId};
use weft_protocol::ledger::State;
use weft_protocol::sidecar::Content;

/// People read at once.
const PAGE: usize = 500;

/// See the module.
#[derive(Default)]
pub(super) struct Names {
    accounts: BTreeMap<String, AccountId>,
    people: BTreeMap<AccountId, String>,
    /// The first of many, as [`Private::peers`] gives them: who is not here may still be in the store.
    networks: BTreeMap<String, LedgerId>,
}

/// Names do not belong into logs.
impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("people", &self.people.len()).finish_non_exhaustive()
    }
}

impl Names {
    /// Reads them from the store.
    pub(super) fn read(private: &Private, state: &State) -> Result<Self, PrivateError> {
        let mut names = Self::default();
        let mut after = None;
        loop {
            let people = private.people(after.as_ref(), PAGE)?;
            let Some(last) = people.last() else { break };
            after = Some(last.account);
            // A crash between a name and its account leaves a name that nobody has; one after an erasure's entry, one that
            // nobody has any more.
            let is_called =
                |account| state.accounts.contains_key(account) && !state.erased.contains_key(account);
            people.iter().filter(|p| is_called(&p.account)).for_each(|p| names.call(&p.name, p.account));
        }
        private.peers()?.iter().for_each(|peer| names.call_network(&peer.alias, peer.ledger));
        Ok(names)
    }

    fn call(&mut self, name: &str, account: AccountId) {
        self.accounts.insert(name_key(name), account);
        self.people.insert(account, name.trim().to_owned());
    }

    fn call_network(&mut self, alias: &str, ledger: LedgerId) {
        self.networks.retain(|_, of| *of != ledger);
        self.networks.insert(alias.to_owned(), ledger);
    }

    /// Forgets how the holder of an account was called.
    pub(super) fn forget(&mut self, account: &AccountId) {
        self.accounts.retain(|_, named| named != account);
        self.people.remove(account);
    }

    /// The peer that is called this here, of those that are in memory.
    pub(super) fn network(&self, alias: &str) -> Option<LedgerId> {
        self.networks.get(alias).copied()
    }

    /// Whom the content of a payment's sidecar means.
    pub(super) fn payee_of(&self, content: &[u8]) -> Payee {
        match Content::parse(content) {
            Err(_) => Payee::Bad,
            Ok(content) => {
                let by_id = || content.payee.parse().ok().map(Payee::Account);
                let by_name = self.accounts.get(&name_key(&content.payee)).copied().map(Payee::Account);
                by_name.or_else(by_id).unwrap_or(Payee::Unknown)
            }
        }
    }
}

impl Core {
    /// The account that a name or an account id means.
    pub fn account_named(&self, name: &str) -> Option<AccountId> {
        let by_name = self.names.accounts.get(&name_key(name)).copied();
        by_name.or_else(|| name.parse().ok().filter(|id| self.engine().state().accounts.contains_key(id)))
    }

    /// How the holder of an account is called, when this node knows it.
    pub fn name_of(&self, account: &AccountId) -> Option<&str> {
        self.names.people.get(account).map(String::as_str)
    }

    /// Whether a name is taken by another account; names differ in more than case.
    pub fn name_taken(&self, name: &str, account: &AccountId) -> bool {
        self.names.accounts.get(&name_key(name)).is_some_and(|a| a != account)
    }

    /// Writes down who is behind an account, before the account is opened; nothing of who was erased.
    ///
    /// # Errors
    /// When the private store cannot be written.
    pub fn put_person(&mut self, name: &str, account: AccountId) -> Result<(), String> {
        if self.engine().state().erased.contains_key(&account) {
            return Ok(());
        }
        let created_ms = self.clock().now_ms();
        let person = Person { account, name: name.trim().to_owned(), note: String::new(), created_ms };
        self.private().put_person(&person).map_err(|e| e.to_string())?;
        self.names.call(name, account);
        Ok(())
    }

    /// Writes down what this node knows of a peer.
    ///
    /// # Errors
    /// When another peer is called so, or the private store cannot be written; nothing changed.
    pub fn put_peer(&mut self, peer: &LocalPeer) -> Result<(), PrivateError> {
        self.private().put_peer(peer)?;
        self.names.call_network(&peer.alias, peer.ledger);
        Ok(())
    }
}

/// Names that differ only in case or outer spaces are the same name.
pub(super) fn name_key(name: &str) -> String {
    name.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_called_otherwise_is_no_longer_found_under_its_old_name() {
        let mut names = Names::default();
        let (river, hill) = (LedgerId([1; 32]), LedgerId([2; 32]));
        names.call_network("river", river);
        names.call_network("hill", hill);
        names.call_network("riverside", river);
        assert_eq!((names.network("river"), names.network("riverside")), (None, Some(river)));
        assert_eq!(names.network("hill"), Some(hill));
    }

    #[test]
    fn who_is_forgotten_is_neither_found_nor_named() {
        let mut names = Names::default();
        let (ada, bob) = (AccountId([1; 16]), AccountId([2; 16]));
        names.call(" Ada ", ada);
        names.call("Bob", bob);
        let content = |payee: &str| Content { payee: payee.to_owned(), memo: None, payer: None }.to_bytes();
        assert_eq!(names.payee_of(&content("ADA")), Payee::Account(ada));
        assert_eq!(names.people[&ada], "Ada");
        names.forget(&ada);
        assert_eq!(names.payee_of(&content("ada")), Payee::Unknown);
        assert!(!names.people.contains_key(&ada));
        assert_eq!(names.payee_of(&content("bob")), Payee::Account(bob));
        assert_eq!(names.payee_of(&content(&bob.to_string())), Payee::Account(bob), "by its id");
        assert_eq!(names.payee_of(b"no content"), Payee::Bad);
    }
}
