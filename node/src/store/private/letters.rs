//! Letters that this node keeps as a host: sealed, from one of its peers for another (specs/network.md §13).
//!
//! What must hold: what is told as kept is durable; nobody's letters take the room of another pair's; none stays longer than
//! [`LIFE_MS`]. They are sealed to others, so nothing of them can be read here.

use super::{Private, PrivateError, from_sql_ms, to_sql_ms};
use rusqlite::params;
use weft_protocol::encoding::Blob;
use weft_protocol::ids::LedgerId;
use weft_protocol::letter::{Kept, Letter, MAX_TOLD};

/// Bytes kept from one peer for another: some hundred payments.
pub const PAIR_BYTES: u64 = 1_024 * 1_024;
/// Bytes kept in all.
pub const ALL_BYTES: u64 = 64 * 1_024 * 1_024;
/// How long a letter is kept.
pub const LIFE_MS: u64 = 14 * 24 * 3_600_000;

impl Private {
    /// Keeps a letter; `false` when what is kept from the one for the other, or in all, is as much as may be.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn put_letter(
        &self,
        from: &LedgerId,
        to: &LedgerId,
        letter: &Letter,
        now_ms: u64,
    ) -> Result<bool, PrivateError> {
        self.transact("keep a letter", |db| {
            let sum = |rows: rusqlite::Result<i64>| rows.map(from_sql_ms);
            let pair = sum(db.query_row(
                "SELECT coalesce(sum(length(sealed)), 0) FROM letters WHERE receiver = ?1 AND sender = ?2",
                [to.0, from.0],
                |row| row.get(0),
            ))?;
            let all =
                sum(db.query_row("SELECT coalesce(sum(length(sealed)), 0) FROM letters", [], |row| {
                    row.get(0)
                }))?;
            let more = letter.sealed.0.len() as u64;
            if pair.saturating_add(more) > PAIR_BYTES || all.saturating_add(more) > ALL_BYTES {
                return Ok(false);
            }
            let row = params![from.0, to.0, letter.key, letter.sealed.0, to_sql_ms(now_ms)];
            let insert =
                "INSERT INTO letters (sender, receiver, key, sealed, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
            db.execute(insert, row).map(|_| true)
        })
    }

    /// Letters for a peer after a number, oldest first, as many as have so many bytes together, and whether there are others.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn letters_for(
        &self,
        to: &LedgerId,
        after: u64,
        most_bytes: usize,
    ) -> Result<(Vec<Kept>, bool), PrivateError> {
        self.with("read letters", |db| {
            let mut select = db.prepare_cached(
                "SELECT number, sender, key, sealed FROM letters WHERE receiver = ?1 AND number > ?2 ORDER BY number",
            )?;
            let mut rows = select.query(params![to.0, to_sql_ms(after)])?;
            let (mut letters, mut bytes) = (Vec::new(), 0_usize);
            while let Some(row) = rows.next()? {
                let sealed: Vec<u8> = row.get(3)?;
                bytes = bytes.saturating_add(sealed.len());
                if letters.len() >= MAX_TOLD || bytes > most_bytes {
                    return Ok((letters, true));
                }
                let letter = Letter { key: row.get(2)?, sealed: Blob(sealed) };
                let number = from_sql_ms(row.get(0)?);
                letters.push(Kept { number, from: row.get(1).map(LedgerId)?, letter });
            }
            Ok((letters, false))
        })
    }

    /// Forgets the letters for a peer up to a number; it has them.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn letters_taken(&self, to: &LedgerId, upto: u64) -> Result<usize, PrivateError> {
        self.transact("forget letters", |db| {
            let delete = "DELETE FROM letters WHERE receiver = ?1 AND number <= ?2";
            db.execute(delete, params![to.0, to_sql_ms(upto)])
        })
    }

    /// Forgets letters that are too old.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn forget_old_letters(&self, now_ms: u64) -> Result<usize, PrivateError> {
        let before_ms = now_ms.saturating_sub(LIFE_MS);
        self.transact("forget old letters", |db| {
            db.execute("DELETE FROM letters WHERE at_ms < ?1", [to_sql_ms(before_ms)])
        })
    }

    /// How many letters are kept, and how many bytes that is.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn letters_kept(&self) -> Result<(u64, u64), PrivateError> {
        self.with("count letters", |db| {
            db.query_row("SELECT count(*), coalesce(sum(length(sealed)), 0) FROM letters", [], |row| {
                Ok((from_sql_ms(row.get(0)?), from_sql_ms(row.get(1)?)))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: LedgerId = LedgerId([1; 32]);
    const BEN: LedgerId = LedgerId([2; 32]);
    const CAT: LedgerId = LedgerId([3; 32]);

    fn letter(len: usize) -> Letter {
        Letter { key: 0, sealed: Blob(vec![5; len]) }
    }

    #[test]
    fn letters_wait_over_a_start_in_order_until_their_receiver_has_them() {
        let dir = tempfile::tempdir().unwrap();
        {
            let private = Private::open(dir.path()).unwrap();
            for len in [10, 20, 30] {
                assert!(private.put_letter(&ANN, &BEN, &letter(len), 5).unwrap());
            }
            assert!(private.put_letter(&ANN, &CAT, &letter(40), 5).unwrap());
        }
        let private = Private::open(dir.path()).unwrap();
        let (first, more) = private.letters_for(&BEN, 0, 30).unwrap();
        let lengths =
            |letters: &[Kept]| letters.iter().map(|kept| kept.letter.sealed.0.len()).collect::<Vec<_>>();
        assert_eq!((lengths(&first), more), (vec![10, 20], true));
        let (rest, more) = private.letters_for(&BEN, first[1].number, 1_000).unwrap();
        assert_eq!((lengths(&rest), more, rest[0].from), (vec![30], false, ANN));
        assert_eq!(private.letters_taken(&BEN, first[1].number).unwrap(), 2);
        assert_eq!(private.letters_taken(&CAT, 0).unwrap(), 0, "nobody forgets another's");
        assert_eq!(private.letters_kept().unwrap(), (2, 70));
        assert_eq!(private.forget_old_letters(LIFE_MS + 5).unwrap(), 0);
        assert_eq!(private.forget_old_letters(LIFE_MS + 6).unwrap(), 2);
    }

    #[test]
    fn a_pair_that_fills_its_room_leaves_the_others_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let half = usize::try_from(PAIR_BYTES / 2).unwrap();
        assert!(private.put_letter(&ANN, &BEN, &letter(half), 5).unwrap());
        assert!(private.put_letter(&ANN, &BEN, &letter(half), 5).unwrap());
        assert!(!private.put_letter(&ANN, &BEN, &letter(1), 5).unwrap());
        assert!(private.put_letter(&CAT, &BEN, &letter(1), 5).unwrap());
        assert!(private.put_letter(&ANN, &CAT, &letter(1), 5).unwrap());
    }
}
