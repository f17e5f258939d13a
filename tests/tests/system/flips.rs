//! One flipped bit in the ledger of a node that stopped cleanly is always found, and what it hit is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weft_audit::{VerifyOptions, verify_store};
use weft_node::config::Config;
use weft_node::data::DataDir;
use weft_node::service::{Hooks, open};
use weft_node::store::RealDisk;
use weft_protocol::keys::SecretKey;
use weft_tests::kit::{Dice, Outcome, Site, copy_folder};

/// Bits flipped.
const FLIPS: usize = 200;
/// Payments of the ledger: more entries than one tile has places.
const PAYMENTS: u64 = 110;
/// Chooses the places.
const SEED: u64 = 20;

/// A clean folder with entries of its own and of a peer.
async fn folder(at: &Path) -> Outcome<PathBuf> {
    let mut hull = Site::found(at, "hull", &[]).await?;
    let mut lansing = Site::found(at, "lansing", &[]).await?;
    let key = SecretKey::from_seed(&[7; 32]);
    hull.add_member("ann", Some(&key)).await?;
    for member in ["ben", "cat"] {
        hull.add_member(member, None).await?;
    }
    lansing.add_member("dee", None).await?;
    hull.pair_with(&lansing, 100_000).await?;
    for n in 0..PAYMENTS {
        hull.pay("ben", if n % 3 == 0 { "dee@lansing" } else { "cat" }, 1 + n, 20).await?;
        if n % 5 == 0 {
            lansing.pay("dee", "cat@hull", 2 + n, 20).await?;
        }
    }
    hull.stop().await?;
    lansing.stop().await?;
    Ok(hull.data.path().to_path_buf())
}

fn files(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).expect("a folder") {
        let path = item.expect("an entry").path();
        if path.is_dir() {
            files(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).expect("below the root").to_path_buf());
        }
    }
    found.sort();
}

/// Why the stores do not open, if they do not.
fn refused(data: &Path) -> Option<String> {
    let data = DataDir::new(data);
    let config = Config::load(&data.config()).expect("the configuration is untouched");
    open(&data, &config, Arc::new(RealDisk), Hooks::default()).err().map(|error| error.to_string())
}

/// What the auditor finds wrong, with files and entries.
fn found(data: &Path) -> Vec<String> {
    let outcome = verify_store(data, &VerifyOptions::default(), &mut |_| {}).expect("the folder is there");
    let findings = outcome.report().findings.kept().iter();
    let wrong =
        findings.filter(|f| f.class.is_wrong() || f.essential).map(weft_audit::finding_text).collect();
    assert_eq!(outcome.exit_code == 0, Vec::is_empty(&wrong), "the exit code says what the findings say");
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_bit_of_a_ledger_is_found_and_named() {
    let temporary = tempfile::tempdir().expect("a folder");
    let data = folder(temporary.path()).await.expect("a ledger");
    assert_eq!(found(&data), Vec::<String>::new(), "the ledger is right before a bit is flipped");
    let (mut all, ledger) = (Vec::new(), data.join("ledger"));
    files(&data, &ledger, &mut all);
    let is_segment = |file: &Path| file.extension().is_some_and(|e| e == "seg");
    let (segments, public): (Vec<PathBuf>, Vec<PathBuf>) = all.into_iter().partition(|file| is_segment(file));
    assert!(!segments.is_empty() && public.len() >= 3, "segments {segments:?}, public {public:?}");
    let targets = Targets { data, segments, public };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut hits = BTreeSet::new();
    std::thread::scope(|scope| {
        let one = |thread: usize| {
            let (targets, copy) = (&targets, temporary.path().join(format!("copy-{thread}")));
            scope.spawn(move || {
                (thread..FLIPS).step_by(threads).map(|n| flip(n, targets, &copy)).collect::<Vec<_>>()
            })
        };
        let running: Vec<_> = (0..threads).map(one).collect();
        for thread in running {
            hits.extend(thread.join().expect("every flip was found"));
        }
    });
    assert_eq!(hits.len(), targets.segments.len() + targets.public.len(), "every file was hit: {hits:?}");
}

/// What bits are flipped in.
struct Targets {
    data: PathBuf,
    segments: Vec<PathBuf>,
    public: Vec<PathBuf>,
}

/// Flips one bit in a copy; the auditor must find it, and the node must refuse it when it is in a segment.
fn flip(n: usize, targets: &Targets, copy: &Path) -> PathBuf {
    let (mut dice, segments, public) = (Dice(SEED + n as u64), &targets.segments, &targets.public);
    // Half of them in the segments, half over the public files in turn, so that none is left out.
    let in_segment = n.is_multiple_of(2);
    let file = if in_segment { &segments[dice.place(segments.len())] } else { &public[n / 2 % public.len()] };
    copy_folder(&targets.data, copy).expect("copied");
    let mut bytes = fs::read(copy.join(file)).expect("a file");
    let (place, bit) = (dice.place(bytes.len()), dice.below(8));
    bytes[place] ^= 1 << bit;
    fs::write(copy.join(file), bytes).expect("written");
    let what = format!("flip {n} (seed {SEED}): bit {bit} of byte {place} of {}", file.display());
    let (wrong, name) = (found(copy), file.display().to_string());
    assert!(wrong.iter().any(|finding| finding.contains(&name)), "{what}: the audit says {wrong:?}");
    if in_segment {
        let why = refused(copy).unwrap_or_else(|| panic!("{what}: the node opens it"));
        let segment = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(why.contains(&segment) && why.contains("record"), "{what}: the node says {why}");
    }
    fs::remove_dir_all(copy).expect("removed");
    file.clone()
}
