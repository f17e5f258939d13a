//! What machines do to a node: a full disk, a second process on the same folder. Failed syncs, torn writes and flipped
//! bits are tried in `node/src/service/tests.rs`, `powerloss.rs` and `flips.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use weft_tests::binaries;
use weft_tests::kit::{Audited, Books, Site};
use weft_tests::require::{Tool, need};

/// Size of the small disk.
const DISK_BYTES: u64 = 48 * 1024 * 1024;
/// Payments tried while it fills up: far more than fit into what is left.
const PAYMENTS: u64 = 3_000;
/// Room left for the node when the disk is filled.
const LEFT_BYTES: u64 = 192 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_a_folder_is_refused_and_told_who_has_it() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut hull = Site::found(temporary.path(), "hull", &[]).await.expect("a network");
    let pid = fs::read_to_string(hull.data.path().join("lock")).expect("a lock file");
    let pid: u32 = pid.trim().parse().expect("a process id");
    let mut second = Command::new(binaries::weftd());
    second.args(["run", "--listen", "/ip4/127.0.0.1/tcp/0", "--http", "", "--data"]).arg(hull.data.path());
    let out = second.output().expect("it starts");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(78), "{said}");
    assert!(said.contains(&format!("another weftd (process {pid}) uses")), "{said}");
    // The first one has not noticed anything.
    hull.add_member("ann", None).await.expect("a member");
    hull.stop().await.expect("stopped");
    hull.start().await.expect("a lock that nobody holds is no hindrance");
    assert_ne!(
        fs::read_to_string(hull.data.path().join("lock")).expect("a lock file").trim(),
        pid.to_string()
    );
}

/// A file system of its own, which can really be full.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Self {
        let (image, at) = (folder.join("disk.img"), folder.join("disk"));
        fs::File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).expect("an image");
        fs::create_dir(&at).expect("a folder");
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at));
        Self(at)
    }

    /// Fills what is free but for a little; gives the file that does it.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = fs::File::create(&filler).expect("a file");
        let piece = vec![7; 64 * 1024];
        while std::io::Write::write_all(&mut file, &piece).and_then(|()| file.sync_data()).is_ok() {}
        let full = file.metadata().expect("its length").len();
        file.set_len(full.saturating_sub(LEFT_BYTES)).expect("a little room");
        file.sync_all().expect("synced");
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left behind may still have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(command: &mut Command) {
    let out = command.output().expect("it starts");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_node_in_words_and_loses_nothing_that_was_acknowledged() {
    if need(Tool::PowerLoss).is_none() {
        return;
    }
    let temporary = tempfile::tempdir().expect("a folder");
    let disk = SmallDisk::mount(temporary.path());
    let mut hull = Site::found(&disk.0, "hull", &[]).await.expect("a network");
    for member in ["ann", "ben"] {
        hull.add_member(member, None).await.expect("a member");
    }
    let filler = disk.fill();
    let mut acknowledged = Vec::new();
    let mut refused = None;
    for _ in 0..PAYMENTS {
        match hull.pay("ann", "ben", 1, 0).await {
            Ok(done) => acknowledged.push(done.op_id),
            Err(why) => {
                refused = Some(why.to_string());
                break;
            }
        }
    }
    let refused = refused.expect("the disk was never full");
    say(&format!("{} payments, then: {refused}", acknowledged.len()));
    let said = format!("{refused}\n{}", hull.log_text());
    assert!(said.contains("No space left on device"), "{said}");
    // Nothing more is taken, and whoever asks is told why.
    assert!(hull.pay("ann", "ben", 1, 0).await.is_err());
    hull.kill().await.expect("ended");

    fs::remove_file(filler).expect("room again");
    hull.start().await.expect("started");
    hull.pay("ann", "ben", 1, 0).await.expect("a payment");
    hull.stop().await.expect("stopped");
    let times = Books::read(hull.data.path()).expect("books").times();
    for op in &acknowledged {
        let id = op.parse().expect("an id");
        assert_eq!(times.get(&id), Some(&1), "payment {op} was acknowledged");
    }
    assert_eq!(Audited::by_both(hull.data.path()).expect("audited").wrong, [] as [String; 0]);
}

#[expect(clippy::print_stdout, reason = "what was measured is for whoever runs the test")]
fn say(text: &str) {
    println!("{text}");
}
