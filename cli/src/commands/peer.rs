//! `weft peer …`: other networks, and how two of them become peers.
//!
//! One invites, the other joins, both operators compare six words by voice and confirm ([`confirm`]): only then
//! does each root key sign the accord.

mod bans;
mod confirm;
mod evidence;
mod networks;
mod reset;
mod settle;
mod show;
mod write_off;

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::progress;
use crate::roots::RootSigning;
use clap::{Args, Subcommand};
use std::io::Read;
use weft_api::{Invitation, Join as JoinBody, NewInvitation};
use weft_client::Client;
use weft_protocol::federation::invite::{Invite as Link, MAX_LINK_BYTES};
use weft_protocol::time::moment;

/// How long a confirmation waits for the other side when nothing else is said: two people on the telephone.
const DEFAULT_CONFIRM_WAIT_S: u64 = 600;

/// Peers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a link for the operator of another network
    Invite(Invite),
    /// Answer the link of another network
    Join(Join),
    /// Compare the words with the other operator, and sign
    Confirm(Confirm),
    /// List peers, and pairings that wait
    List(List),
    /// Show one peer
    Show(Show),
    /// Show what is owed between us and a peer, and what both have signed of it; with --now state it
    Statement(settle::Statement),
    /// Settle outside what is owed: propose, accept, refuse, withdraw, list
    Settle(settle::Settle),
    /// Stop new payments with a peer for a while
    Pause(settle::Which),
    /// Let payments with a peer go again
    Resume(settle::Which),
    /// End the accord with a peer: no new payments
    End(settle::Which),
    /// Write off a peer that nobody has heard for 30 days, signed by our root set
    WriteOff(write_off::WriteOff),
    /// Begin the channel with a peer anew, after both have lost what nothing else brings back: notice, close, side, draft, show
    #[command(subcommand)]
    Reset(reset::Command),
    /// Show the ways that a payment to a network could take
    Routes(networks::Routes),
    /// Ask a network, peer or not, whether it is there
    Ping(networks::One),
    /// Shut a network out: no new payment with it or through it; or deny every connection of a libp2p identity
    Ban(bans::Ban),
    /// Let a network or a libp2p identity in again
    Unban(bans::Unban),
    /// Show who is shut out, by you or by the node itself, and why
    Bans,
    /// Show, write as files, or hand in what proves that networks signed two things that exclude each other
    Evidence(evidence::List),
    /// Let payments with a network go on, although it was shown to have lied
    Unfreeze(evidence::Unfreeze),
}

/// Makes a link for the operator of another network.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// Our unit
    #[arg(long, value_name = "CODE")]
    unit: String,
    /// The unit that stands here for theirs, where theirs is unlike ours; debts are then counted in theirs
    #[arg(long, value_name = "CODE", requires = "rate")]
    their_unit: Option<String>,
    /// So many of the smallest parts of their unit are worth so many of ours, such as 33:1 for 33 cents a minute
    #[arg(long, value_name = "THEIRS:OURS", requires = "their_unit")]
    rate: Option<String>,
    /// The most that they may owe us, in our unit (in theirs with --rate)
    #[arg(long, value_name = "AMOUNT")]
    they_may_owe: String,
    /// The most that we may owe them, in our unit (in theirs with --rate)
    #[arg(long, value_name = "AMOUNT")]
    we_may_owe: String,
    /// Payments of others may pass through
    #[arg(long)]
    relay: bool,
    /// Each keeps a copy of the other's entries that only the other can read: a lost machine then loses no history
    #[arg(long)]
    mirror: bool,
    /// How long the link is good (7 days when absent)
    #[arg(long, value_name = "SECONDS")]
    expires: Option<u64>,
}

/// Answers the link of another network.
#[derive(Debug, Args)]
pub(crate) struct Join {
    /// The link, or `-` to read it from stdin
    link: String,
    /// Our unit that stands against theirs
    #[arg(long, value_name = "CODE")]
    unit: String,
    /// What we call them after the @; their own name when absent
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

/// Compares the words with the other operator, and signs.
#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// Id of the pairing, as `weft peer list` shows it; may be left out when only one waits
    id: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

/// What a confirmation needs.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    #[command(flatten)]
    roots: RootSigning,
    /// For scripts: the words that the other operator sees; they must be the same as ours
    #[arg(long, value_name = "W1 … W6")]
    words: Option<String>,
    /// How long to wait for the other operator
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_CONFIRM_WAIT_S)]
    wait: u64,
}

/// Lists peers.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Every network that is known, also those further away
    #[arg(long)]
    all: bool,
}

/// Shows one peer.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// What we call it after the @
    alias: String,
}

fn hand_over(invitation: &Invitation, mirror: bool) -> String {
    let mirror = if mirror {
        ""
    } else {
        "\nWithout --mirror neither network keeps a copy of the other's entries: who has no mirror loses history when an old \
         backup is restored. It can be added later: invite the same network again."
    };
    format!(
        "Hand this link to the other network's operator; it is good once, until {}. They run \
         `weft peer join LINK --unit CODE --root-key FILE`; then run `weft peer confirm --root-key FILE` here.{mirror}",
        moment(invitation.expires_ms)
    )
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    let client = context.client()?;
    match command {
        Command::Invite(args) => invite(&client, args).await,
        Command::Join(args) => join(context, &client, args).await,
        Command::Confirm(args) => {
            let pairing = confirm::waiting(&client, args.id.as_deref()).await?;
            confirm::run(context, &client, pairing, &args.signing).await
        }
        Command::List(args) if args.all => networks::all(context, &client).await,
        Command::List(_) => show::list(context, &client).await,
        Command::Show(args) => show::one(context, &client, &args.alias).await,
        Command::Statement(args) => settle::statement(&client, &args).await,
        Command::Settle(args) => settle::settle(&client, args).await,
        Command::WriteOff(args) => write_off::run(&client, args).await,
        Command::Reset(command) => reset::run(&client, command).await,
        Command::Pause(which) => settle::halt(&client, &which, "pause").await,
        Command::Resume(which) => settle::halt(&client, &which, "resume").await,
        Command::End(which) => settle::halt(&client, &which, "end").await,
        Command::Routes(args) => networks::routes(context, &client, &args).await,
        Command::Ping(args) => networks::ping(context, &client, &args).await,
        Command::Ban(args) => bans::ban(&client, &args).await,
        Command::Unban(args) => bans::unban(&client, &args).await,
        Command::Bans => bans::list(context, &client).await,
        Command::Evidence(args) => evidence::run(&client, &args).await,
        Command::Unfreeze(args) => evidence::unfreeze(&client, args).await,
    }
}

async fn invite(client: &Client, args: Invite) -> Outcome {
    let invitation = NewInvitation {
        unit: args.unit,
        their_unit: args.their_unit,
        rate: args.rate,
        they_may_owe: args.they_may_owe,
        we_may_owe: args.we_may_owe,
        expires_s: args.expires,
        relay: args.relay,
        mirror: args.mirror,
    };
    let invitation = client.invite(&invitation).await?;
    let note = hand_over(&invitation, args.mirror);
    Ok(Report::new(clean(&invitation.link), &invitation, "weft.invitation/1").noting(note))
}

async fn join(context: &Context, client: &Client, args: Join) -> Outcome {
    let link = if args.link == "-" { from_stdin()? } else { args.link };
    let link = link.trim().to_owned();
    Link::parse(&link).map_err(|e| {
        let advice = "ask the other operator for the whole link";
        Failure::new(Exit::Refused, "invitation", "this is no invitation", advice).because(e)
    })?;
    // The key is read before the link is used up.
    confirm::check_key(&args.signing)?;
    let join = JoinBody { link, unit: args.unit, alias: args.alias };
    let pairing = progress::during(context, "reaching the other network", client.join(&join)).await?;
    confirm::run(context, client, pairing, &args.signing).await
}

fn from_stdin() -> Result<String, Failure> {
    let mut link = String::new();
    // One more byte than a link and its line end may have shows that it is too long.
    let cap = MAX_LINK_BYTES as u64 + 3;
    std::io::stdin().lock().take(cap).read_to_string(&mut link).map_err(|e| {
        let advice = "give the link as text";
        Failure::new(Exit::Usage, "invitation", "stdin cannot be read", advice).because(e)
    })?;
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeNode;

    #[tokio::test]
    async fn the_link_alone_is_the_result() {
        let invitation = Invitation {
            schema: "weft.invitation/1".into(),
            link: "weft-invite:abc".into(),
            expires_ms: 951_782_400_000,
        };
        let node = FakeNode::new().answering("POST /api/v1/peers/invitations", 201, &invitation).start();
        let args = Invite {
            unit: "credit".into(),
            their_unit: None,
            rate: None,
            they_may_owe: "100".into(),
            we_may_owe: "50".into(),
            relay: false,
            mirror: false,
            expires: None,
        };
        let report = run(&node.context(), Command::Invite(args)).await.unwrap();
        assert_eq!(report.text, "weft-invite:abc");
        assert!(report.notes[0].contains("until 2000-02-29"), "{:?}", report.notes);
        let body = node.body_of("POST /api/v1/peers/invitations");
        assert_eq!((&body["they_may_owe"], &body["we_may_owe"]), (&"100".into(), &"50".into()));
    }

    #[tokio::test]
    async fn a_link_that_is_none_is_refused_before_anything_is_asked() {
        let node = FakeNode::new().start();
        let signing = Signing { roots: RootSigning::here(node.file("root")), words: None, wait: 0 };
        let args = Join { link: "weft-invite:abc".into(), unit: "credit".into(), alias: None, signing };
        let failure = run(&node.context(), Command::Join(args)).await.unwrap_err();
        assert_eq!(failure.code, "invitation");
        assert!(node.requests().is_empty());
    }
}
