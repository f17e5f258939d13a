//! A ledger in which people are erased and the books are carried forward, and entries of these kinds that are refused.

use super::entries::{ROOTS, account, opened, refused, unit};
use super::kit::{Book, Sign, genesis, hex};
use serde_json::{Value, json};
use weft_protocol::amount::Amount;
use weft_protocol::entry::{How, Payload, Role};
use weft_protocol::ids::{AccountId, Hash, LedgerId, UnitId};
use weft_protocol::ledger::erasure::{Erasure, ErasureReason};
use weft_protocol::ledger::forward::Forward;
use weft_protocol::ledger::members::{AccountClosed, OwnerKind};
use weft_protocol::ledger::own_accounts;
use weft_protocol::ledger::transfer::{Hold, Release, Transfer, move_value};
use weft_protocol::ledger::units::UnitKind;

const HOUR: UnitId = UnitId(0);
const ADA_ID: AccountId = account(0x0a);
const BOB_ID: AccountId = account(0x0b);
const CY_ID: AccountId = account(0x0c);
const DEN_ID: AccountId = account(0x0d);
const ADA: Sign = (20, Role::Member, How::OwnKey);
const OPERATOR: Sign = (14, Role::Operator, How::Custody);
const HELPER: Sign = (14, Role::Helper, How::Custody);

fn erase(account: AccountId, reason: ErasureReason) -> Payload {
    Payload::Erasure(Erasure { account, reason })
}

fn forward(state: Hash) -> Payload {
    Payload::Forward(Forward { state })
}

fn pay(from: AccountId, to: AccountId) -> Payload {
    let postings = move_value(from, to, HOUR, Amount::new(30).expect("an amount"));
    Payload::Transfer(Transfer { postings, when_day: None })
}

fn start() -> Book {
    let mut book = Book::new(10);
    let member = OwnerKind::Member;
    book.write("genesis", Payload::Genesis(genesis(&[1, 2], 2, 10)), vec![], &ROOTS);
    book.write("a unit of time", unit(HOUR, "hour", UnitKind::Time, 0), vec![], &ROOTS);
    book.write("Ada, with a key of her own", opened(ADA_ID, member, Some(20), false), vec![], &[OPERATOR]);
    book.write("Bob", opened(BOB_ID, member, None, false), vec![], &[OPERATOR]);
    book.write("Cy", opened(CY_ID, member, None, false), vec![], &[OPERATOR]);
    book.write("Den", opened(DEN_ID, member, None, false), vec![], &[OPERATOR]);
    book.write("Ada pays Bob", pay(ADA_ID, BOB_ID), vec![], &[ADA]);
    book
}

pub(super) fn vectors() -> Value {
    let mut book = start();
    let asked = ErasureReason::Asked;
    let own = own_accounts::id(own_accounts::NAMES[0]);
    let mut invalid = vec![
        refused::refused(&book, "erasing nobody", erase(account(0x77), asked), &[OPERATOR]),
        refused::refused(&book, "erasing an account of the network's own", erase(own, asked), &[OPERATOR]),
        refused::refused(&book, "a helper has not that office", erase(ADA_ID, asked), &[HELPER]),
        refused::refused(&book, "a member has not that office", erase(ADA_ID, asked), &[ADA]),
        refused::refused(&book, "erased by nobody", erase(ADA_ID, asked), &[]),
        refused::refused(&book, "a forward to another state", forward(Hash([7; 32])), &[OPERATOR]),
        refused::refused(&book, "a forward by nobody", forward(book.state.digest()), &[]),
        refused::refused(&book, "a forward by a member", forward(book.state.digest()), &[ADA]),
    ];
    let amount = Amount::new(5).expect("an amount");
    let payee_network = LedgerId([0xee; 32]);
    let hold = Hold { account: CY_ID, unit: HOUR, amount, payee_network, when_day: None };
    let sidecar = Hash::of("WEFT-SIDECAR/1\n", &[&[1; 32], b"dee"]);
    let desk = (14, Role::Member, How::Custody);
    let hold = book.write("Cy holds value for another network", Payload::Hold(hold), vec![sidecar], &[desk]);
    invalid.push(refused::refused(&book, "value is under way", erase(CY_ID, asked), &[OPERATOR]));
    let postings = move_value(own_accounts::hold(), CY_ID, HOUR, amount);
    let now = book.now_ms + 1_000;
    let mut release = book.op(Payload::Release(Release { hold, postings }), vec![]);
    release.not_after_ms = now;
    book.write_op("it is given back", &release, &[]);
    book.write("Ada is erased, with 30 below zero", erase(ADA_ID, asked), vec![], &[OPERATOR]);
    invalid.extend([
        refused::refused(&book, "erased already", erase(ADA_ID, ErasureReason::Ordered), &[OPERATOR]),
        refused::refused(&book, "her key signs nothing any more", pay(ADA_ID, BOB_ID), &[ADA]),
        refused::refused(&book, "nothing can be paid to her", pay(BOB_ID, ADA_ID), &[desk]),
    ]);
    let close = Payload::AccountClosed(AccountClosed { account: DEN_ID });
    book.write("Den leaves", close, vec![], &[OPERATOR]);
    let retention = erase(DEN_ID, ErasureReason::Retention);
    book.write("and is erased later", retention, vec![], &ROOTS);
    let before = book.state.digest();
    book.write("the books carried forward", forward(before), vec![], &[OPERATOR]);
    invalid.push(refused::refused(&book, "a forward to the state before", forward(before), &[OPERATOR]));
    let ordered = erase(CY_ID, ErasureReason::Ordered);
    book.write("Cy is erased after the forward", ordered, vec![], &[OPERATOR]);
    json!({
        "about": "specs/kinds.md §15 and §16: a ledger as in entries.json, with erasures and a forward",
        "ledger": book.ledger().to_string(),
        "entries": book.cases,
        "state": hex(book.state.to_canonical()),
        "invalid": invalid,
    })
}
