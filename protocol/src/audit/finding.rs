//! What an audit says: findings in plain words, and the figures of a ledger.
//!
//! A finding always names what it is about, entries or a file. The number kept of each class is bounded; the number
//! found is always counted.

use super::openings::Opened;
use super::witnesses::Witnessed;
use crate::entry::Kind;
use crate::ids::{AccountId, Hash, LedgerId, StreamId, UnitId};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::fmt;

/// Findings of one class that a report names one by one; beyond that only their number helps anybody.
pub const MAX_FINDINGS_PER_CLASS: u64 = 1_000;

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A rule is broken, or bytes are not what they must be.
    Error,
    /// Somebody signed two things that exclude each other.
    Equivocation,
    /// Two records that must agree do not.
    Mismatch,
    /// An answer to something that was never said.
    Orphan,
    /// A payment between networks that is not finished; not wrong.
    InFlight,
    /// Value that stands on the account for disputes; not wrong.
    Disputed,
    /// Worth a look; not wrong.
    Warning,
    /// Something that this audit could not or did not look at.
    NotChecked,
}

impl Class {
    /// All classes, gravest first.
    pub const ALL: [Self; 8] = [
        Self::Error,
        Self::Equivocation,
        Self::Mismatch,
        Self::Orphan,
        Self::InFlight,
        Self::Disputed,
        Self::Warning,
        Self::NotChecked,
    ];

    /// Whether one such finding makes the books wrong.
    pub const fn is_wrong(self) -> bool {
        match self {
            Self::Error | Self::Equivocation | Self::Mismatch | Self::Orphan => true,
            Self::InFlight | Self::Disputed | Self::Warning | Self::NotChecked => false,
        }
    }

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Equivocation => "equivocation",
            Self::Mismatch => "mismatch",
            Self::Orphan => "orphan",
            Self::InFlight => "in flight",
            Self::Disputed => "disputed",
            Self::Warning => "warning",
            Self::NotChecked => "not checked",
        }
    }
}

/// An entry that a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum EntryRef {
    /// Of the audited ledger, by its place.
    #[n(0)]
    Own(#[n(0)] u64),
    /// Of another ledger, by its place in a stream.
    #[n(1)]
    Stream {
        /// Whose.
        #[n(0)]
        ledger: LedgerId,
        /// Which stream.
        #[n(1)]
        stream: StreamId,
        /// Where in it.
        #[n(2)]
        sseq: u64,
    },
    /// Of another ledger whose books are at hand, by its place.
    #[n(2)]
    Of {
        /// Whose.
        #[n(0)]
        ledger: LedgerId,
        /// Its place.
        #[n(1)]
        seq: u64,
    },
}

impl fmt::Display for EntryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(seq) => write!(f, "entry {seq}"),
            Self::Stream { ledger, stream, sseq } if *stream == crate::ids::PUBLIC_STREAM => {
                write!(f, "entry {sseq} of the public stream of {}", ledger.short())
            }
            Self::Stream { ledger, sseq, .. } => {
                write!(f, "entry {sseq} of the channel of {}", ledger.short())
            }
            Self::Of { ledger, seq } => write!(f, "entry {seq} of {}", ledger.short()),
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub class: Class,
    /// The entries it is about; empty when it is about a file or the whole.
    pub entries: Vec<EntryRef>,
    /// What it is, in plain words.
    pub what: String,
    /// The file it was found in.
    pub file: Option<String>,
    /// How long it has been so, by the ledger's own time, in milliseconds.
    pub age_ms: Option<u64>,
    /// Of something not checked: whether the audit says nothing without it.
    pub essential: bool,
}

impl Finding {
    /// A finding about the whole.
    pub fn new(class: Class, what: impl Into<String>) -> Self {
        Self { class, entries: Vec::new(), what: what.into(), file: None, age_ms: None, essential: false }
    }

    /// An error.
    pub fn error(what: impl Into<String>) -> Self {
        Self::new(Class::Error, what)
    }

    /// Something without which the audit says nothing could not be read.
    pub fn unreadable(what: impl Into<String>) -> Self {
        Self { essential: true, ..Self::new(Class::NotChecked, what) }
    }

    /// Names an entry.
    #[must_use]
    pub fn at(mut self, entry: EntryRef) -> Self {
        self.entries.push(entry);
        self
    }

    /// Names the file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Says for how long.
    #[must_use]
    pub fn for_ms(mut self, age_ms: u64) -> Self {
        self.age_ms = Some(age_ms);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.class.name())?;
        for entry in &self.entries {
            write!(f, "{entry}: ")?;
        }
        f.write_str(&self.what)?;
        self.file.as_ref().map_or(Ok(()), |file| write!(f, " [{file}]"))
    }
}

/// Findings as they come: all counted, a bounded number of each class kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<Class, u64>,
    essential: u64,
}

impl Findings {
    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.class).or_default();
        *count = count.saturating_add(1);
        if finding.essential {
            self.essential = self.essential.saturating_add(1);
        }
        if *count <= MAX_FINDINGS_PER_CLASS {
            self.kept.push(finding);
        }
    }

    /// Counts so many more of a class, which nobody kept.
    pub fn count_more(&mut self, class: Class, more: u64) {
        if more > 0 {
            let count = self.counts.entry(class).or_default();
            *count = count.saturating_add(more);
        }
    }

    /// Those kept, in the order found.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// How many of a class were found.
    pub fn count(&self, class: Class) -> u64 {
        self.counts.get(&class).copied().unwrap_or(0)
    }

    /// How many were found that make the books wrong.
    pub fn wrong(&self) -> u64 {
        Class::ALL.iter().filter(|class| class.is_wrong()).map(|class| self.count(*class)).sum()
    }

    /// What they amount to.
    pub fn outcome(&self) -> Outcome {
        if self.wrong() > 0 {
            Outcome::Wrong
        } else if self.essential > 0 {
            Outcome::NotChecked
        } else {
            Outcome::Right
        }
    }
}

/// What an audit amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing wrong was found.
    Right,
    /// Something is wrong.
    Wrong,
    /// Something essential could not be looked at.
    NotChecked,
}

impl Outcome {
    /// Exit code of a command that ends with it: 0, 1 or 3 (2 is for wrong arguments).
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Right => 0,
            Self::Wrong => 1,
            Self::NotChecked => 3,
        }
    }
}

/// A unit and the sum of all balances in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitSum {
    /// Which unit.
    pub unit: UnitId,
    /// Its code.
    pub code: String,
    /// Its decimals.
    pub scale: u8,
    /// Must be zero.
    pub sum: i128,
    /// The sum of all balances above zero: how much is owed in all.
    pub outstanding: i128,
}

/// Signatures by what they stand for. All were verified, unless a finding names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct SignatureCounts {
    /// The node's, one for each entry.
    #[n(0)]
    pub node: u64,
    /// People's, with keys of their own.
    #[n(1)]
    pub own_key: u64,
    /// People's, with passkeys.
    #[n(2)]
    pub passkey: u64,
    /// The desk's, for people signed in at the node.
    #[n(3)]
    pub custody: u64,
    /// The desk's, for slips of paper.
    #[n(4)]
    pub paper: u64,
    /// The desk's, for what was said by word of mouth.
    #[n(5)]
    pub spoken: u64,
    /// Under accords, Intents and Decisions.
    #[n(6)]
    pub clearing: u64,
    /// Of peers' nodes, under entries received.
    #[n(7)]
    pub peers: u64,
}

/// How things stand with a peer in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Our unit.
    pub unit: UnitId,
    /// Its code.
    pub code: String,
    /// Its decimals.
    pub scale: u8,
    /// Balance of the peer account: above zero we owe them.
    pub balance: i64,
    /// What we have proposed to them and is open.
    pub open_out: i128,
    /// What they have proposed to us, and is open or not booked yet; zero without their folder.
    pub open_in: i128,
}

/// A peer, as the audited ledger and its folder show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    /// Which network.
    pub ledger: LedgerId,
    /// The channel with it.
    pub channel: StreamId,
    /// The account kept for it.
    pub account: AccountId,
    /// Entries of the audited ledger on the channel.
    pub our_entries: u64,
    /// The peer's entries at hand; zero without its folder.
    pub their_entries: u64,
    /// Claims on the channel.
    pub claims: u64,
    /// The last entry of the audited ledger that the peer's signed words fix, with all before it.
    pub pinned_to: Option<u64>,
    /// One for each unit of the accord.
    pub positions: Vec<Position>,
}

/// The earlier audit that one goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// Entries that it covered.
    pub entries: u64,
    /// Root over them.
    pub root: Hash,
}

/// Entries that are not here any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct LeftOut {
    /// Place of the forward that they stand before.
    #[n(0)]
    pub before: u64,
    /// How many.
    #[n(1)]
    pub entries: u64,
}

/// What an audit found out about one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which ledger; `None` when its genesis cannot be read.
    pub ledger: Option<LedgerId>,
    /// Entries of the ledger: read now, or by the earlier audit.
    pub entries: u64,
    /// The earlier audit that this one goes on from.
    pub since: Option<Since>,
    /// Entries left out before a forward, which neither this audit nor an earlier one has read.
    pub left_out: Option<LeftOut>,
    /// Size that the checkpoint vouches for; `None` when it does not.
    pub checkpoint_size: Option<u64>,
    /// Who has cosigned the newest checkpoint; `None` without a checkpoint that can be read.
    pub witnessed: Option<Witnessed>,
    /// Root over those entries, as recomputed.
    pub root: Hash,
    /// Digest of the state after the last entry.
    pub state_digest: Hash,
    /// Time of the first and the last entry.
    pub time_ms: Option<(u64, u64)>,
    /// Accounts of members, organisations, commons, pools and the outside.
    pub accounts: u64,
    /// Sums by unit.
    pub units: Vec<UnitSum>,
    /// Entries by kind.
    pub kinds: Vec<(Kind, u64)>,
    /// Signatures by what they stand for.
    pub signatures: SignatureCounts,
    /// Peers.
    pub peers: Vec<PeerReport>,
    /// Texts that were opened for this audit.
    pub openings: Vec<Opened>,
    /// What was found.
    pub findings: Findings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_all_counted_and_a_bounded_number_is_kept() {
        let mut findings = Findings::default();
        for seq in 0..MAX_FINDINGS_PER_CLASS + 5 {
            findings.add(Finding::new(Class::Warning, "w").at(EntryRef::Own(seq)));
        }
        assert_eq!(findings.count(Class::Warning), MAX_FINDINGS_PER_CLASS + 5);
        assert_eq!(findings.kept().len() as u64, MAX_FINDINGS_PER_CLASS);
        assert_eq!(findings.outcome(), Outcome::Right);
        findings.add(Finding::unreadable("a file"));
        assert_eq!(findings.outcome(), Outcome::NotChecked);
        findings.add(Finding::error("a rule").at(EntryRef::Own(3)).in_file("f"));
        assert_eq!(findings.outcome().exit_code(), 1);
        assert_eq!(findings.kept().last().unwrap().to_string(), "error: entry 3: a rule [f]");
    }
}
