//! Keys and values of the index, as bytes. Numbers are big-endian, so that byte order is their order.

use super::Applied;
use crate::store::segments::Position;
use weft_protocol::ids::{LedgerId, OpId, Signer, StreamId};

/// One-byte prefixes of the tables.
#[derive(Clone, Copy)]
pub(super) enum Table {
    Meta,
    Own,
    Received,
    Op,
    Account,
    Stream,
    Snapshot,
}

/// Meta row: the layout of the rows.
pub(super) const FORMAT: &[u8] = b"format";
/// Meta row: how far the rows reach.
pub(super) const APPLIED: &[u8] = b"applied";
/// Meta row: length and hash of the snapshot.
pub(super) const SNAPSHOT: &[u8] = b"snapshot";

pub(super) fn prefix(table: Table, parts: &[&[u8]]) -> Vec<u8> {
    let byte = match table {
        Table::Meta => b'm',
        Table::Own => b'o',
        Table::Received => b'r',
        Table::Op => b'p',
        Table::Account => b'a',
        Table::Stream => b's',
        Table::Snapshot => b'n',
    };
    let mut key = vec![byte];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub(super) fn meta(name: &[u8]) -> Vec<u8> {
    prefix(Table::Meta, &[name])
}

pub(super) fn own(seq: u64) -> Vec<u8> {
    prefix(Table::Own, &[&seq.to_be_bytes()])
}

pub(super) fn received(ledger: &LedgerId, stream: &StreamId, sseq: u64) -> Vec<u8> {
    prefix(Table::Received, &[ledger.as_bytes(), stream.as_bytes(), &sseq.to_be_bytes()])
}

pub(super) fn op(signer: &Signer, op: &OpId) -> Vec<u8> {
    prefix(Table::Op, &[signer.as_bytes(), op.as_bytes()])
}

pub(super) fn stream(stream: &StreamId, sseq: u64) -> Vec<u8> {
    prefix(Table::Stream, &[stream.as_bytes(), &sseq.to_be_bytes()])
}

pub(super) fn snapshot_chunk(chunk: u64) -> Vec<u8> {
    prefix(Table::Snapshot, &[&chunk.to_be_bytes()])
}

pub(super) fn position(at: Position) -> Vec<u8> {
    [at.segment.to_be_bytes(), at.offset.to_be_bytes()].concat()
}

pub(super) fn read_position(bytes: &[u8]) -> Option<Position> {
    let (segment, offset) = bytes.split_first_chunk()?;
    let offset = offset.try_into().ok()?;
    Some(Position { segment: u32::from_be_bytes(*segment), offset: u32::from_be_bytes(offset) })
}

pub(super) fn read_u64(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

pub(super) fn applied(applied: Applied) -> Vec<u8> {
    let Applied { own_entries, received_entries, records } = applied;
    [own_entries, received_entries, records].map(u64::to_be_bytes).concat()
}

pub(super) fn read_applied(bytes: &[u8]) -> Option<Applied> {
    let (own_entries, rest) = bytes.split_at_checked(8)?;
    let (received_entries, records) = rest.split_at_checked(8)?;
    Some(Applied {
        own_entries: read_u64(own_entries)?,
        received_entries: read_u64(received_entries)?,
        records: read_u64(records)?,
    })
}
