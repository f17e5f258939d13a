//! The ledger service: one thread that owns the ledger and every store (specs/store.md §3).
//!
//! Callers hand in tasks; the thread runs all that are waiting, makes what they wrote durable with one write and
//! one sync, and only then lets their answers out. So an answer is never ahead of the disk, and a reader never
//! sees what a crash could take back; who only looks is answered between two groups. When a write or sync fails, the
//! state of the disk is unknown: the service answers nothing more but why it stopped.

mod asking;
mod bells;
mod core;
mod dispute;
mod erasure;
mod evidence;
mod flight;
mod forward;
mod found;
mod guard;
mod keys;
mod letters;
mod links;
mod mirror;
mod names;
mod netting;
mod notes;
mod open;
mod payments;
mod prune;
mod publish;
mod recent;
mod reset;
mod restore;
mod rows;
mod settling;
mod sync;
#[cfg(test)]
mod tests;
mod time;
mod ways;
mod witness;

pub use self::core::{Core, Hooks, ServiceParts};
pub use bells::{Bell, Concern};
pub use evidence::{EvidenceRefused, HandedIn};
pub use flight::Proposed;
pub use found::NewLedger;
pub use guard::{GuardReport, GuardStep};
pub use keys::NextKeyError;
pub use letters::LetterOut;
pub use links::{Outgoing, PushIn, read_entries, short};
pub use mirror::{MirrorJob, MirrorView, OpenPiece};
pub use netting::{NettingRefused, ProposalRefused, RoundAction};
pub use open::{OpenFailure, Opened, open};
pub use payments::{ClaimState, DESK_OP_LIFE_MS, OpAnswer, OpRefused, Prepared, Text};
pub use prune::{PruneError, PruneOptions, PruneReport, prune};
pub use reset::Incarnations;
pub use restore::{MirrorsWanted, RecoverySecret, RestoreReport};
pub use rows::HistoryRow;
pub use settling::HaltWish;
pub use sync::{Lacking, OwnDescriptor, PublicPage, TakenIn};
pub use time::{Held, MAX_IDLE_MS, MAX_JUMP_MS};
pub use ways::{MAX_MORE_WAYS, MAX_WAYS_SHOWN, NoNetwork};
pub use witness::{Way, WitnessJob, WitnessSettings, WitnessView};

use bells::Bells;
use tokio::sync::{mpsc, oneshot, watch};

/// Tasks that may wait; beyond it callers wait to hand theirs in.
const QUEUE: usize = 1_024;
/// Tasks in one group: bounds how long the first waits for the last.
const MAX_GROUP: usize = 256;

/// Why the service does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// It has stopped for good: what is on disk is safe, what was not acknowledged may be lost.
    #[error(
        "the ledger has stopped: {0}. What was acknowledged is safe; free the disk or repair it, then start again"
    )]
    Stopped(String),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}

/// What the thread is asked to do.
enum Job {
    Run(Task),
    Look(Look),
    Close,
}

type Deferred = Box<dyn FnOnce(Result<(), ServiceError>) + Send>;
type Task = Box<dyn FnOnce(Result<&mut Core, ServiceError>) -> Deferred + Send>;
type Look = Box<dyn FnOnce(Result<&mut Core, ServiceError>) + Send>;

/// A handle on the service.
#[derive(Clone)]
pub struct Ledger {
    tasks: mpsc::Sender<Job>,
    bells: Bells,
    stopped: watch::Receiver<Option<String>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger(..)")
    }
}

impl Ledger {
    /// Runs a task on the ledger's thread; its answer comes when all it wrote is durable.
    ///
    /// # Errors
    /// When the service has stopped or is closing.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (answer, answered) = oneshot::channel();
        let task: Task = Box::new(move |core| match core {
            Ok(core) => {
                let value = task(core);
                Box::new(move |outcome| drop(answer.send(outcome.map(|()| value))))
            }
            Err(error) => Box::new(move |_| drop(answer.send(Err(error)))),
        });
        self.tasks.send(Job::Run(task)).await.map_err(|_| ServiceError::Closed)?;
        answered.await.map_err(|_| ServiceError::Closed)?
    }

    /// Runs a task that writes nothing on the ledger's thread, between two groups: it sees nothing that is not durable, and its
    /// answer waits for no group. It comes before tasks that came earlier and still wait: not for who asks whether all is done.
    ///
    /// # Errors
    /// When the service has stopped or is closing.
    pub async fn look<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(move |core| drop(answer.send(core.map(task))));
        self.tasks.send(Job::Look(look)).await.map_err(|_| ServiceError::Closed)?;
        answered.await.map_err(|_| ServiceError::Closed)?
    }

    /// Ends the service after the tasks that wait already; whoever comes later is told that it is closed.
    pub async fn close(&self) {
        // When the thread is gone already there is nothing to end.
        let _ = self.tasks.send(Job::Close).await;
    }

    /// Tasks that wait for the thread, those it works on not counted.
    pub fn waiting(&self) -> u64 {
        self.tasks.max_capacity().saturating_sub(self.tasks.capacity()) as u64
    }

    /// Rings when something of this has become durable, from now on.
    pub fn listen(&self, concerns: &[Concern]) -> Bell {
        self.bells.listen(concerns)
    }

    /// Why the service has stopped, if it has.
    pub fn stopped(&self) -> Option<String> {
        self.stopped.borrow().clone()
    }
}

/// Starts the service over opened stores.
///
/// The thread ends at [`Ledger::close`]; it then stops cleanly. The join handle says how that went.
pub fn start(core: Core) -> (Ledger, std::thread::JoinHandle<Result<(), String>>) {
    let (tasks, inbox) = mpsc::channel(QUEUE);
    let bells = Bells::default();
    let rung = bells.clone();
    let (stopped_out, stopped) = watch::channel(None);
    let run = move || {
        let mut core = core;
        serve(&mut core, inbox, &rung, &stopped_out);
        core.close()
    };
    let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(run);
    let thread = thread.expect("the system can start one more thread");
    (Ledger { tasks, bells, stopped }, thread)
}

fn serve(
    core: &mut Core,
    mut inbox: mpsc::Receiver<Job>,
    bells: &Bells,
    stopped: &watch::Sender<Option<String>>,
) {
    let mut closing = false;
    while !closing {
        let Some(first) = inbox.blocking_recv() else { return };
        let why = stopped.borrow().clone();
        let (mut group, mut looks) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Run(task) => group.push(task),
                Job::Look(look) => {
                    looks += 1;
                    look(why.clone().map_or(Ok(&mut *core), |why| Err(ServiceError::Stopped(why))));
                    debug_assert!(!core.engine().has_unwritten(), "a look has written something");
                }
                Job::Close => closing = true,
            }
            let more = !closing && group.len() + looks < MAX_GROUP;
            next = if more { inbox.try_recv().ok() } else { None };
        }
        if let Some(why) = why {
            for task in group {
                let error = ServiceError::Stopped(why.clone());
                task(Err(error.clone()))(Err(error));
            }
            continue;
        }
        let answers: Vec<Deferred> = group.into_iter().map(|task| task(Ok(core))).collect();
        let early = core.hooks().ack_early;
        let (before, after) = if early { (answers, Vec::new()) } else { (Vec::new(), answers) };
        before.into_iter().for_each(|answer| answer(Ok(())));
        match core.commit_group() {
            Ok(_) => {
                after.into_iter().for_each(|answer| answer(Ok(())));
                bells.ring(&core.take_moved());
                core.index_group();
            }
            Err(why) => {
                tracing::error!(%why, "the ledger has stopped");
                let error = ServiceError::Stopped(why.clone());
                stopped.send_replace(Some(why));
                after.into_iter().for_each(|answer| answer(Err(error.clone())));
            }
        }
    }
}
