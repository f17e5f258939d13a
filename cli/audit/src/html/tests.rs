//! The printed report: complete, self-contained, and harmless whatever the audited files say.

use super::*;
use weft_protocol::audit::{self, EntryRef};

fn page() -> Page<'static> {
    Page { source: "hull-bundle", earlier: Some("hull-2026.checkpoint"), version: "0.1.0" }
}

/// The report of nothing at all: every table is there, and the result says that nothing could be checked.
fn empty() -> Report {
    struct Nothing;
    impl audit::Source for Nothing {
        fn is_exact(&self) -> bool {
            false
        }
        fn checkpoint(&mut self) -> Result<Option<audit::NamedBytes>, Finding> {
            Ok(None)
        }
        fn next_item(&mut self) -> Option<audit::Item> {
            None
        }
        fn hash_tiles(
            &mut self,
            _: u8,
            _: u64,
        ) -> Vec<(weft_protocol::log::tile::TilePath, Result<audit::NamedBytes, Finding>)> {
            Vec::new()
        }
        fn finish(&mut self, _: Option<u64>) -> Vec<Finding> {
            Vec::new()
        }
    }
    audit::replay(&mut Nothing, &audit::Options::default(), &mut |_| {}).report
}

#[test]
fn a_page_holds_no_script_and_nothing_from_elsewhere() {
    let text = report_html(&empty(), &page());
    for forbidden in ["<script", "http://", "https://", "src=", "href=", "url(", "@import", "<link", "<img"] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    assert!(text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n"));
    for line in ["Place", "Date", "Name", "Signature"] {
        assert!(text.contains(&format!("<dt>{line}</dt><dd></dd>")), "{line}");
    }
    assert!(text.contains("<strong>It could not be checked.</strong>"));
    assert!(text.contains("hull-2026.checkpoint") && text.contains("Made with weft 0.1.0"));
}

#[test]
fn every_element_that_is_opened_is_closed_in_its_place() {
    let mut report = empty();
    for class in Class::ALL {
        report.findings.add(Finding::new(class, "what").at(EntryRef::Own(7)).in_file("f").for_ms(3_000));
    }
    let text = report_html(&report, &page());
    let mut open = Vec::new();
    let mut rest = text.split_once("<html").map(|(_, rest)| format!("<html{rest}")).unwrap();
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').unwrap();
        let tag = rest[start + 1..end].to_owned();
        rest = rest.split_off(end + 1);
        let name = tag.split_whitespace().next().unwrap().trim_start_matches('/').to_owned();
        if name == "meta" {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    // Headings go down one step at a time, and every table says what its columns or rows are.
    assert_eq!(text.matches("<h1>").count(), 1);
    for table in text.split("<table>").skip(1) {
        let table = table.split("</table>").next().unwrap();
        assert!(table.contains("<th scope=\"col\">") || table.contains("<th scope=\"row\">"), "{table}");
    }
}

#[test]
fn what_audited_files_say_cannot_become_part_of_the_page() {
    let mut report = empty();
    let hostile = "<script>alert('x')</script> & \"\u{202e}txt\u{0}\u{200b}";
    report.findings.add(Finding::error(hostile).in_file(hostile));
    let commitment = weft_protocol::ids::Hash::ZERO;
    report.openings.push(Opened { seq: 3, commitment, text: hostile.to_owned() });
    let (source, earlier) = (hostile, Some(hostile));
    let page = Page { source, earlier, version: hostile };
    let text = report_html(&report, &page);
    assert!(!text.contains("<script") && !text.contains('\u{202e}') && !text.contains('\0'));
    assert!(
        text.contains(
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;\u{fffd}txt\u{fffd}\u{fffd}"
        )
    );
    assert!(text.contains("<strong>Something is wrong.</strong>"));
}

#[test]
fn more_findings_than_are_kept_are_counted() {
    let mut report = empty();
    for seq in 0..1_234 {
        report.findings.add(Finding::error("e").at(EntryRef::Own(seq)));
    }
    let text = report_html(&report, &page());
    assert!(text.contains("<h3>Errors: 1234</h3>") && text.contains("this class: 234</p>"));
}
