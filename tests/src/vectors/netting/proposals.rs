//! Proposals about invoices between members: their id, the part of each member, the words that these sign, the payments.

use super::super::kit::{hex, key};
use serde_json::{Value, json};
use weft_protocol::amount::Amount;
use weft_protocol::ids::{AccountId, LedgerId, UnitId};
use weft_protocol::netting::proposal::{Invoice, Proposal, Rooms, Stage, sign_word, verify_word};

const LEDGER: LedgerId = LedgerId([0x11; 32]);
const NOW_MS: u64 = 1_767_225_600_000;
/// Seed of the key of a member who signs.
const MEMBER: u8 = 61;

fn account(n: u8) -> AccountId {
    AccountId([n; 16])
}

pub(super) fn proposals() -> Value {
    // Two invoices of the same two are added up; what 1 gives goes through 2 to 3.
    let invoices = [(1, 2, 60), (2, 3, 70), (1, 2, 40), (3, 2, 5), (4, 1, 9)];
    let rooms: Rooms = [(account(1), (40, 0)), (account(3), (0, 100))].into();
    let given = invoices.map(|(debtor, creditor, amount)| Invoice {
        debtor: account(debtor),
        creditor: account(creditor),
        amount: Amount::new(amount).expect("an amount"),
    });
    let times = (NOW_MS, NOW_MS + 86_400_000);
    let mut proposal = Proposal::new(&LEDGER, UnitId(3), times, &given, &rooms).expect("a proposal");
    let mut json = json!({
        "ledger": hex(LEDGER.0),
        "unit": 3,
        "until_ms": times.1,
        "invoices": invoices.map(|(a, b, amount)| json!([hex(account(a).0), hex(account(b).0), amount])),
        "rooms": rooms.iter().map(|(of, (give, take))| json!([hex(of.0), give, take])).collect::<Vec<_>>(),
        "id": proposal.id.to_string(),
        "lines": lines(&proposal),
        "parts": parts(&proposal),
    });
    json["refused"] = {
        proposal.say(account(4), false, &proposal.part(account(4)), &rooms).expect("a word that counts");
        json!({ "by": hex(account(4).0), "lines": lines(&proposal), "parts": parts(&proposal) })
    };
    let part = proposal.part(account(1));
    for agreeing in [1, 2, 3] {
        let part = proposal.part(account(agreeing));
        proposal.say(account(agreeing), true, &part, &rooms).expect("a word that counts");
    }
    assert_eq!(proposal.stage, Stage::Agreed);
    let payments = proposal.payments();
    json["payments"] = payments
        .iter()
        .map(|one| json!([hex(one.from.0), hex(one.to.0), one.amount.minor(), one.op_id.to_string()]))
        .collect();
    assert!(!payments.is_empty());
    let (member, other) = (key(MEMBER), proposal.part(account(2)));
    let word = |about: &str, agrees: bool, signed: bool, over: &_| {
        let sig = sign_word(&member, &LEDGER, over, signed);
        let right = verify_word(&member.public(), &LEDGER, &part, agrees, &sig).is_ok();
        json!({
            "about": about, "part": part.to_string(), "agrees": agrees, "key": member.public().bytes().to_string(),
            "sig": sig.to_string(), "why": (!right).then_some("signature"),
        })
    };
    json["words"] = json!([
        word("a yes", true, true, &part),
        word("a no", false, false, &part),
        word("a no turned into a yes", true, false, &part),
        word("a yes to the part of somebody else", true, true, &other),
    ]);
    json
}

/// Debtor, creditor, amount, and how much of it is paid.
fn lines(proposal: &Proposal) -> Vec<Value> {
    let line = |line: &weft_protocol::netting::proposal::Line| {
        json!([hex(line.debtor.0), hex(line.creditor.0), line.amount, line.paid])
    };
    proposal.lines.iter().map(line).collect()
}

fn parts(proposal: &Proposal) -> Value {
    let part = |of: AccountId| json!([hex(of.0), proposal.part(of).to_string(), proposal.moves(&of)]);
    proposal.accounts().into_iter().map(part).collect()
}
