//! What a hostile peer sends: bytes of a whole stream, for each protocol, made from a real network's own entries and keys.

use crate::kit::{Books, Dice, Failure, Outcome};
use data_encoding::HEXLOWER;
use weft_node::data::DataDir;
use weft_node::network::Protocol;
use weft_protocol::clearing::guard::Fetch;
use weft_protocol::encoding::{Blob, encode};
use weft_protocol::entry::{Body, Entry};
use weft_protocol::federation::sync::WhatAsk;
use weft_protocol::ids::{Hash, LedgerId, PUBLIC_STREAM, SigBytes, StreamId};
use weft_protocol::keys::{self, SecretKey};
use weft_protocol::wire::{Hello, Message, Push, WIRE_VERSION};

/// How deep nested frames are: some thousand levels would end a decoder that calls itself.
const DEPTH: usize = 60_000;

/// What one stream carries.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Which kind of attack it is.
    pub what: &'static str,
    /// Under which protocol.
    pub protocol: Protocol,
    /// All bytes, with the length prefix.
    pub bytes: Vec<u8>,
    /// Whether the stream stays open afterwards, without an end.
    pub stalls: bool,
}

impl Frame {
    /// Whether an honest node could send it now and then.
    pub fn is_seemly(&self) -> bool {
        matches!(self.what, "replayed" | "unknown kind" | "a gap" | "a fork" | "flood")
    }
}

/// What a real peer has to work with.
pub struct Material {
    channel: StreamId,
    stream: Vec<Entry>,
    log_key: SecretKey,
    /// Its network identity.
    pub seed: [u8; 32],
    ledger: LedgerId,
}

impl Material {
    /// Reads the data folder of a node that has stopped.
    ///
    /// # Errors
    /// When it cannot be read, or has no channel.
    pub fn of(data: &DataDir) -> Outcome<Self> {
        let books = Books::read(data.path())?;
        let of_channel = |e: &Entry| e.body().stream.is_some_and(|s| s.id != PUBLIC_STREAM);
        let stream: Vec<Entry> = books.own.into_iter().filter(of_channel).collect();
        let header = stream.last().and_then(|e| e.body().stream);
        let header = header.ok_or_else(|| Failure::new("the hostile network has no channel"))?;
        let ledger = stream[0].body().ledger;
        let (seed, log_key) = (*data.seed("libp2p")?, data.keys()?.log);
        Ok(Self { channel: header.id, stream, log_key, seed, ledger })
    }

    fn last(&self) -> &Entry {
        self.stream.last().expect("a channel has an entry")
    }

    /// The last entry once more, as if it came next, changed.
    fn next(&self, change: impl FnOnce(&mut Body)) -> Body {
        let last = self.last();
        let mut body = last.body().clone();
        body.seq += 1;
        body.prev = last.leaf();
        if let Some(header) = &mut body.stream {
            header.sseq += 1;
            header.sprev = last.leaf();
        }
        change(&mut body);
        body
    }

    /// An entry of these bytes with a signature that is as good as the key.
    fn signed(&self, body: &Body, key: &SecretKey) -> Blob {
        let body = encode(body);
        let sig: SigBytes = key.sign(keys::ENTRY, &[self.ledger.as_bytes(), &body]);
        Blob([&[0x82][..], &bytes_head(body.len()), &body, &[0x58, 0x40], &sig.0].concat())
    }

    fn push(&self, entries: Vec<Blob>) -> Vec<u8> {
        Push { message: 1, channel: self.channel, entries, sidecars: Vec::new(), proofs: Vec::new() }
            .to_bytes()
    }
}

/// The head of a byte string of this length.
fn bytes_head(length: usize) -> Vec<u8> {
    let length = u32::try_from(length).expect("entries are short");
    match u8::try_from(length) {
        Ok(short) if short < 24 => vec![0x40 | short],
        Ok(short) => vec![0x58, short],
        Err(_) => match u16::try_from(length) {
            Ok(middle) => [&[0x59][..], &middle.to_be_bytes()].concat(),
            Err(_) => [&[0x5a][..], &length.to_be_bytes()].concat(),
        },
    }
}

/// A body behind its length.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("frames are short");
    [&length.to_be_bytes()[..], body].concat()
}

fn garbage(dice: &mut Dice, length: usize) -> Vec<u8> {
    (0..length).map(|_| dice.roll().to_le_bytes()[0]).collect()
}

/// Every attack on every protocol, in a fixed order.
pub fn all(material: &Material, dice: &mut Dice) -> Vec<Frame> {
    let mut frames = Vec::new();
    for protocol in Protocol::ALL {
        let cap = protocol.request_cap();
        let mut add = |what, bytes: Vec<u8>, stalls| frames.push(Frame { what, protocol, bytes, stalls });
        let above = u32::try_from(cap + 1).expect("caps are short");
        add("oversize", u32::MAX.to_be_bytes().to_vec(), false);
        add("oversize", [&above.to_be_bytes()[..], &vec![0; cap + 1]].concat(), false);
        add("cut wrong", vec![0; 4], false);
        add("cut wrong", [framed(b"\xa1\x00\x01"), vec![7]].concat(), false);
        add("slow", [&1_000_u32.to_be_bytes()[..], b"abc"].concat(), true);
        add("garbage", framed(&garbage(dice, 100)), false);
        add("garbage", framed(&garbage(dice, cap)), false);
        add("deep", framed(&vec![0x81; DEPTH.min(cap)]), false);
        add("deep", framed(&[0xa1, 0x00].repeat(DEPTH.min(cap) / 2)), false);
        for count in [
            "9bffffffffffffffff",
            "bbffffffffffffffff",
            "5bffffffffffffffff",
            "a200010100",
            "a20001019a7fffffff",
            "a2000101bb00000000ffffffff",
        ] {
            add("huge count", framed(&HEXLOWER.decode(count.as_bytes()).expect("hex")), false);
        }
    }
    for _ in 0..4 {
        frames.extend(of_peer(material));
    }
    frames
}

/// What only somebody with an accord can get as far as.
fn of_peer(material: &Material) -> Vec<Frame> {
    let one = |what, protocol, body: Vec<u8>| Frame { what, protocol, bytes: framed(&body), stalls: false };
    let stream = |what, entries| one(what, Protocol::Stream, material.push(entries));
    let every: Vec<Blob> = material.stream.iter().take(60).map(|e| Blob(e.bytes().to_vec())).collect();
    let stranger = SecretKey::from_seed(&[9; 32]);
    let next = material.next(|_| ());
    let hello = Hello {
        message: 1,
        versions: vec![WIRE_VERSION],
        ledger: material.ledger,
        descriptor: Blob(vec![0xa0]),
        resume: None,
    };
    let fetch = Fetch { message: 3, stream: material.channel, from: 0 };
    vec![
        stream("replayed", every.clone()),
        stream("replayed", every),
        stream("wrongly signed", vec![material.signed(&next, &stranger)]),
        stream(
            "unknown kind",
            vec![material.signed(&material.next(|body| body.kind = 0x7fff), &material.log_key)],
        ),
        stream(
            "a gap",
            vec![material.signed(
                &material.next(|b| b.stream.iter_mut().for_each(|s| s.sseq += 9)),
                &material.log_key,
            )],
        ),
        stream(
            "a fork",
            vec![material.signed(
                &material.next(|b| b.stream.iter_mut().for_each(|s| s.sprev = Hash([5; 32]))),
                &material.log_key,
            )],
        ),
        one("flood", Protocol::Hello, hello.to_bytes()),
        one("flood", Protocol::Sync, WhatAsk { message: 1, after: None }.to_bytes()),
        one("flood", Protocol::Guard, fetch.to_bytes()),
    ]
}
