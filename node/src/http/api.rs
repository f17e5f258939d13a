//! The resources, one file each: handlers, refusals, description and tests together.

mod bans;
mod claims;
mod disputes;
mod erasure;
mod forward;
mod import;
mod keys;
mod members;
mod netting;
mod networks;
mod ops;
mod payments;
mod peers;
mod reach;
mod receipts;
mod reset;
mod settlements;
mod status;
mod time;

use super::state::Ctx;
use crate::service::Core;
use utoipa_axum::router::OpenApiRouter;

/// All routes with their descriptions.
pub(super) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .merge(status::routes())
        .merge(time::routes())
        .merge(members::routes())
        .merge(erasure::routes())
        .merge(forward::routes())
        .merge(payments::routes())
        .merge(ops::routes())
        .merge(receipts::routes())
        .merge(claims::routes())
        .merge(disputes::routes())
        .merge(peers::routes())
        .merge(reset::routes())
        .merge(settlements::routes())
        .merge(netting::routes())
        .merge(networks::routes())
        .merge(bans::routes())
        .merge(keys::routes())
        .merge(import::routes())
}

/// Payments with other networks that have not ended.
pub(super) fn open_claims(core: &Core) -> u64 {
    let state = core.engine().state();
    claims::ids(core).iter().filter(|id| !state.is_closed(id)).count() as u64
}
