//! Public streams over the network: asks peers what they have of everybody, fetches what we lack, tells them news
//! (specs/network.md §11).
//!
//! Nothing waits for it, and nothing is lost by a failure: what is missing is missing in the next list too.

mod fetch;

pub(super) use fetch::Fetching;

use super::Clearing;
use super::inbound::Refused;
use super::link::Link;
use super::prove::prove_public;
use crate::network::{PeerId, Protocol, RequestError};
use crate::service::Lacking;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use weft_protocol::encoding::EncodingError;
use weft_protocol::federation::sync::{
    DescriptorsAsk, DescriptorsThere, EntriesAsk, EntriesThere, Have, Haves, MAX_DESCRIPTORS, NewsHeard,
    WhatAsk, WhatThere,
};
use weft_protocol::ids::LedgerId;
use weft_protocol::wire::{Message, number_of};

/// News that wait for a link; beyond it they are dropped, and the next round brings what they told.
pub(super) const NEWS_QUEUE: usize = 16;
/// How often it is looked whether there is something to tell: payments do not wait for it.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Rest after a failed round.
const REST: Duration = Duration::from_secs(5);
/// Pages of one list: what 4,096 authors fill, twice. A peer that says more is not listened to.
const MAX_PAGES: usize = 8;

/// Pages of one author that are fetched before a pairing: ten years of a busy network.
const MAX_CATCH_UP_PAGES: usize = 1_024;

/// What makes a link look.
#[derive(Debug)]
pub(super) enum SyncCue {
    /// The peer has told news.
    News(Haves),
    /// It is this peer's turn.
    Round,
}

#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error("{0}")]
    Answer(#[from] weft_protocol::encoding::EncodingError),
    #[error("{0}")]
    Store(String),
    #[error("{0}")]
    Stopped(#[from] crate::service::ServiceError),
}

/// Keeps in step with one peer, as long as the link is there.
pub(super) async fn run(
    clearing: Clearing,
    link: Link,
    mut connected: watch::Receiver<bool>,
    mut cues: mpsc::Receiver<SyncCue>,
) {
    loop {
        if connected.wait_for(|is| *is).await.is_err() {
            return;
        }
        match session(&clearing, link, &mut connected, &mut cues).await {
            Ok(()) => {}
            Err(SyncError::Stopped(_)) => return,
            // An earlier version: nothing to ask it until it comes back as a later one.
            Err(SyncError::Request(RequestError::UnsupportedProtocol { .. })) => {
                if connected.wait_for(|is| !*is).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(peer = %link.ledger.short(), %error, "public streams will be asked for again");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn session(
    clearing: &Clearing,
    link: Link,
    connected: &mut watch::Receiver<bool>,
    cues: &mut mpsc::Receiver<SyncCue>,
) -> Result<(), SyncError> {
    let ledger = &clearing.0.ledger;
    let mut told: BTreeMap<LedgerId, Have> = BTreeMap::new();
    let mut mark = None;
    round(clearing, link).await?;
    loop {
        let now = ledger.run(|core| core.public_mark()).await?;
        if mark.replace(now) != Some(now) {
            tell(clearing, link, &mut told).await?;
        }
        let cue = tokio::select! {
            cue = cues.recv() => match cue {
                None => return Ok(()),
                Some(cue) => Some(cue),
            },
            changed = connected.wait_for(|is| !*is) => { drop(changed); return Ok(()) }
            () = tokio::time::sleep(TELL_EVERY) => None,
        };
        match cue {
            None => {}
            Some(SyncCue::Round) => round(clearing, link).await?,
            Some(SyncCue::News(haves)) => take(clearing, link, &haves).await?,
        }
    }
}

/// Asks for the whole list, and fetches what we lack.
async fn round(clearing: &Clearing, link: Link) -> Result<(), SyncError> {
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let bytes =
            clearing.0.network.request(link.peer, Protocol::Sync, WhatAsk { message: 1, after }.to_bytes());
        let there = WhatThere::parse(&bytes.await?)?;
        let haves = Haves::parse(&there.haves)?;
        take(clearing, link, &haves).await?;
        let last = haves.as_slice().last().map(|have| have.ledger);
        if !there.more || last.is_none() || last <= after {
            break;
        }
        after = last;
    }
    Ok(())
}

/// Fetches what a list has and we lack. Descriptors come last: they need the keys.
async fn take(clearing: &Clearing, link: Link, haves: &Haves) -> Result<(), SyncError> {
    let (ledger, network) = (&clearing.0.ledger, &clearing.0.network);
    let theirs = haves.clone();
    let lacking = ledger.run(move |core| core.lacking(&theirs)).await?.map_err(SyncError::Store)?;
    let Lacking { entries, descriptors } = lacking;
    fetch::fetch_all(clearing, link, entries, haves).await?;
    for some in descriptors.chunks(MAX_DESCRIPTORS) {
        let ask = DescriptorsAsk { message: 5, ledgers: some.to_vec() };
        let there =
            DescriptorsThere::parse(&network.request(link.peer, Protocol::Sync, ask.to_bytes()).await?)?;
        ledger.run(move |core| core.take_descriptors(&there.descriptors)).await?;
    }
    Ok(())
}

/// Tells what is new here since it was told last.
async fn tell(clearing: &Clearing, link: Link, told: &mut BTreeMap<LedgerId, Have>) -> Result<(), SyncError> {
    let haves = clearing.0.ledger.run(|core| core.haves()).await?.map_err(SyncError::Store)?;
    let new =
        haves.values().filter(|have| told.get(&have.ledger) != Some(have) && have.ledger != link.ledger);
    let news = Haves::new(new.copied());
    if !news.as_slice().is_empty() {
        let message = WhatThere { message: 7, haves: news.to_blob(), more: false };
        let bytes = clearing.0.network.request(link.peer, Protocol::Sync, message.to_bytes()).await;
        match bytes {
            Ok(bytes) => drop(NewsHeard::parse(&bytes)?),
            // It is busy, or has not opened its link yet: it asks when it is its turn.
            Err(RequestError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    told.extend(news.as_slice().iter().map(|have| (have.ledger, *have)));
    Ok(())
}

impl Clearing {
    /// Somebody asks for public streams, or tells news.
    pub(super) async fn sync_in(&self, peer: PeerId, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        let ledger = &self.0.ledger;
        match number_of(bytes) {
            Some(1) => {
                let ask = WhatAsk::parse(bytes)?;
                let page = ledger.run(move |core| core.haves_after(ask.after)).await;
                let (haves, more) = page.map_err(|e| e.to_string())??;
                Ok(WhatThere { message: 2, haves: haves.to_blob(), more }.to_bytes())
            }
            Some(3) => {
                let ask = EntriesAsk::parse(bytes)?;
                let page = ledger.run(move |core| core.public_page(&ask.ledger, ask.next)).await;
                let page = page.map_err(|e| e.to_string())??;
                let read = tokio::task::spawn_blocking(move || page.entries()).await;
                let entries = read.map_err(|e| e.to_string())??;
                Ok(EntriesThere { message: 4, entries }.to_bytes())
            }
            Some(5) => {
                let ask = DescriptorsAsk::parse(bytes)?;
                let found = ledger.run(move |core| core.descriptors_for(&ask.ledgers)).await;
                Ok(DescriptorsThere { message: 6, descriptors: found.map_err(|e| e.to_string())? }.to_bytes())
            }
            Some(7) => {
                let told = WhatThere::parse(bytes)?;
                let haves = Haves::parse(&told.haves)?;
                if !self.cue(&peer, SyncCue::News(haves)) {
                    return Err("news are heard from peers alone".to_owned().into());
                }
                Ok(NewsHeard { message: 8 }.to_bytes())
            }
            Some(_) | None => {
                let why = "it is no question about public streams".to_owned();
                Err(EncodingError::Structure(why).into())
            }
        }
    }

    /// Wakes the link of a peer; whether there is one.
    fn cue(&self, peer: &PeerId, cue: SyncCue) -> bool {
        let links = self.0.links.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(link) = links.get(peer) else { return false };
        // Where too many wait already, the next round brings what this one tells.
        let _ = link.cues.try_send(cue);
        true
    }

    /// Lets one connected peer, drawn at random, be asked for everything, now and then.
    pub(super) async fn keep_in_step(self, every: Duration) {
        let mut interval = tokio::time::interval(every);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        interval.tick().await;
        loop {
            interval.tick().await;
            if self.0.ledger.run(|core| core.forget_old_addresses()).await.is_err() {
                return;
            }
            let connected: Vec<PeerId> = {
                let links = self.0.links.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                links.iter().filter(|(_, link)| *link.connected.borrow()).map(|(peer, _)| *peer).collect()
            };
            let drawn = usize::from(u16::from_le_bytes(self.0.clock.random()));
            if let Some(peer) = connected.get(drawn % connected.len().max(1)) {
                self.cue(peer, SyncCue::Round);
            }
        }
    }

    /// Fetches all of an author's public stream from its own node, before it is a peer: what a pairing leaves out. An
    /// earlier version has nothing that would be left out.
    pub(super) async fn catch_up(&self, peer: PeerId, author: LedgerId) {
        for _ in 0..MAX_CATCH_UP_PAGES {
            let known = self.0.ledger.run(move |core| core.engine().peers().public_next(&author));
            let Ok(next) = known.await else { return };
            let ask = EntriesAsk { message: 3, ledger: author, next };
            let Ok(bytes) = self.0.network.request(peer, Protocol::Sync, ask.to_bytes()).await else {
                return;
            };
            let Ok(there) = EntriesThere::parse(&bytes) else { return };
            let entries = prove_public(author, None, there.entries).await;
            let taken = self.0.ledger.run(move |core| core.take_public(author, author, entries));
            match taken.await {
                Ok(taken) if taken.goes_on => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// A peer may have bound another libp2p key. Boxed, because the link that this may open runs this very task.
    fn follow_if_peer(&self, author: LedgerId) -> futures::future::BoxFuture<'_, ()> {
        let run = self.0.ledger.run(move |core| core.engine().state().channel_with(&author).is_some());
        Box::pin(async move {
            if matches!(run.await, Ok(true)) {
                self.follow_identity(author).await;
            }
        })
    }
}
