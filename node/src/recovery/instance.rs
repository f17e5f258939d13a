//! Proof that a data folder is the one that ran last, and not an older copy of it (specs/store.md §10).
//!
//! Two marks, of which a backup carries neither. The *token* stands outside the data folder, in a folder that is empty
//! after each start of the machine: before anything is told to anybody it says how long the ledger is. The *clean stop*
//! in the folder names inode and change time of the last segment, which no copy can have.
//! What must hold: a doubt is no proof. Whatever cannot be read, or is not ours, proves nothing.

use crate::data::DataDir;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use weft_protocol::ids::Hash;

/// Where Linux keeps the number of this start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// First word of a token.
const TOKEN: &str = "weft-instance/1";
/// Longest token that is read: two lines, the second a path.
const MAX_TOKEN_BYTES: u64 = 8 * 1024;
/// Old tokens looked at when one is made; more than a machine has nodes.
const MAX_SWEPT: usize = 1_000;

/// How long the ledger was when somebody was told of it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Entries.
    pub size: u64,
    /// Leaf of the last one.
    pub head: Hash,
}

/// What only the file itself has: a copy of it has another inode or a later change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMark {
    /// Inode number.
    pub inode: u64,
    /// Change time, seconds and nanoseconds.
    pub changed: (i64, i64),
}

impl FileMark {
    /// The mark of a file, all of it durable.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        file.sync_all()?;
        let about = file.metadata()?;
        Ok(Self { inode: about.ino(), changed: (about.ctime(), about.ctime_nsec()) })
    }
}

/// The token of a running node.
#[derive(Debug)]
pub struct Token {
    path: PathBuf,
    /// Everything but size and head, which have a fixed length and stand first.
    rest: String,
    file: Option<File>,
}

impl Token {
    /// The token of a data folder; `None` where there is no place for one, and a start can never prove itself by it.
    pub fn of(data: &DataDir) -> Option<Self> {
        let boot_id = std::fs::read_to_string(BOOT_ID).ok()?;
        let folder = std::fs::canonicalize(data.path()).ok()?;
        let owner = std::fs::metadata(&folder).ok()?.uid();
        let named = folder.to_str()?;
        let name = Hash::of("WEFT-INSTANCE/1\n", &[named.as_bytes()]).to_string();
        let path = private_folder(owner)?.join(name);
        Some(Self { path, rest: format!("{}\n{named}\n", boot_id.trim()), file: None })
    }

    /// What it says of this folder, written since the machine has started.
    pub fn read(&self) -> Option<Told> {
        let mut text = String::new();
        File::open(&self.path).ok()?.take(MAX_TOKEN_BYTES).read_to_string(&mut text).ok()?;
        let mut words = text.splitn(4, ' ');
        let (name, size, head, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let ours = name == TOKEN && rest == self.rest;
        ours.then_some(Told { size: size.parse().ok()?, head: head.parse().ok()? })
    }

    /// Says it: before anybody is told of the entries.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, told: Told) -> std::io::Result<()> {
        let text = format!("{TOKEN} {:020} {} {}", told.size, told.head, self.rest);
        if let Some(file) = &self.file {
            return file.write_all_at(text.as_bytes(), 0);
        }
        sweep(self.path.parent());
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.path)?;
        file.set_len(0)?;
        file.write_all_at(text.as_bytes(), 0)?;
        self.file = Some(file);
        Ok(())
    }

    /// Takes it away: from now on nothing is proven.
    pub fn remove(&mut self) {
        self.file = None;
        // One that cannot be removed says less than the ledger holds, or is found to be wrong.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A folder of ours alone in a place that the system empties when it starts.
fn private_folder(owner: u32) -> Option<PathBuf> {
    let first = |name: &str| {
        let value = std::env::var(name).ok()?;
        let path = PathBuf::from(value.split(':').next()?);
        path.is_absolute().then_some(path)
    };
    let shared = || {
        let memory = PathBuf::from("/dev/shm");
        if memory.is_dir() { memory } else { std::env::temp_dir() }
    };
    let above = first("RUNTIME_DIRECTORY").or_else(|| first("XDG_RUNTIME_DIR")).unwrap_or_else(shared);
    let folder = above.join(format!("weft-{owner}"));
    // Somebody else may have made it first, in a place that everybody may write to: then it is not used.
    let _ = DirBuilder::new().mode(0o700).create(&folder);
    let about = std::fs::symlink_metadata(&folder).ok()?;
    let ours = about.is_dir() && about.uid() == owner && about.mode() & 0o077 == 0;
    ours.then_some(folder)
}

/// Removes tokens of folders that are gone.
fn sweep(folder: Option<&Path>) {
    let Some(items) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) else { return };
    for item in items.take(MAX_SWEPT).flatten() {
        let Ok(text) = std::fs::read_to_string(item.path()) else { continue };
        let named = text.lines().nth(1).map(Path::new);
        if named.is_some_and(|path| !path.exists()) {
            let _ = std::fs::remove_file(item.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(size: u64) -> Told {
        Told { size, head: Hash([7; 32]) }
    }

    #[test]
    fn a_token_is_read_back_for_its_own_folder_only() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&other).unwrap();
        let mut token = Token::of(&DataDir::new(&one)).unwrap();
        assert_eq!(token.read(), None);
        token.write(told(5)).unwrap();
        token.write(told(12)).unwrap();
        assert_eq!(Token::of(&DataDir::new(&one)).unwrap().read(), Some(told(12)));
        assert_eq!(Token::of(&DataDir::new(&other)).unwrap().read(), None, "a copy has another path");
        token.remove();
        assert_eq!(token.read(), None);
    }

    #[test]
    fn a_token_of_another_start_of_the_machine_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut token = Token::of(&DataDir::new(dir.path())).unwrap();
        token.rest = format!("another-start\n{}\n", dir.path().display());
        token.write(told(5)).unwrap();
        let again = Token::of(&DataDir::new(dir.path())).unwrap();
        assert_eq!(again.read(), None);
        token.remove();
    }

    #[test]
    fn a_copy_of_a_file_has_another_mark_also_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let (file, backup) = (dir.path().join("file"), dir.path().join("backup"));
        std::fs::write(&file, b"abc").unwrap();
        let mark = FileMark::of(&file).unwrap();
        assert_eq!(FileMark::of(&file).unwrap(), mark);
        std::fs::copy(&file, &backup).unwrap();
        assert_ne!(FileMark::of(&backup).unwrap(), mark);
        // Clocks of file systems tick; a restore comes later than the tick of the stop before it.
        let over = (0..10_000).any(|_| {
            std::fs::write(&file, std::fs::read(&backup).unwrap()).unwrap();
            FileMark::of(&file).unwrap() != mark
        });
        assert!(over, "written over in place, it keeps its inode and not its time");
    }
}
