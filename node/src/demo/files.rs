//! Where a demo keeps its networks' files: a folder that goes away with it, or one that somebody named.

use super::{Failure, note};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// See the module.
#[derive(Debug)]
pub(super) enum Files {
    /// Removed at the end.
    Temporary(TempDir),
    /// Left as it is.
    Kept(PathBuf),
}

impl Files {
    /// Makes the folder and says where it is. One that is to be kept must be new or empty.
    pub(super) fn new(prefix: &str, keep: Option<&Path>) -> Result<Self, Failure> {
        let files = match keep {
            None => {
                let folder = tempfile::Builder::new().prefix(prefix).tempdir();
                Self::Temporary(folder.map_err(Failure::from_error)?)
            }
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(Failure::from_error)?;
                if std::fs::read_dir(folder).map_err(Failure::from_error)?.next().is_some() {
                    let why =
                        format!("{} is not empty: name a new or empty folder to keep", folder.display());
                    return Err(Failure::new(why));
                }
                Self::Kept(folder.to_path_buf())
            }
        };
        note(&format!("files: {}", files.path().display()));
        Ok(files)
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_something_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Files::new("weft-", Some(folder.path())).is_ok());
        std::fs::write(folder.path().join("mine"), "").unwrap();
        assert!(Files::new("weft-", Some(folder.path())).is_err());
    }
}
