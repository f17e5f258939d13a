//! Key files: the 32-byte seed of an Ed25519 key as 64 hex digits, readable by its owner only.
//!
//! A key file is never overwritten, its seed is never printed, and a file that others can read is refused.

use crate::outcome::{Exit, Failure};
use crate::system;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use weft_protocol::keys::SecretKey;
use zeroize::Zeroizing;

/// Only the owner reads and writes.
const OWNER_ONLY: u32 = 0o600;
/// Permission bits of everybody else.
const OTHERS: u32 = 0o077;
/// Longest file that can hold a key or a token; a longer one is another file.
const MAX_SECRET_FILE_BYTES: u64 = 4_096;

/// Makes a new key and writes it to a file that must not exist.
///
/// # Errors
/// When the file exists or cannot be written and synced.
pub(crate) fn create(path: &Path) -> Result<SecretKey, Failure> {
    let key = SecretKey::from_seed(&Zeroizing::new(system::random::<32>()));
    write(path, &key)?;
    Ok(key)
}

/// Fails when a file exists.
///
/// # Errors
/// When it does.
pub(crate) fn check_free(path: &Path) -> Result<(), Failure> {
    if path.exists() { Err(exists(path)) } else { Ok(()) }
}

fn exists(path: &Path) -> Failure {
    let what = format!("{} exists and is not overwritten", path.display());
    let advice = "choose another name; a key that is gone cannot be made again";
    Failure::new(Exit::Refused, "file-exists", what, advice)
}

/// Writes a key to a file that must not exist.
///
/// # Errors
/// When the file exists or cannot be written and synced.
pub(crate) fn write(path: &Path, key: &SecretKey) -> Result<(), Failure> {
    let text = Zeroizing::new(format!("{}\n", HEXLOWER.encode(key.seed().as_ref())));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::new(
            Exit::BadConfiguration,
            "key-file",
            format!("the key cannot be written to {}", path.display()),
            "choose a folder that you may write to",
        )
        .because(e),
    })
}

/// Reads a key file.
///
/// # Errors
/// When it cannot be read, others can read it, or it does not hold a key.
pub(crate) fn read(path: &Path) -> Result<SecretKey, Failure> {
    let text = read_secret(path)?;
    let mut seed = Zeroizing::new([0; 32]);
    let digits = text.trim().as_bytes();
    let fits = digits.len() == 2 * seed.len();
    let decoded = fits && HEXLOWER_PERMISSIVE.decode_mut(digits, seed.as_mut()).is_ok();
    if decoded {
        return Ok(SecretKey::from_seed(&seed));
    }
    let what = format!("{} is not a key file", path.display());
    let advice = "make one with `weft key new FILE`";
    Err(Failure::new(Exit::BadConfiguration, "key-file", what, advice)
        .because("a key file holds 64 hex digits"))
}

/// Reads a small file that only its owner may read.
///
/// # Errors
/// When it cannot be read, is too long, or others can read it.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |why: String, advice: &str| {
        let what = format!("{} cannot be used", path.display());
        Failure::new(Exit::BadConfiguration, "key-file", what, advice).because(why)
    };
    let open = || -> io::Result<(fs::Metadata, Zeroizing<String>)> {
        let file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_SECRET_FILE_BYTES + 1).read_to_string(&mut text)?;
        Ok((metadata, text))
    };
    let (metadata, text) = open().map_err(|e| failed(e.to_string(), "check the name of the file"))?;
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        let why = format!("its mode is {:03o}: others can read it", mode & 0o777);
        return Err(failed(why, &format!("chmod 600 {}", path.display())));
    }
    if text.len() as u64 > MAX_SECRET_FILE_BYTES {
        let why = format!("it is longer than {MAX_SECRET_FILE_BYTES} bytes");
        return Err(failed(why, "check the name of the file"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_private_and_reads_back_as_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        let key = create(&path).unwrap();
        assert_eq!(read(&path).unwrap().public().bytes(), key.public().bytes());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
    }

    #[test]
    fn a_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        create(&path).unwrap();
        let before = fs::read(&path).unwrap();
        assert_eq!(create(&path).unwrap_err().code, "file-exists");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        let write = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path)
        };
        let hex = "0f".repeat(32);
        assert!(write(&hex, 0o600).is_ok());
        assert!(write(&hex, 0o640).unwrap_err().why.contains("640"));
        for bad in ["", "zz", &"0f".repeat(31), &"0f".repeat(33), &"zz".repeat(32), &"0".repeat(5_000)] {
            assert_eq!(write(bad, 0o600).unwrap_err().exit, Exit::BadConfiguration, "{bad}");
        }
        assert!(read(&folder.path().join("missing")).is_err());
    }
}
