//! `/api/v1/receipts`: an entry with the proof that it stands in the published ledger.
//!
//! The proof is built from the published files alone, so it is what anybody could build who has a copy of them.

use crate::http::error::ApiError;
use crate::http::request::Named;
use crate::http::state::{Ctx, blocking};
use crate::service::Core;
use axum::Json;
use axum::extract::State;
use std::path::Path;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::Receipt;
use weft_protocol::ids::{OpId, Signer};
use weft_protocol::keys::signer_of;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::{MAX_NOTE_BYTES, Note};
use weft_protocol::log::proof::build_inclusion;
use weft_protocol::log::receipt::Receipt as Proof;
use weft_protocol::log::tile::{HASH_LEN, TILE_WIDTH, TileReader};

/// A checkpoint and its tiles are read one after another while new ones may be published: so often it is tried.
const TRIES: usize = 3;
/// Longest tile of hashes.
const MAX_TILE_BYTES: usize = TILE_WIDTH as usize * HASH_LEN;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(receipt))
}

/// The receipt of an entry, by its place in the ledger or by its op id.
#[utoipa::path(get, operation_id = "receipt", path = "/api/v1/receipts/{id}", tag = "payments",
    params(("id" = String, Path, description = "A place in the ledger, or an op id (32 hex digits)")),
    responses((status = 200, description = "The entry and its proof", body = Receipt)))]
async fn receipt(State(ctx): State<Ctx>, Named(id): Named) -> Result<Json<Receipt>, ApiError> {
    let read = move |core: &mut Core| {
        let seq = place(core, &id)?;
        if core.is_left_out(seq)? {
            let why = format!(
                "entry {seq} was left out: only those from place {} on are here. A receipt made before is still good",
                core.floor()
            );
            return Err(ApiError::not_found("left-out", why));
        }
        let entry = core.own_entry(seq).map_err(ApiError::store)?;
        Ok((entry, core.public_folder()))
    };
    let (entry, public) = ctx.on_ledger(read).await?;
    let seq = entry.body().seq;
    let proof = blocking(move || prove(&public, seq)).await?;
    Ok(Json(Receipt {
        schema: "weft.receipt/1".to_owned(),
        seq,
        leaf: entry.leaf().to_string(),
        time_ms: entry.body().time_ms,
        kind: entry.kind().name().to_owned(),
        entry: data_encoding::HEXLOWER.encode(entry.bytes()),
        proof,
    }))
}

fn place(core: &Core, id: &str) -> Result<u64, ApiError> {
    let unknown = || ApiError::not_found("unknown-entry", format!("this ledger has no entry {id}"));
    if let Ok(op_id) = id.parse::<OpId>() {
        return by_op(core, &op_id)?.ok_or_else(unknown);
    }
    let bad =
        |_| ApiError::malformed("malformed-path", "name a place in the ledger, or an op id (32 hex digits)");
    let seq: u64 = id.parse().map_err(bad)?;
    if seq < core.engine().state().head.next_seq { Ok(seq) } else { Err(unknown()) }
}

/// An op id is its author's own: asks for each author there can be, the desk first.
fn by_op(core: &Core, op_id: &OpId) -> Result<Option<u64>, ApiError> {
    let state = core.engine().state();
    let identity = state.identity()?;
    let network = identity.keys.values().flatten().chain(&identity.root.keys).map(signer_of);
    let first = [core.keys().desk.public().signer(), Signer::ZERO].into_iter();
    for author in first.chain(network).chain(state.signers.keys().copied()) {
        if let Some(seq) = core.index().op(&author, op_id)? {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

/// The proof for a place, when the published checkpoint covers it.
fn prove(public: &Path, seq: u64) -> Result<Option<String>, ApiError> {
    let mut failure = String::new();
    for _ in 0..TRIES {
        let Some(bytes) = read_capped(&public.join("checkpoint"), MAX_NOTE_BYTES) else { return Ok(None) };
        let note = Note::parse(&bytes).map_err(ApiError::store)?;
        let checkpoint: Checkpoint = note.text().parse().map_err(ApiError::store)?;
        if seq >= checkpoint.size() {
            return Ok(None);
        }
        let load = |path: &weft_protocol::log::tile::TilePath| {
            read_capped(&public.join(path.to_string()), MAX_TILE_BYTES)
        };
        let mut tiles = TileReader::new(checkpoint.size(), load);
        match build_inclusion(&mut tiles, seq, checkpoint.size()) {
            Ok(proof) => return Ok(Some(Proof { extra: Vec::new(), index: seq, proof, note }.to_string())),
            Err(error) => failure = tiles.failed().map_or_else(|| error.to_string(), |e| e.to_string()),
        }
    }
    Err(ApiError::store(failure))
}

fn read_capped(path: &Path, cap: usize) -> Option<Vec<u8>> {
    let len = std::fs::metadata(path).ok()?.len();
    if len > cap as u64 { None } else { std::fs::read(path).ok() }
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use weft_api::{Receipt, Status};
    use weft_protocol::entry::Entry;
    use weft_protocol::ids::LedgerId;
    use weft_protocol::log::receipt::Receipt as Proof;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_receipt_carries_a_proof_that_verifies_once_a_checkpoint_covers_it() {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        let fresh: Receipt = node.get("/api/v1/receipts/2").await.json(200);
        assert_eq!((fresh.kind.as_str(), fresh.proof), ("account-opened", None));
        // A checkpoint is due after 256 entries, but not within a second of the one before.
        node.member(2, "Bob").await;
        let csv = format!("from,to,amount\\n{}", "Ada,Bob,1\\n".repeat(256));
        let imported = node.post("/api/v1/import/payments", None, &format!(r#"{{"csv":"{csv}"}}"#)).await;
        assert_eq!(imported.json::<weft_api::Imported>(200).written, 256);
        let covered = async {
            loop {
                let receipt: Receipt = node.get(&format!("/api/v1/receipts/{}", key(1))).await.json(200);
                if receipt.proof.is_some() {
                    return receipt;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let receipt = tokio::time::timeout(std::time::Duration::from_secs(9), covered).await.unwrap();
        let entry = Entry::parse(&data_encoding::HEXLOWER.decode(receipt.entry.as_bytes()).unwrap()).unwrap();
        assert_eq!((receipt.seq, receipt.leaf), (2, entry.leaf().to_string()));
        let status: Status = node.get("/api/v1/status").await.json(200);
        let origin = status.ledger.parse::<LedgerId>().unwrap().origin();
        let proof = Proof::parse(receipt.proof.unwrap().as_bytes()).unwrap();
        proof.verify(&entry.leaf(), &origin, &node.keys().log.public()).unwrap();
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_entry_is_refused_by_name() {
        let node = Node::start().await;
        node.get("/api/v1/receipts/2").await.problem(404, "unknown-entry");
        node.get(&format!("/api/v1/receipts/{}", key(9))).await.problem(404, "unknown-entry");
        node.get("/api/v1/receipts/-1").await.problem(400, "malformed-path");
        node.get("/api/v1/receipts/%FF").await.problem(400, "malformed-path");
        node.stop().await;
    }
}
