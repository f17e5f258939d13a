//! The clients: who pays whom, how often they ask again, when they lose patience.

use super::founding::{Founded, HOUR};
use super::node::Node;
use super::random::Random;
use super::web::Web;
use weft_protocol::amount::Amount;
use weft_protocol::clearing::engine::{Payee, Route};
use weft_protocol::clearing::intent::{Hop, MAX_HOPS, Part};
use weft_protocol::entry::{Op, Payload, SignedOp};
use weft_protocol::ids::{AccountId, Hash, LedgerId, OpId};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::transfer::Hold;

/// Where a payment stands, as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing yet.
    Nothing,
    /// Acknowledged: it must end, once.
    Acknowledged,
    /// Refused: nothing may have happened.
    Refused,
}

/// A payment between networks.
#[derive(Debug)]
pub(super) struct Payment {
    /// Index of each network on the way, for each part.
    pub ways: Vec<Vec<usize>>,
    /// The hops of each part.
    hops: Vec<Vec<Hop>>,
    /// The member who pays.
    pub member: usize,
    /// How much leaves the payer.
    pub amount: i64,
    /// How much it brings the payee.
    pub brings: i64,
    /// Idempotency key.
    pub op_id: OpId,
    /// The payee's account, where the name is known.
    pub account: Option<AccountId>,
    /// What the sealed sidecar says.
    pub sidecar: Payee,
    /// Its commitment.
    pub commitment: Hash,
    /// When the claim expires.
    pub expires_ms: u64,
    /// When the payer loses patience.
    pub cancel_ms: Option<u64>,
    /// When the sidecar is handed over; never, if it got lost for good.
    pub sidecar_ms: Option<u64>,
    /// What the client knows.
    pub told: Told,
    /// How often it asks again although it was acknowledged.
    pub again: u64,
}

/// The world as a payment sees it.
#[derive(Debug)]
pub(super) struct Market<'a> {
    /// Who has an accord with whom.
    pub web: &'a Web,
    /// Account ids of each network's members.
    pub accounts: &'a [Vec<AccountId>],
    /// Largest amount.
    pub most: u64,
}

impl Payment {
    /// A payment that the seed decides, at about `now_ms`.
    pub(super) fn chosen(random: &mut Random, market: &Market<'_>, now_ms: u64) -> Self {
        let networks = market.web.networks;
        let from = random.index(networks);
        let mut to = (from + 1 + random.index(networks - 1)) % networks;
        let mut ways = Vec::new();
        if market.web.is_line {
            ways.push(if from < to { (from..=to).collect() } else { (to..=from).rev().collect() });
        } else if market.web.is_ring && random.chance(800) {
            to = (from + 1) % networks;
            ways.push(vec![from, to]);
        } else {
            let near = market.web.distances(from);
            let near: Vec<usize> =
                near.into_iter().filter(|(_, d)| (1..=MAX_HOPS).contains(d)).map(|(n, _)| n).collect();
            to = random.pick(&near);
            let parts = random.pick(&[1, 1, 2, 3, 5]);
            ways.extend((0..parts).filter_map(|_| market.web.way(random, from, to)));
            // Within six hops there is a way; that chance has missed it is no reason not to pay.
            if ways.is_empty() {
                to = *market.web.neighbours(from).first().expect("a web hangs together");
                ways.push(vec![from, to]);
            }
        }
        let accounts = &market.accounts[to];
        let known = |member: usize| (Payee::Account(accounts[member]), Some(accounts[member]));
        let (sidecar, account) = match random.below(20) {
            0 | 1 => (Payee::Unknown, None),
            2 => (Payee::Bad, None),
            3 | 4 => (Payee::Account(AccountId([0xee; 16])), None),
            5..=7 => known(Founded::MODEST),
            _ => known(random.index(2)),
        };
        let life_ms = random.between(500, 40_000);
        let sidecar_ms = match random.below(10) {
            0 => None,
            1 | 2 => Some(now_ms + random.below(life_ms * 2)),
            _ => Some(now_ms),
        };
        let member = random.index(3);
        let mut brought = vec![random.between(1, market.most) as i64];
        if ways.len() > 1 {
            let most = (market.most / ways.len() as u64).max(1);
            brought = ways.iter().map(|_| random.between(1, most) as i64).collect();
        }
        let hops: Vec<Vec<Hop>> = ways
            .iter()
            .zip(&brought)
            .map(|(way, brings)| market.web.hops(way, *brings).expect("small amounts at mild rates"))
            .collect();
        Self {
            member,
            amount: hops.iter().map(|hops| hops[0].src.minor()).sum(),
            brings: brought.iter().sum(),
            ways,
            hops,
            op_id: OpId(Hash(random.bytes()).prefix()),
            account,
            sidecar,
            commitment: Hash(random.bytes()),
            expires_ms: now_ms + life_ms,
            cancel_ms: random.chance(200).then(|| now_ms + random.below(life_ms)),
            sidecar_ms,
            told: Told::Nothing,
            again: random.below(3).saturating_sub(1),
        }
    }

    /// Index of the payer's network.
    pub(super) fn payer(&self) -> usize {
        self.ways[0][0]
    }

    /// Index of the payee's network.
    pub(super) fn payee(&self) -> usize {
        *self.ways[0].last().expect("a way has two ends")
    }

    /// What the client posts.
    pub(super) fn operation(&self, node: &Node, ledgers: &[LedgerId]) -> SignedOp {
        let member = &node.members[self.member];
        let hold = Hold {
            account: member.account,
            unit: HOUR,
            amount: Amount::new(self.amount).expect("amounts are chosen from 1 on"),
            payee_network: ledgers[self.payee()],
            when_day: None,
        };
        let op = Op {
            op_id: self.op_id,
            not_after_ms: self.expires_ms + 3_600_000,
            payload: Payload::Hold(hold),
            sidecars: vec![self.commitment],
        };
        member.sign(&node.keys, &node.ledger, &op)
    }

    /// Its way, in the terms of the accords.
    pub(super) fn route(&self, ledgers: &[LedgerId]) -> Route {
        let part = |(way, hops): (&Vec<usize>, &Vec<Hop>)| Part {
            route: way.iter().map(|index| ledgers[*index]).collect(),
            hops: hops.clone(),
        };
        Route { parts: self.ways.iter().zip(&self.hops).map(part).collect() }
    }
}

/// Whether a refusal is one that a client may be told.
pub(super) fn may_refuse(refused: &Rejected) -> bool {
    matches!(
        refused,
        Rejected::NoRoom { .. }
            | Rejected::Halted { .. }
            | Rejected::LimitFirm { .. }
            | Rejected::LimitStop { .. }
            | Rejected::Expires { .. }
            | Rejected::OpExpired { .. }
            | Rejected::NoAccord { .. }
            | Rejected::PeerFrozen { .. }
    )
}
