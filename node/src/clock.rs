//! The only place that reads time and randomness.

use std::sync::atomic::{AtomicU64, Ordering};
use weft_protocol::ids::Salt;

/// How far ahead of the machine's clock this process is: a test hook, for what takes days.
static AHEAD_MS: AtomicU64 = AtomicU64::new(0);

/// Sets the clock of this process ahead; only the test hook `days-ahead-N` of the node does.
pub fn set_ahead(ahead_ms: u64) {
    AHEAD_MS.store(ahead_ms, Ordering::Relaxed);
}

/// Where the node takes time and randomness from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Milliseconds since 1970.
    pub fn now_ms(self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        now_ms.saturating_add(AHEAD_MS.load(Ordering::Relaxed))
    }

    /// A moment for measuring how long something takes.
    pub fn instant(self) -> std::time::Instant {
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        std::time::Instant::now()
    }

    /// Fresh random bytes.
    ///
    /// # Panics
    /// When the operating system gives none: nothing safe can go on.
    pub fn random<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    /// The salt of an entry.
    pub fn salt(self) -> Salt {
        Salt(self.random())
    }
}

/// Randomness of the operating system, for libraries that ask for a generator.
#[derive(Debug, Clone, Copy)]
pub struct SystemRng;

impl rand_core::TryRng for SystemRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes(Clock.random()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes(Clock.random()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        getrandom::fill(out).expect("the operating system gives random bytes");
        Ok(())
    }
}

impl rand_core::TryCryptoRng for SystemRng {}
