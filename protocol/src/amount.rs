//! Value: checked integers in the minor unit of a unit (specs/ledger.md §4).
//!
//! An [`Amount`] is always positive; a balance or a posting's delta is an `i64`. No arithmetic here wraps or rounds.

/// The largest amount, so that sums of two never overflow `i64`.
pub const MAX_AMOUNT: i64 = 1 << 62;

/// A positive amount in minor units, at most [`MAX_AMOUNT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

/// A number that is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount must be between 1 and 2^62 minor units, got {0}")]
pub struct AmountError(pub i128);

impl Amount {
    /// Checks the range.
    ///
    /// # Errors
    /// When zero, negative or above [`MAX_AMOUNT`].
    pub fn new(minor: i64) -> Result<Self, AmountError> {
        if (1..=MAX_AMOUNT).contains(&minor) { Ok(Self(minor)) } else { Err(AmountError(i128::from(minor))) }
    }

    /// The number of minor units.
    pub const fn minor(self) -> i64 {
        self.0
    }
}

impl<C> minicbor::Encode<C> for Amount {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.i64(self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Amount {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = d.position();
        Self::new(d.i64()?).map_err(|e| minicbor::decode::Error::message(e.to_string()).at(at))
    }
}

/// An amount as people write it: a decimal with at most `scale` digits after the point.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_decimal(text: &str, scale: u8) -> Result<Amount, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || (text.contains('.') && part.is_empty()) {
        return Err(format!("\"{text}\" is not an amount: write digits, with a point before the decimals"));
    }
    if part.len() > usize::from(scale) {
        return Err(format!("\"{text}\" has {} decimals, this unit has {scale}", part.len()));
    }
    let padded = format!("{whole}{part:0<width$}", width = usize::from(scale));
    let minor = padded.parse::<i64>().map_err(|_| format!("\"{text}\" is too large"))?;
    Amount::new(minor).map_err(|e| e.to_string())
}

/// Minor units as people read them.
pub fn format_decimal(minor: i64, scale: u8) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = usize::from(scale).saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(usize::from(scale)));
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_and_print() {
        assert_eq!(parse_decimal("12.5", 2).unwrap().minor(), 1250);
        assert_eq!(parse_decimal("90", 0).unwrap().minor(), 90);
        for bad in ["", "-1", "0", "0.00", "1.", ".5", "1.234", "1e3", "99999999999999999999", "1,5", "+1"] {
            assert!(parse_decimal(bad, 2).is_err(), "{bad}");
        }
        assert_eq!(format_decimal(-5, 2), "-0.05");
        assert_eq!(format_decimal(123_456, 2), "1234.56");
        assert_eq!(format_decimal(7, 0), "7");
    }
}
