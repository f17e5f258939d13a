//! Clearing with peers, over the network: pushes our streams, answers theirs, asks about claims, pairs.
//!
//! Nothing is decided here: what arrives is handed to the ledger's thread, and what goes out stands on disk before.
//! A time-out means *unknown*; whatever was not acknowledged is sent again, byte for byte.

mod ask;
mod guard;
mod inbound;
mod link;
mod mirror;
mod pairing;
mod prove;
mod shut_out;
mod sync;
mod view;

use crate::clock::Clock;
use crate::config::FederationSection;
use crate::data::{DataDir, Keys};
use crate::mirror::keeper::Keeper;
use crate::network::{
    Multiaddr, Network, NetworkEvent, PeerId, RequestError, is_circuit, peer_id_from_public_key,
};
use crate::service::{Core, Ledger, ServiceError};
use crate::store::private::LocalPeer;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use weft_api::{Confirm, Invitation, Join, NewInvitation, Pairing, Peer};
use weft_protocol::encoding::Blob;
use weft_protocol::federation::descriptor::Descriptor;
use weft_protocol::ids::{ClaimId, KeyBytes, LedgerId};
use weft_protocol::ledger::identity::{Identity, Purpose};

/// Requests of peers that are worked on at a time.
const MAX_INBOUND: usize = 128;
/// How often open claims are looked at again.
const TICK: Duration = Duration::from_secs(1);
/// Every so many ticks, claims that wait are asked about.
const ASK_EVERY_TICKS: u64 = 5;
/// Addresses that we tell of ourselves: those of an invitation.
const MAX_TOLD_ADDRESSES: usize = 3;

/// Why something about peers was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct ClearingError {
    /// HTTP status that fits.
    pub status: u16,
    /// The rule broken, for programs.
    pub code: String,
    /// In words: what happened, why, what to do.
    pub detail: String,
}

impl ClearingError {
    fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), detail: detail.into() }
    }
    fn refused(code: &str, detail: impl Into<String>) -> Self {
        Self::new(422, code, detail)
    }
}

impl From<ServiceError> for ClearingError {
    fn from(error: ServiceError) -> Self {
        Self::new(503, "ledger-stopped", error.to_string())
    }
}

/// A handle on clearing.
#[derive(Debug, Clone)]
pub struct Clearing(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ledger: Ledger,
    network: Network,
    keys: Arc<Keys>,
    external: Vec<String>,
    clock: Clock,
    federation: FederationSection,
    keeper: Arc<Keeper>,
    links: Mutex<BTreeMap<PeerId, LinkEnd>>,
    pairing: tokio::sync::Mutex<()>,
    inbound: Arc<Semaphore>,
    /// Told when the first connection to a peer stands.
    came: Notify,
    ends: Mutex<prove::KnownEnds>,
    /// Told when a push has been taken in.
    progressed: Notify,
    fetching: sync::Fetching,
}

/// What the rest of the module holds of a running link.
#[derive(Debug)]
struct LinkEnd {
    ledger: LedgerId,
    connected: watch::Sender<bool>,
    /// Wakes a link that waits to be tried again.
    nudge: Arc<Notify>,
    /// When the peer was connected last; 0: not since the start.
    seen_ms: u64,
    /// Wakes what keeps public streams in step.
    cues: mpsc::Sender<sync::SyncCue>,
}

/// Whether peers are connected, and when they were last.
pub(crate) type Contacts = BTreeMap<LedgerId, (bool, Option<u64>)>;

/// What clearing is made of.
#[derive(Debug)]
#[expect(missing_docs, reason = "each part is named after its type")]
pub struct ClearingParts {
    pub ledger: Ledger,
    pub network: Network,
    pub keys: Arc<Keys>,
    /// Addresses to tell others instead of those listened on.
    pub external: Vec<String>,
    pub clock: Clock,
    /// Its folder is where peers' pieces are kept.
    pub data: DataDir,
    /// How public streams are kept in step.
    pub federation: FederationSection,
}

impl Clearing {
    /// Starts clearing: a link to every peer, an ear for their requests, a look at open claims every second.
    ///
    /// # Errors
    /// When the ledger has stopped.
    pub async fn start(
        parts: ClearingParts,
        events: mpsc::Receiver<NetworkEvent>,
    ) -> Result<Self, ClearingError> {
        let ClearingParts { ledger, network, keys, external, clock, data, federation } = parts;
        let shared = Arc::new(Shared {
            ledger,
            network,
            keys,
            external,
            clock,
            federation,
            keeper: Arc::new(Keeper::new(&data)),
            links: Mutex::new(BTreeMap::new()),
            pairing: tokio::sync::Mutex::new(()),
            inbound: Arc::new(Semaphore::new(MAX_INBOUND)),
            came: Notify::new(),
            ends: Mutex::new(BTreeMap::new()),
            progressed: Notify::new(),
            fetching: sync::Fetching::default(),
        });
        let clearing = Self(shared);
        let peers = clearing.0.ledger.run(|core| {
            let state = core.engine().state();
            state.channels.values().map(|row| row.peer).collect::<Vec<LedgerId>>()
        });
        for peer in peers.await? {
            if let Err(error) = clearing.open_link(peer).await {
                // It came back with an accord from a mirror; its own entries come when it reaches us.
                tracing::warn!(peer = %peer.short(), %error, "no link to a peer before it has shown who it is");
            }
        }
        tokio::spawn(clearing.clone().listen(events));
        tokio::spawn(clearing.clone().keep_looking());
        tokio::spawn(clearing.clone().keep_gate());
        let every = Duration::from_secs(clearing.0.federation.sync_every_s.max(1));
        tokio::spawn(clearing.clone().keep_in_step(every));
        clearing.resume_pairings().await?;
        Ok(clearing)
    }

    /// Hears what the network layer has to say, until it ends.
    async fn listen(self, mut events: mpsc::Receiver<NetworkEvent>) {
        while let Some(event) = events.recv().await {
            match event {
                NetworkEvent::Listening { .. } => {}
                NetworkEvent::Connected { peer } => self.note_connected(peer, true),
                NetworkEvent::Disconnected { peer } => self.note_connected(peer, false),
                NetworkEvent::Banned { peer, why, .. } => {
                    tokio::spawn(self.clone().keep_out(peer, why.to_string()));
                }
                NetworkEvent::Request { peer, protocol, bytes, answer } => {
                    let Ok(permit) = self.0.inbound.clone().try_acquire_owned() else { continue };
                    let clearing = self.clone();
                    tokio::spawn(async move {
                        clearing.answer(peer, protocol, &bytes, answer).await;
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn keep_looking(self) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 0_u64.. {
            interval.tick().await;
            let capacity_every_ms = self.0.federation.capacity_every_s.saturating_mul(1_000);
            let looked = self.0.ledger.run(move |core| {
                core.tick();
                core.keep_federation(capacity_every_ms);
                core.publish_if_due();
                if tick % ASK_EVERY_TICKS == 0 { core.claims_to_ask() } else { Vec::new() }
            });
            let Ok(due) = looked.await else { return };
            if !due.is_empty() {
                // Each may wait for a node that is away; looking at claims does not.
                tokio::spawn(self.clone().ask_all(due));
            }
        }
    }

    fn note_connected(&self, peer: PeerId, connected: bool) {
        let now_ms = self.0.clock.now_ms();
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get_mut(&peer) {
            link.seen_ms = now_ms;
            link.connected.send_replace(connected);
            if connected {
                self.0.came.notify_one();
            }
        }
    }

    /// The network behind a connection, when it is a peer.
    fn peer_behind(&self, peer: &PeerId) -> Option<LedgerId> {
        let links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(peer).map(|link| link.ledger)
    }

    /// Keeps connected to a peer and its streams moving.
    async fn open_link(&self, ledger: LedgerId) -> Result<(), ClearingError> {
        let found = self.0.ledger.run(move |core| {
            let identity = core.engine().peers().identity(&ledger).cloned();
            let local = core.private().peer(&ledger).ok().flatten();
            let channel = core.engine().state().channel_with(&ledger).map(|(id, _)| id);
            (identity, local, channel)
        });
        let (Some(identity), local, Some(channel)) = found.await? else {
            return Err(ClearingError::new(500, "peer-unknown", "a channel with a network we do not know"));
        };
        let peer = peer_id(&identity)?;
        let (connected, is_connected) = watch::channel(false);
        let nudge = Arc::new(Notify::new());
        let (cues, heard) = mpsc::channel(sync::NEWS_QUEUE);
        {
            let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
            if links.contains_key(&peer) {
                return Ok(());
            }
            links.insert(peer, LinkEnd { ledger, connected, nudge: nudge.clone(), seen_ms: 0, cues });
        }
        self.keep_out_new_key(ledger, peer).await;
        let addresses = local.map(|l| l.addresses).unwrap_or_default();
        self.dial(peer, &addresses).await;
        let link = link::Link { ledger, peer, channel };
        tokio::spawn(guard::run(self.clone(), link, is_connected.clone()));
        tokio::spawn(sync::run(self.clone(), link, is_connected.clone(), heard));
        tokio::spawn(link::run(self.clone(), link, is_connected, nudge));
        if let Ok(now) = self.0.network.connected_peers().await
            && now.contains(&peer)
        {
            self.note_connected(peer, true);
        }
        Ok(())
    }

    /// Lets links that wait after a failure try again at once: that of one peer, or all.
    fn nudge(&self, ledger: Option<LedgerId>) {
        let links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = links.values().filter(|link| ledger.is_none_or(|one| one == link.ledger));
        meant.for_each(|link| link.nudge.notify_waiters());
    }

    /// A peer may have bound another libp2p key: the link goes over to it. The old connection ends when it is idle.
    async fn follow_identity(&self, ledger: LedgerId) {
        let run = self.0.ledger.run(move |core| core.engine().peers().identity(&ledger).cloned());
        let Ok(Some(identity)) = run.await else { return };
        let Ok(now) = peer_id(&identity) else { return };
        let (old, linked): (Vec<PeerId>, bool) = {
            let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
            let of_ledger = links.iter().filter(|(peer, link)| link.ledger == ledger && **peer != now);
            let old: Vec<PeerId> = of_ledger.map(|(peer, _)| *peer).collect();
            // The link's task ends with its channel.
            old.iter().for_each(|peer| drop(links.remove(peer)));
            (old, links.contains_key(&now))
        };
        if old.is_empty() && linked {
            return;
        }
        for peer in old {
            tracing::info!(peer = %ledger.short(), "a peer has another libp2p key now");
            if let Err(error) = self.0.network.forget_peer(peer).await {
                tracing::warn!(%error, "the old key of a peer could not be forgotten");
            }
        }
        if let Err(error) = self.open_link(ledger).await {
            tracing::warn!(peer = %ledger.short(), %error, "no link to a peer under its new key");
        }
    }

    async fn dial(&self, peer: PeerId, addresses: &[String]) {
        let addresses = addresses.iter().filter_map(|a| a.parse().ok()).collect();
        if let Err(error) = self.0.network.set_peer(peer, addresses).await {
            tracing::warn!(%peer, %error, "cannot keep a connection to a peer");
        }
    }

    /// Where others reach us: as people have said, or where we listen; and over which peers.
    pub(super) async fn told_addresses(&self) -> Vec<String> {
        let listening = self.0.network.listen_addrs().await;
        let (circuits, here): (Vec<_>, Vec<_>) = listening.iter().partition(|address| is_circuit(address));
        let text = |addresses: Vec<&Multiaddr>| addresses.into_iter().map(ToString::to_string).collect();
        let direct = if self.0.external.is_empty() { text(here) } else { self.0.external.clone() };
        all_told(direct, text(circuits))
    }

    /// Our descriptor, as of now.
    async fn descriptor(&self) -> Blob {
        let addresses = self.told_addresses().await;
        let peer = KeyBytes(crate::network::public_key_of_seed(&self.0.keys.libp2p));
        let made = self.0.ledger.run(move |core| core.own_descriptor(peer, addresses));
        made.await.unwrap_or_else(|_| Blob(Vec::new()))
    }

    /// A peer says where it is reached now.
    async fn heard_from(&self, ledger: LedgerId, identity: &Identity, descriptor_bytes: &Blob) {
        let descriptor = match Descriptor::open(&descriptor_bytes.0, identity) {
            Ok(descriptor) => descriptor,
            Err(error) => {
                tracing::warn!(peer = %ledger.short(), %error, "a peer's descriptor was refused");
                return;
            }
        };
        let (addresses, site) = (descriptor.addresses.clone(), descriptor.site.clone());
        let signed = descriptor_bytes.clone();
        let changed = self.0.ledger.run(move |core| {
            core.take_descriptors(&[signed]);
            let Ok(known) = core.private().peer(&ledger) else { return false };
            // Its name here is lost where its accord came back from a mirror: then it is called as it calls itself.
            let known = known.unwrap_or_else(|| LocalPeer {
                ledger,
                alias: free_alias(core, &site, &ledger),
                addresses: Vec::new(),
                note: String::new(),
            });
            let changed = known.addresses != addresses;
            if changed && let Err(error) = core.put_peer(&LocalPeer { addresses, ..known }) {
                tracing::warn!(%error, "a peer's addresses could not be kept");
            }
            changed
        });
        if matches!(changed.await, Ok(true))
            && let Ok(peer) = peer_id(identity)
        {
            self.dial(peer, &descriptor.addresses).await;
        }
    }

    /// Of each peer, whether it is connected, and when it was last.
    pub(crate) fn contacts(&self) -> Contacts {
        let now_ms = self.0.clock.now_ms();
        let links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let contact = |link: &LinkEnd| {
            let connected = *link.connected.borrow();
            let seen_ms = if connected { Some(now_ms) } else { Some(link.seen_ms).filter(|ms| *ms > 0) };
            (link.ledger, (connected, seen_ms))
        };
        links.values().map(contact).collect()
    }

    /// Waits until a peer has come since this was asked last.
    pub(crate) async fn somebody_came(&self) {
        self.0.came.notified().await;
    }

    /// Whether a connection to a peer stands.
    pub(crate) fn is_connected(&self, peer: &LedgerId) -> bool {
        let links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.values().any(|link| link.ledger == *peer && *link.connected.borrow())
    }

    /// One request to a peer, with its answer.
    ///
    /// # Errors
    /// When the peer is not known or does not answer.
    pub(crate) async fn request(
        &self,
        peer: LedgerId,
        protocol: crate::network::Protocol,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, RequestError> {
        let identity = self.0.ledger.run(move |core| core.engine().peers().identity(&peer).cloned());
        let identity = identity.await.ok().flatten();
        let id = identity.and_then(|identity| peer_id(&identity).ok()).ok_or(RequestError::NotConnected)?;
        self.0.network.request(id, protocol, bytes).await
    }

    /// Ends the links; the network layer ends the rest.
    pub fn close(&self) {
        self.0.links.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks the decider to turn a claim of ours down; what comes of it shows in the claim.
    ///
    /// # Errors
    /// When it is not a claim of ours, or its network cannot be reached.
    pub async fn cancel(&self, claim: ClaimId) -> Result<(), ClearingError> {
        self.ask(claim, true).await
    }

    /// Makes an invitation.
    ///
    /// # Errors
    /// Why not.
    pub async fn invite(&self, new: NewInvitation) -> Result<Invitation, ClearingError> {
        self.make_invitation(new).await
    }

    /// Answers an invitation.
    ///
    /// # Errors
    /// Why not.
    pub async fn join(&self, join: Join) -> Result<Pairing, ClearingError> {
        self.answer_invitation(join).await
    }

    /// Pairings not done.
    ///
    /// # Errors
    /// When the ledger has stopped.
    pub async fn pairings(&self) -> Result<Vec<Pairing>, ClearingError> {
        self.open_pairings().await
    }

    /// Confirms a pairing with our root set's signatures.
    ///
    /// # Errors
    /// Why not.
    pub async fn confirm(&self, id: &str, confirm: Confirm) -> Result<Pairing, ClearingError> {
        self.confirm_pairing(id, confirm).await
    }

    /// Peers, in order of alias.
    ///
    /// # Errors
    /// When the ledger has stopped.
    pub async fn peers(&self) -> Result<Vec<Peer>, ClearingError> {
        view::peers(self).await
    }
}

/// What a peer is called here: its site name, unless another peer has it.
fn free_alias(core: &Core, site: &str, ledger: &LedgerId) -> String {
    match core.private().peer_by_alias(site) {
        Ok(None) => site.to_owned(),
        Ok(Some(_)) | Err(_) => format!("{site}-{}", ledger.short()),
    }
}

/// The libp2p name of a network's node, from the key bound in its ledger.
/// As many addresses as fit: who can only be reached over a peer does not lose that one.
fn all_told(mut direct: Vec<String>, mut circuits: Vec<String>) -> Vec<String> {
    circuits.truncate(MAX_TOLD_ADDRESSES);
    direct.truncate(MAX_TOLD_ADDRESSES.saturating_sub(circuits.len()));
    direct.append(&mut circuits);
    direct
}

fn peer_id(identity: &Identity) -> Result<PeerId, ClearingError> {
    let key = identity.current(Purpose::Libp2p).map(|(_, key)| *key);
    let key =
        key.ok_or_else(|| ClearingError::new(500, "no-libp2p-key", "the network binds no libp2p key"))?;
    peer_id_from_public_key(key.as_bytes())
        .map_err(|e| ClearingError::new(500, "no-libp2p-key", e.to_string()))
}
