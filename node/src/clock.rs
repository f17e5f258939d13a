//! The only place that reads time and randomness.

use weft_protocol::ids::Salt;

/// Where the node takes time and randomness from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Milliseconds since 1970.
    pub fn now_ms(self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
