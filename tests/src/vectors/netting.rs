//! Debts with their components, costs and certificates; certificates that break a rule each, and debts that cannot stand.

mod proposals;

use super::kit::hex;
use serde_json::{Value, json};
use weft_protocol::ids::Hash;
use weft_protocol::netting::certificate::CertificateError;
use weft_protocol::netting::costs::cost;
use weft_protocol::netting::file::{Certificate, NameError, party};
use weft_protocol::netting::members::{Account, Members, MembersError, Paid};
use weft_protocol::netting::{Debt, DebtError, Debts, MAX_TOTAL, Party};

const ALONE: Hash = Hash([0; 32]);

/// Debtor, creditor and amount.
type Row = (u8, u8, i64);

pub(super) fn vectors() -> Value {
    json!({
        "about": "specs/netting.md",
        "names": names(),
        "no_names": no_names(),
        "costs": drawn(),
        "refused_debts": refused(),
        "cases": cases(),
        "members": members(),
        "proposal": proposals::proposals(),
    })
}

fn names() -> Vec<Value> {
    let names = ["Ada", " Bo the baker ", "Zoë & Söhne"];
    names.iter().map(|name| json!({ "name": name, "party": hex(party(name).expect("a name")) })).collect()
}

fn no_names() -> Vec<Value> {
    let cases = [
        ("blanks only", " \t ".to_owned()),
        ("a byte too long", "x".repeat(201)),
        ("two bytes a letter", "é".repeat(101)),
        ("a bell", "A\u{7}da".to_owned()),
        ("a control character of two bytes", "A\u{85}da".to_owned()),
    ];
    let case = |(about, name): (&str, String)| {
        let why = match party(&name).expect_err("no name") {
            NameError::Empty => "empty",
            NameError::TooLong { .. } => "too-long",
            NameError::Control(_) => "control",
        };
        json!({ "about": about, "name": name, "why": why })
    };
    cases.into_iter().map(case).collect()
}

fn of(number: u8) -> Party {
    [number; 32]
}

fn drawn() -> Vec<Value> {
    let seed = Hash([9; 32]);
    let case = |parties: usize| {
        let cost = cost(parties, &seed, &of(1), &of(2));
        json!({
            "parties": parties, "seed": seed.to_string(), "debtor": hex(of(1)), "creditor": hex(of(2)), "cost": cost,
        })
    };
    [2, 3, 4, 5, 1_000, 1_024, 1_025, 1_000_000].map(case).to_vec()
}

fn listed(debts: &[Debt]) -> Vec<Value> {
    debts.iter().map(|debt| json!([hex(debt.debtor), hex(debt.creditor), debt.amount])).collect()
}

fn debt((debtor, creditor, amount): Row) -> Debt {
    Debt { debtor: of(debtor), creditor: of(creditor), amount }
}

fn refused() -> Vec<Value> {
    let cases: [(&str, Vec<Row>); 4] = [
        ("nothing is owed", vec![(1, 2, 5), (2, 1, 0)]),
        ("less than nothing is owed", vec![(1, 2, -5)]),
        ("a debt to oneself", vec![(1, 1, 5)]),
        ("one more than can be counted", vec![(1, 2, MAX_TOTAL), (2, 1, 1)]),
    ];
    let case = |(about, debts): (&str, Vec<Row>)| {
        let debts: Vec<Debt> = debts.into_iter().map(debt).collect();
        let why = match Debts::new(&debts).expect_err("debts that cannot stand") {
            DebtError::Amount { .. } => "amount",
            DebtError::ToSelf { .. } => "to-self",
            DebtError::Total { .. } => "total",
            DebtError::Edges { .. } => "edges",
        };
        json!({ "about": about, "debts": listed(&debts), "why": why })
    };
    cases.into_iter().map(case).collect()
}

/// A generator that every language has: splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn random(seed: u64, parties: u64, count: usize, most: u64) -> Vec<Row> {
    let mut state = seed;
    let mut below = |bound: u64| next(&mut state) % bound;
    let byte = |number: u64| u8::try_from(number).expect("few parties");
    let mut one = || {
        let debtor = below(parties);
        let creditor = (debtor + 1 + below(parties - 1)) % parties;
        (byte(debtor), byte(creditor), i64::try_from(1 + below(most)).expect("small amounts"))
    };
    (0..count).map(|_| one()).collect()
}

fn cases() -> Vec<Value> {
    let half = MAX_TOTAL / 2;
    let cases = [
        ("no debts", ALONE, vec![]),
        (
            "a circle and a debt outside of it",
            ALONE,
            vec![(1, 2, 5), (2, 3, 7), (3, 1, 4), (3, 4, 9), (1, 2, 1)],
        ),
        ("a small circle within a large one", ALONE, vec![(1, 2, 5), (2, 1, 3), (2, 3, 5), (3, 1, 5)]),
        ("no circle", ALONE, vec![(1, 2, 5), (2, 3, 5), (1, 3, 5)]),
        (
            "two components and a debt between them",
            ALONE,
            vec![(5, 4, 2), (4, 5, 3), (3, 4, 10), (1, 2, 1), (2, 3, 1), (3, 1, 1)],
        ),
        ("as much as can be counted", ALONE, vec![(1, 2, half), (2, 1, half)]),
        ("twelve parties", Hash([9; 32]), random(1, 12, 40, 1_000)),
        ("the same with another seed", Hash([10; 32]), random(1, 12, 40, 1_000)),
        ("debts of one or two", ALONE, random(2, 20, 90, 2)),
        ("forty parties", ALONE, random(3, 40, 200, 1 << 40)),
    ];
    cases.into_iter().map(|(about, seed, debts)| case(about, &seed, debts)).collect()
}

fn case(about: &str, seed: &Hash, debts: Vec<Row>) -> Value {
    let given: Vec<Debt> = debts.into_iter().map(debt).collect();
    let debts = Debts::new(&given).expect("debts that can stand");
    let certificate = Certificate::solve(&debts, seed);
    certificate.verify(&debts).expect("a certificate of ours");
    let components: Vec<Value> =
        debts.components(seed).iter().map(|part| json!([part.nodes, part.edges])).collect();
    let edges: Vec<Value> =
        debts.arcs().iter().map(|arc| json!([arc.debtor, arc.creditor, arc.amount])).collect();
    json!({
        "about": about,
        "debts": listed(&given),
        "parties": debts.parties().iter().map(hex).collect::<Vec<_>>(),
        "edges": edges,
        "hash": debts.hash().to_string(),
        "components": components,
        "reductions": certificate.reductions,
        "potentials": certificate.potentials,
        "certificate": hex(certificate.to_bytes()),
        "also_valid": also_valid(&certificate, &debts),
        "invalid": invalid(&certificate, &debts),
    })
}

/// Other potentials prove the same reductions.
fn also_valid(right: &Certificate, debts: &Debts) -> Vec<Value> {
    let Some(part) = debts.components(&right.seed).into_iter().next() else { return Vec::new() };
    let mut other = right.clone();
    for node in &part.nodes {
        other.potentials[*node as usize] -= 7;
    }
    other.verify(debts).expect("only differences count");
    vec![json!({ "about": "all potentials of the first component are 7 less", "hex": hex(other.to_bytes()) })]
}

type Change<'a> = Box<dyn Fn(&mut Certificate) + 'a>;

fn invalid(right: &Certificate, debts: &Debts) -> Vec<Value> {
    let mut out = vec![bytes_with("a byte after it", right, debts, |bytes| bytes.push(0))];
    out.push(bytes_with("another version", right, debts, |bytes| bytes[2] = 2));
    // The last field is a byte string of no bytes with the key 4; a shorter head and a byte make half a number of it.
    out.push(bytes_with("half a number", right, debts, |bytes| {
        let mut none = right.clone();
        none.potentials.clear();
        *bytes = none.to_bytes();
        bytes.pop();
        bytes.extend([0x44, 0, 0, 0, 0]);
    }));
    let parts = debts.components(&right.seed);
    let mut changes: Vec<(&str, &str, Change)> = vec![
        ("of other debts", "debts", Box::new(|c| c.debts = ALONE)),
        ("a reduction too many", "shape", Box::new(|c| c.reductions.push(0))),
        ("a potential too many", "shape", Box::new(|c| c.potentials.push(0))),
    ];
    let inside = parts.first().map(|part| (part.edges[0], part.nodes[0] as usize));
    if let Some((edge, node)) = inside {
        let amount = debts.arcs()[edge].amount;
        changes.push(("less than nothing is cleared", "range", Box::new(move |c| c.reductions[edge] = -1)));
        changes.push((
            "more is cleared than owed",
            "range",
            Box::new(move |c| c.reductions[edge] = amount + 1),
        ));
        let moved = if right.reductions[edge] > 0 { -1 } else { 1 };
        changes.push((
            "a net position moves",
            "conservation",
            Box::new(move |c| c.reductions[edge] += moved),
        ));
        changes.push(("nothing is cleared", "optimal", Box::new(|c| c.reductions.fill(0))));
        changes.push(("a potential far off", "optimal", Box::new(move |c| c.potentials[node] = i64::MAX)));
    }
    let outside = (0..debts.arcs().len()).find(|edge| parts.iter().all(|part| !part.edges.contains(edge)));
    if let Some(edge) = outside {
        changes.push((
            "something is cleared that is in no circle",
            "outside",
            Box::new(move |c| c.reductions[edge] = 1),
        ));
    }
    for (about, why, change) in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        let error = read(&wrong.to_bytes(), debts).expect_err(about);
        assert_eq!(error, why, "{about}");
        out.push(json!({ "about": about, "hex": hex(wrong.to_bytes()), "why": why }));
    }
    out
}

fn read(bytes: &[u8], debts: &Debts) -> Result<(), &'static str> {
    let read = Certificate::from_bytes(bytes, debts).and_then(|certificate| certificate.verify(debts));
    read.map_err(|e| e.rule())
}

fn bytes_with(about: &str, right: &Certificate, debts: &Debts, change: impl Fn(&mut Vec<u8>)) -> Value {
    let mut bytes = right.to_bytes();
    change(&mut bytes);
    assert_eq!(read(&bytes, debts), Err("form"), "{about}");
    json!({ "about": about, "hex": hex(bytes), "why": "form" })
}

/// Invoices and accounts: the member, what its account may give and take.
type Given = (&'static str, Vec<Row>, Vec<(u8, i64, i64)>);

fn members() -> Vec<Value> {
    let some = |count: u8| (0..count).map(|member| (member, i64::from(member) * 90, 300)).collect();
    let cases: [Given; 8] = [
        (
            "what one gives goes through another",
            vec![(1, 2, 10), (2, 3, 10)],
            vec![(1, 4, 100), (2, 0, 1), (3, 0, 100)],
        ),
        (
            "a circle pays as much",
            vec![(1, 2, 5), (2, 3, 5), (3, 1, 5)],
            vec![(1, 9, 9), (2, 9, 9), (3, 9, 9)],
        ),
        ("nobody has an account", vec![(1, 2, 5), (2, 1, 3)], vec![]),
        ("an account of somebody without invoices", vec![(1, 2, 5)], vec![(1, 5, 0), (2, 0, 5), (7, 9, 9)]),
        ("twelve members", random(1, 12, 40, 1_000), some(12)),
        ("less than nothing to give", vec![(1, 2, 5)], vec![(1, -1, 0)]),
        ("two accounts of one member", vec![(1, 2, 5)], vec![(1, 1, 0), (1, 1, 0)]),
        ("more than can be counted with accounts", vec![(1, 2, 1 << 60), (2, 1, 1)], vec![]),
    ];
    cases.into_iter().map(one_of_members).collect()
}

fn one_of_members((about, invoices, accounts): Given) -> Value {
    let given: Vec<Debt> = invoices.into_iter().map(debt).collect();
    let rooms = accounts.iter().map(|&(member, may_give, may_take)| Account {
        member: of(member),
        may_give,
        may_take,
    });
    let named: Vec<Value> =
        accounts.iter().map(|(member, gives, takes)| json!([hex(of(*member)), gives, takes])).collect();
    let mut case =
        json!({ "about": about, "seed": ALONE.to_string(), "invoices": listed(&given), "accounts": named });
    let members = match Members::new(&given, &rooms.collect::<Vec<_>>(), &ALONE) {
        Ok(members) => members,
        Err(error) => {
            case["why"] = match error {
                MembersError::Negative { .. } => "negative",
                MembersError::Twice { .. } => "twice",
                MembersError::Total(_) => "total",
                MembersError::Invoice(_) => "invoice",
            }
            .into();
            return case;
        }
    };
    let paid = members.solve();
    members.verify(&paid).expect("a result of ours");
    case["edges"] = members.arcs().iter().map(|arc| json!([arc.debtor, arc.creditor, arc.amount])).collect();
    case["costs"] = json!(members.costs());
    case["moves"] = json!(members.moves(&paid));
    case["paid"] = json!(i64::try_from(members.volume(&paid)).expect("small invoices"));
    case["invalid"] = wrongly_paid(&members, &paid).into();
    case["reductions"] = json!(paid.reductions);
    case["potentials"] = json!(paid.potentials);
    case
}

fn wrongly_paid(members: &Members, right: &Paid) -> Vec<Value> {
    let mut wrong = Vec::new();
    let mut case = |about: &str, change: &dyn Fn(&mut Paid)| {
        let mut paid = right.clone();
        change(&mut paid);
        if let Err(error) = members.verify(&paid) {
            let Paid { reductions, potentials } = paid;
            let why = CertificateError::rule(&error);
            wrong.push(
                json!({ "about": about, "reductions": reductions, "potentials": potentials, "why": why }),
            );
        }
    };
    case("less than nothing is paid", &|paid| paid.reductions[0] = -1);
    case("one more is paid than is there", &|paid| paid.reductions[0] = members.arcs()[0].amount + 1);
    case("a unit from nowhere", &|paid| paid.reductions[0] += if paid.reductions[0] > 0 { -1 } else { 1 });
    case("nothing is paid", &|paid| paid.reductions.fill(0));
    assert_eq!(wrong.len(), 4, "each of them breaks a rule");
    wrong
}
