//! What revocations of our log keys say, held against the tree and against what the auditor has kept
//! (specs/keys.md 3.2, specs/audit.md §2).
//!
//! The root set names the last checkpoint that it stands by. It has to be one of this history, and it may not be
//! from before a checkpoint of the same key that a witness has cosigned.

use super::finding::{Class, Finding, Findings, Since};
use super::resume::extends;
use super::source::Source;
use super::tree::Claimed;
use crate::keys::PublicKey;
use crate::ledger::identity::{Identity, Purpose};
use crate::log::witness::{Policy, check_quorum};

/// Looks at every revoked log key. `witnesses` are those whose cosignature counts.
pub(super) fn check(
    identity: &Identity,
    newest: Option<&Claimed>,
    earlier: Option<&Claimed>,
    witnesses: &Policy,
    source: &mut dyn Source,
    findings: &mut Findings,
) {
    for ((purpose, epoch), revoked) in &identity.revoked {
        if *purpose != Purpose::Log {
            continue;
        }
        let good = Since { entries: revoked.last_good.size, root: revoked.last_good.root };
        let covers =
            newest.filter(|claimed| claimed.says.as_ref().is_some_and(|says| says.size() > revoked.at));
        if let Some(newest) = covers
            && let Err(why) = extends(&good, newest, source)
        {
            let what = format!(
                "the revocation of log key {epoch} stands by {} entries that are not those here: {why}",
                good.entries
            );
            findings.add(Finding::new(Class::Mismatch, what).in_file(newest.file()));
        }
        let Ok(key) = identity.log_key(*epoch) else { continue };
        for claimed in [earlier, newest].into_iter().flatten() {
            if let Some(size) = cosigned_size(claimed, &key, witnesses)
                && size > good.entries
            {
                let what = format!(
                    "the revocation of log key {epoch} stands by {} entries only, and a witness has cosigned {size} \
                     under that key: those between are this network's all the same",
                    good.entries
                );
                findings.add(Finding::error(what).in_file(claimed.file()));
            }
        }
    }
}

/// How many entries a checkpoint covers that this key has signed and a witness has cosigned.
fn cosigned_size(claimed: &Claimed, key: &PublicKey, witnesses: &Policy) -> Option<u64> {
    let says = claimed.says.as_ref()?;
    let (note, _) = claimed.note()?;
    let cosigned = check_quorum(note, witnesses).cosigned().next().is_some();
    (cosigned && claimed.is_of(says.origin().as_str(), key)).then(|| says.size())
}
