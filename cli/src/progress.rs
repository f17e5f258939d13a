//! Progress on stderr: after one second, on a terminal only, and gone without a trace when the work is done.

use crate::context::Context;
use std::io::Write;
use std::time::Duration;
use tokio::time::Instant;

/// How often the line is drawn, and after how long first.
const STEP: Duration = Duration::from_secs(1);
/// Back to the start of the line, and clear it.
const CLEAR: &str = "\r\u{1b}[K";

/// Awaits `work` and meanwhile says what is waited for.
pub(crate) async fn during<T>(context: &Context, what: &str, work: impl Future<Output = T>) -> T {
    if !context.can_draw || context.json() {
        return work.await;
    }
    tokio::pin!(work);
    let mut seconds = 0_u64;
    loop {
        tokio::select! {
            done = &mut work => {
                if seconds > 0 {
                    draw(CLEAR);
                }
                return done;
            }
            () = tokio::time::sleep(STEP) => {
                seconds = seconds.saturating_add(1);
                draw(&format!("{CLEAR}{what} … {seconds} s"));
            }
        }
    }
}

/// A terminal that has gone away is no reason to stop the work.
fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _gone = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// A number that grows while something is counted, drawn like [`during`] and gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Counter {
    what: &'static str,
    enabled: bool,
    drawn: bool,
    last: Instant,
}

impl Counter {
    /// Counts `what`, from now.
    pub(crate) fn new(context: &Context, what: &'static str) -> Self {
        let enabled = context.can_draw && !context.json();
        Self { what, enabled, drawn: false, last: Instant::now() }
    }

    /// The count stands at `number`.
    pub(crate) fn at(&mut self, number: u64) {
        if self.enabled && self.last.elapsed() >= STEP {
            draw(&format!("{CLEAR}{} … {number}", self.what));
            self.drawn = true;
            self.last = Instant::now();
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if self.drawn {
            draw(CLEAR);
        }
    }
}
