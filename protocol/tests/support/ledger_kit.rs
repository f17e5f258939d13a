//! A small ledger for tests: keys from seeds, a clock that is moved by hand, and every entry written so far.

#![expect(dead_code, reason = "each test program uses a part of the kit")]

use weft_protocol::amount::Amount;
use weft_protocol::entry::{Body, Entry, How, Op, Payload, Role, SignedOp, StreamHeader, ledger_id};
use weft_protocol::ids::{AccountId, Hash, LedgerId, OpId, PUBLIC_STREAM, Salt, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::author::{Author, Written};
use weft_protocol::ledger::identity::{Genesis, PURPOSES, Purpose, PurposeKey, RootSet, is_public};
use weft_protocol::ledger::members::{AccountOpened, OwnerKind, RoleGranted};
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::transfer::{Hold, Posting, Transfer, move_value};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};
use weft_protocol::ledger::{Rejected, State, apply, verify_signatures};

pub(crate) const START_MS: u64 = 1_767_225_600_000;
pub(crate) const DAY_MS: u64 = 86_400_000;
pub(crate) const HOUR: UnitId = UnitId(0);
pub(crate) const COIN: UnitId = UnitId(1);

/// Who signs: seed of the key, role, how.
pub(crate) type Sign = (u8, Role, How);
pub(crate) const ROOT: Sign = (1, Role::Root, How::OwnKey);
pub(crate) const DESK: Sign = (14, Role::Member, How::Custody);
pub(crate) const DESK_COORDINATOR: Sign = (14, Role::Coordinator, How::Custody);

/// Account `n`, and the seed of its key.
pub(crate) const fn account(n: u8) -> AccountId {
    AccountId([n; 16])
}
pub(crate) const fn seed(n: u8) -> u8 {
    100 + n
}
pub(crate) const fn own(n: u8) -> Sign {
    (seed(n), Role::Member, How::OwnKey)
}
pub(crate) const fn coordinator(n: u8) -> Sign {
    (seed(n), Role::Coordinator, How::OwnKey)
}
pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// Seeds of the log keys that the node holds beside its first, 10.
pub(crate) const NEXT_LOG_KEYS: std::ops::Range<u8> = 50..60;

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now_ms: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) written: Vec<SignedOp>,
    pub(crate) count: u64,
}

impl World {
    /// Nothing, not even a genesis.
    pub(crate) fn empty() -> Self {
        Self { state: State::default(), now_ms: START_MS, entries: vec![], written: vec![], count: 0 }
    }

    /// A genesis and two units.
    pub(crate) fn new() -> Self {
        let mut world = Self::empty();
        world.must(Payload::Genesis(genesis()), &[ROOT]);
        world.must(unit(HOUR, "hour"), &[ROOT]);
        world.must(unit(COIN, "coin"), &[ROOT]);
        world
    }

    pub(crate) fn ledger(&self) -> LedgerId {
        self.state.ledger().unwrap_or(LedgerId::ZERO)
    }

    pub(crate) fn op(&mut self, payload: Payload, sidecars: Vec<Hash>) -> Op {
        self.count += 1;
        let op_id = OpId(Hash::of("", &[&self.count.to_be_bytes()]).prefix());
        Op { op_id, not_after_ms: self.now_ms + DAY_MS, payload, sidecars }
    }

    pub(crate) fn sign(&self, op: &Op, signs: &[Sign]) -> SignedOp {
        let add = |signed: SignedOp, (seed, role, how): &Sign| {
            signed.signed(&self.ledger(), &key(*seed), *role, *how)
        };
        signs.iter().fold(SignedOp::unsigned(op), add)
    }

    pub(crate) fn submit(&mut self, signed: &SignedOp) -> Result<Written, Rejected> {
        let salt = Salt(Hash::of("", &[b"salt", &self.state.head.next_seq.to_be_bytes()]).prefix());
        let mut author = Author::new(key(10), START_MS);
        NEXT_LOG_KEYS.for_each(|seed| author.hold(key(seed)));
        let written = author.write(&mut self.state, signed, self.now_ms, salt)?;
        self.entries.push(written.entry.clone());
        self.written.push(signed.clone());
        Ok(written)
    }

    pub(crate) fn attempt(&mut self, payload: Payload, signs: &[Sign]) -> Result<Written, Rejected> {
        let sidecars = if matches!(payload, Payload::Hold(_)) { vec![Hash([7; 32])] } else { vec![] };
        let op = self.op(payload, sidecars);
        let signed = self.sign(&op, signs);
        self.submit(&signed)
    }

    pub(crate) fn must(&mut self, payload: Payload, signs: &[Sign]) -> Written {
        self.attempt(payload, signs).unwrap_or_else(|e| panic!("refused: {e}"))
    }

    /// The code of a refusal; the state must be what it was.
    pub(crate) fn refusal(&mut self, payload: Payload, signs: &[Sign]) -> String {
        let before = self.state.digest();
        let refused = self.attempt(payload, signs).expect_err("it keeps the rules");
        assert_eq!(self.state.digest(), before, "a refusal changes nothing");
        refused.code()
    }

    pub(crate) fn open(&mut self, n: u8, keyed: bool) {
        self.must(opened(n, OwnerKind::Member, keyed.then(|| seed(n))), &[ROOT]);
    }

    pub(crate) fn coordinator(&mut self, n: u8) {
        self.open(n, true);
        self.must(granted(n, Role::Coordinator, true), &[ROOT]);
    }

    pub(crate) fn genesis_leaf(&self) -> Hash {
        self.state.identity().expect("there is a genesis").genesis
    }

    pub(crate) fn limit(&mut self, n: u8, below: Levels) {
        let rule =
            LimitRule { unit: HOUR, account: Some(account(n)), owner: None, below: Some(below), above: None };
        let authority = self.genesis_leaf();
        self.must(Payload::RuleSet(RuleSet { authority, rule: Rule::Limit(rule) }), &[ROOT]);
    }

    /// A good next entry, changed before the node signs it; and what the ledger says to it.
    pub(crate) fn forge(
        &mut self,
        payload: Payload,
        signs: &[Sign],
        change: impl FnOnce(&mut Body),
    ) -> Result<(), Rejected> {
        let op = self.op(payload, vec![]);
        let signed = self.sign(&op, signs);
        let public = is_public(op.payload.kind());
        let row = self.state.stream(&PUBLIC_STREAM);
        let header = StreamHeader { id: PUBLIC_STREAM, sseq: row.next, sprev: row.head };
        let mut body = Body {
            v: 1,
            ledger: self.ledger(),
            seq: self.state.head.next_seq,
            prev: self.state.head.leaf,
            time_ms: self.now_ms,
            epoch: 0,
            kind: signed.kind,
            op: signed.op,
            auth: signed.auth,
            salt: Salt([3; 16]),
            stream: public.then_some(header),
            boot: START_MS,
        };
        if self.state.identity.is_none() {
            body.ledger = ledger_id(&body);
        }
        change(&mut body);
        let entry = Entry::sign(&body, &key(10)).map_err(Rejected::Entry)?;
        apply(&self.state, &entry)?;
        verify_signatures(&self.state, &entry)
    }
}

/// Rules and signatures over all entries from nothing.
pub(crate) fn replay(entries: &[Entry]) -> State {
    let mut state = State::default();
    for entry in entries {
        let again = Entry::parse(entry.bytes()).expect("an entry reads back");
        assert_eq!(&again, entry);
        let transition = apply(&state, &again).expect("what was accepted is accepted again");
        verify_signatures(&state, &again).expect("what verified verifies again");
        state.commit(&transition);
    }
    state
}

pub(crate) fn genesis() -> Genesis {
    let bound =
        |(purpose, seed): (&Purpose, u8)| PurposeKey { purpose: *purpose, key: key(seed).public().bytes() };
    Genesis {
        root: RootSet { threshold: 1, keys: vec![key(1).public().bytes()] },
        next_root: None,
        keys: PURPOSES.iter().zip(10..).map(bound).collect(),
        charter: None,
        predecessor: None,
    }
}

pub(crate) fn unit(unit: UnitId, code: &str) -> Payload {
    let (code, name) = (code.to_owned(), "A unit".to_owned());
    Payload::UnitDefined(UnitDefined { unit, code, name, kind: UnitKind::Credit, scale: 2 })
}

pub(crate) fn opened(n: u8, owner: OwnerKind, seed: Option<u8>) -> Payload {
    let key = seed.map(|seed| key(seed).public().bytes());
    Payload::AccountOpened(AccountOpened { account: account(n), owner, key, anchor: false })
}

pub(crate) fn granted(n: u8, role: Role, granted: bool) -> Payload {
    Payload::RoleGranted(RoleGranted { account: account(n), role, granted })
}

pub(crate) fn amount(minor: i64) -> Amount {
    Amount::new(minor).expect("an amount")
}

pub(crate) fn pay(from: u8, to: u8, unit: UnitId, minor: i64) -> Payload {
    Payload::Transfer(Transfer {
        postings: move_value(account(from), account(to), unit, amount(minor)),
        when_day: None,
    })
}

pub(crate) fn postings(lines: &[(u8, u16, i64)]) -> Vec<Posting> {
    lines
        .iter()
        .map(|(n, unit, delta)| Posting { account: account(*n), unit: UnitId(*unit), delta: *delta })
        .collect()
}

pub(crate) fn transfer(lines: &[(u8, u16, i64)]) -> Payload {
    Payload::Transfer(Transfer { postings: postings(lines), when_day: None })
}

pub(crate) fn hold(from: u8, minor: i64) -> Payload {
    let payee_network = LedgerId([0xee; 32]);
    Payload::Hold(Hold {
        account: account(from),
        unit: HOUR,
        amount: amount(minor),
        payee_network,
        when_day: None,
    })
}

pub(crate) fn levels(warn: u64, stop: u64, firm: u64) -> Levels {
    Levels { warn: Some(warn), stop: Some(stop), firm: Some(firm) }
}
