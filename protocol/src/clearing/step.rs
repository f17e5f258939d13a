//! A step: one line of a channel's stream (specs/clearing.md §3).

use super::dispute::DisputeArgs;
use super::intent::{Decision, SignedIntent};
use super::offer::{ApplyArgs, DropArgs, OfferArgs};
use super::reset::{RefuseArgs, ResetArgs};
use super::settle::{SettleAckArgs, SettleArgs};
use super::statement::{StmtAckArgs, StmtArgs};
use crate::encoding::Blob;
use crate::ids::{ClaimId, Hash, SigBytes, Signer, StreamId};
use crate::ledger::halt::PauseArgs;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// How far we have the peer's stream: what we say with every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Ack {
    /// The next place we expect.
    #[n(0)]
    pub next: u64,
    /// Leaf hash of the last entry we have; zero when none.
    #[n(1)]
    pub head: Hash,
}

/// A root key's signature under an accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct RootSig {
    /// Which root key.
    #[n(0)]
    pub signer: Signer,
    /// Under the accord's bytes.
    #[n(1)]
    pub sig: SigBytes,
}

/// Arguments of ACCORD.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AccordArgs {
    /// The accord's exact bytes.
    #[n(0)]
    pub accord: Blob,
    /// Signatures of A's root set.
    #[n(1)]
    pub sigs_a: Vec<RootSig>,
    /// Signatures of B's root set.
    #[n(2)]
    pub sigs_b: Vec<RootSig>,
}

/// Arguments of PROPOSE.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProposeArgs {
    /// The Intent and the payer network's signature.
    #[n(0)]
    pub intent: SignedIntent,
    /// Which hop of the route this is.
    #[n(1)]
    pub hop: u8,
}

/// Arguments of ACCEPT.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AcceptArgs {
    /// The decider's yes.
    #[n(0)]
    pub decision: Decision,
    /// The Intent: in the decider's own ACCEPT only.
    #[n(1)]
    pub intent: Option<Blob>,
}

/// Arguments of REJECT.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RejectArgs {
    /// Why ([`super::intent::RejectCode`]).
    #[n(0)]
    pub code: u16,
    /// The decider's no, when the decider said it.
    #[n(1)]
    pub decision: Option<Decision>,
}

/// Arguments of DONE.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DoneArgs {
    /// The decider's yes.
    #[n(0)]
    pub decision: Decision,
}

/// Arguments of KEY.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyArgs {
    /// An identity entry of any network, exactly as it stands in its ledger.
    #[n(0)]
    pub entry: Blob,
}

/// What a step says, by type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepArgs {
    /// The agreement; the first line of a channel.
    Accord(AccordArgs),
    /// A claim on the receiver, for the hop named.
    Propose(ProposeArgs),
    /// The decider has said yes.
    Accept(AcceptArgs),
    /// The claim is turned down.
    Reject(RejectArgs),
    /// The debtor binds the hop.
    Done(DoneArgs),
    /// The debtor frees the hop.
    Free,
    /// The creditor gives back what it cannot pass on.
    Return,
    /// What both owe each other at a cut, as its writer comes to it.
    Stmt(StmtArgs),
    /// What the receiver comes to at the same cut.
    StmtAck(StmtAckArgs),
    /// Value owed that moved outside, as a person of the writer says.
    Settle(SettleArgs),
    /// What became of it.
    SettleAck(SettleAckArgs),
    /// A reset that the peer has offered is not right here.
    ResetRefuse(RefuseArgs),
    /// Both root sets begin the channel anew.
    Reset(Box<ResetArgs>),
    /// Both root sets close a hop.
    Dispute(Box<DisputeArgs>),
    /// A debt that its writer holds for a netting round.
    Offer(OfferArgs),
    /// It is held no more.
    DropHold(DropArgs),
    /// It shrinks by what a round has cleared.
    Apply(ApplyArgs),
    /// No new payments for a while, or again.
    Pause(PauseArgs),
    /// No new payments any more.
    End,
    /// An identity entry the receiver will need.
    Key(KeyArgs),
}

/// One line of a channel's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which channel; equal to the entry's stream.
    pub channel: StreamId,
    /// How far we have the peer's stream.
    pub ack: Ack,
    /// About which claim; absent where the step is about the channel as a whole.
    pub claim: Option<ClaimId>,
    /// Leaf hash of what this answers; of a hop-0 PROPOSE its hold.
    pub reference: Option<Hash>,
    /// What it says.
    pub args: StepArgs,
    /// Which part of the claim; 0 is absent on the wire.
    pub part: u8,
}

impl Step {
    /// The step types of this version (the others of the table are numbers reserved for later versions).
    pub fn known_type(code: u16) -> Option<u8> {
        u8::try_from(code).ok().filter(|t| matches!(t, 0..=17 | 19 | 20))
    }

    /// Field 2.
    pub fn type_code(&self) -> u8 {
        match self.args {
            StepArgs::Accord(_) => 0,
            StepArgs::Propose(_) => 1,
            StepArgs::Accept(_) => 2,
            StepArgs::Reject(_) => 3,
            StepArgs::Done(_) => 4,
            StepArgs::Free => 5,
            StepArgs::Return => 6,
            StepArgs::Stmt(_) => 7,
            StepArgs::StmtAck(_) => 8,
            StepArgs::Settle(_) => 9,
            StepArgs::SettleAck(_) => 10,
            StepArgs::ResetRefuse(_) => 11,
            StepArgs::Reset(_) => 12,
            StepArgs::Dispute(_) => 13,
            StepArgs::Offer(_) => 15,
            StepArgs::DropHold(_) => 16,
            StepArgs::Apply(_) => 17,
            StepArgs::Pause(_) => 19,
            StepArgs::End => 20,
            StepArgs::Key(_) => 14,
        }
    }
}

impl<C> Encode<C> for Step {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let has_args = !matches!(self.args, StepArgs::Free | StepArgs::Return | StepArgs::End);
        let optional = [self.claim.is_some(), self.reference.is_some(), has_args, self.part != 0];
        let fields = optional.iter().filter(|present| **present).count().saturating_add(3);
        e.map(fields as u64)?.u8(0)?.encode_with(self.channel, ctx)?;
        e.u8(1)?.encode_with(self.ack, ctx)?.u8(2)?.u8(self.type_code())?;
        if let Some(claim) = self.claim {
            e.u8(3)?.encode_with(claim, ctx)?;
        }
        if let Some(reference) = self.reference {
            e.u8(4)?.encode_with(reference, ctx)?;
        }
        if has_args {
            e.u8(5)?;
        }
        match &self.args {
            StepArgs::Accord(args) => args.encode(e, ctx)?,
            StepArgs::Propose(args) => args.encode(e, ctx)?,
            StepArgs::Accept(args) => args.encode(e, ctx)?,
            StepArgs::Reject(args) => args.encode(e, ctx)?,
            StepArgs::Done(args) => args.encode(e, ctx)?,
            StepArgs::Stmt(args) => args.encode(e, ctx)?,
            StepArgs::StmtAck(args) => args.encode(e, ctx)?,
            StepArgs::Settle(args) => args.encode(e, ctx)?,
            StepArgs::SettleAck(args) => args.encode(e, ctx)?,
            StepArgs::ResetRefuse(args) => args.encode(e, ctx)?,
            StepArgs::Reset(args) => args.encode(e, ctx)?,
            StepArgs::Dispute(args) => args.encode(e, ctx)?,
            StepArgs::Offer(args) => args.encode(e, ctx)?,
            StepArgs::DropHold(args) => args.encode(e, ctx)?,
            StepArgs::Apply(args) => args.encode(e, ctx)?,
            StepArgs::Pause(args) => args.encode(e, ctx)?,
            StepArgs::Key(args) => args.encode(e, ctx)?,
            StepArgs::Free | StepArgs::Return | StepArgs::End => {}
        }
        if self.part != 0 {
            e.u8(6)?.u8(self.part)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Step {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let error = |text: &'static str| minicbor::decode::Error::message(text);
        let mut left = d.map()?.ok_or_else(|| error("a step of indefinite length"))?;
        let mut key = |d: &mut Decoder<'b>| -> Result<Option<u8>, minicbor::decode::Error> {
            match left.checked_sub(1) {
                None => Ok(None),
                Some(rest) => {
                    left = rest;
                    d.u8().map(Some)
                }
            }
        };
        let mut need = |d: &mut Decoder<'b>, wanted: u8| match key(d)? {
            Some(got) if got == wanted => Ok(()),
            _ => Err(error("a step has fields 0 to 2")),
        };
        need(d, 0)?;
        let channel = d.decode_with(ctx)?;
        need(d, 1)?;
        let ack = d.decode_with(ctx)?;
        need(d, 2)?;
        let t = d.u8()?;
        let (mut claim, mut reference, mut args, mut part) = (None, None, None, 0);
        while let Some(field) = key(d)? {
            match field {
                3 => claim = Some(d.decode_with(ctx)?),
                4 => reference = Some(d.decode_with(ctx)?),
                5 => {
                    args = Some(match t {
                        0 => StepArgs::Accord(d.decode_with(ctx)?),
                        1 => StepArgs::Propose(d.decode_with(ctx)?),
                        2 => StepArgs::Accept(d.decode_with(ctx)?),
                        3 => StepArgs::Reject(d.decode_with(ctx)?),
                        4 => StepArgs::Done(d.decode_with(ctx)?),
                        7 => StepArgs::Stmt(d.decode_with(ctx)?),
                        8 => StepArgs::StmtAck(d.decode_with(ctx)?),
                        9 => StepArgs::Settle(d.decode_with(ctx)?),
                        10 => StepArgs::SettleAck(d.decode_with(ctx)?),
                        11 => StepArgs::ResetRefuse(d.decode_with(ctx)?),
                        12 => StepArgs::Reset(Box::new(d.decode_with(ctx)?)),
                        13 => StepArgs::Dispute(Box::new(d.decode_with(ctx)?)),
                        15 => StepArgs::Offer(d.decode_with(ctx)?),
                        16 => StepArgs::DropHold(d.decode_with(ctx)?),
                        17 => StepArgs::Apply(d.decode_with(ctx)?),
                        19 => StepArgs::Pause(d.decode_with(ctx)?),
                        14 => StepArgs::Key(d.decode_with(ctx)?),
                        _ => return Err(error("this step takes no arguments")),
                    });
                }
                6 => part = d.u8()?,
                _ => return Err(error("a step has no such field")),
            }
        }
        let args = match (t, args) {
            (5, None) => StepArgs::Free,
            (6, None) => StepArgs::Return,
            (20, None) => StepArgs::End,
            (_, Some(args)) => args,
            _ => return Err(error("the arguments of this step are missing")),
        };
        Ok(Self { channel, ack, claim, reference, args, part })
    }
}
