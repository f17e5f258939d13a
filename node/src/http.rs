//! The HTTP API (`specs/openapi.json`): one router, served on the Unix socket and on loopback.
//!
//! What must always hold: an answer about the ledger goes out only when all it says is durable ([`Ledger::run`]
//! gives it no sooner); every refusal is a problem+json with the name of the rule, and has changed nothing; nothing
//! is read without a cap; on TCP nothing but `/livez`, `/readyz` and requests for cosignatures is answered without
//! the bearer token.
//!
//! [`Ledger::run`]: crate::service::Ledger::run

mod api;
mod auth;
mod csv;
mod error;
mod metrics;
mod openapi;
mod request;
mod server;
mod state;
#[cfg(test)]
mod testkit;
mod view;
mod witness;

pub use openapi::openapi_json;
pub use server::serve;
pub use state::App;
