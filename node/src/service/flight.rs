//! What is in flight: since when, and what it waits for, for people.

use super::core::Core;
use crate::store::index::Page;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::Payload;
use weft_protocol::ids::{ClaimId, StreamId};
use weft_protocol::ledger::state::OutHop;

/// Entries of a channel that are looked at, newest first: claims that are open longer are rare, and said to be so.
const MAX_LOOKED_AT: usize = 4_096;
/// Entries read at a time.
const PAGE: usize = 256;

/// A PROPOSE of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposed {
    /// When it was written.
    pub time_ms: u64,
    /// Its place in the channel's stream.
    pub sseq: u64,
}

impl Core {
    /// When we have proposed these claims on a channel.
    pub fn proposed(&self, channel: &StreamId, wanted: &BTreeSet<ClaimId>) -> BTreeMap<ClaimId, Proposed> {
        let mut found = BTreeMap::new();
        let mut page = Page::newest(PAGE);
        for _ in 0..MAX_LOOKED_AT / PAGE {
            let rows = self.index().stream_entries(channel, page).unwrap_or_default();
            let Some((last, _)) = rows.last().copied() else { break };
            for (sseq, seq) in rows {
                let Ok(entry) = self.own_entry(seq) else { continue };
                if let Payload::Step(step) = &entry.op().payload
                    && let (Some(claim), StepArgs::Propose(_)) = (step.claim, &step.args)
                    && wanted.contains(&claim)
                {
                    found.insert(claim, Proposed { time_ms: entry.body().time_ms, sseq });
                }
            }
            if found.len() == wanted.len() {
                break;
            }
            page = page.after(last);
        }
        found
    }

    /// Why an open claim of ours is not final, in a sentence.
    pub fn waits_for(&self, out: &OutHop, proposed: Option<Proposed>, connected: bool) -> String {
        let Some(channel) = self.engine().state().channels.get(&out.channel) else { return String::new() };
        let (next, decider) = (self.name_of_network(&channel.peer), self.name_of_network(&out.decider));
        let acked = self.engine().peers().stream(&out.channel).map_or(0, |stream| stream.acked);
        let taken = proposed.is_none_or(|proposed| acked > proposed.sseq);
        if self.engine().state().written_off.contains_key(&out.channel) {
            return format!(
                "{next} is written off: who paid has the value again, and the rest is the network's"
            );
        }
        match (taken, connected) {
            (false, false) => format!("{next} is not connected; it is told when it is back"),
            (false, true) => format!("{next} has not taken it in yet"),
            (true, false) if channel.peer == out.decider => {
                format!("{next} has it, has not answered, and is not connected")
            }
            (true, _) if channel.peer == out.decider => format!("{next} has it and has not answered"),
            (true, false) => format!("{next} has it and is not connected; {decider} is asked directly"),
            (true, true) => format!("{decider} has not decided, or its answer is on its way"),
        }
    }
}
