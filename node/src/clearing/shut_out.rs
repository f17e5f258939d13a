//! Who is shut out and who is vouched, as the network layer is told (specs/network.md 3.1, 3.5, 3.6).
//!
//! The network layer shuts out at once whoever breaks too many rules; here that is written down, so that it outlasts a
//! start, and ended when its time is over. No payment ends by it: what is open goes on when the other is let in.

use super::{Clearing, ClearingError, peer_id};
use crate::network::PeerId;
use crate::store::private::ShutOut;
use std::time::Duration;
use weft_protocol::ids::LedgerId;

/// How long the node itself shuts somebody out: a broken node comes back by itself, an attacker stays a cost of one
/// handshake.
const BAN_MS: u64 = 24 * 3_600_000;
/// How often it is looked who is vouched, and whose time is over.
const LOOK: Duration = Duration::from_secs(30);

impl Clearing {
    /// Writes down that the network layer has shut somebody out.
    pub(super) async fn keep_out(self, peer: PeerId, reason: String) {
        let ledger = self.peer_behind(&peer);
        let since_ms = self.0.clock.now_ms();
        let until_ms = Some(since_ms.saturating_add(BAN_MS));
        let row = ShutOut { peer: peer.to_bytes(), ledger, reason, since_ms, until_ms };
        match self.0.ledger.run(move |core| core.private().put_shut_out(&row)).await {
            Ok(Ok(gone)) => self.let_in_all(gone).await,
            Ok(Err(error)) => {
                tracing::warn!(%peer, %error, "that somebody is shut out lasts until the next start")
            }
            Err(_) => {}
        }
    }

    /// Shuts somebody out by its libp2p identity, until the operator lets it in.
    ///
    /// # Errors
    /// When it cannot be written; nothing changed.
    pub async fn shut_out(&self, peer: PeerId, reason: String) -> Result<(), ClearingError> {
        if peer == self.0.network.local_peer_id() {
            return Err(ClearingError::refused("own-identity", "this is the identity of this node itself"));
        }
        let since_ms = self.0.clock.now_ms();
        let ledger = self.peer_behind(&peer);
        let row = ShutOut { peer: peer.to_bytes(), ledger, reason, since_ms, until_ms: None };
        let written = self.0.ledger.run(move |core| core.private().put_shut_out(&row)).await?;
        let gone = written.map_err(|e| ClearingError::new(500, "private-store", e.to_string()))?;
        self.let_in_all(gone).await;
        self.0
            .network
            .block(peer)
            .await
            .map_err(|e| ClearingError::new(503, "network-stopped", e.to_string()))
    }

    /// Lets somebody in again; whether it was shut out.
    ///
    /// # Errors
    /// When it cannot be written; nothing changed.
    pub async fn let_in(&self, peer: PeerId) -> Result<bool, ClearingError> {
        let bytes = peer.to_bytes();
        let was = self.0.ledger.run(move |core| core.private().let_in(&bytes)).await?;
        let was = was.map_err(|e| ClearingError::new(500, "private-store", e.to_string()))?;
        let unblocked = self.0.network.unblock(peer).await;
        unblocked.map_err(|e| ClearingError::new(503, "network-stopped", e.to_string()))?;
        Ok(was)
    }

    /// Lets in everybody behind whom a network stands.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn let_in_network(&self, ledger: LedgerId) -> Result<(), ClearingError> {
        let rows = self.0.ledger.run(|core| core.private().shut_outs()).await?;
        let rows = rows.map_err(|e| ClearingError::new(500, "private-store", e.to_string()))?;
        for row in rows.iter().filter(|row| row.ledger == Some(ledger)) {
            if let Ok(peer) = PeerId::from_bytes(&row.peer) {
                self.let_in(peer).await?;
            }
        }
        Ok(())
    }

    /// A peer that is shut out does not get in by binding another libp2p key.
    pub(super) async fn keep_out_new_key(&self, ledger: LedgerId, peer: PeerId) {
        let rows = self.0.ledger.run(|core| core.private().shut_outs()).await;
        let Ok(Ok(rows)) = rows else { return };
        let (bytes, of_ledger) = (peer.to_bytes(), rows.into_iter().find(|row| row.ledger == Some(ledger)));
        let Some(row) = of_ledger.filter(|row| row.peer != bytes) else { return };
        let row = ShutOut { peer: bytes, ..row };
        if let Ok(Ok(gone)) = self.0.ledger.run(move |core| core.private().put_shut_out(&row)).await {
            self.let_in_all(gone).await;
        }
        // A network layer that has stopped lets nobody in.
        let _ = self.0.network.block(peer).await;
    }

    /// Tells the network layer now and then who is vouched, and whose time is over.
    pub(super) async fn keep_gate(self) {
        let mut interval = tokio::time::interval(LOOK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let now_ms = self.0.clock.now_ms();
            let looked = self.0.ledger.run(move |core| {
                let identities = core.vouched().into_iter();
                let vouched = identities.filter_map(|identity| peer_id(&identity).ok()).collect();
                (vouched, core.private().let_in_at(now_ms))
            });
            let Ok((vouched, over)) = looked.await else { return };
            match over {
                Ok(over) => self.let_in_all(over).await,
                Err(error) => tracing::warn!(%error, "whose time is over could not be let in"),
            }
            if self.0.network.set_vouched(vouched).await.is_err() {
                return;
            }
        }
    }

    async fn let_in_all(&self, rows: Vec<ShutOut>) {
        for row in rows {
            if let Ok(peer) = PeerId::from_bytes(&row.peer) {
                // A network layer that has stopped has nobody to let in.
                let _ = self.0.network.unblock(peer).await;
            }
        }
    }
}
