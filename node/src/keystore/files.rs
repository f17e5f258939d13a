//! Reading and writing of single key files: bounded, private, and never half written.

use super::{KeystoreError, MAX_FILE_BYTES};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Only the owner reads and writes.
const OWNER_ONLY: u32 = 0o600;
/// Most names of files that are looked at in a folder of keys; a node has about twenty.
const MAX_NAMES: usize = 1_000;

pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeystoreError {
    let path = path.to_owned();
    move |source| KeystoreError::Io { what, path, source }
}

/// Reads a small file.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let cap = usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX).saturating_add(1);
    // All of it at once: a vector that grew would leave copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(cap.saturating_add(1)));
    let file = File::open(path).map_err(io("read", path))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(KeystoreError::TooLong(path.to_owned())) } else { Ok(bytes) }
}

/// Opens an encrypted file.
pub(super) fn decrypt(
    path: &Path,
    identity: &impl age::Identity,
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    decrypt_with(identity, bytes).map_err(|error| damaged(path, error))
}

/// The same, with the library's own error.
pub(super) fn decrypt_with(
    identity: &impl age::Identity,
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, age::DecryptError> {
    age::decrypt(identity, bytes).map(Zeroizing::new)
}

/// What an error of decryption means for a file.
pub(super) fn damaged(path: &Path, error: age::DecryptError) -> KeystoreError {
    let path = path.to_owned();
    match error {
        age::DecryptError::ExcessiveWork { required, .. } => KeystoreError::TooMuchWork { path, required },
        age::DecryptError::NoMatchingKeys => {
            KeystoreError::Damaged { path, why: "it is encrypted to another identity".to_owned() }
        }
        other => KeystoreError::Damaged { path, why: other.to_string().replace('\n', " ") },
    }
}

/// Encrypts some bytes for a file.
pub(super) fn encrypt(path: &Path, to: &impl age::Recipient, bytes: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    age::encrypt(to, bytes)
        .map_err(|error| io("encrypt", path)(std::io::Error::other(error.to_string().replace('\n', " "))))
}

/// Writes a file that is not there yet: under its name it appears whole, synced, or not at all.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    if path.exists() {
        return Err(KeystoreError::Exists(path.to_owned()));
    }
    replace(path, bytes)
}

/// Writes a file in place of another: a crash leaves the old one or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(io("write", path))?;
    sync_folder(path)
}

/// Overwrites a file with zeros and removes it. On a disk that writes elsewhere (SSD, snapshots) old bytes may stay.
pub(super) fn wipe(path: &Path) -> Result<(), KeystoreError> {
    let wipe = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        let length = usize::try_from(file.metadata()?.len().min(MAX_FILE_BYTES)).unwrap_or_default();
        file.write_all(&vec![0; length])?;
        file.sync_all()?;
        std::fs::remove_file(path)
    };
    wipe().map_err(io("remove", path))?;
    sync_folder(path)
}

/// Names of the files in a folder, unfinished ones left out; none when there is no such folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, KeystoreError> {
    let list = match std::fs::read_dir(folder) {
        Ok(list) => list,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io("read", folder)(e)),
    };
    let mut names = Vec::new();
    for item in list.take(MAX_NAMES) {
        let item = item.map_err(io("read", folder))?;
        let name = item.file_name().to_string_lossy().into_owned();
        if item.path().is_file() && !name.ends_with(".new") && !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}

fn sync_folder(path: &Path) -> Result<(), KeystoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync", folder))
}
