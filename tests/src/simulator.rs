//! The seeded simulator: whole networks of the pure claim machine, a lossy world between them, crashes between any
//! two steps, and liars.
//!
//! A run is decided by its topology and its seed. First chaos, in which only safety is checked, after every commit;
//! then the world heals, time passes every expiry, and everything must end. A [`Violation`] says what did not hold;
//! the same seed shows it again.

pub mod books;
mod checkers;
mod convictions;
pub mod founding;
pub mod liar;
mod node;
mod payments;
pub mod random;
mod restore;
pub mod round;
mod statements;
mod web;
mod wire;
mod world;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub use node::Recorded;
use weft_protocol::evidence::EvidenceType;
pub use world::World;

/// Which networks there are, and who of them lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// Two neighbours.
    Pair,
    /// Three in a line.
    Three,
    /// Four in a line.
    Four,
    /// Three in a line; the last one lies, as the decider of claims.
    LyingEnd,
    /// Three in a line; the middle one lies.
    LyingMiddle,
    /// Four in a line; the second one lies: a middle, a last hop and a payer's neighbour.
    LyingSecond,
    /// Three in a line; the last one signs things twice.
    ForgingEnd,
    /// Three in a line; the middle one signs things twice.
    ForgingMiddle,
    /// Four in a line; the second one signs things of one type twice, and nothing else.
    Signing(EvidenceType),
    /// Three in a line, honest; now and then one is set back to an older state and asks its peers.
    Restored,
    /// Four in a line; the last one signs things twice, the others are set back now and then.
    RestoredForging,
    /// 5 to 30 in a random web, with unlike units and payments of several parts.
    Web,
    /// The same; one of them lies.
    LyingWeb,
    /// 3 to 7 in a ring with chords; netting rounds while payments go on.
    Round,
}

impl Topology {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Pair,
        Self::Three,
        Self::Four,
        Self::LyingEnd,
        Self::LyingMiddle,
        Self::LyingSecond,
        Self::ForgingEnd,
        Self::ForgingMiddle,
        Self::Signing(EvidenceType::Notes),
        Self::Signing(EvidenceType::Proofs),
        Self::Signing(EvidenceType::Entries),
        Self::Signing(EvidenceType::Decisions),
        Self::Signing(EvidenceType::Cosignatures),
        Self::Restored,
        Self::RestoredForging,
        Self::Web,
        Self::LyingWeb,
        Self::Round,
    ];

    /// How many networks; `None` where the seed decides.
    #[must_use]
    pub fn networks(self) -> Option<usize> {
        Some(match self {
            Self::Web | Self::LyingWeb | Self::Round => return None,
            Self::Pair => 2,
            Self::Three
            | Self::LyingEnd
            | Self::LyingMiddle
            | Self::ForgingEnd
            | Self::ForgingMiddle
            | Self::Restored => 3,
            Self::Four | Self::LyingSecond | Self::Signing(_) | Self::RestoredForging => 4,
        })
    }

    /// Which of them lies, where that is not for the seed to say.
    #[must_use]
    pub fn liar(self) -> Option<usize> {
        match self {
            Self::Pair
            | Self::Three
            | Self::Four
            | Self::Restored
            | Self::Web
            | Self::LyingWeb
            | Self::Round => None,
            Self::LyingEnd | Self::ForgingEnd => Some(2),
            Self::LyingMiddle | Self::LyingSecond | Self::ForgingMiddle | Self::Signing(_) => Some(1),
            Self::RestoredForging => Some(3),
        }
    }

    /// What the one that lies signs twice.
    fn twice(self) -> Twice {
        match self {
            Self::ForgingEnd | Self::ForgingMiddle | Self::RestoredForging => Twice::Anything,
            Self::Signing(kind) => Twice::Only(kind),
            Self::Pair
            | Self::Three
            | Self::Four
            | Self::LyingEnd
            | Self::LyingMiddle
            | Self::LyingSecond
            | Self::Restored
            | Self::Web
            | Self::LyingWeb
            | Self::Round => Twice::Nothing,
        }
    }

    /// Whether honest networks are set back to older states.
    #[must_use]
    pub fn restores(self) -> bool {
        matches!(self, Self::Restored | Self::RestoredForging)
    }

    /// Whether netting rounds are announced.
    fn has_rounds(self) -> bool {
        self == Self::Round
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Three => "three",
            Self::Four => "four",
            Self::LyingEnd => "lying-end",
            Self::LyingMiddle => "lying-middle",
            Self::LyingSecond => "lying-second",
            Self::ForgingEnd => "forging-end",
            Self::ForgingMiddle => "forging-middle",
            Self::Signing(EvidenceType::Notes) => "signing-notes",
            Self::Signing(EvidenceType::Proofs) => "signing-proofs",
            Self::Signing(EvidenceType::Entries) => "signing-entries",
            Self::Signing(EvidenceType::Decisions) => "signing-decisions",
            Self::Signing(EvidenceType::Cosignatures) => "signing-cosignatures",
            Self::Restored => "restored",
            Self::RestoredForging => "restored-forging",
            Self::Web => "web",
            Self::LyingWeb => "lying-web",
            Self::Round => "round",
        }
    }

    /// The topology of a name.
    ///
    /// # Errors
    /// The names there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|topology| topology.name() == name);
        found.ok_or_else(|| Self::ALL.map(Self::name).join(", "))
    }
}

/// What a liar signs twice, beyond what it says in its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twice {
    /// It lies in its channels only.
    Nothing,
    /// It keeps to its channels, and signs things of this type twice.
    Only(EvidenceType),
    /// It signs anything twice, and makes up evidence against others.
    Anything,
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl Violation {
    fn of(what: &str, error: &dyn fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! tally {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// What happened in one or many runs.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Tally {
            $($(#[$doc])* pub $field: u64,)*
        }
        impl Tally {
            /// Adds another run.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }
        impl fmt::Display for Tally {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let parts = [$((stringify!($field), self.$field),)*];
                let words: Vec<String> =
                    parts.iter().map(|(name, count)| format!("{name} {count}")).collect();
                f.write_str(&words.join(", "))
            }
        }
    };
}

tally! {
    /// Payments acknowledged to a client.
    payments,
    /// Of them: the payee has the value.
    done,
    /// Of them: the payer has it back without having paid.
    freed,
    /// Of them: the payer had paid and has it back.
    returned,
    /// Of them: waiting for a liar.
    stuck,
    /// Payments of several parts among those that were done.
    split,
    /// Hops bound between unlike units.
    exchanged,
    /// Payments refused to the client.
    refused,
    /// Times that a client asked again for what it had asked.
    retried,
    /// Questions that cancelled a claim.
    cancels,
    /// RETURN steps.
    returns,
    /// Crashes.
    crashes,
    /// Messages sent.
    messages,
    /// Messages lost.
    lost,
    /// Entries made durable.
    entries,
    /// What honest networks found wrong in others' streams.
    findings,
    /// Evidence that honest networks recorded.
    evidence,
    /// Of it: two heads of one log.
    notes,
    /// Of it: two entries by inclusion proofs.
    proofs,
    /// Of it: two entries at one place.
    places,
    /// Of it: a yes and a no.
    decisions,
    /// Of it: two cosignatures.
    cosignatures,
    /// Times that a network was set back to an older state.
    restores,
    /// Entries that it took back from its peers.
    taken_back,
    /// Times that a root set said that the rest is lost.
    successions,
    /// Statements that both sides have signed.
    statements,
    /// Settlements that both sides have booked.
    settled,
    /// Netting rounds announced.
    rounds,
    /// Results that all have accepted.
    cleared,
    /// Results that were refused, or that not all have accepted.
    aborted,
    /// What was taken off debts by them.
    netted,
}

/// Runs one seed.
///
/// # Errors
/// What did not hold.
pub fn run_seed(topology: Topology, seed: u64) -> Result<Tally, Violation> {
    World::new(topology, seed)?.run()
}

/// Runs one seed, and gives each piece of evidence that honest networks recorded, once, with its type.
///
/// # Errors
/// What did not hold.
pub fn evidence_of(topology: Topology, seed: u64) -> Result<Vec<(EvidenceType, Vec<u8>)>, Violation> {
    World::new(topology, seed)?.evidence_recorded()
}

/// The outcome of many runs.
#[derive(Debug)]
pub struct Report {
    /// Of which networks.
    pub topology: Topology,
    /// How many seeds ran.
    pub seeds: u64,
    /// What happened in all of them.
    pub tally: Tally,
    /// Seeds that broke something, and what: at most [`MAX_FAILURES`].
    pub failures: Vec<(u64, Violation)>,
}

/// A run ends after this many failures: more tell nothing new.
pub const MAX_FAILURES: usize = 10;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.failures.is_empty() { "ok" } else { "FAILED" };
        write!(f, "{}: {} seeds, {verdict}: {}", self.topology.name(), self.seeds, self.tally)?;
        for (seed, violation) in &self.failures {
            write!(f, "\n  seed {seed}: {violation}")?;
        }
        Ok(())
    }
}

/// Runs seeds from `first` on, on all cores.
///
/// # Panics
/// When a run panics.
#[must_use]
pub fn run(topology: Topology, seeds: u64, first: u64) -> Report {
    let next = AtomicU64::new(first);
    let end = first.saturating_add(seeds);
    let whole = Mutex::new((Tally::default(), Vec::new(), 0_u64));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let enough = || whole.lock().expect("no run panicked").1.len() >= MAX_FAILURES;
                    if seed >= end || enough() {
                        break;
                    }
                    let outcome = run_seed(topology, seed);
                    let mut whole = whole.lock().expect("no run panicked");
                    whole.2 += 1;
                    match outcome {
                        Ok(tally) => whole.0.add(&tally),
                        Err(violation) => whole.1.push((seed, violation)),
                    }
                }
            });
        }
    });
    let (tally, mut failures, seeds) = whole.into_inner().expect("no run panicked");
    failures.sort_by_key(|(seed, _)| *seed);
    Report { topology, seeds, tally, failures }
}
