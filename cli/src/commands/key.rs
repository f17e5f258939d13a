//! `weft key new|show`: key files, made and read on this machine; the node never sees them.

use crate::keyfile;
use crate::outcome::{Outcome, Report};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::{Path, PathBuf};
use weft_protocol::keys::PublicKey;

/// Keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new key; FILE must not exist
    New(File),
    /// Show the public half of a key
    Show(File),
}

/// Which file.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// The key file
    file: PathBuf,
}

#[derive(Serialize)]
struct Shown {
    file: String,
    public_key: String,
    signer: String,
}

fn made(path: &Path) -> String {
    format!(
        "{} holds a new key. Keep a copy in a safe place: a lost key cannot be made again.",
        path.display()
    )
}

pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::New(File { file }) => {
            let key = keyfile::create(&file)?.public();
            Ok(shown(&file, key).noting(made(&file)))
        }
        Command::Show(File { file }) => {
            let key = keyfile::read(&file)?.public();
            Ok(shown(&file, key))
        }
    }
}

fn shown(file: &Path, key: PublicKey) -> Report {
    let shown = Shown {
        file: file.display().to_string(),
        public_key: key.bytes().to_string(),
        signer: key.signer().to_string(),
    };
    let text = format!("public key {}\nsigner id  {}", shown.public_key, shown.signer);
    Report::new(text, &shown, "weft.key/1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_shown_as_its_file_shows_it_and_never_its_seed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k");
        let new = run(Command::New(File { file: file.clone() })).unwrap();
        let show = run(Command::Show(File { file: file.clone() })).unwrap();
        assert_eq!(new.text, show.text);
        assert_eq!(show.json["schema"], "weft.key/1");
        let seed = std::fs::read_to_string(&file).unwrap();
        assert!(!format!("{new:?}{show:?}").contains(seed.trim()));
    }
}
