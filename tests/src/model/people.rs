//! What people do in a world: disputes, statements, settlements, another log key. Each deed of a world may happen once,
//! at any moment at which the rules let it.

use super::party::Party;
use super::shape;
use super::world::{Search, World, neighbours};
use weft_protocol::amount::Amount;
use weft_protocol::clearing::dispute::{Dispute, DisputeArgs, DisputeOutcome};
use weft_protocol::clearing::engine::{Cx, Engine};
use weft_protocol::clearing::reset::ResetArgs;
use weft_protocol::clearing::resetting::SideError;
use weft_protocol::clearing::weak;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{Hash, LedgerId, OpId};
use weft_protocol::keys;
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::identity::{Purpose, propose};
use weft_protocol::ledger::reset::{NOTICE_MS, NoticeAct};
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
    /// The channel with a neighbour is to be reset.
    Notice { by: usize, to: usize },
    /// Our side of it is closed.
    Close { by: usize, to: usize },
    /// Both root sets begin it anew: by what both sides know, or by a document that frees every hop. It is handed in at one of
    /// both nodes.
    Reset { at: usize, with: usize, free: bool },
    /// The root set binds the next log key.
    Rotate { by: usize },
    /// The root set writes off a neighbour that has not been heard for so long.
    WriteOff { by: usize, lost: usize },
}

impl Deed {
    /// At whose node it is done.
    pub(super) fn at(self) -> usize {
        match self {
            Self::Dispute { debtor, .. } => debtor + 1,
            Self::Reset { at, .. } => at,
            Self::State { by, .. }
            | Self::Propose { by, .. }
            | Self::Answer { by, .. }
            | Self::Notice { by, .. }
            | Self::Close { by, .. }
            | Self::Withdraw { by, .. }
            | Self::Rotate { by }
            | Self::WriteOff { by, .. } => by,
        }
    }
}

/// How long what somebody signs can be handed in.
const LIFE_MS: u64 = 86_400_000;
/// A notice is given for so much later than it has to be.
const HOUR_MS: u64 = 3_600_000;
/// Long after everything has expired.
const NOT_AFTER_MS: u64 = super::world::LATE_MS + 2 * weft_protocol::ledger::writeoff::LOST_AFTER_MS;

impl Search {
    /// Does it, when the rules let it; the commit may be cut short.
    pub(super) fn deed(&self, world: &mut World, number: usize, crash: Option<u8>) -> Option<()> {
        let deed = self.scenario.deeds()[number];
        world.done |= 1 << number;
        self.do_deed(world, deed, crash)
    }

    fn do_deed(&self, world: &mut World, deed: Deed, crash: Option<u8>) -> Option<()> {
        let reset = match deed {
            Deed::Reset { at, with, free } => Some(self.reset(world, at, with, free)?),
            _ => None,
        };
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
                    submit(engine, &home, Payload::Settled(settled), cx)
                }
                Deed::Answer { accept, .. } => {
                    let settled = answered(engine, &peer, accept)?;
                    submit(engine, &home, Payload::Settled(settled), cx)
                }
                Deed::Withdraw { .. } => {
                    let settled = withdrawn(engine, &peer)?;
                    submit(engine, &home, Payload::Settled(settled), cx)
                }
                Deed::Notice { .. } => {
                    let not_before = Some(now_ms + NOTICE_MS + HOUR_MS);
                    let notice = engine.reset_notice(&peer, NoticeAct::Given, not_before)?;
                    submit(engine, &home, Payload::ResetNotice(notice), cx)
                }
                Deed::Close { .. } => {
                    let notice = engine.reset_notice(&peer, NoticeAct::Closed, None)?;
                    submit(engine, &home, Payload::ResetNotice(notice), cx)
                }
                Deed::Reset { .. } => engine.reset(reset.clone().expect("signed above"), cx),
                Deed::Rotate { .. } => {
                    let key = home.keys.next_log().public().bytes();
                    let payload = propose::bind(engine.state().identity()?, Purpose::Log, key)?;
                    by_roots(engine, &home, payload, cx)
                }
                Deed::WriteOff { .. } => {
                    let off = engine.write_off_of(&peer, 0)?;
                    by_roots(engine, &home, Payload::WriteOff(off), cx)
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
            | Deed::Notice { to, .. }
            | Deed::Close { to, .. }
            | Deed::Reset { with: to, .. }
            | Deed::Withdraw { to, .. }
            | Deed::Rotate { by: to }
            | Deed::WriteOff { lost: to, .. } => to,
        }]
    }

    /// What both root sets sign about a channel that both have closed; where the two differ, the first network's books count.
    fn reset(&self, world: &World, at: usize, with: usize, free: bool) -> Option<ResetArgs> {
        let (one, other) = (world.party(at)?, world.party(with)?);
        let side = |of: &Party, with: usize| of.engine.reset_side(&self.ledgers[with]).ok();
        let (ours, theirs) = (side(one, with)?, side(other, at)?);
        let mut reset = match ours.with(&theirs, None, &[]) {
            Err(SideError::Differ { ours: agreed, .. }) => ours.with(&theirs, Some(&agreed), &[]).ok()?,

            made => made.ok()?,
        };
        if free {
            (reset.bound, reset.positions) = (Vec::new(), ours.positions);
        }
        let bytes = reset.to_bytes();
        let sign = |party: &Party| party.home.keys.root_sigs(keys::RESET, &bytes);
        let (a, b) = if one.home.ledger == reset.a { (one, other) } else { (other, one) };
        Some(ResetArgs { sigs_a: sign(a), sigs_b: sign(b), reset: Blob(bytes) })
    }

    /// People end what they have begun: where a notice stands, both give one, wait, close, and sign. `None` when there is
    /// nothing to end.
    ///
    /// # Errors
    /// What the rules refuse them.
    pub(super) fn people_finish(&self, world: &World) -> Result<Option<World>, String> {
        let begun = |one: usize, other: usize| {
            let party = world.party(one)?;
            party.engine.state().notice(&self.ledgers[other]).map(|notice| (one, other, notice.closed))
        };
        let Some((at, with, _)) = neighbours(world.seats.len()).into_iter().find_map(|(l, r)| begun(l, r))
        else {
            return Ok(None);
        };
        let mut world = world.clone();
        let mut tried = Vec::new();
        for (by, to) in [(at, with), (with, at)] {
            tried.push((Deed::Notice { by, to }, 0));
        }
        for (by, to) in [(at, with), (with, at)] {
            tried.push((Deed::Close { by, to }, 1));
        }
        tried.push((Deed::Reset { at, with, free: false }, 0));
        let before = world.waits;
        weak::set(self.weak);
        for (deed, wait) in tried {
            world.waits = world.waits.max(before + wait);
            // What has been done before is refused, and the next deed follows.
            let mut after = world.clone();
            if self.do_deed(&mut after, deed, None).is_some() {
                world = after;
            }
        }
        weak::set(None);
        world.shape = shape::of(self, &world);
        Ok(Some(world))
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
    let offer = offers.first().ok_or(Rejected::NothingToDo)?;
    let args = offer.said.args;
    let (pair, amount, we_owed) = (args.pair, args.amount, args.a_owed == row.we_are_a);
    let postings = if accept { Some(postings_of(row, pair, amount, we_owed)?) } else { None };
    let act = if accept { SettleAct::Accept } else { SettleAct::Refuse };
    let (settlement, answer) = (Some(offer.id), None);
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

fn by_roots(
    engine: &mut Engine,
    home: &super::party::Home,
    payload: Payload,
    cx: &mut Cx<'_>,
) -> Result<(), Rejected> {
    let op_id = deed_id(engine, &payload);
    let op = Op { op_id, not_after_ms: NOT_AFTER_MS, payload, sidecars: Vec::new() };
    engine.submit(&home.keys.by_roots(&home.ledger, &op), cx).map(|_| ())
}

/// Something that somebody with an office does.
fn submit(
    engine: &mut Engine,
    home: &super::party::Home,
    payload: Payload,
    cx: &mut Cx<'_>,
) -> Result<(), Rejected> {
    let proposes = matches!(&payload, Payload::Settled(settled) if settled.act == SettleAct::Propose);
    let sidecars = if proposes { vec![Hash([5; 32])] } else { Vec::new() };
    let op_id = deed_id(engine, &payload);
    let not_after_ms = cx.now_ms.max(engine.state().head.time_ms) + LIFE_MS;
    let op = Op { op_id, not_after_ms, payload, sidecars };
    let signed = SignedOp::unsigned(&op).signed(&home.ledger, &home.keys.desk, Role::Operator, How::Custody);

    engine.submit(&signed, cx).map(|_| ())
}

/// The same at the same place is the same.
fn deed_id(engine: &Engine, payload: &Payload) -> OpId {
    let place = engine.state().head.next_seq.to_be_bytes();
    OpId(Hash::of("", &[b"deed", &place, format!("{payload:?}").as_bytes()]).prefix())
}
