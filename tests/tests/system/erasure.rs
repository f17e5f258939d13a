//! After a member is erased, nothing personal about them is in any file of the node, and every proof still verifies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weft_api::{PaymentState, Receipt};
use weft_node::store::Private;
use weft_node::store::private::Person;
use weft_protocol::log::receipt::Receipt as Proof;
use weft_tests::binaries;
use weft_tests::kit::{Audited, Books, Outcome, Site, fresh_id, payment};

const NAME: &str = "Ottoline Quackenbush";
const CONTACT: &str = "ottoline@quackenbush.example, 0117 496 0999";
const MEMOS: [&str; 4] = [
    "seventeen marmalade sandwiches",
    "mending the blue accordion",
    "reading Proust aloud, second volume",
    "help at the hospital on Thursday",
];
/// A text of two others, in which she is named.
const MENTION: &str = "flowers for Ottoline Quackenbush's birthday";
/// Payments of others, so that the files hold more than one person.
const OTHERS: u64 = 60;

/// Bytes by which texts are looked up.
const START: usize = 4;

/// A text as somebody might have written it into a file.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let utf16 =
        |units: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(units).collect::<Vec<u8>>();
    let mut forms = Vec::new();
    for cased in [text.to_owned(), text.to_lowercase(), text.to_uppercase()] {
        forms.push(("text", cased.clone().into_bytes()));
        forms.push(("UTF-16 LE", utf16(u16::to_le_bytes, &cased)));
        forms.push(("UTF-16 BE", utf16(u16::to_be_bytes, &cased)));
        forms.push(("hex", data_encoding::HEXLOWER.encode(cased.as_bytes()).into_bytes()));
        forms.push(("HEX", data_encoding::HEXUPPER.encode(cased.as_bytes()).into_bytes()));
        forms.push(("percent", cased.replace(' ', "%20").into_bytes()));
        // Base64 of a text somewhere inside other bytes: the part that does not depend on its place.
        for shift in 0..3 {
            let bytes = [&vec![0; shift][..], cased.as_bytes()].concat();
            let whole = bytes.len() / 3 * 4;
            let encoded = data_encoding::BASE64_NOPAD.encode(&bytes);
            let inner = &encoded[if shift == 0 { 0 } else { 4 }..whole];
            forms.push(("base64", inner.as_bytes().to_vec()));
            forms.push(("base64url", inner.replace('+', "-").replace('/', "_").into_bytes()));
        }
    }
    forms
}

/// Everything that must not be found: whole texts and each longer word of the name.
fn personal() -> Vec<String> {
    let mut texts: Vec<String> =
        MEMOS.iter().chain([&NAME, &CONTACT, &MENTION]).map(|&t| t.to_owned()).collect();
    texts.extend(NAME.split(' ').map(str::to_owned));
    texts.extend(CONTACT.split([',', ' ']).filter(|word| word.len() > 8).map(str::to_owned));
    texts
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).expect("a folder") {
        let path = item.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// Where any form of any of the texts stands: in bytes or names of files.
fn search(folder: &Path, texts: &[String]) -> BTreeSet<String> {
    let mut paths = Vec::new();
    files(folder, &mut paths);
    assert!(paths.len() > 10, "only {} files in {}", paths.len(), folder.display());
    let needles: Vec<(String, &str, Vec<u8>)> = texts
        .iter()
        .flat_map(|text| forms(text).into_iter().map(move |(form, bytes)| (text.clone(), form, bytes)))
        .collect();
    let mut by_start: BTreeMap<[u8; START], Vec<usize>> = BTreeMap::new();
    let mut starts = vec![false; 1 << 16];
    for (n, (_, _, needle)) in needles.iter().enumerate() {
        let start = *needle.first_chunk().expect("a text is longer than its start");
        by_start.entry(start).or_default().push(n);
        starts[usize::from(u16::from_be_bytes([start[0], start[1]]))] = true;
    }
    let mut found = BTreeSet::new();
    for path in paths {
        let mut bytes = fs::read(&path).expect("a readable file");
        bytes.extend_from_slice(path.file_name().expect("a name").as_encoded_bytes());
        for (at, pair) in bytes.windows(2).enumerate() {
            if !starts[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] {
                continue;
            }
            let rest = &bytes[at..];
            let candidates = rest.first_chunk::<START>().and_then(|start| by_start.get(start));
            for (text, form, needle) in candidates.into_iter().flatten().map(|n| &needles[*n]) {
                if rest.starts_with(needle) {
                    let name = path.strip_prefix(folder).expect("below").display();
                    found.insert(format!("{name}: \"{text}\" as {form}"));
                }
            }
        }
    }
    found
}

/// The folder of the node, beside which its log stands: everything that the program has written.
fn everything(site: &Site) -> PathBuf {
    site.data.path().parent().expect("a folder above").to_owned()
}

async fn pay(site: &Site, from: &str, to: &str, memo: &str) -> Outcome<String> {
    let mut payment = payment(from, to, 3);
    payment.memo = Some(memo.to_owned());
    payment.wait_s = Some(20);
    Ok(site.client.pay(&payment, &fresh_id()).await?.op_id)
}

struct Town {
    hull: Site,
    lansing: Site,
    /// Receipts that people hold: place and text.
    receipts: Vec<Receipt>,
}

async fn town(at: &Path) -> Outcome<Town> {
    let mut hull = Site::found(&at.join("here"), "hull", &[]).await?;
    let lansing = Site::found(&at.join("there"), "lansing", &[]).await?;
    for member in [NAME, "Ben", "Cat"] {
        hull.add_member(member, None).await?;
    }
    lansing.add_member("Dee", None).await?;
    // A contact, which no command writes yet.
    hull.stop().await?;
    let private = Private::open(&hull.data.private())?;
    let person = private.people(None, 10)?.into_iter().find(|person| person.name == NAME);
    let person = person.expect("she is a member");
    private.put_person(&Person { note: CONTACT.to_owned(), ..person })?;
    drop(private);
    hull.start().await?;
    hull.pair_with(&lansing, 100_000).await?;
    pay(&hull, NAME, "Ben", MEMOS[0]).await?;
    pay(&hull, "Ben", NAME, MEMOS[1]).await?;
    pay(&hull, NAME, "Dee@lansing", MEMOS[2]).await?;
    pay(&lansing, "Dee", &format!("{NAME}@hull"), MEMOS[3]).await?;
    pay(&hull, NAME, "Nobody@lansing", MEMOS[0]).await?;
    pay(&hull, "Ben", "Cat", MENTION).await?;
    for n in 0..OTHERS {
        pay(&hull, "Ben", "Cat", &format!("eggs, {n} of them")).await?;
    }
    hull.until_quiet(Duration::from_secs(20)).await?;
    hull.stop().await?;
    hull.start().await?;
    let mut receipts = Vec::new();
    for seq in 0..hull.status().await?.entries {
        receipts.push(hull.client.receipt(&seq.to_string()).await?);
    }
    Ok(Town { hull, lansing, receipts })
}

/// Runs the command that an operator would run.
fn weft(site: &Site, arguments: &[&str]) -> String {
    let out = Command::new(binaries::weft())
        .arg("--data")
        .arg(site.data.path())
        .args(arguments)
        .output()
        .expect("the command starts");
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "weft {arguments:?}: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_nothing_personal_is_in_any_file_and_every_proof_verifies() {
    let temporary = tempfile::tempdir().expect("a folder");
    let Town { mut hull, mut lansing, receipts } = town(temporary.path()).await.expect("a town");
    let texts = personal();
    let folder = everything(&hull);

    // The search can find: her texts are there before, and a planted text is found in every form.
    let before = search(&folder, &texts);
    for text in MEMOS.iter().chain([&NAME, &CONTACT, &MENTION]) {
        assert!(
            before.iter().any(|hit| hit.contains(&format!("\"{text}\""))),
            "{text} was never there: {before:?}"
        );
    }
    for (form, bytes) in forms(NAME) {
        let planted = hull.data.index().join("planted");
        fs::write(&planted, [&b"\x07before"[..], &bytes, b"after"].concat()).expect("planted");
        let found = search(&folder, &[NAME.to_owned()]);
        assert!(found.iter().any(|hit| hit.starts_with("hull/index/planted")), "{form} is not found");
        fs::remove_file(planted).expect("removed");
    }

    let said = weft(&hull, &["member", "erase", NAME, "--reason", "asked", "--confirm", NAME]);
    say(&said);
    assert_eq!(search(&folder, &texts), BTreeSet::new(), "while the node runs");
    let members = hull.client.members(None).await.expect("members").members;
    assert_eq!(members.iter().filter(|member| member.closed && member.name.is_none()).count(), 1);
    // Others go on, what comes for her is turned down, and her name may be used by somebody else.
    pay(&hull, "Ben", "Dee@lansing", "onions").await.expect("a payment");
    let late = lansing.pay("Dee", &format!("{NAME}@hull"), 2, 20).await.expect("an answer");
    lansing.until_quiet(Duration::from_secs(20)).await.expect("quiet");
    let late = lansing.client.claim(late.claim.as_deref().expect("a claim"), 0).await.expect("a claim");
    assert_eq!(late.state, PaymentState::Freed, "{late:?}");
    // The text of that attempt named her: a text for nobody here is not kept.
    hull.stop().await.expect("stopped");
    lansing.stop().await.expect("stopped");
    let after_stop = search(&folder, &texts);
    assert!(after_stop.is_empty(), "after a stop: {after_stop:?}");

    // All proofs: both audits and their comparison, and every receipt that was handed out before.
    let (ours, theirs) = (Audited::by_both(hull.data.path()), Audited::by_both(lansing.data.path()));
    ours.expect("audited").agree(&theirs.expect("audited")).expect("both sides agree");
    check_receipts(&receipts, &hull);

    hull.start().await.expect("started");
    hull.pay("Ben", "Cat", 1, 0).await.expect("a payment");
    assert_eq!(search(&folder, &texts), BTreeSet::new(), "after a restart");
    say(&format!(
        "{} texts in {} forms each: found in {} places before, in none after; {} old receipts verify",
        texts.len(),
        forms(NAME).len(),
        before.len(),
        receipts.len()
    ));
}

/// Every receipt still proves that its entry stands in the log, and the entry is the one that the ledger holds.
fn check_receipts(receipts: &[Receipt], site: &Site) {
    let books = Books::read(site.data.path()).expect("books");
    let ledger = books.own.first().expect("a genesis").body().ledger;
    let key = site.data.keys().expect("keys").log.public();
    for (receipt, entry) in receipts.iter().zip(&books.own) {
        let proof = receipt.proof.as_ref().unwrap_or_else(|| panic!("entry {} has no proof", receipt.seq));
        let proof = Proof::parse(proof.as_bytes()).expect("a proof");
        proof
            .verify(&entry.leaf(), &ledger.origin(), &key)
            .unwrap_or_else(|e| panic!("{}: {e}", receipt.seq));
        assert_eq!(receipt.entry, data_encoding::HEXLOWER.encode(entry.bytes()));
    }
}

#[expect(clippy::print_stdout, reason = "what was measured is for whoever runs the test")]
fn say(text: &str) {
    println!("{text}");
}
