//! Asks mirrors for our own entries while the node is in quarantine (specs/mirror.md §5). What comes is judged on the
//! ledger's thread.

use super::{ListError, list};
use crate::clearing::Clearing;
use crate::network::{Protocol, RequestError};
use crate::service::{Ledger, MirrorsWanted};
use std::time::Duration;
use tokio::sync::watch;
use weft_protocol::ids::LedgerId;
use weft_protocol::mirror::{GetPiece, PieceGot, PieceId};
use weft_protocol::wire::Message;

/// How long to wait before it is looked again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The task that asks; ends with the quarantine, when `stop` turns true, or when the ledger has stopped.
pub(crate) async fn run(ledger: Ledger, clearing: Clearing, mut stop: watch::Receiver<bool>) {
    loop {
        match round(&ledger, &clearing).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => tracing::warn!(%why, "a mirror will be asked again"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Everything that can be asked now; whether there may be more to ask later.
async fn round(ledger: &Ledger, clearing: &Clearing) -> Result<bool, String> {
    let Ok(wanted) = ledger.run(|core| core.mirrors_wanted()).await else { return Ok(false) };
    let Some(MirrorsWanted { unheard, from, .. }) = wanted else { return Ok(false) };
    for (peer, agreed) in unheard.into_iter().filter(|(peer, _)| clearing.is_connected(peer)) {
        hear(ledger, clearing, peer, agreed, from).await;
    }
    loop {
        let Ok(wanted) = ledger.run(|core| core.mirrors_wanted()).await else { return Ok(false) };
        let Some(MirrorsWanted { piece, .. }) = wanted else { return Ok(false) };
        let Some((peer, id)) = piece else { return Ok(true) };
        fetch(ledger, clearing, peer, id).await?;
    }
}

/// Asks a mirror what it holds. One that cannot be reached is asked again; one that answers what cannot be is not.
async fn hear(ledger: &Ledger, clearing: &Clearing, peer: LedgerId, agreed: bool, from: u64) {
    let runs = match list(clearing, peer, from).await {
        Ok(runs) => Ok(runs),
        Err(ListError::Wrong(why)) => Err(why),
        // As far as we know it keeps nothing of ours, and so it says itself.
        Err(ListError::Unanswered(
            RequestError::Refused { .. } | RequestError::UnsupportedProtocol { .. },
        )) if !agreed => Ok(Vec::new()),
        Err(ListError::Unanswered(why)) => {
            tracing::debug!(peer = %peer.short(), %why, "a mirror has not said what it keeps");
            return;
        }
    };
    // When the ledger has stopped there is nothing left to take it.
    let _ = ledger.run(move |core| core.mirror_listed(peer, runs)).await;
}

async fn fetch(ledger: &Ledger, clearing: &Clearing, peer: LedgerId, id: PieceId) -> Result<(), String> {
    let ask = GetPiece { message: 5, number: id.number, boot: id.boot, key: id.key };
    let bytes = clearing.request(peer, Protocol::Mirror, ask.to_bytes()).await;
    let bytes = bytes.map_err(|e| e.to_string())?;
    // What cannot be read is no piece.
    let piece = PieceGot::parse(&bytes).ok().and_then(|got| got.piece);
    let taken = ledger.run(move |core| core.mirror_given(peer, id, piece.as_ref()));
    taken.await.map_err(|e| e.to_string())
}
