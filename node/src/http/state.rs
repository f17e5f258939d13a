//! What handlers work with.

use super::error::{ApiError, UNDER_WAY};
use crate::clearing::Clearing;
use crate::clock::Clock;
use crate::data::Keys;
use crate::network::Network;
use crate::service::{Core, Ledger};
use std::sync::Arc;
use tokio::sync::watch;

/// The parts of a node that the API speaks to.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each part is named after its type")]
pub struct App {
    pub ledger: Ledger,
    pub network: Network,
    pub clearing: Clearing,
    pub keys: Arc<Keys>,
    pub clock: Clock,
    /// Short name of the network.
    pub site: String,
}

/// The state of the router: the node, and whether it is stopping.
#[derive(Debug, Clone)]
pub(super) struct Ctx {
    pub(super) app: App,
    pub(super) shutdown: watch::Receiver<bool>,
    pub(super) witness_rate: super::witness::Rate,
}

impl Ctx {
    /// Runs a task on the ledger's thread and gives its answer when all it wrote is durable.
    ///
    /// A task that meets the same operation in the same group is run once more: by then the first is written, and
    /// both get the same answer.
    pub(super) async fn on_ledger<T: Send + 'static>(
        &self,
        task: impl Fn(&mut Core) -> Result<T, ApiError> + Clone + Send + 'static,
    ) -> Result<T, ApiError> {
        match self.app.ledger.run(task.clone()).await? {
            Err(error) if error.code() == UNDER_WAY => self.app.ledger.run(task).await?,
            answer => answer,
        }
    }
}

/// Runs work that reads files or checks many signatures beside the threads that answer requests.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(ApiError::internal("a worker thread has failed")))
}
