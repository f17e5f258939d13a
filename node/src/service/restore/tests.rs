//! A node that was restored from an old backup, and mirrors that tell the truth or do not.

use super::*;
use crate::clock::SystemRng;
use crate::config::Config;
use crate::data::{DataDir, RECOVERY_KEY};
use crate::node::{Founding, RecoveryKey, found};
use crate::service::{Hooks, Prepared, open};
use crate::store::RealDisk;
use std::path::Path;
use std::sync::Arc;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{AccountId, OpId};
use weft_protocol::ledger::members::{AccountOpened, OwnerKind};

const HONEST: LedgerId = LedgerId([1; 32]);
const LIAR: LedgerId = LedgerId([2; 32]);
/// Accounts opened before the backup, and in all.
const BEFORE: u8 = 5;
const ALL: u8 = 90;

/// A restored node in quarantine, and what its mirrors hold.
struct Restored {
    core: Core,
    us: LedgerId,
    secret: RecoverySecret,
    size: u64,
    pieces: Vec<Piece>,
    /// What a start from the same backup wrote that asked nobody.
    fork: Piece,
    _folder: tempfile::TempDir,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

fn opened(data: &DataDir, config: &Config) -> Core {
    open(data, config, Arc::new(RealDisk), Hooks::default()).unwrap().core
}

fn open_accounts(core: &mut Core, numbers: std::ops::Range<u8>) {
    for n in numbers {
        let account = AccountId([n; 16]);
        let payload = Payload::AccountOpened(AccountOpened {
            account,
            owner: OwnerKind::Member,
            key: None,
            anchor: false,
        });
        let signed = core.at_desk(payload, OpId([n; 16]), Role::Operator, &[]).unwrap();
        core.submit(Prepared { signed, texts: Vec::new(), expires_ms: None }).unwrap();
    }
}

fn restored() -> Restored {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (DataDir::new(folder.path().join("hull")), Config::new("hull").unwrap());
    found(&data, &config, &[], Founding { recovery: RecoveryKey::Make, ..Founding::default() }).unwrap();
    let secret = RecoverySecret(data.seed(RECOVERY_KEY).unwrap());
    let mut core = opened(&data, &config);
    open_accounts(&mut core, 0..BEFORE);
    core.finish().unwrap();
    let backup = DataDir::new(folder.path().join("backup"));
    copy(data.path(), backup.path());
    let mut core = opened(&data, &config);
    open_accounts(&mut core, BEFORE..ALL);
    core.commit_group().unwrap();
    core.index_group();
    core.publish().unwrap();
    let (us, size) = (core.engine().state().ledger().unwrap(), core.engine().state().head.next_seq);
    let piece = |number| seal(&us, core.open_piece(number, 0).unwrap().unwrap(), &secret);
    let pieces = vec![piece(0), piece(1)];
    let unguarded = DataDir::new(folder.path().join("unguarded"));
    copy(backup.path(), unguarded.path());
    let mut core = opened(&unguarded, &config);
    open_accounts(&mut core, 200..213);
    core.commit_group().unwrap();
    core.index_group();
    core.publish().unwrap();
    let fork = seal(&us, core.open_piece(0, 0).unwrap().unwrap(), &secret);
    let mut core = opened(&backup, &config);
    assert!(core.engine().state().head.next_seq < size);
    core.parts.engine.quarantine();
    Restored { core, us, secret, size, pieces, fork, _folder: folder }
}

fn seal(us: &LedgerId, open: crate::service::OpenPiece, secret: &RecoverySecret) -> Piece {
    Piece::seal(&public_key(&secret.0), us, open.id, &open.entries, &mut SystemRng).unwrap()
}

impl Restored {
    fn runs(&self) -> Vec<Run> {
        self.pieces.iter().map(|piece| Run::of(piece.id())).collect()
    }

    fn wanted(&self) -> Option<(LedgerId, PieceId)> {
        self.core.mirrors_wanted().and_then(|wanted| wanted.piece)
    }

    /// Gives what is wanted until nothing is.
    fn give_all(&mut self) {
        while let Some((peer, id)) = self.wanted() {
            let piece = self.pieces.iter().find(|piece| piece.id() == id).cloned();
            self.core.mirror_given(peer, id, piece.as_ref());
        }
    }

    fn head(&self) -> u64 {
        self.core.engine().state().head.next_seq
    }

    /// A mirror lists a piece and gives this instead: it is passed over, and the honest one gives everything.
    fn why_passed_over(mut self, listed: PieceId, given: Option<&Piece>) -> String {
        assert!(self.core.give_recovery_secret(self.secret.clone()));
        self.core.mirror_listed(LIAR, Ok(vec![Run::of(listed)]));
        assert_eq!(self.wanted(), Some((LIAR, listed)));
        let before = self.head();
        self.core.mirror_listed(HONEST, Ok(self.runs()));
        self.core.mirror_given(LIAR, listed, given);
        assert_eq!(self.head(), before, "nothing of it was taken");
        let why = self.core.restore_report().passed_over.remove(&LIAR).expect("it is passed over");
        self.give_all();
        assert_eq!(self.head(), self.size);
        assert!(!self.core.engine().is_quarantined());
        why
    }
}

#[test]
fn everything_comes_back_entry_by_entry_and_the_secret_is_forgotten() {
    let mut node = restored();
    node.core.mirror_listed(HONEST, Ok(node.runs()));
    assert!(node.core.engine().is_quarantined() && node.wanted().is_none(), "without the key it waits");
    let report = node.core.guard_report().unwrap();
    assert_eq!((report.peers.known_size, &report.mirrors.ahead[..]), (node.size, &[HONEST][..]));
    assert!(node.core.give_recovery_secret(node.secret.clone()));
    node.give_all();
    assert_eq!(node.head(), node.size);
    assert!(!node.core.engine().is_quarantined() && node.core.watch.restore.secret.is_none());
    assert!(node.core.commit_group().unwrap());
    assert!(node.core.boot() > node.pieces[1].boot, "it goes on under a later start");
}

#[test]
fn another_key_opens_nothing_and_nobody_is_blamed_for_it() {
    let mut node = restored();
    assert!(node.core.give_recovery_secret(RecoverySecret(Zeroizing::new([3; 32]))));
    node.core.mirror_listed(HONEST, Ok(node.runs()));
    assert_eq!(node.wanted(), None);
    let report = node.core.restore_report();
    assert!(report.wrong_key && report.passed_over.is_empty() && node.core.engine().is_quarantined());
    assert_eq!(format!("{:?}", node.secret), "RecoverySecret(..)");
}

#[test]
fn a_mirror_that_does_not_give_what_it_listed_why_passed_over() {
    let node = restored();
    let id = node.pieces[0].id();
    assert!(node.why_passed_over(id, None).contains("does not give it"));
    // One that says it holds more than there is holds nobody up for longer than that.
    let node = restored();
    let id = PieceId { boot: u64::MAX, ..node.pieces[0].id() };
    assert!(node.why_passed_over(id, None).contains("does not give it"));
}

#[test]
fn a_mirror_that_gives_damaged_or_other_bytes_why_passed_over() {
    let node = restored();
    let (mut piece, other) = (node.pieces[0].clone(), node.pieces[1].clone());
    let id = piece.id();
    piece.sealed.0[99] ^= 1;
    assert!(node.why_passed_over(id, Some(&piece)).contains("damaged"));
    assert!(restored().why_passed_over_first(Some(&other)).contains("another piece"));
}

impl Restored {
    fn why_passed_over_first(self, given: Option<&Piece>) -> String {
        let id = self.pieces[0].id();
        self.why_passed_over(id, given)
    }

    /// What anybody can do who knows the public recovery key: seal entries of their own making.
    fn forged(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Piece {
        let id = self.pieces[0].id();
        let mut entries = self.pieces[0].open(&self.secret.0, &self.us).unwrap();
        change(&mut entries);
        Piece::seal(&public_key(&self.secret.0), &self.us, id, &entries, &mut SystemRng).unwrap()
    }
}

#[test]
fn entries_that_somebody_else_has_sealed_count_for_nothing() {
    let next = usize::from(BEFORE) + 2;
    let node = restored();
    // A signature that was changed: it parses, and is not ours.
    let forged = node.forged(|entries| {
        let entry = &mut entries[next];
        let last = entry.len() - 1;
        entry[last] ^= 1;
    });
    assert!(node.why_passed_over_first(Some(&forged)).contains("cannot be ours"));
    let node = restored();
    let forged = node.forged(|entries| entries.swap(next, next + 1));
    assert!(node.why_passed_over_first(Some(&forged)).contains("something else than it says"));
    let node = restored();
    let forged = node.forged(|entries| entries[next] = b"no entry".to_vec());
    assert!(node.why_passed_over_first(Some(&forged)).contains("holds something else"));
}

#[test]
fn a_piece_of_another_history_is_left_aside_without_blame() {
    let mut node = restored();
    assert!(node.core.give_recovery_secret(node.secret.clone()));
    // Ten entries of what was, and twenty of what an unguarded start from the same backup made of it.
    let count = BEFORE + 5;
    let mut entries = node.pieces[0].open(&node.secret.0, &node.us).unwrap();
    entries.truncate(count.into());
    let id = PieceId { count, ..node.pieces[0].id() };
    let real = Piece::seal(&public_key(&node.secret.0), &node.us, id, &entries, &mut SystemRng).unwrap();
    node.core.mirror_listed(LIAR, Ok(vec![Run::of(node.fork.id())]));
    node.core.mirror_given(HONEST, id, Some(&real));
    assert_eq!(node.head(), u64::from(count));
    assert_eq!(node.wanted(), Some((LIAR, node.fork.id())));
    let fork = node.fork.clone();
    node.core.mirror_given(LIAR, fork.id(), Some(&fork));
    assert_eq!((node.head(), node.wanted()), (u64::from(count), None));
    assert!(!node.core.mirroring.troubles.contains_key(&LIAR), "it has kept what it was given");
    assert!(!node.core.engine().is_quarantined(), "and nobody holds more of ours");
}
