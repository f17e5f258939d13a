//! The ledger's side of witnessing: cosigns others' checkpoints, and keeps what others say of ours (specs/witness.md).
//!
//! Both run on the ledger's thread, so comparing a request with what was cosigned last and replacing it is one step,
//! and no answer leaves before that step is on disk. What must hold: no two checkpoints of one log leave this node
//! cosigned of which the later does not extend the earlier.

use super::core::Core;
use crate::data::write_file;
use crate::store::segments::NoteKind;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use weft_protocol::evidence::EvidenceType;
use weft_protocol::ids::{Hash, LedgerId};
use weft_protocol::keys::PublicKey;
use weft_protocol::ledger::identity::Purpose;
use weft_protocol::ledger::witness::{PeerView, is_origin_of};
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::{KeyName, Note, SignatureLine, SignatureType, VerifierKey};
use weft_protocol::log::witness::decide::origin_of;
use weft_protocol::log::witness::{
    AddCheckpoint, Answer, Contradiction, Cosignature, Decision, Policy, Quorum, Refusal, Seen, check_quorum,
    decide, least_quorum, witness_key, witness_name,
};

/// Where the newest cosigned checkpoint of ours is kept beside the public file, which holds only the newest of all.
pub(super) const WITNESSED: &str = "witnessed";
/// Where two heads are kept that exclude each other, by the log's network.
const CONTRADICTION: &str = "contradiction/";

/// What the operator has set, read once.
#[derive(Debug, Clone, Default)]
pub struct WitnessSettings {
    /// Who is to cosign our checkpoints; `None`: every peer.
    pub policy: Option<Policy>,
    /// Logs that are not peers' and that we cosign.
    pub logs: Vec<VerifierKey>,
    /// Least time between two entries about the same log, in milliseconds.
    pub view_every_ms: u64,
}

/// What the thread knows of witnessing.
#[derive(Debug, Default)]
pub(super) struct Witness {
    settings: WitnessSettings,
    /// Peers that have told what we had cosigned of theirs since a start after which we may have forgotten it;
    /// `None` after a clean stop: we remember all.
    heard: Option<BTreeSet<LedgerId>>,
    /// The newest checkpoint of ours with its cosignatures, as it stands in `public/checkpoint`.
    pub(super) published: Option<Note>,
    /// The newest one that anybody has cosigned.
    witnessed: Option<Note>,
    /// What witnesses of ours said last that was no cosignature, by the name of their key.
    troubles: BTreeMap<KeyName, String>,
    /// Views before this are not due, so that restarts do not fill the ledger.
    started_ms: u64,
}

/// How a witness of ours is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Over the network of peers.
    Peer(LedgerId),
    /// Under this submission prefix.
    Http(String),
    /// The policy does not say.
    Unknown,
}

/// What is to be cosigned, and by whom.
#[derive(Debug, Clone)]
pub struct WitnessJob {
    /// Our newest checkpoint.
    pub note: Note,
    /// Its size.
    pub size: u64,
    /// Where its tiles are.
    pub public: PathBuf,
    /// Witnesses that have not cosigned it.
    pub missing: Vec<(VerifierKey, Way)>,
}

/// How we stand with our witnesses.
#[derive(Debug, Clone)]
pub struct WitnessView {
    /// The policy in force.
    pub policy: Policy,
    /// The newest checkpoint of ours that anybody has cosigned: its size, and how it stands under the policy.
    pub witnessed: Option<(u64, Quorum)>,
    /// Names of peers' witnesses.
    pub peers: Vec<KeyName>,
    /// What witnesses said last that was no cosignature.
    pub troubles: BTreeMap<KeyName, String>,
    /// Logs that we have cosigned: origin and size.
    pub watched: Vec<(String, u64)>,
}

/// A log that we cosign.
struct KnownLog {
    peer: Option<LedgerId>,
    keys: Vec<VerifierKey>,
}

impl Core {
    /// Takes over the operator's settings. After a start that was not clean, peers are asked first.
    pub fn set_witness(&mut self, settings: WitnessSettings, clean: bool) {
        let published = std::fs::read(self.public_folder().join("checkpoint")).ok();
        let witnessed = self.private().setting(WITNESSED).ok().flatten();
        let read = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| Note::parse(&bytes).ok());
        self.witness = Witness {
            settings,
            heard: (!clean).then(BTreeSet::new),
            published: read(published),
            witnessed: read(witnessed),
            troubles: BTreeMap::new(),
            started_ms: self.clock().now_ms(),
        };
        self.see_cosigned();
    }

    // As a witness

    /// Decides on a request and remembers what is then cosigned; the answer leaves when that is durable.
    pub fn witness_request(&mut self, request: &AddCheckpoint) -> Answer {
        let origin = origin_of(&request.note).to_owned();
        let Some(log) = self.known_log(&origin) else { return Refusal::UnknownLog.answer() };
        if let (Some(heard), Some(peer)) = (&self.witness.heard, &log.peer)
            && !heard.contains(peer)
        {
            let why = "this witness was not stopped cleanly and asks its peers first what it has cosigned";
            return Answer::Refused(503, why.to_owned());
        }
        // Whatever becomes of the request: what is signed is signed.
        self.see_note(&request.note);
        let awaited = log.peer.is_some_and(|peer| self.engine().awaits(&peer));
        if self.engine().is_quarantined() || awaited {
            let why = "this node has started from books that may not be its newest, and signs nothing yet";
            return Answer::Refused(503, why.to_owned());
        }
        let seen = match self.cosigned_last(&origin) {
            Ok(seen) => seen,
            Err(why) => {
                tracing::error!(%origin, %why, "what was cosigned last cannot be read: nothing is cosigned");
                return Answer::Refused(500, "what was cosigned last cannot be read".to_owned());
            }
        };
        match decide(&log.keys, seen.as_ref().map(|(seen, _)| seen), request) {
            Decision::Refuse(refusal) => refusal.answer(),
            Decision::Conflict { size, contradiction } => {
                if let Some(found) = contradiction {
                    self.note_contradiction(&log, &found);
                }
                Answer::Conflict(size)
            }
            Decision::Cosign(next) => self.cosign(&origin, &log, seen, *next),
        }
    }

    fn cosign(&mut self, origin: &str, log: &KnownLog, last: Option<(Seen, Vec<u8>)>, next: Seen) -> Answer {
        let Some((name, time_s)) = self.our_witness() else {
            return Answer::Refused(500, "this node has no witness key".to_owned());
        };
        let key = &self.keys().witness;
        let line = Cosignature::sign(next.note.text(), time_s, key).line(&name, &key.public().bytes());
        let kept = match last {
            Some((last, bytes)) if last.size == next.size => bytes,
            Some(_) | None => {
                let mut note = next.note;
                let added = note.add(line.clone());
                let bytes = note.to_string().into_bytes();
                let kept = self.keep_note(NoteKind::PEER_CHECKPOINT, name_of(origin), bytes.clone());
                if added.is_err() || kept.is_err() {
                    return Answer::Refused(
                        400,
                        "the checkpoint carries too many lines of its log".to_owned(),
                    );
                }
                bytes
            }
        };
        if let Some(peer) = log.peer {
            let note = Hash::of("", &[&kept]);
            let origin = origin.to_owned();
            self.record_view(PeerView { peer, origin, size: next.size, root: next.root, note });
        }
        Answer::Cosigned(vec![line])
    }

    /// Our name as a witness, and the time: never before our ledger's.
    fn our_witness(&self) -> Option<(KeyName, u64)> {
        let state = self.engine().state();
        let name = witness_name(&state.ledger().ok()?.origin()).ok()?;
        Some((name, self.clock().now_ms().max(state.head.time_ms) / 1_000))
    }

    /// Puts the head of a peer's log into our ledger, when the last time is long ago.
    fn record_view(&mut self, view: PeerView) {
        let row = self.engine().state().views.get(&(view.peer, view.origin.clone())).copied();
        let last_ms = row.map_or(0, |row| row.time_ms).max(self.witness.started_ms);
        let due = self.clock().now_ms().saturating_sub(last_ms) >= self.witness.settings.view_every_ms;
        if !due || row.is_some_and(|row| row.size >= view.size) {
            return;
        }
        let peer = view.peer;
        if let Err(why) = self.with_engine(|engine, cx| engine.record_view(view, cx)) {
            tracing::warn!(peer = %peer.short(), %why, "the head of a peer's log was not recorded");
        }
    }

    /// What a log has signed twice: kept, and told to people.
    fn note_contradiction(&mut self, log: &KnownLog, found: &Contradiction) {
        let Some(peer) = log.peer else {
            tracing::error!(log = origin_of(&found.held), "a log has signed two histories");
            return;
        };
        let why =
            "it has signed two different heads of its log at one size: it shows two histories".to_owned();
        tracing::error!(peer = %peer.short(), "{why}");
        self.problems.insert(peer, why);
        // Recorded before the answer leaves: both halves are signed, so this is evidence for anybody.
        let halves = [found.held.to_string(), found.given.to_string()];
        self.accuse(EvidenceType::Notes, peer, halves.each_ref().map(String::as_bytes));
        let both = format!("{}{}", found.held, found.given);
        if let Err(error) = self.private().set_setting(&format!("{CONTRADICTION}{peer}"), both.as_bytes()) {
            tracing::error!(%error, "two contradictory checkpoints could not be kept");
        }
    }

    fn known_log(&self, origin: &str) -> Option<KnownLog> {
        let state = self.engine().state();
        let peers = state.channels.values().map(|row| row.peer);
        if let Some(peer) = peers.into_iter().find(|peer| is_origin_of(origin, peer)) {
            let (name, identity) = (KeyName::new(origin).ok()?, self.engine().peers().identity(&peer)?);
            let keys = (0..).map_while(|epoch| Some((epoch, identity.key(Purpose::Log, epoch)?)));
            let keys = keys.filter(|(epoch, _)| identity.revoked(Purpose::Log, *epoch).is_none());
            let keys = keys.filter_map(|(_, key)| PublicKey::new(key).ok());
            let keys = keys.map(|key| VerifierKey::new(name.clone(), SignatureType::Ed25519, key));
            return Some(KnownLog { peer: Some(peer), keys: keys.collect() });
        }
        let logs = self.witness.settings.logs.iter().filter(|key| key.name().as_str() == origin);
        let keys: Vec<VerifierKey> = logs.cloned().collect();
        (!keys.is_empty()).then_some(KnownLog { peer: None, keys })
    }

    /// The checkpoint of a log that we cosigned last, and the bytes that were kept of it.
    fn cosigned_last(&self, origin: &str) -> Result<Option<(Seen, Vec<u8>)>, String> {
        let kept = self.note(NoteKind::PEER_CHECKPOINT, &name_of(origin)).map_err(|e| e.to_string())?;
        let Some(bytes) = kept else { return Ok(None) };
        let note = Note::parse(&bytes).map_err(|e| e.to_string())?;
        let says: Checkpoint = note.text().parse().map_err(|e| format!("{e}"))?;
        Ok(Some((Seen { size: says.size(), root: says.root(), note }, bytes)))
    }

    // After a start that was not clean

    /// Peers that have not told yet what we had cosigned of theirs.
    pub fn witness_unheard(&self) -> Vec<LedgerId> {
        let Some(heard) = &self.witness.heard else { return Vec::new() };
        let peers = self.engine().state().channels.values().map(|row| row.peer);
        peers.filter(|peer| !heard.contains(peer)).collect()
    }

    /// A peer's answer: the newest checkpoint of its log that carries our cosignature. Our own word is taken back,
    /// nothing else.
    pub fn witness_heard(&mut self, peer: LedgerId, note: Option<&[u8]>) {
        if let Some(bytes) = note
            && let Err(why) = self.take_back(&peer, bytes)
        {
            tracing::warn!(peer = %peer.short(), %why, "what a peer says that we cosigned was left aside");
        }
        if let Some(heard) = &mut self.witness.heard {
            heard.insert(peer);
        }
    }

    fn take_back(&mut self, peer: &LedgerId, bytes: &[u8]) -> Result<(), String> {
        let mut note = Note::parse(bytes).map_err(|e| e.to_string())?;
        let origin = origin_of(&note).to_owned();
        let log =
            self.known_log(&origin).filter(|log| log.peer == Some(*peer)).ok_or("it is of another log")?;
        let says: Checkpoint = note.text().parse().map_err(|e| format!("{e}"))?;
        let (name, _) = self.our_witness().ok_or("this node has no witness key")?;
        let ours = VerifierKey::new(name, SignatureType::CosignatureV1, self.keys().witness.public());
        note.cosignature(&ours).map_err(|e| e.to_string())?;
        let signed = log.keys.iter().any(|key| note.verify(key).is_ok());
        if !signed {
            return Err("its log has not signed it".to_owned());
        }
        self.see_note(&note);
        if self.cosigned_last(&origin)?.is_some_and(|(seen, _)| seen.size >= says.size()) {
            return Ok(());
        }
        note.retain(|line| line.claims(&ours) || log.keys.iter().any(|key| line.claims(key)));
        let bytes = note.to_string().into_bytes();
        self.keep_note(NoteKind::PEER_CHECKPOINT, name_of(&origin), bytes).map_err(|e| e.to_string())?;
        tracing::warn!(peer = %peer.short(), size = says.size(), "we had cosigned more of a peer's log than we knew");
        Ok(())
    }

    /// The newest checkpoint of ours that carries a cosignature of this peer's witness.
    ///
    /// # Errors
    /// In quarantine: what we know may be older than what it has cosigned.
    pub fn witnessed_by(&self, peer: &LedgerId) -> Result<Option<Vec<u8>>, String> {
        if self.engine().is_quarantined() {
            return Err("this node does not know yet whether its books are the newest".to_owned());
        }
        Ok(self.published_for(peer))
    }

    fn published_for(&self, peer: &LedgerId) -> Option<Vec<u8>> {
        let key = self.witness_of(peer)?;
        let notes = [&self.witness.published, &self.witness.witnessed];
        let note = notes.into_iter().flatten().find(|note| note.cosignature(&key).is_ok())?;
        Some(note.to_string().into_bytes())
    }

    // Our own checkpoints

    fn witness_of(&self, peer: &LedgerId) -> Option<VerifierKey> {
        let (_, key) = self.engine().peers().identity(peer)?.current(Purpose::Witness)?;
        Some(witness_key(peer, &PublicKey::new(key).ok()?))
    }

    fn peer_witnesses(&self) -> Vec<(LedgerId, VerifierKey)> {
        let peers = self.engine().state().channels.values().map(|row| row.peer);
        peers.filter_map(|peer| Some((peer, self.witness_of(&peer)?))).collect()
    }

    /// The policy in force: the operator's, else every peer, as many as two histories cannot both have while a third
    /// of them lies.
    pub fn witness_policy(&self) -> Policy {
        if let Some(policy) = &self.witness.settings.policy {
            return policy.clone();
        }
        let keys: Vec<_> = self.peer_witnesses().into_iter().map(|(_, key)| key).collect();
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let threshold = least_quorum(count, count.saturating_sub(1) / 3).unwrap_or(count);
        Policy::of_witnesses(keys, threshold as usize)
    }

    /// What is to be cosigned now, if anything.
    pub fn witness_job(&self) -> Option<WitnessJob> {
        if self.engine().is_quarantined() {
            // What stands in the public folder may be older than what we have signed.
            return None;
        }
        let note = self.witness.published.as_ref()?;
        let says: Checkpoint = note.text().parse().ok()?;
        let peers = self.peer_witnesses();
        let policy = self.witness_policy();
        let asked = policy.witnesses().iter().filter(|witness| note.cosignature(&witness.key).is_err());
        let missing: Vec<_> = asked
            .map(|witness| {
                let peer = peers.iter().find(|(_, key)| key.key() == witness.key.key());
                let http = || witness.url.clone().map_or(Way::Unknown, Way::Http);
                (witness.key.clone(), peer.map_or_else(http, |(peer, _)| Way::Peer(*peer)))
            })
            .collect();
        let public = self.public_folder();
        (!missing.is_empty()).then(|| WitnessJob { note: note.clone(), size: says.size(), public, missing })
    }

    /// Adds cosignatures to our newest checkpoint and publishes it with them. Lines that are no cosignatures of it,
    /// because it was replaced meanwhile or because they are wrong, are left aside.
    pub fn add_cosignatures(&mut self, given: Vec<(VerifierKey, SignatureLine)>) {
        let Some(published) = &self.witness.published else { return };
        let mut note = published.clone();
        for (key, line) in given {
            let read = Cosignature::from_bytes(&line.signature);
            let good = line.claims(&key) && read.is_some_and(|read| read.verifies(note.text(), key.key()));
            if !good {
                continue;
            }
            note.retain(|old| !old.claims(&key));
            self.witness.troubles.remove(key.name());
            if let Err(why) = note.add(line) {
                tracing::warn!(%why, "a cosignature found no room in the checkpoint");
            }
        }
        if self.witness.published.as_ref() == Some(&note) {
            return;
        }
        // What our witnesses say of us is compared with what they have said of us elsewhere.
        self.see_note(&note);
        let text = note.to_string();
        if let Err(error) = write_file(&self.public_folder().join("checkpoint"), text.as_bytes()) {
            tracing::error!(%error, "the cosigned checkpoint was not published; it will be tried again");
            return;
        }
        if let Err(error) = self.private().set_setting(WITNESSED, text.as_bytes()) {
            tracing::error!(%error, "the cosigned checkpoint was published and not kept");
        }
        self.witness.witnessed = Some(note.clone());
        self.witness.published = Some(note);
    }

    /// Remembers what a witness said that was no cosignature.
    pub fn witness_trouble(&mut self, key: &VerifierKey, why: String) {
        self.witness.troubles.insert(key.name().clone(), why);
    }

    /// How we stand with our witnesses.
    pub fn witness_view(&self) -> WitnessView {
        let policy = self.witness_policy();
        let witnessed = self.witness.witnessed.as_ref().and_then(|note| {
            let says: Checkpoint = note.text().parse().ok()?;
            Some((says.size(), check_quorum(note, &policy)))
        });
        let watched = self.note_names(NoteKind::PEER_CHECKPOINT).into_iter().filter_map(|name| {
            let bytes = self.note(NoteKind::PEER_CHECKPOINT, &name).ok().flatten()?;
            let says: Checkpoint = Note::parse(&bytes).ok()?.text().parse().ok()?;
            Some((says.origin().to_string(), says.size()))
        });
        WitnessView {
            witnessed,
            peers: self.peer_witnesses().into_iter().map(|(_, key)| key.name().clone()).collect(),
            troubles: self.witness.troubles.clone(),
            watched: watched.collect(),
            policy,
        }
    }
}

/// Under which name the note of a log is kept.
fn name_of(origin: &str) -> [u8; 32] {
    Hash::of("", &[origin.as_bytes()]).0
}

#[cfg(test)]
mod tests;
