//! What must hold when nobody pays any more and nothing is open.

use super::{MEMBERS, Payment, Tally, member_of, name_of};
use crate::kit::asking::{Answer, stands};
use crate::kit::{Audited, Books, Failure, Outcome, Site};
use weft_api::PaymentState;

/// Checks the nodes, stops them, and checks their folders.
pub(super) async fn check(
    sites: &mut [Site],
    links: &[(usize, usize)],
    payments: &[Payment],
    tally: &mut Tally,
) -> Outcome<()> {
    let mut balances = vec![[0; MEMBERS.len()]; sites.len()];
    for payment in payments {
        if arrived(sites, payment, tally).await? {
            balances[payment.from.0][payment.from.1] -= payment.amount;
            balances[payment.to.0][payment.to.1] += payment.amount;
        }
    }
    for (place, site) in sites.iter().enumerate() {
        for (member, expected) in balances[place].iter().enumerate() {
            let (name, found) =
                (member_of((place, member)), site.balance(&member_of((place, member))).await?);
            if found != *expected {
                return Err(Failure::new(format!("{name} has {found}, their payments give {expected}")));
            }
        }
        let status = site.status().await?;
        if let Some(unit) = status.units.iter().find(|unit| unit.sum_minor != "0") {
            return Err(Failure::new(format!("{}: {} sums to {}", site.name, unit.code, unit.sum_minor)));
        }
    }
    positions(sites, links, &balances).await?;
    for site in sites.iter_mut() {
        site.stop().await?;
    }
    books(sites, links, payments, tally)
}

/// Whether the payment moved value, and counts it.
async fn arrived(sites: &[Site], payment: &Payment, tally: &mut Tally) -> Outcome<bool> {
    let Answer::Done { claim, .. } = &payment.answer else {
        tally.refused += 1;
        return Ok(false);
    };
    tally.acknowledged += 1;
    let Some(claim) = claim else { return Ok(true) };
    tally.between += 1;
    let name = name_of(payment.from.0);
    match sites[payment.from.0].client.claim(claim, 0).await?.state {
        PaymentState::Done => Ok(true),
        PaymentState::Freed => {
            tally.freed += 1;
            Ok(false)
        }
        PaymentState::Held => Err(Failure::new(format!("{name}: {claim} is still held"))),
    }
}

/// What the two ends of each link say is opposite, and with its links each network's books come to nothing.
async fn positions(
    sites: &[Site],
    links: &[(usize, usize)],
    balances: &[[i64; MEMBERS.len()]],
) -> Outcome<()> {
    let mut sums: Vec<i64> = balances.iter().map(|members| members.iter().sum()).collect();
    for (a, b) in links {
        let there = sites[*a].position(&name_of(*b)).await?;
        let back = sites[*b].position(&name_of(*a)).await?;
        if there != -back {
            let why = format!("positions of net{a} and net{b} are not opposite: {there} and {back}");
            return Err(Failure::new(why));
        }
        sums[*a] += there;
        sums[*b] += back;
    }
    match sums.iter().position(|sum| *sum != 0) {
        None => Ok(()),
        Some(place) => Err(Failure::new(format!("net{place}: members and peers come to {}", sums[place]))),
    }
}

/// Every answer stands in its ledger, every ledger is in order, and those of neighbours agree.
fn books(sites: &[Site], links: &[(usize, usize)], payments: &[Payment], tally: &mut Tally) -> Outcome<()> {
    let mut audits = Vec::new();
    for (place, site) in sites.iter().enumerate() {
        let books = Books::read(site.data.path())?;
        let times = books.times();
        for payment in payments.iter().filter(|payment| payment.from.0 == place) {
            stands(&books, &times, &payment.op, &payment.answer)
                .map_err(|why| Failure::new(format!("{}: {why}", site.name)))?;
        }
        tally.entries += books.own.len() as u64;
        audits.push(Audited::read(site.data.path())?);
    }
    links.iter().try_for_each(|(a, b)| audits[*a].agree(&audits[*b]))
}
