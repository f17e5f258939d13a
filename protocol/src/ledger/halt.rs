//! PAUSE and END: no new payments over a channel, for a while or for good (specs/clearing.md §14).
//!
//! What must hold: what is open runs to its end whatever is said here, statements and settlements go on, and an end is
//! undone only by a new accord that both root sets sign.

use super::Rejected;
use super::state::ChannelRow;
use minicbor::{Decode, Encode};

/// Why a network lets no new payments over a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Halt {
    /// For a while.
    #[n(0)]
    Paused,
    /// For good: a new accord may follow.
    #[n(1)]
    Ended,
}

/// Arguments of PAUSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PauseArgs {
    /// Whether new payments stop; else they may go again.
    #[n(0)]
    pub on: bool,
}

/// The halt that a step leaves: something changes, and an end stays one.
///
/// # Errors
/// Nothing would change, or the accord has ended.
pub fn after(halt: Option<Halt>, step: Option<PauseArgs>) -> Result<Option<Halt>, Rejected> {
    match (halt, step) {
        (Some(Halt::Ended), _) => Err(Rejected::AccordEnded),
        (_, None) => Ok(Some(Halt::Ended)),
        (None, Some(PauseArgs { on: true })) => Ok(Some(Halt::Paused)),
        (Some(Halt::Paused), Some(PauseArgs { on: false })) => Ok(None),
        (None, Some(PauseArgs { on: false })) | (Some(Halt::Paused), Some(PauseArgs { on: true })) => {
            Err(Rejected::NothingToDo)
        }
    }
}

/// Whether new payments may be proposed on a channel.
///
/// # Errors
/// This network has paused it or ended its accord.
pub(crate) fn check_open(channel: &ChannelRow) -> Result<(), Rejected> {
    match channel.halt {
        None => Ok(()),
        Some(halt) => Err(Rejected::Halted { peer: channel.peer, halt, by_us: true }),
    }
}
