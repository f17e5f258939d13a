//! A leg: one part of a claim, which goes its own way (specs/clearing.md 3.3).

use crate::ids::ClaimId;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// A part of a claim. As a key of what this program keeps, part 0 is written as the claim alone, as it was before claims
/// had parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// Which claim.
    pub claim: ClaimId,
    /// Which part of it.
    pub part: u8,
}

impl Leg {
    /// The first part, in most claims the only one.
    pub fn first(claim: ClaimId) -> Self {
        Self { claim, part: 0 }
    }

    /// All parts that a claim can have.
    pub fn all(claim: &ClaimId) -> std::ops::RangeInclusive<Self> {
        Self { claim: *claim, part: 0 }..=Self { claim: *claim, part: u8::MAX }
    }
}

impl std::fmt::Display for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.part {
            0 => self.claim.fmt(f),
            part => write!(f, "{}, part {part}", self.claim),
        }
    }
}

impl<C> Encode<C> for Leg {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        if self.part != 0 {
            e.array(2)?;
        }
        e.encode_with(self.claim, ctx)?;
        if self.part != 0 {
            e.u8(self.part)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Leg {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.datatype()? != minicbor::data::Type::Array {
            return Ok(Self::first(d.decode_with(ctx)?));
        }
        if d.array()? != Some(2) {
            return Err(minicbor::decode::Error::message("a leg is a claim and a part"));
        }
        Ok(Self { claim: d.decode_with(ctx)?, part: d.u8()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_is_written_as_its_claim() {
        let claim = ClaimId([3; 32]);
        let first = Leg::first(claim);
        assert_eq!(crate::encoding::encode(&first), crate::encoding::encode(&claim));
        let later = Leg { claim, part: 5 };
        for leg in [first, later] {
            assert_eq!(minicbor::decode::<Leg>(&crate::encoding::encode(&leg)).unwrap(), leg);
        }
        assert!(minicbor::decode::<Leg>(&[0x81, 0x40]).is_err());
    }
}
