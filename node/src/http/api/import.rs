//! `/api/v1/import/payments`: many payments from a CSV, the same file never twice.
//!
//! Each line's operation id is derived from the file and the line number, so a crash or a second run goes on where
//! the first one stopped. All lines are tried on a copy of the state before any is written.

use super::payments::{Asked, To, Wish};
use crate::http::csv::{self, MAX_RECORDS, Record};
use crate::http::error::{ApiError, UNDER_WAY};
use crate::http::request::Given;
use crate::http::state::{Ctx, blocking};
use crate::service::{Core, DESK_OP_LIFE_MS, Prepared, Text};
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use std::sync::Arc;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;
use weft_api::{BadLine, ImportPayments, Imported, MAX_BODY_BYTES};
use weft_protocol::entry::{How, Op, Role, SignedOp};
use weft_protocol::ids::{Hash, OpId};
use weft_protocol::ledger::State as LedgerState;
use weft_protocol::ledger::author::Author;
use weft_protocol::sidecar::commitment;

/// Payments written in one group: bounds how long others wait for the ledger.
const GROUP: usize = 200;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(import).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)))
}

/// Imports payments between members of this network: all lines, or none when one is bad (unless told to skip
/// those). The same file again writes nothing twice.
#[utoipa::path(post, operation_id = "importPayments", path = "/api/v1/import/payments", tag = "payments", request_body = ImportPayments,
    responses((status = 200, description = "What became of each line", body = Imported)))]
async fn import(
    State(ctx): State<Ctx>,
    Given(import): Given<ImportPayments>,
) -> Result<Json<Imported>, ApiError> {
    let ImportPayments { csv, dry_run, skip_bad } = import;
    let lines = Arc::new(blocking(move || read(&csv)).await?);
    let count = lines.len() as u64;
    let resolved = ctx.on_ledger(move |core| resolve(core, &lines)).await?;
    let known = resolved.known;
    let mut bad = resolved.bad;
    let keys = ctx.app.keys.clone();
    let now_ms = ctx.app.clock.now_ms();
    let clock = ctx.app.clock;
    let (ready, refused) = blocking(move || {
        let salt = || clock.random();
        let ready = resolved
            .wishes
            .into_iter()
            .map(|(line, wish)| sign(&keys, &resolved.state, line, &wish, now_ms, salt()));
        let ready = ready.collect::<Result<Vec<_>, ApiError>>()?;
        let author = Author::new(weft_protocol::keys::SecretKey::from_seed(&keys.log.seed()), resolved.boot);
        Ok(rehearse(resolved.state, &author, ready, now_ms, || clock.salt()))
    })
    .await?;
    bad.extend(refused);
    let mut imported = Imported {
        schema: "weft.imported/1".to_owned(),
        lines: count,
        written: 0,
        known,
        bad,
        applied: false,
    };
    if !dry_run && (imported.bad.is_empty() || skip_bad) {
        write(&ctx, ready, &mut imported).await?;
    }
    imported.bad.sort_by_key(|bad| bad.line);
    Ok(Json(imported))
}

/// A line as the file has it.
#[derive(Debug)]
struct Line {
    number: u64,
    op_id: OpId,
    /// In the order of [`COLUMNS`]; absent where the file has no such column.
    fields: [Option<String>; 6],
    /// What is wrong with its form.
    fault: Option<&'static str>,
}

/// Columns that a file may have, the first three of which it must have.
const COLUMNS: [&str; 6] = ["from", "to", "amount", "unit", "date", "memo"];

fn read(csv: &str) -> Result<Vec<Line>, ApiError> {
    let records = csv::parse(csv).map_err(|e| ApiError::malformed("malformed-csv", e))?;
    debug_assert!(records.len() <= MAX_RECORDS);
    let Some((header, records)) = records.split_first() else {
        return Err(ApiError::malformed(
            "csv-header",
            "the file is empty: its first line is from,to,amount,…",
        ));
    };
    let places = columns(header)?;
    let file = Hash::of("", &[csv.as_bytes()]);
    let line = |record: &Record| {
        let value = |place: &Option<usize>| record.fields.get((*place)?).cloned();
        let op_id = OpId(Hash::of("", &[file.as_bytes(), &record.line.to_be_bytes()]).prefix());
        let fits = record.fields.len() == header.fields.len();
        let fault = (!fits).then_some("it has not as many fields as the first line");
        Line { number: record.line, op_id, fields: places.each_ref().map(value), fault }
    };
    Ok(records.iter().map(line).collect())
}

/// Where each column stands.
fn columns(header: &Record) -> Result<[Option<usize>; 6], ApiError> {
    let mut places = [None; 6];
    for (at, name) in header.fields.iter().enumerate() {
        let name = name.trim().to_lowercase();
        let column = COLUMNS.iter().position(|column| *column == name);
        let slot = column.and_then(|column| places.get_mut(column));
        match slot {
            Some(slot @ None) => *slot = Some(at),
            Some(Some(_)) => {
                return Err(ApiError::malformed("csv-header", format!("the column {name} stands twice")));
            }
            None => {
                let why = format!("\"{name}\" is no column: they are {}", COLUMNS.join(", "));
                return Err(ApiError::malformed("csv-header", why));
            }
        }
    }
    match places.iter().take(3).position(Option::is_none) {
        Some(missing) => {
            Err(ApiError::malformed("csv-header", format!("the column {} is missing", COLUMNS[missing])))
        }
        None => Ok(places),
    }
}

/// Lines with their names resolved, and a copy of the state to try them on.
struct Resolved {
    state: LedgerState,
    boot: u64,
    known: u64,
    wishes: Vec<((u64, OpId), Wish)>,
    bad: Vec<BadLine>,
}

fn resolve(core: &Core, lines: &[Line]) -> Result<Resolved, ApiError> {
    let state = core.engine().state().clone();
    let mut resolved = Resolved { state, boot: core.boot(), known: 0, wishes: Vec::new(), bad: Vec::new() };
    let desk = core.keys().desk.public().signer();
    for line in lines {
        if core.index().op(&desk, &line.op_id)?.is_some() {
            resolved.known += 1;
            continue;
        }
        match wish(core, line) {
            Ok(wish) => resolved.wishes.push(((line.number, line.op_id), wish)),
            Err(error) => resolved.bad.push(bad(line.number, &error)),
        }
    }
    Ok(resolved)
}

fn wish(core: &Core, line: &Line) -> Result<Wish, ApiError> {
    if let Some(fault) = line.fault {
        return Err(ApiError::rule("csv-fields", fault));
    }
    let [from, to, amount, unit, when, memo] =
        line.fields.each_ref().map(|field| field.as_deref().map(str::trim));
    // An empty field says as much as a column that is not there.
    let some = |text: &&str| !text.is_empty();
    let asked = Asked {
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
        amount: amount.unwrap_or_default(),
        unit: unit.filter(some),
        memo: memo.filter(some),
        when: when.filter(some),
    };
    let wish = Wish::read(core, &asked)?;
    match wish.to {
        To::Here(_) => Ok(wish),
        To::There(_) => {
            Err(ApiError::rule("import-other-network", "payments to other networks are not imported"))
        }
    }
}

fn bad(line: u64, error: &ApiError) -> BadLine {
    BadLine { line, code: error.code().to_owned(), detail: error.detail().to_owned() }
}

/// A line ready to be written.
struct Ready {
    line: u64,
    prepared: Prepared,
}

fn sign(
    keys: &crate::data::Keys,
    state: &LedgerState,
    (line, op_id): (u64, OpId),
    wish: &Wish,
    now_ms: u64,
    salt: [u8; 32],
) -> Result<Ready, ApiError> {
    let texts: Vec<Text> =
        wish.content.iter().map(|content| Text { salt, bytes: content.to_bytes() }).collect();
    let sidecars = texts.iter().map(|text| commitment(&text.salt, &text.bytes)).collect();
    let not_after_ms = now_ms.max(state.head.time_ms).saturating_add(DESK_OP_LIFE_MS);
    let op = Op { op_id, not_after_ms, payload: wish.payload(), sidecars };
    let signed = SignedOp::unsigned(&op).signed(&state.ledger()?, &keys.desk, Role::Member, How::Custody);
    Ok(Ready { line, prepared: Prepared { signed, texts, expires_ms: None } })
}

/// Tries the lines one after another on a copy of the state, off the ledger's thread.
fn rehearse(
    mut state: LedgerState,
    author: &Author,
    lines: Vec<Ready>,
    now_ms: u64,
    salt: impl Fn() -> weft_protocol::ids::Salt,
) -> (Vec<Ready>, Vec<BadLine>) {
    let (mut ready, mut refused) = (Vec::new(), Vec::new());
    for line in lines {
        match author.write(&mut state, &line.prepared.signed, now_ms, salt()) {
            Ok(_) => ready.push(line),
            Err(rejected) => refused.push(bad(line.line, &rejected.into())),
        }
    }
    (ready, refused)
}

/// Writes group after group; what is refused only now, because others paid meanwhile, is reported like the rest.
async fn write(ctx: &Ctx, ready: Vec<Ready>, imported: &mut Imported) -> Result<(), ApiError> {
    let mut ready = ready.into_iter().peekable();
    while ready.peek().is_some() {
        let group: Vec<Ready> = ready.by_ref().take(GROUP).collect();
        let submit = move |core: &mut Core| -> Vec<(u64, Result<bool, ApiError>)> {
            let one = |line: Ready| {
                (line.line, core.submit(line.prepared).map(|a| a.known).map_err(ApiError::from))
            };
            group.into_iter().map(one).collect()
        };
        for (line, outcome) in ctx.app.ledger.run(submit).await? {
            match outcome {
                Ok(false) => imported.written += 1,
                Ok(true) => imported.known += 1,
                // Another run of the same file is writing it at this moment.
                Err(error) if error.code() == UNDER_WAY => imported.known += 1,
                Err(error) => imported.bad.push(bad(line, &error)),
            }
        }
    }
    imported.applied = imported.written > 0;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;
    use weft_api::{ImportPayments, Imported, Statement};

    fn body(csv: &str, dry_run: bool, skip_bad: bool) -> String {
        serde_json::to_string(&ImportPayments { csv: csv.to_owned(), dry_run, skip_bad }).unwrap()
    }

    async fn run(node: &Node, csv: &str, dry_run: bool, skip_bad: bool) -> Imported {
        node.post("/api/v1/import/payments", None, &body(csv, dry_run, skip_bad)).await.json(200)
    }

    async fn with_members() -> Node {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        node.member(2, "Bob").await;
        node
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_is_written_once_however_often_it_is_run() {
        let node = with_members().await;
        let mut csv = "from,to,amount,unit,date,memo\r\n".to_owned();
        for n in 0..450 {
            csv.push_str(&format!("Ada,bob,0.{:02},credit,2020-01-31,\"no. {n}, paid\"\r\n", n % 99 + 1));
        }
        let before = node.digest().await;
        let dry = run(&node, &csv, true, false).await;
        assert_eq!((dry.lines, dry.written, dry.bad.len(), dry.applied), (450, 0, 0, false));
        assert_eq!(node.digest().await, before);
        let first = run(&node, &csv, false, false).await;
        assert_eq!((first.written, first.known, first.applied), (450, 0, true));
        let after = node.digest().await;
        let again = run(&node, &csv, false, false).await;
        assert_eq!((again.written, again.known, again.applied), (0, 450, false));
        assert_eq!(node.digest().await, after);
        let bob: Statement = node.get("/api/v1/accounts/Bob/statement?limit=1").await.json(200);
        assert_eq!(bob.lines[0].memo.as_deref(), Some("no. 449, paid"));
        assert_eq!(bob.lines[0].when.as_deref(), Some("2020-01-31"));
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bad_lines_are_named_with_their_rule_and_nothing_is_written() {
        let node = with_members().await;
        let csv = "from,to,amount,date\nAda,Bob,1,\nAda,Ada,1,\nAda,Zoe,1,\nAda,Bob,0,\n\nAda,Bob,1\n\
            Ada,Bob,1,2020-02-30\nAda,Bob@hull,1.5,\n";
        let before = node.digest().await;
        let refused = run(&node, csv, false, false).await;
        let found: Vec<(u64, &str)> = refused.bad.iter().map(|bad| (bad.line, bad.code.as_str())).collect();
        let expected =
            [(3, "to-oneself"), (4, "unknown-member"), (5, "amount"), (7, "csv-fields"), (8, "date")];
        assert_eq!((found.as_slice(), refused.applied, refused.lines), (expected.as_slice(), false, 7));
        assert_eq!(node.digest().await, before);
        let skipped = run(&node, csv, false, true).await;
        assert_eq!((skipped.written, skipped.bad.len(), skipped.applied), (2, 5, true));
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_limit_is_met_at_the_line_that_passes_it() {
        let node = with_members().await;
        node.limit_below(9, 250).await;
        let csv = "from,to,amount\nAda,Bob,1\nAda,Bob,1\nAda,Bob,1\nAda,Bob,0.5\n";
        let refused = run(&node, csv, false, false).await;
        let found: Vec<(u64, &str)> = refused.bad.iter().map(|bad| (bad.line, bad.code.as_str())).collect();
        assert_eq!((found, refused.applied), (vec![(4, "limit-stop")], false));
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_such_file_is_refused_as_a_whole() {
        let node = with_members().await;
        let before = node.digest().await;
        for (csv, code) in [
            ("", "csv-header"),
            ("from,to\nAda,Bob\n", "csv-header"),
            ("from,to,amount,colour\n", "csv-header"),
            ("from,to,amount,to\n", "csv-header"),
            ("from,to,amount\nAda,\"Bob,1\n", "malformed-csv"),
        ] {
            node.post("/api/v1/import/payments", None, &body(csv, false, false)).await.problem(400, code);
        }
        let empty = run(&node, "amount,from,to\n", false, false).await;
        assert_eq!((empty.lines, empty.applied), (0, false));
        let huge = body(&"x".repeat(weft_api::MAX_BODY_BYTES), false, false);
        node.post("/api/v1/import/payments", None, &huge).await.problem(413, "too-large");
        assert_eq!(node.digest().await, before);
        node.stop().await;
    }
}
