//! Keys of a node that are encrypted or given by the service manager (specs/ceremony.md §1), over real processes.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use weft_tests::binaries::weftd;
use weft_tests::kit::{Outcome, Site, expect, output_text};

const PASSPHRASE: &str = "four words are enough";

/// A private file that holds a passphrase.
fn passphrase_file(folder: &Path, name: &str, text: &str) -> Outcome<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, format!("{text}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

fn keys(data: &Path, command: &str, passphrase: &Path) -> Outcome<Output> {
    let mut weftd = Command::new(weftd());
    weftd.args(["keys", command, "--data"]).arg(data).env("WEFT_PASSPHRASE_FILE", passphrase);
    Ok(weftd.stdin(Stdio::null()).output()?)
}

/// Names and contents of all files in the folder of keys.
fn key_files(site: &Site) -> Outcome<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for item in std::fs::read_dir(site.data.key(""))? {
        let item = item?;
        files.push((item.file_name().to_string_lossy().into_owned(), std::fs::read(item.path())?));
    }
    files.sort();
    Ok(files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_encrypted_keys_starts_with_the_passphrase_and_with_nothing_else() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let good = passphrase_file(folder.path(), "good", PASSPHRASE)?;
    let wrong = passphrase_file(folder.path(), "wrong", "not the passphrase")?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    for name in ["Ada", "Bo"] {
        hull.add_member(name, None).await?;
    }
    let refused = keys(hull.data.path(), "encrypt", &good)?;
    expect("keys of a running node are changed", !refused.status.success())?;
    hull.stop().await?;
    let before = key_files(&hull)?;
    let done = keys(hull.data.path(), "encrypt", &good)?;
    expect(&output_text(&done), done.status.success())?;
    let after = key_files(&hull)?;
    for (name, secret) in before.iter().filter(|(name, _)| name != "api-token") {
        let left = after.iter().any(|(_, bytes)| bytes.windows(64).any(|w| w == &secret[..64]));
        expect(&format!("{name} still stands in plain"), !left)?;
    }
    let said = keys(hull.data.path(), "status", &wrong)?;
    expect(&output_text(&said), output_text(&said).contains("log            encrypted"))?;

    let nothing = hull.start().await.err().map(|e| e.to_string()).unwrap_or_default();
    expect(&nothing, nothing.contains("a passphrase is needed"))?;
    hull.arguments = vec!["--passphrase-file".to_owned(), wrong.display().to_string()];
    let refused = hull.start().await.err().map(|e| e.to_string()).unwrap_or_default();
    expect(&refused, refused.contains("this is not the passphrase of"))?;
    expect("a wrong passphrase changed a key", key_files(&hull)? == after)?;
    hull.arguments = vec!["--passphrase-file".to_owned(), good.display().to_string()];
    hull.start().await?;
    hull.pay("Ada", "Bo", 30, 0).await?;
    expect("status names another form", hull.status().await?.keys_kept == weft_api::KeysKept::Encrypted)?;
    hull.stop().await?;
    expect("the passphrase is in the log", !hull.log_text().contains(PASSPHRASE))?;

    let new = passphrase_file(folder.path(), "new", "and now another passphrase")?;
    let mut change = Command::new(weftd());
    change.args(["keys", "passphrase", "--data"]).arg(hull.data.path());
    change.arg("--passphrase-file").arg(&good).arg("--new-passphrase-file").arg(&new);
    let changed = change.stdin(Stdio::null()).output()?;
    expect(&output_text(&changed), changed.status.success())?;
    let old = keys(hull.data.path(), "decrypt", &good)?;
    expect("the old passphrase still opens the keys", !old.status.success())?;
    let plain = keys(hull.data.path(), "decrypt", &new)?;
    expect(&output_text(&plain), plain.status.success())?;
    expect("decrypted keys are not what they were", key_files(&hull)? == before)?;
    hull.arguments.clear();
    hull.start().await?;
    expect("a payment was lost", hull.balance("Bo").await? == 30)?;
    hull.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_with_keys_that_the_service_manager_gives() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    hull.stop().await?;
    let given = folder.path().join("credentials");
    std::fs::create_dir(&given)?;
    for name in ["log", "witness", "seal", "libp2p", "desk", "handle-secret", "root-1"] {
        std::fs::rename(hull.data.key(name), given.join(format!("weft.{name}")))?;
    }
    let without = hull.start().await.err().map(|e| e.to_string()).unwrap_or_default();
    expect(&without, without.contains("there is no key \"handle-secret\""))?;
    hull.environment = vec![("CREDENTIALS_DIRECTORY".to_owned(), given.display().to_string())];
    hull.start().await?;
    expect("status names another form", hull.status().await?.keys_kept == weft_api::KeysKept::Credential)?;
    hull.stop().await?;

    // The keystore may also be encrypted, with only its passphrase as a credential.
    for name in ["log", "witness", "seal", "libp2p", "desk", "handle-secret", "root-1"] {
        std::fs::rename(given.join(format!("weft.{name}")), hull.data.key(name))?;
    }
    std::fs::write(given.join("weft.passphrase"), PASSPHRASE)?;
    let mut encrypt = Command::new(weftd());
    encrypt.args(["keys", "encrypt", "--data"]).arg(hull.data.path()).env("CREDENTIALS_DIRECTORY", &given);
    let done = encrypt.stdin(Stdio::null()).output()?;
    expect(&output_text(&done), done.status.success())?;
    hull.start().await?;
    expect("status names another form", hull.status().await?.keys_kept == weft_api::KeysKept::Encrypted)?;
    hull.stop().await
}

#[test]
fn a_passphrase_typed_at_a_terminal_is_not_shown() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("hull");
    let terminal = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)?;
    rustix::pty::grantpt(&terminal)?;
    rustix::pty::unlockpt(&terminal)?;
    let name = rustix::pty::ptsname(&terminal, Vec::new())?;
    let end = || {
        let path = name.to_str().map_err(|_| std::io::Error::other("a terminal has a plain name"))?;
        std::fs::OpenOptions::new().read(true).write(true).open(path)
    };
    let mut init = Command::new(weftd());
    init.args(["init", "--site", "hull", "--encrypt-keys", "--data"])
        .arg(&data)
        .env_remove("WEFT_PASSPHRASE_FILE");
    let mut child = init.stdin(end()?).stderr(end()?).stdout(Stdio::piped()).spawn()?;
    let mut keyboard = std::fs::File::from(terminal);
    let mut screen = String::new();
    for (question, answer) in [("not shown): ", PASSPHRASE), ("again: ", PASSPHRASE)] {
        let mut buffer = [0; 256];
        while !screen.ends_with(question) {
            let read = keyboard.read(&mut buffer)?;
            screen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        keyboard.write_all(format!("{answer}\n").as_bytes())?;
    }
    let status = child.wait()?;
    expect(&screen, status.success() && !screen.contains("four"))?;
    expect(
        "the store is not encrypted",
        data.join("keys/log.age").exists() && !data.join("keys/log").exists(),
    )
}
