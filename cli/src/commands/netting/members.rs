//! `weft netting members`: of invoices between members of one network, the most that circles and their accounts can pay,
//! nobody leaving the limits of their account (specs/netting.md §6).
//!
//! A proposal and nothing else: nothing is written to the ledger. With `--ask` the node keeps it and members are asked. What must hold: it is verified here before it is shown,
//! and a member who refuses is left out with all their invoices.

use super::table::{self, BadLine, Table};
use super::{ALONE, passed_over, separator, write_whole};
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::progress;
use crate::table::Table as Printed;
use clap::Args;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use weft_api::{Member, NettingAccounts, NewInvoice, NewProposal};
use weft_protocol::amount::{format_decimal, parse_decimal};
use weft_protocol::netting::file::party;
use weft_protocol::netting::members::{Account, Members as Solver, Paid};
use weft_protocol::netting::{Debt, Party};

/// Members that are shown one by one: those of whose invoices most is paid.
const SHOWN: usize = 20;

/// The invoices.
#[derive(Debug, Args)]
pub(crate) struct Members {
    /// A CSV with the columns debtor, creditor, amount; names are those of members, or account ids
    file: PathBuf,
    /// The unit, where there are several
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    /// What stands between columns
    #[arg(long, default_value_t = ',', value_name = "CHAR", value_parser = separator)]
    separator: char,
    /// Go on without bad lines
    #[arg(long)]
    skip_bad: bool,
    /// Leave out a member who refuses, with all their invoices; may be given again
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Ask the members, for so long: 90m, 12h, 7d; `weft netting proposal` shows what they answer
    #[arg(long, value_name = "TIME", value_parser = super::rounds::seconds, conflicts_with_all = ["out", "payments"])]
    ask: Option<u64>,
    /// Write by how much each invoice shrinks, as CSV
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write payments that move the accounts as proposed, as CSV for `weft import payments`
    #[arg(long, value_name = "FILE")]
    payments: Option<PathBuf>,
}

/// A member that invoices name.
#[derive(Debug, Clone)]
struct Known {
    name: String,
    account: String,
    room: Account,
    has_own_keys: bool,
}

/// Every open account by what it is called here, in lower case, and by its id.
struct Register {
    by_name: HashMap<String, Known>,
}

fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Register {
    fn new(members: &[Member], rooms: &NettingAccounts) -> Result<Self, Failure> {
        let scale = rooms.scale;
        let rooms: HashMap<&str, _> =
            rooms.accounts.iter().map(|room| (room.account.as_str(), room)).collect();
        let mut by_name = HashMap::new();
        for member in members {
            let Some(room) = rooms.get(member.account.as_str()) else { continue };
            let name = member.name.clone().unwrap_or_else(|| member.account.clone());
            let wrong = |e: String| {
                let what = format!("the node's answer about the account of {} cannot be read", clean(&name));
                Failure::new(Exit::CouldNotCheck, "netting-accounts", what, "is the node of another version?")
                    .because(e)
            };
            let member_of = party(&member.account).map_err(|e| wrong(e.to_string()))?;
            let may_give = minor(&room.may_give, scale).map_err(wrong)?;
            let may_take = minor(&room.may_take, scale).map_err(wrong)?;
            let room = Account { member: member_of, may_give, may_take };
            let account = member.account.clone();
            let known = Known { name: name.clone(), account, room, has_own_keys: member.own_keys };
            by_name.insert(key(&name), known.clone());
            by_name.insert(key(&member.account), known);
        }
        Ok(Self { by_name })
    }

    fn get(&self, name: &str) -> Option<&Known> {
        self.by_name.get(&key(name))
    }
}

/// An amount that may be nothing.
fn minor(text: &str, scale: u8) -> Result<i64, String> {
    if text.chars().all(|letter| matches!(letter, '0' | '.')) {
        return Ok(0);
    }
    Ok(parse_decimal(text, scale)?.minor())
}

/// Invoices between members, those of members who refuse left out.
struct Invoices {
    debts: Vec<Debt>,
    members: BTreeMap<Party, Known>,
}

impl Invoices {
    /// Lines of the table that name no member, or the same member twice, are added to its bad ones.
    fn new(table: &mut Table, register: &Register, without: &[Party]) -> Self {
        let mut all = Self { debts: Vec::new(), members: BTreeMap::new() };
        let lines = std::mem::take(&mut table.debts).into_iter().zip(std::mem::take(&mut table.places));
        for (debt, line) in lines {
            let known = [debt.debtor, debt.creditor].map(|end| {
                let name = table.names.get(&end).map_or("", String::as_str);
                register.get(name).ok_or_else(|| format!("no open account here is called \"{name}\""))
            });
            match known {
                [Err(why), _] | [_, Err(why)] => table.bad.push(BadLine { line, why }),
                [Ok(one), Ok(other)] if one.room.member == other.room.member => {
                    let why = format!("{} would owe themselves", one.name);
                    table.bad.push(BadLine { line, why });
                }
                [Ok(one), Ok(other)] if [one, other].iter().any(|m| without.contains(&m.room.member)) => {}
                [Ok(one), Ok(other)] => {
                    let (debtor, creditor) = (one.room.member, other.room.member);
                    all.debts.push(Debt { debtor, creditor, amount: debt.amount });
                    all.members.extend([one, other].map(|known| (known.room.member, known.clone())));
                }
            }
        }
        table.bad.sort_by_key(|bad| bad.line);
        all
    }

    /// The same as the node takes them in.
    fn asked(&self, unit: Option<String>, scale: u8, for_s: u64) -> NewProposal {
        let account =
            |party: &Party| self.members.get(party).map_or_else(String::new, |of| of.account.clone());
        let invoice = |debt: &Debt| NewInvoice {
            debtor: account(&debt.debtor),
            creditor: account(&debt.creditor),
            amount: format_decimal(debt.amount, scale),
        };
        NewProposal { unit, for_s, invoices: self.debts.iter().map(invoice).collect() }
    }
}

pub(super) async fn run(context: &Context, args: Members) -> Outcome {
    let client = context.client()?;
    let rooms = client.netting_accounts(args.unit.as_deref()).await?;
    let register = Register::new(&client.members(None).await?.members, &rooms)?;
    let refuses = args.without.iter().map(|name| match register.get(name) {
        Some(known) => Ok(known.room.member),
        None => {
            let what = format!("no open account here is called \"{}\"", clean(name));
            Err(Failure::new(Exit::Refused, "unknown-member", what, "`weft member list` lists them"))
        }
    });
    let without = refuses.collect::<Result<Vec<Party>, Failure>>()?;
    let mut table = table::read(context, &args.file, args.separator, rooms.scale)?;
    let invoices = Invoices::new(&mut table, &register, &without);
    super::refuse_bad(&table, &args.file, args.skip_bad, Exit::Refused)?;
    if let Some(for_s) = args.ask {
        let asked = invoices.asked(args.unit, rooms.scale, for_s);
        let mut report = super::proposals::proposal(&client.propose_invoices(&asked).await?, context.colour);
        report.notes.extend(passed_over(&table));
        return Ok(report);
    }
    let accounts: Vec<Account> = invoices.members.values().map(|known| known.room).collect();
    let solver = Solver::new(&invoices.debts, &accounts, &ALONE).map_err(|e| {
        let what = format!("the invoices of {} cannot be netted", args.file.display());
        Failure::new(Exit::Refused, "invoices", what, "split the table").because(e)
    })?;
    let work = tokio::task::spawn_blocking(move || {
        let paid = solver.solve();
        // The solver's word counts for nothing, here as everywhere.
        let verified = solver.verify(&paid);
        (solver, paid, verified)
    });
    let advice = "nothing was written; report this with the table";
    let (solver, paid, verified) = progress::during(context, "paying invoices", work)
        .await
        .map_err(|e| Failure::new(Exit::CouldNotCheck, "solver", "the solver stopped", advice).because(e))?;
    verified.map_err(|e| {
        Failure::new(Exit::CouldNotCheck, "solver", "the solver found a wrong result", advice).because(e)
    })?;
    let proposal = Proposal { solver: &solver, paid: &paid, invoices: &invoices, rooms: &rooms };
    if let Some(path) = &args.out {
        write_whole(path, &proposal.reductions())?;
    }
    if let Some(path) = &args.payments {
        write_whole(path, &proposal.payments())?;
    }
    let mut report = Report::new(proposal.text(context.colour), &proposal.json(), "weft.netting-members/1");
    for note in passed_over(&table) {
        report = report.noting(note);
    }
    Ok(report)
}

/// What is proposed.
struct Proposal<'a> {
    solver: &'a Solver,
    paid: &'a Paid,
    invoices: &'a Invoices,
    rooms: &'a NettingAccounts,
}

/// What is proposed to one member, in the smallest parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Part {
    name: String,
    owes: i64,
    pays: i64,
    is_owed: i64,
    is_paid: i64,
    /// How the account moves.
    moves: i64,
    has_own_keys: bool,
}

impl Proposal<'_> {
    fn show(&self, minor: i64) -> String {
        format_decimal(minor, self.rooms.scale)
    }

    fn known(&self, member: usize) -> Option<&Known> {
        self.invoices.members.get(self.solver.invoices().parties().get(member)?)
    }

    /// Sums of all invoices stay below 2^60.
    fn parts(&self) -> Vec<Part> {
        let moves = self.solver.moves(self.paid);
        let mut parts: Vec<Part> = moves
            .into_iter()
            .enumerate()
            .map(|(place, moves)| {
                let known = self.known(place);
                Part {
                    name: known.map_or_else(String::new, |known| known.name.clone()),
                    has_own_keys: known.is_some_and(|known| known.has_own_keys),
                    moves,
                    ..Part::default()
                }
            })
            .collect();
        for (arc, off) in self.solver.invoices().arcs().iter().zip(&self.paid.reductions) {
            let debtor = &mut parts[arc.debtor as usize];
            (debtor.owes, debtor.pays) = (debtor.owes + arc.amount, debtor.pays + off);
            let creditor = &mut parts[arc.creditor as usize];
            (creditor.is_owed, creditor.is_paid) = (creditor.is_owed + arc.amount, creditor.is_paid + off);
        }
        parts
    }

    fn text(&self, colour: bool) -> String {
        let mut parts = self.parts();
        let owed: i64 = parts.iter().map(|part| part.owes).sum();
        let paid: i64 = parts.iter().map(|part| part.pays).sum();
        let moved: i64 = parts.iter().map(|part| part.moves.max(0)).sum();
        let unit = clean(&self.rooms.unit);
        let members = parts.len();
        if paid == 0 {
            let owed = self.show(owed);
            return format!(
                "Nothing can be paid: of {owed} {unit} invoiced between {members} members nothing goes round in a circle, and no \
                 account may move.\n"
            );
        }
        parts.sort_by(|one, other| {
            let paid = |part: &Part| part.pays + part.is_paid;
            paid(other).cmp(&paid(one)).then_with(|| one.name.cmp(&other.name))
        });
        let heads = ["Member", ">Owes", ">Pays", ">Is owed", ">Is paid", ">Account moves"];
        let mut table = Printed::new(&heads, colour);
        for part in parts.iter().take(SHOWN) {
            let numbers = [part.owes, part.pays, part.is_owed, part.is_paid].map(|minor| self.show(minor));
            let moves =
                if part.moves > 0 { format!("+{}", self.show(part.moves)) } else { self.show(part.moves) };
            table.row([part.name.clone()].into_iter().chain(numbers).chain([moves]));
        }
        let mut text = table.render();
        if members > SHOWN {
            text.push_str(&format!("and {} more: `--out` writes every invoice.\n", members - SHOWN));
        }
        text.push_str(&format!(
            "\nOf {} {unit} invoiced between {members} members {} can be paid at once; accounts move {} in all, none beyond \
             its limit.\n",
            self.show(owed),
            self.show(paid),
            self.show(moved)
        ));
        text.push_str(
            "This is a proposal: nothing was booked, and nobody is bound. `--ask 7d` asks the members: each sees their part and\n\
             agrees or refuses (`weft netting proposal`). Or show it to them yourself: whoever refuses is left out with\n\
             `--without NAME`, and the payments of `--payments FILE` (`weft import payments`) do what all agree to.\n\
             The invoices are marked as paid where they are kept: they are not in the ledger.\n",
        );
        let signs = parts.iter().filter(|part| part.has_own_keys && part.moves < 0);
        let signs: Vec<String> = signs.map(|part| clean(&part.name)).collect();
        if !signs.is_empty() {
            text.push_str(&format!("Only with keys of their own can pay: {}.\n", signs.join(", ")));
        }
        text
    }

    fn json(&self) -> Value {
        let parts: Vec<Value> = self
            .parts()
            .into_iter()
            .map(|part| {
                json!({
                    "member": part.name, "owes_minor": part.owes, "pays_minor": part.pays, "is_owed_minor": part.is_owed,
                    "is_paid_minor": part.is_paid, "account_moves_minor": part.moves, "own_keys": part.has_own_keys,
                })
            })
            .collect();
        json!({ "unit": self.rooms.unit, "scale": self.rooms.scale, "members": parts })
    }

    /// All invoices with what is paid of them, in the order of names.
    fn reductions(&self) -> Vec<u8> {
        let name = |place: u32| self.known(place as usize).map_or("", |known| known.name.as_str());
        let arcs = self.solver.invoices().arcs().iter().zip(&self.paid.reductions);
        let mut rows: Vec<_> =
            arcs.map(|(arc, off)| (name(arc.debtor), name(arc.creditor), arc.amount, *off)).collect();
        rows.sort_unstable();
        let rows = rows.into_iter().map(|(debtor, creditor, amount, off)| {
            let [owed, paid, left] = [amount, off, amount - off].map(|minor| self.show(minor));
            [debtor.to_owned(), creditor.to_owned(), owed, paid, left]
        });
        written(["debtor", "creditor", "owed", "paid", "left"], rows)
    }

    /// Payments after which each account has moved as proposed: who gives pays who takes.
    fn payments(&self) -> Vec<u8> {
        let parts = self.parts();
        let (mut takers, mut rows) = (parts.iter().filter(|part| part.moves > 0), Vec::new());
        let mut to = takers.next().map(|part| (part, part.moves));
        for from in parts.iter().filter(|part| part.moves < 0) {
            let mut gives = from.moves.saturating_neg();
            while let Some((taker, left)) = to.filter(|_| gives > 0) {
                let amount = gives.min(left);
                rows.push([
                    from.name.clone(),
                    taker.name.clone(),
                    self.show(amount),
                    self.rooms.unit.clone(),
                ]);
                gives -= amount;
                to = if left > amount {
                    Some((taker, left - amount))
                } else {
                    takers.next().map(|p| (p, p.moves))
                };
            }
        }
        written(["from", "to", "amount", "unit"], rows.into_iter())
    }
}

fn written<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<u8> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(head).expect("a few fields fit in memory");
    for row in rows {
        out.write_record(&row).expect("a few fields fit in memory");
    }
    out.into_inner().expect("memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeNode;
    use weft_api::{NettingAccount, Owner};

    fn member(n: u8, name: &str, own_keys: bool) -> Member {
        let (account, name) = (format!("{n:02x}").repeat(16), Some(name.to_owned()));
        Member { account, name, owner: Owner::Member, own_keys, closed: false, balances: Vec::new() }
    }

    fn room(n: u8, may_give: &str, may_take: &str) -> NettingAccount {
        let account = format!("{n:02x}").repeat(16);
        NettingAccount { account, may_give: may_give.into(), may_take: may_take.into() }
    }

    fn node() -> crate::testing::Running {
        let members = vec![member(1, "Ada", true), member(2, "Bo", false), member(3, "Cy", false)];
        let accounts = vec![room(1, "4.00", "100.00"), room(2, "0.00", "1.00"), room(3, "0", "100.00")];
        let rooms = NettingAccounts { schema: String::new(), unit: "credit".into(), scale: 2, accounts };
        FakeNode::new()
            .answering("GET /api/v1/netting/accounts", 200, &rooms)
            .answering("GET /api/v1/members", 200, &weft_api::Members { schema: String::new(), members })
            .start()
    }

    fn asked(folder: &tempfile::TempDir, csv: &str) -> Members {
        let file = folder.path().join("invoices.csv");
        std::fs::write(&file, csv).unwrap();
        Members {
            file,
            unit: None,
            separator: ',',
            skip_bad: false,
            without: Vec::new(),
            ask: None,
            out: Some(folder.path().join("out.csv")),
            payments: Some(folder.path().join("payments.csv")),
        }
    }

    #[tokio::test]
    async fn an_invoice_on_no_circle_is_paid_as_far_as_accounts_allow_and_nothing_is_booked() {
        let (node, folder) = (node(), tempfile::tempdir().unwrap());
        let args = asked(&folder, "debtor,creditor,amount\nada,Bo,10\nBo,CY,10\n");
        let report = run(&node.context(), args).await.unwrap();
        let text = &report.text;
        assert!(
            text.contains(
                "Of 20.00 credit invoiced between 3 members 8.00 can be paid at once; accounts move 4.00"
            ),
            "{text}"
        );
        assert!(
            text.contains("nothing was booked") && text.contains("keys of their own can pay: Ada."),
            "{text}"
        );
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            read("out.csv"),
            "debtor,creditor,owed,paid,left\nAda,Bo,10.00,4.00,6.00\nBo,Cy,10.00,4.00,6.00\n"
        );
        assert_eq!(read("payments.csv"), "from,to,amount,unit\nAda,Cy,4.00,credit\n");
        assert_eq!(report.json["members"].as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn who_refuses_is_left_out_with_their_invoices() {
        let (node, folder) = (node(), tempfile::tempdir().unwrap());
        let mut args = asked(&folder, "Ada,Bo,10\nBo,Cy,10\nBo,Ada,3\n");
        args.without = vec!["cy".into()];
        let report = run(&node.context(), args).await.unwrap();
        // The circle pays 3 each, and one more goes from Ada's account to Bo's.
        assert!(report.text.contains("Of 13.00 credit invoiced between 2 members 7.00"), "{}", report.text);
        let mut args = asked(&folder, "Ada,Bo,10\n");
        args.without = vec!["Zoe".into()];
        assert_eq!(run(&node.context(), args).await.unwrap_err().code, "unknown-member");
    }

    #[tokio::test]
    async fn a_line_that_names_no_member_is_named_and_nothing_is_written() {
        let (node, folder) = (node(), tempfile::tempdir().unwrap());
        let csv = "debtor,creditor,amount\nAda,Bo,10\nAda,Zoe,1\nAda,ADA,1\nAda,Bo,-1\n";
        let refused = run(&node.context(), asked(&folder, csv)).await.unwrap_err();
        assert_eq!((refused.exit, refused.code.as_str()), (Exit::Refused, "bad-lines"));
        for why in
            ["line 3: no open account here is called \"Zoe\"", "line 4: Ada would owe themselves", "line 5: "]
        {
            assert!(refused.why.contains(why), "{}", refused.why);
        }
        assert!(!folder.path().join("out.csv").exists());
    }
}
