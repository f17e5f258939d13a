//! One network of a demo: a real `weftd` in a process of its own, and a client that talks to it.

use super::Failure;
use super::relay::Relay;
use crate::config::Config;
use crate::data::DataDir;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use weft_api::{
    Confirm, Done, Join, Member, NewInvitation, NewMember, NewPayment, PostOp, RootSignature, Status,
};
use weft_client::Client;
use weft_protocol::encoding::encode;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::OpId;
use weft_protocol::keys::{ACCORD, SecretKey};
use weft_protocol::ledger::units::UnitDefined;

/// How long a node may take to start.
const START: Duration = Duration::from_secs(20);
/// How long a pairing may take once both have confirmed.
const PAIRING: Duration = Duration::from_secs(20);
/// Life of operations that the demo signs.
const OP_LIFE_MS: u64 = 3_600_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) data: DataDir,
    pub(super) client: Client,
    pub(super) relay: Relay,
    child: Option<Child>,
    /// More arguments for `weftd run`.
    arguments: Vec<String>,
}

impl Site {
    /// Founds a network in a folder and starts its node.
    pub(super) async fn found(
        folder: &Path,
        name: &str,
        unit: UnitDefined,
        arguments: Vec<String>,
    ) -> Result<Self, Failure> {
        let data = DataDir::new(folder.join(name));
        let mut config = Config::new(name).map_err(Failure::from_error)?;
        config.network.redial_min_ms = 50;
        config.network.redial_max_ms = 400;
        crate::node::init(&data, &config, &[unit]).map_err(Failure::from_error)?;
        let relay = Relay::start().await.map_err(Failure::from_error)?;
        let client = Client::unix(data.socket());
        let mut site = Self { name: name.to_owned(), data, client, relay, child: None, arguments };
        site.start().await?;
        Ok(site)
    }

    /// Starts the node's process and waits until it is ready.
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        let program = std::env::current_exe().map_err(Failure::from_error)?;
        let mut command = Command::new(program);
        command.arg("run").arg("--data").arg(self.data.path());
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--external"]);
        command.arg(self.relay.multiaddr()).args(&self.arguments);
        let log = std::fs::File::options().create(true).append(true).open(self.log());
        let log = log.map_err(Failure::from_error)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().map_err(Failure::from_error)?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new("the node has no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(START, lines.next_line()).await;
        let line = ready.ok().and_then(Result::ok).flatten();
        let line = line.ok_or_else(|| {
            Failure::new(format!("{} did not start; see {}", self.name, self.log().display()))
        })?;
        let port = line.rsplit("/tcp/").next().and_then(|p| p.trim().parse::<u16>().ok());
        let port = port.ok_or_else(|| Failure::new(format!("{} said \"{line}\"", self.name)))?;
        self.relay.lead_to(([127, 0, 0, 1], port).into());
        self.child = Some(child);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.data.path().with_extension("log")
    }

    /// Ends the process without a word, as a power cut would end it.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.map_err(Failure::from_error)?;
        }
        Ok(())
    }

    /// Asks the node to stop and waits until it has.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let id = child.id().ok_or_else(|| Failure::new(format!("{} is gone already", self.name)))?;
        let asked = Command::new("sh").arg("-c").arg(format!("kill -TERM {id}")).status().await;
        asked.map_err(Failure::from_error)?;
        let ended = tokio::time::timeout(START, child.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => {
                Err(Failure::new(format!("{} did not stop cleanly; see {}", self.name, self.log().display())))
            }
        }
    }

    /// The root key of the network, which its coordinator holds.
    pub(super) fn root(&self) -> Result<SecretKey, Failure> {
        let seed = self.data.seed("root-1").map_err(Failure::from_error)?;
        Ok(SecretKey::from_seed(&seed))
    }

    pub(super) async fn status(&self) -> Result<Status, Failure> {
        self.client.status().await.map_err(Failure::from_error)
    }

    pub(super) async fn add_member(&self, name: &str, key: Option<&SecretKey>) -> Result<Member, Failure> {
        let key = key.map(|key| key.public().bytes().to_string());
        let member = NewMember { name: name.to_owned(), owner: None, key };
        self.client.add_member(&member, &fresh_id()).await.map_err(Failure::from_error)
    }

    /// A payment through the desk.
    pub(super) async fn pay(
        &self,
        from: &str,
        to: &str,
        amount: &str,
        wait_s: u64,
    ) -> Result<Done, weft_client::Error> {
        self.client.pay(&desk_payment(from, to, amount, wait_s), &fresh_id()).await
    }

    /// Signs an operation with a key of its author and posts it.
    pub(super) async fn sign_and_post(
        &self,
        payload: Payload,
        key: &SecretKey,
        role: Role,
    ) -> Result<Done, Failure> {
        let status = self.status().await?;
        let ledger = status.ledger.parse().map_err(Failure::from_error)?;
        let now_ms = crate::clock::Clock.now_ms();
        let op_id = OpId(crate::clock::Clock.random());
        let op = Op { op_id, not_after_ms: now_ms.saturating_add(OP_LIFE_MS), payload, sidecars: Vec::new() };
        let signed = SignedOp::unsigned(&op).signed(&ledger, key, role, How::OwnKey);
        let post = PostOp {
            signed_op: data_encoding::HEXLOWER.encode(&encode(&signed)),
            sidecars: Vec::new(),
            expires_s: None,
            wait_s: None,
        };
        self.client.post_op(&post, &op_id.to_string()).await.map_err(Failure::from_error)
    }

    /// Pairs with a guest; both coordinators compare the words and sign. Gives the words.
    pub(super) async fn pair_with(
        &self,
        guest: &Self,
        unit: &str,
        we_may_owe: &str,
        they_may_owe: &str,
    ) -> Result<Vec<String>, Failure> {
        let invitation = NewInvitation {
            unit: unit.to_owned(),
            their_unit: None,
            rate: None,
            they_may_owe: they_may_owe.to_owned(),
            we_may_owe: we_may_owe.to_owned(),
            expires_s: None,
            relay: false,
            mirror: false,
        };
        let invitation = self.client.invite(&invitation).await.map_err(Failure::from_error)?;
        let join = Join { link: invitation.link, unit: unit.to_owned(), alias: None };
        let seen_by_guest = guest.client.join(&join).await.map_err(Failure::from_error)?;
        let ledger = guest.status().await?.ledger;
        let pairings = self.client.pairings().await.map_err(Failure::from_error)?.pairings;
        let seen_by_host = pairings.into_iter().find(|p| p.ledger == ledger);
        let seen_by_host = seen_by_host.ok_or_else(|| Failure::new("the host shows no pairing"))?;
        if seen_by_host.words != seen_by_guest.words || seen_by_host.words.len() != 6 {
            return Err(Failure::new("the two nodes show different words"));
        }
        for (site, pairing) in [(self, &seen_by_host), (guest, &seen_by_guest)] {
            let accord = data_encoding::HEXLOWER.decode(pairing.accord.as_bytes());
            let accord = accord.map_err(Failure::from_error)?;
            let root = site.root()?;
            let signature = RootSignature {
                signer: root.public().signer().to_string(),
                sig: root.sign(ACCORD, &[&accord]).to_string(),
            };
            let confirm = Confirm { words: pairing.words.clone(), signatures: vec![signature] };
            site.client.confirm(&pairing.id, &confirm).await.map_err(Failure::from_error)?;
        }
        for (site, other) in [(self, guest), (guest, self)] {
            site.until_open(&other.name).await?;
        }
        Ok(seen_by_host.words)
    }

    async fn until_open(&self, peer: &str) -> Result<(), Failure> {
        let open = async {
            loop {
                let peers = self.client.peers().await.map_err(Failure::from_error)?.peers;
                if peers.iter().any(|p| p.alias == peer && p.open && p.connected) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(PAIRING, open).await;
        waited.unwrap_or_else(|_| Err(Failure::new(format!("{} and {peer} did not pair in time", self.name))))
    }

    /// A member's balance in minor units as the statement shows it.
    pub(super) async fn balance(&self, member: &str) -> Result<String, Failure> {
        let statement = self.client.statement(member, None, Some(1)).await.map_err(Failure::from_error)?;
        Ok(statement.account.balances.first().map_or_else(|| "0".to_owned(), |b| b.amount.clone()))
    }

    /// Waits until no claim is open here.
    pub(super) async fn until_quiet(&self, limit: Duration) -> Result<(), Failure> {
        let quiet = async {
            while self.status().await?.claims_open > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        let waited = tokio::time::timeout(limit, quiet).await;
        waited.unwrap_or_else(|_| Err(Failure::new(format!("{} still has open payments", self.name))))
    }
}

/// A payment that the desk makes for somebody without a key.
pub(super) fn desk_payment(from: &str, to: &str, amount: &str, wait_s: u64) -> NewPayment {
    NewPayment {
        from: from.to_owned(),
        to: to.to_owned(),
        amount: amount.to_owned(),
        unit: None,
        memo: None,
        when: None,
        lift_stop: false,
        expires_s: None,
        wait_s: Some(wait_s),
    }
}

/// A fresh operation id.
pub(super) fn fresh_id() -> String {
    OpId(crate::clock::Clock.random()).to_string()
}
