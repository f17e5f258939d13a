use super::{PruneError, PruneOptions, PruneReport, prune};
use crate::config::Config;
use crate::data::DataDir;
use crate::service::{Core, Hooks, Opened, Prepared, Text, open};
use crate::store::RealDisk;
use crate::store::base::BASE_FILE;
use crate::store::segments::SEGMENTS_DIR;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weft_protocol::encoding::{Blob, encode};
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{AccountId, Hash, OpId, UnitId};
use weft_protocol::ledger::members::{AccountOpened, OwnerKind};
use weft_protocol::ledger::transfer::{Posting, Transfer};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};

const ANY_AGE: PruneOptions = PruneOptions { before_ms: None, keep_ms: 0, dry: false };

struct Site {
    _folder: tempfile::TempDir,
    data: DataDir,
    config: Config,
    ops: u8,
}

impl Site {
    /// A ledger with two members, and payments with texts.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path().join("hull"));
        let config = Config::new("hull").unwrap();
        let (code, name) = ("hour".to_owned(), "Hour".to_owned());
        let hour = UnitDefined { unit: UnitId(0), code, name, kind: UnitKind::Time, scale: 0 };
        crate::node::init(&data, &config, &[hour]).unwrap();
        let mut site = Self { _folder: folder, data, config, ops: 0 };
        site.run(|site, core| {
            for n in [1, 2] {
                let account = AccountId([n; 16]);
                let opened = AccountOpened { account, owner: OwnerKind::Member, key: None, anchor: false };
                site.submit(core, Payload::AccountOpened(opened), None);
            }
        });
        site
    }

    fn open(&self) -> Opened {
        open(&self.data, &self.config, Arc::new(RealDisk), Hooks::default()).unwrap()
    }

    /// A start, some work, a clean stop.
    fn run<T>(&mut self, work: impl FnOnce(&mut Self, &mut Core) -> T) -> T {
        let mut core = self.open().core;
        let value = work(self, &mut core);
        core.finish().unwrap();
        value
    }

    fn submit(&mut self, core: &mut Core, payload: Payload, text: Option<&str>) {
        self.ops += 1;
        let texts: Vec<Text> =
            text.iter().map(|t| Text { salt: [self.ops; 32], bytes: t.as_bytes().to_vec() }).collect();
        let signed = core.at_desk(payload, OpId([self.ops; 16]), Role::Operator, &texts).unwrap();
        core.submit(Prepared { signed, texts, expires_ms: None }).unwrap();
    }

    /// Gives the commitment to the text.
    fn pay(&mut self, core: &mut Core, amount: i64, text: &str) -> Hash {
        let posting = |n, delta| Posting { account: AccountId([n; 16]), unit: UnitId(0), delta };
        let transfer = Transfer { postings: vec![posting(1, -amount), posting(2, amount)], when_day: None };
        self.submit(core, Payload::Transfer(transfer), Some(text));
        weft_protocol::sidecar::commitment(&[self.ops; 32], text.as_bytes())
    }

    fn forward(&mut self) -> u64 {
        self.run(|site, core| {
            site.ops += 1;
            core.forward(OpId([site.ops; 16])).unwrap().0.body().seq
        })
    }

    fn prune(&self, options: &PruneOptions) -> Result<PruneReport, PruneError> {
        let _lock = self.data.lock().unwrap();
        prune(&self.data, &self.config, options)
    }

    fn digest(&self) -> (u64, Hash, Hash) {
        let opened = self.open();
        let state = opened.core.engine().state();
        let seen = (state.head.next_seq, state.digest(), opened.core.parts.tiles.root());
        opened.core.finish().unwrap();
        seen
    }

    fn segments(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.data.ledger().join(SEGMENTS_DIR))
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
    };
    std::fs::read_dir(folder).unwrap().map(|item| read(item.unwrap().path())).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let (item, name) = (item.as_ref().unwrap().path(), item.as_ref().unwrap().file_name());
        if item.is_dir() {
            copy(&item, &to.join(name))
        } else {
            _ = std::fs::copy(&item, to.join(name)).unwrap()
        }
    }
}

/// Two forwards with payments before, between and after; the place of the second, and the texts beside it.
fn with_two_forwards() -> (Site, u64, [Hash; 2]) {
    let mut site = Site::new();
    site.run(|site, core| (0..300).for_each(|n| site.pay_unique(core, n)));
    site.forward();
    let between = site.run(|site, core| site.pay(core, 5, "between"));
    let second = site.forward();
    let after = site.run(|site, core| site.pay(core, 7, "after"));
    (site, second, [between, after])
}

impl Site {
    /// More payments than op ids of one byte.
    fn pay_unique(&mut self, core: &mut Core, n: u32) {
        let posting = |n, delta| Posting { account: AccountId([n; 16]), unit: UnitId(0), delta };
        let payload =
            Payload::Transfer(Transfer { postings: vec![posting(1, -1), posting(2, 1)], when_day: None });
        let mut id = [0xee; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let signed = core.at_desk(payload, OpId(id), Role::Operator, &[]).unwrap();
        core.submit(Prepared { signed, texts: Vec::new(), expires_ms: None }).unwrap();
    }
}

#[test]
fn old_entries_go_and_everything_else_is_as_before() {
    let (mut site, second, [between, after]) = with_two_forwards();
    let before = site.digest();
    let report = site.prune(&ANY_AGE).unwrap();
    // The genesis and the unit stay: they are the public stream.
    assert_eq!((report.forward, report.kept.own, report.left_out), (second, 2, second - 2));
    assert_eq!(site.digest(), before);
    let texts = site.open().core;
    assert!(
        texts.is_left_out(5).unwrap()
            && !texts.is_left_out(0).unwrap()
            && !texts.is_left_out(second).unwrap()
    );
    assert!(texts.own_entry(0).is_ok() && texts.own_entry(5).is_err() && texts.own_entry(second + 1).is_ok());
    // The text of a payment goes with it, that of one that stays does not.
    assert!(texts.private().sidecar(&between).unwrap().is_none());
    assert!(texts.private().sidecar(&after).unwrap().is_some());
    texts.finish().unwrap();
    // It goes on, the index can be made anew, and more can be left out later.
    std::fs::remove_dir_all(site.data.index()).unwrap();
    assert_eq!(site.digest(), before);
    site.run(|site, core| site.pay(core, 3, "later"));
    let third = site.forward();
    site.run(|site, core| site.pay(core, 4, "last"));
    let before = site.digest();
    let report = site.prune(&ANY_AGE).unwrap();
    assert_eq!((report.forward, report.left_out), (third, third - 2));
    assert_eq!(site.digest(), before);
    assert!(matches!(site.prune(&ANY_AGE), Err(PruneError::Done(at)) if at == third));
}

#[test]
fn nothing_goes_before_its_time_or_without_a_checkpoint() {
    let (mut site, second, _) = with_two_forwards();
    let refused = site.prune(&PruneOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("60 days older") && refused.contains("none of the 2"), "{refused}");
    let dry = site.prune(&PruneOptions { dry: true, ..ANY_AGE }).unwrap();
    let before = site.segments();
    assert!(dry.forward == second && !site.data.ledger().join(BASE_FILE).exists());
    std::fs::remove_file(site.data.public().join("checkpoint")).unwrap();
    assert!(matches!(site.prune(&ANY_AGE), Err(PruneError::NotCovered { size: 0, witnessed: false, .. })));
    // A tile that could never be made again.
    site.run(|site, core| _ = site.pay(core, 9, "more"));
    let tile = site.data.public().join("tile/0/000");
    let good = std::fs::read(&tile).unwrap();
    std::fs::write(&tile, [7; 256 * 32]).unwrap();
    assert!(matches!(site.prune(&ANY_AGE), Err(PruneError::Tile { .. })));
    std::fs::write(&tile, good).unwrap();
    assert_eq!(before.keys().collect::<Vec<_>>(), site.segments().keys().collect::<Vec<_>>());
    site.prune(&ANY_AGE).unwrap();
}

#[test]
fn a_crash_at_any_step_leaves_the_old_folder_or_the_new_one() {
    let (site, second, _) = with_two_forwards();
    let digest = site.digest();
    let old = tempfile::tempdir().unwrap();
    copy(site.data.path(), old.path());
    site.prune(&ANY_AGE).unwrap();
    let new = site.segments();
    let base = std::fs::read(site.data.ledger().join(BASE_FILE)).unwrap();
    // The segment of keys and channels took the place of the one before the forward's own.
    let kept = "00000001.seg";
    assert_eq!(new.keys().collect::<Vec<_>>(), [kept, "00000002.seg"]);
    let half = &new[kept][..new[kept].len() / 2];

    type Step<'a> = (&'a str, bool, Box<dyn Fn(&Path) + 'a>);
    let waiting = format!("kept-{second}");
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let stage = |ledger: &Path| write(ledger.join(&waiting).join(kept), &new[kept]);
    let commit = |ledger: &Path| {
        stage(ledger);
        write(ledger.join(BASE_FILE), &base);
    };
    let moved = |ledger: &Path| {
        commit(ledger);
        std::fs::rename(ledger.join(&waiting).join(kept), ledger.join(SEGMENTS_DIR).join(kept)).unwrap();
    };
    let steps: Vec<Step<'_>> = vec![
        ("the folder is made", false, Box::new(|l| std::fs::create_dir(l.join(&waiting)).unwrap())),
        ("a half file waits", false, Box::new(|l| write(l.join(&waiting).join("00000000.seg"), half))),
        ("all of it waits", false, Box::new(&stage)),
        (
            "a half base is written beside",
            false,
            Box::new(|l| {
                stage(l);
                write(l.join("base.new"), &base[..base.len() / 2]);
            }),
        ),
        ("the base is in force", true, Box::new(&commit)),
        ("the file is in its place", true, Box::new(&moved)),
        (
            "the old ones are gone",
            true,
            Box::new(|l| {
                moved(l);
                std::fs::remove_file(l.join(SEGMENTS_DIR).join("00000000.seg")).unwrap();
            }),
        ),
    ];
    for (step, done, make) in steps {
        let again = tempfile::tempdir().unwrap();
        copy(old.path(), &again.path().join("hull"));
        let (data, config) = (DataDir::new(again.path().join("hull")), site.config.clone());
        make(&data.ledger());
        let again = Site { _folder: again, data, config, ops: 200 };
        assert_eq!(again.digest(), digest, "{step}");
        let found = again.segments();
        assert_eq!(found.contains_key("00000000.seg"), !done, "{step}");
        assert!(!again.data.ledger().join(&waiting).exists(), "{step}");
        if !done {
            again.prune(&ANY_AGE).unwrap();
            assert_eq!(again.digest(), digest, "{step}, and again");
        }
        assert_eq!(again.segments()[kept], new[kept], "{step}");
    }
}

/// A base as a later program would write it: whole, and of another version.
fn of_version(base: &[u8], version: u8) -> Vec<u8> {
    let (Blob(mut body), _): (Blob, Hash) = minicbor::decode(base).unwrap();
    // A map of eight, its key 0, the version.
    assert_eq!(body[..3], [0xa8, 0, 1]);
    body[2] = version;
    let digest = Hash::of("WEFT-BASE/1\n", &[&body]);
    encode(&(Blob(body), digest))
}

#[test]
fn what_stands_in_the_place_of_entries_is_not_missed_silently() {
    let (site, ..) = with_two_forwards();
    site.prune(&ANY_AGE).unwrap();
    let segments = site.data.ledger().join(SEGMENTS_DIR);
    let refused = |what: &str| {
        let opened = open(&site.data, &site.config, Arc::new(RealDisk), Hooks::default());
        let why = opened.unwrap_err().to_string();
        assert!(why.contains(what), "{why}");
    };
    let kept = segments.join("00000001.seg");
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::remove_file(&kept).unwrap();
    refused("00000001.seg is missing");
    std::fs::write(&kept, &bytes[..bytes.len() - 49]).unwrap();
    refused("does not end with a seal");
    std::fs::write(&kept, &bytes).unwrap();
    let path = site.data.ledger().join(BASE_FILE);
    let base = std::fs::read(&path).unwrap();
    for at in [3, base.len() / 2, base.len() - 2] {
        let mut damaged = base.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        refused("take it back from the newest backup");
    }
    std::fs::write(&path, of_version(&base, 3)).unwrap();
    refused("Use the program that wrote it");
    std::fs::remove_file(&path).unwrap();
    refused("00000000.seg is missing");
    std::fs::write(&path, &base).unwrap();
    site.digest();
}
