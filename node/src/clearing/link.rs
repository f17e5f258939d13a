//! A link: keeps one peer's copy of our stream up to date (specs/network.md §6).
//!
//! On each connection both sides say where the streams stand; then entries go from the peer's `next` on, oldest first:
//! one push at a time, or a few while more waits than one of them holds. It never gives up.

use super::{Clearing, Shared, peer_id};
use crate::network::{PeerId, Protocol, RequestError};
use crate::service::{Concern, Incarnations, Outgoing};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use weft_protocol::ids::{LedgerId, PUBLIC_STREAM, StreamId};
use weft_protocol::wire::{EvidenceTaken, Hello, Message, Push, Pushed, WIRE_VERSION};

/// First wait after a failure; doubles.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest wait while the peer is connected.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// A link looks again after this long although nothing was written: a peer that was too busy to be shown evidence is shown
/// it again, and a ledger that has stopped rings no bell.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Pushes of one stream under way at once; all but the last of them full, so that a backlog moves while the peer works
/// on what came before.
const WINDOW: usize = 4;

/// Whom a link is with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) ledger: LedgerId,
    pub(super) peer: PeerId,
    pub(super) channel: StreamId,
}

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error("{0}")]
    Answer(#[from] weft_protocol::encoding::EncodingError),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Stopped(#[from] crate::service::ServiceError),
}

/// A push under way.
#[derive(Debug)]
struct Sent {
    stream: StreamId,
    /// The place of its first entry, and the one after its last.
    before: u64,
    next: u64,
    is_full: bool,
    answer: tokio::task::JoinHandle<Result<Vec<u8>, RequestError>>,
}

impl Sent {
    fn new(shared: &Shared, peer: PeerId, outgoing: &Outgoing, before: u64) -> Self {
        let (network, bytes) = (shared.network.clone(), outgoing.push.to_bytes());
        let answer = tokio::spawn(async move { network.request(peer, Protocol::Stream, bytes).await });
        let (stream, next, is_full) = (outgoing.push.channel, outgoing.next, outgoing.is_full);
        Self { stream, before, next, is_full, answer }
    }

    async fn answered(&mut self) -> Result<Pushed, LinkError> {
        // Who stops waiting while the node ends is told that nothing is known.
        let lost = RequestError::Lost { protocol: Protocol::Stream };
        let bytes = (&mut self.answer).await.unwrap_or(Err(lost))?;
        let pushed = Pushed::parse(&bytes)?;
        if pushed.next > self.next {
            let why = format!("it says it has {} entries, we sent {}", pushed.next, self.next);
            return Err(LinkError::Refused(why));
        }
        Ok(pushed)
    }
}

pub(super) async fn run(
    clearing: Clearing,
    link: Link,
    mut connected: watch::Receiver<bool>,
    nudge: Arc<Notify>,
) {
    let mut wait = RETRY_MIN;
    loop {
        if connected.wait_for(|is| *is).await.is_err() {
            return;
        }
        match session(&clearing, link, &mut connected, &mut wait).await {
            Ok(()) => {}
            Err(LinkError::Stopped(_)) => return,
            Err(error) => {
                tracing::debug!(peer = %link.ledger.short(), %error, "the link will be tried again");
                // The jitter keeps two nodes from waiting in step.
                let jitter = u64::from(u16::from_le_bytes(clearing.0.clock.random())) % 100;
                tokio::select! {
                    () = tokio::time::sleep(wait + Duration::from_millis(jitter)) => wait = (wait * 2).min(RETRY_MAX),
                    // Something has changed that may let it go on: not at once, or two nodes would keep each other busy.
                    () = nudge.notified() => wait = RETRY_MIN,
                }
            }
        }
    }
}

/// One connection: hello, then pushes until it ends.
async fn session(
    clearing: &Clearing,
    link: Link,
    connected: &mut watch::Receiver<bool>,
    wait: &mut Duration,
) -> Result<(), LinkError> {
    let shared = &clearing.0;
    let ledger = link.ledger;
    let began = shared.ledger.run(move |core| core.incarnations(&ledger)).await?;
    let channel = began.map_or(link.channel, |began| began.current);
    let mut concerns = vec![Concern::Stream(channel), Concern::Stream(PUBLIC_STREAM), Concern::Evidence];
    concerns.extend(began.map(|began| Concern::Stream(began.next)));
    let bell = shared.ledger.listen(&concerns);
    // Before the streams are compared: a reset is for those that do not agree.
    if let Some(began) = began {
        push_resets(clearing, link, began).await?;
    }
    let mut next = hello(clearing, link).await?;
    let mut public = ask_public(clearing, link).await?;
    shared.ledger.run(move |core| core.forget_left(&link.ledger)).await?;
    let (mut taken, mut under_way) = (None, VecDeque::<Sent>::new());
    loop {
        if under_way.back().is_none_or(|last| last.is_full && under_way.len() < WINDOW) {
            let (ledger, acked) = (link.ledger, taken.take());
            // One visit to the ledger for each push: what the last ones brought, and what comes next.
            let look = shared.ledger.look(move |core| {
                if let Some((sent, got)) = acked {
                    core.pushed(&sent, got);
                }
                let untold = core.evidence_out(&ledger).is_some();
                (untold, core.next_outgoing(channel, next, public))
            });
            let (untold, outgoing) = look.await?;
            if untold {
                show_evidence(clearing, link).await?;
            }
            match outgoing.map_err(LinkError::Refused)? {
                // What is of the other stream rests on all that is under way.
                Some(outgoing)
                    if under_way.back().is_none_or(|last| last.stream == outgoing.push.channel) =>
                {
                    let place =
                        if outgoing.push.channel == channel { &mut next } else { public.get_or_insert(0) };
                    under_way.push_back(Sent::new(shared, link.peer, &outgoing, *place));
                    *place = outgoing.next;
                    continue;
                }
                None if under_way.is_empty() => {
                    if shared.ledger.run(move |core| core.incarnations(&ledger)).await? != began {
                        return Ok(());
                    }
                    tokio::select! {
                        () = bell.rung() => {}
                        () = tokio::time::sleep(LOOK_AGAIN) => {}
                        changed = connected.wait_for(|is| !*is) => { drop(changed); return Ok(()) }
                    }
                    continue;
                }
                Some(_) | None => {}
            }
        }
        let Some(mut sent) = under_way.pop_front() else { continue };
        let pushed = sent.answered().await?;
        taken = Some((sent.stream, pushed.next));
        if pushed.next <= sent.before {
            let (stream, got) = (sent.stream, pushed.next);
            shared.ledger.run(move |core| core.pushed(&stream, got)).await?;
            if sent.stream == channel
                && let Some(from) = public
            {
                // What stops the channel must not keep our keys from the peer, a revocation least of all.
                push_public(clearing, link, from).await?;
            }
            return Err(LinkError::Refused(
                pushed.problem.unwrap_or_else(|| "it took nothing in".to_owned()),
            ));
        }
        if pushed.next < sent.next {
            if !under_way.is_empty() {
                // What is under way behind it has nothing to stand on.
                return Err(LinkError::Refused(
                    pushed.problem.unwrap_or_else(|| "it took a part in".to_owned()),
                ));
            }
            if sent.stream == channel {
                next = pushed.next;
            } else {
                public = Some(pushed.next);
            }
        }
        *wait = RETRY_MIN;
    }
}

/// How far the peer has our public stream: a push without entries asks. `None` when it takes none, as earlier versions.
/// Who refuses may not know our libp2p key yet: the stream from its beginning shows it.
async fn ask_public(clearing: &Clearing, link: Link) -> Result<Option<u64>, LinkError> {
    let ask = Push {
        message: 1,
        channel: PUBLIC_STREAM,
        entries: Vec::new(),
        sidecars: Vec::new(),
        proofs: Vec::new(),
    };
    let bytes = match clearing.0.network.request(link.peer, Protocol::Stream, ask.to_bytes()).await {
        Ok(bytes) => bytes,
        Err(RequestError::Refused { .. }) => return Ok(Some(0)),
        Err(error) => return Err(error.into()),
    };
    let pushed = Pushed::parse(&bytes)?;
    Ok(pushed.problem.is_none().then_some(pushed.next))
}

/// Sends all of our public stream from a place on, as far as the peer takes it.
async fn push_public(clearing: &Clearing, link: Link, mut from: u64) -> Result<(), LinkError> {
    let shared = &clearing.0;
    loop {
        let outgoing = shared.ledger.run(move |core| core.outgoing(PUBLIC_STREAM, from, None)).await?;
        let Some(outgoing) = outgoing.map_err(LinkError::Refused)? else { return Ok(()) };
        let bytes = shared.network.request(link.peer, Protocol::Stream, outgoing.push.to_bytes()).await?;
        let pushed = Pushed::parse(&bytes)?;
        if pushed.next <= from {
            return Ok(());
        }
        from = pushed.next;
    }
}

/// Sends what we have written on the channel that is to follow, and on one that is begun here and not yet there.
async fn push_resets(clearing: &Clearing, link: Link, began: Incarnations) -> Result<(), LinkError> {
    let offered = (began.offered > 0).then_some(began.next);
    let begun = began.waits.then_some(began.current);
    for channel in offered.into_iter().chain(begun) {
        let shared = &clearing.0;
        let (entries, sidecars, proofs) = (Vec::new(), Vec::new(), Vec::new());
        let ask = Push { message: 1, channel, entries, sidecars, proofs };
        let mut bytes = shared.network.request(link.peer, Protocol::Stream, ask.to_bytes()).await?;
        let mut before = None;
        loop {
            let next = Pushed::parse(&bytes)?.next;
            shared.ledger.run(move |core| core.pushed(&channel, next)).await?;
            let outgoing = shared.ledger.run(move |core| core.outgoing(channel, next, None)).await?;
            let Some(outgoing) = outgoing.map_err(LinkError::Refused)?.filter(|_| before != Some(next))
            else {
                break;
            };
            before = Some(next);
            bytes = shared.network.request(link.peer, Protocol::Stream, outgoing.push.to_bytes()).await?;
        }
    }
    Ok(())
}

/// Evidence that this peer has not been shown: before anything else, so that it is warned first.
async fn show_evidence(clearing: &Clearing, link: Link) -> Result<(), LinkError> {
    let shared = &clearing.0;
    let ledger = link.ledger;
    while let Some((id, shown)) = shared.ledger.run(move |core| core.evidence_out(&ledger)).await? {
        let bytes = shared.network.request(link.peer, Protocol::Stream, shown.to_bytes()).await;
        let taken = match bytes {
            Ok(bytes) => {
                let taken = EvidenceTaken::parse(&bytes)?.taken;
                tracing::info!(peer = %ledger.short(), %id, taken, "evidence was shown to a peer");
                taken
            }
            // It is busy, or does not know the message: it is shown again when something is written, or at the next hello.
            Err(RequestError::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        shared.ledger.run(move |core| core.note_shown(ledger, id, taken)).await?;
    }
    Ok(())
}

/// Both sides say where the streams stand; the answer is the next place to send.
async fn hello(clearing: &Clearing, link: Link) -> Result<u64, LinkError> {
    let shared = &clearing.0;
    let ledger = link.ledger;
    let said = shared.ledger.run(move |core| (core.engine().state().ledger(), core.resume(&ledger))).await?;
    let (us, resume) = (said.0.map_err(|e| LinkError::Refused(e.to_string()))?, said.1);
    let hello = Hello {
        message: 1,
        versions: vec![WIRE_VERSION],
        ledger: us,
        descriptor: clearing.descriptor().await,
        resume: resume.map(|(_, resume)| resume),
    };
    let bytes = shared.network.request(link.peer, Protocol::Hello, hello.to_bytes()).await?;
    let answer = Hello::parse(&bytes)?;
    clearing.take_hello(link.ledger, &answer).await.map_err(LinkError::Refused)
}

impl Clearing {
    /// A hello from a peer, asked or answered: where it is reached, and how far it has our stream.
    pub(super) async fn take_hello(&self, ledger: LedgerId, hello: &Hello) -> Result<u64, String> {
        if hello.ledger != ledger {
            return Err("it speaks for another ledger than its connection".to_owned());
        }
        if !hello.versions.contains(&WIRE_VERSION) {
            return Err(format!("it speaks versions {:?}, we speak {WIRE_VERSION}", hello.versions));
        }
        let resume = hello.resume;
        let found = self.0.ledger.run(move |core| {
            let identity = core.engine().peers().identity(&ledger).cloned();
            let next = resume.map_or(Ok(0), |theirs| core.resume_from(&ledger, &theirs));
            (identity, next)
        });
        let (identity, next) = found.await.map_err(|e| e.to_string())?;
        if let Some(identity) = identity
            && peer_id(&identity).is_ok()
        {
            self.heard_from(ledger, &identity, &hello.descriptor).await;
        }
        next
    }
}
