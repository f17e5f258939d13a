//! What a node keeps of a pairing under way, in its private store: it survives a restart, and nothing of it is in the
//! ledger before our root set has signed.

use crate::clearing::ClearingError;
use crate::service::Core;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weft_protocol::clearing::accord::Accord;
use weft_protocol::clearing::step::RootSig;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::federation::invite::{Covered, check_words};
use weft_protocol::ids::{Hash, KeyBytes, SigBytes, Signer, UnitId};
use weft_protocol::ledger::identity::{Identity, Purpose};
use weft_protocol::ledger::units::UnitDefined;

/// Key of the pairings in the private store.
const SETTING: &str = "pairings";

/// An unlike unit of theirs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Exchange {
    /// Our number for it.
    pub(super) foreign: u16,
    /// So many of its smallest parts ...
    pub(super) num: u64,
    /// ... are worth so many of ours.
    pub(super) den: u64,
}

/// What the host keeps of an invitation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) unit: u16,
    pub(super) they_may_owe: u64,
    pub(super) we_may_owe: u64,
    pub(super) relay: bool,
    #[serde(default)]
    pub(super) mirror: bool,
    /// Our number for their unit, where theirs is an unlike one, with the rate.
    #[serde(default)]
    pub(super) exchange: Option<Exchange>,
}

/// A pairing as it is kept: all binary things in hex.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) host: bool,
    pub(super) token: String,
    pub(super) expires_ms: u64,
    pub(super) ledger: String,
    pub(super) site: String,
    pub(super) alias: String,
    pub(super) addresses: Vec<String>,
    pub(super) entries: Vec<String>,
    pub(super) accord: String,
    pub(super) our_nonce: String,
    pub(super) their_nonce_hash: String,
    pub(super) their_nonce: Option<String>,
    pub(super) our_sigs: Vec<(String, String)>,
    pub(super) their_sigs: Vec<(String, String)>,
    pub(super) done: bool,
}

pub(super) type Records = BTreeMap<String, Record>;

pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap_or_default()
}

pub(super) fn hash(text: &str) -> Hash {
    text.parse().unwrap_or(Hash::ZERO)
}

pub(super) fn nonce_hash(nonce: &Hash) -> Hash {
    Hash::of("", &[nonce.as_bytes()])
}

impl Record {
    pub(super) fn entries(&self) -> Vec<Blob> {
        self.entries.iter().map(|e| Blob(unhex(e))).collect()
    }

    pub(super) fn identity(&self) -> Result<Identity, ClearingError> {
        identity_of(&self.entries()).map_err(|e| ClearingError::refused("bad-identity", e))
    }

    pub(super) fn accord(&self) -> Result<Accord, ClearingError> {
        Accord::parse(&unhex(&self.accord)).map_err(|e| ClearingError::refused("bad-accord", e.to_string()))
    }

    pub(super) fn words(&self, our_log: KeyBytes) -> Result<Vec<String>, ClearingError> {
        let Some(theirs) = self.their_nonce.as_deref().map(hash) else { return Ok(Vec::new()) };
        let (accord, identity, ours) = (self.accord()?, self.identity()?, hash(&self.our_nonce));
        let their_log = identity.current(Purpose::Log).map_or(KeyBytes::ZERO, |(_, key)| *key);
        let (a, b, nonces) = if self.host {
            ((accord.a, our_log), (accord.b, their_log), [ours, theirs])
        } else {
            ((accord.a, their_log), (accord.b, our_log), [theirs, ours])
        };
        let covered = Covered { accord: accord.id(), a, b, nonces };
        Ok(check_words(&covered).into_iter().map(str::to_owned).collect())
    }

    pub(super) fn state(&self, now_ms: u64) -> &'static str {
        match (self.done, self.our_sigs.is_empty(), self.expires_ms < now_ms) {
            (true, _, _) => "done",
            (false, _, true) => "expired",
            (false, true, false) => "waiting-for-us",
            (false, false, false) => "waiting-for-them",
        }
    }
}

/// Who some public entries say a network is, all signatures checked.
pub(super) fn identity_of(entries: &[Blob]) -> Result<Identity, String> {
    let entries: Result<Vec<Entry>, _> = entries.iter().map(|b| Entry::parse(&b.0)).collect();
    let entries = entries.map_err(|e| e.to_string())?;
    Identity::from_entries(&entries).map_err(|e| e.to_string())
}

pub(super) fn unit_in(entries: &[Blob], unit: UnitId) -> Option<UnitDefined> {
    entries.iter().find_map(|bytes| match Entry::parse(&bytes.0).ok()?.op().payload.clone() {
        Payload::UnitDefined(defined) if defined.unit == unit => Some(defined),
        _ => None,
    })
}

pub(super) fn load(core: &Core) -> Records {
    let bytes = core.private().setting(SETTING).ok().flatten().unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

pub(super) fn save(core: &Core, record: Record) -> Result<(), ClearingError> {
    let mut records = load(core);
    let now_ms = core.clock().now_ms();
    records.retain(|_, r| r.expires_ms > now_ms || r.done);
    if record.done {
        records.remove(&record.id);
    } else {
        records.insert(record.id.clone(), record);
    }
    let bytes = serde_json::to_vec(&records).unwrap_or_default();
    core.private()
        .set_setting(SETTING, &bytes)
        .map_err(|e| ClearingError::new(503, "private-store", e.to_string()))
}

pub(super) fn roots(sigs: &[(String, String)]) -> Vec<RootSig> {
    let one = |(signer, sig): &(String, String)| {
        Some(RootSig { signer: signer.parse::<Signer>().ok()?, sig: sig.parse::<SigBytes>().ok()? })
    };
    sigs.iter().filter_map(one).collect()
}
