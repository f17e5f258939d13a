//! Entries that break one rule each, signed as an honest or a dishonest node would sign them.

use super::super::kit::{Book, LIFE_MS, Sign, class_of, genesis, hex, key, refusal};
use super::*;
use weft_protocol::encoding::{Blob, encode};
use weft_protocol::entry::StreamHeader;
use weft_protocol::entry::{Auth, Body, Entry};
use weft_protocol::ids::{PUBLIC_STREAM, Signer, StreamId};

/// An entry as the ledger's node would write it next, changed by `change` before it is signed.
pub(in crate::vectors) fn next(
    book: &Book,
    payload: Payload,
    sidecars: Vec<Hash>,
    signs: &[Sign],
    change: impl FnOnce(&mut Body),
) -> Vec<u8> {
    let op = weft_protocol::entry::Op {
        op_id: super::super::kit::op_id(1_000),
        not_after_ms: book.now_ms + LIFE_MS,
        payload,
        sidecars,
    };
    let mut body = book.next_body(&book.signed(&op, signs));
    change(&mut body);
    Entry::sign(&body, &key(book.log_seed)).expect("a well-formed entry").bytes().to_vec()
}

pub(in crate::vectors) fn case(book: &Book, about: &str, bytes: Vec<u8>) -> Value {
    let (code, detail) = refusal(&book.state, &bytes).unwrap_or_else(|| panic!("accepted: {about}"));
    let mut case = json!({
        "about": about, "after": book.state.head.next_seq, "hex": hex(bytes), "class": class_of(&code), "why": code,
    });
    if let Some(detail) = detail {
        case["detail"] = json!(detail);
    }
    case
}

/// An operation that the ledger refuses as its next one.
pub(in crate::vectors) fn refused(book: &Book, about: &str, payload: Payload, signs: &[Sign]) -> Value {
    case(book, about, next(book, payload, vec![], signs, |_| {}))
}

pub(super) fn at_the_start() -> Vec<Value> {
    let book = Book::new(10);
    let start = |change: fn(&mut weft_protocol::ledger::identity::Genesis), signs: &[Sign]| {
        let mut payload = genesis(&[1, 2], 2, 10);
        change(&mut payload);
        next(&book, Payload::Genesis(payload), vec![], signs, |_| {})
    };
    let late = |book: &Book| {
        next(book, Payload::Genesis(genesis(&[1, 2], 2, 10)), vec![], &ROOTS, |body| body.seq = 1)
    };
    vec![
        case(
            &book,
            "no genesis at the start",
            next(&book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[], |_| {}),
        ),
        case(&book, "a genesis at place 1", late(&book)),
        case(&book, "a genesis with one signature of two", start(|_| {}, &ROOTS[..1])),
        case(&book, "a genesis signed twice by one key", start(|_| {}, &[ROOTS[0], ROOTS[0]])),
        case(&book, "a threshold above the number of keys", start(|g| g.root.threshold = 3, &ROOTS)),
        case(&book, "root keys out of order", start(|g| g.root.keys.reverse(), &ROOTS)),
        case(&book, "a key missing", start(|g| g.keys.truncate(4), &ROOTS)),
        case(&book, "one key for two purposes", start(|g| g.keys[4].key = g.keys[1].key, &ROOTS)),
        case(&book, "a root key for another purpose", start(|g| g.keys[1].key = g.root.keys[0], &ROOTS)),
        case(
            &book,
            "a weak log key",
            start(
                |g| {
                    g.keys[0].key.0 = {
                        let mut y = [0; 32];
                        y[0] = 1;
                        y
                    }
                },
                &ROOTS,
            ),
        ),
        case(
            &book,
            "another ledger id",
            next(&book, Payload::Genesis(genesis(&[1, 2], 2, 10)), vec![], &ROOTS, |body| {
                body.ledger = LedgerId([1; 32]);
            }),
        ),
    ]
}

pub(super) fn before_the_new_key(book: &Book) -> Vec<Value> {
    let mut out = form_and_place(book);
    out.extend(operations(book));
    out.extend(authority(book));
    out.extend(rules(book));
    out
}

fn good(book: &Book) -> Vec<u8> {
    next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA], |_| {})
}

fn form_and_place(book: &Book) -> Vec<Value> {
    let pay_1 = |change: fn(&mut Body)| next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA], change);
    let trailing = [good(book), vec![0]].concat();
    let cut = good(book)[..100].to_vec();
    let mut flipped = good(book);
    let last = flipped.len() - 1;
    flipped[last] ^= 0x80;
    let header = StreamHeader { id: PUBLIC_STREAM, sseq: 3, sprev: Hash::ZERO };
    let mut cases = vec![
        case(book, "a byte too many", trailing),
        case(book, "cut off", cut),
        case(book, "too long", vec![0x40; 4_097]),
        case(book, "a flipped bit in the node's signature", flipped),
        case(book, "seq too high", pay_1(|b| b.seq += 1)),
        case(book, "seq again", pay_1(|b| b.seq -= 1)),
        case(book, "another entry before it", pay_1(|b| b.prev = Hash([1; 32]))),
        case(book, "time goes back", pay_1(|b| b.time_ms -= 2_000)),
        case(book, "boot goes back", pay_1(|b| b.boot -= 1)),
        case(book, "an epoch that is not bound", pay_1(|b| b.epoch = 1)),
        case(book, "another ledger", pay_1(|b| b.ledger = LedgerId([1; 32]))),
        case(
            book,
            "a transfer in the public stream",
            pay_1(|b| {
                b.stream = Some(StreamHeader { id: PUBLIC_STREAM, sseq: 3, sprev: Hash::ZERO });
            }),
        ),
    ];
    let public = |change: fn(&mut Body)| {
        next(book, unit(UnitId(7), "meal", UnitKind::Credit, 0), vec![], &ROOTS, change)
    };
    cases.extend([
        case(book, "a unit outside the public stream", public(|b| b.stream = None)),
        case(
            book,
            "a unit in another stream",
            public(|b| {
                b.stream = b.stream.map(|h| StreamHeader { id: StreamId([1; 16]), ..h });
            }),
        ),
        case(
            book,
            "a place of the stream left out",
            public(|b| {
                b.stream = b.stream.map(|h| StreamHeader { sseq: h.sseq + 1, ..h });
            }),
        ),
        case(
            book,
            "another entry before it in the stream",
            public(|b| {
                b.stream = b.stream.map(|h| StreamHeader { sprev: Hash([1; 32]), ..h });
            }),
        ),
        case(
            book,
            "a second genesis",
            next(book, Payload::Genesis(genesis(&[1, 2], 2, 10)), vec![], &ROOTS, |b| {
                b.ledger = book.ledger();
                b.stream = Some(header);
            }),
        ),
    ]);
    cases.extend(malformed(book));
    cases
}

/// Entries whose levels are signed as they stand but are not canonical or not known.
fn malformed(book: &Book) -> Vec<Value> {
    let body = book.next_body(&book.signed(
        &weft_protocol::entry::Op {
            op_id: super::super::kit::op_id(1_000),
            not_after_ms: book.now_ms + LIFE_MS,
            payload: pay(ADA_ID, BOB_ID, HOUR, 1),
            sidecars: vec![],
        },
        &[ADA],
    ));
    let sealed = |body_bytes: Vec<u8>| {
        let sig = key(10).sign(weft_protocol::keys::ENTRY, &[book.ledger().as_bytes(), &body_bytes]);
        let mut out = vec![0x82];
        out.extend_from_slice(&encode(&Blob(body_bytes)));
        out.extend_from_slice(&encode(&sig));
        out
    };
    let with = |change: fn(&mut Body)| {
        let mut body = body.clone();
        change(&mut body);
        sealed(encode(&body))
    };
    let mut extra_field = encode(&body);
    extra_field[0] += 1;
    extra_field.extend([0x18, 0x63, 0x00]);
    let mut empty_auth = encode(&Body { auth: vec![], ..body.clone() });
    // The op is the last field before the salt (key 9); an empty list goes in between.
    let at = empty_auth.windows(2).rposition(|w| w == [0x09, 0x50]).expect("the salt's key and head");
    empty_auth.splice(at..at, [0x08, 0x80]);
    empty_auth[0] += 1;
    vec![
        case(book, "a version of the future", with(|b| b.v = 2)),
        case(book, "a kind of the future", with(|b| b.kind = 0x0601)),
        case(book, "a reserved step", with(|b| b.kind = 0x0b12)),
        case(book, "a field that is not known", sealed(extra_field)),
        case(book, "an empty list of signatures", sealed(empty_auth)),
        case(book, "the payload of another kind", with(|b| b.kind = 0x0203)),
        case(book, "an operation with something after it", with(|b| b.op.0.push(0))),
    ]
}

fn operations(book: &Book) -> Vec<Value> {
    let done = Entry::parse(&book.entries[11]).expect("the lifted payment");
    let again = |order: [usize; 2]| {
        let auth: Vec<Auth> = order.iter().map(|i| done.body().auth[*i].clone()).collect();
        next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA], |b| {
            b.op = done.body().op.clone();
            b.auth = auth;
        })
    };
    let timed = |not_after_ms: u64| {
        let op = weft_protocol::entry::Op {
            op_id: super::super::kit::op_id(1_000),
            not_after_ms,
            payload: pay(ADA_ID, BOB_ID, HOUR, 1),
            sidecars: vec![],
        };
        let body = book.next_body(&book.signed(&op, &[ADA]));
        Entry::sign(&body, &key(book.log_seed)).expect("a well-formed entry").bytes().to_vec()
    };
    let release =
        Payload::Release(Release { hold: Hash::ZERO, postings: turned(&pay(ADA_ID, BOB_ID, HOUR, 1)) });
    vec![
        case(book, "an operation done before", again([0, 1])),
        case(book, "an operation done before, its signatures in another order", again([1, 0])),
        case(book, "an operation too late", timed(book.now_ms)),
        case(book, "an operation that would live 36 days", timed(book.now_ms + 36 * DAY_MS)),
        case(
            book,
            "a transfer that nobody signed",
            next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[], |_| {}),
        ),
        case(book, "a release that somebody signed", next(book, release, vec![], &[ADA], |_| {})),
    ]
}

fn authority(book: &Book) -> Vec<Value> {
    let paid = |signs: &[Sign]| next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], signs, |_| {});
    let relabelled =
        next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA], |b| b.auth[0].role = Role::Helper);
    let forged = next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA], |b| b.auth[0].sig.0[3] ^= 4);
    let short = next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA], |b| b.auth[0].sig.0.truncate(63));
    let how_relabelled =
        next(book, pay(BOB_ID, ADA_ID, HOUR, 1), vec![], &[DESK], |b| b.auth[0].how = How::Paper);
    let stranger =
        next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA], |b| b.auth[0].signer = Signer([9; 8]));
    let role = RoleGranted { account: ADA_ID, role: Role::Operator, granted: true };
    let member_role = RoleGranted { account: ADA_ID, role: Role::Member, granted: true };
    vec![
        case(book, "a signature with a flipped bit", forged),
        case(book, "a signature of 63 bytes", short),
        case(book, "a signer nobody knows", stranger),
        case(book, "a role that the node relabelled, and that is not held", relabelled),
        case(book, "a how that the node relabelled", how_relabelled),
        case(book, "a role that is not held", paid(&[(20, Role::Coordinator, How::OwnKey)])),
        case(book, "a passkey", paid(&[(20, Role::Member, How::Passkey)])),
        case(book, "the root set through the desk", paid(&[(14, Role::Root, How::Custody)])),
        case(book, "somebody who signs as the node", paid(&[(20, Role::Node, How::OwnKey)])),
        case(book, "the desk for somebody who has a key", paid(&[DESK])),
        case(book, "another member", paid(&[(22, Role::Member, How::OwnKey)])),
        case(
            book,
            "a role granted by a coordinator",
            next(book, Payload::RoleGranted(role), vec![], &[CY], |_| {}),
        ),
        case(
            book,
            "a role that cannot be granted",
            next(book, Payload::RoleGranted(member_role), vec![], &ROOTS, |_| {}),
        ),
        case(
            book,
            "an account opened by a member",
            next(book, opened(account(9), OwnerKind::Member, None, false), vec![], &[ADA], |_| {}),
        ),
        case(
            book,
            "seventeen signatures",
            next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA; 17], |_| {}),
        ),
    ]
}

fn rules(book: &Book) -> Vec<Value> {
    let by = |payload: Payload, signs: &[Sign]| next(book, payload, vec![], signs, |_| {});
    let transfer = |postings: Vec<(AccountId, u16, i64)>| {
        let posting = |(account, unit, delta)| Posting { account, unit: UnitId(unit), delta };
        let postings = postings.into_iter().map(posting).collect();
        by(Payload::Transfer(Transfer { postings, when_day: None }), &[ADA])
    };
    let genesis_leaf = book.state.identity().expect("there is a genesis").genesis;
    let levels = |warn, stop, firm| Some(Levels { warn, stop, firm });
    let (held, sidecars) = hold();
    let home = match &held {
        Payload::Hold(hold) => Payload::Hold(Hold { payee_network: book.ledger(), ..hold.clone() }),
        _ => held.clone(),
    };
    let reversal = |seq, postings| by(Payload::Reversal(Reversal { seq, postings }), &[CY]);
    let bound = |epoch, seed: u8| {
        Payload::KeyBound(KeyBound { purpose: Purpose::Log, epoch, key: key(seed).public().bytes() })
    };
    let change = |add: Option<u8>, remove, anchor| {
        let add_key = add.map(|seed| key(seed).public().bytes());
        Payload::AccountChanged(AccountChanged { account: ADA_ID, add_key, remove_key: remove, anchor })
    };
    let many: Vec<_> = (0..65).map(|i| (account(i), 0, 1)).collect();
    assert!(many.len() > 64, "more postings than a list may have are no entry at all");
    vec![
        case(book, "no postings", transfer(vec![])),
        case(book, "postings out of order", transfer(vec![(BOB_ID, 0, 1), (ADA_ID, 0, -1)])),
        case(book, "one account and unit twice", transfer(vec![(ADA_ID, 0, -1), (ADA_ID, 0, 1)])),
        case(book, "a posting of zero", transfer(vec![(ADA_ID, 0, 0), (BOB_ID, 0, 0)])),
        case(
            book,
            "a posting beyond 2^62",
            transfer(vec![(ADA_ID, 0, -(1 << 62) - 1), (BOB_ID, 0, (1 << 62) + 1)]),
        ),
        case(book, "value out of nothing", transfer(vec![(ADA_ID, 0, -1), (BOB_ID, 0, 2)])),
        case(book, "sums that cancel over two units", transfer(vec![(ADA_ID, 0, -1), (BOB_ID, 1, 1)])),
        case(book, "a unit nobody defined", transfer(vec![(ADA_ID, 9, -1), (BOB_ID, 9, 1)])),
        case(book, "a balance beyond 2^62", transfer(vec![(ADA_ID, 0, -(1 << 62)), (BOB_ID, 0, 1 << 62)])),
        case(book, "an account nobody opened", transfer(vec![(ADA_ID, 0, -1), (account(0xdd), 0, 1)])),
        case(book, "into an own account", by(pay(ADA_ID, own_accounts::hold(), HOUR, 1), &[ADA])),
        case(book, "beyond the stop", by(pay(ADA_ID, BOB_ID, HOUR, 90), &[ADA])),
        case(book, "beyond the firm stop, though lifted", by(pay(ADA_ID, BOB_ID, HOUR, 300), &[ADA, CY])),
        case(book, "a reversal of what is no transfer", reversal(3, turned(&pay(ADA_ID, BOB_ID, HOUR, 30)))),
        case(book, "a second reversal", reversal(9, turned(&pay(ADA_ID, BOB_ID, HOUR, 30)))),
        case(book, "a reversal of a part", reversal(11, turned(&pay(ADA_ID, CY_ID, HOUR, 20)))),
        case(book, "a hold without a sidecar", next(book, held.clone(), vec![], &[ADA], |_| {})),
        case(book, "a hold for the own network", next(book, home, sidecars, &[ADA], |_| {})),
        case(
            book,
            "a release of what is not held",
            by(
                Payload::Release(Release {
                    hold: Hash([1; 32]),
                    postings: turned(&pay(ADA_ID, BOB_ID, HOUR, 1)),
                }),
                &[],
            ),
        ),
        case(book, "an account that exists", by(opened(ADA_ID, OwnerKind::Member, None, false), &[CY])),
        case(book, "an account for a peer", by(opened(account(9), OwnerKind::Peer, None, false), &[CY])),
        case(
            book,
            "an anchor that is a person",
            by(opened(account(9), OwnerKind::Member, None, true), &[CY]),
        ),
        case(book, "a key that is in use", by(opened(account(9), OwnerKind::Member, Some(20), false), &[CY])),
        case(
            book,
            "the desk key for a member",
            by(opened(account(9), OwnerKind::Member, Some(14), false), &[CY]),
        ),
        case(book, "no change", by(change(None, None, None), &[CY])),
        case(book, "a key to remove that is not there", by(change(None, Some(Signer([1; 8])), None), &[CY])),
        case(book, "a person as an anchor", by(change(None, None, Some(true)), &[CY])),
        case(
            book,
            "closing with a balance",
            by(Payload::AccountClosed(AccountClosed { account: ADA_ID }), &[CY]),
        ),
        case(
            book,
            "a role held already",
            by(
                Payload::RoleGranted(RoleGranted { account: CY_ID, role: Role::Coordinator, granted: true }),
                &ROOTS,
            ),
        ),
        case(book, "a unit number in use", by(unit(HOUR, "other", UnitKind::Time, 0), &ROOTS)),
        case(book, "a unit code in use", by(unit(UnitId(7), "hour", UnitKind::Time, 0), &ROOTS)),
        case(book, "a unit code in capitals", by(unit(UnitId(7), "Hour", UnitKind::Time, 0), &ROOTS)),
        case(book, "seven decimals", by(unit(UnitId(7), "seven", UnitKind::Time, 7), &ROOTS)),
        case(
            book,
            "a rule without authority",
            by(limit(Hash([1; 32]), (Some(ADA_ID), None), levels(None, Some(1), None)), &ROOTS),
        ),
        case(book, "a rule for nobody", by(limit(genesis_leaf, (None, None), None), &ROOTS)),
        case(
            book,
            "a rule for an account and a kind",
            by(limit(genesis_leaf, (Some(ADA_ID), Some(OwnerKind::Member)), None), &ROOTS),
        ),
        case(
            book,
            "levels that fall",
            by(limit(genesis_leaf, (Some(ADA_ID), None), levels(Some(9), Some(8), None)), &ROOTS),
        ),
        case(
            book,
            "levels without a level",
            by(limit(genesis_leaf, (Some(ADA_ID), None), levels(None, None, None)), &ROOTS),
        ),
        case(book, "an epoch left out", by(bound(2, 15), &ROOTS)),
        case(book, "a key bound before", by(bound(1, 10), &ROOTS)),
        case(book, "a key bound for another purpose", by(bound(2, 11), &ROOTS)),
        case(book, "a root key bound", by(bound(2, 1), &ROOTS)),
        case(book, "a key bound by a coordinator", by(bound(1, 15), &[CY])),
    ]
}

pub(super) fn at_the_end(book: &Book) -> Vec<Value> {
    let by = |payload: Payload, signs: &[Sign]| next(book, payload, vec![], signs, |_| {});
    let old_epoch = next(book, pay(ADA_ID, BOB_ID, HOUR, 1), vec![], &[ADA], |b| b.epoch = 0);
    let body = Entry::parse(&good(book)).expect("a well-formed entry").body().clone();
    let old_key = Entry::sign(&body, &key(10)).expect("a well-formed entry").bytes().to_vec();
    vec![
        case(book, "the old epoch", old_epoch),
        case(book, "the new epoch under the old key", old_key),
        case(book, "a payment to a closed account", by(pay(ADA_ID, DEN_ID, HOUR, 1), &[ADA])),
        case(book, "the desk for Bob, who has a key by now", by(pay(BOB_ID, ADA_ID, HOUR, 1), &[DESK])),
        case(
            book,
            "a reversal after 60 days",
            by(
                Payload::Reversal(Reversal { seq: 11, postings: turned(&pay(ADA_ID, CY_ID, HOUR, 120)) }),
                &[CY],
            ),
        ),
    ]
}
