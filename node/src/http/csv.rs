//! A small CSV reader (RFC 4180): commas, quotes, CRLF or LF, an optional byte order mark.
//!
//! Strict where leniency would guess: a quote stands at the beginning of a field or not at all, and after a closing
//! quote comes a comma or the end of the line. Every length has a cap.

/// Columns of one line; the widest import has six.
const MAX_FIELDS: usize = 16;
/// Bytes of one field: the longest memo, four times over.
const MAX_FIELD_BYTES: usize = 4_096;
/// Lines of one file, the header included: some ten thousand payments.
pub(super) const MAX_RECORDS: usize = 20_001;

/// One line of the file, which may span several where a quoted field does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Number of its first line in the file, from 1.
    pub(super) line: u64,
    /// Its fields, quotes removed.
    pub(super) fields: Vec<String>,
}

/// Why a file is not CSV.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub(super) struct CsvError {
    pub(super) line: u64,
    pub(super) why: &'static str,
}

/// Reads a whole file. Empty lines are skipped and counted.
pub(super) fn parse(text: &str) -> Result<Vec<Record>, CsvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { rest: text, line: 1 };
    let mut records = Vec::new();
    while !reader.rest.is_empty() {
        let line = reader.line;
        let fields = reader.record()?;
        if fields.iter().all(String::is_empty) && fields.len() == 1 {
            continue;
        }
        if records.len() == MAX_RECORDS {
            return Err(CsvError { line, why: "more than 20,000 lines after the header: split the file" });
        }
        records.push(Record { line, fields });
    }
    Ok(records)
}

struct Reader<'a> {
    rest: &'a str,
    line: u64,
}

/// What ends a field.
enum End {
    Field,
    Record,
}

impl Reader<'_> {
    fn error<T>(&self, why: &'static str) -> Result<T, CsvError> {
        Err(CsvError { line: self.line, why })
    }

    fn record(&mut self) -> Result<Vec<String>, CsvError> {
        let mut fields = Vec::new();
        loop {
            if fields.len() == MAX_FIELDS {
                return self.error("more than 16 fields");
            }
            let field = match self.rest.strip_prefix('"') {
                Some(rest) => {
                    self.rest = rest;
                    self.quoted()?
                }
                None => self.plain()?,
            };
            if field.len() > MAX_FIELD_BYTES {
                return self.error("a field of more than 4,096 bytes");
            }
            fields.push(field);
            match self.end()? {
                End::Field => {}
                End::Record => return Ok(fields),
            }
        }
    }

    fn plain(&mut self) -> Result<String, CsvError> {
        let end = self.rest.find([',', '\n', '\r', '"']).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        if rest.starts_with('"') {
            return self.error("a quote inside a field: quote the whole field and double the quotes in it");
        }
        self.rest = rest;
        Ok(field.to_owned())
    }

    fn quoted(&mut self) -> Result<String, CsvError> {
        let mut field = String::new();
        loop {
            let Some(quote) = self.rest.find('"') else { return self.error("a quote is never closed") };
            let (part, rest) = (&self.rest[..quote], &self.rest[quote + 1..]);
            field.push_str(part);
            if field.len() > MAX_FIELD_BYTES {
                return self.error("a field of more than 4,096 bytes");
            }
            self.line += part.bytes().filter(|byte| *byte == b'\n').count() as u64;
            self.rest = rest;
            match rest.strip_prefix('"') {
                Some(rest) => {
                    field.push('"');
                    self.rest = rest;
                }
                None => return Ok(field),
            }
        }
    }

    fn end(&mut self) -> Result<End, CsvError> {
        if let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            return Ok(End::Field);
        }
        let rest = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
        match rest {
            Some(rest) => {
                self.rest = rest;
                self.line += 1;
                Ok(End::Record)
            }
            None if self.rest.is_empty() => Ok(End::Record),
            None => self.error("after a field comes a comma or the end of the line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
        parse(text).unwrap().into_iter().map(|r| (r.line, r.fields)).collect()
    }

    #[test]
    fn quotes_line_ends_marks_and_empty_lines_are_read() {
        let text = "\u{feff}from,to\r\n\"a,b\",\"say \"\"hi\"\"\"\n\nc,\n\"two\nlines\",d\r\nlast,x";
        let expected: Vec<(u64, Vec<&str>)> = vec![
            (1, vec!["from", "to"]),
            (2, vec!["a,b", "say \"hi\""]),
            (4, vec!["c", ""]),
            (5, vec!["two\nlines", "d"]),
            (7, vec!["last", "x"]),
        ];
        assert_eq!(
            rows(text),
            expected
                .into_iter()
                .map(|(n, f)| (n, f.into_iter().map(str::to_owned).collect()))
                .collect::<Vec<_>>()
        );
        assert_eq!(rows(""), vec![]);
        assert_eq!(rows("a,"), vec![(1, vec!["a".to_owned(), String::new()])]);
    }

    #[test]
    fn what_is_not_csv_is_refused_with_its_line() {
        let cases = [
            ("a,b\nc,d\"e", 2),
            ("a\n\"b", 2),
            ("a\n\"b\nc\" ,d", 3),
            ("a\rb", 1),
            (&",".repeat(16), 1),
            (&"x".repeat(4_097), 1),
            (&format!("\"{}\"", "x".repeat(4_097)), 1),
            (&"a\n".repeat(20_002), 20_002),
        ];
        for (text, line) in cases {
            assert_eq!(parse(text).map_err(|e| e.line), Err(line), "{:.20}", text);
        }
    }
}
