//! Judges a licence expression (SPDX): a small reader for `OR`, `AND`, `WITH` and brackets.
//!
//! Grammar, `AND` binding closer than `OR` as SPDX says; a slash is the older way to write `OR`:
//! `any = all (OR all)*`, `all = one (AND one)*`, `one = "(" any ")" | NAME [WITH NAME]`.
//! What must hold: a text that cannot be read is refused, never accepted.

/// Licences under which we take in other people's code. Not in it, and so accepted only beside one of these in an `OR`:
/// public-domain dedications without a fallback (Unlicense, 0BSD), and every licence that asks for more.
const ACCEPTED: [&str; 11] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Deepest nesting of brackets that is read; real expressions use one.
const MAX_DEPTH: usize = 8;

/// `Ok` when the expression can be met by accepted licences alone.
///
/// # Errors
/// The licences that stand in the way, or where the expression cannot be read.
pub(crate) fn judge(expression: &str) -> Result<(), String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, next: 0, refused: Vec::new() };
    let met = reader.any(0).map_err(|problem| format!("{expression:?} cannot be read: {problem}"))?;
    if let Some(word) = reader.peek() {
        return Err(format!("{expression:?} cannot be read: {word:?} is left over"));
    }
    if met { Ok(()) } else { Err(format!("{expression:?} needs {}", reader.refused.join(", "))) }
}

struct Reader<'a> {
    words: &'a [&'a str],
    next: usize,
    refused: Vec<String>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let here = self.peek() == Some(word);
        self.next += usize::from(here);
        here
    }

    fn any(&mut self, depth: usize) -> Result<bool, String> {
        let mut met = self.all(depth)?;
        while self.take("OR") {
            met |= self.all(depth)?;
        }
        Ok(met)
    }

    fn all(&mut self, depth: usize) -> Result<bool, String> {
        let mut met = self.one(depth)?;
        while self.take("AND") {
            met &= self.one(depth)?;
        }
        Ok(met)
    }

    fn one(&mut self, depth: usize) -> Result<bool, String> {
        if self.take("(") {
            if depth == MAX_DEPTH {
                return Err(format!("brackets deeper than {MAX_DEPTH}"));
            }
            let met = self.any(depth + 1)?;
            return if self.take(")") { Ok(met) } else { Err("a bracket is not closed".to_owned()) };
        }
        let mut licence = self.name()?.to_owned();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.name()?);
        }
        let met = ACCEPTED.contains(&licence.as_str());
        if !met {
            self.refused.push(licence);
        }
        Ok(met)
    }

    fn name(&mut self) -> Result<&'a str, String> {
        match self.peek() {
            Some(word) if !["OR", "AND", "WITH", "(", ")"].contains(&word) => {
                self.next += 1;
                Ok(word)
            }
            Some(word) => Err(format!("{word:?} where a licence is expected")),
            None => Err("it ends where a licence is expected".to_owned()),
        }
    }
}

#[test]
fn one_accepted_alternative_is_enough() {
    for good in [
        "MIT",
        "MIT OR Apache-2.0",
        "Unlicense OR MIT",
        "MIT/Apache-2.0",
        "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
        "0BSD OR MIT OR Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "ISC AND (Apache-2.0 OR ISC OR MIT-0)",
        "GPL-3.0-only AND Unlicense OR MIT",
    ] {
        assert_eq!(judge(good), Ok(()), "{good}");
    }
}

#[test]
fn every_part_of_an_and_must_be_accepted() {
    for bad in [
        "GPL-3.0-only",
        "Unlicense",
        "0BSD",
        "MIT AND GPL-3.0-only",
        "(MIT OR Apache-2.0) AND OpenSSL",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MIT WITH LLVM-exception",
        "mit",
    ] {
        assert!(judge(bad).is_err(), "{bad}");
    }
    assert_eq!(
        judge("MIT AND (OpenSSL OR 0BSD)"),
        Err("\"MIT AND (OpenSSL OR 0BSD)\" needs OpenSSL, 0BSD".into())
    );
}

#[test]
fn what_cannot_be_read_is_refused() {
    for broken in ["", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT Apache-2.0", "MIT WITH", "()"] {
        assert!(judge(broken).is_err(), "{broken:?}");
    }
    assert!(judge(&format!("{}MIT{}", "(".repeat(100), ")".repeat(100))).is_err());
}
