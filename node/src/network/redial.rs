//! When to dial a known peer again: a pure state machine, one per peer.
//!
//! Full-jitter back-off: the n-th wait is drawn evenly from zero to `min * 2^n`, at most `max`, and
//! goes on for ever. Only a connection that lasted resets it, so that a peer who accepts and hangs
//! up at once is not hammered. Time (ms of a monotonic clock) and randomness come in as arguments.

/// The bounds of a full-jitter back-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// Upper end of the first wait, in ms. Default 2,000.
    pub min_ms: u64,
    /// Upper end of every later wait, in ms. Default 600,000 (10 min).
    pub max_ms: u64,
    /// A connection that lasted this many ms resets the back-off. Default 10,000.
    pub stable_ms: u64,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self { min_ms: 2_000, max_ms: 600_000, stable_ms: 10_000 }
    }
}

impl BackoffPolicy {
    /// The wait, in ms, before attempt number `attempts` (from 0).
    pub(super) fn wait_ms(self, attempts: u32, random: u64) -> u64 {
        let factor = 1_u64.checked_shl(attempts).unwrap_or(u64::MAX);
        let ceiling = self.min_ms.saturating_mul(factor).min(self.max_ms);
        // The bias of the remainder is below 2^-40 for waits of minutes.
        random.checked_rem(ceiling.saturating_add(1)).unwrap_or(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connected { since_ms: u64 },
    Dialing,
    Waiting { until_ms: u64 },
}

/// The redial state of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redial {
    policy: BackoffPolicy,
    state: State,
    attempts: u32,
}

impl Redial {
    /// A peer that is to be dialled at once.
    pub(super) fn new(policy: BackoffPolicy, now_ms: u64) -> Self {
        Self { policy, state: State::Waiting { until_ms: now_ms }, attempts: 0 }
    }

    /// When to dial, in ms; `None` while connected or dialling.
    pub(super) fn due_ms(&self) -> Option<u64> {
        match self.state {
            State::Waiting { until_ms } => Some(until_ms),
            State::Connected { .. } | State::Dialing => None,
        }
    }

    /// A dial was started.
    pub(super) fn dialing(&mut self) {
        if matches!(self.state, State::Waiting { .. }) {
            self.state = State::Dialing;
        }
    }

    /// The first connection stands, whoever opened it.
    pub(super) fn connected(&mut self, now_ms: u64) {
        if !matches!(self.state, State::Connected { .. }) {
            self.state = State::Connected { since_ms: now_ms };
        }
    }

    /// A dial failed. Without effect while connected.
    pub(super) fn failed(&mut self, now_ms: u64, random: u64) {
        if !matches!(self.state, State::Connected { .. }) {
            self.wait(now_ms, random);
        }
    }

    /// The last connection is gone.
    pub(super) fn disconnected(&mut self, now_ms: u64, random: u64) {
        if let State::Connected { since_ms } = self.state {
            if now_ms.saturating_sub(since_ms) >= self.policy.stable_ms {
                self.attempts = 0;
            }
            self.wait(now_ms, random);
        }
    }

    /// There is a reason to believe that dialling works now: new addresses, or a block lifted.
    pub(super) fn retry_now(&mut self, now_ms: u64) {
        self.attempts = 0;
        if !matches!(self.state, State::Connected { .. }) {
            self.state = State::Waiting { until_ms: now_ms };
        }
    }

    fn wait(&mut self, now_ms: u64, random: u64) {
        let wait_ms = self.policy.wait_ms(self.attempts, random);
        self.attempts = self.attempts.saturating_add(1);
        self.state = State::Waiting { until_ms: now_ms.saturating_add(wait_ms) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BackoffPolicy = BackoffPolicy { min_ms: 2_000, max_ms: 600_000, stable_ms: 10_000 };

    #[test]
    fn a_new_peer_is_dialled_at_once_and_only_once() {
        let mut redial = Redial::new(POLICY, 5);
        assert_eq!(redial.due_ms(), Some(5));
        redial.dialing();
        assert_eq!(redial.due_ms(), None);
    }

    #[test]
    fn the_ceiling_doubles_from_two_seconds_to_ten_minutes_and_stays() {
        // The largest value of each range is reached when the random number is the ceiling itself.
        for (attempts, ceiling) in [(0, 2_000), (1, 4_000), (8, 512_000), (9, 600_000), (4_000, 600_000)] {
            assert_eq!(POLICY.wait_ms(attempts, ceiling), ceiling);
            assert_eq!(POLICY.wait_ms(attempts, ceiling + 1), 0);
        }
    }

    #[test]
    fn it_never_gives_up() {
        let mut redial = Redial::new(POLICY, 0);
        for now in 0..10_000 {
            redial.dialing();
            redial.failed(now, u64::MAX);
            assert!(redial.due_ms().is_some());
        }
    }

    #[test]
    fn a_connection_that_lasted_resets_the_back_off_and_a_brief_one_does_not() {
        let mut redial = Redial::new(POLICY, 0);
        for _ in 0..5 {
            redial.failed(0, 0);
        }
        redial.connected(1_000);
        redial.disconnected(1_000 + POLICY.stable_ms - 1, 64_000);
        assert_eq!(redial.due_ms(), Some(10_999 + 64_000));
        redial.connected(20_000);
        redial.disconnected(20_000 + POLICY.stable_ms, 2_000);
        assert_eq!(redial.due_ms(), Some(32_000));
    }

    #[test]
    fn a_failed_dial_beside_a_standing_connection_changes_nothing() {
        let mut redial = Redial::new(POLICY, 0);
        redial.dialing();
        redial.connected(10);
        redial.failed(20, 7);
        assert_eq!(redial.due_ms(), None);
    }

    #[test]
    fn a_wait_never_exceeds_the_maximum_or_its_own_ceiling() {
        for min_ms in [0, 1, 50, 2_000, u64::MAX] {
            let policy = BackoffPolicy { min_ms, ..POLICY };
            for attempts in 0..80 {
                for random in [0, 1, 12_345, u64::MAX - 1, u64::MAX] {
                    assert!(policy.wait_ms(attempts, random) <= policy.max_ms);
                }
            }
            assert!(policy.wait_ms(0, u64::MAX) <= min_ms);
        }
    }
}
