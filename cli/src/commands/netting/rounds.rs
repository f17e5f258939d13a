//! `weft netting preview|announce|show|join|leave|accept|refuse|drop|rule`: rounds among networks, as our node knows them.
//!
//! What must hold: nothing here decides anything but for this network, and what a result does to our debts is shown
//! before anybody is asked to accept it.

mod words;

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use clap::{Args, ValueEnum};
use weft_api::{NettingRound, NettingRounds, NettingRule, NewRound, RoundWish};

/// The unit that is asked about.
#[derive(Debug, Args)]
pub(crate) struct Preview {
    /// The unit, where there are several
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
}

/// How long a round takes.
#[derive(Debug, Args)]
pub(crate) struct Announce {
    /// The unit, where there are several
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    /// For how long debts are offered: 90s, 30m, 2h, 1d
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = seconds)]
    offers: u64,
    /// For how long after that lists are published
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = seconds)]
    lists: u64,
    /// For how long after that results are accepted
    #[arg(long, default_value = "1d", value_name = "TIME", value_parser = seconds)]
    votes: u64,
}

/// Which rounds.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Only the round whose id begins so
    round: Option<String>,
}

/// A round.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id, or as much of its beginning as names one alone
    round: String,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    /// In every round
    Yes,
    /// Only when somebody says so
    No,
}

/// What is done in every round.
#[derive(Debug, Args)]
pub(crate) struct Rule {
    /// Whether our debts take part
    #[arg(long, value_name = "yes|no")]
    join: YesNo,
    /// Whether a result that verifies is accepted
    #[arg(long, value_name = "yes|no")]
    accept: YesNo,
}

/// A time with its unit, in seconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a time is a number with s, m, h or d after it, such as 90s or 2h".to_owned();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let count: u64 = number.parse().map_err(|_| wrong())?;
    count.checked_mul(unit).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

pub(super) async fn preview(context: &Context, args: Preview) -> Outcome {
    let preview = context.client()?.netting_preview(args.unit.as_deref()).await?;
    Ok(Report::new(words::preview(&preview, context.colour), &preview, "weft.netting-preview/1"))
}

pub(super) async fn announce(context: &Context, args: Announce) -> Outcome {
    let new = NewRound { unit: args.unit, offers_s: args.offers, lists_s: args.lists, votes_s: args.votes };
    let round = context.client()?.announce_round(&new).await?;
    Ok(one_round(&round, context))
}

pub(super) async fn show(context: &Context, args: Show) -> Outcome {
    let rounds = context.client()?.netting_rounds().await?;
    if let Some(begin) = &args.round {
        return Ok(one_round(found(&rounds, begin)?, context));
    }
    Ok(all_rounds(&rounds, context))
}

pub(super) async fn act(context: &Context, one: One, action: &str) -> Outcome {
    let client = context.client()?;
    let id = found(&client.netting_rounds().await?, &one.round)?.id.clone();
    let round = client.act_on_round(&id, &RoundWish { action: action.to_owned() }).await?;
    Ok(one_round(&round, context))
}

pub(super) async fn rule(context: &Context, args: Rule) -> Outcome {
    let rule = NettingRule { joins: args.join == YesNo::Yes, accepts: args.accept == YesNo::Yes };
    let rounds = context.client()?.set_netting_rule(&rule).await?;
    Ok(Report::new(words::rule(rounds.rule), &rounds, "weft.netting-rounds/1"))
}

fn found<'a>(rounds: &'a NettingRounds, begin: &str) -> Result<&'a NettingRound, Failure> {
    let mut like = rounds.rounds.iter().filter(|round| !begin.is_empty() && round.id.starts_with(begin));
    match (like.next(), like.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => {
            let what = format!("no netting round is known whose id begins with \"{}\"", clean(begin));
            Err(Failure::new(Exit::Refused, "unknown-round", what, "`weft netting show` lists them"))
        }
        (Some(_), Some(_)) => {
            let what = format!("several netting rounds begin with \"{}\"", clean(begin));
            Err(Failure::new(Exit::Refused, "several-rounds", what, "give more of the id"))
        }
    }
}

fn one_round(round: &NettingRound, context: &Context) -> Report {
    Report::new(words::round(round, context.colour), round, "weft.netting-round/1")
}

fn all_rounds(rounds: &NettingRounds, context: &Context) -> Report {
    let mut text = words::rule(rounds.rule);
    for round in &rounds.rounds {
        text.push('\n');
        text.push_str(&words::round(round, context.colour));
    }
    if rounds.rounds.is_empty() {
        text.push_str("No netting round is known here.\n");
    }
    Report::new(text, rounds, "weft.netting-rounds/1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeNode;
    use weft_api::{NettingDebt, NettingPreview, NettingReport, NettingResult};

    fn debt(alias: &str, we_owe: bool, before: &str, after: &str) -> NettingDebt {
        let ledger = "33".repeat(32);
        NettingDebt { ledger, alias: alias.into(), we_owe, before: before.into(), after: after.into() }
    }

    fn result() -> NettingResult {
        NettingResult {
            id: "cd".repeat(32),
            attempt: 1,
            networks: vec!["11".repeat(32), "22".repeat(32), "33".repeat(32)],
            owed: "150".into(),
            cleared: "120".into(),
            wrong: None,
            outcome: "open".into(),
            waits_for: vec!["us".into(), "madison".into()],
            refused_by: Vec::new(),
            our_word: None,
            ours: vec![debt("lansing", true, "50", "10"), debt("madison", false, "60", "20")],
            to_book: 0,
        }
    }

    fn round() -> NettingRound {
        NettingRound {
            id: "ab".repeat(32),
            by: "madison".into(),
            unit: "hour".into(),
            phase: "results".into(),
            offers_until_ms: 951_782_400_000,
            lists_until_ms: 951_782_400_000,
            votes_until_ms: 951_782_400_000,
            lists: 3,
            joins: true,
            held: vec![debt("lansing", true, "50", "50")],
            results: vec![result()],
            unfinished: true,
            report: None,
        }
    }

    #[tokio::test]
    async fn a_round_shows_what_it_does_to_us_before_we_accept_it() {
        let rule = NettingRule { joins: true, accepts: false };
        let rounds = NettingRounds { schema: String::new(), rule, rounds: vec![round()] };
        let path = format!("POST /api/v1/netting/rounds/{}", "ab".repeat(32));
        let node = FakeNode::new()
            .answering("GET /api/v1/netting", 200, &rounds)
            .answering(&path, 200, &round())
            .start();
        let shown = show(&node.context(), Show { round: None }).await.unwrap().text;
        assert!(shown.contains("Attempt 1: 120 of 150 hour can be cleared among 3 networks."), "{shown}");
        assert!(shown.contains("We owe lansing       50     10"), "{shown}");
        assert!(shown.contains("It waits for the word of us, madison."), "{shown}");
        assert!(shown.contains("`weft netting accept abababababab`"), "{shown}");
        act(&node.context(), One { round: "abab".into() }, "accept").await.unwrap();
        assert_eq!(node.body_of(&path)["action"], "accept");
        assert!(act(&node.context(), One { round: "ff".into() }, "accept").await.is_err());
        assert!(act(&node.context(), One { round: String::new() }, "accept").await.is_err());
    }

    #[tokio::test]
    async fn a_second_attempt_that_waits_for_the_end_of_the_first_says_so_and_does_not_ask_to_be_accepted() {
        let mut round = round();
        round.results[0].our_word = Some("accepted".into());
        round.results.push(NettingResult { attempt: 2, ..result() });
        let shown = |round: &NettingRound| {
            let rule = NettingRule { joins: true, accepts: true };
            let rounds = NettingRounds { schema: String::new(), rule, rounds: vec![round.clone()] };
            let node = FakeNode::new().answering("GET /api/v1/netting", 200, &rounds).start();
            async move { show(&node.context(), Show { round: None }).await.unwrap().text }
        };
        let text = shown(&round).await;
        assert!(text.contains("We have accepted attempt 1, whose end is awaited here"), "{text}");
        assert!(
            text.contains("`weft netting refuse abababababab`") && !text.contains("netting accept"),
            "{text}"
        );
        round.results[0].outcome = "aborted".into();
        assert!(shown(&round).await.contains("`weft netting accept abababababab`"));
    }

    #[tokio::test]
    async fn a_preview_says_what_is_known_and_what_nobody_can_know() {
        let mut preview = NettingPreview {
            schema: String::new(),
            unit: "hour".into(),
            debts: vec![debt("lansing", true, "50", "50"), debt("madison", false, "60", "60")],
            owing: "50".into(),
            owed: "60".into(),
            at_most: "50".into(),
            known: Vec::new(),
        };
        let shown = |preview: &NettingPreview| words::preview(preview, false);
        assert!(shown(&preview).contains("at most 50 hour of each can be cleared"), "{}", shown(&preview));
        assert!(shown(&preview).contains("what others owe each other is not known"), "{}", shown(&preview));
        preview.known = vec![result()];
        let text = shown(&preview);
        assert!(text.contains("120 of 150 hour would be cleared among 3 networks"), "{text}");
        assert!(text.contains("madison owes us      60     20"), "{text}");
    }

    #[test]
    fn after_a_round_people_are_told_what_came_of_it() {
        let report = NettingReport {
            networks: 3,
            owed: "150".into(),
            cleared: "120".into(),
            our_cleared: "40".into(),
        };
        let over = NettingRound {
            phase: "over".into(),
            unfinished: false,
            held: Vec::new(),
            results: Vec::new(),
            report: Some(report),
            ..round()
        };
        let text = words::round(&over, false);
        let said = "What came of it: 120 of 150 hour were cleared among 3 networks. We owe 40 hour less and are owed 40 hour less.";
        assert!(text.contains(said), "{text}");
    }

    #[test]
    fn times_are_read_with_their_unit() {
        let read = ["90s", "30m", "2h", "1d"].map(seconds);
        assert_eq!(read, [Ok(90), Ok(1_800), Ok(7_200), Ok(86_400)]);
        for wrong in ["", "5", "0s", "-1h", "2w", "99999999999999999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
