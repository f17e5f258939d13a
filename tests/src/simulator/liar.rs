//! Placeholder while honest networks are tried.

use super::founding::Founded;
use super::random::Random;
use super::wire::Message;
use std::collections::BTreeMap;
use weft_protocol::ids::{LedgerId, StreamId};

/// A network that lies.
#[derive(Debug)]
pub struct Liar {
    pub ledger: LedgerId,
}

impl Liar {
    pub(super) fn new(founded: Founded, _random: Random, _links: BTreeMap<usize, (LedgerId, StreamId)>) -> Self {
        Self { ledger: founded.ledger }
    }
    pub(super) fn hear(&mut self, _from: usize, _message: &Message, _now_ms: u64) -> Vec<(usize, Message)> {
        Vec::new()
    }
    pub(super) fn wake(&mut self, _now_ms: u64) -> Vec<(usize, Message)> {
        Vec::new()
    }
}
