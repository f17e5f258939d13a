//! `weft audit evidence`: whether a file proves that a network signed two things that exclude each other
//! (specs/evidence.md). Nothing but the file is needed; a key that the reader has says whom to trust instead.

use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use weft_protocol::evidence::{Evidence, Keys, MAX_TEXT_BYTES, Proven};
use weft_protocol::log::note::VerifierKey;

/// Checks evidence.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A `.weft-evidence` file
    file: PathBuf,
    /// A verifier key of the accused that you have from elsewhere; without it the identity entries in the file count
    #[arg(long, value_name = "VKEY")]
    key: Option<VerifierKey>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let bytes = read(&args.file)?;
    let evidence = Evidence::from_text(&bytes).map_err(|why| unproven(&args.file, why))?;
    let proven = match &args.key {
        Some(key) => evidence.verify(&Keys::Key(Box::new(key.clone()))),
        None => evidence.verify_alone(),
    };
    Ok(shown(&args.file, &proven.map_err(|why| unproven(&args.file, why))?))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |why: std::io::Error| {
        let advice = "name a .weft-evidence file that you may read";
        Failure::new(Exit::CouldNotCheck, "evidence-file", "the file cannot be read", advice).because(why)
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    // One byte more than a file may have shows that it is too long.
    file.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

fn unproven(path: &Path, why: impl std::error::Error + 'static) -> Failure {
    let what = format!("{} proves nothing", clean(&path.display().to_string()));
    let advice = "nobody is convicted by it; ask who sent it for the file as their node wrote it";
    Failure::new(Exit::Found, "evidence-unproven", what, advice).because(why)
}

fn shown(path: &Path, proven: &Proven) -> Report {
    let mut text = format!("{} is proven.\n", clean(&path.display().to_string()));
    for sentence in proven.words() {
        text.push_str(&format!("  {}\n", clean(&sentence)));
    }
    let value = json!({
        "id": proven.id().to_string(),
        "type": proven.kind().code(),
        "accused": proven.accused().to_string(),
        "words": proven.words(),
    });
    Report::new(text, &value, "weft.evidence/1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> serde_json::Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/vectors/evidence.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn check(text: &str, key: Option<&str>) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.weft-evidence");
        std::fs::write(&file, text).unwrap();
        run(&Args { file, key: key.map(|key| key.parse().unwrap()) })
    }

    #[test]
    fn every_file_of_the_vectors_is_proven_in_words() {
        for case in cases()["valid"].as_array().unwrap() {
            let report = check(case["text"].as_str().unwrap(), None).unwrap();
            assert_eq!((report.exit, &report.json["id"]), (Exit::Fine, &case["id"]), "{}", case["about"]);
            assert!(report.text.contains("It also signed"), "{}", report.text);
        }
    }

    #[test]
    fn a_changed_file_proves_nothing_and_a_missing_one_cannot_be_checked() {
        let cases = cases();
        let text = cases["valid"][0]["text"].as_str().unwrap();
        let changed = text.replacen("A", "B", 1);
        assert_eq!(check(&changed, None).unwrap_err().exit, Exit::Found);
        let key = cases["by_key"][1]["key"].as_str().unwrap();
        assert_eq!(check(text, Some(key)).map(|r| r.exit).unwrap(), Exit::Fine);
        let other = cases["by_key"][0]["key"].as_str().unwrap();
        assert_eq!(check(text, Some(other)).unwrap_err().exit, Exit::Found);
        let missing = Args { file: "/nowhere/a.weft-evidence".into(), key: None };
        assert_eq!(run(&missing).unwrap_err().exit, Exit::CouldNotCheck);
    }
}
