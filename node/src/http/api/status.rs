//! `/livez`, `/readyz`, `/api/v1/status`: whether the node runs, can take payments, and how it stands.

use crate::http::error::ApiError;
use crate::http::state::Ctx;
use crate::keystore::purpose;
use crate::network::Counters;
use crate::service::{Core, GuardReport};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{
    BoundKey, CosignedLog, GuardStatus, Messages, MirrorOf, Mirrors, Reached, Roots, Status, SuccessionTerms,
    Unit, Witness, WitnessOf,
};
use weft_protocol::ids::LedgerId;
use weft_protocol::ledger::identity::{Identity, PURPOSES, Purpose};
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::log::note::KeyName;

/// How long status waits for the network layer to say where it listens.
const LISTEN_WAIT: Duration = Duration::from_secs(1);
/// How long readiness waits for the ledger: longer than a slow disk's sync.
const READY_WAIT: Duration = Duration::from_secs(5);

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz)).routes(routes!(status))
}

/// Whether the node's loop runs.
#[utoipa::path(get, operation_id = "livez", path = "/livez", tag = "node", responses((status = 200, description = "It runs", body = String)))]
async fn livez() -> &'static str {
    "ok\n"
}

/// Whether the node can take payments; names each check.
#[utoipa::path(get, operation_id = "readyz", path = "/readyz", tag = "node",
    responses((status = 200, description = "It can", body = String), (status = 503, description = "It cannot, and why")))]
async fn readyz(State(ctx): State<Ctx>) -> Result<&'static str, ApiError> {
    let not_ready = |code, why| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, why);
    let asked = ctx.app.ledger.run(|core| core.engine().state().identity.is_some());
    match tokio::time::timeout(READY_WAIT, asked).await {
        Ok(Ok(true)) => Ok("ledger: ok\ngenesis: ok\n"),
        Ok(Err(stopped)) => Err(stopped.into()),
        Ok(Ok(false)) => Err(not_ready("no-genesis", "the ledger has no genesis yet")),
        Err(_) => Err(not_ready("ledger-slow", "the ledger has not answered within 5 s")),
    }
}

/// The node at a glance.
#[utoipa::path(get, operation_id = "status", path = "/api/v1/status", tag = "node",
    responses((status = 200, description = "How it stands", body = Status)))]
async fn status(State(ctx): State<Ctx>) -> Result<Json<Status>, ApiError> {
    let mut status = ctx.on_ledger(|core| read(core)).await?;
    let addresses =
        tokio::time::timeout(LISTEN_WAIT, ctx.app.network.listen_addrs()).await.unwrap_or_default();
    status.peer_id = ctx.app.network.local_peer_id().to_string();
    status.addresses = addresses.iter().map(ToString::to_string).collect();
    status.reach = super::reach::reached(&ctx.app.network.reach(), &addresses);
    let missing = ctx.app.network.places_missing();
    status.problems.extend(missing.iter().map(|node| {
        format!(
            "others cannot reach this node over {node} now: it is away, or gives no place (there must be an accord with \
             it, and its people must have set serve_circuits)"
        )
    }));
    status.messages = messages(&ctx.app.network.counters());
    for mirror in &mut status.mirrors.peers {
        if let Ok(ledger) = mirror.ledger.parse() {
            mirror.kept_bytes = ctx.app.clearing.kept_for(ledger).await.1;
        }
    }
    Ok(Json(status))
}

fn read(core: &Core) -> Result<Status, ApiError> {
    let state = core.engine().state();
    let identity = state.identity()?;
    let sums = state.sums();
    let units = state.units.values().map(|unit| Unit {
        unit: unit.unit.0,
        code: unit.code.clone(),
        name: unit.name.clone(),
        scale: unit.scale,
        sum_minor: sums.get(&unit.unit).copied().unwrap_or_default().to_string(),
    });
    let mut problems: Vec<String> =
        core.problems().iter().map(|(ledger, why)| format!("network {}: {why}", ledger.short())).collect();
    let accused = state.accused.iter().filter(|(_, row)| row.frozen);
    problems.extend(accused.flat_map(|(ledger, _)| {
        let said = core.accusations(ledger).into_iter();
        said.map(|what| format!("network {}: {what}", ledger.short())).collect::<Vec<_>>()
    }));
    problems.extend(core.time_held().map(|held| held.to_string()));
    let off = sums.iter().filter(|(_, sum)| **sum != 0);
    problems.extend(off.map(|(unit, sum)| format!("the balances of unit {unit} sum to {sum}, not to zero")));
    problems.extend(core.netting_problems());
    let guard = core.guard_report();
    problems.extend(guard.as_ref().map(|guard| waits(core, guard)));
    let is_member = |owner| matches!(owner, OwnerKind::Member | OwnerKind::Organisation);
    Ok(Status {
        schema: "weft.status/1".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        site: core.site().to_owned(),
        ledger: identity.ledger.to_string(),
        genesis: identity.genesis.to_string(),
        entries: state.head.next_seq,
        checkpoint: core.checkpoint_size(),
        state_digest: state.digest().to_string(),
        boot: core.boot(),
        peer_id: String::new(),
        addresses: Vec::new(),
        reach: Reached::default(),
        desk: core.keys().desk.public().signer().to_string(),
        roots: Roots {
            threshold: identity.root.threshold,
            keys: identity.root.keys.iter().map(ToString::to_string).collect(),
        },
        bound: bound(identity),
        keys_kept: core.keys_kept(),
        units: units.collect(),
        members: state.accounts.values().filter(|a| is_member(a.owner) && !a.closed).count() as u64,
        claims_open: super::open_claims(core),
        messages: Vec::new(),
        problems,
        news: core.netting_news(),
        witness: witness(core),
        mirrors: mirrors(core),
        guard: guard.map(guarded),
    })
}

fn guarded(report: GuardReport) -> GuardStatus {
    let ids = |ledgers: &[LedgerId]| ledgers.iter().map(ToString::to_string).collect();
    GuardStatus {
        quarantined: report.peers.quarantined,
        awaited: ids(&report.peers.awaited),
        taken_back: report.peers.taken_back,
        known_size: report.peers.known_size,
        succession: report.peers.succession.map(|terms| SuccessionTerms {
            number: terms.number,
            old_size: terms.old_size,
            old_root: terms.old_root.map(|root| root.to_string()),
            base: terms.base,
            boot: terms.boot,
            unheard: ids(&terms.unheard),
        }),
    }
}

fn alias(core: &Core, ledger: &LedgerId) -> String {
    match core.private().peer(ledger) {
        Ok(Some(peer)) => peer.alias,
        Ok(None) | Err(_) => ledger.short(),
    }
}

/// How we stand with those who keep our entries.
fn mirrors(core: &Core) -> Mirrors {
    let view = core.mirror_view();
    let of = |(ledger, upto, trouble): (LedgerId, Option<u64>, Option<String>)| MirrorOf {
        ledger: ledger.to_string(),
        alias: alias(core, &ledger),
        upto,
        trouble,
        kept_bytes: 0,
    };
    let peers: Vec<MirrorOf> = view.keepers.into_iter().map(of).collect();
    let whole = peers.iter().filter(|peer| peer.upto.is_some_and(|upto| upto >= view.covered)).count();
    let words = match (peers.len(), view.has_key, whole) {
        (0, _, _) => {
            "nobody keeps a copy of our entries: who restores an old backup will lose history. Agree on it with two \
             peers, new ones or those you have: `weft peer invite … --mirror`"
                .to_owned()
        }
        (_, false, _) => {
            "peers would keep a copy of our entries, but no recovery key is bound, so nothing can be sealed: `weft key new \
             FILE --recovery`, then `weft key bind-recovery PUBLIC --root-key FILE`"
                .to_owned()
        }
        (_, true, 0) => "no peer keeps all of our entries yet".to_owned(),
        (1, true, 1) => "one peer keeps all of our entries; two are safer".to_owned(),
        (_, true, whole) => format!("{whole} of {} peers keep all of our entries", peers.len()),
    };
    Mirrors { recovery_key: view.has_key, size: view.covered, words, peers }
}

/// What the guard waits for, and what can be done: for people.
fn waits(core: &Core, report: &GuardReport) -> String {
    let names =
        |ledgers: &[LedgerId]| ledgers.iter().map(|one| alias(core, one)).collect::<Vec<_>>().join(", ");
    if !report.peers.quarantined {
        let who = names(&report.peers.awaited);
        return format!("nothing is signed towards {who} until they have answered since this start");
    }
    let held = core.engine().state().head.next_seq;
    let lost = report.peers.known_size.saturating_sub(held);
    let mut words = "this start cannot prove that its books are the newest, so nothing is signed".to_owned();
    if !report.peers.unheard.is_empty() {
        words.push_str(&format!("; no answer yet from {}: wait for them", names(&report.peers.unheard)));
    }
    let mirrors = &report.mirrors;
    for (ledger, why) in &mirrors.passed_over {
        words.push_str(&format!("; the mirror {} is passed over: {why}", alias(core, ledger)));
    }
    if lost > 0 {
        words.push_str(&format!("; {lost} entries that others know of are missing here"));
        words.push_str(&match (mirrors.ahead.is_empty(), mirrors.has_key) {
            (true, _) => ": if this is an old backup, start from a newer one".to_owned(),
            (false, false) => format!(
                ". {} keeps entries of ours, sealed: stop, and start once with `weftd run --recovery-key FILE`, where FILE is \
                 the recovery key or a file with its 24 words",
                names(&mirrors.ahead)
            ),
            (false, true) if mirrors.wrong_key => format!(
                "; the recovery key that was given is not the one that opens what {} keeps: look for another one",
                names(&mirrors.ahead)
            ),
            (false, true) => format!("; they are being fetched from {}", names(&mirrors.ahead)),
        });
    }
    if report.peers.succession.is_some() {
        words.push_str(&format!(
            ". If nothing else helps, the coordinators let the ledger go on without them: `weft succession --lose {lost} \
             --root-key FILE`"
        ));
    }
    words
}

/// How we stand with our witnesses.
fn witness(core: &Core) -> Witness {
    let view = core.witness_view();
    let (size, quorum) = view.witnessed.map_or_else(|| (0, None), |(size, quorum)| (size, Some(quorum)));
    let time_of = |name: &KeyName| {
        let mut cosigned = quorum.iter().flat_map(|quorum| quorum.cosigned());
        cosigned.find(|(by, _)| by.key_name == *name).map(|(_, time_s)| time_s.saturating_mul(1_000))
    };
    let witnesses = view.policy.witnesses().iter().map(|witness| {
        let name = witness.key.name();
        let trouble = view.troubles.get(name).cloned();
        WitnessOf { name: name.to_string(), time_ms: time_of(name), trouble }
    });
    let witnesses: Vec<WitnessOf> = witnesses.collect();
    Witness {
        size,
        time_ms: witnesses.iter().filter_map(|witness| witness.time_ms).max().unwrap_or(0),
        enough: quorum.as_ref().is_some_and(|quorum| quorum.reached),
        words: match &quorum {
            Some(quorum) => quorum.words(&view.peers),
            None if witnesses.is_empty() => "nobody is asked to witness this ledger".to_owned(),
            None => "no checkpoint has been witnessed yet".to_owned(),
        },
        witnesses,
        cosigned: view.watched.into_iter().map(|(origin, size)| CosignedLog { origin, size }).collect(),
    }
}

fn bound(identity: &Identity) -> Vec<BoundKey> {
    let one = |purpose: Purpose| {
        let (epoch, key) = identity.current(purpose)?;
        Some(BoundKey { purpose: purpose::name(purpose).to_owned(), epoch, key: key.to_string() })
    };
    PURPOSES.into_iter().chain([Purpose::Recovery]).filter_map(one).collect()
}

fn messages(counters: &Counters) -> Vec<Messages> {
    let one = |of: &crate::network::ProtocolCounters| Messages {
        protocol: of.protocol.name().to_owned(),
        requests_in: of.requests_in.messages,
        requests_out: of.requests_out.messages,
    };
    counters.protocols.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;
    use crate::network::Protocol;
    use weft_api::Status;

    #[tokio::test(flavor = "multi_thread")]
    async fn status_says_how_the_ledger_stands() {
        let node = Node::start().await;
        let status: Status = node.get("/api/v1/status").await.json(200);
        assert_eq!(
            (status.schema.as_str(), status.site.as_str(), status.entries),
            ("weft.status/1", "hull", 2)
        );
        assert_eq!((status.units[0].code.as_str(), status.units[0].sum_minor.as_str()), ("credit", "0"));
        assert_eq!(
            (status.addresses.len(), status.messages.len(), status.problems.len()),
            (2, Protocol::ALL.len(), 0)
        );
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tcp_needs_the_token_and_the_probes_do_not() {
        let node = Node::start().await;
        assert_eq!(node.tcp("GET", "/livez", &[], "").await.text(200), "ok\n");
        assert_eq!(node.tcp("GET", "/readyz", &[], "").await.text(200), "ledger: ok\ngenesis: ok\n");
        let token = format!("Bearer {}", &*node.token());
        for (header, status) in [("", 401), ("Bearer wrong", 401), ("Basic x", 401), (token.as_str(), 200)] {
            let answer = node.tcp("GET", "/api/v1/status", &[("Authorization", header)], "").await;
            assert_eq!(answer.status, status, "{header}");
        }
        node.tcp("GET", "/nowhere", &[], "").await.problem(401, "unauthorized");
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unknown_paths_and_methods_are_problems_too() {
        let node = Node::start().await;
        node.get("/nowhere").await.problem(404, "no-such-path");
        node.post("/api/v1/status", None, "{}").await.problem(405, "method");
        let openapi = node.get("/api/v1/openapi.json").await.text(200);
        assert_eq!(openapi, crate::http::openapi_json());
        node.stop().await;
    }
}
