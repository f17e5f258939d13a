//! A ledger of payments between a thousand members, made by the protocol's own author and written as a bundle.
//!
//! Everything is derived from numbers, so that every run makes the same bytes.

use crate::{Mix, Outcome};
use std::fs;
use std::path::{Path, PathBuf};
use weft_audit::BundleWriter;
use weft_protocol::amount::Amount;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{AccountId, Hash, LedgerId, OpId, Salt, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::author::Author;
use weft_protocol::ledger::identity::{Genesis, PURPOSES, PurposeKey, RootSet};
use weft_protocol::ledger::members::{AccountOpened, OwnerKind};
use weft_protocol::ledger::state::State;
use weft_protocol::ledger::transfer::{Transfer, move_value};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::tile::TilePath;

const HOUR: UnitId = UnitId(0);
const MEMBERS: u64 = 1_000;
const START_MS: u64 = 1_767_225_600_000;
/// A payment may wait a day.
const LIFE_MS: u64 = 86_400_000;

/// See the module.
pub(crate) struct Ledger {
    folder: PathBuf,
    author: Author,
    state: State,
    bundle: BundleWriter,
    members: Vec<(AccountId, Option<SecretKey>)>,
    desk: SecretKey,
    root: SecretKey,
    now_ms: u64,
    tick_ms: u64,
    drawn: u64,
    bytes: u64,
}

fn draw(what: &str, number: u64) -> [u8; 32] {
    Hash::of("WEFT-BENCH/1\n", &[what.as_bytes(), &number.to_be_bytes()]).0
}

fn key(what: &str, number: u64) -> SecretKey {
    SecretKey::from_seed(&draw(what, number))
}

impl Ledger {
    /// A ledger with its genesis, one unit and its members.
    pub(crate) fn begin(folder: &Path, mix: Mix, tick_ms: u64) -> Outcome<Self> {
        let keys: Vec<PurposeKey> = (0..)
            .zip(PURPOSES)
            .map(|(number, purpose)| PurposeKey { purpose, key: key("network", number).public().bytes() })
            .collect();
        // In the order of purposes: the log key is the first, the desk's the fifth.
        let (log, desk, root) = (key("network", 0), key("network", 4), key("root", 0));
        let mut ledger = Self {
            folder: folder.to_path_buf(),
            author: Author::new(log, START_MS),
            state: State::default(),
            bundle: BundleWriter::begin(folder)?,
            members: Vec::new(),
            desk,
            root,
            now_ms: START_MS,
            tick_ms,
            drawn: 0,
            bytes: 0,
        };
        let roots = RootSet { threshold: 1, keys: vec![ledger.root.public().bytes()] };
        let genesis = Genesis { root: roots, next_root: None, keys, charter: None, predecessor: None };
        ledger.by_root(Payload::Genesis(genesis))?;
        let (code, name) = ("hour".into(), "Hour".into());
        let hour = UnitDefined { unit: HOUR, code, name, kind: UnitKind::Time, scale: 0 };
        ledger.by_root(Payload::UnitDefined(hour))?;
        for number in 0..MEMBERS {
            let account = AccountId(Hash(draw("account", number)).prefix());
            let own = (mix == Mix::Keys).then(|| key("member", number));
            let public = own.as_ref().map(|key| key.public().bytes());
            let opened = AccountOpened { account, owner: OwnerKind::Member, key: public, anchor: false };
            ledger.by_root(Payload::AccountOpened(opened))?;
            ledger.members.push((account, own));
        }
        Ok(ledger)
    }

    /// Bytes of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Payments until there are so many entries, and a checkpoint over them.
    pub(crate) fn grow_to(&mut self, entries: u64) -> Outcome<()> {
        while self.bundle.size() < entries {
            self.pay()?;
        }
        self.bundle.end_entries()?;
        remove_stale(&self.folder, "tile", self.bundle.size())?;
        let origin = self.state.ledger()?.origin();
        let checkpoint = Checkpoint::new(&origin, self.bundle.size(), self.bundle.root())?;
        let note = checkpoint.sign(self.author.log_key(self.state.identity()?, 0)?).to_string();
        self.bundle.write("checkpoint", note.as_bytes())?;
        Ok(())
    }

    fn number(&mut self, below: u64) -> u64 {
        self.drawn += 1;
        u64::from_be_bytes(Hash(draw("dice", self.drawn)).prefix()) % below
    }

    fn pay(&mut self) -> Outcome<()> {
        let from = self.number(MEMBERS);
        let to = (from + 1 + self.number(MEMBERS - 1)) % MEMBERS;
        let amount = Amount::new(1 + i64::try_from(self.number(240))?)?;
        let account = |at: u64| self.members[usize::try_from(at).unwrap_or(0)].0;
        let postings = move_value(account(from), account(to), HOUR, amount);
        let op = self.op(Payload::Transfer(Transfer { postings, when_day: None }));
        let (ledger, unsigned) = (self.state.ledger()?, SignedOp::unsigned(&op));
        let signed = match &self.members[usize::try_from(from)?].1 {
            Some(own) => unsigned.signed(&ledger, own, Role::Member, How::OwnKey),
            None => unsigned.signed(&ledger, &self.desk, Role::Member, How::Custody),
        };
        self.submit(&signed)
    }

    fn by_root(&mut self, payload: Payload) -> Outcome<()> {
        let op = self.op(payload);
        let ledger = self.state.ledger().unwrap_or(LedgerId::ZERO);
        self.submit(&SignedOp::unsigned(&op).signed(&ledger, &self.root, Role::Root, How::OwnKey))
    }

    fn op(&mut self, payload: Payload) -> Op {
        self.now_ms += self.tick_ms;
        let op_id = OpId(Hash(draw("op", self.bundle.size())).prefix());
        Op { op_id, not_after_ms: self.now_ms + LIFE_MS, payload, sidecars: Vec::new() }
    }

    fn submit(&mut self, signed: &SignedOp) -> Outcome<()> {
        let salt = Salt(Hash(draw("salt", self.bundle.size())).prefix());
        let written = self.author.write(&mut self.state, signed, self.now_ms, salt)?;
        let bytes = written.entry.bytes().to_vec();
        self.bytes += bytes.len() as u64;
        Ok(self.bundle.push(bytes)?)
    }
}

/// Partial tiles of a smaller ledger are stale in a larger one, but for those of levels that did not grow.
fn remove_stale(folder: &Path, name: &str, size: u64) -> Outcome<()> {
    for item in fs::read_dir(folder.join(name))? {
        let item = item?;
        let name = format!("{name}/{}", item.file_name().display());
        if item.file_type()?.is_dir() {
            remove_stale(folder, &name, size)?;
        } else {
            let path: TilePath = name.parse()?;
            if TilePath::in_tree(path.kind(), path.first_element(), size) != Some(path) {
                fs::remove_file(item.path())?;
            }
        }
    }
    Ok(())
}
