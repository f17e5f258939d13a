//! Where a passphrase comes from: a file, a credential of the service manager, or a person at a terminal.
//!
//! It never comes as an argument or as the value of an environment variable, where other programs could see it; at a
//! terminal it is not shown while it is typed.

use super::CREDENTIAL_PREFIX;
use age::secrecy::{ExposeSecret, SecretString};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Shortest passphrase that is taken for a new store: four short words.
pub const MIN_PASSPHRASE_CHARS: usize = 12;
/// Longest line that is read as one.
const MAX_PASSPHRASE_BYTES: usize = 1_024;
/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// Name of the credential, after the prefix of all of ours.
pub(super) const CREDENTIAL: &str = "passphrase";

/// A passphrase; it never prints, and its memory is wiped.
pub struct Passphrase(SecretString);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// A file that cannot be read.
    #[error("cannot read the passphrase from {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that others can read.
    #[error("others can read {path} (mode {mode:03o}), so its passphrase is not used: chmod 600 {path}")]
    Shared {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// More than a passphrase.
    #[error("a passphrase has at most {MAX_PASSPHRASE_BYTES} bytes on one line")]
    TooLong,
    /// Not text.
    #[error("a passphrase is UTF-8 text")]
    NotText,
    /// Nothing was given.
    #[error("no passphrase was given; nothing was changed")]
    Empty,
    /// Too easily guessed.
    #[error(
        "a new passphrase has at least {MIN_PASSPHRASE_CHARS} characters, got {got}: take four words or more"
    )]
    TooShort {
        /// Characters given.
        got: usize,
    },
    /// A typing mistake.
    #[error("the two passphrases differ; nothing was changed")]
    NotRepeated,
    /// Nobody to ask.
    #[error(
        "a passphrase is needed, and there is no terminal to ask at: name a file that holds it with --passphrase-file \
         or $WEFT_PASSPHRASE_FILE, or give the credential weft.passphrase"
    )]
    NoTerminal,
    /// The terminal.
    #[error("the terminal cannot be used: {0}")]
    Terminal(io::Error),
}

impl Passphrase {
    /// Takes a passphrase that opens something.
    ///
    /// # Errors
    /// When it is empty.
    pub fn new(text: &str) -> Result<Self, PassphraseError> {
        if text.is_empty() {
            Err(PassphraseError::Empty)
        } else {
            Ok(Self(SecretString::from(text.to_owned())))
        }
    }

    /// Whether it may lock a new store.
    ///
    /// # Errors
    /// When it is too short.
    pub fn check_new(&self) -> Result<(), PassphraseError> {
        match self.0.expose_secret().chars().count() {
            got if got < MIN_PASSPHRASE_CHARS => Err(PassphraseError::TooShort { got }),
            _ => Ok(()),
        }
    }

    pub(crate) fn secret(&self) -> SecretString {
        self.0.clone()
    }
}

/// Where a passphrase comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// The first line of a file.
    File(PathBuf),
    /// The same, of a file that the service manager guards.
    Credential(PathBuf),
    /// A person at the terminal.
    Terminal,
    /// Nobody can be asked.
    Nowhere,
}

impl PassphraseSource {
    /// The file given, else the credential, else the terminal when standard input is one.
    pub fn find(given: Option<PathBuf>, credentials: Option<&Path>) -> Self {
        let credential = credentials.map(|folder| folder.join(format!("{CREDENTIAL_PREFIX}{CREDENTIAL}")));
        match (given, credential.filter(|path| path.exists())) {
            (Some(path), _) => Self::File(path),
            (None, Some(path)) => Self::Credential(path),
            (None, None) if io::stdin().is_terminal() => Self::Terminal,
            (None, None) => Self::Nowhere,
        }
    }

    /// The passphrase that opens a store.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn existing(&self, question: &str) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::File(path) => from_file(path, true),
            Self::Credential(path) => from_file(path, false),
            Self::Terminal => Passphrase::new(&ask(question)?),
            Self::Nowhere => Err(PassphraseError::NoTerminal),
        }
    }

    /// A passphrase for a new store; a person types it twice.
    ///
    /// # Errors
    /// When it cannot be had, is too short, or was typed differently the second time.
    pub fn fresh(&self) -> Result<Passphrase, PassphraseError> {
        let passphrase = self.existing("New passphrase for the keys (it is not shown): ")?;
        passphrase.check_new()?;
        if *self == Self::Terminal {
            let again = ask("The same again: ")?;
            if *again != *passphrase.0.expose_secret() {
                return Err(PassphraseError::NotRepeated);
            }
        }
        Ok(passphrase)
    }
}

fn from_file(path: &Path, private: bool) -> Result<Passphrase, PassphraseError> {
    let failed = |source| PassphraseError::File { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if private && mode & OTHERS != 0 {
        return Err(PassphraseError::Shared { path: path.to_owned(), mode });
    }
    Passphrase::new(&line(file).map_err(|e| match e {
        LineError::Io(source) => PassphraseError::File { path: path.to_owned(), source },
        LineError::Passphrase(error) => error,
    })?)
}

enum LineError {
    Io(io::Error),
    Passphrase(PassphraseError),
}

/// The first line, without its end.
fn line(mut from: impl Read) -> Result<Zeroizing<String>, LineError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE_BYTES + 1));
    let mut one = Zeroizing::new([0_u8; 1]);
    while from.read(&mut *one).map_err(LineError::Io)? == 1 && one[0] != b'\n' {
        if bytes.len() == MAX_PASSPHRASE_BYTES {
            return Err(LineError::Passphrase(PassphraseError::TooLong));
        }
        bytes.push(one[0]);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| LineError::Passphrase(PassphraseError::NotText))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Standard input without the library's buffer, which nobody would wipe.
struct Unbuffered;

impl Read for Unbuffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(io::stdin(), buffer)?)
    }
}

/// Shows typed characters again when it goes out of scope.
struct Silenced(Termios);

impl Silenced {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silenced {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

fn ask(question: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let silenced = Silenced::new().map_err(PassphraseError::Terminal)?;
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(PassphraseError::Terminal)?;
    let typed = line(Unbuffered).map_err(|e| match e {
        LineError::Io(error) => PassphraseError::Terminal(error),
        LineError::Passphrase(error) => error,
    });
    drop(silenced);
    typed
}
