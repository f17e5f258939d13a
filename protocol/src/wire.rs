//! Messages between nodes (specs/network.md): every body is one canonical CBOR map whose field 0 is the message
//! number. What they carry of value are entries, byte for byte; the messages themselves are not signed.

use crate::clearing::intent::{Decision, SignedIntent};
use crate::clearing::step::RootSig;
use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::ids::{Hash, LedgerId, StreamId};
use minicbor::{Decode, Encode};

/// Version of these messages.
pub const WIRE_VERSION: u16 = 1;
/// Entries in one push.
pub const MAX_PUSH_ENTRIES: usize = 60;
/// Bytes of entries and sidecars in one push; the frame's cap leaves room for the rest.
pub const MAX_PUSH_BYTES: usize = 240 * 1024;

/// Where the two streams of a channel stand, as one side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Resume {
    /// Entries of its own stream.
    #[n(0)]
    pub mine: u64,
    /// Leaf hash of its last one.
    #[n(1)]
    pub my_head: Hash,
    /// Entries it has of the other's stream.
    #[n(2)]
    pub yours: u64,
    /// Leaf hash of the last one.
    #[n(3)]
    pub your_head: Hash,
}

/// `/weft/hello/1`, both ways.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// 1 request, 2 answer.
    #[n(0)]
    pub message: u8,
    /// Versions spoken.
    #[n(1)]
    pub versions: Vec<u16>,
    /// Whose node.
    #[n(2)]
    pub ledger: LedgerId,
    /// Its descriptor.
    #[n(3)]
    pub descriptor: Blob,
    /// The channel between the two, when there is one.
    #[n(4)]
    pub resume: Option<Resume>,
}

/// `/weft/stream/1`, request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Push {
    /// 1.
    #[n(0)]
    pub message: u8,
    /// Which channel.
    #[n(1)]
    pub channel: StreamId,
    /// Entries in order, byte for byte.
    #[n(2)]
    pub entries: Vec<Blob>,
    /// Sealed sidecars of the claims proposed in them.
    #[cbor(n(3), with = "crate::entry::list", has_nil)]
    pub sidecars: Vec<Blob>,
    /// Paths of entries that were signed under a revoked log key.
    #[cbor(n(4), with = "crate::entry::list", has_nil)]
    pub proofs: Vec<PushProof>,
}

/// The path of an entry up to the root of a revocation's last good checkpoint (specs/keys.md §3).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PushProof {
    /// Which entry of the push, from 0.
    #[n(0)]
    pub entry: u8,
    /// From its sibling up.
    #[n(1)]
    pub path: Vec<Hash>,
}

/// `/weft/stream/1`, answer: what the receiver has on disk.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Pushed {
    /// 2.
    #[n(0)]
    pub message: u8,
    /// The next place it expects.
    #[n(1)]
    pub next: u64,
    /// Why it took in no more, in words.
    #[n(2)]
    pub problem: Option<String>,
}

/// `/weft/claim/1`, request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ask {
    /// 1.
    #[n(0)]
    pub message: u8,
    /// What was proposed.
    #[n(1)]
    pub intent: SignedIntent,
    /// Whether an undecided claim shall be turned down.
    #[n(2)]
    pub cancel: bool,
    /// The payer network's identity entries.
    #[cbor(n(3), with = "crate::entry::list", has_nil)]
    pub identity: Vec<Blob>,
}

/// `/weft/claim/1`, answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Asked {
    /// 2.
    #[n(0)]
    pub message: u8,
    /// The Decision; absent while the claim is open.
    #[n(1)]
    pub decision: Option<Decision>,
    /// Why the question was refused, in words.
    #[n(2)]
    pub refused: Option<String>,
}

/// `/weft/pair/1`, request: three messages under one token, each answered alike however often it comes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PairAsk {
    /// 1 introduction, 3 nonce, 5 confirmation.
    #[n(0)]
    pub message: u8,
    /// The invitation's token.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub token: [u8; 16],
    /// Introduction: the guest's public entries, in order.
    #[cbor(n(2), with = "crate::entry::list", has_nil)]
    pub entries: Vec<Blob>,
    /// Introduction: the guest's descriptor.
    #[n(3)]
    pub descriptor: Option<Blob>,
    /// Introduction: the guest's unit.
    #[n(4)]
    pub unit: Option<u16>,
    /// Introduction: SHA-256 of the guest's nonce.
    #[n(5)]
    pub nonce_hash: Option<Hash>,
    /// Nonce: the guest's nonce.
    #[n(6)]
    pub nonce: Option<Hash>,
    /// Confirmation: signatures of the guest's root set under the accord.
    #[cbor(n(7), with = "crate::entry::list", has_nil)]
    pub signatures: Vec<RootSig>,
}

/// `/weft/pair/1`, answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PairAnswer {
    /// 2 introduction, 4 nonce, 6 confirmation, 8 refusal.
    #[n(0)]
    pub message: u8,
    /// Introduction: the host's public entries, in order.
    #[cbor(n(1), with = "crate::entry::list", has_nil)]
    pub entries: Vec<Blob>,
    /// Introduction: the host's descriptor.
    #[n(2)]
    pub descriptor: Option<Blob>,
    /// Introduction: the accord proposed.
    #[n(3)]
    pub accord: Option<Blob>,
    /// Introduction: SHA-256 of the host's nonce.
    #[n(4)]
    pub nonce_hash: Option<Hash>,
    /// Nonce: the host's nonce.
    #[n(5)]
    pub nonce: Option<Hash>,
    /// Confirmation: signatures of the host's root set; none while its operator has not confirmed.
    #[cbor(n(6), with = "crate::entry::list", has_nil)]
    pub signatures: Vec<RootSig>,
    /// Refusal: why, in words.
    #[n(7)]
    pub refused: Option<String>,
}

/// `/weft/stream/1`, request: evidence against another network that we have recorded.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EvidenceShown {
    /// 3.
    #[n(0)]
    pub message: u8,
    /// An [`Evidence`](crate::evidence::Evidence).
    #[n(1)]
    pub evidence: Blob,
}

/// `/weft/stream/1`, answer to evidence.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EvidenceTaken {
    /// 4.
    #[n(0)]
    pub message: u8,
    /// Which evidence.
    #[n(1)]
    pub id: Hash,
    /// What became of it: 1 recorded, now or before; 2 left aside; 3 it proves nothing.
    #[n(2)]
    pub taken: u8,
}

impl EvidenceShown {
    /// Its message number.
    pub const NUMBER: u8 = 3;
}

impl EvidenceTaken {
    /// Its message number.
    pub const NUMBER: u8 = 4;
    /// Recorded, now or before.
    pub const RECORDED: u8 = 1;
    /// About a network that is unknown here or of which enough is recorded, or about the receiver itself.
    pub const LEFT: u8 = 2;
    /// It proves nothing.
    pub const UNPROVEN: u8 = 3;
}

/// The number of a message, before it is known which it is.
pub fn number_of(bytes: &[u8]) -> Option<u8> {
    let mut decoder = minicbor::Decoder::new(bytes);
    decoder.map().ok()?;
    (decoder.u8().ok()? == 0).then_some(())?;
    decoder.u8().ok()
}

/// `/weft/witness/1`, request (specs/network.md §9).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WitnessAsk {
    /// 1 asks for a cosignature, 3 for the newest checkpoint that the asker has cosigned.
    #[n(0)]
    pub message: u8,
    /// Asks for a cosignature: the request body of tlog-witness.
    #[n(1)]
    pub request: Option<Blob>,
}

/// `/weft/witness/1`, answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WitnessAnswer {
    /// 2 or 4.
    #[n(0)]
    pub message: u8,
    /// To 1: the status of tlog-witness.
    #[n(1)]
    pub status: Option<u16>,
    /// To 1: its body. To 3: the note; absent when there is none.
    #[n(2)]
    pub body: Option<Blob>,
}

/// A body of a protocol, with its cap.
pub trait Message: Encode<()> + for<'b> Decode<'b, ()> {
    /// Longest body.
    const CAP: usize;
    /// Numbers that field 0 may have.
    const NUMBERS: &'static [u8];
    /// Field 0.
    fn number(&self) -> u8;

    /// The bytes of a frame.
    fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// When it is too long, not canonical, or another message.
    fn parse(bytes: &[u8]) -> Result<Self, EncodingError> {
        let message: Self = decode_canonical(bytes, Self::CAP)?;
        if Self::NUMBERS.contains(&message.number()) {
            Ok(message)
        } else {
            Err(EncodingError::Structure(format!("message {} has no place here", message.number())))
        }
    }
}

macro_rules! messages {
    ($($type:ty, $cap:expr, $numbers:expr;)*) => {
        $(impl $crate::wire::Message for $type {
            const CAP: usize = $cap;
            const NUMBERS: &'static [u8] = &$numbers;
            fn number(&self) -> u8 {
                self.message
            }
        })*
    };
}

pub(crate) use messages;

messages! {
    Hello, 8 * 1024, [1, 2];
    Push, 256 * 1024, [1];
    Pushed, 8 * 1024, [2];
    EvidenceShown, 64 * 1024, [3];
    EvidenceTaken, 8 * 1024, [4];
    Ask, 64 * 1024, [1];
    Asked, 8 * 1024, [2];
    PairAsk, 16 * 1024, [1, 3, 5];
    PairAnswer, 16 * 1024, [2, 4, 6, 8];
    WitnessAsk, 72 * 1024, [1, 3];
    WitnessAnswer, 72 * 1024, [2, 4];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_another_number_is_refused() {
        let pushed = Pushed { message: 2, next: 7, problem: None };
        assert_eq!(Pushed::parse(&pushed.to_bytes()), Ok(pushed.clone()));
        let other = Pushed { message: 1, ..pushed };
        assert!(Pushed::parse(&other.to_bytes()).is_err());
    }
}
