//! Witnesses: who else has seen a log, and vouches that it only ever grew (specs/witness.md).
//!
//! Every format is C2SP's: tlog-cosignature (Ed25519, type 0x04), tlog-witness request and answer bodies, tlog-policy.
//! What must hold: a witness never cosigns two checkpoints of one log of which the later does not extend the earlier;
//! so what a request leads to is decided by one pure function from what was cosigned last, and the caller stores its
//! result durably before any answer leaves.

pub mod cosignature;
pub mod decide;
pub mod policy;
pub mod quorum;
pub mod request;

pub use cosignature::{Cosignature, CosignatureError, witness_key, witness_name};
pub use decide::{Contradiction, Decision, Refusal, Seen, decide};
pub use policy::{Policy, PolicyError};
pub use quorum::{Quorum, check_quorum, least_quorum};
pub use request::{AddCheckpoint, Answer, RequestError};
