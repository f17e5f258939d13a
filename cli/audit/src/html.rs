//! The report for paper: one HTML page without scripts or anything from elsewhere, that prints on A4 or Letter and
//! has lines to sign (specs/audit.md §6).
//!
//! Everything in it that comes from audited files is escaped; what could turn text around is shown as a mark.

mod words;

use std::fmt::Write;
use weft_protocol::amount::format_decimal;
use weft_protocol::audit::{Class, Finding, Findings, Opened, Outcome, PeerReport, Position, Report};
use weft_protocol::time::Day;
use words::{EN, Words};

/// Black on white, headings that stay with what follows, table rows that are not torn between two sheets.
const STYLE: &str = "
@page { margin: 18mm 16mm; }
body { font: 11pt/1.45 serif; color: #111; background: #fff; max-width: 46em; margin: 0 auto; padding: 1em; }
h1 { font-size: 1.7em; margin: 0 0 .3em; } h2 { font-size: 1.2em; margin: 1.6em 0 .3em; } h3 { font-size: 1em; margin: 1.2em 0 .2em; }
h1, h2, h3 { break-after: avoid; }
table { border-collapse: collapse; width: 100%; margin: .4em 0; } tr { break-inside: avoid; }
thead { display: table-header-group; }
caption { text-align: left; font-style: italic; }
th, td { border: 1px solid #666; padding: .25em .5em; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #eee; } th[scope=row] { width: 38%; font-weight: normal; } td.n { text-align: right; }
code { font: .85em monospace; overflow-wrap: anywhere; }
.result { border: 3px double #111; padding: .6em 1em; margin: 1em 0; break-inside: avoid; }
.result strong { font-size: 1.25em; display: block; }
.sign { break-inside: avoid; } .sign dt { margin-top: 1.4em; } .sign dd { margin: 0; border-bottom: 1px solid #111; height: 1.6em; }
footer { margin-top: 2em; font-size: .85em; }
";

/// What a page says beside the report itself.
#[derive(Debug, Clone, Default)]
pub struct Page<'a> {
    /// The files that were audited, as the auditor names them.
    pub source: &'a str,
    /// The earlier checkpoint or result that they were held against.
    pub earlier: Option<&'a str>,
    /// Version of the program.
    pub version: &'a str,
}

/// The report of one ledger as a page to print and sign.
pub fn report_html(report: &Report, page: &Page<'_>) -> String {
    let mut out = Html { text: String::new(), words: &EN };
    out.head();
    out.result(&report.findings);
    out.audited(report, page);
    out.checked();
    out.units(report);
    out.signatures(report);
    out.peers(report);
    out.beside(report);
    out.findings(&report.findings);
    out.not_excluded(&report.findings);
    out.sign(page);
    out.text
}

/// What an audit amounts to, as its page says it.
pub fn result_words(report: &Report) -> &'static str {
    result_of(&EN, &report.findings).0
}

fn result_of(words: &Words, findings: &Findings) -> (&'static str, &'static str) {
    match findings.outcome() {
        Outcome::Right => (words.right, words.right_means),
        Outcome::Wrong => (words.wrong, words.wrong_means),
        Outcome::NotChecked => (words.not_checked, words.not_checked_means),
    }
}

struct Html {
    text: String,
    words: &'static Words,
}

/// Text for HTML. What is invisible, or turns the direction of what follows, becomes a visible mark.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_hidden(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl Html {
    fn add(&mut self, html: &str) {
        self.text.push_str(html);
        self.text.push('\n');
    }

    fn heading(&mut self, level: u8, text: &str) {
        self.add(&format!("<h{level}>{}</h{level}>", escape(text)));
    }

    fn paragraph(&mut self, text: &str) {
        self.add(&format!("<p>{}</p>", escape(text)));
    }

    fn head(&mut self) {
        let words = self.words;
        self.add(&format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>",
            words.lang,
            title = escape(words.title),
        ));
    }

    fn result(&mut self, findings: &Findings) {
        let (short, means) = result_of(self.words, findings);
        self.add(&format!("<p class=\"result\"><strong>{}</strong> {}</p>", escape(short), escape(means)));
    }

    /// A table of two columns whose first cells are its headers.
    fn facts(&mut self, rows: &[(&str, String)]) {
        self.add("<table>\n<tbody>");
        for (name, value) in rows {
            self.add(&format!("<tr><th scope=\"row\">{}</th><td>{value}</td></tr>", escape(name)));
        }
        self.add("</tbody>\n</table>");
    }

    fn audited(&mut self, report: &Report, page: &Page<'_>) {
        let words = self.words;
        self.heading(2, words.what_was_audited);
        let code = |text: &str| format!("<code>{}</code>", escape(text));
        let mut rows = vec![
            (words.source, code(page.source)),
            (
                words.ledger,
                report.ledger.map_or_else(|| escape(words.no_ledger), |ledger| code(&ledger.to_string())),
            ),
        ];
        rows.extend(report.ledger.map(|ledger| (words.origin, code(&ledger.origin()))));
        rows.extend(report.time_ms.map(|(first, last)| {
            (words.period, escape(&format!("{} \u{2013} {}", Day::of_ms(first), Day::of_ms(last))))
        }));
        rows.push((words.entries, report.entries.to_string()));
        rows.push((words.accounts, report.accounts.to_string()));
        rows.push((
            words.checkpoint,
            report.checkpoint_size.map_or_else(|| escape(words.no_checkpoint), |size| size.to_string()),
        ));
        rows.push((words.root, code(&report.root.to_string())));
        rows.push((words.state, code(&report.state_digest.to_string())));
        rows.extend(page.earlier.map(|earlier| (words.earlier, code(earlier))));
        self.facts(&rows);
    }

    fn checked(&mut self) {
        let words = self.words;
        self.heading(2, words.what_was_checked);
        self.list(words.checks.iter().map(|check| escape(check)));
    }

    fn list(&mut self, items: impl Iterator<Item = String>) {
        self.add("<ul>");
        items.for_each(|item| self.add(&format!("<li>{item}</li>")));
        self.add("</ul>");
    }

    /// A table with a header row; cells are HTML.
    fn table(&mut self, caption: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        self.add("<table>");
        if !caption.is_empty() {
            self.add(&format!("<caption>{}</caption>", escape(caption)));
        }
        self.add("<thead>\n<tr>");
        for column in columns {
            self.add(&format!("<th scope=\"col\">{}</th>", escape(column)));
        }
        self.add("</tr>\n</thead>\n<tbody>");
        for row in rows {
            self.add(&format!("<tr>{}</tr>", row.concat()));
        }
        self.add("</tbody>\n</table>");
    }

    fn units(&mut self, report: &Report) {
        let words = self.words;
        self.heading(2, words.books);
        self.paragraph(words.books_mean);
        let row = |unit: &weft_protocol::audit::UnitSum| {
            let owed = i64::try_from(unit.outstanding).unwrap_or(i64::MAX);
            vec![cell(&unit.code), number(&unit.sum.to_string()), number(&format_decimal(owed, unit.scale))]
        };
        let columns = [words.unit, words.sum, words.outstanding];
        self.table("", &columns, report.units.iter().map(row));
        let kind = |(kind, entries): &(weft_protocol::entry::Kind, u64)| {
            vec![cell(kind.name()), number(&entries.to_string())]
        };
        self.table(words.kinds, &[words.what, words.number], report.kinds.iter().map(kind));
    }

    fn signatures(&mut self, report: &Report) {
        let words = self.words;
        self.heading(2, words.signatures);
        self.paragraph(words.signatures_mean);
        let s = report.signatures;
        let counts = [s.node, s.own_key, s.passkey, s.custody, s.paper, s.spoken, s.clearing, s.peers];
        let rows = words.signature_rows.iter().zip(counts);
        let rows = rows.map(|(name, count)| vec![cell(name), number(&count.to_string())]);
        self.table("", &[words.what, words.number], rows);
    }

    fn peers(&mut self, report: &Report) {
        let words = self.words;
        self.heading(2, words.peers);
        if report.peers.is_empty() {
            return self.paragraph(words.no_peers);
        }
        let position = |p: &Position| {
            let amount = format_decimal(p.balance.saturating_abs(), p.scale);
            let direction = match p.balance {
                0 => words.even.to_owned(),
                1.. => format!("{} {amount} {}", words.we_owe, p.code),
                _ => format!("{} {amount} {}", words.they_owe, p.code),
            };
            match (p.open_out, p.open_in) {
                (0, 0) => direction,
                (out, back) => format!("{direction} ({}: {out}, {back})", words.in_flight),
            }
        };
        let row = |peer: &PeerReport| {
            let positions: Vec<String> = peer.positions.iter().map(position).collect();
            vec![
                format!("<td><code>{}</code></td>", escape(&peer.ledger.to_string())),
                cell(&positions.join("; ")),
                number(&peer.their_entries.to_string()),
                number(&peer.pinned_to.map_or_else(|| "\u{2013}".to_owned(), |seq| seq.to_string())),
            ]
        };
        let columns = [words.peer, words.position, words.their_entries, words.pinned];
        self.table("", &columns, report.peers.iter().map(row));
    }

    /// Witnesses and opened texts, where there are any.
    fn beside(&mut self, report: &Report) {
        let words = self.words;
        if let Some(witnessed) = &report.witnessed {
            self.heading(2, words.witnesses);
            self.paragraph(words.witnesses_mean);
            self.list(std::iter::once(escape(&witnessed.words)));
        }
        if !report.openings.is_empty() {
            self.heading(2, words.openings);
            self.paragraph(words.openings_mean);
            let row = |opened: &Opened| vec![number(&opened.seq.to_string()), cell(&opened.text)];
            self.table("", &[words.place, words.what], report.openings.iter().map(row));
        }
    }

    fn findings(&mut self, findings: &Findings) {
        let words = self.words;
        self.heading(2, words.findings);
        let classes: Vec<Class> = Class::ALL.into_iter().filter(|class| findings.count(*class) > 0).collect();
        if classes.is_empty() {
            return self.paragraph(words.no_findings);
        }
        for class in classes {
            let (name, means) = (words.class)(class);
            self.heading(3, &format!("{name}: {}", findings.count(class)));
            self.paragraph(means);
            let shown: Vec<&Finding> = findings.kept().iter().filter(|f| f.class == class).collect();
            let columns = [words.place, words.finding, words.file];
            self.table("", &columns, shown.iter().map(|finding| finding_row(finding)));
            let more = findings.count(class).saturating_sub(shown.len() as u64);
            if more > 0 {
                self.paragraph(&format!("\u{2026} {} {more}", words.and_more));
            }
        }
    }

    fn not_excluded(&mut self, findings: &Findings) {
        let words = self.words;
        self.heading(2, words.not_excluded);
        let open = findings.kept().iter().filter(|finding| finding.class == Class::NotChecked);
        let open = open.map(|finding| escape(&finding.what)).collect::<Vec<_>>();
        self.list(open.into_iter().chain(words.limits.iter().map(|limit| escape(limit))));
    }

    fn sign(&mut self, page: &Page<'_>) {
        let words = self.words;
        self.add("<section class=\"sign\">");
        self.heading(2, words.signed);
        self.paragraph(words.signed_means);
        self.add("<dl>");
        for line in words.sign_lines {
            self.add(&format!("<dt>{}</dt><dd></dd>", escape(line)));
        }
        self.add("</dl>\n</section>\n</main>");
        let made = format!("{} {}", words.made_with, page.version);
        self.add(&format!("<footer>{}</footer>\n</body>\n</html>", escape(&made)));
    }
}

fn cell(text: &str) -> String {
    format!("<td>{}</td>", escape(text))
}

fn number(text: &str) -> String {
    format!("<td class=\"n\">{}</td>", escape(text))
}

fn finding_row(finding: &Finding) -> Vec<String> {
    let places: Vec<String> = finding.entries.iter().map(ToString::to_string).collect();
    let mut what = finding.what.clone();
    if let Some(age_ms) = finding.age_ms {
        let _ = write!(what, " (for {})", crate::text::age(age_ms));
    }
    let file = finding.file.as_deref().map_or_else(String::new, |f| format!("<code>{}</code>", escape(f)));
    vec![cell(&places.join("; ")), cell(&what), format!("<td>{file}</td>")]
}

#[cfg(test)]
mod tests;
