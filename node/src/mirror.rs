//! Mirrors over the network and on disk (specs/mirror.md): pieces of our ledger go to peers that keep them for us, we
//! keep theirs, and a node in quarantine takes its own back.
//!
//! What must hold: nothing that a keeper holds is needed to run, and nothing it gives counts before it is verified. The
//! memory of how far is mirrored is rebuilt at each connection: the keeper is asked.

pub(crate) mod keeper;
mod push;
mod restore;

pub(crate) use push::run as push;
pub(crate) use restore::run as restore;

use crate::clearing::Clearing;
use crate::network::{Protocol, RequestError};
use weft_protocol::ids::LedgerId;
use weft_protocol::mirror::{ListPieces, PiecesListed, Run};
use weft_protocol::wire::Message;

/// Runs that are read of one keeper; honest ones have a few for each start that wrote entries. More is not listened to.
const MAX_LISTED: usize = 65_536;

/// Why a keeper's list is not known.
#[derive(Debug, thiserror::Error)]
enum ListError {
    /// It could not be asked: it may answer later.
    #[error(transparent)]
    Unanswered(RequestError),
    /// It answered what cannot be.
    #[error("{0}")]
    Wrong(String),
}

/// All that a keeper says it holds of ours, from a place on.
async fn list(clearing: &Clearing, peer: LedgerId, from: u64) -> Result<Vec<Run>, ListError> {
    let (mut runs, mut from): (Vec<Run>, u64) = (Vec::new(), from);
    loop {
        let ask = ListPieces { message: 3, from };
        let bytes = clearing.request(peer, Protocol::Mirror, ask.to_bytes()).await;
        let page = PiecesListed::parse(&bytes.map_err(ListError::Unanswered)?);
        let page = page.map_err(|e| ListError::Wrong(format!("its list is malformed: {e}")))?;
        let Some(last) = page.runs.last().copied() else { return Ok(runs) };
        let next = last.number.checked_add(last.pieces).filter(|next| *next > from);
        let sound = page.runs.iter().all(|run| run.number >= from && run.end().is_some());
        let (Some(next), true) = (next, sound) else {
            return Err(ListError::Wrong("its list names pieces that cannot be".to_owned()));
        };
        runs.extend(page.runs);
        if runs.len() > MAX_LISTED {
            return Err(ListError::Wrong(format!("its list has more than {MAX_LISTED} lines")));
        }
        from = next;
    }
}
