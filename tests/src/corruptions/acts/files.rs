//! Damage to files: bits, bytes, files gone, files that do not belong, checkpoints that are not this one.

use super::{Case, Done, Must, around, entry, pick};
use crate::corruptions::model::put;
use crate::kit::{Dice, Outcome};
use std::fs;
use std::path::Path;
use weft_protocol::keys::SecretKey;
use weft_protocol::log::note::{KeyName, Note};

/// All files of a folder, in order.
pub(super) fn files(folder: &Path) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(next) = todo.pop() {
        for item in fs::read_dir(&next)? {
            let path = item?.path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("below").display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn any_file(case: &mut Case<'_>) -> Outcome<(String, Vec<u8>)> {
    let mut all = files(case.folder)?;
    let name = all.swap_remove(pick(case.dice, all.len()));
    let bytes = fs::read(case.folder.join(&name))?;
    Ok((name, bytes))
}

fn any_byte(dice: &mut Dice) -> u8 {
    dice.roll().to_le_bytes()[0]
}

fn flip_at(dice: &mut Dice, bytes: &mut [u8]) -> usize {
    let at = pick(dice, bytes.len());
    bytes[at] ^= 1 << dice.below(8);
    at
}

pub(super) fn flip(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let (name, mut bytes) = any_file(case)?;
    let at = flip_at(case.dice, &mut bytes);
    put(case.folder, &name, &bytes)?;
    Ok(Some(Done::found(format!("{name}, byte {at}"), vec![name])))
}

/// Entries are most of a real bundle; in a small one they would be hit too seldom.
pub(super) fn flip_entries(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut all: Vec<String> =
        files(case.folder)?.into_iter().filter(|name| name.starts_with("tile/entries/")).collect();
    let name = all.swap_remove(pick(case.dice, all.len()));
    let mut bytes = fs::read(case.folder.join(&name))?;
    let at = flip_at(case.dice, &mut bytes);
    put(case.folder, &name, &bytes)?;
    let (mut place, mut end) = (0, 0);
    for entry in &case.model.own {
        end += entry.bytes().len() + 2;
        if at < end {
            break;
        }
        place += 1;
    }
    let names = if name.contains("/000") { around(place) } else { vec![name.clone()] };
    Ok(Some(Done::found(format!("{name}, byte {at}, in entry {place}"), names)))
}

pub(super) fn truncate(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let (name, mut bytes) = any_file(case)?;
    let (len, cut) = (bytes.len(), 1 + pick(case.dice, bytes.len().min(400)));
    bytes.truncate(len - cut.min(len));
    // A peer's newest entries can be left out, in whole: only a cut inside an entry is damage for sure.
    if name.starts_with("peers/") && ends_whole(&bytes) {
        return Ok(None);
    }
    put(case.folder, &name, &bytes)?;
    Ok(Some(Done::found(format!("{name}, its last {cut} bytes"), vec![name])))
}

fn ends_whole(mut bytes: &[u8]) -> bool {
    while let Some((len, rest)) = bytes.split_first_chunk() {
        match rest.get(usize::from(u16::from_be_bytes(*len))..) {
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
    bytes.is_empty()
}

pub(super) fn append(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let (name, mut bytes) = any_file(case)?;
    let more = 1 + case.dice.below(64);
    bytes.extend((0..more).map(|_| any_byte(case.dice)));
    put(case.folder, &name, &bytes)?;
    Ok(Some(Done::found(format!("{name}, {more} bytes more"), vec![name])))
}

pub(super) fn zero(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let (name, mut bytes) = any_file(case)?;
    let from = pick(case.dice, bytes.len());
    let to = (from + 1 + pick(case.dice, 64)).min(bytes.len());
    if bytes[from..to].iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    bytes[from..to].fill(0);
    put(case.folder, &name, &bytes)?;
    Ok(Some(Done::found(format!("{name}, bytes {from} to {to}"), vec![name])))
}

pub(super) fn remove(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let (name, _) = any_file(case)?;
    let alone = name.strip_suffix("/public").is_some_and(|of| !case.folder.join(of).join("channel").exists());
    fs::remove_file(case.folder.join(&name))?;
    let mut done = Done::found(format!("{name} removed"), vec![name.clone()]);
    if let Some(peer) = case.model.peers.iter().find(|peer| name == peer.file("channel")) {
        // What a peer has said may be left out; then its word is missing, and that is said.
        done.must = Must::MissIt;
        done.names = vec![peer.short()];
    }
    if alone {
        // Where no channel, no round and no cosignature rests on it, nobody can tell (specs/audit.md 1.2).
        done.must = Must::AgreeOnIt;
    }
    if name == "checkpoint" {
        done.names.clear();
    }
    Ok(Some(done))
}

pub(super) fn add(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let size = case.model.own.len();
    let narrower = 1 + (size % 256).saturating_sub(2);
    let peer = case.model.peers.first().map(|peer| peer.ledger.to_string()).unwrap_or_default();
    let names = [
        "notes.txt".to_owned(),
        ".hidden".to_owned(),
        "tile/0/009".to_owned(),
        "tile/3/000".to_owned(),
        format!("tile/0/000.p/{narrower}"),
        format!("tile/entries/000.p/{narrower}"),
        "tile/0/0".to_owned(),
        "tile/entries/x000/000".to_owned(),
        "checkpoint.old".to_owned(),
        format!("peers/{peer}/notes"),
        format!("peers/{}/public", peer.to_uppercase()),
        format!("peers/{}/channel", "00".repeat(32)),
        format!("evidence/{}.weft-evidence", "00".repeat(32)),
    ];
    let name = names[pick(case.dice, names.len())].clone();
    if case.folder.join(&name).exists() {
        return Ok(None);
    }
    put(case.folder, &name, &[0x57; 64])?;
    Ok(Some(Done::found(format!("{name} added"), vec![name])))
}

pub(super) fn exchange(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let ((one, first), (other, second)) = (any_file(case)?, any_file(case)?);
    if first == second {
        return Ok(None);
    }
    put(case.folder, &one, &second)?;
    put(case.folder, &other, &first)?;
    Ok(Some(Done::found(format!("{one} and {other} exchanged"), vec![one, other])))
}

pub(super) fn older_checkpoint(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let size = 1 + pick(case.dice, case.model.own.len() - 1);
    put(case.folder, "checkpoint", case.model.checkpoint(size).as_bytes())?;
    Ok(Some(Done::found(format!("the checkpoint over {size}"), vec!["checkpoint".into(), entry(size)])))
}

pub(super) fn unsigned_checkpoint(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let note = case.model.checkpoint(case.model.own.len());
    let text = note.split("— ").next().unwrap_or_default();
    put(case.folder, "checkpoint", text.as_bytes())?;
    Ok(Some(Done::found("the checkpoint without its signature", vec!["checkpoint".into()])))
}

pub(super) fn countersigned_checkpoint(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut note = Note::parse(case.model.checkpoint(case.model.own.len()).as_bytes())?;
    let stranger = "stranger.example/log";
    let peer = case.model.peers.first().map(|peer| format!("{}/witness", peer.ledger.origin()));
    let ours = case.model.origin(case.model.own.len());
    let names = [Some(ours), peer, Some(stranger.to_owned())];
    let Some(name) = names[pick(case.dice, names.len())].clone() else { return Ok(None) };
    let key = SecretKey::from_seed(&[any_byte(case.dice); 32]);
    let other = Note::sign(note.text(), &KeyName::new(&name)?, &key)?;
    note.add(other.signatures()[0].clone())?;
    put(case.folder, "checkpoint", note.to_string().as_bytes())?;
    let mut done = Done::found(format!("a signature line of {name}"), vec!["checkpoint".into()]);
    if name == stranger {
        // Whoever they are: it says nothing about the ledger, and is told.
        done.must = Must::MissIt;
        done.names = vec![name];
    }
    Ok(Some(done))
}

pub(super) fn forged_checkpoint(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut model = case.model.clone();
    model.log = [any_byte(case.dice); 32];
    put(case.folder, "checkpoint", model.checkpoint(model.own.len()).as_bytes())?;
    Ok(Some(Done::found("the checkpoint signed by another key", vec!["checkpoint".into()])))
}
