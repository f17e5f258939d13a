//! What peers ask of us as a mirror (specs/mirror.md §3): to keep a piece, to say what is kept, to give one back. In
//! quarantine too: nothing of it is signed.

use super::Clearing;
use super::inbound::Refused;
use crate::mirror::keeper::KeeperError;
use weft_protocol::ids::LedgerId;
use weft_protocol::mirror::{GetPiece, ListPieces, PieceGot, PiecePut, PiecesListed, PutPiece};
use weft_protocol::wire::{Message, number_of};

impl Clearing {
    pub(super) async fn mirror_in(&self, peer: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        let agreed = self.0.ledger.run(move |core| core.mirrors_with(&peer));
        let agreed = agreed.await.map_err(|e| e.to_string())?;
        let keeper = self.0.keeper.clone();
        let work: Box<dyn FnOnce() -> Result<Vec<u8>, KeeperError> + Send> = match number_of(bytes) {
            // What was kept once is given back, whatever the accord says by now.
            Some(1) if !agreed => {
                return Err("the accord with this network says nothing of mirrors".to_owned().into());
            }
            Some(1) => {
                let piece = PutPiece::parse(bytes)?.piece;
                piece.check().map_err(|e| e.to_string())?;
                Box::new(move || {
                    let taken = keeper.put(&peer, &piece)?;
                    Ok(PiecePut { message: 2, taken }.to_bytes())
                })
            }
            Some(3) => {
                let ask = ListPieces::parse(bytes)?;
                Box::new(move || {
                    let runs = keeper.list(&peer, ask.from)?;
                    Ok(PiecesListed { message: 4, runs }.to_bytes())
                })
            }
            _ => {
                let ask = GetPiece::parse(bytes)?;
                Box::new(move || {
                    let piece = keeper.get(&peer, &ask)?;
                    Ok(PieceGot { message: 6, piece }.to_bytes())
                })
            }
        };
        let done = tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?;
        done.map_err(|error| {
            match &error {
                KeeperError::Busy => {}
                KeeperError::Data(_) | KeeperError::Io { .. } => {
                    tracing::error!(peer = %peer.short(), %error, "a peer's piece was neither kept nor given");
                }
            }
            Refused::Other(error.to_string())
        })
    }

    /// How many pieces and bytes are kept for a peer; none when that cannot be read.
    pub(crate) async fn kept_for(&self, peer: LedgerId) -> (u64, u64) {
        let keeper = self.0.keeper.clone();
        let usage = tokio::task::spawn_blocking(move || keeper.usage(&peer)).await;
        usage.ok().and_then(Result::ok).unwrap_or_default()
    }
}
