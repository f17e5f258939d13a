//! Statements, settlements and halts, as people ask for them (specs/clearing.md §12 to §14).

use super::core::Core;
use super::payments::{OpRefused, Prepared, Text};
use weft_api::{PeerStatement, RefusedStatement, Settlement, Stated as StatedView, StatedPosition};
use weft_protocol::amount::{Amount, format_decimal};
use weft_protocol::clearing::accord::Accord;
use weft_protocol::clearing::statement::Statement;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{Hash, LedgerId, OpId};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::settled::{SettleAct, Settled, Stage, postings_of};
use weft_protocol::ledger::settlement::Stated;
use weft_protocol::ledger::state::ChannelRow;
use weft_protocol::sidecar::Content;

impl Core {
    /// The peer with this ledger id, or that we call this.
    pub fn peer_called(&self, name: &str) -> Option<LedgerId> {
        let by_alias = || self.private().peer_by_alias(name).ok().flatten().map(|peer| peer.ledger);
        let ledger = name.parse::<LedgerId>().ok().or_else(by_alias)?;
        self.engine().state().channel_with(&ledger).map(|_| ledger)
    }

    /// How the channel with a peer stands, and what both have signed of it.
    ///
    /// # Errors
    /// No accord.
    pub fn statement_of(&self, peer: &LedgerId) -> Result<PeerStatement, Rejected> {
        let standing = self.engine().standing(peer)?;
        let state = self.engine().state();
        let (_, row) = state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let stated = |stated: Stated| {
            let (our_entries, their_entries) = stated.statement.cut_of(row.we_are_a);
            StatedView {
                stmt: stated.stmt.to_string(),
                answer: stated.answer.map(|leaf| leaf.to_string()),
                time_ms: stated.time_ms,
                our_entries,
                their_entries,
                positions: self.positions_in(row, &stated.statement),
            }
        };
        let refused = standing.refused.map(|(ours, answer)| RefusedStatement {
            ours: stated(ours),
            theirs: self.positions_in(row, &answer.theirs),
            why: answer.verdict.text().to_owned(),
        });
        Ok(PeerStatement {
            schema: "weft.peer-statement/1".to_owned(),
            ledger: peer.to_string(),
            books_agree: standing.now.positions == standing.books,
            now: self.positions_in(row, &standing.now),
            moved: standing.moved,
            agreed: standing.agreed.map(stated),
            waiting: standing.waiting.map(stated),
            refused,
        })
    }

    /// Writes a statement now; one that waits for its answer stays the only one.
    ///
    /// # Errors
    /// The rule broken; nothing changed.
    pub fn state_now(&mut self, peer: &LedgerId) -> Result<(), Rejected> {
        match self.with_engine(|engine, cx| engine.state_to(peer, cx)) {
            Ok(_) | Err(Rejected::StatementWaits { .. }) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    fn positions_in(&self, row: &ChannelRow, statement: &Statement) -> Vec<StatedPosition> {
        let (ours, theirs) = if row.we_are_a {
            (&statement.in_flight_a, &statement.in_flight_b)
        } else {
            (&statement.in_flight_b, &statement.in_flight_a)
        };
        let lines = statement.positions.iter().enumerate().map(|(pair, position)| {
            let (code, scale) = self.booked_unit(&row.accord, row.we_are_a, pair);
            let show = |minor: i64| format_decimal(minor, scale);
            let total =
                |of: &[u64]| show(i64::try_from(of.get(pair).copied().unwrap_or(0)).unwrap_or(i64::MAX));
            StatedPosition {
                unit: code,
                amount: show(if row.we_are_a { *position } else { position.wrapping_neg() }),
                on_the_way_out: total(&ours.totals),
                on_the_way_in: total(&theirs.totals),
            }
        });
        lines.collect()
    }

    /// Code and scale of the unit in which we keep the peer's account of a pair.
    fn booked_unit(&self, accord: &Accord, we_are_a: bool, pair: usize) -> (String, u8) {
        let unit = accord.pairs.get(pair).map(|terms| terms.booked_unit(we_are_a));
        let defined = unit.and_then(|unit| self.engine().state().units.get(&unit));
        defined.map_or_else(|| (String::new(), 0), |defined| (defined.code.clone(), defined.scale))
    }

    /// Proposes that so much of what is owed over a unit pair has moved outside. Gives its id.
    ///
    /// # Errors
    /// The rule broken; nothing changed.
    pub fn propose_settlement(
        &mut self,
        op_id: OpId,
        peer: &LedgerId,
        (pair, amount): (u8, Amount),
        reference: String,
    ) -> Result<Hash, OpRefused> {
        if let Some((leaf, _)) = self.settled_by(&op_id)? {
            return Ok(leaf);
        }
        let content = Content { payee: peer.to_string(), memo: Some(reference), payer: None };
        let text = Text { salt: self.clock().random(), bytes: content.to_bytes() };
        let state = self.engine().state();
        let no = || OpRefused::Rule(Rejected::NoAccord { peer: *peer });
        let (channel, row) = state.channel_with(peer).ok_or_else(no)?;
        let terms = row.accord.pairs.get(usize::from(pair)).ok_or_else(no)?;
        let we_owed = state.balance(&row.account, terms.booked_unit(row.we_are_a)) > 0;
        let act = SettleAct::Propose;
        let (settlement, answer, postings) = (None, None, None);
        let settled = Settled { act, channel, pair, amount, we_owed, settlement, answer, postings };
        self.sign_settled(op_id, settled, vec![text])
    }

    /// Accepts or refuses what a peer proposes, or takes back what we have proposed.
    ///
    /// # Errors
    /// The rule broken; nothing changed.
    pub fn act_on_settlement(&mut self, op_id: OpId, id: Hash, act: SettleAct) -> Result<(), OpRefused> {
        if self.settled_by(&op_id)?.is_some() {
            return Ok(());
        }
        let unknown = OpRefused::Rule(Rejected::SettleState { settlement: id });
        let state = self.engine().state();
        let known = state.settlements.get(&id).map(|row| (row.channel, row.pair, row.amount, row.we_owed));
        let offered = || {
            state.channels.iter().find_map(|(channel, row)| {
                let offers = self.engine().peers().offers(channel);
                let args = offers.into_iter().find(|offer| offer.id == id)?.said.args;
                Some((*channel, args.pair, args.amount, args.a_owed == row.we_are_a))
            })
        };
        let (channel, pair, amount, we_owed) = known.or_else(offered).ok_or_else(|| unknown.clone())?;
        let row = state.channels.get(&channel).ok_or(unknown)?;
        let postings = match act {
            SettleAct::Accept => Some(postings_of(row, pair, amount, we_owed).map_err(OpRefused::Rule)?),
            SettleAct::Propose
            | SettleAct::Withdraw
            | SettleAct::Refuse
            | SettleAct::Booked
            | SettleAct::Dropped => None,
        };
        let (settlement, answer) = (Some(id), None);
        let settled = Settled { act, channel, pair, amount, we_owed, settlement, answer, postings };
        self.sign_settled(op_id, settled, Vec::new()).map(|_| ())
    }

    /// Signs at the desk, as the operator who holds the node's token.
    fn sign_settled(&mut self, op_id: OpId, settled: Settled, texts: Vec<Text>) -> Result<Hash, OpRefused> {
        let signed = self.at_desk(Payload::Settled(settled), op_id, Role::Operator, &texts);
        let signed = signed.map_err(OpRefused::Rule)?;
        let answer = self.submit(Prepared { signed, texts, expires_ms: None })?;
        Ok(answer.entry.leaf())
    }

    /// What was owed has changed since: a repeated request is found by its operation alone.
    fn settled_by(&self, op_id: &OpId) -> Result<Option<(Hash, Settled)>, OpRefused> {
        let desk = self.keys().desk.public().signer();
        let found = self.index().op(&desk, op_id).map_err(|e| OpRefused::Store(e.to_string()))?;
        let Some(seq) = found else { return Ok(None) };
        let entry = self.own_entry(seq).map_err(OpRefused::Store)?;
        match &entry.op().payload {
            Payload::Settled(settled) => Ok(Some((entry.leaf(), settled.clone()))),
            _ => Err(OpRefused::Reused(*op_id)),
        }
    }

    /// All settlements: those that wait for us first, then the newest first.
    pub fn settlements(&self) -> Vec<Settlement> {
        let state = self.engine().state();
        let mut all = Vec::new();
        for (channel, row) in &state.channels {
            for offer in self.engine().peers().offers(channel) {
                if !state.settlements.contains_key(&offer.id) {
                    let said = offer.said;
                    let value = (said.args.pair, said.args.amount, said.args.a_owed == row.we_are_a);
                    let how = if offer.accepted_before { "accept-again" } else { "waits-for-us" };
                    all.push(self.shown(row, offer.id, value, (how, said.time_ms, None)));
                }
            }
        }
        let mut known = Vec::new();
        for (id, one) in &state.settlements {
            let Some(row) = state.channels.get(&one.channel) else { continue };
            let how = match one.stage {
                Stage::Signed | Stage::Proposed => "waits-for-them",
                Stage::TakenBack | Stage::Withdrawn => "being-withdrawn",
                Stage::Booked | Stage::Accepting | Stage::Accepted => "settled",
                Stage::Dropped | Stage::Refusing | Stage::Refused => "refused",
            };
            let reference = one.reference.filter(|_| one.stage.is_ours());
            let shown =
                self.shown(row, *id, (one.pair, one.amount, one.we_owed), (how, one.time_ms, reference));
            known.push(Settlement { ours: one.stage.is_ours(), ..shown });
        }
        known.sort_by(|a, b| (b.time_ms, &a.id).cmp(&(a.time_ms, &b.id)));
        all.extend(known);
        all
    }

    fn shown(
        &self,
        row: &ChannelRow,
        id: Hash,
        (pair, amount, we_owed): (u8, Amount, bool),
        (state, time_ms, reference): (&str, u64, Option<Hash>),
    ) -> Settlement {
        let (unit, scale) = self.booked_unit(&row.accord, row.we_are_a, usize::from(pair));
        let local = self.private().peer(&row.peer).ok().flatten();
        let text = reference.and_then(|commitment| self.private().sidecar(&commitment).ok().flatten());
        Settlement {
            id: id.to_string(),
            ledger: row.peer.to_string(),
            alias: local.map_or_else(|| row.peer.short(), |local| local.alias),
            unit,
            amount: format_decimal(amount.minor(), scale),
            we_owed,
            ours: false,
            state: state.to_owned(),
            time_ms,
            reference: text.and_then(|text| Content::parse(text.bytes()).ok()?.memo),
        }
    }

    /// Lets no new payments with a peer, or lets them again, or ends the accord.
    ///
    /// # Errors
    /// The rule broken; nothing changed. Asking for what is so already is no error.
    pub fn halt(&mut self, peer: &LedgerId, halt: HaltWish) -> Result<(), Rejected> {
        let done = self.with_engine(|engine, cx| match halt {
            HaltWish::Pause => engine.pause(peer, true, cx),
            HaltWish::Resume => engine.pause(peer, false, cx),
            HaltWish::End => engine.end(peer, cx),
        });
        match (done, halt) {
            (Err(Rejected::NothingToDo), _) | (Err(Rejected::AccordEnded), HaltWish::End) => Ok(()),
            (done, _) => done,
        }
    }
}

/// What people want of payments with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltWish {
    /// None for a while.
    Pause,
    /// Again.
    Resume,
    /// None any more.
    End,
}
