//! One network: a `weftd` in a process of its own, and a client that talks to it.

use super::{Cell, Failure, Outcome, Relay, fresh_id, hour, payment};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use weft_api::{Confirm, Done, Join, Member, NewInvitation, NewMember, PostOp, RootSignature, Status};
use weft_client::Client;
use weft_node::clock::Clock;
use weft_node::config::Config;
use weft_node::data::DataDir;
use weft_node::node::{Founding, RecoveryKey, found as founded};
use weft_protocol::encoding::encode;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::OpId;
use weft_protocol::keys::{ACCORD, SecretKey};

/// How long a node may take to start or stop; machines that run tests are busy.
const START: Duration = Duration::from_secs(60);
/// How long a pairing may take once both have confirmed.
const PAIRING: Duration = Duration::from_secs(60);
/// How long networks may take to learn of each other, with packets late and lost.
const KNOWN: Duration = Duration::from_secs(120);
/// How often a node is asked whether something has come about.
const POLL: Duration = Duration::from_millis(25);
/// Life of operations that tests sign.
const OP_LIFE_MS: u64 = 3_600_000;

/// See the module.
#[derive(Debug)]
pub struct Site {
    /// Its short name, also after the @.
    pub name: String,
    /// Its folder.
    pub data: DataDir,
    /// A client over its Unix socket.
    pub client: Client,
    /// The cable to it.
    pub relay: Relay,
    /// More arguments for `weftd run`.
    pub arguments: Vec<String>,
    /// More environment for `weftd run`.
    pub environment: Vec<(String, String)>,
    /// Where it serves HTTP on loopback.
    pub http: Option<String>,
    /// Whether it offers, when it invites, that each keeps the other's entries.
    pub mirror: bool,
    /// Whether it offers, when it invites, that payments of others pass through.
    pub passes_on: bool,
    /// The network namespace it runs in; without one it is on loopback, behind its relay.
    pub cell: Option<Cell>,
    /// On loopback, peers reach it without the relay: its address changes with each start.
    pub direct: bool,
    /// Where it listens on loopback.
    pub listen: String,
    child: Option<Child>,
}

fn config(name: &str) -> Outcome<Config> {
    let mut config = Config::new(name)?;
    // Nodes of tests are back at once; waiting for them as one does on the internet would only take time.
    config.network.redial_min_ms = 50;
    config.network.redial_max_ms = 400;
    Ok(config)
}

impl Site {
    /// Founds a network with the unit [`hour`] in a folder and starts its node.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn found(folder: &Path, name: &str, arguments: &[&str]) -> Outcome<Self> {
        let data = DataDir::new(folder.join(name));
        founded(&data, &config(name)?, &[hour()], Founding::default())?;
        Self::opened_with(data, name, arguments).await
    }

    /// The same, with another configuration, and where an address to listen at is given, without the relay.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn found_by(
        folder: &Path,
        name: &str,
        listen: Option<&str>,
        change: impl FnOnce(&mut Config),
    ) -> Outcome<Self> {
        let data = DataDir::new(folder.join(name));
        let mut config = config(name)?;
        change(&mut config);
        founded(&data, &config, &[hour()], Founding::default())?;
        let mut site = Self::of(data, name, &[]).await?;
        if let Some(listen) = listen {
            (site.direct, site.listen) = (true, listen.to_owned());
        }
        site.start().await?;
        Ok(site)
    }

    /// The same with a recovery key, whose secret is carried away at once: its file is beside the data folder.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn found_with_recovery(folder: &Path, name: &str, arguments: &[&str]) -> Outcome<Self> {
        let data = DataDir::new(folder.join(name));
        let founding = Founding { recovery: RecoveryKey::Make, ..Founding::default() };
        founded(&data, &config(name)?, &[hour()], founding)?;
        std::fs::rename(data.key("recovery"), data.path().with_extension("recovery"))?;
        let mut site = Self::opened_with(data, name, arguments).await?;
        site.mirror = true;
        Ok(site)
    }

    /// The same as [`Site::found`], in a network namespace.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn found_in(folder: &Path, name: &str, cell: Option<Cell>) -> Outcome<Self> {
        Self::found_in_by(folder, name, cell, |_| ()).await
    }

    /// The same, with another configuration.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn found_in_by(
        folder: &Path,
        name: &str,
        cell: Option<Cell>,
        change: impl FnOnce(&mut Config),
    ) -> Outcome<Self> {
        let data = DataDir::new(folder.join(name));
        let mut config = config(name)?;
        change(&mut config);
        founded(&data, &config, &[hour()], Founding::default())?;
        let mut site = Self::of(data, name, &[]).await?;
        site.cell = cell;
        site.start().await?;
        Ok(site)
    }

    /// The same as [`Site::found`], reached by its peers without a relay.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn found_direct(folder: &Path, name: &str) -> Outcome<Self> {
        let data = DataDir::new(folder.join(name));
        founded(&data, &config(name)?, &[hour()], Founding::default())?;
        let mut site = Self::of(data, name, &[]).await?;
        site.direct = true;
        site.start().await?;
        Ok(site)
    }

    /// Where the secret of the recovery key is.
    pub fn recovery_key(&self) -> PathBuf {
        self.data.path().with_extension("recovery")
    }

    /// Starts the node of a network that was founded already in a folder of its name.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn opened(folder: &Path, name: &str) -> Outcome<Self> {
        Self::opened_with(DataDir::new(folder.join(name)), name, &[]).await
    }

    async fn opened_with(data: DataDir, name: &str, arguments: &[&str]) -> Outcome<Self> {
        let mut site = Self::of(data, name, arguments).await?;
        site.start().await?;
        Ok(site)
    }

    /// A network whose data folder is there already; its node is not started.
    ///
    /// # Errors
    /// When no cable can be laid.
    pub async fn of(data: DataDir, name: &str, arguments: &[&str]) -> Outcome<Self> {
        Ok(Self {
            name: name.to_owned(),
            client: Client::unix(data.socket()),
            relay: Relay::start().await?,
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            environment: Vec::new(),
            http: None,
            mirror: false,
            passes_on: false,
            cell: None,
            direct: false,
            listen: "/ip4/127.0.0.1/tcp/0".to_owned(),
            child: None,
            data,
        })
    }

    /// Starts the node's process and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or says nothing in time.
    pub async fn start(&mut self) -> Outcome<()> {
        let (mut command, listen, external) = match &self.cell {
            None => {
                let command = Command::new(crate::binaries::weftd());
                let external = (!self.direct).then(|| self.relay.multiaddr());
                (command, self.listen.clone(), external)
            }
            Some(cell) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &cell.namespace]).arg(crate::binaries::weftd());
                (command, cell.multiaddr(), (!cell.hidden).then(|| cell.multiaddr()))
            }
        };
        command.arg("run").arg("--data").arg(self.data.path());
        command.args(["--http", "127.0.0.1:0", "--listen", &listen]);
        if let Some(external) = external {
            command.args(["--external", &external]);
        }
        command.args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let log = std::fs::File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new("the node has no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(START, lines.next_line()).await;
        let said = ready.ok().and_then(Result::ok).flatten();
        let line =
            said.ok_or_else(|| Failure::new(format!("{} did not start:\n{}", self.name, self.log_text())))?;
        let port = line.rsplit("/tcp/").next().and_then(|p| p.trim().parse::<u16>().ok());
        let port = match (self.direct || self.cell.is_some(), port) {
            (_, Some(port)) => Some(port),
            (true, None) => None,
            (false, None) => return Err(Failure::new(format!("{} said \"{line}\"", self.name))),
        };
        self.http = line.split_whitespace().find_map(|word| word.strip_prefix("http=")).map(str::to_owned);
        if let Some(port) = port {
            self.relay.lead_to(port);
        }
        self.child = Some(child);
        Ok(())
    }

    /// The id of the node's process, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    fn log(&self) -> PathBuf {
        self.data.path().with_extension("log")
    }

    /// What the node has said on standard error since it was founded.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Ends the process without a word (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn kill(&mut self) -> Outcome<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Asks the node to stop (SIGTERM) and waits until it has, with status 0.
    ///
    /// # Errors
    /// When it does not stop in time, or not cleanly.
    pub async fn stop(&mut self) -> Outcome<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let id = child.id().ok_or_else(|| Failure::new(format!("{} is gone already", self.name)))?;
        Command::new("sh").arg("-c").arg(format!("kill -TERM {id}")).status().await?;
        match tokio::time::timeout(START, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            other => {
                let why = format!("{} did not stop cleanly ({other:?}):\n{}", self.name, self.log_text());
                Err(Failure::new(why))
            }
        }
    }

    /// The largest memory of its process so far, in KiB.
    ///
    /// # Errors
    /// When it is not running.
    pub fn peak_kib(&self) -> Outcome<u64> {
        let id = self.process().ok_or_else(|| Failure::new(format!("{} is not running", self.name)))?;
        super::memory_kib(id, "VmHWM")
    }

    /// The root key, which its coordinator holds.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn root(&self) -> Outcome<SecretKey> {
        Ok(SecretKey::from_seed(&*self.data.seed("root-1")?))
    }

    /// The node at a glance.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn status(&self) -> Outcome<Status> {
        Ok(self.client.status().await?)
    }

    /// Opens an account, with a key of the member's own or in custody of the desk.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn add_member(&self, name: &str, key: Option<&SecretKey>) -> Outcome<Member> {
        let key = key.map(|key| key.public().bytes().to_string());
        Ok(self
            .client
            .add_member(&NewMember { name: name.to_owned(), owner: None, key }, &fresh_id())
            .await?)
    }

    /// A payment through the desk; the answer waits this long for the end of one to another network.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn pay(&self, from: &str, to: &str, amount: u64, wait_s: u64) -> Outcome<Done> {
        let mut payment = payment(from, to, amount);
        payment.wait_s = Some(wait_s);
        Ok(self.client.pay(&payment, &fresh_id()).await?)
    }

    /// Signs an operation with a key of its author.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn sign(
        &self,
        payload: Payload,
        key: &SecretKey,
        role: Role,
        texts: &[(Vec<u8>, [u8; 32])],
    ) -> Outcome<(PostOp, OpId)> {
        let ledger = self.status().await?.ledger.parse()?;
        let op_id = OpId(Clock.random());
        let sidecars =
            texts.iter().map(|(bytes, salt)| weft_protocol::sidecar::commitment(salt, bytes)).collect();
        let op = Op { op_id, not_after_ms: Clock.now_ms().saturating_add(OP_LIFE_MS), payload, sidecars };
        let signed = SignedOp::unsigned(&op).signed(&ledger, key, role, How::OwnKey);
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let sidecars =
            texts.iter().map(|(bytes, salt)| weft_api::Sidecar { salt: hex(salt), bytes: hex(bytes) });
        let post = PostOp {
            signed_op: hex(&encode(&signed)),
            sidecars: sidecars.collect(),
            expires_s: None,
            wait_s: None,
        };
        Ok((post, op_id))
    }

    /// Signs an operation without texts and posts it.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn sign_and_post(&self, payload: Payload, key: &SecretKey, role: Role) -> Outcome<Done> {
        let (post, op_id) = self.sign(payload, key, role, &[]).await?;
        Ok(self.client.post_op(&post, &op_id.to_string()).await?)
    }

    /// Pairs with a guest, each may owe the other `limit`; both coordinators compare the words and sign.
    ///
    /// # Errors
    /// When the words differ or the link does not open.
    pub async fn pair_with(&self, guest: &Self, limit: u64) -> Outcome<()> {
        let invitation = NewInvitation {
            unit: "hour".to_owned(),
            their_unit: None,
            rate: None,
            they_may_owe: limit.to_string(),
            we_may_owe: limit.to_string(),
            expires_s: None,
            relay: self.passes_on,
            mirror: self.mirror,
        };
        self.pair_by(guest, &invitation, "hour").await.map(|_| ())
    }

    /// Pairs with a guest by an invitation; both coordinators compare the words and sign. Gives the terms as each read them.
    ///
    /// # Errors
    /// When the words differ or the link does not open.
    pub async fn pair_by(
        &self,
        guest: &Self,
        invitation: &NewInvitation,
        guests_unit: &str,
    ) -> Outcome<[Vec<String>; 2]> {
        let link = self.client.invite(invitation).await?.link;
        let join = Join { link, unit: guests_unit.to_owned(), alias: None };
        let seen_by_guest = guest.client.join(&join).await?;
        let ledger = guest.status().await?.ledger;
        let pairings = self.client.pairings().await?.pairings;
        let seen_by_host = pairings.into_iter().find(|pairing| pairing.ledger == ledger);
        let seen_by_host = seen_by_host.ok_or_else(|| Failure::new("the host shows no pairing"))?;
        if seen_by_host.words != seen_by_guest.words {
            return Err(Failure::new("the two nodes show different words"));
        }
        for (site, pairing) in [(self, &seen_by_host), (guest, &seen_by_guest)] {
            let accord = data_encoding::HEXLOWER.decode(pairing.accord.as_bytes())?;
            let root = site.root()?;
            let signature = RootSignature {
                signer: root.public().signer().to_string(),
                sig: root.sign(ACCORD, &[&accord]).to_string(),
            };
            let confirm = Confirm { words: pairing.words.clone(), signatures: vec![signature] };
            site.client.confirm(&pairing.id, &confirm).await?;
        }
        // A renewed accord is open before: what tells is that nothing waits for signatures any more.
        self.until_paired().await?;
        guest.until_paired().await?;
        self.until_open(&guest.name).await?;
        guest.until_open(&self.name).await?;
        Ok([seen_by_host.terms, seen_by_guest.terms])
    }

    async fn until_paired(&self) -> Outcome<()> {
        let paired = async {
            while !self.client.pairings().await?.pairings.is_empty() {
                tokio::time::sleep(POLL).await;
            }
            Ok(())
        };
        let waited = tokio::time::timeout(PAIRING, paired).await;
        waited.unwrap_or_else(|_| Err(Failure::new(format!("{} still waits for a pairing", self.name))))
    }

    /// Waits until payments can go to a peer.
    ///
    /// # Errors
    /// When they cannot in time.
    pub async fn until_open(&self, peer: &str) -> Outcome<()> {
        let open = async {
            loop {
                let peers = self.client.peers().await?.peers;
                if peers.iter().any(|p| p.alias == peer && p.open && p.connected) {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let waited = tokio::time::timeout(PAIRING, open).await;
        waited.unwrap_or_else(|_| Err(Failure::new(format!("{} has no open link with {peer}", self.name))))
    }

    /// Waits until so many ways to a network, not only to a peer, are known.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn until_ways(&self, to: &str, count: usize) -> Outcome<()> {
        let known = async {
            while !self.client.ways(to, None, None).await.is_ok_and(|ways| ways.ways.len() >= count) {
                tokio::time::sleep(POLL).await;
            }
        };
        let waited = tokio::time::timeout(KNOWN, known).await;
        waited.map_err(|_| {
            Failure::new(format!("{} does not find {count} ways to {to}\n{}", self.name, self.log_text()))
        })
    }

    /// Waits until no claim is open here.
    ///
    /// # Errors
    /// When one still is.
    pub async fn until_quiet(&self, limit: Duration) -> Outcome<()> {
        let quiet = async {
            while self.status().await?.claims_open > 0 {
                tokio::time::sleep(POLL).await;
            }
            Ok(())
        };
        let waited = tokio::time::timeout(limit, quiet).await;
        waited.unwrap_or_else(|_| Err(Failure::new(format!("{} still has open payments", self.name))))
    }

    /// A member's balance as their statement shows it.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn balance(&self, member: &str) -> Outcome<i64> {
        let statement = self.client.statement(member, None, Some(1)).await?;
        Ok(statement.account.balances.first().map_or(Ok(0), |balance| balance.amount.parse())?)
    }

    /// What stands between us and a peer: above zero we owe them.
    ///
    /// # Errors
    /// When there is no such peer.
    pub async fn position(&self, peer: &str) -> Outcome<i64> {
        let peers = self.client.peers().await?.peers;
        let position = peers.iter().find(|p| p.alias == peer).and_then(|p| p.positions.first());
        Ok(position
            .ok_or_else(|| Failure::new(format!("{} has no peer {peer}", self.name)))?
            .amount
            .parse()?)
    }

    /// Copies the ledger as it is now into a folder of its own, where it can be read and audited.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn copy_ledger(&self, to: &Path) -> Outcome<()> {
        Ok(super::copy_folder(&self.data.ledger(), &to.join("ledger"))?)
    }
}
