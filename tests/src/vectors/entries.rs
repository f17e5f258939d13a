//! A small ledger from its genesis, and entries that it refuses.

pub(super) mod refused;

use super::kit::{Book, Sign, genesis, hex, key};
use serde_json::{Value, json};
use weft_protocol::amount::Amount;
use weft_protocol::entry::{How, Payload, Role};
use weft_protocol::ids::{AccountId, Hash, LedgerId, UnitId};
use weft_protocol::ledger::identity::{KeyBound, Purpose};
use weft_protocol::ledger::members::{AccountChanged, AccountClosed, AccountOpened, OwnerKind, RoleGranted};
use weft_protocol::ledger::own_accounts;
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::transfer::{Hold, Posting, Release, Reversal, Transfer, move_value};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};

pub(super) const ROOTS: [Sign; 2] = [(1, Role::Root, How::OwnKey), (2, Role::Root, How::OwnKey)];
const CY: Sign = (22, Role::Coordinator, How::OwnKey);
const DESK: Sign = (14, Role::Member, How::Custody);
const ADA: Sign = (20, Role::Member, How::OwnKey);
const NEXT_LOG_SEED: u8 = 15;
const DAY_MS: u64 = 86_400_000;

pub(super) const fn account(byte: u8) -> AccountId {
    AccountId([byte; 16])
}
const ADA_ID: AccountId = account(0x0a);
const BOB_ID: AccountId = account(0x0b);
const CY_ID: AccountId = account(0x0c);
const DEN_ID: AccountId = account(0x0d);
const HOUR: UnitId = UnitId(0);
const COIN: UnitId = UnitId(1);

pub(super) fn unit(unit: UnitId, code: &str, kind: UnitKind, scale: u8) -> Payload {
    Payload::UnitDefined(UnitDefined { unit, code: code.into(), name: format!("One {code}"), kind, scale })
}

pub(super) fn opened(account: AccountId, owner: OwnerKind, seed: Option<u8>, anchor: bool) -> Payload {
    let key = seed.map(|seed| key(seed).public().bytes());
    Payload::AccountOpened(AccountOpened { account, owner, key, anchor })
}

fn pay(from: AccountId, to: AccountId, unit: UnitId, minor: i64) -> Payload {
    let postings = move_value(from, to, unit, Amount::new(minor).expect("an amount"));
    Payload::Transfer(Transfer { postings, when_day: None })
}

fn limit(authority: Hash, scope: (Option<AccountId>, Option<OwnerKind>), below: Option<Levels>) -> Payload {
    let (account, owner) = scope;
    let rule = Rule::Limit(LimitRule { unit: HOUR, account, owner, below, above: None });
    Payload::RuleSet(RuleSet { authority, rule })
}

fn turned(payload: &Payload) -> Vec<Posting> {
    let Payload::Transfer(transfer) = payload else { return Vec::new() };
    transfer.postings.iter().map(|p| Posting { delta: -p.delta, ..*p }).collect()
}

fn hold() -> (Payload, Vec<Hash>) {
    let amount = Amount::new(25).expect("an amount");
    let hold =
        Hold { account: ADA_ID, unit: HOUR, amount, payee_network: LedgerId([0xee; 32]), when_day: Some(-1) };
    (Payload::Hold(hold), vec![Hash::of("WEFT-SIDECAR/1\n", &[&[1; 32], b"bob"])])
}

/// The ledger up to before the log key changes.
fn first_half() -> Book {
    let mut book = Book::new(10);
    let open = OwnerKind::Member;
    let genesis_leaf = book.write("genesis", Payload::Genesis(genesis(&[1, 2], 2, 10)), vec![], &ROOTS);
    book.write("a unit of time", unit(HOUR, "hour", UnitKind::Time, 0), vec![], &ROOTS);
    book.write("a unit of credit", unit(COIN, "hull-coin", UnitKind::Credit, 2), vec![], &ROOTS);
    book.write("Cy, with a key of her own", opened(CY_ID, open, Some(22), false), vec![], &ROOTS);
    let role = RoleGranted { account: CY_ID, role: Role::Coordinator, granted: true };
    book.write("Cy becomes coordinator", Payload::RoleGranted(role), vec![], &ROOTS);
    book.write("Ada, opened by Cy", opened(ADA_ID, open, Some(20), false), vec![], &[CY]);
    let desk = (14, Role::Coordinator, How::Custody);
    book.write("Bob, without a key, through the desk", opened(BOB_ID, open, None, false), vec![], &[desk]);
    book.write("an anchor", opened(DEN_ID, OwnerKind::Organisation, None, true), vec![], &[desk]);
    let levels = Levels { warn: Some(50), stop: Some(100), firm: Some(300) };
    let rule = limit(genesis_leaf, (None, Some(open)), Some(levels));
    book.write("how far members may go below zero", rule, vec![], &ROOTS);
    let first = pay(ADA_ID, BOB_ID, HOUR, 30);
    book.write("Ada pays Bob", first.clone(), vec![], &[ADA]);
    book.write("Bob pays the anchor, in custody", pay(BOB_ID, DEN_ID, COIN, 1_250), vec![], &[DESK]);
    book.write("Ada pays beyond her stop; Cy lifts it", pay(ADA_ID, CY_ID, HOUR, 120), vec![], &[ADA, CY]);
    let reversal = Reversal { seq: 9, postings: turned(&first) };
    book.write("the first payment undone", Payload::Reversal(reversal), vec![], &[CY]);
    book.write("Cy pays Ada back", pay(CY_ID, ADA_ID, HOUR, 100), vec![], &[(22, Role::Member, How::OwnKey)]);
    let (payload, sidecars) = hold();
    let held = book.write("Ada holds value for another network", payload, sidecars, &[ADA]);
    let postings = move_value(own_accounts::hold(), ADA_ID, HOUR, Amount::new(25).expect("an amount"));
    let now = book.now_ms + 1_000;
    let mut release = book.op(Payload::Release(Release { hold: held, postings }), vec![]);
    release.not_after_ms = now;
    book.write_op("the node gives it back", &release, &[]);
    book
}

fn second_half(book: &mut Book) {
    let add = AccountChanged {
        account: BOB_ID,
        add_key: Some(key(21).public().bytes()),
        remove_key: None,
        anchor: None,
    };
    book.write("Bob has a key now", Payload::AccountChanged(add), vec![], &[CY]);
    let bound = KeyBound { purpose: Purpose::Log, epoch: 1, key: key(NEXT_LOG_SEED).public().bytes() };
    book.write("a new log key", Payload::KeyBound(bound), vec![], &ROOTS);
    book.log_seed = NEXT_LOG_SEED;
    let bob = (21, Role::Member, How::OwnKey);
    book.write("Bob pays with his key, under the new log key", pay(BOB_ID, ADA_ID, HOUR, 5), vec![], &[bob]);
    book.write("the anchor pays Bob", pay(DEN_ID, BOB_ID, COIN, 1_250), vec![], &[DESK]);
    book.write("the anchor leaves", Payload::AccountClosed(AccountClosed { account: DEN_ID }), vec![], &[CY]);
    book.now_ms += 61 * DAY_MS;
    book.write("61 days later: old rows are forgotten", pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA]);
}

/// The whole ledger.
pub(super) fn book() -> Book {
    let mut book = first_half();
    second_half(&mut book);
    book
}

pub(super) fn vectors() -> Value {
    let mut book = first_half();
    let mut invalid = refused::before_the_new_key(&book);
    invalid.splice(0..0, refused::at_the_start());
    second_half(&mut book);
    invalid.extend(refused::at_the_end(&book));
    json!({
        "about": "specs/entry.md, specs/kinds.md, specs/ledger.md: a ledger from its genesis; `digest` is the state's after the entry. \
                  An invalid entry stands after the first `after` entries",
        "ledger": book.ledger().to_string(),
        "entries": book.cases,
        "state": hex(book.state.to_canonical()),
        "invalid": invalid,
    })
}
