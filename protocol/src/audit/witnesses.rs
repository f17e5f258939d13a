//! Who else vouches for the checkpoint: its cosignatures, held against a policy (specs/audit.md §2).
//!
//! Without a policy the witnesses are those that peers bind in their own identity entries. A line under a name that
//! is known but that does not verify is an error; a line of somebody unknown is no error, and is told.

use super::finding::{Class, Finding, Findings};
use crate::keys::PublicKey;
use crate::ledger::identity::{Identity, Purpose};
use crate::log::note::{KeyName, Note, VerifierKey};
use crate::log::witness::{Policy, Quorum, check_quorum, witness_key};

/// The keys under which a network's witness may have signed: those of all its epochs.
pub(super) fn keys_of(identity: &Identity) -> Vec<VerifierKey> {
    let keys = (0..).map_while(|epoch| identity.key(Purpose::Witness, epoch));
    let keys = keys.filter_map(|key| PublicKey::new(key).ok());
    keys.map(|key| witness_key(&identity.ledger, &key)).collect()
}

/// How a checkpoint stands with its witnesses, told in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Under the policy given, else under one of all peers' witnesses, any one of which is enough.
    pub quorum: Quorum,
    /// Whether the auditor gave the policy.
    pub policy_given: bool,
    /// In words.
    pub words: String,
}

/// Judges the lines of a checkpoint that are not its log's.
pub(super) fn judge(
    note: &Note,
    file: &str,
    log: &VerifierKey,
    peers: &[VerifierKey],
    policy: Option<&Policy>,
    findings: &mut Findings,
) -> Witnessed {
    let own = match policy {
        Some(policy) => policy.clone(),
        None => Policy::of_witnesses(peers.iter().cloned(), 1),
    };
    let quorum = check_quorum(note, &own);
    let mut add = |finding: Finding| findings.add(finding.in_file(file));
    for bad in quorum.bad() {
        add(Finding::error(format!("the cosignature by {} does not verify", bad.key_name)));
    }
    for line in quorum.unknown.iter().filter(|line| !line.claims(log)) {
        let known = peers.iter().find(|key| line.claims(key));
        match known {
            Some(key) if note.cosignature(key).is_ok() => {}
            Some(_) => add(Finding::error(format!("the cosignature by {} does not verify", line.name))),
            None if line.name == *log.name() || peers.iter().any(|key| line.name == *key.name()) => {
                let what =
                    format!("a signature line of {} is by a key ({}) that it never had", line.name, line.id);
                add(Finding::error(what));
            }
            None => {
                let what = format!(
                    "the checkpoint carries a signature line of {} ({}), which is not known here",
                    line.name, line.id
                );
                add(Finding::new(Class::NotChecked, what));
            }
        }
    }
    let names: Vec<KeyName> = peers.iter().map(|key| key.name().clone()).collect();
    let words = match policy {
        Some(_) => quorum.words(&names),
        None if quorum.cosigned().count() == 0 => "witnessed by nobody whose key is known here".to_owned(),
        None if names_differ(&quorum) => {
            format!("witnessed by {} peers; no policy was given", quorum.cosigned().count())
        }
        None => format!("{}; no policy was given", crate::log::witness::quorum::ONLY_COUNTERPARTY),
    };
    if policy.is_some() {
        if let Some(Err(why)) = &quorum.log {
            add(Finding::error(format!("no log of the policy has signed the checkpoint: {why}")));
        }
        if !quorum.reached {
            add(Finding::error(format!("the checkpoint is {words}")));
        }
    }
    Witnessed { quorum, policy_given: policy.is_some(), words }
}

/// Whether more than one witness has cosigned; two keys of one network are one.
fn names_differ(quorum: &Quorum) -> bool {
    let mut names = quorum.cosigned().map(|(witness, _)| &witness.key_name);
    let first = names.next();
    names.any(|name| Some(name) != first)
}
