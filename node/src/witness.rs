//! Asking witnesses to cosign our checkpoints, and answering those who ask us (specs/witness.md §5).
//!
//! Nothing waits for a witness: payments go on, and each witness is asked again until it has cosigned the newest
//! checkpoint. What must hold: only lines that verify for the witness that was asked are published.

use crate::clearing::Clearing;
use crate::clock::Clock;
use crate::network::Protocol;
use crate::service::{Ledger, Way, WitnessJob};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weft_protocol::encoding::Blob;
use weft_protocol::ids::LedgerId;
use weft_protocol::log::note::{KeyName, SignatureLine, VerifierKey};
use weft_protocol::log::proof::build_consistency;
use weft_protocol::log::tile::{HASH_LEN, TILE_WIDTH, TileReader};
use weft_protocol::log::witness::request::MAX_ANSWER_BYTES;
use weft_protocol::log::witness::{AddCheckpoint, Answer};
use weft_protocol::wire::{Message, WitnessAnswer, WitnessAsk};

/// How often it is looked whether there is something to ask.
const TICK: Duration = Duration::from_secs(1);
/// First wait after a witness did not cosign; doubles.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest wait: a witness that is back is asked within this time.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How long a witness over HTTP may take.
const HTTP_TIME: Duration = Duration::from_secs(20);
/// Path under the submission prefix of a witness.
const ADD_CHECKPOINT: &str = "/add-checkpoint";
/// Tries of one ask: with the size believed, with the size told, and once more if it moved meanwhile.
const TRIES: usize = 3;

/// What is remembered of a witness between two asks.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// The size it cosigned last, as far as we know.
    size: u64,
    wait: Duration,
    next: Instant,
}

/// The task that asks; ends when `stop` turns true or the ledger has stopped.
pub(crate) async fn run(ledger: Ledger, clearing: Clearing, clock: Clock, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known: BTreeMap<(KeyName, [u8; 4]), Known> = BTreeMap::new();
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let Ok((job, unheard)) = ledger.run(|core| (core.witness_job(), core.witness_unheard())).await else {
            return;
        };
        // One that is away costs nobody time: it is asked when it is back.
        let unheard = unheard.into_iter().filter(|peer| clearing.is_connected(peer));
        futures::future::join_all(unheard.map(|peer| hear(&ledger, &clearing, peer))).await;
        let Some(job) = job else { continue };
        let now = clock.instant();
        let here = |way: &Way| match way {
            Way::Peer(peer) => clearing.is_connected(peer),
            Way::Http(_) | Way::Unknown => true,
        };
        let due = job.missing.iter().filter(|(_, way)| here(way));
        let due = due.filter(|(key, _)| known.get(&id_of(key)).is_none_or(|known| known.next <= now));
        let asks = due.map(|(key, way)| {
            let size = known.get(&id_of(key)).map_or(0, |known| known.size);
            ask(&clearing, &job, key.clone(), way.clone(), size)
        });
        let asked = futures::future::join_all(asks).await;
        if remember(&ledger, asked, &mut known, clock).await.is_err() {
            return;
        }
    }
}

fn id_of(key: &VerifierKey) -> (KeyName, [u8; 4]) {
    (key.name().clone(), key.id().0)
}

/// What came of asking one witness.
struct Asked {
    key: VerifierKey,
    /// The size it has cosigned last, if it said.
    size: u64,
    outcome: Result<Vec<SignatureLine>, String>,
}

async fn remember(
    ledger: &Ledger,
    asked: Vec<Asked>,
    known: &mut BTreeMap<(KeyName, [u8; 4]), Known>,
    clock: Clock,
) -> Result<(), crate::service::ServiceError> {
    let (mut lines, mut troubles) = (Vec::new(), Vec::new());
    for Asked { key, size, outcome } in asked {
        let now = clock.instant();
        let entry = known.entry(id_of(&key)).or_insert(Known { size, wait: RETRY_MIN, next: now });
        entry.size = size;
        match outcome {
            Ok(given) => {
                (entry.wait, entry.next) = (RETRY_MIN, now + RETRY_MIN);
                lines.extend(given.into_iter().map(|line| (key.clone(), line)));
            }
            Err(why) => {
                entry.next = now + entry.wait;
                entry.wait = (entry.wait * 2).min(RETRY_MAX);
                tracing::debug!(witness = %key.name(), %why, "a witness has not cosigned");
                troubles.push((key, why));
            }
        }
    }
    if lines.is_empty() && troubles.is_empty() {
        return Ok(());
    }
    let keep = ledger.run(move |core| {
        troubles.into_iter().for_each(|(key, why)| core.witness_trouble(&key, why));
        core.add_cosignatures(lines);
    });
    keep.await
}

/// Asks one witness, with the proof from the size that it says.
async fn ask(clearing: &Clearing, job: &WitnessJob, key: VerifierKey, way: Way, believed: u64) -> Asked {
    let mut size = believed.min(job.size);
    for _ in 0..TRIES {
        let answer = match request(job, size) {
            Ok(request) => send(clearing, &way, &request).await,
            Err(why) => Err(why),
        };
        match answer {
            Ok(Answer::Cosigned(lines)) => {
                let lines: Vec<_> = lines.into_iter().filter(|line| line.claims(&key)).collect();
                let outcome = if lines.is_empty() {
                    Err("it answered without a line of the key that the policy names".to_owned())
                } else {
                    Ok(lines)
                };
                return Asked { key, size: job.size, outcome };
            }
            Ok(Answer::Conflict(told)) if told > job.size => {
                let why = format!(
                    "it has seen {told} entries of our log, we have published {}: our data is older than what it saw",
                    job.size
                );
                return Asked { key, size, outcome: Err(why) };
            }
            Ok(Answer::Conflict(told)) if told == size => {
                let why = format!("it holds another head of {told} entries under our name");
                return Asked { key, size, outcome: Err(why) };
            }
            Ok(Answer::Conflict(told)) => size = told,
            Ok(Answer::Refused(status, words)) => {
                return Asked { key, size, outcome: Err(format!("it refused ({status}): {words}")) };
            }
            Err(why) => return Asked { key, size, outcome: Err(why) },
        }
    }
    Asked { key, size, outcome: Err("it named another size each time".to_owned()) }
}

/// The request from a size on, its proof built from the published tiles.
fn request(job: &WitnessJob, old_size: u64) -> Result<AddCheckpoint, String> {
    let proof = if old_size == 0 {
        Vec::new()
    } else {
        let mut tiles = TileReader::new(job.size, |path| read_tile(&job.public, &path.to_string()));
        build_consistency(&mut tiles, old_size, job.size).map_err(|e| e.to_string())?
    };
    let mut note = job.note.clone();
    let log = origin_line(&note);
    note.retain(|line| line.name.as_str() == log);
    Ok(AddCheckpoint { old_size, proof, note })
}

fn origin_line(note: &weft_protocol::log::note::Note) -> String {
    weft_protocol::log::witness::decide::origin_of(note).to_owned()
}

/// A tile of hashes; `None` when it is not there or longer than one can be.
fn read_tile(public: &Path, name: &str) -> Option<Vec<u8>> {
    let path = public.join(name);
    let longest = u64::from(TILE_WIDTH) * HASH_LEN as u64;
    let short = std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= longest);
    if short { std::fs::read(&path).ok() } else { None }
}

async fn send(clearing: &Clearing, way: &Way, request: &AddCheckpoint) -> Result<Answer, String> {
    let body = request.to_string().into_bytes();
    match way {
        Way::Peer(peer) => {
            let ask = WitnessAsk { message: 1, request: Some(Blob(body)) };
            let bytes = clearing.request(*peer, Protocol::Witness, ask.to_bytes()).await;
            let bytes = bytes.map_err(|e| e.to_string())?;
            let answer = WitnessAnswer::parse(&bytes).map_err(|e| format!("its answer is malformed: {e}"))?;
            let (Some(status), Some(body)) = (answer.status, answer.body) else {
                return Err("its answer is malformed: no status or no body".to_owned());
            };
            Answer::parse(status, &body.0).map_err(|e| format!("its answer is malformed: {e}"))
        }
        Way::Http(prefix) => {
            let url = format!("{}{ADD_CHECKPOINT}", prefix.trim_end_matches('/'));
            let answer = weft_client::post_text(&url, body, HTTP_TIME, MAX_ANSWER_BYTES).await;
            let answer = answer.map_err(|e| e.to_string())?;
            Answer::parse(answer.status, &answer.body).map_err(|e| format!("its answer is malformed: {e}"))
        }
        Way::Unknown => Err("the policy names no address for it, and it is no peer".to_owned()),
    }
}

/// Asks a peer what we had cosigned of its log; without an answer it is asked again.
async fn hear(ledger: &Ledger, clearing: &Clearing, peer: LedgerId) {
    let ask = WitnessAsk { message: 3, request: None };
    let Ok(bytes) = clearing.request(peer, Protocol::Witness, ask.to_bytes()).await else { return };
    match WitnessAnswer::parse(&bytes) {
        Ok(answer) => {
            let note = answer.body.map(|body| body.0);
            // When the ledger has stopped there is nothing left to remember it.
            let _ = ledger.run(move |core| core.witness_heard(peer, note.as_deref())).await;
        }
        Err(why) => {
            tracing::debug!(peer = %peer.short(), %why, "a peer's answer about cosignatures is malformed")
        }
    }
}
