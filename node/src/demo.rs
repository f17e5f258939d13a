//! `weftd demo`: two real nodes in processes of their own pay each other, are cut apart, killed and audited.
//!
//! What happens is chosen by the seed, so standard output is the same each time; keys, words, ports and paths differ
//! and go to standard error. Each line that says so has been checked; the first check that fails ends the demo.

mod check;
mod files;
mod records;
mod relay;
mod site;

pub use records::{Options as RecordsOptions, records};

use files::Files;
use site::Site;
use std::path::{Path, PathBuf};
use std::time::Duration;
use weft_api::PaymentState;
use weft_protocol::amount::Amount;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{AccountId, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::transfer::{Transfer, move_value};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};

/// How long a payment between the two nodes may take to become final.
const FINAL_S: u64 = 15;

/// Faults that show that the checks can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Hook {
    /// The cable stays cut.
    NeverMend,
    /// A byte of a ledger is changed before its audit.
    FlipAByte,
    /// A node answers before its write is on disk.
    AnswerBeforeTheSync,
}

/// How a demo is run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Chooses names, amounts and order.
    pub seed: u64,
    /// Leave the nodes running afterwards, until interrupted.
    pub serve: bool,
    /// A fault to show that the checks can fail.
    pub hook: Option<Hook>,
    /// Keep the files here.
    pub keep: Option<PathBuf>,
}

/// Why a demo failed.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
    fn from_error(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs the demo and says how it ended; false when a check failed.
pub async fn run(options: &Options) -> bool {
    end(story(options).await)
}

/// Says how a demo ended.
fn end(outcome: Result<(), Failure>) -> bool {
    if let Err(failure) = &outcome {
        say(&format!("FAILED: {failure}"));
    }
    say(if outcome.is_ok() { "RESULT: ok" } else { "RESULT: failed" });
    outcome.is_ok()
}

/// What the seed chooses.
struct Cast {
    hull: [&'static str; 3],
    lansing: [&'static str; 3],
    minutes: [i64; 8],
}

impl Cast {
    fn choose(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let hull = dice.three(&["Ada", "Brian", "Carol", "Derek", "Edna", "Femi", "Gill", "Harun"]);
        let lansing = dice.three(&["Iris", "Jorge", "Kim", "Lena", "Marcus", "Noor", "Otis", "Pearl"]);
        Self { hull, lansing, minutes: std::array::from_fn(|_| 15 * (1 + dice.below(8))) }
    }
}

/// A small generator with the same numbers everywhere (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> i64 {
        i64::try_from(self.next() % n).unwrap_or(0)
    }

    fn three(&mut self, names: &[&'static str; 8]) -> [&'static str; 3] {
        let mut names = *names;
        for i in 0..3 {
            let j = i + usize::try_from(self.below(8 - i as u64)).unwrap_or(0);
            names.swap(i, j);
        }
        [names[0], names[1], names[2]]
    }
}

fn hour() -> UnitDefined {
    UnitDefined { unit: UnitId(0), code: "hour".into(), name: "Hour".into(), kind: UnitKind::Time, scale: 0 }
}

async fn story(options: &Options) -> Result<(), Failure> {
    let cast = Cast::choose(options.seed);
    let folder = Files::new("weft-demo-", options.keep.as_deref())?;
    say(&format!("Two networks pay each other (seed {}). Amounts are minutes.", options.seed));

    let early = options.hook == Some(Hook::AnswerBeforeTheSync);
    let hooks = if early { vec!["--test-hook".to_owned(), "ack-early".to_owned()] } else { Vec::new() };
    let mut hull = Site::found(folder.path(), "hull", hour(), hooks).await?;
    let mut lansing = Site::found(folder.path(), "lansing", hour(), Vec::new()).await?;
    say("1. Hull and Lansing have each founded a ledger and run a node of their own.");

    let story = Story { cast: &cast, options, key: SecretKey::from_seed(&crate::clock::Clock.random()) };
    story.members(&hull, &lansing).await?;
    let words = hull.pair_with(&lansing, "hour", "600", "600").await?;
    note(&format!("check words: {}", words.join(" ")));
    say("3. Paired: both nodes showed the same six words, both root keys signed the accord.");
    say("   Each may owe the other at most 600 minutes.");
    story.inside(&hull, &lansing).await?;
    story.between(&hull, &lansing).await?;
    story.refused(&hull).await?;
    story.cable(&hull, &lansing).await?;
    story.killed(&mut hull).await?;
    story.positions(&hull, &lansing).await?;
    hull.until_quiet(Duration::from_secs(FINAL_S)).await?;
    lansing.until_quiet(Duration::from_secs(FINAL_S)).await?;
    hull.stop().await?;
    lansing.stop().await?;
    story.audits(&hull, &lansing, folder.path())?;
    if options.serve {
        hull.start().await?;
        lansing.start().await?;
        serve(&[&hull, &lansing], folder).await?;
        hull.stop().await?;
        lansing.stop().await?;
    }
    Ok(())
}

struct Story<'a> {
    cast: &'a Cast,
    options: &'a Options,
    /// The own key of one member of Hull.
    key: SecretKey,
}

impl Story<'_> {
    async fn members(&self, hull: &Site, lansing: &Site) -> Result<(), Failure> {
        let [h0, h1, h2] = self.cast.hull;
        let [l0, l1, l2] = self.cast.lansing;
        hull.add_member(h0, Some(&self.key)).await?;
        for name in [h1, h2] {
            hull.add_member(name, None).await?;
        }
        for name in [l0, l1, l2] {
            lansing.add_member(name, None).await?;
        }
        say(&format!("2. Hull: {h0} (with a key of their own), {h1}, {h2}. Lansing: {l0}, {l1}, {l2}."));
        Ok(())
    }

    async fn inside(&self, hull: &Site, lansing: &Site) -> Result<(), Failure> {
        let [h0, h1, _] = self.cast.hull;
        let [l0, l1, _] = self.cast.lansing;
        let [m0, m1, ..] = self.cast.minutes;
        let (from, to) = (account(hull, h0).await?, account(hull, h1).await?);
        let amount = Amount::new(m0).map_err(Failure::from_error)?;
        let postings = move_value(from, to, UnitId(0), amount);
        let transfer = Payload::Transfer(Transfer { postings, when_day: None });
        hull.sign_and_post(transfer, &self.key, Role::Member).await?;
        lansing.pay(l0, l1, &m1.to_string(), 0).await.map_err(Failure::from_error)?;
        expect(hull, h1, m0).await?;
        expect(lansing, l1, m1).await?;
        say(&format!("4. Inside Hull {h0} paid {h1} {m0}; inside Lansing {l0} paid {l1} {m1}."));
        Ok(())
    }

    async fn between(&self, hull: &Site, lansing: &Site) -> Result<(), Failure> {
        let [_, h1, h2] = self.cast.hull;
        let [l0, _, l2] = self.cast.lansing;
        let [_, _, m2, m3, ..] = self.cast.minutes;
        let before = number(&lansing.balance(l2).await?)?;
        done(hull.pay(h2, &format!("{l2}@lansing"), &m2.to_string(), FINAL_S).await)?;
        expect(lansing, l2, before + m2).await?;
        let before = number(&hull.balance(h1).await?)?;
        done(lansing.pay(l0, &format!("{h1}@hull"), &m3.to_string(), FINAL_S).await)?;
        expect(hull, h1, before + m3).await?;
        say(&format!("5. Across: {h2} paid {l2}@lansing {m2}; {l0} paid {h1}@hull {m3}. Both arrived once."));
        Ok(())
    }

    async fn refused(&self, hull: &Site) -> Result<(), Failure> {
        let [_, h1, h2] = self.cast.hull;
        let before = hull.balance(h1).await?;
        let freed = hull.pay(h1, "nobody@lansing", "15", FINAL_S).await.map_err(Failure::from_error)?;
        if freed.state != PaymentState::Freed || hull.balance(h1).await? != before {
            return Err(Failure::new("a payment to nobody did not come back"));
        }
        let reason = freed.reason.unwrap_or_default();
        say(&format!("6. {h1} paid nobody@lansing: freed, the money is back ({reason})."));
        match hull.pay(h2, &format!("{}@lansing", self.cast.lansing[0]), "100000", FINAL_S).await {
            Err(weft_client::Error::Problem(problem)) if problem.code == "no-room" => {
                say("   A payment above the limit between the networks was refused (no-room).");
                Ok(())
            }
            other => Err(Failure::new(format!("a payment above the limit: {other:?}"))),
        }
    }

    async fn cable(&self, hull: &Site, lansing: &Site) -> Result<(), Failure> {
        let [_, h1, _] = self.cast.hull;
        let [_, l1, _] = self.cast.lansing;
        let m4 = self.cast.minutes[4];
        let before = number(&lansing.balance(l1).await?)?;
        hull.relay.cut(true);
        lansing.relay.cut(true);
        let held = hull.pay(h1, &format!("{l1}@lansing"), &m4.to_string(), 1).await;
        let held = held.map_err(Failure::from_error)?;
        if held.state != PaymentState::Held {
            return Err(Failure::new(format!("a payment over a cut cable is {:?}", held.state)));
        }
        expect(lansing, l1, before).await?;
        say(&format!("7. The cable is cut while {h1} pays {l1}@lansing {m4}: held, nothing lost."));
        if self.options.hook != Some(Hook::NeverMend) {
            hull.relay.cut(false);
            lansing.relay.cut(false);
        }
        let claim = held.claim.ok_or_else(|| Failure::new("a held payment without a claim"))?;
        let after = hull.client.claim(&claim, FINAL_S).await.map_err(Failure::from_error)?;
        if after.state != PaymentState::Done {
            return Err(Failure::new("the payment did not become final after the cable was mended"));
        }
        expect(lansing, l1, before + m4).await?;
        say("   The cable is mended: the payment arrived, once.");
        Ok(())
    }

    async fn killed(&self, hull: &mut Site) -> Result<(), Failure> {
        let [_, h1, h2] = self.cast.hull;
        let m5 = self.cast.minutes[5];
        let before = number(&hull.balance(h2).await?)?;
        let paid = hull.pay(h1, h2, &m5.to_string(), 0).await.map_err(Failure::from_error)?;
        hull.kill().await?;
        hull.start().await?;
        expect(hull, h2, before + m5).await?;
        let receipt = hull.client.receipt(&paid.op_id).await.map_err(Failure::from_error)?;
        if receipt.leaf != paid.leaf {
            return Err(Failure::new("an acknowledged payment has another receipt after a kill"));
        }
        say(&format!(
            "8. {h1} paid {h2} {m5}; Hull's node was killed at once and started again: it is there."
        ));
        Ok(())
    }

    async fn positions(&self, hull: &Site, lansing: &Site) -> Result<(), Failure> {
        let [_, _, m2, m3, m4, ..] = self.cast.minutes;
        hull.until_quiet(Duration::from_secs(FINAL_S)).await?;
        lansing.until_quiet(Duration::from_secs(FINAL_S)).await?;
        let (ours, theirs) = (position(hull).await?, position(lansing).await?);
        if ours != m2 + m4 - m3 || theirs != -ours {
            return Err(Failure::new(format!("positions {ours} and {theirs}, expected {}", m2 + m4 - m3)));
        }
        say(&format!(
            "9. Hull owes Lansing {ours}; Lansing's books say {theirs}: opposite, as they must be."
        ));
        Ok(())
    }

    fn audits(&self, hull: &Site, lansing: &Site, folder: &Path) -> Result<(), Failure> {
        if self.options.hook == Some(Hook::FlipAByte) {
            check::flip_a_byte(&hull.data)?;
        }
        let wrong = check::clean(&hull.data)?.1 + check::clean(&lansing.data)?.1;
        check::agree(&hull.data, &lansing.data)?;
        say(&format!("10. Both ledgers audited from their bytes, and against each other: {wrong} findings."));
        let found = check::tampered(&hull.data, &folder.join("tampered"))?;
        say(&format!("11. A copy in which one amount was changed was audited: found, {found}."));
        Ok(())
    }
}

async fn account(site: &Site, name: &str) -> Result<AccountId, Failure> {
    let members = site.client.members(Some(name)).await.map_err(Failure::from_error)?.members;
    let member = members.into_iter().find(|m| m.name.as_deref() == Some(name));
    let member = member.ok_or_else(|| Failure::new(format!("{} knows no {name}", site.name)))?;
    member.account.parse().map_err(Failure::from_error)
}

async fn expect(site: &Site, member: &str, minutes: i64) -> Result<(), Failure> {
    let balance = site.balance(member).await?;
    if balance == minutes.to_string() {
        Ok(())
    } else {
        Err(Failure::new(format!("{member} has {balance}, expected {minutes}")))
    }
}

fn done(paid: Result<weft_api::Done, weft_client::Error>) -> Result<(), Failure> {
    let paid = paid.map_err(Failure::from_error)?;
    match paid.state {
        PaymentState::Done => Ok(()),
        other => Err(Failure::new(format!("a payment is {other:?}, not done: {:?}", paid.reason))),
    }
}

async fn position(site: &Site) -> Result<i64, Failure> {
    let peers = site.client.peers().await.map_err(Failure::from_error)?.peers;
    let position = peers.first().and_then(|p| p.positions.first());
    number(&position.ok_or_else(|| Failure::new("no position"))?.amount)
}

fn number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| Failure::new(format!("\"{text}\" is no whole number")))
}

/// Keeps the nodes up until the demo is interrupted.
async fn serve(sites: &[&Site], folder: Files) -> Result<(), Failure> {
    for site in sites {
        note(&format!("{} runs in {}: weft --data {0} status", site.name, site.data.path().display()));
    }
    note("press Ctrl-C to stop both");
    tokio::signal::ctrl_c().await.map_err(Failure::from_error)?;
    drop(folder);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the story is the output of the program")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "what differs from run to run")]
fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_chooses_the_same_story() {
        let (one, two) = (Cast::choose(7), Cast::choose(7));
        assert_eq!((one.hull, one.lansing, one.minutes), (two.hull, two.lansing, two.minutes));
        assert_ne!(one.minutes, Cast::choose(8).minutes);
        assert!(one.minutes.iter().all(|m| (15..=120).contains(m)));
    }
}
