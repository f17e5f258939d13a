//! Nothing that names a person leaves a node in the clear: not on the wire inside the encrypted connection, and not in
//! the streams that peers keep.
//!
//! Two nodes write every frame they exchange to a file, before it is encrypted. Looked for are all names and memos,
//! and ids, signers and signatures of all members and of both desks, as bytes and as hex. The account of the peer and
//! the root keys that signed the accord are no persons and may be there.

use std::collections::BTreeMap;
use std::path::Path;
use weft_api::PostOp;
use weft_node::clock::Clock;
use weft_protocol::amount::Amount;
use weft_protocol::entry::{Entry, Payload, Role};
use weft_protocol::ids::{AccountId, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::transfer::Hold;
use weft_protocol::sidecar::Content;
use weft_tests::kit::{Books, Outcome, Site, fresh_id, payment};

/// Members of each network: the first has a key of their own.
const NAMES: [[&str; 3]; 2] = [
    ["Zdenka Hullensis", "Beauregard Quimby", "Cassiopeia Ödmark"],
    ["Ingrid Lansingia", "Jehoshaphat Wong", "Kunigunde Vårdø"],
];
/// Payments each way, by own key and in custody.
const PAYMENTS: u64 = 6;

/// Things that must not be found, with what each is.
#[derive(Default)]
struct Needles(BTreeMap<Vec<u8>, String>);

impl Needles {
    /// Looks for bytes, and for their hex form.
    fn bytes(&mut self, bytes: &[u8], what: &str) {
        assert!(bytes.len() >= 8, "{what} is so short that it would be found by chance");
        self.0.insert(bytes.to_vec(), what.to_owned());
        self.0.insert(data_encoding::HEXLOWER.encode(bytes).into_bytes(), format!("{what} as hex"));
    }

    fn text(&mut self, text: &str, what: &str) {
        self.bytes(text.as_bytes(), &format!("{what} \"{text}\""));
        for word in text.split(' ').filter(|word| word.len() >= 8) {
            self.bytes(word.as_bytes(), &format!("part of {what} \"{text}\""));
        }
    }

    /// What of it stands in these bytes.
    fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        self.0.iter().filter(|(needle, _)| has(needle)).map(|(_, what)| what.as_str()).collect()
    }
}

fn memo(site: usize, n: u64) -> String {
    format!("confidential-{site}-{n} insulin")
}

/// A payment to another network that a member signs with a key of their own.
async fn own_key_payment(
    site: &Site,
    account: &str,
    key: &SecretKey,
    to: (&Site, &str),
    note: &str,
) -> Outcome<()> {
    let content = Content { payee: to.1.to_owned(), memo: Some(note.to_owned()), payer: None }.to_bytes();
    let hold = Hold {
        account: account.parse::<AccountId>()?,
        unit: UnitId(0),
        amount: Amount::new(3)?,
        payee_network: to.0.status().await?.ledger.parse()?,
        when_day: None,
    };
    let (post, op_id) =
        site.sign(Payload::Hold(hold), key, Role::Member, &[(content, Clock.random())]).await?;
    let post = PostOp { wait_s: Some(20), ..post };
    let done = site.client.post_op(&post, &op_id.to_string()).await?;
    assert_eq!(done.state, weft_api::PaymentState::Done, "{done:?}");
    Ok(())
}

/// All frames of a tap file.
fn frames(path: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(path).expect("the tap was written");
    let hex = |line: &str| line.rsplit(' ').next().map(str::to_owned).expect("a last word");
    text.lines().map(|line| data_encoding::HEXLOWER.decode(hex(line).as_bytes()).expect("hex")).collect()
}

/// Signers and signatures of everybody but the root keys and the node itself.
fn signatures(needles: &mut Needles, entries: &[Entry]) {
    for entry in entries {
        for auth in entry.body().auth.iter().filter(|auth| auth.role != Role::Root) {
            let what = format!("of {:?} on entry {}", auth.role, entry.body().seq);
            needles.bytes(auth.signer.as_bytes(), &format!("the signer {what}"));
            needles.bytes(&auth.sig.0, &format!("the signature {what}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_frame_and_no_stream_names_a_person() {
    let temporary = tempfile::tempdir().expect("a folder");
    let taps = [0, 1].map(|n| temporary.path().join(format!("tap-{n}")));
    let mut sites = Vec::new();
    for (name, tap) in ["hull", "lansing"].iter().zip(&taps) {
        let tap = tap.display().to_string();
        sites.push(Site::found(temporary.path(), name, &["--test-tap", &tap]).await.expect("a node"));
    }
    let keys = [1, 2].map(|n| SecretKey::from_seed(&[n; 32]));
    let mut needles = Needles::default();
    let mut accounts = Vec::new();
    for ((site, names), key) in sites.iter().zip(NAMES).zip(&keys) {
        for (place, name) in names.iter().enumerate() {
            let member = site.add_member(name, (place == 0).then_some(key)).await.expect("a member");
            let account: AccountId = member.account.parse().expect("an id");
            needles.bytes(account.as_bytes(), &format!("the account of {name}"));
            needles.text(name, "the name");
            if place == 0 {
                accounts.push(member.account);
            }
        }
        needles.bytes(key.public().signer().as_bytes(), "the signer of a member");
        needles.bytes(key.public().bytes().as_bytes(), "the key of a member");
        let desk = site.data.keys().expect("keys").desk.public();
        needles.bytes(desk.signer().as_bytes(), "the signer of a desk");
    }
    sites[0].pair_with(&sites[1], 10_000).await.expect("paired");
    for (here, there) in [(0, 1), (1, 0)] {
        let (site, other) = (&sites[here], &sites[there]);
        for n in 0..PAYMENTS {
            let note = memo(here, n);
            needles.text(&note, "the memo");
            let to = NAMES[there][usize::try_from(n % 3).expect("small")];
            if n % 2 == 0 {
                own_key_payment(site, &accounts[here], &keys[here], (other, to), &note).await.expect("paid");
            } else {
                let mut payment = payment(NAMES[here][1], &format!("{to}@{}", other.name), 5);
                (payment.memo, payment.wait_s) = (Some(note), Some(20));
                let done = site.client.pay(&payment, &fresh_id()).await.expect("paid");
                assert_eq!(done.state, weft_api::PaymentState::Done, "{done:?}");
            }
        }
        let memos = site.client.statement(NAMES[here][0], None, None).await.expect("a statement").lines;
        assert!(
            memos.iter().any(|line| line.memo.as_deref().is_some_and(|m| m.starts_with("confidential-")))
        );
    }
    for site in &mut sites {
        site.until_quiet(std::time::Duration::from_secs(20)).await.expect("quiet");
        site.stop().await.expect("stopped");
    }
    let books: Vec<Books> = sites.iter().map(|s| Books::read(s.data.path()).expect("books")).collect();
    for book in &books {
        signatures(&mut needles, &book.own);
    }
    let mut looked_at = 0;
    for tap in &taps {
        let frames = frames(tap);
        assert!(frames.len() > 20, "only {} frames in {}", frames.len(), tap.display());
        for frame in &frames {
            looked_at += frame.len();
            assert_eq!(needles.found_in(frame), Vec::<&str>::new(), "in a frame of {}", tap.display());
        }
    }
    for entry in books.iter().flat_map(|books| &books.received) {
        looked_at += entry.bytes().len();
        let what = format!("entry {} of {}", entry.body().seq, entry.body().ledger);
        assert_eq!(needles.found_in(entry.bytes()), Vec::<&str>::new(), "in {what}, which a peer keeps");
    }
    assert!(books.iter().all(|books| books.received.len() > 10) && looked_at > 10_000, "{looked_at} bytes");
    the_search_finds_what_is_there(&needles, &books[0], &frames(&taps[0]));
}

/// A search that finds nothing anywhere would pass too.
fn the_search_finds_what_is_there(needles: &Needles, books: &Books, frames: &[Vec<u8>]) {
    let longest = frames.iter().max_by_key(|frame| frame.len()).expect("a frame");
    let mut planted = longest.clone();
    let name = NAMES[1][2].as_bytes();
    planted[10..10 + name.len()].copy_from_slice(name);
    assert!(!needles.found_in(&planted).is_empty(), "a name planted in a frame is not found");
    let own = books.own.iter().filter(|entry| !entry.body().auth.is_empty());
    let unnoticed =
        own.filter(|e| e.body().auth[0].role != Role::Root && needles.found_in(e.bytes()).is_empty());
    assert_eq!(unnoticed.count(), 0, "entries that members signed hold their signatures");
}
