//! Switches that turn a rule of clearing off, for tests that show what breaks without it (specs/clearing.md, "Why").
//!
//! They exist only with the feature `simulator`; in a node they are constants.

/// A rule turned off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weak {
    /// A claim's name need not be the hash of its Intent.
    ClaimIsAnyName,
    /// A REJECT that overtakes frees a hop.
    RejectOvertakes,
    /// A contradictory REJECT takes back what was done.
    ContradictionUndoes,
    /// A start that is not proven signs at once.
    NoQuarantine,
    /// A decider tells its word to anybody before the last hop has acknowledged it, and gives it again after a loss.
    TellsAndForgets,
    /// A decider says yes when the first part has come.
    PartsAlone,
    /// A creditor may free a hop by dispute while it is bound, or undecided, further on.
    DisputeAnywhere,
    /// A reset may free a hop that is bound, or undecided, further on.
    ResetAnywhere,
}

#[cfg(feature = "simulator")]
mod switch {
    use super::Weak;
    use std::cell::Cell;

    thread_local! {
        static OFF: Cell<Option<Weak>> = const { Cell::new(None) };
    }

    /// Turns one rule off on this thread, or all on again.
    pub fn set(rule: Option<Weak>) {
        OFF.with(|off| off.set(rule));
    }

    /// Whether a rule is off.
    pub(crate) fn is(rule: Weak) -> bool {
        OFF.with(|off| off.get() == Some(rule))
    }
}

#[cfg(not(feature = "simulator"))]
mod switch {
    /// No rule is ever off.
    pub(crate) const fn is(_: super::Weak) -> bool {
        false
    }
}

pub(crate) use switch::is;
#[cfg(feature = "simulator")]
pub use switch::set;
