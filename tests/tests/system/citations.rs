//! What code and texts cite exists: every `specs/NAME.md §N` is a section, every link between the texts leads to a file.

use std::fs;
use std::path::{Path, PathBuf};
use weft_tests::source_root;

fn below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            below(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// The files that a text cites, with the section where one is named.
fn citations(source: &str) -> Vec<(String, Option<u32>)> {
    let after_prefix = source.match_indices("specs/").map(|(at, prefix)| &source[at + prefix.len()..]);
    let cited = after_prefix.filter_map(|rest| {
        let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase()).collect();
        let rest = rest.strip_prefix(name.as_str())?.strip_prefix(".md")?;
        let section =
            rest.strip_prefix(" §").map(|rest| rest.chars().take_while(char::is_ascii_digit).collect());
        let section = section.and_then(|digits: String| digits.parse().ok());
        Some((format!("{name}.md"), section))
    });
    cited.collect()
}

#[test]
fn every_section_that_code_cites_exists() {
    let root = source_root();
    let mut sources = Vec::new();
    for folder in ["protocol", "node", "cli", "tests"] {
        below(&root.join(folder), "rs", &mut sources);
    }
    let mut checked = 0;
    for path in sources {
        for (name, section) in citations(&fs::read_to_string(&path).expect("Rust is text")) {
            let text = fs::read_to_string(root.join("specs").join(&name));
            let text = text.unwrap_or_else(|_| panic!("{}: there is no specs/{name}", path.display()));
            if let Some(section) = section {
                let heading = format!("\n## {section} ");
                assert!(text.contains(&heading), "{}: specs/{name} has no §{section}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} citations found");
}

#[test]
fn every_link_between_the_texts_leads_to_a_file() {
    let mut texts = Vec::new();
    below(&source_root().join("specs"), "md", &mut texts);
    for path in texts {
        let text = fs::read_to_string(&path).expect("a readable text");
        let targets = text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let file = target.split('#').next().unwrap_or_default();
            let folder = path.parent().expect("a text stands in a folder");
            assert!(folder.join(file).exists(), "{}: no {target}", path.display());
        }
    }
}

#[test]
fn a_citation_is_read_with_and_without_its_section() {
    // Put together, so that this file cites nothing itself.
    let source = "(S/entry.md §12) S/log.md, S/verifier, `S/entry.md §N`".replace('S', "specs");
    let read = citations(&source);
    let none = |name: &str| (name.to_owned(), None);
    assert_eq!(read, [("entry.md".to_owned(), Some(12)), none("log.md"), none("entry.md")]);
}
