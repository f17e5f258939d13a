//! Operations: what an entry does, by kind (specs/kinds.md).

use super::list;
use crate::clearing::step::Step;
use crate::encoding::{EncodingError, check_shape, encodes_to};
use crate::ids::{Hash, OpId};
use crate::ledger::capacity::Capacity;
use crate::ledger::dispute::DisputeClosed;
use crate::ledger::erasure::Erasure;
use crate::ledger::evidence::{EvidenceRecorded, FreezeLifted};
use crate::ledger::forward::Forward;
use crate::ledger::identity::{Genesis, KeyBound, KeyRevoked, RootChanged};
use crate::ledger::members::{AccountChanged, AccountClosed, AccountOpened, RoleGranted};
use crate::ledger::reset::{ResetBooked, ResetNotice};
use crate::ledger::rules::RuleSet;
use crate::ledger::settled::Settled;
use crate::ledger::succession::{Recovered, Succession};
use crate::ledger::transfer::{Book, Credit, End, Hold, Release, Returned, Reversal, Transfer};
use crate::ledger::units::UnitDefined;
use crate::ledger::witness::PeerView;
use crate::ledger::writeoff::WriteOff;
use crate::netting::round::{Announced, Committed, Listed, Netted, ResultPage, Voted};
use minicbor::encode::{self, Encode, Encoder, Write};

/// What somebody wants done, with the key that makes it happen at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// Chosen by the author; the same id by the same author is the same operation.
    pub op_id: OpId,
    /// After this time the operation is refused; at most 35 days ahead.
    pub not_after_ms: u64,
    /// What to do.
    pub payload: Payload,
    /// Commitments to texts that are kept elsewhere.
    pub sidecars: Vec<Hash>,
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $code:literal $name:ident($type:ty),)*) => {
        /// The kind of an entry: area × 256 + n.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
            /// A clearing step of this type, 0 to 20 (specs/clearing.md §3).
            Step(u8),
        }

        /// What an operation does.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Payload {
            $($(#[$doc])* $name($type),)*
            /// A clearing step: a line of a channel's stream.
            Step(Step),
        }

        impl Kind {
            /// The number in the entry.
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Step(t) => CLEARING_AREA | t as u16,
                }
            }
            /// The kind with this number, if this version knows it.
            pub fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => Step::known_type(code.checked_sub(CLEARING_AREA)?).map(Self::Step),
                }
            }
        }

        impl Payload {
            /// The kind of this payload.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$name(_) => Kind::$name,)*
                    Self::Step(step) => Kind::Step(step.type_code()),
                }
            }
            fn encode<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), encode::Error<W::Error>> {
                match self {
                    $(Self::$name(payload) => e.encode(payload)?.ok(),)*
                    Self::Step(step) => e.encode(step)?.ok(),
                }
            }
            fn parse(kind: Kind, bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
                Ok(match kind {
                    $(Kind::$name => Self::$name(minicbor::decode(bytes)?),)*
                    Kind::Step(t) => {
                        let step: Step = minicbor::decode(bytes)?;
                        if step.type_code() != t {
                            return Err(minicbor::decode::Error::message("the step is of another type than the kind says"));
                        }
                        Self::Step(step)
                    }
                })
            }
        }
    };
}

const CLEARING_AREA: u16 = 0x0b00;

payloads! {
    /// The first entry: root set, keys, charter.
    0x0101 Genesis(Genesis),
    /// A key bound to a purpose, for an epoch.
    0x0102 KeyBound(KeyBound),
    /// A key that is not to be trusted any more.
    0x0103 KeyRevoked(KeyRevoked),
    /// Another root set.
    0x0104 RootChanged(RootChanged),
    /// The ledger goes on after it has lost entries.
    0x0105 Succession(Succession),
    /// An entry of the lost part, kept by somebody else.
    0x0106 Recovered(Recovered),
    /// An account opened.
    0x0201 AccountOpened(AccountOpened),
    /// An account's keys or flags changed.
    0x0202 AccountChanged(AccountChanged),
    /// An account closed.
    0x0203 AccountClosed(AccountClosed),
    /// A role granted to, or taken from, an account holder.
    0x0204 RoleGranted(RoleGranted),
    /// A unit defined.
    0x0301 UnitDefined(UnitDefined),
    /// A rule set, naming its authority.
    0x0401 RuleSet(RuleSet),
    /// Value moved between accounts of this ledger.
    0x0501 Transfer(Transfer),
    /// A transfer undone.
    0x0502 Reversal(Reversal),
    /// Value held for a payment to another network.
    0x0503 Hold(Hold),
    /// A debtor's books after the hop's closing step.
    0x0504 End(End),
    /// The payee's account credited by the decider.
    0x0505 Credit(Credit),
    /// A creditor's books after the peer's DONE.
    0x0506 Book(Book),
    /// A hold given back that never became a claim.
    0x0507 Release(Release),
    /// The books of both sides after a RETURN.
    0x0508 Returned(Returned),
    /// Value owed between networks that moved outside.
    0x050c Settled(Settled),
    /// A peer that is lost written off, or heard again.
    0x050d WriteOff(WriteOff),
    /// A payment credited whose hop both root sets have freed.
    0x050e DisputeClosed(DisputeClosed),
    /// Our books brought to the position that a channel begins with.
    0x050f ResetBooked(ResetBooked),
    /// A netting round announced.
    0x0c01 Announced(Announced),
    /// Debts listed for a round.
    0x0c02 Listed(Listed),
    /// A page of what a round clears.
    0x0c03 ResultPage(ResultPage),
    /// A result accepted or refused.
    0x0c04 Voted(Voted),
    /// That all have accepted a result.
    0x0c05 Committed(Committed),
    /// Our books after a debt was netted.
    0x0c06 Netted(Netted),
    /// The head of a peer's log that we have cosigned.
    0x0d01 PeerView(PeerView),
    /// Evidence against another network that we hold.
    0x0e01 EvidenceRecorded(EvidenceRecorded),
    /// Payments with a network may go on.
    0x0e02 FreezeLifted(FreezeLifted),
    /// Everything personal about a holder destroyed.
    0x0f01 Erasure(Erasure),
    /// The books as they stand, so that older entries may go.
    0x1001 Forward(Forward),
    /// What the accord with a peer lets pass, for everybody to know.
    0x1101 Capacity(Capacity),
    /// A notice that the channel with a peer is to be reset.
    0x1102 ResetNotice(ResetNotice),
}

impl Kind {
    /// Its short name, as histories, exports and reports show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::KeyBound => "key-bound",
            Self::KeyRevoked => "key-revoked",
            Self::RootChanged => "root-changed",
            Self::Succession => "succession",
            Self::Recovered => "recovered",
            Self::AccountOpened => "account-opened",
            Self::AccountChanged => "account-changed",
            Self::AccountClosed => "account-closed",
            Self::RoleGranted => "role-granted",
            Self::UnitDefined => "unit-defined",
            Self::RuleSet => "rule-set",
            Self::Transfer => "transfer",
            Self::Reversal => "reversal",
            Self::Hold => "hold",
            Self::End => "end",
            Self::Credit => "credit",
            Self::Book => "book",
            Self::Release => "release",
            Self::Returned => "returned",
            Self::Settled => "settled",
            Self::WriteOff => "write-off",
            Self::DisputeClosed => "dispute-closed",
            Self::ResetBooked => "reset-booked",
            Self::Announced => "netting-announced",
            Self::Listed => "netting-listed",
            Self::ResultPage => "netting-result-page",
            Self::Voted => "netting-voted",
            Self::Committed => "netting-committed",
            Self::Netted => "netted",
            Self::PeerView => "peer-view",
            Self::EvidenceRecorded => "evidence-recorded",
            Self::FreezeLifted => "freeze-lifted",
            Self::Erasure => "erasure",
            Self::Forward => "forward",
            Self::Capacity => "capacity",
            Self::ResetNotice => "reset-notice",
            Self::Step(0) => "step-accord",
            Self::Step(1) => "step-propose",
            Self::Step(2) => "step-accept",
            Self::Step(3) => "step-reject",
            Self::Step(4) => "step-done",
            Self::Step(5) => "step-free",
            Self::Step(6) => "step-return",
            Self::Step(7) => "step-stmt",
            Self::Step(8) => "step-stmt-ack",
            Self::Step(9) => "step-settle",
            Self::Step(10) => "step-settle-ack",
            Self::Step(11) => "step-reset-refuse",
            Self::Step(12) => "step-reset",
            Self::Step(13) => "step-dispute",
            Self::Step(14) => "step-key",
            Self::Step(15) => "step-offer",
            Self::Step(16) => "step-drop-hold",
            Self::Step(17) => "step-apply",
            Self::Step(19) => "step-pause",
            Self::Step(20) => "step-end",
            Self::Step(_) => "step",
        }
    }
}

impl Op {
    /// The canonical bytes, which authors sign.
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::encoding::encode(self)
    }

    /// Reads an operation of a known kind from its one canonical encoding.
    ///
    /// # Errors
    /// Names the rule that the bytes break.
    pub fn parse(kind: Kind, bytes: &[u8]) -> Result<Self, EncodingError> {
        check_shape(bytes)?;
        let op = Self::decode(kind, bytes).map_err(|e| EncodingError::Structure(e.to_string()))?;
        if encodes_to(&op, bytes).is_ok() { Ok(op) } else { Err(EncodingError::NotCanonical) }
    }

    fn decode(kind: Kind, bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        let mut d = minicbor::Decoder::new(bytes);
        let fields = d.map()?.unwrap_or(0);
        expect_key(&mut d, 0)?;
        let op_id = d.decode()?;
        expect_key(&mut d, 1)?;
        let not_after_ms = d.u64()?;
        expect_key(&mut d, 2)?;
        let start = d.position();
        d.skip()?;
        let payload = Payload::parse(kind, &bytes[start..d.position()])?;
        let mut sidecars = Vec::new();
        if fields == 4 {
            expect_key(&mut d, 3)?;
            sidecars = d.decode()?;
        }
        Ok(Self { op_id, not_after_ms, payload, sidecars })
    }
}

impl<C> Encode<C> for Op {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        let fields = if self.sidecars.is_empty() { 3 } else { 4 };
        e.map(fields)?.u8(0)?.encode(self.op_id)?.u8(1)?.u64(self.not_after_ms)?.u8(2)?;
        self.payload.encode(e)?;
        if !self.sidecars.is_empty() {
            list::encode(&self.sidecars, e.u8(3)?, ctx)?;
        }
        Ok(())
    }
}

fn expect_key(d: &mut minicbor::Decoder<'_>, key: u8) -> Result<(), minicbor::decode::Error> {
    if d.u8()? == key {
        Ok(())
    } else {
        Err(minicbor::decode::Error::message(format!("field {key} of an operation is missing")))
    }
}
