//! What is done to a bundle: damage to its files, and what its own node or a peer could sign anew.
//!
//! Every act gives another bundle than before, or says that it does not apply ([`Act::apply`] gives `None`); then another is drawn.

mod files;
mod history;
mod peers;

use super::model::Model;
use crate::kit::{Dice, Outcome};
use std::path::Path;

/// What an auditor must say of a corrupted bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// Something is wrong.
    FindIt,
    /// Something was not looked at, and is named: a peer's words that are not there, a stranger's signature line.
    MissIt,
    /// Nothing is wrong, but that a rewritten history cannot be excluded.
    WarnOfIt,
    /// Nobody can tell: whatever the verdict is, both say the same.
    AgreeOnIt,
}

/// An act as it was done.
#[derive(Debug, Clone)]
pub struct Done {
    /// In words, for whoever looks into a failure.
    pub what: String,
    /// Entries and files that a finding must name: one of them; empty where any place will do.
    pub names: Vec<String>,
    /// What an auditor must say.
    pub must: Must,
    /// How many entries the earlier checkpoint covers that the auditor holds; `None` when they hold none.
    pub earlier: Option<usize>,
}

impl Done {
    fn found(what: impl Into<String>, names: Vec<String>) -> Self {
        Self { what: what.into(), names, must: Must::FindIt, earlier: None }
    }
}

/// One kind of corruption.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// Its name on the screen.
    pub name: &'static str,
    run: fn(&mut Case<'_>) -> Outcome<Option<Done>>,
}

/// What an act works on.
#[derive(Debug)]
pub struct Case<'a> {
    /// The ledger; acts change a copy of it.
    pub model: &'a Model,
    /// The corrupted bundle: a copy of the good one when an act begins.
    pub folder: &'a Path,
    /// Decides everything.
    pub dice: &'a mut Dice,
}

impl Act {
    /// Does it; `None` when this ledger has nothing that it could be done to.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn apply(&self, case: &mut Case<'_>) -> Outcome<Option<Done>> {
        (self.run)(case)
    }
}

/// All of them, each drawn as often as it stands here.
pub const ACTS: &[Act] = &[
    Act { name: "bit flipped", run: files::flip },
    Act { name: "bit flipped", run: files::flip },
    Act { name: "bit flipped", run: files::flip },
    Act { name: "bit flipped in entries", run: files::flip_entries },
    Act { name: "bit flipped in entries", run: files::flip_entries },
    Act { name: "file cut short", run: files::truncate },
    Act { name: "bytes appended", run: files::append },
    Act { name: "bytes zeroed", run: files::zero },
    Act { name: "file removed", run: files::remove },
    Act { name: "file added", run: files::add },
    Act { name: "files exchanged", run: files::exchange },
    Act { name: "older checkpoint", run: files::older_checkpoint },
    Act { name: "signature line dropped", run: files::unsigned_checkpoint },
    Act { name: "signature line added", run: files::countersigned_checkpoint },
    Act { name: "checkpoint of another key", run: files::forged_checkpoint },
    Act { name: "entries swapped", run: history::swap },
    Act { name: "entry dropped", run: history::drop_one },
    Act { name: "entry doubled", run: history::double },
    Act { name: "entry of a peer put in", run: history::foreign },
    Act { name: "entry signed again", run: history::resign },
    Act { name: "place signed again", run: history::place_signed },
    Act { name: "amount changed, tiles and checkpoint too", run: history::amount_in_tiles },
    Act { name: "amount changed, tiles and checkpoint too", run: history::amount_in_tiles },
    Act { name: "amount changed, all signed again", run: history::amount_resigned },
    Act { name: "one side of a payment changed", run: history::one_sided },
    Act { name: "authority dropped", run: history::without_authority },
    Act { name: "root signatures dropped", run: history::without_root },
    Act { name: "rule changed without authority", run: history::rule },
    Act { name: "rule made without authority", run: history::new_rule },
    Act { name: "key bound without authority", run: history::bind_key },
    Act { name: "claim decided twice", run: history::decide_twice },
    Act { name: "booked twice", run: history::book_twice },
    Act { name: "history rewritten", run: history::rewrite },
    Act { name: "history rewritten", run: history::rewrite },
    Act { name: "history rewritten, nothing kept", run: history::rewrite_unseen },
    Act { name: "peer's entries cut", run: peers::cut },
    Act { name: "peer's entry dropped", run: peers::drop_entry },
    Act { name: "peer's entries swapped", run: peers::swap },
    Act { name: "peer's entry doubled", run: peers::double },
    Act { name: "peer's entry signed again", run: peers::resign },
    Act { name: "peer's rewritten channel", run: peers::rewrite },
    Act { name: "peer decides twice", run: peers::decide_twice },
    Act { name: "peer's folder removed", run: peers::remove },
];

fn entry(at: usize) -> String {
    format!("entry {at}")
}

/// An entry and its neighbours: a broken chain is found at both of its ends.
fn around(at: usize) -> Vec<String> {
    [at.saturating_sub(1), at, at + 1].map(entry).to_vec()
}

/// A place below `len`; 0 where there is none.
fn pick(dice: &mut Dice, len: usize) -> usize {
    dice.place(len.max(1))
}
