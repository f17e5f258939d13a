//! The guard over the network: asks peers after a start, fetches our own entries back, answers others
//! (specs/network.md §10).

use super::Clearing;
use super::inbound::Refused;
use super::link::Link;
use crate::network::{Protocol, RequestError};
use crate::service::GuardStep;
use std::time::Duration;
use tokio::sync::watch;
use weft_protocol::clearing::guard::{Fetch, Fetched, Guard, Guarded};
use weft_protocol::ids::LedgerId;
use weft_protocol::wire::Message;

/// How long a guard that waits for others, or failed, waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Asks one peer until signing towards it may go on.
pub(super) async fn run(clearing: Clearing, link: Link, mut connected: watch::Receiver<bool>) {
    loop {
        if connected.wait_for(|is| *is).await.is_err() {
            return;
        }
        match step(&clearing, link).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(why) => tracing::warn!(peer = %link.ledger.short(), %why, "the guard will be tried again"),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Everything that can be done with the peer now; whether that was all.
async fn step(clearing: &Clearing, link: Link) -> Result<bool, String> {
    let shared = &clearing.0;
    let (ledger, peer) = (link.ledger, link.peer);
    loop {
        let step =
            shared.ledger.run(move |core| core.guard_step(&ledger)).await.map_err(|e| e.to_string())?;
        match step.map_err(|e| e.to_string())? {
            GuardStep::Done => {
                clearing.nudge(None);
                return Ok(true);
            }
            GuardStep::Wait => {
                clearing.nudge(Some(ledger));
                return Ok(false);
            }
            GuardStep::Ask(ask) => {
                let bytes = shared.network.request(peer, Protocol::Guard, ask.to_bytes()).await;
                let answer = Guarded::parse(&bytes.map_err(said)?).map_err(|e| e.to_string())?;
                let heard = shared.ledger.run(move |core| core.guard_heard(&ledger, &ask, answer));
                heard.await.map_err(|e| e.to_string())?;
            }
            GuardStep::Fetch(ask) => {
                let bytes = shared.network.request(peer, Protocol::Guard, ask.to_bytes()).await;
                let fetched = Fetched::parse(&bytes.map_err(said)?).map_err(|e| e.to_string())?;
                let taken = shared.ledger.run(move |core| core.guard_fetched(&ledger, &ask, &fetched));
                taken.await.map_err(|e| e.to_string())??;
            }
        }
    }
}

fn said(error: RequestError) -> String {
    error.to_string()
}

impl Clearing {
    /// A peer asks after its start, or fetches its own entries.
    pub(super) async fn guard_in(&self, peer: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        if let Ok(ask) = Guard::parse(bytes) {
            let answered = self.0.ledger.run(move |core| core.guard_in(&peer, &ask));
            let answer = answered.await.map_err(|e| e.to_string())??;
            self.nudge(Some(peer));
            return Ok(answer.to_bytes());
        }
        let ask = Fetch::parse(bytes)?;
        let fetched = self.0.ledger.run(move |core| core.guard_fetch(&peer, &ask));
        Ok(fetched.await.map_err(|e| e.to_string())??.to_bytes())
    }
}
