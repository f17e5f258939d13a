//! How parts of the view are written that have no form of their own elsewhere. It is this program's own form: nobody else
//! reads it, and [`crate::base`] says which version it is of.

/// Entries by network, as byte strings.
pub(super) mod entries {
    use crate::encoding::Blob;
    use crate::ids::LedgerId;
    use minicbor::{Decoder, Encoder};
    use std::collections::BTreeMap;

    type Entries = BTreeMap<LedgerId, Vec<Vec<u8>>>;

    pub(in crate::clearing::peers) fn encode<C, W: minicbor::encode::Write>(
        all: &Entries,
        e: &mut Encoder<W>,
        _ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.map(all.len() as u64)?;
        for (ledger, entries) in all {
            e.encode(ledger)?.array(entries.len() as u64)?;
            for entry in entries {
                e.bytes(entry)?;
            }
        }
        Ok(())
    }

    pub(in crate::clearing::peers) fn decode<'b, C>(
        d: &mut Decoder<'b>,
        _ctx: &mut C,
    ) -> Result<Entries, minicbor::decode::Error> {
        let all: BTreeMap<LedgerId, Vec<Blob>> = d.decode()?;
        let bytes = |entries: Vec<Blob>| entries.into_iter().map(|entry| entry.0).collect();
        Ok(all.into_iter().map(|(ledger, entries)| (ledger, bytes(entries))).collect())
    }
}

/// Why a claim was turned down, by its number.
pub(super) mod code {
    use crate::clearing::intent::RejectCode;
    use minicbor::{Decoder, Encoder};

    pub(in crate::clearing::peers) fn encode<C, W: minicbor::encode::Write>(
        code: &RejectCode,
        e: &mut Encoder<W>,
        _ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u16(code.code())?.ok()
    }

    pub(in crate::clearing::peers) fn decode<'b, C>(
        d: &mut Decoder<'b>,
        _ctx: &mut C,
    ) -> Result<RejectCode, minicbor::decode::Error> {
        Ok(RejectCode::from_code(d.u16()?))
    }
}
