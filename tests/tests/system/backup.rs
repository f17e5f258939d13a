//! Backups, over real processes: made while the node works, read back, restored; what they hold and what they must not
//! (specs/store.md §13).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use weft_node::data::DataDir;
use weft_tests::binaries;
use weft_tests::kit::{Audited, Outcome, Site, fresh_id, output_text, payment};

const PATIENCE: Duration = Duration::from_secs(45);
const MEMO: &str = "seventeen marmalade sandwiches";
const NAME: &str = "Ottoline Quackenbush";

struct Town {
    hull: Site,
    lansing: Site,
    folder: tempfile::TempDir,
}

async fn town() -> Outcome<Town> {
    let folder = tempfile::tempdir()?;
    let hull = Site::found(folder.path(), "hull", &[]).await?;
    let lansing = Site::found(folder.path(), "lansing", &[]).await?;
    hull.add_member(NAME, None).await?;
    hull.add_member("Abe", None).await?;
    lansing.add_member("Bo", None).await?;
    hull.pair_with(&lansing, 100_000).await?;
    let mut with_memo = payment(NAME, "Abe", 3);
    with_memo.memo = Some(MEMO.to_owned());
    hull.client.pay(&with_memo, &fresh_id()).await?;
    fs::write(folder.path().join("passphrase"), "seven swans a-swimming\n")?;
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder.path().join("passphrase"), fs::Permissions::from_mode(0o600))?;
    let town = Town { hull, lansing, folder };
    town.pay(10).await?;
    Ok(town)
}

impl Town {
    async fn pay(&self, times: u64) -> Outcome<()> {
        for _ in 0..times {
            self.hull.pay(NAME, "Abe", 2, 0).await?;
        }
        self.hull.pay(NAME, "Bo@lansing", 30, 20).await?;
        self.lansing.pay("Bo", "Abe@hull", 10, 20).await?;
        self.hull.until_quiet(PATIENCE).await?;
        self.lansing.until_quiet(PATIENCE).await
    }

    fn backup(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binaries::weftd());
        command.arg("backup").args(arguments);
        command.env("WEFT_BACKUP_PASSPHRASE_FILE", self.folder.path().join("passphrase"));
        command.output().expect("weftd starts")
    }

    fn create(&self, name: &str, more: &[&str]) -> (PathBuf, String) {
        let file = self.folder.path().join(name);
        let data = self.hull.data.path().display().to_string();
        let out = self.backup(&[&["create", "--data", &data, &file.display().to_string()], more].concat());
        assert!(out.status.success(), "{}", output_text(&out));
        (file, output_text(&out))
    }

    fn verify(&self, file: &Path) -> Output {
        self.backup(&["verify", &file.display().to_string()])
    }
}

fn holds(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).expect("a file");
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_working_node_is_good_and_a_node_that_starts_from_it_asks_first() {
    let mut town = town().await.expect("a town");
    // Made while payments are written.
    let (first, second) = {
        let working = async {
            for _ in 0..3 {
                town.pay(60).await.expect("payments");
            }
        };
        let making = async {
            let made = |name: &'static str| {
                let town = &town;
                move || tokio::task::block_in_place(|| town.create(name, &[]))
            };
            let first = made("first.tar.age")();
            tokio::time::sleep(Duration::from_millis(700)).await;
            (first, made("second.tar.age")())
        };
        let ((), made) = tokio::join!(working, making);
        (made.0.0, made.1.0)
    };
    for file in [&first, &second] {
        let out = town.verify(file);
        assert!(out.status.success() && output_text(&out).contains("is good: hull"), "{}", output_text(&out));
        assert!(!holds(file, MEMO) && !holds(file, "marmalade"), "it is encrypted");
    }
    // The machine burns; the keys are elsewhere.
    let status = town.hull.status().await.expect("a status");
    town.hull.kill().await.expect("killed");
    let data = town.hull.data.path().to_owned();
    let keys = town.folder.path().join("keys");
    fs::rename(data.join("keys"), &keys).expect("the keys are kept elsewhere");
    let used = town.backup(&["restore", &first.display().to_string(), "--data", &data.display().to_string()]);
    assert!(!used.status.success() && output_text(&used).contains("is not empty"), "{}", output_text(&used));
    fs::remove_dir_all(&data).expect("a folder");
    let out = town.backup(&["restore", &first.display().to_string(), "--data", &data.display().to_string()]);
    assert!(out.status.success() && output_text(&out).contains("keys first"), "{}", output_text(&out));
    let token = fs::read_to_string(data.join("keys/api-token")).expect("a new token");
    assert_ne!(token, fs::read_to_string(keys.join("api-token")).expect("the old token"));
    for item in fs::read_dir(&keys).expect("keys") {
        let path = item.expect("a key").path();
        fs::rename(&path, data.join("keys").join(path.file_name().expect("a name"))).expect("put back");
    }
    // It is older than what it has sent: it signs nothing before its peer has answered, and takes its channel back.
    town.lansing.stop().await.expect("a clean stop");
    town.hull.start().await.expect("a start");
    let guard = town.hull.status().await.expect("a status").guard;
    assert!(guard.is_some(), "a copy proves nothing");
    let refused = town.hull.pay(NAME, "Abe", 1, 0).await;
    assert!(refused.is_err(), "nothing is signed");
    town.lansing.start().await.expect("a start");
    // It hears how much is missing, and who has to decide.
    let wait = async {
        loop {
            let guard = town.hull.status().await.expect("a status").guard.expect("entries are missing");
            match guard.succession {
                Some(terms) if terms.unheard.is_empty() => return (guard.known_size, terms.base),
                Some(_) | None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    let (known, base) = tokio::time::timeout(PATIENCE, wait).await.expect("the peer answers");
    assert!(
        known > base && base > 0 && known <= status.entries,
        "{known} known, {base} here, {} were",
        status.entries
    );
    assert!(town.hull.pay(NAME, "Abe", 1, 0).await.is_err(), "nothing is signed");
    town.hull.stop().await.expect("a stop");
    let audited = Audited::read(&data).expect("books");
    assert!(audited.wrong.is_empty(), "{:?}", audited.wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_damaged_or_of_another_passphrase_is_refused() {
    let town = town().await.expect("a town");
    let (sealed, text) = town.create("sealed.tar.age", &[]);
    assert!(
        text.contains("encrypted") && text.contains("35 days") && text.contains("keys are not in it"),
        "{text}"
    );
    let (plain, text) = town.create("plain.tar", &["--plain"]);
    assert!(text.contains("not encrypted") && holds(&plain, MEMO), "{text}");
    let again = town.backup(&["create", "--data", "nowhere", &plain.display().to_string()]);
    assert!(!again.status.success());
    for file in [&sealed, &plain] {
        let good = fs::read(file).expect("a file");
        let bad = town.folder.path().join("bad");
        for part in 0..10 {
            let mut bytes = good.clone();
            bytes[good.len() * part / 10 + 3] ^= 4;
            fs::write(&bad, &bytes).expect("a file");
            let out = town.verify(&bad);
            assert!(
                !out.status.success(),
                "byte {} of {}: {}",
                good.len() * part / 10 + 3,
                file.display(),
                output_text(&out)
            );
        }
        fs::write(&bad, &good[..good.len() * 2 / 3]).expect("a file");
        assert!(!town.verify(&bad).status.success(), "cut");
        assert!(!bad.with_file_name("bad.check").exists(), "what was taken out is gone");
    }
    fs::write(town.folder.path().join("passphrase"), "another passphrase\n").expect("a file");
    let out = town.verify(&sealed);
    assert!(!out.status.success(), "{}", output_text(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_backup_is_made_while_old_entries_are_being_left_out() {
    let town = town().await.expect("a town");
    // What a process that leaves out entries keeps beside the segments until it is done; the node holds the lock here.
    let waiting = town.hull.data.path().join("ledger/kept-7");
    fs::create_dir(&waiting).expect("a folder");
    let file = town.folder.path().join("early.tar");
    let data = town.hull.data.path().display().to_string();
    let refused = town.backup(&["create", "--data", &data, &file.display().to_string(), "--plain"]);
    assert!(
        !refused.status.success() && output_text(&refused).contains("being left out just now"),
        "{}",
        output_text(&refused)
    );
    assert!(!file.exists());
    fs::remove_dir(&waiting).expect("it was there");
    let (file, _) = town.create("late.tar", &["--plain"]);
    assert!(town.verify(&file).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_holds_no_keys_unless_asked_and_nobody_who_was_erased_before() {
    let mut town = town().await.expect("a town");
    let seed = |name: &str| fs::read_to_string(town.hull.data.key(name)).expect("a key").trim().to_owned();
    let secrets: Vec<String> = ["log", "desk", "handle-secret", "api-token"].map(seed).to_vec();
    let (plain, _) = town.create("plain.tar", &["--plain"]);
    assert!(holds(&plain, NAME) && secrets.iter().all(|secret| !holds(&plain, secret)));
    let (with_keys, _) = town.create("keys.tar", &["--plain", "--with-keys"]);
    assert!(secrets[..3].iter().all(|secret| holds(&with_keys, secret)) && !holds(&with_keys, &secrets[3]));
    assert!(town.verify(&with_keys).status.success());
    // Erased: what is made from now on knows nothing of her; what was made before is to be destroyed in time.
    let erasure = weft_api::NewErasure { reason: weft_api::Reason::Asked, confirm: NAME.to_owned() };
    town.hull.client.erase(NAME, &erasure, &fresh_id()).await.expect("erased");
    let old = fs::File::options().write(true).open(&plain).expect("a file");
    let before = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_582_934_399);
    old.set_modified(before).expect("an older time");
    let (after, text) = town.create("after.tar", &["--plain"]);
    assert!(text.contains("plain.tar was kept for more than 35 days: destroy it"), "{text}");
    assert!(["Ottoline", "Quackenbush", "marmalade"].iter().all(|word| !holds(&after, word)));
    // Its own folder, with the keys in it, is a whole node.
    town.hull.stop().await.expect("a clean stop");
    let (stopped, _) = town.create("stopped.tar", &["--plain", "--with-keys"]);
    let data = town.folder.path().join("elsewhere");
    let out =
        town.backup(&["restore", &stopped.display().to_string(), "--data", &data.display().to_string()]);
    assert!(out.status.success() && !output_text(&out).contains("keys first"), "{}", output_text(&out));
    let restored = DataDir::new(&data);
    restored.keys().expect("all keys");
    assert!(!data.join("instance").exists() && !data.join("index").exists());
}
