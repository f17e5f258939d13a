//! Questions about claims: to the network that decides them, and from others to us (specs/network.md §7).
//!
//! Who asks need be no peer. An answer is tried for again; nothing depends on a single one.

use super::inbound::{Refused, Replied};
use super::{Clearing, ClearingError, peer_id};
use crate::network::{Fault, PeerId, Protocol};
use crate::service::short;
use std::time::Duration;
use weft_protocol::clearing::engine::AskAnswer;
use weft_protocol::clearing::intent::Intent;
use weft_protocol::encoding::Blob;
use weft_protocol::ids::{ClaimId, LedgerId};
use weft_protocol::ledger::Rejected;
use weft_protocol::wire::{Ask, Asked, Hello, Message, WIRE_VERSION};

/// Bytes of identity entries that go with a question: half of its cap.
const MAX_IDENTITY_BYTES: usize = 32 * 1024;
/// Identity entries that go with a question.
const MAX_IDENTITY_ENTRIES: usize = 60;

impl Clearing {
    /// Asks about claims that wait, one after the other; each with the wish to end it where its time is over.
    pub(super) async fn ask_all(self, due: Vec<(ClaimId, bool)>) {
        for (claim, cancel) in due {
            if let Err(error) = self.ask(claim, cancel).await {
                tracing::debug!(%claim, %error, "no answer about a claim");
            }
        }
    }

    /// Asks the decider of a claim that we have proposed for its word, or to turn it down.
    pub(super) async fn ask(&self, claim: ClaimId, cancel: bool) -> Result<(), ClearingError> {
        let found = self.0.ledger.run(move |core| {
            let intent = core.intent_of(&claim).ok().flatten()?;
            let parsed = intent.parse().ok()?;
            let identity = core.engine().peers().identity(&parsed.payee)?.clone();
            let mut bytes = 0;
            let shown = core.identity_of(&parsed.payer).into_iter().take(MAX_IDENTITY_ENTRIES);
            let shown: Vec<Blob> = shown
                .take_while(|entry| {
                    bytes += entry.0.len();
                    bytes <= MAX_IDENTITY_BYTES
                })
                .collect();
            Some((intent, parsed.payee, identity, shown))
        });
        let (intent, payee, identity, shown) = found.await?.ok_or_else(|| {
            ClearingError::new(404, "unknown-claim", "this network has proposed no such claim")
        })?;
        let ask = Ask { message: 1, intent, cancel, identity: shown };
        let peer = peer_id(&identity)?;
        self.reach(payee, peer).await?;
        let bytes = self.0.network.request(peer, Protocol::Claim, ask.to_bytes()).await;
        let bytes = bytes.map_err(|e| not_reachable(&e.to_string()))?;
        let asked = Asked::parse(&bytes)
            .map_err(|e| ClearingError::new(503, "bad-answer", format!("the answer is malformed: {e}")))?;
        if let Some(why) = asked.refused {
            return Err(ClearingError::refused("ask-refused", format!("the payee's network says: {why}")));
        }
        if let Some(decision) = asked.decision {
            let learned = self.0.ledger.run(move |core| core.learn(&decision)).await?;
            learned.map_err(|e| ClearingError::refused(&e.code(), e.to_string()))?;
        }
        Ok(())
    }

    /// Makes sure of a connection to a network, peer or not: where its descriptor says that it is reached.
    pub(super) async fn reach(&self, ledger: LedgerId, peer: PeerId) -> Result<(), ClearingError> {
        let connected = self.0.network.connected_peers().await.unwrap_or_default();
        if connected.contains(&peer) {
            return Ok(());
        }
        let known = self.0.ledger.run(move |core| {
            let local = core.private().peer(&ledger).ok().flatten().map(|peer| peer.addresses);
            let told = core.descriptor_of(&ledger).map(|descriptor| descriptor.addresses);
            told.into_iter().chain(local).flatten().collect::<Vec<String>>()
        });
        let addresses = known.await?.iter().filter_map(|address| address.parse().ok()).collect();
        let dialled = self.0.network.dial_once(peer, addresses).await;
        dialled.map_err(|e| not_reachable(&e.to_string()))
    }

    /// Asks a network for a hello: whether a connection stood before, and how long the answer took.
    ///
    /// # Errors
    /// When it is not known, not reached, or somebody else answers.
    pub async fn ping(&self, ledger: LedgerId) -> Result<(bool, Duration), ClearingError> {
        let found = self.0.ledger.run(move |core| {
            (
                core.engine().peers().identity(&ledger).cloned(),
                core.engine().state().ledger(),
                core.resume(&ledger),
            )
        });
        let (identity, us, resume) = found.await?;
        let peer = peer_id(&identity.ok_or_else(|| not_reachable("nobody has shown who it is"))?)?;
        let us = us.map_err(|e| ClearingError::refused(&e.code(), e.to_string()))?;
        let connected = self.0.network.connected_peers().await.unwrap_or_default().contains(&peer);
        self.reach(ledger, peer).await?;
        let hello = Hello {
            message: 1,
            versions: vec![WIRE_VERSION],
            ledger: us,
            descriptor: self.descriptor().await,
            resume: resume.map(|(_, resume)| resume),
        };
        let began = self.0.clock.instant();
        let bytes = self.0.network.request(peer, Protocol::Hello, hello.to_bytes()).await;
        let bytes = bytes.map_err(|e| not_reachable(&e.to_string()))?;
        let took = began.elapsed();
        let answer = Hello::parse(&bytes).map_err(|e| not_reachable(&e.to_string()))?;
        if answer.ledger != ledger {
            return Err(not_reachable("another network answers there"));
        }
        Ok((connected, took))
    }

    /// A question about a claim from a network on its route.
    pub(super) async fn ask_in(
        &self,
        peer: PeerId,
        ledger: Option<LedgerId>,
        bytes: &[u8],
    ) -> Result<Replied, Refused> {
        let ask = Ask::parse(bytes)?;
        let intent = ask.intent.parse().map_err(|e| Refused::Unreadable(e.to_string()))?;
        let (payer, identity) = (intent.payer, ask.identity);
        let taken = self.0.ledger.run(move |core| core.hear_payer(&payer, &identity)).await;
        taken.map_err(|e| e.to_string())?;
        let asker = match ledger {
            Some(ledger) => ledger,
            None => self.on_route(peer, intent).await?,
        };
        let run = self.0.ledger.run(move |core| core.ask_in(&asker, &ask.intent, ask.cancel));
        let (decision, refused, fault) = match run.await? {
            AskAnswer::Decided(decision) => (Some(*decision), None, None),
            AskAnswer::Open => (None, None, None),
            AskAnswer::Refused(why) => {
                let forged = matches!(why, Rejected::Signature(_));
                (None, Some(why.to_string()), forged.then_some(Fault::WrongSignature))
            }
        };
        Ok(Replied { bytes: Asked { message: 2, decision, refused: refused.map(short) }.to_bytes(), fault })
    }

    /// Which network on a route is behind a connection: the one that has bound its libp2p key.
    async fn on_route(&self, peer: PeerId, intent: Intent) -> Result<LedgerId, String> {
        let found = self.0.ledger.run(move |core| {
            let networks = intent.parts.iter().flat_map(|part| &part.route);
            let behind = |ledger: &&LedgerId| {
                let identity = core.engine().peers().identity(ledger);
                identity.is_some_and(|identity| peer_id(identity).is_ok_and(|bound| bound == peer))
            };
            networks.into_iter().find(behind).copied()
        });
        let found = found.await.map_err(|e| e.to_string())?;
        found.ok_or_else(|| "no network on the route is known to be behind this connection".to_owned())
    }
}

fn not_reachable(why: &str) -> ClearingError {
    let detail = format!("the other network did not answer ({why}); nothing has changed, try again");
    ClearingError::new(503, "not-reachable", detail)
}
