//! All files of a folder, with a record of which were read: what was never asked for is a finding.
//!
//! Names are relative, with `/` on every system. Links and special files are reported and never followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use weft_protocol::audit::{Finding, NamedBytes};
use weft_protocol::log::tile::{TileKind, TilePath};

/// Folders inside folders: the deepest tile has nine.
const MAX_DEPTH: usize = 16;
/// Files of one folder: the tiles of 400 million entries.
const MAX_FILES: usize = 4_000_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Put before names in findings.
    prefix: &'static str,
    sizes: BTreeMap<String, u64>,
    used: BTreeSet<String>,
    problems: Vec<Finding>,
}

impl Folder {
    /// Lists a folder.
    pub(crate) fn open(root: &Path, prefix: &'static str) -> io::Result<Self> {
        let (sizes, used, problems) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let mut folder = Self { root: root.to_path_buf(), prefix, sizes, used, problems };
        folder.list(root, "", 0)?;
        Ok(folder)
    }

    /// A folder that is not there.
    pub(crate) fn none(prefix: &'static str) -> Self {
        let (sizes, used, problems) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        Self { root: PathBuf::new(), prefix, sizes, used, problems }
    }

    fn list(&mut self, path: &Path, name: &str, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let base = entry.file_name();
            let Some(base) = base.to_str() else {
                let what = format!("a file name is not UTF-8: {}", base.display());
                self.problems.push(Finding::error(what).in_file(self.shown(name)));
                continue;
            };
            let name = if name.is_empty() { base.to_owned() } else { format!("{name}/{base}") };
            let kind = entry.file_type()?;
            if kind.is_dir() && depth < MAX_DEPTH {
                if let Err(why) = self.list(&entry.path(), &name, depth + 1) {
                    let what = format!("the folder cannot be read: {why}");
                    self.problems.push(Finding::unreadable(what).in_file(self.shown(&name)));
                }
            } else if kind.is_file() && self.sizes.len() < MAX_FILES {
                self.sizes.insert(name, entry.metadata()?.len());
            } else {
                let what = "it is a link or special file, or one file or folder too many";
                self.problems.push(Finding::error(what).in_file(self.shown(&name)));
            }
        }
        Ok(())
    }

    pub(crate) fn take_problems(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.problems)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.sizes.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.sizes.contains_key(name)
    }

    /// The name in findings.
    pub(crate) fn shown(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Reads a listed file of at most `cap` bytes.
    pub(crate) fn read(&mut self, name: &str, cap: u64) -> Result<NamedBytes, Finding> {
        let file = self.shown(name);
        self.used.insert(name.to_owned());
        let size = self.sizes.get(name).copied().unwrap_or(0);
        if size > cap {
            return Err(
                Finding::error(format!("it has {size} bytes, at most {cap} are allowed")).in_file(file)
            );
        }
        match fs::read(self.root.join(name)) {
            Ok(bytes) => Ok(NamedBytes { file, bytes }),
            Err(why) => Err(Finding::unreadable(format!("it cannot be read: {why}")).in_file(file)),
        }
    }

    /// Opens a listed file for reading in pieces, from a byte on.
    pub(crate) fn open_file(&mut self, name: &str, from: u64) -> Result<fs::File, Finding> {
        self.used.insert(name.to_owned());
        let unreadable = |why: io::Error| Finding::unreadable(format!("it cannot be read: {why}"));
        let open = fs::File::open(self.root.join(name)).and_then(|mut file| {
            file.seek(io::SeekFrom::Start(from))?;
            Ok(file)
        });
        open.map_err(|why| unreadable(why).in_file(self.shown(name)))
    }

    /// Counts a file as read: an earlier audit has read it.
    pub(crate) fn was_read(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }

    /// Size of a listed file.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        self.sizes.get(name).copied()
    }

    /// Files that nobody has read.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !self.used.contains(*name))
    }

    /// The tiles among the files, by kind and index.
    pub(crate) fn tiles(&self) -> BTreeMap<(TileKind, u64), Vec<TilePath>> {
        let mut tiles: BTreeMap<(TileKind, u64), Vec<TilePath>> = BTreeMap::new();
        for path in self.names().filter_map(|name| name.parse::<TilePath>().ok()) {
            tiles.entry((path.kind(), path.index())).or_default().push(path);
        }
        tiles
    }

    /// Every file of one hash tile, read.
    pub(crate) fn hash_tiles(&mut self, paths: &[TilePath]) -> Vec<(TilePath, Result<NamedBytes, Finding>)> {
        /// 256 hashes.
        const MAX_TILE_BYTES: u64 = 256 * 32;
        paths.iter().map(|path| (*path, self.read(&path.to_string(), MAX_TILE_BYTES))).collect()
    }
}

/// Tiles of a log of this size that are not there. Stops after a number that tells enough.
pub(crate) fn missing<'a>(
    folder: &'a Folder,
    wanted: impl Iterator<Item = TilePath> + 'a,
) -> impl Iterator<Item = Finding> + 'a {
    const ENOUGH: usize = 100;
    let names = wanted.map(|path| path.to_string()).filter(|name| !folder.has(name));
    names.take(ENOUGH).map(|name| Finding::error("it is missing").in_file(folder.shown(&name)))
}
