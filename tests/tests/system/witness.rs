//! Networks that witness each other, and witnesses outside, over real processes (specs/witness.md).

use std::fs;
use std::path::Path;
use std::time::Duration;
use weft_api::Status;
use weft_audit::{VerifyOptions, verify_store};
use weft_client::post_text;
use weft_protocol::entry::Payload;
use weft_protocol::keys::SecretKey;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::{KeyName, Note, SignatureType, VerifierKey};
use weft_protocol::log::proof::{LeafHashes, build_consistency};
use weft_protocol::log::tree::{leaf_hash, root_of};
use weft_protocol::log::witness::{AddCheckpoint, Answer, witness_key};
use weft_tests::kit::books::Books;
use weft_tests::kit::{Audited, Failure, Outcome, Site};

/// Far above what it takes: a checkpoint comes 10 s after an entry at the latest.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// Writes a section into a site's `weft.toml`; it counts from the next start.
fn configure(site: &Site, witness: &str) -> Outcome<()> {
    let path = site.data.config();
    let text = fs::read_to_string(&path)?;
    let text = text.split("[witness]").next().unwrap_or_default().to_owned();
    Ok(fs::write(path, format!("{text}\n[witness]\n{witness}\n"))?)
}

async fn until(site: &Site, what: &str, is: impl Fn(&Status) -> bool) -> Outcome<Status> {
    let wait = async {
        loop {
            let status = site.status().await?;
            if is(&status) {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| {
        Err(Failure::new(format!("{}: {what} did not come\n{}", site.name, site.log_text())))
    })
}

/// Waits until all entries so far are in a checkpoint that enough witnesses have cosigned.
async fn until_witnessed(site: &Site) -> Outcome<Status> {
    let entries = site.status().await?.entries;
    until(site, "a cosigned checkpoint", |s| s.witness.size >= entries && s.witness.enough).await
}

async fn two() -> Outcome<(tempfile::TempDir, Site, Site)> {
    let folder = tempfile::tempdir()?;
    let hull = Site::found(folder.path(), "hull", &[]).await?;
    let lansing = Site::found(folder.path(), "lansing", &[]).await?;
    hull.pair_with(&lansing, 1_000).await?;
    Ok((folder, hull, lansing))
}

fn public_note(site: &Site) -> Outcome<Note> {
    Ok(Note::parse(&fs::read(site.data.public().join("checkpoint"))?)?)
}

/// Waits until the published checkpoint carries this cosignature: one that has just been made does not yet.
async fn until_published_with(site: &Site, witness: &VerifierKey) -> Outcome<()> {
    let carried = async {
        while public_note(site)?.cosignature(witness).is_err() {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    let waited = tokio::time::timeout(PATIENCE, carried).await;
    waited.unwrap_or_else(|_| Err(Failure::new("the published checkpoint does not carry the cosignature")))
}

fn witness_of(site: &Site, status: &Status) -> Outcome<VerifierKey> {
    Ok(witness_key(&status.ledger.parse()?, &site.data.keys()?.witness.public()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_witness_each_other_record_it_and_both_ledgers_pass_the_audit() -> Outcome<()> {
    let (_folder, mut hull, mut lansing) = two().await?;
    for site in [&mut hull, &mut lansing] {
        site.stop().await?;
        configure(site, "view_every_s = 0")?;
        site.start().await?;
    }
    hull.until_open("lansing").await?;
    hull.add_member("Ada", None).await?;
    hull.add_member("Ben", None).await?;
    hull.pay("Ada", "Ben", 30, 0).await?;
    let of_hull = until_witnessed(&hull).await?;
    let of_lansing = until_witnessed(&lansing).await?;
    assert!(
        of_hull.witness.words.starts_with("witnessed only by its counterparty"),
        "{}",
        of_hull.witness.words
    );
    assert!(of_hull.witness.witnesses.iter().all(|w| w.time_ms.is_some()));
    assert!(of_lansing.witness.cosigned.iter().any(|log| log.size > 0));
    until_published_with(&hull, &witness_of(&lansing, &of_lansing)?).await?;
    until(&lansing, "a recorded view", |s| s.entries > of_lansing.entries).await?;
    hull.stop().await?;
    lansing.stop().await?;
    for site in [&hull, &lansing] {
        let books = Books::read(site.data.path())?;
        let views = books.own.iter().filter(|entry| matches!(entry.op().payload, Payload::PeerView(_)));
        assert!(views.count() > 0, "{} has recorded nothing", site.name);
        assert_eq!(Audited::by_both(site.data.path())?.wrong, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_is_killed_again_and_again_goes_on_where_it_was() -> Outcome<()> {
    let (_folder, hull, mut lansing) = two().await?;
    hull.add_member("Ada", None).await?;
    let mut last = 0;
    for _ in 0..3 {
        // Whatever stood on its disk when it was killed, before or after its answer, it goes on from there.
        hull.add_member(&format!("M{last}"), None).await?;
        tokio::time::sleep(Duration::from_millis(u64::from(last > 0) * 700)).await;
        lansing.kill().await?;
        lansing.start().await?;
        let status = until_witnessed(&hull).await?;
        assert!(status.witness.size > last, "{} after {last}", status.witness.size);
        assert_eq!(status.problems, Vec::<String>::new());
        last = status.witness.size;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_restored_from_an_old_folder_learns_first_what_it_had_cosigned() -> Outcome<()> {
    let (folder, hull, mut lansing) = two().await?;
    until_witnessed(&hull).await?;
    lansing.stop().await?;
    let backup = folder.path().join("backup");
    weft_tests::kit::copy_folder(lansing.data.path(), &backup)?;
    fs::remove_file(backup.join("instance")).ok();
    lansing.start().await?;
    hull.until_open("lansing").await?;
    hull.add_member("Ada", None).await?;
    let cosigned = until_witnessed(&hull).await?.witness.size;
    lansing.kill().await?;
    fs::remove_dir_all(lansing.data.path())?;
    weft_tests::kit::copy_folder(&backup, lansing.data.path())?;
    lansing.start().await?;
    let known = |status: &Status| status.witness.cosigned.iter().any(|log| log.size >= cosigned);
    until(&lansing, "what it had cosigned", known).await?;
    assert!(lansing.log_text().contains("we had cosigned more of a peer's log than we knew"));
    Ok(())
}

/// A log outside: its key, its leaves, and what it signs.
struct Outside {
    key: SecretKey,
    origin: String,
}

impl Outside {
    fn vkey(&self) -> Outcome<VerifierKey> {
        Ok(Checkpoint::log_key(&self.origin, &self.key.public())?)
    }

    fn request(&self, old_size: u64, leaves: &[&str]) -> Outcome<AddCheckpoint> {
        let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf.as_bytes())).collect();
        let proof = match old_size {
            0 => Vec::new(),
            _ => build_consistency(&mut LeafHashes(&hashes), old_size, hashes.len() as u64)?,
        };
        let root = root_of(hashes.iter().copied());
        let note = Checkpoint::new(&self.origin, hashes.len() as u64, root)?.sign(&self.key);
        Ok(AddCheckpoint { old_size, proof, note })
    }

    async fn ask(&self, url: &str, request: &AddCheckpoint) -> Outcome<Answer> {
        let body = request.to_string().into_bytes();
        let answer = post_text(url, body, Duration::from_secs(30), 1 << 16).await?;
        Ok(Answer::parse(answer.status, &answer.body)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_a_witness_over_http_for_the_logs_it_names_and_refuses_a_fork() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    let log = Outside { key: SecretKey::from_seed(&[5; 32]), origin: "example.com/log".to_owned() };
    hull.stop().await?;
    fs::write(hull.data.path().join("others"), format!("log {}\nquorum none\n", log.vkey()?))?;
    configure(&hull, "logs = \"others\"")?;
    hull.start().await?;
    let address = hull.http.clone().ok_or_else(|| Failure::new("hull serves no HTTP"))?;
    let url = format!(
        "{}/witness/add-checkpoint",
        if address.starts_with("http") { address } else { format!("http://{address}") }
    );
    let key = witness_of(&hull, &hull.status().await?)?;
    let cosigned = |request: &AddCheckpoint, answer: Answer| -> Outcome<()> {
        let Answer::Cosigned(lines) = answer else { return Err(Failure::new(format!("{answer:?}"))) };
        let mut note = request.note.clone();
        lines.into_iter().try_for_each(|line| note.add(line))?;
        note.cosignature(&key)?;
        Ok(())
    };
    let first = log.request(0, &["a", "b", "c"])?;
    cosigned(&first, log.ask(&url, &first).await?)?;
    let longer = log.request(3, &["a", "b", "c", "d", "e"])?;
    cosigned(&longer, log.ask(&url, &longer).await?)?;
    // What it has cosigned survives a kill; then a fork, shown in every way, is refused.
    hull.kill().await?;
    hull.start().await?;
    let address = hull.http.clone().ok_or_else(|| Failure::new("hull serves no HTTP"))?;
    let url = format!(
        "{}/witness/add-checkpoint",
        if address.starts_with("http") { address } else { format!("http://{address}") }
    );
    assert_eq!(log.ask(&url, &log.request(0, &["x", "y"])?).await?, Answer::Conflict(5));
    assert_eq!(log.ask(&url, &log.request(3, &["a", "b", "c", "X", "Y"])?).await?, Answer::Conflict(5));
    let status = |answer: Answer| answer.status();
    let fork = log.request(5, &["a", "b", "c", "X", "Y", "Z"])?;
    assert_eq!(status(log.ask(&url, &fork).await?), 422);
    let stranger = Outside { key: SecretKey::from_seed(&[6; 32]), origin: "example.com/other".to_owned() };
    assert_eq!(status(log.ask(&url, &stranger.request(0, &["a"])?).await?), 404);
    let forger = Outside { key: SecretKey::from_seed(&[6; 32]), origin: log.origin.clone() };
    assert_eq!(status(log.ask(&url, &forger.request(5, &["a", "b", "c", "d", "e", "f"])?).await?), 403);
    let nonsense = post_text(&url, b"old x\n\n".to_vec(), Duration::from_secs(30), 1 << 16).await?;
    assert_eq!(nonsense.status, 400);
    let long = post_text(&url, vec![b'a'; 80 * 1024], Duration::from_secs(30), 1 << 16).await;
    assert!(long.is_err() || long.is_ok_and(|answer| answer.status == 413));
    let good = log.request(5, &["a", "b", "c", "d", "e", "f"])?;
    cosigned(&good, log.ask(&url, &good).await?)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outside_witness_that_the_policy_names_cosigns_over_http() -> Outcome<()> {
    let (_folder, mut hull, lansing) = two().await?;
    // Madison is no peer of hull's: it serves hull's log because its operator says so.
    let folder = tempfile::tempdir()?;
    let mut madison = Site::found(folder.path(), "madison", &[]).await?;
    let status = hull.status().await?;
    let ledger: weft_protocol::ids::LedgerId = status.ledger.parse()?;
    let log = VerifierKey::new(
        KeyName::new(&ledger.origin())?,
        SignatureType::Ed25519,
        hull.data.keys()?.log.public(),
    );
    madison.stop().await?;
    fs::write(madison.data.path().join("others"), format!("log {log}\nquorum none\n"))?;
    configure(&madison, "logs = \"others\"")?;
    madison.start().await?;
    let address = madison.http.clone().ok_or_else(|| Failure::new("madison serves no HTTP"))?;
    let address = if address.starts_with("http") { address } else { format!("http://{address}") };
    let outside = witness_of(&madison, &madison.status().await?)?;
    let peer = witness_of(&lansing, &lansing.status().await?)?;
    hull.stop().await?;
    let policy = format!(
        "log {log}\nwitness m {outside} {address}/witness\nwitness l {peer}\ngroup both all m l\nquorum both\n"
    );
    fs::write(hull.data.path().join("policy"), &policy)?;
    configure(&hull, "policy = \"policy\"")?;
    hull.start().await?;
    hull.add_member("Ada", None).await?;
    let status = until_witnessed(&hull).await?;
    assert_eq!(status.witness.words, "witnessed by 2 of 2: enough for the policy");
    hull.stop().await?;
    // The last checkpoint of a clean stop may be newer than the witnessed one, which an auditor may ask for.
    let audit = |policy: Option<&Path>| {
        let options = VerifyOptions { policy: policy.map(Path::to_path_buf), ..VerifyOptions::default() };
        verify_store(hull.data.path(), &options, &mut |_| {})
    };
    let strict = audit(Some(&hull.data.path().join("policy")))?;
    let wrong: Vec<_> = strict.report().findings.kept().iter().filter(|f| f.class.is_wrong()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(audit(None)?.exit_code, 0);
    Ok(())
}
