//! Networks of real nodes that owe each other, for rounds: their debts are made by payments, a round is announced and
//! waited for, and its outcome is compared with the optimum that the solver gives for the very positions.
//!
//! What must hold after a round, whoever was killed: both ends of every debt have the same, no net position has moved, and
//! every ledger audits clean, by itself and against those it has channels with.

use crate::kit::{Audited, Failure, Outcome, Site, fresh_id, payment};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use weft_api::{NettingRound, NettingRule, NewRound, RoundWish};
use weft_audit::{VerifyOptions, finding_text, verify_store};
use weft_protocol::audit::rounds::{Rerun, rerun};
use weft_protocol::ids::Hash;
use weft_protocol::netting::{Debt, Debts};

/// Far above what a step of a round takes between nodes on one machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);
/// What each network may owe another: more than all debts of any table here.
const LIMIT: u64 = 1_000_000_000;
/// Who pays and is paid in each network.
pub const MEMBER: &str = "Ann";

/// Debts between networks, by their places: who owes, whom, how much in the smallest parts.
pub type Owed = BTreeMap<(usize, usize), i64>;

/// See the module.
#[derive(Debug)]
pub struct Town {
    _folder: tempfile::TempDir,
    /// The networks.
    pub sites: Vec<Site>,
    /// What they owed each other when it began.
    pub debts: Owed,
}

/// The debts of tests/data/positions.csv among so many of its networks, the first by name, with their names.
///
/// # Errors
/// When the table cannot be read.
pub fn recorded(networks: usize) -> Outcome<(Vec<String>, Owed)> {
    let text = std::fs::read_to_string(crate::source_root().join("tests/data/positions.csv"))?;
    let wrong = || Failure::new("tests/data/positions.csv is not debtor,creditor,amount with two decimals");
    let mut lines = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [debtor, creditor, amount] = fields[..] else { return Err(wrong()) };
        let (whole, parts) =
            amount.split_once('.').filter(|(_, parts)| parts.len() == 2).ok_or_else(wrong)?;
        let cents: i64 = format!("{whole}{parts}").parse().map_err(|_| wrong())?;
        lines.push((debtor.to_lowercase(), creditor.to_lowercase(), cents));
    }
    let names: BTreeSet<&String> = lines.iter().flat_map(|(one, other, _)| [one, other]).collect();
    let names: Vec<String> = names.into_iter().take(networks).cloned().collect();
    let place = |name: &String| names.iter().position(|known| known == name);
    let debt = |(debtor, creditor, cents): &(String, String, i64)| {
        Some(((place(debtor)?, place(creditor)?), *cents))
    };
    let debts = lines.iter().filter_map(debt).collect();
    Ok((names, debts))
}

/// The most that can be cleared of debts, as the solver says.
pub fn optimum(debts: &Owed) -> i64 {
    let party = |place: usize| [u8::try_from(place).expect("fewer than 256 networks"); 32];
    let debt = |((debtor, creditor), amount): (&(usize, usize), &i64)| Debt {
        debtor: party(*debtor),
        creditor: party(*creditor),
        amount: *amount,
    };
    let all: Vec<Debt> = debts.iter().filter(|(_, amount)| **amount > 0).map(debt).collect();
    let debts = Debts::new(&all).expect("debts of a test are few and above zero");
    let volume: i128 = debts.components(&Hash::ZERO).iter().map(|part| part.solve().volume()).sum();
    i64::try_from(volume).expect("all debts together stay below 2^62")
}

/// What a network owes in all, less what it is owed.
pub fn net(debts: &Owed, of: usize) -> i64 {
    let owes = debts.iter().filter(|((debtor, _), _)| *debtor == of).map(|(_, amount)| *amount);
    let owed = debts.iter().filter(|((_, creditor), _)| *creditor == of).map(|(_, amount)| *amount);
    owes.sum::<i64>() - owed.sum::<i64>()
}

impl Town {
    /// Founds networks, pairs each two that owe each other, and makes their debts by payments.
    ///
    /// # Errors
    /// When a node does not start, or refuses.
    pub async fn owing(names: &[String], debts: Owed) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let mut sites = Vec::new();
        for name in names {
            let site = Site::found(folder.path(), name, &[]).await?;
            site.add_member(MEMBER, None).await?;
            site.client.set_netting_rule(&NettingRule { joins: true, accepts: true }).await?;
            sites.push(site);
        }
        for ((debtor, creditor), amount) in &debts {
            sites[*debtor].pair_with(&sites[*creditor], LIMIT).await?;
            let payee = format!("{MEMBER}@{}", sites[*creditor].name);
            sites[*debtor].pay(MEMBER, &payee, amount.unsigned_abs(), 30).await?;
        }
        let town = Self { _folder: folder, sites, debts };
        town.until_quiet().await?;
        Ok(town)
    }

    /// Waits until no payment is under way.
    ///
    /// # Errors
    /// When one stays.
    pub async fn until_quiet(&self) -> Outcome<()> {
        for site in &self.sites {
            site.until_quiet(PATIENCE).await?;
        }
        Ok(())
    }

    /// One network announces a round, in seconds for its three parts; its id is given.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn announce(&self, by: usize, [offers_s, lists_s, votes_s]: [u64; 3]) -> Outcome<String> {
        let new = NewRound { unit: Some("hour".to_owned()), offers_s, lists_s, votes_s };
        Ok(self.sites[by].client.announce_round(&new).await?.id)
    }

    /// Says what is wanted in a round, as soon as that network has heard of it.
    ///
    /// # Errors
    /// When it does not hear of it, or refuses.
    pub async fn wish(&self, at: usize, round: &str, action: &str) -> Outcome<()> {
        self.until(&[at], round, "hearing of the round", |_| true).await?;
        let wish = RoundWish { action: action.to_owned() };
        self.sites[at].client.act_on_round(round, &wish).await?;
        Ok(())
    }

    /// Waits until these networks all say so of a round.
    ///
    /// # Errors
    /// When it does not come about; how the round stands is said.
    pub async fn until(
        &self,
        at: &[usize],
        round: &str,
        what: &str,
        is_so: impl Fn(&NettingRound) -> bool,
    ) -> Outcome<()> {
        for place in at {
            let site = &self.sites[*place];
            let wait = async {
                loop {
                    let now = self.round_at(*place, round).await?;
                    if now.as_ref().is_some_and(&is_so) {
                        return Outcome::Ok(());
                    }
                    tokio::time::sleep(POLL).await;
                }
            };
            match tokio::time::timeout(PATIENCE, wait).await {
                Ok(done) => done?,
                Err(_) => {
                    let now = self.round_at(*place, round).await?;
                    let why =
                        format!("{what} did not come about in {}: {now:#?}\n{}", site.name, site.log_text());
                    return Err(Failure::new(why));
                }
            }
        }
        Ok(())
    }

    /// How a network sees a round.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn round_at(&self, place: usize, round: &str) -> Outcome<Option<NettingRound>> {
        let rounds = self.sites[place].client.netting_rounds().await?.rounds;
        Ok(rounds.into_iter().find(|known| known.id == round))
    }

    /// A payment between two networks that have a channel.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn pay(&self, from: usize, to: usize, amount: u64, wait_s: u64) -> Outcome<()> {
        let mut new = payment(MEMBER, &format!("{MEMBER}@{}", self.sites[to].name), amount);
        new.wait_s = Some(wait_s);
        self.sites[from].client.pay(&new, &fresh_id()).await?;
        Ok(())
    }

    /// What each owes each now: below zero where it has turned over. Both ends have the same.
    ///
    /// # Errors
    /// When a node does not answer, or two ends differ.
    pub async fn now(&self) -> Outcome<Owed> {
        let mut now = Owed::new();
        for (debtor, creditor) in self.debts.keys() {
            let (one, other) = (&self.sites[*debtor], &self.sites[*creditor]);
            let (ours, theirs) = (one.position(&other.name).await?, other.position(&one.name).await?);
            if ours != -theirs {
                let why = format!("{} owes {} {ours}, {0} is owed {}", one.name, other.name, -theirs);
                return Err(Failure::new(why));
            }
            now.insert((*debtor, *creditor), ours);
        }
        Ok(now)
    }

    /// Stops all nodes and audits every ledger, by itself and against those it has channels with. Gives the data folders.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub async fn audit(&mut self) -> Outcome<Vec<PathBuf>> {
        let (mut folders, mut audited) = (Vec::new(), Vec::new());
        for site in &mut self.sites {
            site.stop().await?;
            folders.push(site.data.path().to_path_buf());
            audited.push(Audited::read(site.data.path())?);
        }
        for (debtor, creditor) in self.debts.keys() {
            audited[*debtor].agree(&audited[*creditor])?;
        }
        Ok(folders)
    }
}

/// Every round run again from data folders alone. Fails where anything is found.
///
/// # Errors
/// When a folder cannot be read; the first thing that is wrong or not as it should be.
pub fn run_again(folders: &[PathBuf]) -> Outcome<Rerun> {
    let read = |folder: &PathBuf| verify_store(folder, &VerifyOptions::default(), &mut |_| {});
    let audits = folders.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let again = rerun(&audits.iter().map(|outcome| &outcome.audit).collect::<Vec<_>>());
    match again.findings.kept().first() {
        None => Ok(again),
        Some(first) => Err(Failure::new(finding_text(first))),
    }
}

/// Whether something was committed and every debt of ours in it is booked.
pub fn is_booked(round: &NettingRound) -> bool {
    let mut done = round.results.iter().filter(|result| result.outcome == "committed").peekable();
    done.peek().is_some() && done.all(|result| result.to_book == 0)
}

/// What one round over the networks of the records came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The networks, by their places.
    pub names: Vec<String>,
    /// What they owed each other before.
    pub before: Owed,
    /// And after.
    pub after: Owed,
    /// What was cleared.
    pub cleared: i64,
    /// The most that can be cleared of these positions.
    pub optimum: i64,
    /// What the rounds run again from the ledgers say was cleared, and, solved anew, can be.
    pub again: (i128, i128),
    /// Ends of debts that were booked.
    pub ends: usize,
}

/// Seconds for offers, lists and results among so many networks: each looks every second and has so many peers, and the
/// machine may have much else to do.
fn times(networks: usize) -> [u64; 3] {
    let n = networks as u64;
    [15 + n, 8 + n, 120]
}

/// One round over networks whose positions are those of the records, and all that must hold of it.
///
/// # Errors
/// What does not hold.
pub async fn of_the_records(networks: usize, say: &dyn Fn(&str)) -> Outcome<Told> {
    let (names, debts) = recorded(networks)?;
    let mut town = Town::owing(&names, debts).await?;
    let before = town.now().await?;
    if before != town.debts {
        return Err(Failure::new("the payments do not give the positions of the records"));
    }
    say(&format!("{} networks owe each other {} debts by payments", names.len(), before.len()));
    let id = town.announce(0, times(networks)).await?;
    say(&format!("round {id} is announced by {}", names[0]));
    let optimum = optimum(&before);
    // Whom no circle touches has nothing to book.
    let done = |round: &NettingRound| {
        let committed = round.results.iter().filter(|result| result.outcome == "committed");
        committed.clone().count() > 0 && committed.clone().all(|result| result.to_book == 0)
    };
    let all: Vec<usize> = (0..names.len()).collect();
    town.until(&all, &id, "a result that all have booked", done).await?;
    town.until_quiet().await?;
    let after = town.now().await?;
    let cleared: i64 = before.iter().map(|(edge, owed)| owed - after[edge]).sum();
    for place in all {
        if net(&after, place) != net(&before, place) {
            return Err(Failure::new(format!("the net position of {} has moved", names[place])));
        }
    }
    if let Some((edge, left)) = after.iter().find(|(edge, left)| !(0..=before[edge]).contains(left)) {
        return Err(Failure::new(format!("the debt {edge:?} of {} became {left}", before[edge])));
    }
    let folders = town.audit().await?;
    let again = run_again(&folders)?;
    let attempt = again.rounds.first().and_then(|round| round.attempts.first());
    let attempt = attempt.ok_or_else(|| Failure::new("the ledgers tell of no attempt"))?;
    let ends: (usize, usize) =
        attempt.results.iter().fold((0, 0), |sum, one| (sum.0 + one.ends.0, sum.1 + one.ends.1));
    let told = Told {
        again: (attempt.cleared, attempt.optimum),
        ends: ends.1,
        names,
        before,
        after,
        cleared,
        optimum,
    };
    let volumes = [i128::from(told.optimum), told.again.0, told.again.1];
    if !attempt.is_same || ends.0 != ends.1 || volumes.iter().any(|volume| *volume != i128::from(cleared)) {
        return Err(Failure::new(format!("cleared {cleared}, optimum and again {volumes:?}, ends {ends:?}")));
    }
    Ok(told)
}
