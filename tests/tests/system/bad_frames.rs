//! A peer that sends what it must not: nothing of it changes the ledger, and the reason is said.
//!
//! The bad peer has the network identity and the signing key of a real one, so it gets as far as a peer can: what
//! strangers send is refused before anybody looks at it. Who goes on is shut out, with the reason, until it is let in again.

use std::time::Duration;
use weft_node::clock::Clock;
use weft_node::network::{
    Network, NetworkConfig, PeerId, Protocol, RequestError, peer_id_from_public_key, public_key_of_seed,
};
use weft_protocol::clearing::intent::SignedIntent;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, Entry, Payload};
use weft_protocol::ids::{Hash, LedgerId, SigBytes, StreamId};
use weft_protocol::keys::SecretKey;
use weft_protocol::wire::{Ask, Hello, Message, Push, Pushed};
use weft_tests::kit::{Books, Site};

/// How long the node may take to be reached.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody at the other end of a connection.
struct Stranger {
    network: Network,
    to: PeerId,
}

impl Stranger {
    /// Connects to a node with the network identity of this seed.
    async fn connect(node: &Site, seed: [u8; 32]) -> Self {
        let config = NetworkConfig::new(seed.into());
        let (network, mut events, _task) = Network::start(config).expect("a network");
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        let key = public_key_of_seed(&node.data.seed("libp2p").expect("a key"));
        let to = peer_id_from_public_key(&key).expect("a key");
        let address = node.relay.multiaddr().parse().expect("an address");
        network.set_peer(to, vec![address]).await.expect("known");
        let stranger = Self { network, to };
        stranger.until_connected().await;
        stranger
    }

    async fn until_connected(&self) {
        let connected = async {
            while !self.network.connected_peers().await.expect("it runs").contains(&self.to) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, connected).await.expect("connected");
    }

    /// Lets the operator of a node forget what this one has done, shut out or not.
    async fn forgiven_by(&self, node: &Site) {
        // Who is not shut out cannot be let in; its record is forgotten all the same.
        let _ = node.client.lift_ban(&self.network.local_peer_id().to_string()).await;
        self.until_connected().await;
    }

    /// Sends garbage until the node has had enough, and gives its reason.
    async fn until_shut_out_by(&self, node: &Site) -> String {
        let id = self.network.local_peer_id().to_string();
        let shut_out = async {
            loop {
                let _ = self.ask(Protocol::Hello, vec![0xff; 9]).await;
                let bans = node.client.bans().await.expect("bans").bans;
                if let Some(ban) = bans.into_iter().find(|ban| ban.peer_id.as_ref() == Some(&id)) {
                    return ban.reason;
                }
            }
        };
        tokio::time::timeout(PATIENCE, shut_out).await.expect("shut out")
    }

    async fn ask(&self, protocol: Protocol, bytes: Vec<u8>) -> Result<Vec<u8>, RequestError> {
        self.network.request(self.to, protocol, bytes).await
    }

    async fn push(&self, channel: StreamId, entries: Vec<Blob>) -> Pushed {
        let push = Push { message: 1, channel, entries, sidecars: Vec::new(), proofs: Vec::new() };
        let answer = self.ask(Protocol::Stream, push.to_bytes()).await.expect("an answer");
        Pushed::parse(&answer).expect("an answer of its kind")
    }
}

/// What the bad peer has to work with.
struct Material {
    channel: StreamId,
    /// Entries of the real stream, in order.
    stream: Vec<Entry>,
    log_key: SecretKey,
    seed: [u8; 32],
    ledger: LedgerId,
}

impl Material {
    fn of(site: &Site) -> Self {
        let books = Books::read(site.data.path()).expect("books");
        let own = books.own.into_iter();
        let stream: Vec<Entry> =
            own.filter(|e| e.body().stream.is_some_and(|s| s.id != StreamId::ZERO)).collect();
        let header = stream.last().and_then(|e| e.body().stream).expect("a channel");
        let seed = *site.data.seed("libp2p").expect("a key");
        let log_key = site.data.keys().expect("keys").log;
        let ledger = stream[0].body().ledger;
        Self { channel: header.id, stream, log_key, seed, ledger }
    }

    /// The last entry once more, as if it came next, changed and signed with the right key.
    fn next(&self, change: impl FnOnce(&mut Body)) -> Blob {
        let last = self.stream.last().expect("an entry");
        let mut body = last.body().clone();
        body.seq += 1;
        body.prev = last.leaf();
        if let Some(header) = &mut body.stream {
            header.sseq += 1;
            header.sprev = last.leaf();
        }
        change(&mut body);
        Blob(Entry::sign(&body, &self.log_key).expect("well formed").bytes().to_vec())
    }
}

async fn networks(at: &std::path::Path) -> (Site, Site) {
    let hull = Site::found(at, "hull", &[]).await.expect("a node");
    let lansing = Site::found(at, "lansing", &[]).await.expect("a node");
    hull.add_member("ann", None).await.expect("a member");
    lansing.add_member("dee", None).await.expect("a member");
    hull.pair_with(&lansing, 1_000).await.expect("paired");
    for _ in 0..3 {
        hull.pay("ann", "dee@lansing", 7, 20).await.expect("paid");
        lansing.pay("dee", "ann@hull", 5, 20).await.expect("paid");
    }
    for site in [&hull, &lansing] {
        site.until_quiet(PATIENCE).await.expect("quiet");
    }
    (hull, lansing)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_breaks_every_rule_changes_nothing() {
    let temporary = tempfile::tempdir().expect("a folder");
    let (hull, mut lansing) = networks(temporary.path()).await;
    lansing.stop().await.expect("stopped");
    let material = Material::of(&lansing);
    let digest = hull.status().await.expect("status").state_digest;
    let bad = Stranger::connect(&hull, material.seed).await;

    for protocol in Protocol::ALL {
        // Every one of these is held against it: it begins anew with each protocol.
        bad.forgiven_by(&hull).await;
        for garbage in
            [vec![0], vec![0xff; 100], b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xbf; 4_000], vec![0x9b; 9]]
        {
            let answered = bad.ask(protocol, garbage).await;
            assert!(answered.is_err(), "{protocol} answers garbage with {answered:?}");
        }
        let long = bad.ask(protocol, vec![0; protocol.request_cap() + 1]).await;
        assert!(matches!(long, Err(RequestError::TooLarge(_))), "{protocol}: {long:?}");
    }
    let reason = bad.until_shut_out_by(&hull).await;
    assert!(reason.contains("requests or entries that cannot be read"), "{reason}");
    bad.forgiven_by(&hull).await;
    pushes(&bad, &material).await;
    bad.forgiven_by(&hull).await;
    questions(&bad, &material).await;

    let status = hull.status().await.expect("status");
    assert_eq!(status.state_digest, digest, "something of all this changed the ledger");
    bad.network.shutdown().await;
    lansing.start().await.expect("the real one comes back");
    hull.until_open("lansing").await.expect("open");
    hull.pay("ann", "dee@lansing", 9, 20).await.expect("payments still go");
    lansing.pay("dee", "ann@hull", 9, 20).await.expect("and come");
}

/// Entries that are not the next ones.
async fn pushes(bad: &Stranger, material: &Material) {
    let (channel, have) = (material.channel, material.stream.len() as u64);
    let all: Vec<Blob> = material.stream.iter().map(|e| Blob(e.bytes().to_vec())).collect();
    let replayed = bad.push(channel, all.clone()).await;
    assert_eq!((replayed.next, replayed.problem), (have, None), "what is known already is taken as known");

    let last = material.stream.last().expect("an entry");
    let mut flipped = material.next(|_| ()).0;
    let at = flipped.len() - 5;
    flipped[at] ^= 1;
    // Of another boot: of the same one it would be evidence, and recorded (specs/evidence.md §1).
    let another =
        Body { time_ms: last.body().time_ms + 1, boot: last.body().boot + 1, ..last.body().clone() };
    let another = Entry::sign(&another, &material.log_key);
    let another = Blob(another.expect("well formed").bytes().to_vec());
    let stranger = SecretKey::from_seed(&[9; 32]);
    let unsigned = Entry::sign(last.body(), &stranger).expect("well formed");
    let cases: Vec<(&str, Vec<Blob>)> = vec![
        ("no entry at all", vec![Blob(vec![0xa0])]),
        ("bytes behind an entry", vec![Blob([last.bytes(), &[0]].concat())]),
        ("a wrong signature", vec![Blob(flipped)]),
        ("a stranger's signature", vec![Blob(unsigned.bytes().to_vec())]),
        ("another entry at a place that is taken", vec![another]),
        ("a gap", vec![material.next(|body| body.stream.iter_mut().for_each(|s| s.sseq += 3))]),
        (
            "a wrong entry before it",
            vec![material.next(|b| b.stream.iter_mut().for_each(|s| s.sprev = Hash([5; 32])))],
        ),
        ("another ledger", vec![material.next(|body| body.ledger = LedgerId([3; 32]))]),
        (
            "another channel",
            vec![material.next(|b| b.stream.iter_mut().for_each(|s| s.id = StreamId([8; 16])))],
        ),
        ("no stream", vec![material.next(|body| body.stream = None)]),
        ("a boot before the last", vec![material.next(|body| body.boot = 0)]),
    ];
    for (what, entries) in cases {
        let pushed = bad.push(channel, entries).await;
        assert_eq!(pushed.next, have, "{what} was taken");
        assert!(pushed.problem.as_ref().is_some_and(|why| why.len() > 10), "{what}: {:?}", pushed.problem);
    }
    let elsewhere = bad.push(StreamId([1; 16]), all).await;
    assert!(elsewhere.problem.is_some_and(|why| why.contains("no accord")));
}

/// Questions about payments that nobody here has to answer.
async fn questions(bad: &Stranger, material: &Material) {
    let proposal = material.stream.iter().find_map(|entry| match &entry.op().payload {
        Payload::Step(step) => match &step.args {
            weft_protocol::clearing::step::StepArgs::Propose(args) => Some(args.intent.clone()),
            _ => None,
        },
        _ => None,
    });
    let real = proposal.expect("a proposal");
    let mut intent = real.parse().expect("an intent");
    intent.expires_ms += 1;
    let forged = SignedIntent { sig: SigBytes([1; 64]), ..real.clone() };
    let stranger = SignedIntent::sign(&intent, &SecretKey::from_seed(&[4; 32]));
    for (what, intent) in [("a forged intent", forged), ("an intent of a stranger", stranger)] {
        let ask = Ask { message: 1, intent, cancel: true, identity: Vec::new() };
        if let Ok(answer) = bad.ask(Protocol::Claim, ask.to_bytes()).await {
            let asked = weft_protocol::wire::Asked::parse(&answer).expect("an answer of its kind");
            assert!(asked.decision.is_none() && asked.refused.is_some(), "{what}: {asked:?}");
        }
    }
    let hello = Hello {
        message: 1,
        versions: vec![1],
        ledger: LedgerId([6; 32]),
        descriptor: Blob(vec![0xa0]),
        resume: None,
    };
    // It may be answered (a hello is open to all) and must not be believed.
    let _ = bad.ask(Protocol::Hello, hello.to_bytes()).await;
    assert_ne!(material.ledger, hello.ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_answer_about_payments() {
    let temporary = tempfile::tempdir().expect("a folder");
    let (hull, lansing) = networks(temporary.path()).await;
    let mut lansing = lansing;
    lansing.stop().await.expect("stopped");
    let material = Material::of(&lansing);
    let digest = hull.status().await.expect("status").state_digest;
    let stranger = Stranger::connect(&hull, Clock.random()).await;
    let entries = material.stream.iter().map(|e| Blob(e.bytes().to_vec())).collect();
    let push =
        Push { message: 1, channel: material.channel, entries, sidecars: Vec::new(), proofs: Vec::new() };
    let answered = stranger.ask(Protocol::Stream, push.to_bytes()).await;
    assert!(answered.is_err(), "a stranger's entries are answered: {answered:?}");
    assert_eq!(hull.status().await.expect("status").state_digest, digest);
}
