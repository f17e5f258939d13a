//! The description of the API, generated from the routes and committed as `specs/openapi.json`.

use super::error::PROBLEM_JSON;
use super::{api, state::Ctx};
use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

/// What is not said at a route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weft node",
        version = "1",
        description = "The API of a node. Over its Unix socket it is open to the node's user; over TCP it needs the \
            node's bearer token. Amounts are decimal strings in a named unit, ids are lower-case hex, times are \
            milliseconds since 1970. Whatever changes the ledger is answered when it is durable. Every refusal is a \
            problem (RFC 9457) whose code names the rule, and has changed nothing.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(weft_api::Problem))
)]
struct Frame;

/// Name of the security scheme.
const BEARER: &str = "bearer";
/// Routes that need no token.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// The description, as pretty JSON with a newline at its end.
///
/// # Panics
/// Never: every part has a JSON form.
pub fn openapi_json() -> String {
    let mut description = Frame::openapi();
    let (_, routes) = api::routes().split_for_parts();
    description.merge(routes);
    let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    if let Some(components) = &mut description.components {
        components.add_security_scheme(BEARER, scheme);
    }
    for (path, item) in &mut description.paths.paths {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            finish(operation, OPEN.contains(&path.as_str()));
        }
    }
    let json = description.to_pretty_json().expect("every part of the description has a JSON form");
    format!("{json}\n")
}

/// Every operation may be refused, and all but the open ones need the token.
fn finish(operation: &mut Operation, open: bool) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let problem =
        ResponseBuilder::new().description("Refused: the code names the rule").content(PROBLEM_JSON, content);
    operation.responses.responses.insert("default".to_owned(), RefOr::T(problem.build()));
    if !open {
        operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    }
}

/// `GET /api/v1/openapi.json`, made once.
pub(super) fn route(router: Router<Ctx>) -> Router<Ctx> {
    let text: std::sync::Arc<str> = openapi_json().into();
    let answer = move || {
        let text = text.to_string();
        async move { ([(header::CONTENT_TYPE, "application/json")], text) }
    };
    router.route("/api/v1/openapi.json", get(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set to write the committed description anew.
    const WRITE: &str = "WEFT_WRITE_OPENAPI";

    #[test]
    fn the_committed_description_is_the_generated_one() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/openapi.json");
        let generated = openapi_json();
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == generated, "specs/openapi.json is not what the routes say: run with {WRITE}=1");
    }

    #[test]
    fn every_operation_can_be_refused_and_needs_the_token() {
        let json: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
        let paths = json["paths"].as_object().unwrap();
        assert!(paths.len() > 15, "{}", paths.len());
        for (path, item) in paths {
            for operation in item.as_object().unwrap().values() {
                assert!(operation["responses"]["default"].is_object(), "{path}");
                assert_eq!(operation["security"].is_array(), !OPEN.contains(&path.as_str()), "{path}");
            }
        }
    }
}
