//! `weft key …`: key files and their recovery words, made and read on this machine; the node never sees them.

mod change;
mod request;

use crate::context::Context;
use crate::keyfile;
use crate::outcome::{Exit, Failure, Outcome, Report};
use change::{BindRecovery, ChangeRoots, Revoke, Rotate};
use clap::{Args, Subcommand};
use request::{Sign, Submit};
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use weft_protocol::ids::KeyBytes;
use weft_protocol::keys::{SecretKey, signer_of};
use weft_protocol::words::{KEY_WORDS, WordsError, key_of, words_of};
use zeroize::Zeroizing;

/// Words on a line of what `weft key words` prints.
const WORDS_PER_LINE: usize = 4;
/// The most that is read as words; more is another file.
const MAX_WORDS_BYTES: u64 = 4_096;

/// Keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new key; FILE must not exist
    New(File),
    /// Show the public half of a key
    Show(File),
    /// Print a key as 24 words, to be written on paper
    Words(File),
    /// Make the key file again from its 24 words, which are typed or come on stdin; FILE must not exist
    FromWords(File),
    /// Show the root set of the node's network, and the keys in force
    Roots,
    /// Sign a request with a root key, away from the node
    Sign(Sign),
    /// Hand a signed request in at the node
    Submit(Submit),
    /// Put a fresh key of the node in the place of one in force
    Rotate(Rotate),
    /// End the trust in a key of the node
    Revoke(Revoke),
    /// Put a recovery key in force: peers that keep our entries seal them to it from then on
    BindRecovery(BindRecovery),
    /// Put another root set in force
    ChangeRoots(ChangeRoots),
}

/// Which file.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// The key file
    file: PathBuf,
    /// It is a recovery key: it opens what peers keep for us, and signs nothing
    #[arg(long)]
    recovery: bool,
}

#[derive(Serialize)]
struct Shown {
    file: String,
    public_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
}

#[derive(Serialize)]
struct Words {
    file: String,
    words: Vec<&'static str>,
}

fn made(path: &Path) -> String {
    format!(
        "{} holds a new key. Keep a copy in a safe place (`weft key words {}` gives 24 words for paper): a lost key cannot \
         be made again.",
        path.display(),
        path.display()
    )
}

const ON_PAPER: &str = "Who has these words has the key. Write them on paper with their numbers, keep the paper apart from \
                        this machine, and type them in once with `weft key from-words` to see that they are right. They \
                        still stand on this screen.";

fn made_again(path: &Path) -> String {
    format!("{} holds the key again. Compare its public key with the one you know.", path.display())
}

fn not_a_key(error: &WordsError) -> Failure {
    let what = "these words are no key; nothing was written";
    Failure::new(Exit::Refused, "words", what, "compare them with the paper and type them again")
        .because(error)
}

const TYPE_THEM: &str = "Type the 24 words, as many to a line as you like, then Enter on an empty line:\n";

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::New(args) => {
            let key = keyfile::create(&args.file)?;
            Ok(shown(&args, &key).noting(made(&args.file)))
        }
        Command::Roots => roots(&context.client()?.status().await?),
        Command::Sign(args) => request::sign(context, &args),
        Command::Submit(args) => request::submit(&context.client()?, &args).await,
        Command::Rotate(args) => change::rotate(&context.client()?, args).await,
        Command::Revoke(args) => change::revoke(&context.client()?, args).await,
        Command::BindRecovery(args) => change::bind_recovery(&context.client()?, args).await,
        Command::ChangeRoots(args) => change::change_roots(&context.client()?, args).await,
        Command::Show(args) => Ok(shown(&args, &keyfile::read(&args.file)?)),
        Command::Words(args) => {
            let words = words_of(&keyfile::read(&args.file)?.seed());
            let value = Words { file: args.file.display().to_string(), words };
            Ok(Report::new(listed(&value.words), &value, "weft.words/1").noting(ON_PAPER))
        }
        Command::FromWords(args) => {
            keyfile::check_free(&args.file)?;
            let key = SecretKey::from_seed(&*typed()?);
            keyfile::write(&args.file, &key)?;
            Ok(shown(&args, &key).noting(made_again(&args.file)))
        }
    }
}

#[derive(Serialize)]
struct KeysInForce<'s> {
    roots: &'s weft_api::Roots,
    bound: &'s [weft_api::BoundKey],
}

fn roots(status: &weft_api::Status) -> Outcome {
    let mut text =
        format!("{} of these {} root keys sign together:\n", status.roots.threshold, status.roots.keys.len());
    for key in &status.roots.keys {
        let signer = key.parse::<KeyBytes>().map(|key| signer_of(&key).to_string()).unwrap_or_default();
        text.push_str(&format!("  {signer} {key}\n"));
    }
    text.push_str("Keys of the node:\n");
    for bound in &status.bound {
        text.push_str(&format!("  {:<8} {:>3} {}\n", bound.purpose, bound.epoch, bound.key));
    }
    let value = KeysInForce { roots: &status.roots, bound: &status.bound };
    Ok(Report::new(text, &value, "weft.keys/1"))
}

fn shown(args: &File, key: &SecretKey) -> Report {
    let file = args.file.display().to_string();
    if args.recovery {
        let public_key: KeyBytes = weft_protocol::seal::public_key(&key.seed());
        let shown = Shown { file, public_key: public_key.to_string(), signer: None };
        return Report::new(format!("public recovery key {public_key}"), &shown, "weft.key/1");
    }
    let public = key.public().bytes();
    let shown = Shown { file, public_key: public.to_string(), signer: Some(signer_of(&public).to_string()) };
    let text = format!("public key {public}\nsigner id  {}", signer_of(&public));
    Report::new(text, &shown, "weft.key/1")
}

/// The words with their numbers, a few to a line.
fn listed(words: &[&str]) -> String {
    let numbered: Vec<String> = (1..).zip(words).map(|(n, word)| format!("{n:>2}. {word:<9}")).collect();
    let lines: Vec<String> =
        numbered.chunks(WORDS_PER_LINE).map(|line| line.join(" ").trim_end().to_owned()).collect();
    lines.join("\n")
}

/// The key that the words on stdin stand for. A person at a terminal may try again.
fn typed() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let unreadable = |e: std::io::Error| {
        Failure::new(Exit::Usage, "words", "the words cannot be read", "type them, or give them on stdin")
            .because(e)
    };
    if !std::io::stdin().is_terminal() {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin().lock().take(MAX_WORDS_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        return key_of(&text).map_err(|e| not_a_key(&e));
    }
    loop {
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "{TYPE_THEM}").and_then(|()| stderr.flush()).map_err(unreadable)?;
        let text = lines(&mut std::io::stdin().lock().take(MAX_WORDS_BYTES)).map_err(unreadable)?;
        match key_of(&text) {
            Ok(key) => return Ok(key),
            Err(WordsError::Count { got: 0 }) => return Err(not_a_key(&WordsError::Count { got: 0 })),
            Err(error) => writeln!(stderr, "{error}").map_err(unreadable)?,
        }
    }
}

/// Lines up to an empty one, or until there are enough words.
fn lines(from: &mut impl BufRead) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    loop {
        let before = text.len();
        let read = from.read_line(&mut text)?;
        let empty = text.get(before..).is_none_or(|line| line.trim().is_empty());
        if read == 0 || empty || text.split_whitespace().count() >= KEY_WORDS {
            return Ok(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Globals;

    async fn run(command: Command) -> Outcome {
        let globals = Globals { data: "/nowhere".into(), url: None, token_file: None, json: false };
        super::run(&Context::plain(globals), command).await
    }

    fn args(file: &Path, recovery: bool) -> File {
        File { file: file.to_owned(), recovery }
    }

    #[tokio::test]
    async fn a_new_key_is_shown_as_its_file_shows_it_and_never_its_seed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k");
        let new = run(Command::New(args(&file, false))).await.unwrap();
        let show = run(Command::Show(args(&file, false))).await.unwrap();
        assert_eq!(new.text, show.text);
        assert_eq!(show.json["schema"], "weft.key/1");
        let seed = std::fs::read_to_string(&file).unwrap();
        assert!(!format!("{new:?}{show:?}").contains(seed.trim()));
    }

    #[tokio::test]
    async fn the_words_of_a_key_make_it_again_and_a_recovery_key_has_another_public_half() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k");
        run(Command::New(args(&file, false))).await.unwrap();
        let report = run(Command::Words(args(&file, false))).await.unwrap();
        assert_eq!(report.text.lines().count(), KEY_WORDS / WORDS_PER_LINE);
        let seed = keyfile::read(&file).unwrap().seed();
        assert_eq!(key_of(&report.text).unwrap(), seed);
        let show = run(Command::Show(args(&file, true))).await.unwrap();
        assert_eq!(show.json["public_key"], weft_protocol::seal::public_key(&seed).to_string());
        assert!(show.json.get("signer").is_none());
    }

    #[test]
    fn words_are_read_up_to_an_empty_line_or_the_last_word() {
        let given = |text: &str| lines(&mut text.as_bytes()).unwrap().to_string();
        assert_eq!(given("a b\n\nc\n"), "a b\n\n");
        let all = "w ".repeat(KEY_WORDS) + "\nmore\n";
        assert_eq!(given(&all).split_whitespace().count(), KEY_WORDS);
        assert_eq!(given(""), "");
    }
}
