//! What a request asks its signers to sign, in plain words, made from its bytes alone.
//!
//! What must hold: whatever cannot be said in words is not signed; hints (names of units, accounts, the network) are
//! shown beside what they stand for, never in its place.

use crate::outcome::{Exit, Failure, clean};
use std::path::Path;
use weft_protocol::amount::format_decimal;
use weft_protocol::ceremony::{Request, What};
use weft_protocol::clearing::accord::Accord;
use weft_protocol::clearing::dispute::{Dispute, DisputeOutcome};
use weft_protocol::clearing::reset::Reset;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{AccountId, Signer, UnitId};
use weft_protocol::keys::signer_of;
use weft_protocol::ledger::identity::{Purpose, RootSet};
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::reset::NoticeAct;
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};
use weft_protocol::time;

/// For which network, until when, and how many must sign.
pub(crate) fn heading(request: &Request) -> Vec<String> {
    let mut out = vec![
        format!("Network   {} (its own name; what counts is the ledger)", clean(&request.site)),
        format!("Ledger    {}", request.ledger),
        format!("Good until {}", time::moment(request.not_after_ms)),
    ];
    let second = match request.what {
        What::Dispute(_) | What::Reset(_) => "root keys of the other network",
        What::Op(..) | What::Accord(..) => "keys of the new root set",
    };
    for (set, name) in request.sets.iter().zip(["root keys in force", second]) {
        out.push(format!("Must sign {} of these {} {name}: {}", set.threshold, set.keys.len(), signers(set)));
    }
    out.push(String::new());
    out
}

/// How its readers go on.
pub(crate) fn how_to_sign(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    vec![
        String::new(),
        format!("To sign, on a machine that holds your root key: weft key sign {name} --key FILE"),
        "It shows these words again, made from the bytes below: only those count.".to_owned(),
    ]
}

fn signers(set: &RootSet) -> String {
    set.keys.iter().map(|key| signer_of(key).to_string()).collect::<Vec<_>>().join(", ")
}

/// What is signed.
///
/// # Errors
/// When this program has no words for it.
pub(crate) fn lines(request: &Request) -> Result<Vec<String>, Failure> {
    match (&request.what, request.op()) {
        (What::Accord(bytes, _, words), _) => accord(request, &bytes.0, words),
        (What::Dispute(bytes), _) => dispute(request, &bytes.0),
        (What::Reset(bytes), _) => reset(request, &bytes.0),
        (What::Op(..), Ok(Some(op))) => payload(request, &op.payload),
        (What::Op(..), _) => Err(no_words("its operation cannot be read")),
    }
}

fn no_words(why: &str) -> Failure {
    let what = "this request cannot be shown in words";
    Failure::new(Exit::Refused, "request", what, "do not sign it; use a newer program").because(why)
}

fn payload(request: &Request, payload: &Payload) -> Result<Vec<String>, Failure> {
    Ok(match payload {
        Payload::RuleSet(set) => {
            let Rule::Limit(limit) = &set.rule;
            limit_lines(request, limit)
        }
        Payload::UnitDefined(unit) => vec![unit_line(unit)],
        Payload::RoleGranted(granted) => {
            let verb = if granted.granted { "Gives" } else { "Takes from" };
            vec![format!("{verb} {} the role {}.", account(request, &granted.account), role(granted.role))]
        }
        Payload::KeyBound(bound) if bound.purpose == Purpose::Recovery => vec![format!(
            "Binds a recovery key, number {}: {}. Whoever has its secret can read the copies of our entries that peers keep.",
            bound.epoch, bound.key
        )],
        Payload::KeyBound(bound) => vec![format!(
            "Binds a new {} key of the node, number {}: {}.",
            purpose(bound.purpose),
            bound.epoch,
            bound.key
        )],
        Payload::KeyRevoked(revoked) => {
            let mut out = vec![
                format!("Revokes the {} key number {}.", purpose(revoked.purpose), revoked.epoch),
                format!(
                    "What it signed up to entry {} stands; the root of that checkpoint is {}.",
                    revoked.last_good.size, revoked.last_good.root
                ),
            ];
            if let Some(key) = &revoked.replacement {
                out.push(format!("In its place comes {key}."));
            }
            out
        }
        Payload::RootChanged(changed) => {
            let (new, old) = (&changed.root, request.sets.first());
            let mut out = vec![format!(
                "Puts a new root set in force: {} of {} keys sign together.",
                new.threshold,
                new.keys.len()
            )];
            for key in &new.keys {
                let known = old.is_some_and(|old| old.keys.contains(key));
                out.push(format!("  {} {key}", if known { "stays" } else { "new  " }));
            }
            for key in old.into_iter().flat_map(|old| &old.keys).filter(|key| !new.keys.contains(key)) {
                out.push(format!("  goes  {key}"));
            }
            out.push(match &changed.next_root {
                Some(digest) => format!("The set after it is fixed already; its digest is {digest}."),
                None => "The set after it is not fixed in advance.".to_owned(),
            });
            out
        }
        Payload::AccountOpened(opened) => {
            let mut out = vec![format!(
                "Opens the account {} of {}.",
                account(request, &opened.account),
                owner(opened.owner)
            )];
            out.extend(opened.key.as_ref().map(|key| format!("Its holder signs with the key {key}.")));
            out
        }
        Payload::AccountChanged(changed) => {
            let mut out = vec![format!("Changes the account {}.", account(request, &changed.account))];
            out.extend(changed.remove_key.as_ref().map(|signer| format!("Takes away its key {signer}.")));
            out.extend(changed.add_key.as_ref().map(|key| format!("Adds the key {key}.")));
            out.extend(
                changed.anchor.map(|anchor| {
                    format!("It is {}an anchor organisation.", if anchor { "" } else { "not " })
                }),
            );
            out
        }
        Payload::WriteOff(off) => {
            let mut out = vec![format!(
                "Writes off the network at the other end of channel {}, last heard {}.",
                off.channel,
                time::moment(off.heard_ms)
            )];
            for posting in &off.postings {
                let (minor, sign) = (posting.delta.unsigned_abs(), if posting.delta < 0 { '-' } else { '+' });
                out.push(format!(
                    "  {} {sign}{} of {}",
                    account(request, &posting.account),
                    amount(request, posting.unit, minor),
                    unit(request, posting.unit)
                ));
            }
            out
        }
        Payload::ResetNotice(notice) => {
            let peer = notice.peer;
            vec![match (notice.act, notice.not_before_ms) {
                (NoticeAct::Given, Some(ms)) => format!(
                    "Gives notice that the channel with the ledger {peer} is to be reset, not before {}. New payments over it stop.",
                    time::moment(ms)
                ),
                (NoticeAct::Given, None) => format!("Gives notice about the channel with the ledger {peer}."),
                (NoticeAct::TakenBack, _) => {
                    format!("Takes back the notice about the channel with the ledger {peer}.")
                }
                (NoticeAct::Closed, _) => format!(
                    "Closes our side of the channel with the ledger {peer}: nothing more is written or taken in on it before both \
                     root sets have reset it. This cannot be taken back."
                ),
            }]
        }
        Payload::AccountClosed(closed) => {
            vec![format!("Closes the account {}.", account(request, &closed.account))]
        }
        other => {
            return Err(no_words(&format!(
                "an operation of the kind {} is not one that root keys sign here",
                other.kind().name()
            )));
        }
    })
}

fn limit_lines(request: &Request, limit: &LimitRule) -> Vec<String> {
    let whose = match (&limit.account, &limit.owner) {
        (Some(id), _) => account(request, id),
        (None, Some(kind)) => format!("all accounts of {}", owner(*kind)),
        (None, None) => "nobody".to_owned(),
    };
    let mut out = vec![format!(
        "Sets how far balances may go from zero, for {whose}, in {}.",
        unit(request, limit.unit)
    )];
    for (side, levels) in [("below", &limit.below), ("above", &limit.above)] {
        out.push(match levels {
            None => format!("  {side} zero: no limit"),
            Some(levels) => format!("  {side} zero: {}", levels_line(request, limit.unit, levels)),
        });
    }
    out.push(
        "It takes the place of the limit that was set before for the same accounts and unit.".to_owned(),
    );
    out
}

fn levels_line(request: &Request, unit: UnitId, levels: &Levels) -> String {
    let named = [("warning", levels.warn), ("stop", levels.stop), ("firm stop", levels.firm)];
    let one = |(name, level): (&str, Option<u64>)| {
        level.map(|minor| format!("{name} at {}", amount(request, unit, minor)))
    };
    named.into_iter().filter_map(one).collect::<Vec<_>>().join(", ")
}

/// An amount as the ledger counts it, and as the hint reads it.
fn amount(request: &Request, unit: UnitId, minor: u64) -> String {
    match request.units.iter().find(|hint| hint.unit == unit) {
        Some(hint) if hint.scale > 0 && hint.scale <= 6 => {
            let shown = format_decimal(i64::try_from(minor).unwrap_or(i64::MAX), hint.scale);
            format!("{shown} ({minor} as the ledger counts)")
        }
        _ => minor.to_string(),
    }
}

fn unit(request: &Request, unit: UnitId) -> String {
    match request.units.iter().find(|hint| hint.unit == unit) {
        Some(hint) => format!("unit {} (called {})", unit.0, clean(&hint.code)),
        None => format!("unit {}", unit.0),
    }
}

fn account(request: &Request, id: &AccountId) -> String {
    match request.names.iter().find(|hint| hint.account == *id) {
        Some(hint) => format!("{id} (called {})", clean(&hint.name)),
        None => id.to_string(),
    }
}

fn unit_line(unit: &UnitDefined) -> String {
    let kind = match unit.kind {
        UnitKind::Time => "time, in minutes",
        UnitKind::Credit => "credit",
        UnitKind::Money => "money",
        UnitKind::Thing => "things",
    };
    let (code, name) = (clean(&unit.code), clean(&unit.name));
    format!(
        "Defines unit {}: {code} ({name}), which counts {kind}, with {} decimals.",
        unit.unit.0, unit.scale
    )
}

/// The terms of an accord, and the words to compare.
fn accord(request: &Request, bytes: &[u8], words: &[String]) -> Result<Vec<String>, Failure> {
    let accord = Accord::parse(bytes).map_err(|e| no_words(&e.to_string()))?;
    let (them, we_are_a) =
        accord.other(&request.ledger).ok_or_else(|| no_words("it is an accord of others"))?;
    let mut out = vec![format!("Agrees to settle with the network whose ledger is {them}.")];
    for pair in &accord.pairs {
        let ours = pair.unit(we_are_a);
        out.push(format!(
            "  {} of ours against unit {} of theirs, {} to {}.",
            unit(request, ours),
            pair.unit(!we_are_a).0,
            pair.num,
            pair.den
        ));
        let which = if pair.foreign.is_some() {
            pair.booked_unit(we_are_a)
        } else if (pair.position == weft_protocol::clearing::accord::Side::A) == we_are_a {
            ours
        } else {
            UnitId(u16::MAX)
        };
        out.push(format!("  We may owe them at most {}.", amount(request, which, pair.limit(we_are_a))));
        out.push(format!("  They may owe us at most {}.", amount(request, which, pair.limit(!we_are_a))));
    }
    out.push(format!(
        "  Payments of other networks {} pass through.",
        if accord.relay { "may" } else { "may not" }
    ));
    out.push(format!(
        "  Their node {} a copy of our entries that only we can read, and ours {} of theirs.",
        if accord.mirror { "keeps" } else { "does not keep" },
        if accord.mirror { "one" } else { "none" },
    ));
    out.push(format!(
        "Our node shows these check words; the other network must see the same: {}",
        clean(&words.join(" "))
    ));
    Ok(out)
}

/// What both root sets close, and how.
fn dispute(request: &Request, bytes: &[u8]) -> Result<Vec<String>, Failure> {
    let dispute = Dispute::parse(bytes).map_err(|e| no_words(&e.to_string()))?;
    // The hint stands under the place of the unit pair: the unit's number differs on both sides.
    let pair = UnitId(u16::from(dispute.pair));
    let minor = dispute.amount.minor().unsigned_abs();
    let code = request.units.iter().find(|hint| hint.unit == pair);
    let code = code.map_or_else(String::new, |hint| format!(" {}", clean(&hint.code)));
    let what = match dispute.outcome {
        DisputeOutcome::Free => "Frees it: nothing is owed for it between the two.",
        DisputeOutcome::Bound => "Binds it: the debtor owes it to the creditor.",
    };
    Ok(vec![
        format!("Closes one hop of the payment {}, part {}:", dispute.claim, dispute.part),
        format!("  {}{code} in unit pair {} of the accord,", amount(request, pair, minor), dispute.pair),
        format!("  from the ledger {} (debtor)", dispute.debtor),
        format!("  to the ledger {} (creditor).", dispute.creditor),
        what.to_owned(),
        "Both root sets sign this; it is handed in at the creditor's node, and cannot be taken back."
            .to_owned(),
    ])
}

/// How both root sets begin a channel anew.
fn reset(request: &Request, bytes: &[u8]) -> Result<Vec<String>, Failure> {
    let reset = Reset::parse(bytes).map_err(|e| no_words(&e.to_string()))?;
    let mut out = vec![
        format!("Ends the channel between the ledgers {} (A)", reset.a),
        format!("and {} (B), and begins it anew, for the {}. time.", reset.b, reset.n),
        format!("The old streams end at place {} of A's and {} of B's.", reset.end_a.0, reset.end_b.0),
    ];
    for (pair, agreed) in (0_u16..).zip(&reset.positions) {
        // The hint stands under the place of the unit pair: the unit's number differs on both sides.
        let shown = amount(request, UnitId(pair), agreed.unsigned_abs());
        let who = if *agreed < 0 { "B owes A" } else { "A owes B" };
        out.push(format!(
            "In unit pair {pair} {who} {shown}. What the books of a side lack to it goes to its `disputed`."
        ));
    }
    for hop in &reset.bound {
        let by = if hop.by_a { "A" } else { "B" };
        out.push(format!("Bound: payment {}, part {}, which {by} has proposed.", hop.claim, hop.part));
    }
    out.push("Every other open payment over the channel is freed.".to_owned());
    if !reset.rounds.is_empty() {
        out.push(format!(
            "{} results of netting rounds are applied; all else that is held is held no more.",
            reset.rounds.len()
        ));
    }
    out.push(
        "Both root sets sign this; it is handed in at either node, takes effect when both ledgers have found it right, and cannot \
         be taken back then."
            .to_owned(),
    );
    Ok(out)
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Helper => "helper",
        Role::Coordinator => "coordinator",
        Role::Treasurer => "treasurer",
        Role::Operator => "operator",
        Role::Root => "root",
        Role::Node => "node",
    }
}

const fn owner(owner: OwnerKind) -> &'static str {
    match owner {
        OwnerKind::Member => "members",
        OwnerKind::Organisation => "organisations",
        OwnerKind::Commons => "the commons",
        OwnerKind::Pool => "pools",
        OwnerKind::Peer => "peers",
        OwnerKind::Outside => "the outside",
        OwnerKind::Own => "the network itself",
    }
}

/// The name of a purpose.
pub(crate) const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Log => "log",
        Purpose::Witness => "witness",
        Purpose::Seal => "seal",
        Purpose::Libp2p => "libp2p",
        Purpose::Desk => "desk",
        Purpose::Recovery => "recovery",
    }
}

/// Who is still to sign.
pub(crate) fn open(signers: &[Signer]) -> String {
    signers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
