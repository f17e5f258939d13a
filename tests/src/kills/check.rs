//! What must hold between two rounds, when nobody pays and nothing is open.

use super::{Answer, Book, MEMBERS, NAMES, Payment, To};
use crate::kit::{Books, Failure, Outcome, Site};
use std::path::Path;
use weft_api::PaymentState;
use weft_protocol::ids::OpId;

/// Balances of the members of both networks, and what the first owes the second.
#[derive(Debug, PartialEq, Eq, Default)]
struct Sums {
    members: [[i64; 3]; 2],
    owed: i64,
}

/// Checks everything against the running nodes and copies of their ledgers; gives the number of entries.
pub(super) async fn check(sites: &[Site; 2], book: &Book, copy: &Path) -> Outcome<u64> {
    let books = [sites[0].books(&copy.join("0"))?, sites[1].books(&copy.join("1"))?];
    written_once(&books, book)?;
    learn_ends(sites, book).await?;
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
    books[0].agree(&books[1])?;
    Ok(books.iter().map(|b| b.own.len() as u64).sum())
}

/// Checks the folders themselves after a clean stop.
pub(super) fn stopped(sites: &[Site; 2], book: &Book) -> Outcome<()> {
    let books = [Books::read(sites[0].data.path())?, Books::read(sites[1].data.path())?];
    written_once(&books, book)?;
    books[0].agree(&books[1])
}

/// Every acknowledged payment stands in its ledger once, where its answer said; every refused one does not.
fn written_once(books: &[Books; 2], book: &Book) -> Outcome<()> {
    book.with(|payments, _| payments.iter().try_for_each(|payment| written(&books[payment.site], payment)))
}

fn written(books: &Books, payment: &Payment) -> Outcome<()> {
    let op: OpId = payment.op.parse()?;
    let name = NAMES[payment.site];
    let times = books.times(&op);
    match &payment.answer {
        Answer::None => Err(Failure::new(format!("{name}: payment {op} has no answer"))),
        Answer::Refused(why) if times == 0 => {
            Err(Failure::new(format!("{name}: payment {op} was refused ({why}), and no limit should stop it")))
        }
        Answer::Refused(why) => Err(Failure::new(format!("{name}: payment {op} was refused ({why}) and written"))),
        Answer::Done { .. } if times != 1 => {
            Err(Failure::new(format!("{name}: payment {op} was acknowledged and stands in the ledger {times} times")))
        }
        Answer::Done { seq, leaf, .. } => {
            let entry = usize::try_from(*seq).ok().and_then(|seq| books.own.get(seq));
            match entry {
                Some(entry) if entry.op().op_id == op && entry.leaf().to_string() == *leaf => Ok(()),
                _ => Err(Failure::new(format!("{name}: entry {seq} is not the payment {op} that was acknowledged"))),
            }
        }
    }
}

/// Asks how payments between the networks have ended; an end that is known never changes.
async fn learn_ends(sites: &[Site; 2], book: &Book) -> Outcome<()> {
    let asked: Vec<(usize, usize, String, To, Option<bool>)> = book.with(|payments, _| {
        let between = payments.iter().enumerate().filter_map(|(place, payment)| match &payment.answer {
            Answer::Done { claim: Some(claim), .. } => {
                Some((place, payment.site, claim.clone(), payment.to, payment.arrived))
            }
            _ => None,
        });
        between.collect()
    });
    for (place, site, claim, to, known) in asked {
        let arrived = match sites[site].client.claim(&claim, 0).await?.state {
            PaymentState::Done => true,
            PaymentState::Freed => false,
            PaymentState::Held => return Err(Failure::new(format!("{}: {claim} is still held", NAMES[site]))),
        };
        if known.is_some_and(|known| known != arrived) || arrived != (to != To::Nobody) {
            let why = format!("{}: {claim} to {to:?} arrived: {arrived}, before: {known:?}", NAMES[site]);
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
