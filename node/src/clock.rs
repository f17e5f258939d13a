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
