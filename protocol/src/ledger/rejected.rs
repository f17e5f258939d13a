//! Why an entry, an operation or a peer's bytes were refused. Every variant names one rule.

use super::halt::Halt;
use super::members::OwnerKind;
use super::netting::MAX_HELD;
use super::settled::MAX_OPEN_SETTLEMENTS;
use crate::clearing::accord::AccordError;
use crate::encoding::EncodingError;
use crate::entry::{EntryError, Role};
use crate::ids::{AccountId, ClaimId, Hash, LedgerId, OpId, Signer, StreamId, UnitId};
use crate::keys::SignatureError;
use crate::netting::round::MAX_LINES;

/// A refusal: the rule broken, with what was given and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its documentation")]
pub enum Rejected {
    // Form
    #[error("{0}")]
    Encoding(EncodingError),
    #[error("{0}")]
    Entry(EntryError),
    #[error("{0}")]
    Key(SignatureError),
    #[error("{0}")]
    Signature(SignatureError),
    #[error("a signature is 64 bytes, got {got}")]
    SignatureLength { got: usize },
    // Place
    #[error("the ledger has no genesis yet")]
    NoGenesis,
    #[error("a genesis stands first and alone, at place 0 with epoch 0")]
    GenesisPlace,
    #[error("a genesis binds one key for each purpose, in order of purpose")]
    GenesisKeys,
    #[error("it belongs to ledger {got}, expected {expected}")]
    LedgerMismatch { expected: LedgerId, got: LedgerId },
    #[error("it has place {got}, the next place is {expected}")]
    Seq { expected: u64, got: u64 },
    #[error("entry {seq} does not name the entry before it")]
    Prev { seq: u64 },
    #[error("its time {got_ms} is before the last entry's {last_ms}")]
    TimeBack { last_ms: u64, got_ms: u64 },
    #[error("its boot {got} is before the last entry's {last}")]
    BootBack { last: u64, got: u64 },
    #[error("entries of this kind stand in one certain stream, and others in none")]
    StreamHeader,
    #[error(
        "it has place {got} in stream {stream}, or another entry before it; the next place is {expected}"
    )]
    StreamPlace { stream: StreamId, expected: u64, got: u64 },
    #[error("the ledger is full")]
    Full,
    // Operation
    #[error("the operation expired at {not_after_ms}, it is {now_ms}")]
    OpExpired { not_after_ms: u64, now_ms: u64 },
    #[error("the operation would live until {not_after_ms}: more than 35 days from {now_ms}")]
    OpLife { not_after_ms: u64, now_ms: u64 },
    #[error("operation {op_id} of this author is done already")]
    OpDone { op_id: OpId },
    #[error("only the node itself writes such entries")]
    NodeOnly,
    #[error("the operation carries no signature of a person")]
    Unsigned,
    #[error("nothing would change")]
    NothingToDo,
    // Authority
    #[error("{got} signatures, at most {max} are allowed")]
    TooManySignatures { got: usize, max: usize },
    #[error("signer {signer} is not known here, or not in this capacity")]
    UnknownSigner { signer: Signer },
    #[error("signer {signer} signed twice")]
    SignedTwice { signer: Signer },
    #[error("signer {signer} does not hold the role {role:?}")]
    RoleNotHeld { signer: Signer, role: Role },
    #[error("the role {role:?} cannot be granted to an account")]
    RoleNotGrantable { role: Role },
    #[error("passkeys are not used by this version")]
    PasskeyNotYet,
    #[error("the root set must sign: {need} signatures needed, {have} given")]
    RootQuorum { need: u8, have: usize },
    #[error("a coordinator or operator must sign")]
    OfficeNeeded,
    #[error("nobody with a right to debit account {account} has signed")]
    NotAuthorised { account: AccountId },
    #[error("authority {authority} is neither the charter nor a recorded decision")]
    AuthorityUnknown { authority: Hash },
    // Keys
    #[error(
        "a root set of {keys} keys with threshold {threshold}: 1 to 15 keys, threshold 1 to their number"
    )]
    RootSet { threshold: u8, keys: usize },
    #[error("the keys of a root set are ascending, without doubles")]
    RootSetOrder,
    #[error("the next epoch of this key is {expected}, got {got}")]
    KeyEpoch { expected: u64, got: u32 },
    #[error("this key was bound before")]
    KeyReused,
    #[error("no key of epoch {epoch} was bound for this purpose")]
    KeyUnknown { epoch: u32 },
    #[error("the key of epoch {epoch} is revoked already")]
    KeyRevoked { epoch: u32 },
    #[error(
        "a last good checkpoint of {size} entries: at least the genesis, with its own root, and none from place {seq} on"
    )]
    LastGood { size: u64, seq: u64 },
    #[error("the key in force is revoked, so another must take its place in the same entry")]
    ReplacementNeeded,
    #[error("the key of epoch {epoch} is not in force, so nothing takes its place")]
    ReplacementIdle { epoch: u32 },
    #[error("this is not the root set that was committed to in advance")]
    NextRoot,
    #[error("the new root set must sign too: {need} signatures needed, {have} given")]
    NewRootQuorum { need: u8, have: usize },
    #[error("this node does not hold the log key that would sign the next entries")]
    LogKeyMissing,
    #[error("log key epoch {epoch} is not known, or not in force")]
    UnknownEpoch { epoch: u32 },
    #[error("signer {signer} exists in this ledger already")]
    SignerExists { signer: Signer },
    #[error("an account has at most {max} keys")]
    TooManyKeys { max: usize },
    // Accounts and units
    #[error("account {account} is not known")]
    UnknownAccount { account: AccountId },
    #[error("account {account} exists already")]
    AccountExists { account: AccountId },
    #[error("account {account} is closed")]
    AccountClosed { account: AccountId },
    #[error("this cannot be done with an account of kind {owner:?}")]
    OwnerKind { owner: OwnerKind },
    #[error("only an organisation can be an anchor")]
    AnchorOwner,
    #[error("account {account} still holds {balance} of unit {unit}")]
    NotEmpty { account: AccountId, unit: UnitId, balance: i64 },
    #[error("account {account} still has payments under way")]
    HoldsOpen { account: AccountId },
    #[error("unit {unit} is not known")]
    UnknownUnit { unit: UnitId },
    #[error("unit {unit} or the code \"{code}\" exists already")]
    UnitExists { unit: UnitId, code: String },
    #[error("\"{code}\" is not a unit code: 1 to 16 of a-z, 0-9 and -")]
    UnitCode { code: String },
    #[error("a name of {got} bytes: 1 to {max} are allowed")]
    NameLength { got: usize, max: usize },
    #[error("{got} decimals, at most {max}")]
    UnitScale { got: u8, max: u8 },
    // Rules
    #[error("a limit names either one account or one kind of holder")]
    LimitScope,
    #[error("the levels of a limit rise: warning, stop, firm stop")]
    LevelsOrder,
    #[error(
        "account {account} would stand at {balance} of unit {unit}: beyond the stop at {level}; a coordinator can lift it for one payment"
    )]
    LimitStop { account: AccountId, unit: UnitId, balance: i64, level: u64 },
    #[error("account {account} would stand at {balance} of unit {unit}: beyond the firm stop at {level}")]
    LimitFirm { account: AccountId, unit: UnitId, balance: i64, level: u64 },
    // Transfers
    #[error("postings are ascending by account and unit, each pair once")]
    PostingOrder,
    #[error("a posting of {delta}: never zero, at most 2^62")]
    PostingAmount { delta: i64 },
    #[error("the postings in unit {unit} sum to {sum}, not to zero")]
    SumNotZero { unit: UnitId, sum: i128 },
    #[error("the balance of account {account} in unit {unit} would pass 2^62")]
    BalanceOverflow { account: AccountId, unit: UnitId },
    #[error("entry {seq} is no transfer of the last 60 days")]
    NotReversible { seq: u64 },
    #[error("transfer {seq} is reversed already")]
    AlreadyReversed { seq: u64 },
    #[error("the postings are not those of transfer {seq} turned round")]
    ReversalDiffers { seq: u64 },
    #[error("the postings are not what the claim's facts give")]
    PostingsDiffer,
    #[error("a hold names exactly one sidecar: the payee and the memo")]
    HoldSidecar,
    #[error("the payee is of this network: pay without a hold")]
    OwnNetwork,
    #[error("hold {hold} is not open")]
    UnknownHold { hold: Hash },
    #[error("hold {hold} backs claim {claim}")]
    HoldBound { hold: Hash, claim: ClaimId },
    // Clearing
    #[error("{0}")]
    Accord(AccordError),
    #[error("the accord is not between this network and another, or does not follow the one in force")]
    AccordPlace,
    #[error(
        "unit pair {pair} is not one to one, and the accord gives the other network's unit no number here"
    )]
    NotOneToOne { pair: u8 },
    #[error(
        "the limit towards network {peer} is nearly used up: a single payment may take at most {largest} of it, this one takes \
         {amount}"
    )]
    Slowed { peer: LedgerId, amount: i64, largest: u64 },
    #[error("payments that should have ended long ago hold too much of the limit towards network {peer}")]
    OldHolds { peer: LedgerId },
    #[error("the rate gives no whole amount for {amount}; the next lower one it gives is {nearest}")]
    Inexact { amount: i64, nearest: i64 },
    #[error("there is no accord for channel {channel}")]
    UnknownChannel { channel: StreamId },
    #[error("there is no accord with network {peer}")]
    NoAccord { peer: LedgerId },
    #[error(
        "network {peer} has broken a rule of clearing: no new payments with it until people have looked at it"
    )]
    PeerFrozen { peer: LedgerId },
    #[error("network {peer} is shut out here (weft peer unban lets it in again)")]
    PeerBanned { peer: LedgerId },
    #[error("a step acknowledges {got} after {last} was acknowledged")]
    AckBack { last: u64, got: u64 },
    #[error("intent: {why}")]
    Intent { why: &'static str },
    #[error("the claim expires at {expires_ms}; it is {now_ms}, and at most 7 days ahead are allowed")]
    Expires { expires_ms: u64, now_ms: u64 },
    #[error("hop: {why}")]
    HopMismatch { why: &'static str },
    #[error("the step names claim {got}, its content is claim {expected}")]
    ClaimMismatch { expected: ClaimId, got: ClaimId },
    #[error("the step lacks the claim or the reference that its type needs, or has one too many")]
    StepForm,
    #[error("claim {claim} was proposed on this channel before")]
    ClaimExists { claim: ClaimId },
    #[error("claim {claim} is not known here")]
    UnknownClaim { claim: ClaimId },
    #[error("the amount {amount} does not fit: {room} left of the limit towards this peer")]
    NoRoom { amount: i64, room: i128 },
    #[error("the hold differs from the Intent in {what}")]
    HoldMismatch { what: &'static str },
    #[error("network {ledger} was not introduced on this channel before its first use")]
    NotIntroduced { ledger: LedgerId },
    #[error("claim {claim} was answered before")]
    AlreadyAnswered { claim: ClaimId },
    #[error("a claim on which this network is bound or undecided further on cannot be turned down")]
    BoundDownstream,
    #[error("claim {claim} was decided before")]
    AlreadyDecided { claim: ClaimId },
    #[error("the Decision is not by the claim's decider, not on this claim, or says the opposite")]
    DecisionMismatch,
    #[error("the nonce was used by claim {claim}")]
    NonceUsed { claim: ClaimId },
    #[error("the hop is closed already, or not in the state that this step needs")]
    HopState,
    #[error("the dispute does not fit: {why}")]
    DisputeMismatch { why: &'static str },
    #[error("network {peer} was heard at {heard_ms}: only 30 days after that can it be written off")]
    WriteOffEarly { peer: LedgerId, heard_ms: u64 },
    #[error("network {peer} is written off here: no new payments with it until it is heard again")]
    WrittenOff { peer: LedgerId },
    // Statements
    #[error("a statement covers what stands before it: {expected:?} of the two streams, got {got:?}")]
    StatementCut { expected: (u64, u64), got: (u64, u64) },
    #[error("by the books the positions are {expected:?}, the statement says {got:?}")]
    StatementPosition { expected: Vec<i64>, got: Vec<i64> },
    #[error("by the books other claims of this network are on their way than the statement says")]
    StatementInFlight,
    #[error("network {peer} has not answered the last statement yet")]
    StatementWaits { peer: LedgerId },
    #[error("what is told of the accord with network {peer} is not what the books give")]
    CapacityDiffers { peer: LedgerId },
    #[error(
        "no way is known to network {payee}: no peer of this network passes payments on to it, or none has room"
    )]
    NoWay { payee: LedgerId },
    // Settlements
    #[error("an entry about a settlement lacks what its act needs, or has more")]
    SettleForm,
    #[error("settlement {settlement} is not known here, says something else, or is past this")]
    SettleState { settlement: Hash },
    #[error(
        "this network has told the other that settlement {settlement} is accepted, and lost what was signed for it: it can be accepted again, not refused"
    )]
    SettleTold { settlement: Hash },
    #[error(
        "this network has accepted settlement {settlement} and lost what was signed for it: its books are not what the streams say before it is accepted again"
    )]
    SettleAgain { settlement: Hash },
    #[error("proposing a settlement names exactly one sidecar: the outside reference")]
    SettleReference,
    #[error("{MAX_OPEN_SETTLEMENTS} settlements with network {peer} wait for an answer; no more at a time")]
    SettleMany { peer: LedgerId },
    #[error("{owed} are owed, {amount} cannot be settled")]
    SettleDebt { amount: i64, owed: i128 },
    // Netting rounds
    #[error("a round's times follow each other: debts, lists, results, and all is over within 7 days")]
    RoundTimes,
    #[error("no unit of this network is that of the round")]
    RoundUnit,
    #[error("netting round {round} is not known here, or past this")]
    RoundState { round: Hash },
    #[error(
        "{free} of the debt can be held for a netting round, {amount} cannot: the rest is not owed, or on its way, or \
         held for another"
    )]
    HeldDebt { amount: i64, free: i128 },
    #[error("debts with network {peer} are held for {MAX_HELD} rounds; no more at a time")]
    HeldMany { peer: LedgerId },
    #[error(
        "the debts named are not those that are held for the round, each once, in order, at most {MAX_LINES}"
    )]
    RoundLines,
    #[error("a page of a round's result has a wrong size or place")]
    RoundPage,
    #[error("results of this round could be accepted until {until_ms}; it is {now_ms}")]
    RoundLate { until_ms: u64, now_ms: u64 },
    #[error("the debt with network {peer} would shrink by {amount}; {held} are held for the round")]
    RoundRange { peer: LedgerId, amount: i64, held: i64 },
    #[error(
        "of what this network owes {owing} would be taken, of what it is owed {owed}: that changes its net position"
    )]
    RoundConservation { owing: i128, owed: i128 },
    #[error("{}", halted(*halt, *by_us))]
    Halted { peer: LedgerId, halt: Halt, by_us: bool },
    #[error("the accord has ended: only a new one, signed by both root sets, opens the channel again")]
    AccordEnded,
    // Guard and succession
    #[error(
        "this node has started from books that may be older than what it has said before, and signs nothing until its \
         peers have answered; `weft status` says who is missing and what can be done"
    )]
    Quarantined,
    #[error("network {peer} has not answered since this node started: nothing is signed towards it before")]
    NotHeard { peer: LedgerId },
    #[error("the number of a succession is larger than {last}, got {got}")]
    SuccessionNumber { last: u32, got: u32 },
    #[error("a succession goes on from entry {expected}, the last one held, not from {got}")]
    SuccessionBase { expected: u64, got: u64 },
    #[error("a succession is of a later start than every entry before it, and than {last}; got {got}")]
    SuccessionBoot { last: u64, got: u64 },
    #[error("the networks not heard are peers, ascending, each once")]
    SuccessionUnheard,
    #[error(
        "what is recovered is an entry of this ledger in a channel's stream, lost by a succession: {why}"
    )]
    NotLost { why: &'static str },
    // Reset
    #[error("a notice runs for 7 to 90 days: not before {earliest_ms}, got {not_before_ms}")]
    NoticeTime { not_before_ms: u64, earliest_ms: u64 },
    #[error(
        "the notice about the channel with network {peer} runs until {not_before_ms}; it is closed after that"
    )]
    NoticeRuns { peer: LedgerId, not_before_ms: u64 },
    #[error(
        "the channel with network {peer} is to be reset ({}): no new payments go over it before that", if *.by_us { "this network has given notice" } else { "that network has given notice" }
    )]
    ResetNoticed { peer: LedgerId, by_us: bool },
    #[error("this stream of the channel with network {peer} has ended: nothing is written or taken in on it")]
    ChannelClosed { peer: LedgerId },
    #[error(
        "our side of the channel with network {peer} is open: `weft peer reset close` closes it, once our notice has run out"
    )]
    ResetNotClosed { peer: LedgerId },
    #[error(
        "the channel with network {peer} is reset here and not yet there: it opens when that network follows"
    )]
    ResetWaits { peer: LedgerId },
    #[error("this reset cannot be taken in: {why}")]
    ResetMismatch { why: &'static str },
    // Erasure and forward
    #[error("the state has digest {expected}, the forward says {got}")]
    ForwardState { expected: Hash, got: Hash },
    // Witness
    #[error("\"{origin}\" is not the origin of a log of network {peer}")]
    ViewOrigin { origin: String, peer: LedgerId },
    #[error("the log had {last} entries when it was last recorded, now {got}")]
    ViewBack { last: u64, got: u64 },
    #[error("the log was recorded with {size} entries and another root")]
    ViewConflict { size: u64 },
    // Evidence
    #[error("enough evidence against network {accused} is recorded")]
    EvidenceEnough { accused: LedgerId },
    #[error("lifting a freeze names exactly one sidecar: the reason")]
    ReasonSidecar,
}

/// Who lets no new payments over a channel.
fn halted(halt: Halt, by_us: bool) -> &'static str {
    match (halt, by_us) {
        (Halt::Paused, true) => {
            "this network has paused payments with that network; `weft peer resume` lets them go again"
        }
        (Halt::Paused, false) => "that network has paused payments with this one; ask its operator why",
        (Halt::Ended, true) => {
            "this network has ended its accord with that network; a new accord opens it again"
        }
        (Halt::Ended, false) => {
            "that network has ended its accord with this one; a new accord opens it again"
        }
    }
}

impl Rejected {
    /// A stable short name of the rule, for programs: `limit-stop`, `op-done`, …
    pub fn code(&self) -> String {
        let debug = format!("{self:?}");
        let name = debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let mut code = String::new();
        for c in name.chars() {
            if c.is_uppercase() && !code.is_empty() {
                code.push('-');
            }
            code.push(c.to_ascii_lowercase());
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_variant_names_in_words() {
        assert_eq!(Rejected::NoGenesis.code(), "no-genesis");
        assert_eq!(Rejected::Seq { expected: 1, got: 2 }.code(), "seq");
        assert_eq!(Rejected::NotReversible { seq: 2 }.code(), "not-reversible");
    }
}
