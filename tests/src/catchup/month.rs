//! What further networks say in public while somebody is away: what their accords let pass, over and over.
//!
//! Each entry is one that its network could have written: in its place, chained, signed with its log key. Only the payments
//! that would have moved its room are left out, which nobody but its own node could miss. The entries are given to a node
//! as its peers would give them, through the same rules, while it does not run.

use crate::kit::{Books, Failure, Outcome, Site};
use std::sync::Arc;
use weft_node::config::Config;
use weft_node::service::{Hooks, open};
use weft_node::store::RealDisk;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, Entry, Op, Payload, SignedOp, StreamHeader};
use weft_protocol::ids::{Hash, PUBLIC_STREAM, Salt};
use weft_protocol::keys::{PublicKey, SecretKey};
use weft_protocol::ledger::capacity::{Bucket, Capacity};
use weft_protocol::ledger::node_op_id;

/// Milliseconds between two words of one network about one accord: what a node allows itself.
const EVERY_MS: u64 = 600_000;

/// A network that is not running, and where its streams stand.
#[derive(Debug)]
pub struct Teller {
    key: SecretKey,
    last: Entry,
    /// Its last public entry: place and leaf hash.
    head: (u64, Hash),
    told: Capacity,
}

impl Teller {
    /// Reads a network; `None` when it has told of no accord yet.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn of(site: &Site) -> Outcome<Option<Self>> {
        let books = Books::read(site.data.path())?;
        let public = books.own.iter().rev().find_map(|entry| {
            let header = entry.body().stream.filter(|header| header.id == PUBLIC_STREAM)?;
            Some((header.sseq, entry.leaf()))
        });
        let told = books.own.iter().rev().find_map(|entry| match &entry.op().payload {
            Payload::Capacity(told) if !told.lines.is_empty() => Some(told.clone()),
            _ => None,
        });
        let last = books.own.last().cloned();
        let (Some(last), Some(head), Some(told)) = (last, public, told) else {
            return Ok(None);
        };
        let key = site.data.keys()?.log;
        Ok(Some(Self { key, last, head, told }))
    }

    /// Which network.
    pub fn ledger(&self) -> String {
        self.last.body().ledger.to_string()
    }

    /// How many public entries it has.
    pub fn said(&self) -> u64 {
        self.head.0 + 1
    }

    /// Its next public entry.
    fn next(&mut self) -> Outcome<Entry> {
        for line in &mut self.told.lines {
            line.out = Bucket(if line.out.0 > 1 { line.out.0 - 1 } else { line.out.0 + 1 });
        }
        let before = self.last.body();
        let seq = before.seq + 1;
        let op_id = node_op_id(0x1101, 0, self.told.peer.as_bytes(), &seq.to_be_bytes(), 0);
        let time_ms = before.time_ms + EVERY_MS;
        let payload = Payload::Capacity(self.told.clone());
        let signed = SignedOp::unsigned(&Op { op_id, not_after_ms: time_ms, payload, sidecars: Vec::new() });
        let body = Body {
            seq,
            prev: self.last.leaf(),
            time_ms,
            kind: signed.kind,
            op: signed.op,
            auth: Vec::new(),
            salt: Salt(Hash::of("WEFT-CATCHUP/1\n", &[&seq.to_be_bytes()]).prefix()),
            stream: Some(StreamHeader { id: PUBLIC_STREAM, sseq: self.head.0 + 1, sprev: self.head.1 }),
            ..before.clone()
        };
        let entry = Entry::sign(&body, &self.key)?;
        self.head = (self.head.0 + 1, entry.leaf());
        self.last = entry.clone();
        Ok(entry)
    }
}

/// Gives a node that does not run so many more entries of these networks. The entries, each with the key that it
/// was signed with.
///
/// # Errors
/// When one of them is not taken in.
pub fn tell(to: &Site, tellers: &mut [Teller], count: u64) -> Outcome<Vec<(PublicKey, Entry)>> {
    let config = Config::load(&to.data.config())?;
    let opened = open(&to.data, &config, Arc::new(RealDisk), Hooks::default())?;
    let mut core = opened.core;
    let mut told = Vec::new();
    let among = u64::try_from(tellers.len())?.max(1);
    for (place, teller) in (0..).zip(tellers) {
        for _ in 0..count / among + u64::from(place < count % among) {
            let entry = teller.next()?;
            core.receive_public(&[Blob(entry.bytes().to_vec())])?;
            told.push((teller.key.public(), entry));
        }
    }
    core.finish().map_err(Failure::new)?;
    Ok(told)
}
