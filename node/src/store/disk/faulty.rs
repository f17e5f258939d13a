//! A disk that fails on command: full, broken, lying, or suddenly without power. For tests only.
//!
//! It works on real files and remembers which bytes and names a power loss would spare, so that after
//! [`FaultyDisk::power_loss`] anything (also [`RealDisk`] or another process) can look at what is left.
//! Handles opened before a power loss fail from then on.

use super::{Disk, DiskFile, RealDisk};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// "No space left on device".
pub const ENOSPC: i32 = 28;
/// "Input/output error".
pub const EIO: i32 = 5;

/// What a power loss leaves of the bytes written since the last sync of their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Drop,
    /// The first bytes, at most this many in each file.
    Keep(u64),
    /// The length, with zeros in place of the content.
    Zeros,
}

/// A [`Disk`] that fails on command; clones share their state.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    power_losses: u64,
    writes: u64,
    syncs: u64,
    fail_write: Option<u64>,
    fail_sync: Option<u64>,
    skip_syncs: bool,
    files: BTreeMap<PathBuf, Tracked>,
}

/// What of a file is durable: its first `base` bytes as they stand, followed by `cut`.
#[derive(Debug)]
struct Tracked {
    base: u64,
    cut: Vec<u8>,
    named: bool,
}

impl FaultyDisk {
    /// A disk without faults until told.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the n-th write from now (1 = the next) fail with `ENOSPC` after half of its bytes.
    pub fn fail_write(&self, n: u64) {
        let mut state = self.lock();
        state.fail_write = Some(state.writes + n);
    }

    /// Lets the n-th sync of a file or folder from now (1 = the next) fail with `EIO`.
    pub fn fail_sync(&self, n: u64) {
        let mut state = self.lock();
        state.fail_sync = Some(state.syncs + n);
    }

    /// Makes syncs say `Ok` and do nothing, like a lying disk.
    pub fn skip_syncs(&self, skip: bool) {
        self.lock().skip_syncs = skip;
    }

    /// Writes (appends and rewrites) so far.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Syncs of files and folders so far.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Takes the power away: what was not synced is lost as `tail` says, and open handles die.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn power_loss(&self, tail: Tail) -> io::Result<()> {
        let mut state = self.lock();
        state.power_losses += 1;
        for (path, file) in std::mem::take(&mut state.files) {
            if !file.named {
                std::fs::remove_file(&path)?;
                continue;
            }
            let mut bytes = std::fs::read(&path)?;
            let base = usize::try_from(file.base).map_err(io::Error::other)?;
            let unsynced = bytes.split_off(base);
            bytes.extend_from_slice(&file.cut);
            if file.cut.is_empty() {
                match tail {
                    Tail::Drop => {}
                    Tail::Keep(n) => {
                        bytes.extend(unsynced.iter().take(usize::try_from(n).unwrap_or(usize::MAX)));
                    }
                    Tail::Zeros => bytes.resize(base + unsynced.len(), 0),
                }
            }
            std::fs::write(&path, bytes)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, path: &Path, inner: Box<dyn DiskFile>, named: bool) -> io::Result<Box<dyn DiskFile>> {
        let base = inner.size()?;
        let mut state = self.lock();
        state.files.entry(path.to_owned()).or_insert(Tracked { base, cut: Vec::new(), named });
        let power_losses = state.power_losses;
        Ok(Box::new(FaultyFile { disk: self.clone(), path: path.to_owned(), inner, power_losses }))
    }
}

impl State {
    fn count_write(&mut self) -> io::Result<()> {
        self.writes += 1;
        if self.fail_write == Some(self.writes) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }

    fn count_sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.fail_sync == Some(self.syncs) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inner = RealDisk.create_new(path)?;
        self.handle(path, inner, false)
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inner = RealDisk.open_append(path)?;
        self.handle(path, inner, true)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inner = RealDisk.open_read(path)?;
        self.handle(path, inner, true)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.count_sync()?;
        if !state.skip_syncs {
            for (path, file) in &mut state.files {
                file.named |= path.parent() == Some(dir);
            }
        }
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    inner: Box<dyn DiskFile>,
    power_losses: u64,
}

impl FaultyFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.power_losses == self.power_losses {
            Ok(state)
        } else {
            Err(io::Error::from_raw_os_error(EIO))
        }
    }
}

impl DiskFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        drop(self.state()?);
        self.inner.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        drop(self.state()?);
        self.inner.read_at(buf, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let counted = self.state()?.count_write();
        match counted {
            Ok(()) => self.inner.append(bytes),
            Err(full) => {
                self.inner.append(&bytes[..bytes.len() / 2])?;
                Err(full)
            }
        }
    }

    fn rewrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state()?.count_write()?;
        self.inner.rewrite(offset, bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.state()?;
        if let Some(file) = state.files.get_mut(&self.path)
            && len < file.base
        {
            let mut cut = vec![0; usize::try_from(file.base - len).map_err(io::Error::other)?];
            self.inner.read_at(&mut cut, len)?;
            cut.append(&mut file.cut);
            file.cut = cut;
            file.base = len;
        }
        drop(state);
        self.inner.truncate(len)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let size = self.inner.size()?;
        let mut state = self.state()?;
        state.count_sync()?;
        if !state.skip_syncs
            && let Some(file) = state.files.get_mut(&self.path)
        {
            file.base = size;
            file.cut.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_loss_takes_what_was_not_synced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let disk = FaultyDisk::new();
        let mut file = disk.create_new(&path).unwrap();
        disk.sync_dir(dir.path()).unwrap();
        file.append(b"kept").unwrap();
        file.sync_data().unwrap();
        file.append(b"lost").unwrap();
        disk.power_loss(Tail::Keep(1)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"keptl");
        assert!(file.append(b"x").is_err(), "a handle outlived the power");

        let mut file = disk.open_append(&path).unwrap();
        file.append(b"later").unwrap();
        disk.power_loss(Tail::Zeros).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"keptl\0\0\0\0\0");
    }

    #[test]
    fn a_power_loss_takes_a_file_whose_folder_was_not_synced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let disk = FaultyDisk::new();
        let mut file = disk.create_new(&path).unwrap();
        file.append(b"x").unwrap();
        file.sync_data().unwrap();
        disk.power_loss(Tail::Drop).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn an_unsynced_cut_comes_back_after_a_power_loss() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"abcdef").unwrap();
        let disk = FaultyDisk::new();
        let mut file = disk.open_append(&path).unwrap();
        file.truncate(2).unwrap();
        file.append(b"XY").unwrap();
        disk.power_loss(Tail::Drop).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcdef");
    }

    #[test]
    fn the_nth_write_and_the_nth_sync_fail() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new();
        let mut file = disk.create_new(&dir.path().join("a")).unwrap();
        disk.fail_write(2);
        disk.fail_sync(1);
        file.append(b"ab").unwrap();
        assert_eq!(file.append(b"cdef").unwrap_err().raw_os_error(), Some(ENOSPC));
        assert_eq!(file.size().unwrap(), 4);
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(EIO));
    }
}
