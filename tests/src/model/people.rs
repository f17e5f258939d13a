//! What people do in a world: disputes, statements, settlements, another log key. Each deed of a world may happen once,
//! at any moment at which the rules let it.

use super::party::Party;
use super::world::{Search, World};
use weft_protocol::amount::Amount;
use weft_protocol::clearing::dispute::{Dispute, DisputeArgs, DisputeOutcome};
use weft_protocol::clearing::engine::{Cx, Engine};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{Hash, LedgerId, OpId};
use weft_protocol::keys;
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::settled::{SettleAct, Settled, Stage, postings_of};

/// Something that people may do once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Both root sets close a hop of the first payment; `debtor` pays over it to the next network of the way.
    Dispute { debtor: usize, outcome: DisputeOutcome },
    /// A statement at once.
    State { by: usize, to: usize },
    /// All that is owed, or this much of it, has moved outside.
    Propose { by: usize, to: usize, amount: i64 },
    /// The first proposal of a neighbour is answered.
    Answer { by: usize, to: usize, accept: bool },
    /// Our proposal is taken back.
    Withdraw { by: usize, to: usize },
}

impl Deed {
    /// At whose node it is done.
    pub(super) fn at(self) -> usize {
        match self {
            Self::Dispute { debtor, .. } => debtor + 1,
            Self::State { by, .. }
            | Self::Propose { by, .. }
            | Self::Answer { by, .. }
            | Self::Withdraw { by, .. } => by,
        }
    }
}

/// Long after everything has expired.
const NOT_AFTER_MS: u64 = super::world::LATE_MS + 1_000_000;

impl Search {
    /// Does it, when the rules let it; the commit may be cut short.
    pub(super) fn deed(&self, world: &mut World, number: usize, crash: Option<u8>) -> Option<()> {
        let deed = self.scenario.deeds()[number];
        world.done |= 1 << number;
        let signed = match deed {
            Deed::Dispute { debtor, outcome } => Some(self.dispute(world, debtor, outcome)?),
            _ => None,
        };
        let done = world.commit(deed.at(), crash, |party, now_ms| {
            let peer = self.peer_of(deed);
            let Party { home, .. } = &*party;
            let home = std::sync::Arc::clone(home);
            party.input(now_ms, |engine, _, cx| match deed {
                Deed::Dispute { .. } => engine.dispute(signed.clone().expect("signed above"), cx),
                Deed::State { .. } => engine.state_to(&peer, cx).map(|_| ()),
                Deed::Propose { amount, .. } => {
                    let settled = proposed(engine, &peer, amount)?;
                    submit(engine, &home, settled, number, cx)
                }
                Deed::Answer { accept, .. } => {
                    let settled = answered(engine, &peer, accept)?;
                    submit(engine, &home, settled, number, cx)
                }
                Deed::Withdraw { .. } => {
                    let settled = withdrawn(engine, &peer)?;
                    submit(engine, &home, settled, number, cx)
                }
            })
        })?;
        done.ok()
    }

    fn peer_of(&self, deed: Deed) -> LedgerId {
        self.ledgers[match deed {
            Deed::Dispute { debtor, .. } => debtor,
            Deed::State { to, .. }
            | Deed::Propose { to, .. }
            | Deed::Answer { to, .. }
            | Deed::Withdraw { to, .. } => to,
        }]
    }

    /// What both root sets sign about a hop of the first payment.
    fn dispute(&self, world: &World, debtor: usize, outcome: DisputeOutcome) -> Option<DisputeArgs> {
        let creditor = world.party(debtor + 1)?;
        let (claim, _) = self.claims[0];
        let dispute = creditor.engine.dispute_of(claim, 0, &self.ledgers[debtor], outcome).ok()?;
        let bytes = Dispute::to_bytes(&dispute);
        let sign = |party: &Party| party.home.keys.root_sigs(keys::DISPUTE, &bytes);
        Some(DisputeArgs {
            sigs_debtor: sign(world.party(debtor)?),
            sigs_creditor: sign(creditor),
            dispute: Blob(bytes),
        })
    }
}

fn proposed(engine: &Engine, peer: &LedgerId, amount: i64) -> Result<Settled, Rejected> {
    let (channel, row) = engine.state().channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
    let owed = engine.state().balance(&row.account, super::world::UNIT);
    let act = SettleAct::Propose;
    let amount = Amount::new(amount).expect("amounts are chosen from 1 on");
    let (settlement, answer, postings) = (None, None, None);
    Ok(Settled { act, channel, pair: 0, amount, we_owed: owed > 0, settlement, answer, postings })
}

fn answered(engine: &Engine, peer: &LedgerId, accept: bool) -> Result<Settled, Rejected> {
    let (channel, row) = engine.state().channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
    let offers = engine.peers().offers(&channel);
    let (id, offer) = offers.first().ok_or(Rejected::NothingToDo)?;
    let (pair, amount, we_owed) = (offer.args.pair, offer.args.amount, offer.args.a_owed == row.we_are_a);
    let postings = if accept { Some(postings_of(row, pair, amount, we_owed)?) } else { None };
    let act = if accept { SettleAct::Accept } else { SettleAct::Refuse };
    let (settlement, answer) = (Some(*id), None);
    Ok(Settled { act, channel, pair, amount, we_owed, settlement, answer, postings })
}

fn withdrawn(engine: &Engine, peer: &LedgerId) -> Result<Settled, Rejected> {
    let (channel, _) = engine.state().channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
    let ours = engine.state().settlements.iter();
    let mut ours = ours.filter(|(_, row)| row.channel == channel && row.stage == Stage::Proposed);
    let (id, row) = ours.next().ok_or(Rejected::NothingToDo)?;
    let (settlement, answer, postings) = (Some(*id), None, None);
    let (pair, amount, we_owed) = (row.pair, row.amount, row.we_owed);
    let act = SettleAct::Withdraw;
    Ok(Settled { act, channel, pair, amount, we_owed, settlement, answer, postings })
}

fn submit(
    engine: &mut Engine,
    home: &super::party::Home,
    settled: Settled,
    number: usize,
    cx: &mut Cx<'_>,
) -> Result<(), Rejected> {
    let sidecars = if settled.act == SettleAct::Propose { vec![Hash([5; 32])] } else { Vec::new() };
    let op_id = OpId([0x40 + number as u8; 16]);
    let op = Op { op_id, not_after_ms: NOT_AFTER_MS, payload: Payload::Settled(settled), sidecars };
    let signed = SignedOp::unsigned(&op).signed(&home.ledger, &home.keys.desk, Role::Treasurer, How::Custody);
    engine.submit(&signed, cx).map(|_| ())
}
