//! What targets begin with: a ledger, a pair of networks, keys; and right inputs for the engine to change.
//!
//! All of it is a function of constants, so that an input means the same on every machine and every day.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::sync::OnceLock;
use weft_protocol::amount::Amount;
use weft_protocol::clearing::offer::{ApplyArgs, DropArgs, OfferArgs};
use weft_protocol::clearing::settle::SettleArgs;
use weft_protocol::clearing::step::{Ack, Step, StepArgs};
use weft_protocol::encoding::encode;
use weft_protocol::entry::{Entry, Kind, Payload, SignedOp};
use weft_protocol::ids::{AccountId, ClaimId, Hash, StreamId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::author::Author;
use weft_protocol::ledger::halt::PauseArgs;
use weft_protocol::ledger::members::{AccountClosed, AccountOpened, OwnerKind, RoleGranted};
use weft_protocol::ledger::state::State;
use weft_protocol::ledger::transfer::{Hold, Transfer, move_value};
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::{KeyName, Note, SignatureType, VerifierKey};
use weft_protocol::log::tile::{TileBuilder, encode_bundle};
use weft_protocol::record::{RecordKey, RecordRef, Seal};
use weft_protocol::seal::{Envelope, Opened, public_key};
use weft_protocol::testing::{HOUR, TestNetwork};

pub use weft_protocol::testing::START_MS;

/// What each network of a pair may owe the other.
pub const LIMIT: u64 = 200;

/// Keys that may sign in the ledger of [`ledger`].
#[derive(Debug)]
pub struct Signers {
    /// The root set.
    pub root: SecretKey,
    /// The desk.
    pub desk: SecretKey,
    /// A member's own.
    pub member: SecretKey,
    /// A coordinator's own.
    pub coordinator: SecretKey,
}

fn member_key() -> SecretKey {
    SecretKey::from_seed(&[0x61; 32])
}

fn coordinator_key() -> SecretKey {
    SecretKey::from_seed(&[0x62; 32])
}

/// A network with an account that holds its own key, a coordinator, one in custody, a chest of the commons, limits, and a
/// peer with which payments were made.
fn network() -> TestNetwork {
    let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    let open = |account, owner, key: Option<SecretKey>| {
        let key = key.map(|key| key.public().bytes());
        Payload::AccountOpened(AccountOpened { account: AccountId([account; 16]), owner, key, anchor: false })
    };
    let coordinator = AccountId([0x62; 16]);
    let office = weft_protocol::entry::Role::Coordinator;
    for payload in [
        open(0x61, OwnerKind::Member, Some(member_key())),
        open(0x62, OwnerKind::Member, Some(coordinator_key())),
        open(0x63, OwnerKind::Commons, None),
        Payload::RoleGranted(RoleGranted { account: coordinator, role: office, granted: true }),
    ] {
        hull.by_root(payload).expect("accounts by the rules");
    }
    let (ada, bob) = (hull.member(), lansing.member());
    hull.limit_members(600).expect("a limit by the rules");
    hull.accord(&mut lansing, LIMIT);
    hull.transfer(ada, AccountId([0x63; 16]), 30).expect("a payment by the rules");
    hull.pay(ada, bob, &mut lansing, 20).expect("a payment by the rules");
    hull.settle(&mut lansing);
    hull
}

/// The ledger that operations are offered to, its author, and who may sign.
pub fn ledger() -> (State, Author, Signers) {
    static LEDGER: OnceLock<TestNetwork> = OnceLock::new();
    let network = LEDGER.get_or_init(network);
    let signers = Signers {
        root: network.root(),
        desk: network.desk(),
        member: member_key(),
        coordinator: coordinator_key(),
    };
    (network.state().clone(), Author::new(network.log_key(), START_MS), signers)
}

/// An honest network, and one that says what it likes.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Keeps the rules.
    pub honest: TestNetwork,
    /// Has every key of its own, and no rules.
    pub liar: TestNetwork,
    /// A member of the honest one.
    pub ada: AccountId,
    /// A member of the other.
    pub bob: AccountId,
    /// Between the two.
    pub channel: StreamId,
}

/// See [`Pair`]; they have paid each other once.
pub fn pair() -> Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    let make = || {
        let (mut honest, mut liar) = (TestNetwork::new(1), TestNetwork::new(2));
        let (ada, bob) = (honest.member(), liar.member());
        honest.accord(&mut liar, LIMIT);
        let (channel, _) = honest.state().channel_with(&liar.ledger()).expect("an accord was made");
        Pair { honest, liar, ada, bob, channel }
    };
    PAIR.get_or_init(make).clone()
}

/// The secret and the claim that envelopes are tried with.
pub fn sealed_to() -> ([u8; 32], ClaimId) {
    ([7; 32], ClaimId([1; 32]))
}

/// Right inputs of a target: real entries, records, notes and operations, in the form that the target reads.
pub fn right_inputs(target: &str) -> Vec<Vec<u8>> {
    let network = network();
    let entries = network.own();
    match target {
        "encoding" => vec![network.state().to_canonical(), TestNetwork::new(3).state().to_canonical()],
        "messages" => messages(&network),
        "entries" => entries.iter().flat_map(|e| [e.bytes().to_vec(), operation_of(e)]).collect(),
        "records" => records(&entries),
        "sealed" => vec![sealed()],
        "texts" => texts(&network),
        "apply" => {
            let by = |signers| entries.iter().map(move |entry| offered(entry, signers));
            by(0x01).chain(by(0x06)).chain(by(0x18)).chain([story()]).collect()
        }
        "peer" => vec![conversation(), other_steps()],
        _ => Vec::new(),
    }
}

fn operation_of(entry: &Entry) -> Vec<u8> {
    encode(&SignedOp {
        kind: entry.kind().code(),
        op: entry.body().op.clone(),
        auth: entry.body().auth.clone(),
    })
}

fn messages(network: &TestNetwork) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in network.own() {
        let Payload::Step(step) = &entry.op().payload else { continue };
        match &step.args {
            StepArgs::Accord(args) => found.push([&[0][..], &args.accord.0].concat()),
            StepArgs::Propose(args) => {
                found.push([&[8][..], &encode(&args.intent)].concat());
                found.push([&[7][..], &args.intent.intent.0].concat());
            }
            _ => {}
        }
    }
    found
}

fn records(entries: &[Entry]) -> Vec<Vec<u8>> {
    let mut segment = Vec::new();
    for entry in entries {
        let key = RecordKey::Own { seq: entry.body().seq };
        RecordRef::new(key, entry.bytes()).expect("a short entry").encode(&mut segment);
    }
    let offset = u64::try_from(segment.len()).expect("a short segment");
    let sha256 = weft_protocol::ids::Hash::of("", &[&segment]).0;
    Seal { offset, sha256 }.encode(&mut segment);
    let three: Vec<&[u8]> = entries.iter().take(3).map(Entry::bytes).collect();
    let bundle = encode_bundle(&three).expect("short entries");
    vec![segment, [&[3][..], &bundle].concat()]
}

fn texts(network: &TestNetwork) -> Vec<Vec<u8>> {
    let note = network.checkpoint(network.own().len());
    let checkpoint: Checkpoint =
        Note::parse(note.as_bytes()).expect("our note").text().parse().expect("our checkpoint");
    let origin = network.ledger().origin();
    let key = VerifierKey::new(
        KeyName::new(&origin).expect("an origin is a key name"),
        SignatureType::Ed25519,
        network.log_key().public(),
    );
    let mut tree = TileBuilder::new();
    network.own().iter().for_each(|entry| tree.push(entry.leaf()));
    let tile = tree.take_changed().remove(0);
    let numbered = |which: u8, text: &[u8]| [&[which][..], text].concat();
    let key = key.to_string();
    let policy = format!("log {key}\nwitness w {key}\ngroup g 1 w\nquorum g\n");
    vec![
        numbered(0, note.as_bytes()),
        numbered(1, checkpoint.to_string().as_bytes()),
        numbered(3, key.as_bytes()),
        numbered(4, &[&[0][..], tile.path.to_string().as_bytes()].concat()),
        numbered(4, &[&[11][..], &tile.content].concat()),
        numbered(5, policy.as_bytes()),
        numbered(6, format!("old 0\n\n{note}").as_bytes()),
        numbered(7, b"2024-02-29"),
        numbered(7, b"12.50"),
    ]
}

/// An operation as the target reads it.
fn operation(signers: u8, kind: Kind, payload: &[u8]) -> Vec<u8> {
    let [high, low] = kind.code().to_be_bytes();
    let len = u16::try_from(payload.len()).expect("an entry is short").to_be_bytes();
    [&[signers, high, low, 1, len[0], len[1]][..], payload].concat()
}

/// What an entry does, as an operation offered anew.
fn offered(entry: &Entry, signers: u8) -> Vec<u8> {
    operation(signers, entry.kind(), &payload_of(entry))
}

/// Operations that are accepted one after another: an account opened, paid, taken back, closed, and a hold.
fn story() -> Vec<u8> {
    let account = |n| AccountId([n; 16]);
    let opened = AccountOpened { account: account(0x64), owner: OwnerKind::Member, key: None, anchor: false };
    let paid = |from, to, minutes| {
        let minutes = Amount::new(minutes).expect("an amount");
        Transfer { postings: move_value(account(from), account(to), HOUR, minutes), when_day: Some(20_454) }
    };
    let hold = Hold {
        account: account(0x61),
        unit: HOUR,
        amount: Amount::new(5).expect("an amount"),
        payee_network: TestNetwork::new(2).ledger(),
        when_day: None,
    };
    [
        operation(0x01, Kind::AccountOpened, &encode(&opened)),
        operation(0x08, Kind::Transfer, &encode(&paid(0x61, 0x64, 25))),
        operation(0x04, Kind::Transfer, &encode(&paid(0x64, 0x62, 10))),
        operation(0x04, Kind::Transfer, &encode(&paid(0x64, 0x61, 15))),
        operation(0x10, Kind::AccountClosed, &encode(&AccountClosed { account: account(0x64) })),
        operation(0x08, Kind::Hold, &encode(&hold)),
    ]
    .concat()
}

fn sealed() -> Vec<u8> {
    let (secret, claim) = sealed_to();
    let opened = Opened { salt: [9; 32], content: b"Bob, for bread".to_vec() };
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let envelope = Envelope::seal(&public_key(&secret), 0, &claim, &opened, &mut dice);
    envelope.expect("a short content").to_bytes()
}

/// What a peer says beside payments, each in its form: a settlement taken back, debts for netting rounds, a pause, an end.
fn other_steps() -> Vec<u8> {
    let pair = pair();
    let (round, result) = (Hash([1; 32]), Hash([2; 32]));
    let (pair_number, amount) = (0, Amount::new(5).expect("an amount"));
    let offer = |amount| StepArgs::Offer(OfferArgs { round, pair: pair_number, amount, a_owes: true });
    let settle = |withdrawn| {
        let reference = Hash([3; 32]);
        StepArgs::Settle(SettleArgs { pair: pair_number, amount, a_owed: true, reference, withdrawn })
    };
    let apply = ApplyArgs { round, result, pair: pair_number, amount, a_owed: true };
    let stream = pair.liar.engine.peers().stream(&pair.channel).expect("they have an accord");
    let ack = Ack { next: stream.next, head: stream.head };
    let mut all = vec![0, 0, 0];
    for args in [
        settle(false),
        settle(true),
        offer(amount),
        offer(Amount::new(6).expect("an amount")),
        StepArgs::Apply(apply),
        StepArgs::DropHold(DropArgs { round }),
        StepArgs::Pause(PauseArgs { on: true }),
        StepArgs::Pause(PauseArgs { on: false }),
        StepArgs::End,
    ] {
        let step = Step { channel: pair.channel, ack, claim: None, reference: None, args, part: 0 };
        let payload = encode(&step);
        let len = u16::try_from(payload.len()).expect("an entry is short").to_be_bytes();
        all.extend_from_slice(&[2, len[0], len[1]]);
        all.extend_from_slice(&payload);
        all.extend_from_slice(&[1, 0, 0]);
    }
    all
}

/// The encoding of the payload: what stands behind key 2 of the operation, up to the sidecars.
fn payload_of(entry: &Entry) -> Vec<u8> {
    let op = entry.op().to_bytes();
    let mut d = minicbor::Decoder::new(&op);
    d.map().expect("a map");
    // Keys 0 and 1 with their values, and key 2.
    for _ in 0..5 {
        d.skip().expect("our own bytes");
    }
    let start = d.position();
    d.skip().expect("our own bytes");
    op[start..d.position()].to_vec()
}

/// Two payments of the honest network, each brought over and answered as the rules ask.
fn conversation() -> Vec<u8> {
    let mut pair = pair();
    let mut all = Vec::new();
    let mut said = pair.liar.own().len();
    for minutes in [10, 20] {
        pair.honest.pay(pair.ada, pair.bob, &mut pair.liar, minutes).expect("a payment within the limit");
        all.extend_from_slice(&[0, 0, 0, 1, 0, 0]);
        while pair.honest.deliver(&mut pair.liar, usize::MAX) > 0 {
            let own = pair.liar.own();
            for entry in own.iter().skip(said).filter(|e| matches!(e.op().payload, Payload::Step(_))) {
                let payload = payload_of(entry);
                let len = u16::try_from(payload.len()).expect("an entry is short").to_be_bytes();
                all.extend_from_slice(&[2, len[0], len[1]]);
                all.extend_from_slice(&payload);
            }
            said = own.len();
            pair.liar.deliver(&mut pair.honest, usize::MAX);
            all.extend_from_slice(&[1, 0, 0]);
        }
    }
    all
}
