//! What netting does, for people: before and after, in numbers and in one sentence; and the reductions as a table.

use super::table::Table;
use crate::table::Table as Printed;
use serde_json::{Value, json};
use std::io::Write;
use weft_protocol::amount::format_decimal;
use weft_protocol::netting::file::Certificate;
use weft_protocol::netting::{Debts, Party};

/// Parties that are shown one by one: those for whom most is cleared.
const SHOWN: usize = 10;

/// What is owed by and to a party, before and after. Sums of all debts stay in 62 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Position {
    owes: i64,
    owed: i64,
    /// What is cleared of what it owes, and as much of what it is owed.
    cleared: i64,
}

/// What netting does.
#[derive(Debug)]
pub(super) struct Summary {
    parties: usize,
    edges: usize,
    touched: usize,
    gone: usize,
    total: i64,
    cleared: i64,
    /// Of those for whom most is cleared.
    most: Vec<(String, Position)>,
}

fn name<'a>(table: &'a Table, party: &Party) -> &'a str {
    table.names.get(party).map_or("?", String::as_str)
}

impl Summary {
    pub(super) fn new(table: &Table, debts: &Debts, certificate: &Certificate) -> Self {
        let mut positions = vec![Position::default(); debts.parties().len()];
        let (mut total, mut cleared, mut touched, mut gone) = (0_i64, 0_i64, 0, 0);
        for (arc, &reduction) in debts.arcs().iter().zip(&certificate.reductions) {
            let debtor = &mut positions[arc.debtor as usize];
            debtor.owes = debtor.owes.saturating_add(arc.amount);
            debtor.cleared = debtor.cleared.saturating_add(reduction);
            let creditor = &mut positions[arc.creditor as usize];
            creditor.owed = creditor.owed.saturating_add(arc.amount);
            total = total.saturating_add(arc.amount);
            cleared = cleared.saturating_add(reduction);
            touched += usize::from(reduction > 0);
            gone += usize::from(reduction == arc.amount);
        }
        let named = positions.iter().zip(debts.parties());
        let mut most: Vec<(String, Position)> = named
            .filter(|(position, _)| position.cleared > 0)
            .map(|(position, party)| (name(table, party).to_owned(), *position))
            .collect();
        most.sort_by(|(a, of_a), (b, of_b)| of_b.cleared.cmp(&of_a.cleared).then_with(|| a.cmp(b)));
        most.truncate(SHOWN);
        let (parties, edges) = (debts.parties().len(), debts.arcs().len());
        Self { parties, edges, touched, gone, total, cleared, most }
    }

    /// The table and the sentence.
    pub(super) fn text(&self, decimals: u8, colour: bool) -> String {
        let money = |amount: i64| format_decimal(amount, decimals);
        if self.cleared == 0 {
            return format!(
                "Nothing can be cleared: of {} owed between {} parties, nothing is owed in a circle.\n",
                money(self.total),
                self.parties
            );
        }
        let mut all = Printed::new(&["", ">before", ">cleared", ">after"], colour);
        let after = self.total.saturating_sub(self.cleared);
        all.row(["owed in all".to_owned(), money(self.total), money(self.cleared), money(after)]);
        let left = self.edges.saturating_sub(self.gone);
        all.row(["debts".to_owned(), self.edges.to_string(), self.gone.to_string(), left.to_string()]);
        let mut each =
            Printed::new(&["party", ">owes", ">then", ">is owed", ">then", ">net, as before"], colour);
        for (name, position) in &self.most {
            let Position { owes, owed, cleared } = *position;
            let amounts = [owes, owes.saturating_sub(cleared), owed, owed.saturating_sub(cleared)];
            let net = money(owed.saturating_sub(owes));
            each.row([name.clone()].into_iter().chain(amounts.map(money)).chain([net]));
        }
        let per_mille = i128::from(self.cleared).saturating_mul(1_000).div_euclid(i128::from(self.total));
        let of_them = if self.most.len() == SHOWN { "\nThose for whom most is cleared:\n" } else { "\n" };
        format!(
            "{}{of_them}{}\nOf {} owed between {} parties, {} ({}.{} %) can be cleared at once: {} debts shrink, {} of them to nothing, and nobody's net position changes.\n",
            all.render(),
            each.render(),
            money(self.total),
            self.parties,
            money(self.cleared),
            per_mille.div_euclid(10),
            per_mille.rem_euclid(10),
            self.touched,
            self.gone,
        )
    }

    /// The same for programs, in the smallest parts.
    pub(super) fn json(&self) -> Value {
        json!({
            "parties": self.parties,
            "debts": self.edges,
            "total_minor": self.total,
            "cleared_minor": self.cleared,
            "debts_reduced": self.touched,
            "debts_gone": self.gone,
        })
    }
}

/// All debts with what is cleared of them, as CSV in the order of names.
pub(super) fn reductions(table: &Table, debts: &Debts, certificate: &Certificate, decimals: u8) -> Vec<u8> {
    let parties = debts.parties();
    let arcs = debts.arcs().iter().zip(&certificate.reductions);
    let mut rows: Vec<_> = arcs
        .map(|(arc, reduction)| {
            let [debtor, creditor] =
                [arc.debtor, arc.creditor].map(|node| name(table, &parties[node as usize]));
            (debtor, creditor, arc.amount, *reduction)
        })
        .collect();
    rows.sort_unstable();
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut row = |fields: [&str; 5]| out.write_record(fields).expect("five fields fit in memory");
    row(["debtor", "creditor", "owed", "reduction", "left"]);
    for (debtor, creditor, amount, reduction) in rows {
        let [owed, off, left] = [amount, reduction, amount.saturating_sub(reduction)]
            .map(|minor| format_decimal(minor, decimals));
        row([debtor, creditor, &owed, &off, &left]);
    }
    let mut bytes = out.into_inner().expect("memory cannot fail");
    bytes.flush().expect("memory cannot fail");
    bytes
}
