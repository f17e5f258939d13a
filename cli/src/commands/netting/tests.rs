use super::*;
use crate::args::Globals;
use std::fs;

fn context() -> Context {
    Context::plain(Globals { data: "/nowhere".into(), url: None, token_file: None, json: false })
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(table: impl AsRef<[u8]>) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.path("debts.csv"), table).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn input(&self) -> Input {
        Input { file: self.path("debts.csv"), decimals: 2, separator: ',', skip_bad: false }
    }

    async fn solve(&self, input: Input, certificate: &str) -> Outcome {
        let (out, certificate) = (Some(self.path("out.csv")), Some(self.path(certificate)));
        solve(&context(), Solve { input, out, certificate }).await
    }

    async fn verify(&self, input: Input, certificate: &str) -> Outcome {
        verify(&context(), Verify { input, certificate: self.path(certificate) }).await
    }
}

const CIRCLE: &str = "debtor,creditor,amount\nAda,Bo,5\nBo,Cy,7.50\nCy,Ada,4\nCy,Di,9\nAda,Bo,1\n";

#[tokio::test]
async fn a_circle_is_cleared_and_its_certificate_verifies_in_both_forms() {
    let folder = Folder::new(CIRCLE);
    for certificate in ["c.cbor", "c.json"] {
        let report = folder.solve(folder.input(), certificate).await.unwrap();
        assert!(report.text.contains("Of 26.50 owed between 4 parties, 12.00 (45.2 %)"), "{}", report.text);
        assert_eq!(report.json["cleared_minor"], 1_200);
        let report = folder.verify(folder.input(), certificate).await.unwrap();
        assert!(report.text.contains("The certificate holds"), "{}", report.text);
    }
    let out = fs::read_to_string(folder.path("out.csv")).unwrap();
    let rows = "Ada,Bo,6.00,4.00,2.00\nBo,Cy,7.50,4.00,3.50\nCy,Ada,4.00,4.00,0.00\nCy,Di,9.00,0.00,9.00\n";
    assert_eq!(out, format!("debtor,creditor,owed,reduction,left\n{rows}"));
}

#[tokio::test]
async fn the_order_of_lines_and_columns_changes_no_byte_of_what_is_written() {
    let written = async |table: &str| {
        let folder = Folder::new(table);
        folder.solve(folder.input(), "c").await.unwrap();
        (fs::read(folder.path("out.csv")).unwrap(), fs::read(folder.path("c")).unwrap())
    };
    let first = written(CIRCLE).await;
    let other = "\u{feff}Amount, note,CREDITOR,debtor\n6,,Bo,Ada\n9.0,,Di,Cy\n4.00,x,Ada, Cy\n7.5,,Cy,Bo\n";
    assert_eq!(written(other).await, first);
    assert_eq!(written("Bo,Cy,7.5\nCy,Ada,4\n\"Cy\",Di,9\nAda,Bo,6\n").await, first);
}

#[tokio::test]
async fn every_bad_line_is_named_and_nothing_is_written() {
    let long = "x".repeat(201);
    let table = format!(
        "Ada,Bo,5\nBo,Ada\nBo,Ada,-1\nBo,Ada,0\nBo,Ada,1.234\nAda,Ada,1\n,Bo,1\n{long},Bo,1\nA\u{7}a,Bo,1\n\
         Bo,Cy,46116860184273879.03\nBo,Ada,x\nBo,Ada,1\n"
    );
    let mut table = table.into_bytes();
    table.extend(b"\xff,Bo,1\n");
    let folder = Folder::new(&table);
    let failure = folder.solve(folder.input(), "c").await.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::Refused, "bad-lines"));
    assert!(failure.what.starts_with("11 of 13 lines"), "{}", failure.what);
    let why: Vec<&str> = failure.why.lines().map(str::trim).collect();
    for (line, (number, word)) in why.iter().zip([
        (2, "2 columns"),
        (3, "\"-1\" is not an amount"),
        (4, "got 0"),
        (5, "3 decimals"),
        (6, "Ada would owe themselves"),
        (7, "debtor: the name is empty"),
        (8, "201 bytes"),
        (9, "U+0007"),
        (10, "all debts together are more than"),
        (11, "\"x\" is not an amount"),
        (13, "not UTF-8"),
    ]) {
        assert!(line.starts_with(&format!("line {number}: ")) && line.contains(word), "{line}");
    }
    assert_eq!(why.len(), 11);
    assert!(!folder.path("out.csv").exists() && !folder.path("c").exists());
    let report = folder.solve(Input { skip_bad: true, ..folder.input() }, "c").await.unwrap();
    assert_eq!(report.json["cleared_minor"], 200);
    assert_eq!(report.json["bad_lines"], 11);
    assert!(report.notes[0].starts_with("passed over: line 2: "), "{:?}", report.notes);
    let skipping = Input { skip_bad: true, ..folder.input() };
    assert_eq!(folder.verify(skipping, "c").await.unwrap().exit, Exit::Fine);
}

#[tokio::test]
async fn a_certificate_of_other_debts_or_with_another_number_is_refused_by_its_rule() {
    let folder = Folder::new(CIRCLE);
    folder.solve(folder.input(), "c.json").await.unwrap();
    folder.solve(folder.input(), "c").await.unwrap();
    let failing = async |certificate: &str| {
        let failure = folder.verify(folder.input(), certificate).await.unwrap_err();
        (failure.exit, failure.code)
    };
    let json = fs::read_to_string(folder.path("c.json")).unwrap();
    fs::write(folder.path("less.json"), json.replace("\"400\"", "\"399\"")).unwrap();
    assert_eq!(failing("less.json").await, (Exit::Found, "optimal".to_owned()));
    fs::write(folder.path("no.json"), "{}").unwrap();
    assert_eq!(failing("no.json").await, (Exit::Found, "form".to_owned()));
    fs::write(folder.path("long"), vec![0; 10_000]).unwrap();
    assert_eq!(failing("long").await, (Exit::Found, "form".to_owned()));
    assert_eq!(failing("none").await, (Exit::CouldNotCheck, "unreadable-file".to_owned()));
    fs::write(folder.path("debts.csv"), CIRCLE.replace("Cy,Di,9", "Cy,Di,8")).unwrap();
    assert_eq!(failing("c").await, (Exit::Found, "debts".to_owned()));
}

#[tokio::test]
async fn where_nothing_is_owed_in_a_circle_that_is_said() {
    let folder = Folder::new("Ada;Bo;5\nBo;Cy;5\n");
    let input = Input { separator: ';', decimals: 0, ..folder.input() };
    let report = folder.solve(input, "c").await.unwrap();
    assert!(
        report.text.starts_with("Nothing can be cleared: of 10 owed between 3 parties"),
        "{}",
        report.text
    );
    let empty = Folder::new("debtor,creditor,amount\n");
    assert_eq!(empty.solve(empty.input(), "c").await.unwrap().json["total_minor"], 0);
}

#[test]
fn a_separator_is_one_sign() {
    assert_eq!(separator(";"), Ok(';'));
    assert_eq!(separator("\t"), Ok('\t'));
    assert!(separator("a").is_err() && separator(",,").is_err() && separator("\"").is_err());
}
