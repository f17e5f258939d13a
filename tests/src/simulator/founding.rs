//! Networks as they are founded: keys from the seed, genesis, one unit, members, limits, and accords that both root
//! sets have signed. All of it through real entries.

use super::random::Random;
use weft_protocol::clearing::accord::{ACCORD_VERSION, Accord, Side, UnitPair};
use weft_protocol::clearing::engine::{Cx, Engine, Payee};
use weft_protocol::clearing::step::{AccordArgs, RootSig};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{AccountId, Hash, KeyBytes, LedgerId, OpId, UnitId};
use weft_protocol::keys::{self, SecretKey};
use weft_protocol::ledger::author::Author;
use weft_protocol::ledger::identity::{Genesis, KeyBound, PURPOSES, Purpose, PurposeKey, RootSet};
use weft_protocol::ledger::members::{AccountOpened, OwnerKind};
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};

/// The one unit of every simulated network.
pub const HOUR: UnitId = UnitId(1);
/// When the first network is founded.
pub const START_MS: u64 = 1_700_000_000_000;
/// How far a member's balance may go below zero.
pub const MEMBER_BELOW: u64 = 2_000;
/// How far the balance of [`Founded::MODEST`] may go above zero: payments to that member run into it.
pub const MODEST_ABOVE: u64 = 150;

/// In one run of this many, networks have bound a second key: an identity entry with another entry before it on the
/// public stream.
const ROTATED: u64 = 7;

/// A member of a simulated network.
#[derive(Debug)]
pub struct Member {
    /// The account.
    pub account: AccountId,
    /// Its own key; the desk acts for those without.
    pub key: Option<SecretKey>,
}

/// The secrets of a network, which survive every crash.
#[derive(Debug)]
pub struct Keys {
    /// The root set; `threshold` of them must sign.
    pub roots: Vec<SecretKey>,
    /// How many root keys must sign.
    pub threshold: u8,
    /// Seed of the log key: an author owns its key.
    log: [u8; 32],
    /// Acts for members without a key.
    pub desk: SecretKey,
    /// The network secret.
    pub secret: [u8; 32],
}

/// A network as founded.
#[derive(Debug)]
pub struct Founded {
    /// Its keys.
    pub keys: Keys,
    /// Its members.
    pub members: Vec<Member>,
    /// Its id.
    pub ledger: LedgerId,
    /// Its public stream.
    pub public: Vec<Vec<u8>>,
    /// The engine; everything it wrote is still in its batch.
    pub engine: Engine,
}

impl Keys {
    fn new(random: &mut Random) -> Self {
        let key = |random: &mut Random| SecretKey::from_seed(&random.bytes());
        let (count, threshold) = random.pick(&[(1, 1), (3, 2)]);
        let mut roots: Vec<SecretKey> = (0..count).map(|_| key(random)).collect();
        roots.sort_by_key(|k| k.public().bytes());
        Self { roots, threshold, log: random.bytes(), desk: key(random), secret: random.bytes() }
    }

    /// The log key.
    pub fn log(&self) -> SecretKey {
        SecretKey::from_seed(&self.log)
    }

    /// The log key that may be bound next.
    pub fn next_log(&self) -> SecretKey {
        SecretKey::from_seed(&self.seed_of("next log").0)
    }

    /// The witness key.
    pub fn witness(&self) -> SecretKey {
        SecretKey::from_seed(&self.seed_of("witness").0)
    }

    /// The node's hand at its start number `boot`.
    pub fn author(&self, boot: u64) -> Author {
        Author::new(self.log(), boot)
    }

    /// An operation that a quorum of the root set signs.
    pub fn by_roots(&self, ledger: &LedgerId, op: &Op) -> SignedOp {
        let quorum = self.roots.iter().take(usize::from(self.threshold));
        quorum.fold(SignedOp::unsigned(op), |signed, key| signed.signed(ledger, key, Role::Root, How::OwnKey))
    }

    /// Signatures of a quorum of the root set under what both networks of a channel sign.
    pub fn root_sigs(&self, context: keys::Context, bytes: &[u8]) -> Vec<RootSig> {
        let quorum = self.roots.iter().take(usize::from(self.threshold));
        quorum.map(|k| RootSig { signer: k.public().signer(), sig: k.sign(context, &[bytes]) }).collect()
    }

    fn unused(&self, purpose: &str) -> KeyBytes {
        SecretKey::from_seed(&self.seed_of(purpose).0).public().bytes()
    }

    fn seed_of(&self, purpose: &str) -> Hash {
        Hash::of("", &[self.desk.public().bytes().as_bytes(), purpose.as_bytes()])
    }

    fn genesis(&self) -> Genesis {
        let key = |purpose: &Purpose| PurposeKey {
            purpose: *purpose,
            key: match purpose {
                Purpose::Log => self.log().public().bytes(),
                Purpose::Desk => self.desk.public().bytes(),
                Purpose::Seal => KeyBytes([9; 32]),
                // Nothing is signed with these here, but no two purposes may share a key.
                Purpose::Witness => self.unused("witness"),
                Purpose::Libp2p => self.unused("libp2p"),
                Purpose::Recovery => self.unused("recovery"),
            },
        };
        let roots = self.roots.iter().map(|k| k.public().bytes()).collect();
        Genesis {
            root: RootSet { threshold: self.threshold, keys: roots },
            next_root: None,
            keys: PURPOSES.iter().map(key).collect(),
            charter: None,
            predecessor: None,
        }
    }
}

impl Member {
    /// Signs an operation as this member, or at the desk for them.
    pub fn sign(&self, keys: &Keys, ledger: &LedgerId, op: &Op) -> SignedOp {
        let unsigned = SignedOp::unsigned(op);
        match &self.key {
            Some(key) => unsigned.signed(ledger, key, Role::Member, How::OwnKey),
            None => unsigned.signed(ledger, &keys.desk, Role::Member, How::Custody),
        }
    }
}

impl Founded {
    /// The member that may not have much.
    pub const MODEST: usize = 2;

    /// Founds a network with three members.
    pub fn new(seed: u64, index: usize) -> Self {
        Self::with_units(seed, index, &[])
    }

    /// The same, with numbers for the units of others.
    pub fn with_units(seed: u64, index: usize, foreign: &[UnitId]) -> Self {
        let mut random = Random::new(seed, &format!("founding {index}"));
        let keys = Keys::new(&mut random);
        let mut engine = Engine::new(keys.author(1), keys.secret);
        let mut write = |ledger: &LedgerId, payload: Payload| {
            let op_id = OpId(Hash(random.bytes()).prefix());
            let op = Op { op_id, not_after_ms: START_MS + 1_000, payload, sidecars: Vec::new() };
            let signed = keys.by_roots(ledger, &op);
            let mut salt = || random.salt();
            let payees = |_: &_, _: &_| Payee::Missing;
            let mut cx = Cx { now_ms: START_MS, salt: &mut salt, payees: &payees, held: &|_| None };
            engine.submit(&signed, &mut cx).expect("founding keeps the rules").entry
        };
        let genesis = write(&LedgerId::ZERO, Payload::Genesis(keys.genesis()));
        let ledger = genesis.body().ledger;
        let unit = UnitDefined {
            unit: HOUR,
            code: "hour".into(),
            name: "Hour".into(),
            kind: UnitKind::Time,
            scale: 0,
        };
        let unit = write(&ledger, Payload::UnitDefined(unit));
        let mut public = vec![genesis.bytes().to_vec(), unit.bytes().to_vec()];
        if seed % ROTATED == ROTATED - 1 {
            let key = KeyBound { purpose: Purpose::Seal, epoch: 1, key: KeyBytes([8; 32]) };
            public.push(write(&ledger, Payload::KeyBound(key)).bytes().to_vec());
        }
        let mut members = Vec::new();
        for number in 0..3_u8 {
            let name = [index as u8, number];
            let account = AccountId(Hash::of("", &[&seed.to_be_bytes(), &name]).prefix());
            let key_seed = Hash::of("", &[b"member", &seed.to_be_bytes(), &name]).0;
            let key = (number == 0).then(|| SecretKey::from_seed(&key_seed));
            let public = key.as_ref().map(|k| k.public().bytes());
            let opened = AccountOpened { account, owner: OwnerKind::Member, key: public, anchor: false };
            write(&ledger, Payload::AccountOpened(opened));
            members.push(Member { account, key });
        }
        let mut limit = |account, owner, below: Option<u64>, above: Option<u64>| {
            let levels = |stop| Levels { warn: None, stop: None, firm: Some(stop) };
            let (below, above) = (below.map(levels), above.map(levels));
            let rule = Rule::Limit(LimitRule { unit: HOUR, account, owner, below, above });
            write(&ledger, Payload::RuleSet(RuleSet { authority: genesis.leaf(), rule }));
        };
        limit(None, Some(OwnerKind::Member), Some(MEMBER_BELOW), None);
        limit(Some(members[Self::MODEST].account), None, Some(MEMBER_BELOW), Some(MODEST_ABOVE));
        for unit in foreign {
            let code = format!("of-{}", unit.0);
            let (name, kind) = (code.clone(), UnitKind::Time);
            let unit = UnitDefined { unit: *unit, code, name, kind, scale: 0 };
            public.push(write(&ledger, Payload::UnitDefined(unit)).bytes().to_vec());
        }
        Self { keys, members, ledger, public, engine }
    }
}

/// Short, so that statements fall between all other steps.
pub const STATEMENT_INTERVAL_MS: u64 = 3_000;

/// One to one in their own units.
#[must_use]
pub fn one_to_one(limit_a: u64, limit_b: u64) -> UnitPair {
    let (unit_a, unit_b) = (HOUR, HOUR);
    UnitPair { unit_a, unit_b, num: 1, den: 1, position: Side::A, limit_a, limit_b, foreign: None }
}

/// What two networks agree, signed by a quorum of both root sets.
pub fn accord(a: (&LedgerId, &Keys), b: (&LedgerId, &Keys), pair: UnitPair) -> AccordArgs {
    let accord = Accord {
        v: ACCORD_VERSION,
        version: 1,
        previous: None,
        a: *a.0,
        b: *b.0,
        pairs: vec![pair],
        statement_interval_ms: STATEMENT_INTERVAL_MS,
        default_expiry_ms: 86_400_000,
        relay: true,
        mirror: false,
        disputers: [1, 1],
    };
    let bytes = accord.to_bytes();
    let sign = |keys: &Keys| keys.root_sigs(keys::ACCORD, &bytes);
    AccordArgs { sigs_a: sign(a.1), sigs_b: sign(b.1), accord: Blob(bytes) }
}
