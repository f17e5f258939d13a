//! Texts that somebody opened for this audit: each is held against the commitment in its entry (specs/audit.md §8).
//!
//! An opening shows that the entry committed to exactly this text; nothing else of the text is audited.

use super::finding::{Class, Finding, Findings};
use super::source::NamedBytes;
use crate::ids::Hash;
use crate::sidecar::{Content, commitment};
use std::collections::BTreeMap;

/// Bytes before the content: the salt.
const SALT_LEN: usize = 32;
/// Longest content that is read: no sidecar of ours is longer.
const MAX_OPENED_BYTES: usize = 64 * 1024;
/// Openings that are looked at: people read them one by one.
const MAX_OPENINGS: usize = 10_000;

/// A text that was opened, and that its entry commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Place of the first entry that commits to it.
    pub seq: u64,
    /// The commitment.
    pub commitment: Hash,
    /// What it says.
    pub text: String,
}

#[derive(Debug)]
struct Wanted {
    text: String,
    file: String,
    seq: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Openings {
    wanted: BTreeMap<Hash, Wanted>,
}

impl Openings {
    /// Takes in the files; the last part of a name is the commitment that it opens.
    pub(super) fn read(files: Vec<Result<NamedBytes, Finding>>, findings: &mut Findings) -> Self {
        let mut openings = Self::default();
        for file in files {
            match file.and_then(|named| openings.open(named)) {
                Ok(()) => {}
                Err(finding) => findings.add(finding),
            }
        }
        openings
    }

    fn open(&mut self, named: NamedBytes) -> Result<(), Finding> {
        let NamedBytes { file, bytes } = named;
        let error = |what: &str| Finding::error(what).in_file(&*file);
        if self.wanted.len() >= MAX_OPENINGS {
            return Err(Finding::new(Class::NotChecked, "it is one opening too many").in_file(&*file));
        }
        let name = file.rsplit('/').next().unwrap_or_default();
        let says: Hash = name.parse().map_err(|_| error("its name is no commitment"))?;
        if says.to_string() != name {
            return Err(error("its name is not in lower case"));
        }
        let (salt, content) =
            bytes.split_first_chunk::<SALT_LEN>().ok_or_else(|| error("it is too short to open anything"))?;
        if content.len() > MAX_OPENED_BYTES || commitment(salt, content) != says {
            return Err(error("it does not open the commitment that its name says"));
        }
        let text = words(content);
        self.wanted.insert(says, Wanted { text, file, seq: None });
        Ok(())
    }

    /// What an entry commits to.
    pub(super) fn see(&mut self, seq: u64, sidecars: &[Hash]) {
        for sidecar in sidecars {
            if let Some(wanted) = self.wanted.get_mut(sidecar) {
                wanted.seq.get_or_insert(seq);
            }
        }
    }

    /// What was opened, in the order of the entries; what no entry commits to is a finding.
    pub(super) fn finish(self, went_on: bool, findings: &mut Findings) -> Vec<Opened> {
        let mut opened = Vec::new();
        for (commitment, Wanted { text, file, seq }) in self.wanted {
            match seq {
                Some(seq) => opened.push(Opened { seq, commitment, text }),
                None if went_on => {
                    let what = "no entry that was read now commits to it; the earlier audit may have read it";
                    findings.add(Finding::new(Class::NotChecked, what).in_file(file));
                }
                None => findings.add(Finding::error("no entry commits to it").in_file(file)),
            }
        }
        opened.sort_by_key(|opened| (opened.seq, opened.commitment));
        opened
    }
}

/// What a content says: that of a payment in words, any other as it is.
fn words(content: &[u8]) -> String {
    match (Content::parse(content), std::str::from_utf8(content)) {
        (Ok(Content { payee, memo, payer }), _) => {
            let memo = memo.map_or_else(String::new, |memo| format!(": {memo}"));
            let payer = payer.map_or_else(String::new, |payer| format!(" (from {payer})"));
            format!("to {payee}{memo}{payer}")
        }
        (Err(_), Ok(text)) => text.to_owned(),
        (Err(_), Err(_)) => format!("{} bytes that are no text", content.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(salt: [u8; 32], content: &[u8]) -> NamedBytes {
        let file = format!("openings/{}", commitment(&salt, content));
        NamedBytes { file, bytes: [&salt[..], content].concat() }
    }

    #[test]
    fn an_opening_is_shown_with_the_first_entry_that_commits_to_it() {
        let content = Content { payee: "Bo".into(), memo: Some("bread".into()), payer: Some("Ada".into()) };
        let files =
            [file([1; 32], &content.to_bytes()), file([2; 32], b"a note"), file([3; 32], &[0xff, 0xfe])];
        let names: Vec<Hash> =
            files.iter().map(|f| f.file.rsplit('/').next().unwrap().parse().unwrap()).collect();
        let mut findings = Findings::default();
        let mut openings = Openings::read(files.into_iter().map(Ok).collect(), &mut findings);
        openings.see(9, &[names[1], Hash([7; 32])]);
        openings.see(4, &names);
        openings.see(12, &names);
        let opened = openings.finish(false, &mut findings);
        let shown: Vec<(u64, &str)> = opened.iter().map(|o| (o.seq, o.text.as_str())).collect();
        assert!(
            shown.contains(&(4, "to Bo: bread (from Ada)")) && shown.contains(&(9, "a note")),
            "{shown:?}"
        );
        assert!(shown.contains(&(4, "2 bytes that are no text")) && shown.len() == 3);
        assert_eq!(findings.kept(), []);
    }

    #[test]
    fn every_changed_byte_of_an_opening_is_an_error() {
        let right = file([1; 32], b"a note");
        for at in 0..right.bytes.len() {
            let mut spoilt = right.clone();
            spoilt.bytes[at] ^= 1;
            let mut findings = Findings::default();
            let openings = Openings::read(vec![Ok(spoilt)], &mut findings);
            assert_eq!((openings.wanted.len(), findings.wrong()), (0, 1), "byte {at}");
        }
    }
}
