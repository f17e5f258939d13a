//! The node in this process, paid over HTTP while the power may go away at any moment (`tests/powerloss.py`).
//!
//! A place in the ledger is given out only after the node has answered 2xx for the payment that stands there. After
//! the power is back, every place up to the highest one given out must hold an entry, and the audit must be clean.

use crate::kit::{Audited, Books, Failure, Outcome, fresh_id, hour, payment};
use std::path::Path;
use tokio::task::JoinSet;
use weft_api::NewMember;
use weft_client::{Client, Error};
use weft_node::config::Config;
use weft_node::data::DataDir;
use weft_node::node::{Node, Options, StartError, init};

/// Payments under way: groups of some size, so that a torn group is likely.
const PAYERS: usize = 6;
/// Payer and payee.
const MEMBERS: [&str; 2] = ["ann", "ben"];
/// The config that `init` writes.
const SITE: &str = "dark";

/// Runs until the process is ended. `acked` gets the place of each payment that was acknowledged, rising.
///
/// # Errors
/// When the node does not start or refuses a payment.
pub async fn work(data: &Path, skip_sync: bool, acked: impl Fn(u64)) -> Outcome<()> {
    let node = start(data, skip_sync).await?;
    let client = Client::unix(DataDir::new(data).socket());
    for member in MEMBERS {
        if client.members(Some(member)).await?.members.is_empty() {
            let new = NewMember { name: member.to_owned(), owner: None, key: None };
            client.add_member(&new, &fresh_id()).await?;
        }
    }
    let mut highest = 0;
    let mut paying = JoinSet::new();
    for payer in 0..PAYERS {
        paying.spawn(pay(client.clone(), payer));
    }
    while let Some(paid) = paying.join_next().await {
        let (payer, paid) = paid?;
        let done = paid.map_err(|e| Failure::new(format!("a payment: {e}")))?;
        if done > highest {
            highest = done;
            acked(highest);
        }
        paying.spawn(pay(client.clone(), payer));
    }
    node.stop().await.map_err(Failure::new)
}

async fn pay(client: Client, payer: usize) -> (usize, Result<u64, Error>) {
    let (from, to) = (MEMBERS[payer % 2], MEMBERS[(payer + 1) % 2]);
    let paid = client.pay(&payment(from, to, 1), &fresh_id()).await;
    (payer, paid.map(|done| done.seq))
}

/// Starts the node. A folder whose founding was cut short holds nothing acknowledged and is made anew.
async fn start(data: &Path, skip_sync: bool) -> Outcome<Node> {
    let folder = DataDir::new(data);
    let options = || Options { skip_sync, ..Options::default() };
    match Node::start(folder.clone(), options()).await {
        Ok(node) => return Ok(node),
        Err(why) if is_founded(data) && !matches!(why, StartError::NoLedger) => return Err(why.into()),
        Err(_) => {}
    }
    if data.exists() {
        std::fs::remove_dir_all(data)?;
    }
    init(&folder, &Config::new(SITE)?, &[hour()])?;
    Ok(Node::start(folder, options()).await?)
}

/// Whether the folder holds a ledger with more than what `init` writes.
fn is_founded(data: &Path) -> bool {
    Books::read(data).is_ok_and(|books| !books.own.is_empty())
}

/// Checks a folder after the power came back.
///
/// # Errors
/// What is missing, or the first finding of the audit.
pub fn verify(data: &Path, acked: u64) -> Outcome<()> {
    if acked == 0 && !is_founded(data) {
        return Ok(());
    }
    let wrong = Audited::read(data)?.wrong;
    if let Some(first) = wrong.first() {
        return Err(Failure::new(format!("the audit found {} things, such as: {first}", wrong.len())));
    }
    let have = Books::read(data)?.own.len() as u64;
    if have <= acked && acked > 0 {
        return Err(Failure::new(format!(
            "entry {acked} was acknowledged, the ledger ends with {have} entries"
        )));
    }
    Ok(())
}
