//! What somebody has done wrong lately, and when that is enough to shut it out (specs/network.md 3.5).
//!
//! What must hold: an honest node that is slow, busy or newer than we are never gets there; who sends what no honest node
//! sends gets there within seconds. Faults weigh differently and fade with time. Pure: time (ms of a monotonic clock)
//! comes in as an argument.

use std::{collections::HashMap, fmt};

use libp2p::PeerId;

/// Somebody is shut out when its record is as much as this, in thousandths of a point: ten bad frames within 5 s.
const BAN_AT: u64 = 95_000;

/// What fades in a millisecond: a point a second.
const FADES_PER_MS: u64 = 1;

/// Records kept at once; when all are taken, those that have faded go, and who comes then has none. Rates still hold it.
const RECORDS_MAX: usize = 4_096;

/// What no honest node does, or does only now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A frame longer than its protocol allows.
    Oversize,
    /// A frame that is empty, or with bytes after its end.
    BadFrame,
    /// A request that did not arrive whole in its time.
    Slow,
    /// A request that is no message, or no entry.
    Garbage,
    /// A message or an entry of a kind that this version does not know.
    NotKnown,
    /// Something signed by another key than it says.
    WrongSignature,
    /// A request above its rate.
    Flood,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::Oversize,
        Self::BadFrame,
        Self::Slow,
        Self::Garbage,
        Self::NotKnown,
        Self::WrongSignature,
        Self::Flood,
    ];

    /// Thousandths of a point. No honest node ever sends the first, second and fourth; a damaged disk may send a wrong
    /// signature; a thin line is slow once in 20 s; a newer node says again and again what we do not know; a burst goes
    /// over a rate some hundred times.
    const fn weight(self) -> u64 {
        match self {
            Self::Oversize | Self::BadFrame | Self::Garbage => 10_000,
            Self::WrongSignature => 25_000,
            Self::Slow => 2_000,
            Self::NotKnown | Self::Flood => 50,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Oversize => "frames longer than allowed",
            Self::BadFrame => "frames cut wrong",
            Self::Slow => "requests that did not arrive in time",
            Self::Garbage => "requests or entries that cannot be read",
            Self::NotKnown => "messages or entries not known to this version",
            Self::WrongSignature => "wrong signatures",
            Self::Flood => "requests above its rate",
        }
    }
}

/// Why somebody is shut out: how often it did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Misconduct {
    counts: [u32; Fault::ALL.len()],
}

impl Misconduct {
    /// How often this was done.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u32 {
        self.counts[fault as usize]
    }
}

impl fmt::Display for Misconduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it sent ")?;
        let done = Fault::ALL.into_iter().filter(|fault| self.count(*fault) > 0);
        for (place, fault) in done.enumerate() {
            let gap = if place == 0 { "" } else { ", " };
            write!(f, "{gap}{} {}", self.count(fault), fault.words())?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    milli: u64,
    at_ms: u64,
    misconduct: Misconduct,
}

impl Record {
    fn fade(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        self.milli = self.milli.saturating_sub(passed.saturating_mul(FADES_PER_MS));
        self.at_ms = self.at_ms.max(now_ms);
        if self.milli == 0 {
            self.misconduct = Misconduct::default();
        }
    }
}

/// The records of everybody.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    records: HashMap<PeerId, Record>,
}

impl Conduct {
    /// Notes a fault; says when it was one too many, and begins anew then.
    pub(super) fn blame(&mut self, peer: PeerId, fault: Fault, now_ms: u64) -> Option<Misconduct> {
        if self.records.len() >= RECORDS_MAX && !self.records.contains_key(&peer) {
            self.records.retain(|_, record| {
                record.fade(now_ms);
                record.milli > 0
            });
            if self.records.len() >= RECORDS_MAX {
                return None;
            }
        }
        let record = self.records.entry(peer).or_insert(Record { at_ms: now_ms, ..Record::default() });
        record.fade(now_ms);
        record.milli = record.milli.saturating_add(fault.weight());
        let count = &mut record.misconduct.counts[fault as usize];
        *count = count.saturating_add(1);
        if record.milli < BAN_AT {
            return None;
        }
        self.records.remove(&peer).map(|record| record.misconduct)
    }

    /// Begins anew with somebody.
    pub(super) fn forgive(&mut self, peer: &PeerId) {
        self.records.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these it takes, `every_ms` apart; `None` when a thousand thousand are not enough.
    fn needed(fault: Fault, every_ms: u64) -> Option<u64> {
        let (mut conduct, peer) = (Conduct::default(), PeerId::random());
        (1..=1_000_000).find(|n| conduct.blame(peer, fault, n * every_ms).is_some())
    }

    #[test]
    fn who_breaks_rules_in_a_row_is_shut_out_and_who_slips_now_and_then_is_not() {
        assert_eq!(needed(Fault::Oversize, 0), Some(10));
        assert_eq!(needed(Fault::WrongSignature, 0), Some(4));
        assert_eq!(needed(Fault::Flood, 0), Some(1_900));
        assert_eq!(needed(Fault::Garbage, 10_000), None, "one in ten seconds");
        assert_eq!(needed(Fault::Slow, 2_000), None, "a thin line");
        assert_eq!(needed(Fault::Flood, 50), None, "twenty a second over the rate");
        assert_eq!(needed(Fault::Flood, 1), Some(1_939), "a thousand a second over the rate");
    }

    #[test]
    fn the_reason_says_what_was_done_and_how_often() {
        let (mut conduct, peer) = (Conduct::default(), PeerId::random());
        for _ in 0..3 {
            assert_eq!(conduct.blame(peer, Fault::Garbage, 5), None);
        }
        assert_eq!(
            conduct.blame(PeerId::random(), Fault::Oversize, 5),
            None,
            "another's record is another's"
        );
        for _ in 0..2 {
            assert_eq!(conduct.blame(peer, Fault::WrongSignature, 5), None);
        }
        let why = conduct.blame(peer, Fault::WrongSignature, 5).unwrap();
        assert_eq!(why.to_string(), "it sent 3 requests or entries that cannot be read, 3 wrong signatures");
        assert_eq!(conduct.blame(peer, Fault::WrongSignature, 5), None, "it begins anew");
    }

    #[test]
    fn records_stay_bounded_however_many_identities_come() {
        let mut conduct = Conduct::default();
        for _ in 0..RECORDS_MAX + 10 {
            conduct.blame(PeerId::random(), Fault::Garbage, 0);
        }
        assert_eq!(conduct.records.len(), RECORDS_MAX);
        conduct.blame(PeerId::random(), Fault::Garbage, 20_000);
        assert_eq!(conduct.records.len(), 1, "faded ones make room");
    }
}
