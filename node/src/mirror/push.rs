//! Sends pieces of our ledger to those who keep them (specs/mirror.md §4).
//!
//! Full pieces go once; the newest, partial one goes again after each checkpoint. Nothing waits for a mirror. What a
//! keeper holds is asked at each connection and every hour: its disk is its own.

use super::list;
use crate::clearing::Clearing;
use crate::clock::{Clock, SystemRng};
use crate::network::Protocol;
use crate::service::{Ledger, MirrorJob};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weft_protocol::ids::LedgerId;
use weft_protocol::mirror::{PIECE_ENTRIES, Piece, PieceId, PiecePut, PutPiece};
use weft_protocol::wire::Message;

/// How often it is looked whether there is something to send.
const TICK: Duration = Duration::from_secs(1);
/// Pieces sent to one keeper before the others are looked at again.
const BATCH: usize = 64;
/// First wait after a failure; doubles.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest wait: a keeper that has room again is asked within this time.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How often a keeper is asked again what it holds, although the connection stands.
const LIST_AGAIN: Duration = Duration::from_secs(3_600);

/// What is known of one keeper since its connection.
#[derive(Debug)]
struct Known {
    /// The recovery key that its pieces are sealed to, and when it said what it holds.
    listed: Option<(u32, Instant)>,
    /// Places that it holds whole.
    full: BTreeSet<u64>,
    /// The first place that it does not hold whole, and how many entries it has there.
    next: u64,
    tail: u8,
    /// What was covered when everything was sent.
    done: u64,
    wait: Duration,
    not_before: Option<Instant>,
}

impl Default for Known {
    fn default() -> Self {
        let full = BTreeSet::new();
        Self { listed: None, full, next: 0, tail: 0, done: 0, wait: RETRY_MIN, not_before: None }
    }
}

impl Known {
    /// It holds a piece of ours as it is.
    fn holds(&mut self, id: &PieceId) {
        if id.is_full() {
            self.full.insert(id.number);
        } else if id.number == self.next {
            self.tail = self.tail.max(id.count);
        }
        while self.full.remove(&self.next) {
            (self.next, self.tail) = (self.next.saturating_add(1), 0);
        }
    }

    /// Nothing before this place is sent: it counts as held.
    fn begin_at(&mut self, first: u64) {
        if self.next < first {
            (self.next, self.tail) = (first, 0);
            self.full = self.full.split_off(&first);
            while self.full.remove(&self.next) {
                self.next = self.next.saturating_add(1);
            }
        }
    }

    /// How many entries from the first on it holds.
    fn upto(&self) -> u64 {
        self.next.saturating_mul(u64::from(PIECE_ENTRIES)).saturating_add(u64::from(self.tail))
    }
}

/// The task that sends; ends when `stop` turns true or the ledger has stopped.
pub(crate) async fn run(ledger: Ledger, clearing: Clearing, clock: Clock, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known: BTreeMap<LedgerId, Known> = BTreeMap::new();
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let Ok(job) = ledger.run(|core| core.mirror_job()).await else { return };
        let Some(job) = job else { continue };
        // Who was away may have another disk now.
        known.retain(|keeper, _| job.keepers.contains(keeper) && clearing.is_connected(keeper));
        let here = job.keepers.iter().copied().filter(|keeper| clearing.is_connected(keeper));
        let rounds = here.map(|keeper| {
            let mut of = known.remove(&keeper).unwrap_or_default();
            let (ledger, clearing, job) = (&ledger, &clearing, &job);
            async move {
                let now = clock.instant();
                if of.not_before.is_none_or(|then| then <= now) {
                    attempt(ledger, clearing, job, keeper, &mut of, now).await;
                }
                (keeper, of)
            }
        });
        let rounds: Vec<_> = rounds.collect();
        known = futures::future::join_all(rounds).await.into_iter().collect();
    }
}

async fn attempt(
    ledger: &Ledger,
    clearing: &Clearing,
    job: &MirrorJob,
    keeper: LedgerId,
    known: &mut Known,
    now: Instant,
) {
    let before = (known.upto(), known.listed.is_some());
    let outcome = send(ledger, clearing, job, keeper, known, now).await;
    let upto = known.listed.map(|_| known.upto());
    let trouble = match outcome {
        Ok(()) => {
            (known.wait, known.not_before) = (RETRY_MIN, None);
            if before == (known.upto(), true) {
                return;
            }
            None
        }
        Err(why) => {
            known.not_before = now.checked_add(known.wait);
            known.wait = (known.wait * 2).min(RETRY_MAX);
            tracing::debug!(peer = %keeper.short(), %why, "a mirror has not kept what we have");
            Some(why)
        }
    };
    // When the ledger has stopped there is nothing left to show it.
    let _ = ledger.run(move |core| core.note_mirrored(keeper, upto, trouble)).await;
}

/// Sends what the keeper lacks, in order.
async fn send(
    ledger: &Ledger,
    clearing: &Clearing,
    job: &MirrorJob,
    keeper: LedgerId,
    known: &mut Known,
    now: Instant,
) -> Result<(), String> {
    let (epoch, key) = job.key;
    let old = known.listed.is_none_or(|(of, then)| of != epoch || now.duration_since(then) > LIST_AGAIN);
    if old {
        let runs = list(clearing, keeper, 0).await.map_err(|e| e.to_string())?;
        let ours = ledger.run(move |core| core.runs_as_ours(&runs, epoch)).await;
        let ours = ours.map_err(|e| e.to_string())??;
        *known = Known { listed: Some((epoch, now)), ..Known::default() };
        for run in ours {
            let places = run.number..run.number.saturating_add(run.pieces);
            places.filter_map(|number| run.at(number)).for_each(|id| known.holds(&id));
        }
    }
    known.begin_at(job.first);
    if known.done == job.covered {
        return Ok(());
    }
    for _ in 0..BATCH {
        let number = known.next;
        let open = ledger.run(move |core| core.open_piece(number, epoch)).await;
        let open = open.map_err(|e| e.to_string())??;
        let Some(open) = open.filter(|open| open.id.count > known.tail) else {
            known.done = job.covered;
            return Ok(());
        };
        let piece = Piece::seal(&key, &job.ledger, open.id, &open.entries, &mut SystemRng);
        let put = PutPiece { message: 1, piece: piece.map_err(|e| e.to_string())? };
        let bytes = clearing.request(keeper, Protocol::Mirror, put.to_bytes()).await;
        let bytes = bytes.map_err(|e| e.to_string())?;
        let answer = PiecePut::parse(&bytes).map_err(|e| format!("its answer is malformed: {e}"))?;
        match answer.taken {
            PiecePut::KEPT => known.holds(&open.id),
            PiecePut::OLDER => return Err("it keeps a piece of a later start than ours".to_owned()),
            PiecePut::NO_ROOM => return Err("it has no room left for our entries".to_owned()),
            other => return Err(format!("its answer {other} is none")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_sent_to_nobody() {
        let mut known = Known::default();
        known.holds(&id(0, 64));
        known.holds(&id(4, 64));
        known.begin_at(3);
        assert_eq!((known.next, known.upto()), (3, 192));
        known.holds(&id(3, 64));
        assert_eq!(known.upto(), 5 * 64);
        known.begin_at(3);
        assert_eq!(known.upto(), 5 * 64, "it is no step back");
    }

    fn id(number: u64, count: u8) -> PieceId {
        PieceId { number, boot: 1, key: 0, count }
    }

    #[test]
    fn what_counts_as_mirrored_has_no_gap() {
        let mut known = Known::default();
        for (piece, upto) in [
            (id(1, PIECE_ENTRIES), 0),
            (id(2, 5), 0),
            (id(0, 7), 7),
            (id(0, PIECE_ENTRIES), 128),
            (id(2, 5), 133),
            (id(2, 4), 133),
            (id(2, PIECE_ENTRIES), 192),
        ] {
            known.holds(&piece);
            assert_eq!(known.upto(), upto, "{piece:?}");
        }
    }
}
