//! What must hold between two rounds, when nobody pays and nothing is open.

use super::{Answer, Book, MEMBERS, NAMES, Payment, To};
use crate::kit::asking::stands;
use crate::kit::{Audited, Books, Failure, Outcome, Site};
use std::path::Path;
use weft_api::PaymentState;

/// Balances of the members of both networks, and what the first owes the second.
#[derive(Debug, PartialEq, Eq, Default)]
struct Sums {
    members: [[i64; 3]; 2],
    owed: i64,
}

/// Checks everything against the running nodes and copies of their ledgers; gives the number of entries.
pub(super) async fn check(sites: &[Site; 2], book: &Book, copy: &Path, audit: bool) -> Outcome<u64> {
    let copies = [copy.join("0"), copy.join("1")];
    for (site, copy) in sites.iter().zip(&copies) {
        site.copy_ledger(copy)?;
    }
    let entries = written_once([&copies[0], &copies[1]], book)?;
    learn_ends(sites, book, false).await?;
    let expected = book.with(|payments, _| expected(payments));
    let found = found(sites).await?;
    if found != expected {
        return Err(Failure::new(format!("balances are {found:?}, the payments give {expected:?}")));
    }
    for site in sites {
        for unit in site.status().await?.units {
            if unit.sum_minor != "0" {
                return Err(Failure::new(format!("{}: {} sums to {}", site.name, unit.code, unit.sum_minor)));
            }
        }
    }
    if audit {
        Audited::read(&copies[0])?.agree(&Audited::read(&copies[1])?)?;
    }
    Ok(entries)
}

/// Checks the folders themselves after a clean stop.
pub(super) fn stopped(sites: &[Site; 2], book: &Book) -> Outcome<()> {
    let folders = [sites[0].data.path(), sites[1].data.path()];
    written_once(folders, book)?;
    Audited::read(folders[0])?.agree(&Audited::read(folders[1])?)
}

/// Every acknowledged payment stands in its ledger once, where its answer said; every refused one does not.
fn written_once(folders: [&Path; 2], book: &Book) -> Outcome<u64> {
    let books = [Books::read(folders[0])?, Books::read(folders[1])?];
    let times = [books[0].times(), books[1].times()];
    let one = |payment: &Payment| {
        let name = NAMES[payment.site];
        if let Answer::Refused(why) = &payment.answer {
            let why =
                format!("{name}: payment {} was refused ({why}), and no limit should stop it", payment.op);
            return Err(Failure::new(why));
        }
        let stands = stands(&books[payment.site], &times[payment.site], &payment.op, &payment.answer);
        stands.map_err(|why| Failure::new(format!("{name}: {why}")))
    };
    book.with(|payments, _| payments.iter().try_for_each(one))?;
    Ok(books.iter().map(|books| books.own.len() as u64).sum())
}

/// Asks how payments between the networks have ended: those whose end is not known, or all once more, because an
/// end that is known never changes.
pub(super) async fn learn_ends(sites: &[Site; 2], book: &Book, all: bool) -> Outcome<()> {
    let asked: Vec<(usize, Payment, String)> = book.with(|payments, _| {
        let between = payments.iter().enumerate().filter_map(|(place, payment)| match &payment.answer {
            Answer::Done { claim: Some(claim), .. } if all || payment.arrived.is_none() => {
                Some((place, payment.clone(), claim.clone()))
            }
            _ => None,
        });
        between.collect()
    });
    for (place, payment, claim) in asked {
        let (name, to, known) = (NAMES[payment.site], payment.to, payment.arrived);
        let arrived = match sites[payment.site].client.claim(&claim, 0).await?.state {
            PaymentState::Done => true,
            PaymentState::Freed => false,
            PaymentState::Held => return Err(Failure::new(format!("{name}: {claim} is still held"))),
        };
        if known.is_some_and(|known| known != arrived) || arrived != (to != To::Nobody) {
            let why = format!("{name}: {claim} to {to:?} arrived: {arrived}, before: {known:?}");
            return Err(Failure::new(why));
        }
        book.with(|payments, _| payments[place].arrived = Some(arrived));
    }
    Ok(())
}

/// What the payments that were acknowledged amount to.
fn expected(payments: &[Payment]) -> Sums {
    let mut sums = Sums::default();
    for payment in payments.iter().filter(|p| matches!(p.answer, Answer::Done { .. })) {
        let (here, there) = (payment.site, 1 - payment.site);
        match (payment.to, payment.arrived) {
            (To::Here(to), _) => {
                sums.members[here][payment.from] -= payment.amount;
                sums.members[here][to] += payment.amount;
            }
            (To::There(to), Some(true)) => {
                sums.members[here][payment.from] -= payment.amount;
                sums.members[there][to] += payment.amount;
                sums.owed += if here == 0 { payment.amount } else { -payment.amount };
            }
            (To::There(_) | To::Nobody, _) => {}
        }
    }
    sums
}

/// What the nodes say.
async fn found(sites: &[Site; 2]) -> Outcome<Sums> {
    let mut sums = Sums::default();
    for (place, site) in sites.iter().enumerate() {
        for (member, name) in MEMBERS[place].iter().enumerate() {
            sums.members[place][member] = site.balance(name).await?;
        }
    }
    sums.owed = sites[0].position(NAMES[1]).await?;
    let back = sites[1].position(NAMES[0]).await?;
    if back == -sums.owed {
        Ok(sums)
    } else {
        Err(Failure::new(format!("positions are not opposite: {} and {back}", sums.owed)))
    }
}
