//! Reading a long range of numbered rows piece by piece.

use std::ops::RangeInclusive;

/// Most rows of one [`Page`], so that one request cannot take all memory.
pub const MAX_PAGE_ROWS: usize = 1_000;

/// Which way a [`Page`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Numbers going up.
    OldestFirst,
    /// Numbers going down.
    NewestFirst,
}

/// A piece of a range of numbered rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The number of the last row of the page before, `None` for the first page.
    pub after: Option<u64>,
    /// Which way to go.
    pub direction: Direction,
    /// Most rows wanted; more than [`MAX_PAGE_ROWS`] are never given.
    pub limit: usize,
}

impl Page {
    /// The newest rows.
    pub fn newest(limit: usize) -> Self {
        Self { after: None, direction: Direction::NewestFirst, limit }
    }

    /// The oldest rows.
    pub fn oldest(limit: usize) -> Self {
        Self { after: None, direction: Direction::OldestFirst, limit }
    }

    /// The same way and length, after the row with this number.
    pub fn after(self, number: u64) -> Self {
        Self { after: Some(number), ..self }
    }

    /// The keys the page lies between, both included; `None` when nothing can be there.
    pub(super) fn bounds(&self, prefix: &[u8]) -> Option<RangeInclusive<Vec<u8>>> {
        let key = |number: u64| [prefix, &number.to_be_bytes()].concat();
        let (low, high) = match (self.direction, self.after) {
            (_, None) => (0, u64::MAX),
            (Direction::OldestFirst, Some(after)) => (after.checked_add(1)?, u64::MAX),
            (Direction::NewestFirst, Some(after)) => (0, after.checked_sub(1)?),
        };
        Some(key(low)..=key(high))
    }
}
