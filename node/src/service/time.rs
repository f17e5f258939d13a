//! When the clock is not believed (specs/store.md §9): an entry far ahead of the last one would stop a ledger whose time
//! never goes back, so the operator says first that the clock is right.
//!
//! What must hold: while the time is held, whatever is still written has the time of the last entry.

use super::core::Core;
use crate::clock::Clock;
use std::time::Instant;

/// A ledger without an entry for so long does not tell whether the clock is right.
pub const MAX_IDLE_MS: u64 = 7 * 86_400_000;
/// A clock that runs so far ahead of the time that has passed was set.
pub const MAX_JUMP_MS: u64 = 86_400_000;

/// What the time is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeGuard {
    /// A moment and what the clock said then.
    since: (Instant, u64),
    /// Up to here an operator has said that the clock is right.
    confirmed_ms: u64,
}

impl TimeGuard {
    pub(super) fn new(clock: Clock) -> Self {
        Self { since: (clock.instant(), clock.now_ms()), confirmed_ms: 0 }
    }

    /// Why a clock that says `now_ms` is not believed, `passed_ms` after the moment it is compared with.
    fn held(&self, ledger_ms: u64, now_ms: u64, passed_ms: u64) -> Option<Held> {
        if now_ms <= self.confirmed_ms {
            return None;
        }
        let days = |ms: u64| ms / 86_400_000;
        let idle_ms = now_ms.saturating_sub(ledger_ms);
        let jump_ms = now_ms.saturating_sub(self.since.1.saturating_add(passed_ms));
        let why = if idle_ms > MAX_IDLE_MS {
            format!("the last entry is {} days old", days(idle_ms))
        } else if jump_ms > MAX_JUMP_MS {
            format!("the clock was set ahead by {} hours", jump_ms / 3_600_000)
        } else {
            return None;
        };
        Some(Held { clock_ms: now_ms, ledger_ms, why })
    }
}

/// A time that waits for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "nothing is written until an operator says that the clock is right, because {why}: an entry with a wrong time could \
     never be taken back. Compare the clock, then run `weft confirm-time`"
)]
pub struct Held {
    /// What the clock says.
    pub clock_ms: u64,
    /// Time of the last entry.
    pub ledger_ms: u64,
    /// Why it is not believed.
    pub why: String,
}

impl Core {
    /// Why the clock is not believed, if it is not.
    pub fn time_held(&self) -> Option<Held> {
        let head = self.engine().state().head;
        if head.next_seq == 0 {
            return None;
        }
        let passed = self.clock().instant().saturating_duration_since(self.time.since.0);
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.time.held(head.time_ms, self.clock().now_ms(), passed_ms)
    }

    /// The time that entries get now.
    pub(super) fn entry_time_ms(&self) -> u64 {
        match self.time_held() {
            Some(held) => held.ledger_ms,
            None => self.clock().now_ms(),
        }
    }

    /// An operator has compared the clock: it is believed from now on, for a day without entries at least.
    pub fn confirm_time(&mut self) {
        let now_ms = self.clock().now_ms();
        self.time = TimeGuard {
            since: (self.clock().instant(), now_ms),
            confirmed_ms: now_ms.saturating_add(MAX_JUMP_MS),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const START_MS: u64 = 1_767_225_600_000;

    fn guard(confirmed_ms: u64) -> TimeGuard {
        TimeGuard { since: (Clock.instant(), START_MS), confirmed_ms }
    }

    #[test]
    fn a_clock_is_believed_until_it_jumps_or_the_ledger_was_idle_for_a_week() {
        let held = |ledger_ms, now_ms, passed_ms| guard(0).held(ledger_ms, now_ms, passed_ms).map(|h| h.why);
        assert_eq!(held(START_MS, START_MS, 0), None);
        assert_eq!(held(START_MS, START_MS + MAX_JUMP_MS, 0), None);
        assert!(held(START_MS, START_MS + MAX_JUMP_MS + 1, 0).unwrap().contains("24 hours"));
        assert_eq!(held(START_MS, START_MS + 3 * MAX_JUMP_MS, 3 * MAX_JUMP_MS), None, "days have passed");
        assert_eq!(held(START_MS - MAX_IDLE_MS, START_MS, 0), None);
        assert!(held(START_MS - MAX_IDLE_MS - 1, START_MS, 0).unwrap().contains("7 days old"));
        // Back: entries keep the time of the last one, and nothing is held.
        assert_eq!(held(START_MS, START_MS - 5 * HOUR_MS, HOUR_MS), None);
        assert_eq!(held(START_MS, 0, 0), None);
        // Confirmed once, it is believed as far as was said.
        let confirmed = guard(START_MS + HOUR_MS);
        assert_eq!(confirmed.held(0, START_MS + HOUR_MS, 0), None);
        assert!(confirmed.held(0, START_MS + HOUR_MS + 1, 0).is_some());
    }
}
