//! Proposals about invoices between members: asked, answered, agreed to (specs/netting.md 6.6 to 6.11).
//!
//! What must hold: a word is kept before it is answered; nobody's yes is taken without their own key where they have one; a
//! proposal moves no account, the payments that members make do.

use super::NettingRefused;
use crate::service::Core;
use crate::store::private::{MAX_PROPOSAL_BYTES, MAX_PROPOSALS};
use weft_api::{
    NettingProposal, NettingProposals, ProposalLine, ProposalMember, ProposalPart, ProposalPayment,
    ProposalRow,
};
use weft_protocol::amount::format_decimal;
use weft_protocol::encoding::{decode_canonical, encode};
use weft_protocol::entry::Payload;
use weft_protocol::ids::{AccountId, Hash, SigBytes, Signer};
use weft_protocol::keys::{PublicKey, SignatureError};
use weft_protocol::ledger::transfer::move_value;
use weft_protocol::netting::proposal::{
    Invoice, Payment, Proposal, ProposalError, Rooms, Stage, Word, verify_word,
};
use weft_protocol::time::moment;

/// Why a proposal was not made, shown or answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposalRefused {
    /// By its rules.
    #[error(transparent)]
    Rule(#[from] ProposalError),
    /// The unit.
    #[error(transparent)]
    Unit(#[from] NettingRefused),
    /// The private store.
    #[error("the private store cannot be used: {0}")]
    Store(String),
    /// Not known here.
    #[error("no proposal of that id is known here")]
    Unknown,
    /// An account that is closed, or none of a member.
    #[error("{0} is no open account of a member here")]
    NotOpen(AccountId),
    /// As many as may be kept.
    #[error("{0} proposals are kept already; the oldest is forgotten 90 days after its time is over")]
    Many(u64),
    /// A yes of somebody who signs for themselves.
    #[error("account {0} signs for itself: its yes needs the signature of its own key (`--key`)")]
    KeyNeeded(AccountId),
    /// A key that is not one of the account.
    #[error("key {signer} is none that may sign for account {account}")]
    OtherKey {
        /// Which account.
        account: AccountId,
        /// Which key.
        signer: Signer,
    },
    /// The signature is not right.
    #[error("{0}")]
    Signature(#[from] SignatureError),
}

impl From<crate::store::PrivateError> for ProposalRefused {
    fn from(error: crate::store::PrivateError) -> Self {
        Self::Store(error.to_string())
    }
}

impl Core {
    /// Proposes to members what can be paid of invoices between them.
    ///
    /// # Errors
    /// Why not.
    pub fn propose_invoices(
        &mut self,
        unit: Option<&str>,
        for_ms: u64,
        invoices: &[Invoice],
    ) -> Result<Hash, ProposalRefused> {
        let unit = self.unit_called(unit)?;
        let rooms = self.rooms(unit);
        let named = invoices.iter().flat_map(|invoice| [invoice.debtor, invoice.creditor]);
        if let Some(account) = named.into_iter().find(|account| !rooms.contains_key(account)) {
            return Err(ProposalRefused::NotOpen(account));
        }
        let now_ms = self.entry_time_ms();
        let times = (now_ms, now_ms.saturating_add(for_ms));
        let ledger = self.engine().state().ledger().map_err(NettingRefused::from)?;
        let proposal = Proposal::new(&ledger, unit, times, invoices, &rooms)?;
        // Words that are here already stay.
        if self.private().proposal(&proposal.id)?.is_none() {
            self.keep(&proposal)?;
        }
        Ok(proposal.id)
    }

    fn keep(&self, proposal: &Proposal) -> Result<(), ProposalRefused> {
        let bytes = encode(proposal);
        let now_ms = self.entry_time_ms();
        if self.private().put_proposal(&proposal.id, proposal.until_ms, &bytes, now_ms)? {
            Ok(())
        } else {
            Err(ProposalRefused::Many(MAX_PROPOSALS))
        }
    }

    /// A proposal as it stands now: when its time is over, without those who were silent.
    fn proposal(&self, id: &Hash) -> Result<(Proposal, Rooms), ProposalRefused> {
        let bytes = self.private().proposal(id)?.ok_or(ProposalRefused::Unknown)?;
        self.read_proposal(&bytes)
    }

    fn read_proposal(&self, bytes: &[u8]) -> Result<(Proposal, Rooms), ProposalRefused> {
        let mut proposal: Proposal =
            decode_canonical(bytes, MAX_PROPOSAL_BYTES).map_err(|e| ProposalRefused::Store(e.to_string()))?;
        let rooms = self.rooms(proposal.unit);
        if proposal.look(self.entry_time_ms(), &rooms) {
            self.keep(&proposal)?;
        }
        Ok((proposal, rooms))
    }

    /// Takes in what a member says to their part.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn answer_proposal(
        &mut self,
        id: &Hash,
        account: AccountId,
        agrees: bool,
        part: &Hash,
        signed: Option<(Signer, SigBytes)>,
    ) -> Result<(), ProposalRefused> {
        let (mut proposal, rooms) = self.proposal(id)?;
        let state = self.engine().state();
        let ledger = state.ledger().map_err(NettingRefused::from)?;
        let keys = state.accounts.get(&account).map(|row| row.keys.as_slice()).unwrap_or_default();
        match signed {
            Some((signer, sig)) => {
                let other = ProposalRefused::OtherKey { account, signer };
                let row = state.signers.get(&signer).filter(|row| row.active && keys.contains(&signer));
                let key = PublicKey::new(&row.ok_or(other)?.key)?;
                verify_word(&key, &ledger, part, agrees, &sig)?;
            }
            // The desk may leave anybody out; it agrees for those alone for whom it pays.
            None if agrees && !keys.is_empty() => return Err(ProposalRefused::KeyNeeded(account)),
            None => {}
        }
        proposal.say(account, agrees, part, &rooms)?;
        self.keep(&proposal)
    }

    /// Takes a proposal back.
    ///
    /// # Errors
    /// It has ended.
    pub fn withdraw_proposal(&mut self, id: &Hash) -> Result<(), ProposalRefused> {
        let (mut proposal, _) = self.proposal(id)?;
        proposal.withdraw()?;
        self.keep(&proposal)
    }

    /// Whether a payment of a proposal was made as agreed: by the desk or by a key of who pays.
    fn is_made(&self, proposal: &Proposal, payment: &Payment) -> bool {
        let own = self.engine().state().accounts.get(&payment.from).map(|row| row.keys.clone());
        let authors = own.into_iter().flatten().chain([self.keys().desk.public().signer()]);
        let seqs = authors.filter_map(|author| self.index().op(&author, &payment.op_id).ok().flatten());
        let wanted = move_value(payment.from, payment.to, proposal.unit, payment.amount);
        seqs.filter_map(|seq| self.own_entry(seq).ok()).any(|entry| match &entry.op().payload {
            Payload::Transfer(transfer) => transfer.postings == wanted,
            _ => false,
        })
    }

    fn stage_word(&self, proposal: &Proposal) -> &'static str {
        match proposal.stage {
            Stage::Asking => "asking",
            Stage::Agreed if proposal.payments().iter().all(|one| self.is_made(proposal, one)) => "booked",
            Stage::Agreed => "agreed",
            Stage::Nothing => "nothing",
            Stage::Withdrawn => "withdrawn",
        }
    }

    fn unit_shown(&self, proposal: &Proposal) -> (String, u8) {
        let unit = self.engine().state().units.get(&proposal.unit);
        unit.map_or_else(Default::default, |unit| (unit.code.clone(), unit.scale))
    }

    /// All proposals, the latest first.
    ///
    /// # Errors
    /// The private store cannot be read.
    pub fn netting_proposals(&self) -> Result<NettingProposals, ProposalRefused> {
        let kept = self.private().proposals()?;
        let row = |bytes: Vec<u8>| {
            let (proposal, _) = self.read_proposal(&bytes)?;
            let (unit, scale) = self.unit_shown(&proposal);
            let sum = |of: fn(&weft_protocol::netting::proposal::Line) -> i64| {
                format_decimal(proposal.lines.iter().map(of).sum(), scale)
            };
            Ok(ProposalRow {
                id: proposal.id.to_string(),
                until_ms: proposal.until_ms,
                stage: self.stage_word(&proposal).to_owned(),
                owed: sum(|line| line.amount),
                paid: sum(|line| line.paid),
                waits_for: if proposal.stage == Stage::Asking { proposal.waits_for().len() } else { 0 },
                unit,
            })
        };
        let proposals = kept.into_iter().map(row).collect::<Result<Vec<_>, ProposalRefused>>()?;
        Ok(NettingProposals { schema: "weft.netting-proposals/1".to_owned(), proposals })
    }

    /// A proposal, with all whom it names.
    ///
    /// # Errors
    /// It is not known.
    pub fn netting_proposal(&self, id: &Hash) -> Result<NettingProposal, ProposalRefused> {
        let (proposal, _) = self.proposal(id)?;
        let (unit, scale) = self.unit_shown(&proposal);
        let show = |minor| format_decimal(minor, scale);
        let members = proposal.accounts().into_iter().map(|account| {
            let (mut owing, mut owed) = ((0_i64, 0_i64), (0_i64, 0_i64));
            for line in proposal.lines_of(account) {
                let side = if line.debtor == account { &mut owing } else { &mut owed };
                *side = (side.0.saturating_add(line.amount), side.1.saturating_add(line.paid));
            }
            ProposalMember {
                account: account.to_string(),
                name: self.name_of(&account).map(str::to_owned),
                own_keys: self.has_own_keys(&account),
                owes: show(owing.0),
                pays: show(owing.1),
                is_owed: show(owed.0),
                is_paid: show(owed.1),
                moves: show(proposal.moves(&account)),
                word: word(&proposal, &account).to_owned(),
            }
        });
        let members = members.collect();
        let payments = proposal.payments().into_iter().map(|payment| ProposalPayment {
            from: payment.from.to_string(),
            from_name: self.name_of(&payment.from).map(str::to_owned),
            to: payment.to.to_string(),
            to_name: self.name_of(&payment.to).map(str::to_owned),
            amount: show(payment.amount.minor()),
            op_id: payment.op_id.to_string(),
            own_key: self.has_own_keys(&payment.from),
            made: self.is_made(&proposal, &payment),
        });
        Ok(NettingProposal {
            schema: "weft.netting-proposal/1".to_owned(),
            id: proposal.id.to_string(),
            until_ms: proposal.until_ms,
            stage: self.stage_word(&proposal).to_owned(),
            owed: show(proposal.lines.iter().map(|line| line.amount).sum()),
            paid: show(proposal.lines.iter().map(|line| line.paid).sum()),
            members,
            payments: payments.collect(),
            unit,
        })
    }

    fn has_own_keys(&self, account: &AccountId) -> bool {
        self.engine().state().accounts.get(account).is_some_and(|row| !row.keys.is_empty())
    }

    /// What one member sees of a proposal: their own invoices and account.
    ///
    /// # Errors
    /// It is not known, or does not name them.
    pub fn proposal_part(&self, id: &Hash, account: AccountId) -> Result<ProposalPart, ProposalRefused> {
        let (proposal, _) = self.proposal(id)?;
        let (unit, scale) = self.unit_shown(&proposal);
        let show = |minor| format_decimal(minor, scale);
        let lines: Vec<ProposalLine> = proposal
            .lines_of(account)
            .map(|line| {
                let we_owe = line.debtor == account;
                let with = if we_owe { line.creditor } else { line.debtor };
                ProposalLine {
                    with: with.to_string(),
                    name: self.name_of(&with).map(str::to_owned),
                    owes: we_owe,
                    amount: show(line.amount),
                    paid: show(line.paid),
                    left: show(line.amount.saturating_sub(line.paid)),
                }
            })
            .collect();
        if lines.is_empty() {
            return Err(ProposalError::NotNamed(account).into());
        }
        let balance = self.engine().state().balance(&account, proposal.unit);
        let moves = proposal.moves(&account);
        Ok(ProposalPart {
            schema: "weft.netting-part/1".to_owned(),
            id: proposal.id.to_string(),
            account: account.to_string(),
            name: self.name_of(&account).map(str::to_owned),
            until_ms: proposal.until_ms,
            stage: self.stage_word(&proposal).to_owned(),
            part: proposal.part(account).to_string(),
            word: word(&proposal, &account).to_owned(),
            moves: show(moves),
            balance: show(balance),
            balance_after: show(balance.saturating_add(moves)),
            lines,
            unit,
        })
    }

    /// What people should know of proposals.
    pub(super) fn proposal_news(&self) -> Vec<String> {
        let all = self.netting_proposals().map(|all| all.proposals).unwrap_or_default();
        let news = |row: ProposalRow| {
            let ProposalRow { unit, paid, owed, .. } = &row;
            let id = super::news::short(&row.id);
            let name = format!("proposal {id} about invoices between members ({paid} of {owed} {unit})");
            match row.stage.as_str() {
                "asking" => Some(format!(
                    "{name} waits for the word of {} until {}: `weft netting proposal show {id}`",
                    row.waits_for,
                    moment(row.until_ms)
                )),
                "agreed" => {
                    Some(format!("{name} is agreed to: `weft netting proposal book {id}` makes its payments"))
                }
                _ => None,
            }
        };
        all.into_iter().filter_map(news).collect()
    }
}

/// How it stands between a proposal and an account.
fn word(proposal: &Proposal, account: &AccountId) -> &'static str {
    match proposal.words.get(account) {
        Some(Word::Agreed(_)) => "agreed",
        Some(Word::Refused) => "refused",
        Some(Word::Silent) => "silent",
        None if proposal.is_asked(account) => "asked",
        None => "not-asked",
    }
}
