//! One method for each endpoint: its path, its types, and nothing else.

use crate::{Client, Error, Request, escape};
use serde::de::DeserializeOwned;
use std::time::Duration;
use weft_api::{
    Bans, Claim, Claims, Confirm, ConfirmTime, DisputeDraft, Done, Erased, Evidence, EvidenceList, Forwarded,
    Halt, ImportPayments, Imported, Invitation, Join, Member, Members, NettingAccounts, NettingPreview,
    NettingProposal, NettingProposals, NettingRound, NettingRounds, NettingRule, Network, Networks, NewBan,
    NewErasure, NewEvidence, NewInvitation, NewMember, NewPayment, NewPeerBan, NewProposal, NewReset,
    NewRound, NewSettlement, NextKey, NodeTime, Pairing, Pairings, PeerStatement, Peers, Ping, PostOp,
    ProposalPart, ProposalWord, Receipt, ResetDraft, ResetState, RoundWish, Settlement, SettlementAnswer,
    Settlements, SignedDispute, SignedReset, Statement, Status, Ways, WriteOffDraft,
};

/// How long the node may take to rewrite its private store.
const ERASE_TIME: Duration = Duration::from_secs(300);
const API: &str = "/api/v1";
/// How long an import may take: its largest file, checked line by line and synced in groups on a slow disk.
const IMPORT_TIME: Duration = Duration::from_secs(900);
/// How long the node may take to reach another one: several addresses, each with its own time-out.
const DIAL_TIME: Duration = Duration::from_secs(90);

/// Every method fails as [`Error`] says.
#[expect(clippy::missing_errors_doc, reason = "said once for all of them")]
impl Client {
    /// Whether the node's loop runs.
    pub async fn livez(&self) -> Result<(), Error> {
        self.get_text("/livez").await.map(drop)
    }

    /// Whether the node can take payments; its own words either way.
    pub async fn readyz(&self) -> Result<String, Error> {
        self.get_text("/readyz").await
    }

    /// The node at a glance.
    pub async fn status(&self) -> Result<Status, Error> {
        self.get(&format!("{API}/status")).await
    }

    /// The node's next key of a purpose.
    pub async fn next_key(&self, purpose: &str) -> Result<NextKey, Error> {
        self.post(&format!("{API}/keys/{}/next", escape(purpose)), &(), None).await
    }

    /// What the node's clock says, and whether it is believed.
    pub async fn time(&self) -> Result<NodeTime, Error> {
        self.get(&format!("{API}/time")).await
    }

    /// Says that the node's clock was compared and is right.
    pub async fn confirm_time(&self, seen: &ConfirmTime) -> Result<NodeTime, Error> {
        self.post(&format!("{API}/time"), seen, None).await
    }

    /// The description of the API.
    pub async fn openapi(&self) -> Result<String, Error> {
        self.get_text(&format!("{API}/openapi.json")).await
    }

    /// Posts a signed operation; `op_id` is the one inside it.
    pub async fn post_op(&self, op: &PostOp, op_id: &str) -> Result<Done, Error> {
        self.post_waiting(&format!("{API}/ops"), op, Some(op_id), op.wait_s).await
    }

    /// Members, all or those with this name.
    pub async fn members(&self, name: Option<&str>) -> Result<Members, Error> {
        let query = name.map_or_else(String::new, |name| format!("?name={}", escape(name)));
        self.get(&format!("{API}/members{query}")).await
    }

    /// Opens an account.
    pub async fn add_member(&self, member: &NewMember, op_id: &str) -> Result<Member, Error> {
        self.post(&format!("{API}/members"), member, Some(op_id)).await
    }

    /// Destroys everything personal about a holder. `who` is a name or an account id.
    pub async fn erase(&self, who: &str, erasure: &NewErasure, op_id: &str) -> Result<Erased, Error> {
        let path = format!("{API}/accounts/{}/erasure", escape(who));
        self.send(Request::post(&path, erasure, Some(op_id))?.waiting(ERASE_TIME)).await?.json()
    }

    /// Signs the books as they stand.
    pub async fn forward(&self, op_id: &str) -> Result<Forwarded, Error> {
        self.post(&format!("{API}/forwards"), &(), Some(op_id)).await
    }

    /// A page of an account's lines, newest first, older than `before`. `who` is a name or an account id.
    pub async fn statement(
        &self,
        who: &str,
        before: Option<u64>,
        limit: Option<u32>,
    ) -> Result<Statement, Error> {
        let before = before.map(|seq| format!("before={seq}"));
        let limit = limit.map(|lines| format!("limit={lines}"));
        let query: Vec<String> = before.into_iter().chain(limit).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        self.get(&format!("{API}/accounts/{}/statement{query}", escape(who))).await
    }

    /// Pays through the desk.
    pub async fn pay(&self, payment: &NewPayment, op_id: &str) -> Result<Done, Error> {
        self.post_waiting(&format!("{API}/payments"), payment, Some(op_id), payment.wait_s).await
    }

    /// The receipt of an entry, by its place or its op id.
    pub async fn receipt(&self, seq_or_op_id: &str) -> Result<Receipt, Error> {
        self.get(&format!("{API}/receipts/{}", escape(seq_or_op_id))).await
    }

    /// Claims that are not closed, or all that are remembered.
    pub async fn claims(&self, all: bool) -> Result<Claims, Error> {
        self.get(&format!("{API}/claims{}", if all { "?all=true" } else { "" })).await
    }

    /// A claim; the node may wait this long for its end before it answers.
    pub async fn claim(&self, claim: &str, wait_s: u64) -> Result<Claim, Error> {
        let path = format!("{API}/claims/{}?wait_s={wait_s}", escape(claim));
        self.send(Request::get(&path).waiting(Duration::from_secs(wait_s))).await?.json()
    }

    /// Asks for a payment to another network back, if its decider has not accepted it.
    pub async fn cancel(&self, claim: &str) -> Result<Claim, Error> {
        self.post(&format!("{API}/claims/{}/cancel", escape(claim)), &serde_json::json!({}), None).await
    }

    /// All peers.
    pub async fn peers(&self) -> Result<Peers, Error> {
        self.get(&format!("{API}/peers")).await
    }

    /// Every other network that the node knows of.
    pub async fn networks(&self) -> Result<Networks, Error> {
        self.get(&format!("{API}/networks")).await
    }

    /// One network, by name or ledger.
    pub async fn network(&self, name: &str) -> Result<Network, Error> {
        self.get(&format!("{API}/networks/{}", escape(name))).await
    }

    /// The ways that a payment to a network could take.
    pub async fn ways(&self, name: &str, amount: Option<&str>, unit: Option<&str>) -> Result<Ways, Error> {
        let amount = amount.map(|amount| format!("amount={}", escape(amount)));
        let unit = unit.map(|unit| format!("unit={}", escape(unit)));
        let query: Vec<String> = amount.into_iter().chain(unit).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        self.get(&format!("{API}/networks/{}/ways{query}", escape(name))).await
    }

    /// Asks a network whether it is there.
    pub async fn ping(&self, name: &str) -> Result<Ping, Error> {
        let request =
            Request::post(&format!("{API}/networks/{}/ping", escape(name)), &serde_json::json!({}), None)?;
        self.send(request.waiting(DIAL_TIME)).await?.json()
    }

    /// Shuts a network out.
    pub async fn ban(&self, name: &str, reason: &str) -> Result<Network, Error> {
        let ban = NewBan { reason: reason.to_owned() };
        self.post(&format!("{API}/networks/{}/ban", escape(name)), &ban, None).await
    }

    /// Lets a network in again.
    pub async fn unban(&self, name: &str) -> Result<Network, Error> {
        self.post(&format!("{API}/networks/{}/unban", escape(name)), &serde_json::json!({}), None).await
    }

    /// Everybody who is shut out.
    pub async fn bans(&self) -> Result<Bans, Error> {
        self.get(&format!("{API}/bans")).await
    }

    /// Denies every connection of a libp2p identity.
    pub async fn ban_peer(&self, peer_id: &str, reason: &str) -> Result<Bans, Error> {
        let ban = NewPeerBan { peer_id: peer_id.to_owned(), reason: reason.to_owned() };
        self.post(&format!("{API}/bans"), &ban, None).await
    }

    /// Lets a libp2p identity connect again.
    pub async fn lift_ban(&self, peer_id: &str) -> Result<Bans, Error> {
        self.post(&format!("{API}/bans/{}/lift", escape(peer_id)), &serde_json::json!({}), None).await
    }

    /// Evidence that the network has recorded.
    pub async fn evidence(&self) -> Result<EvidenceList, Error> {
        self.get(&format!("{API}/peers/evidence")).await
    }

    /// Hands in evidence: the text of a `.weft-evidence` file.
    pub async fn add_evidence(&self, new: &NewEvidence) -> Result<Evidence, Error> {
        self.post(&format!("{API}/peers/evidence"), new, None).await
    }

    /// How the channel with a peer stands.
    pub async fn peer_statement(&self, peer: &str) -> Result<PeerStatement, Error> {
        self.get(&format!("{API}/peers/{}/statement", escape(peer))).await
    }

    /// Writes a statement to a peer now.
    pub async fn state_now(&self, peer: &str) -> Result<PeerStatement, Error> {
        self.post(&format!("{API}/peers/{}/statement", escape(peer)), &(), None).await
    }

    /// All settlements.
    pub async fn settlements(&self) -> Result<Settlements, Error> {
        self.get(&format!("{API}/settlements")).await
    }

    /// Proposes a settlement.
    pub async fn settle(&self, peer: &str, new: &NewSettlement, op_id: &str) -> Result<Settlement, Error> {
        self.post(&format!("{API}/peers/{}/settlements", escape(peer)), new, Some(op_id)).await
    }

    /// Accepts, refuses or takes back a settlement.
    pub async fn answer_settlement(
        &self,
        id: &str,
        answer: &SettlementAnswer,
        op_id: &str,
    ) -> Result<Settlement, Error> {
        self.post(&format!("{API}/settlements/{}", escape(id)), answer, Some(op_id)).await
    }

    /// What both root sets would sign about a hop of a claim.
    pub async fn draft_dispute(
        &self,
        claim: &str,
        outcome: &str,
        part: u8,
        peer: Option<&str>,
    ) -> Result<DisputeDraft, Error> {
        let peer = peer.map_or_else(String::new, |peer| format!("&peer={}", escape(peer)));
        let path =
            format!("{API}/claims/{}/dispute?outcome={}&part={part}{peer}", escape(claim), escape(outcome));
        self.get(&path).await
    }

    /// Hands a dispute in that both root sets have signed.
    pub async fn dispute(&self, signed: &SignedDispute) -> Result<Claim, Error> {
        self.post(&format!("{API}/disputes"), signed, None).await
    }

    /// What writing a peer off would say.
    pub async fn draft_write_off(&self, peer: &str) -> Result<WriteOffDraft, Error> {
        self.get(&format!("{API}/peers/{}/write-off", escape(peer))).await
    }

    /// How the channel with a peer stands towards a reset.
    pub async fn reset_state(&self, peer: &str) -> Result<ResetState, Error> {
        self.get(&format!("{API}/peers/{}/reset", escape(peer))).await
    }

    /// What both root sets would sign to begin the channel with a peer anew.
    pub async fn draft_reset(&self, peer: &str, new: &NewReset) -> Result<ResetDraft, Error> {
        self.post(&format!("{API}/peers/{}/reset/draft", escape(peer)), new, None).await
    }

    /// Hands a reset in that both root sets have signed.
    pub async fn reset(&self, signed: &SignedReset) -> Result<ResetState, Error> {
        self.post(&format!("{API}/resets"), signed, None).await
    }

    /// Pauses payments with a peer, lets them go on, or ends the accord.
    pub async fn halt(&self, peer: &str, halt: &Halt) -> Result<Peers, Error> {
        self.post(&format!("{API}/peers/{}/halt", escape(peer)), halt, None).await
    }

    /// What could be cleared now.
    pub async fn netting_preview(&self, unit: Option<&str>) -> Result<NettingPreview, Error> {
        let unit = unit.map_or_else(String::new, |unit| format!("?unit={}", escape(unit)));
        self.get(&format!("{API}/netting/preview{unit}")).await
    }

    /// How far accounts may move.
    pub async fn netting_accounts(&self, unit: Option<&str>) -> Result<NettingAccounts, Error> {
        let unit = unit.map_or_else(String::new, |unit| format!("?unit={}", escape(unit)));
        self.get(&format!("{API}/netting/accounts{unit}")).await
    }

    /// Netting rounds.
    pub async fn netting_rounds(&self) -> Result<NettingRounds, Error> {
        self.get(&format!("{API}/netting")).await
    }

    /// Sets what is done in every netting round.
    pub async fn set_netting_rule(&self, rule: &NettingRule) -> Result<NettingRounds, Error> {
        self.post(&format!("{API}/netting/rule"), rule, None).await
    }

    /// Announces a netting round.
    pub async fn announce_round(&self, new: &NewRound) -> Result<NettingRound, Error> {
        self.post(&format!("{API}/netting/rounds"), new, None).await
    }

    /// Says what is wanted in one netting round.
    pub async fn act_on_round(&self, round: &str, wish: &RoundWish) -> Result<NettingRound, Error> {
        self.post(&format!("{API}/netting/rounds/{}", escape(round)), wish, None).await
    }

    /// Proposes to members what can be paid of their invoices.
    pub async fn propose_invoices(&self, new: &NewProposal) -> Result<NettingProposal, Error> {
        self.post(&format!("{API}/netting/proposals"), new, None).await
    }

    /// Proposals about invoices.
    pub async fn netting_proposals(&self) -> Result<NettingProposals, Error> {
        self.get(&format!("{API}/netting/proposals")).await
    }

    /// A proposal about invoices.
    pub async fn netting_proposal(&self, id: &str) -> Result<NettingProposal, Error> {
        self.get(&format!("{API}/netting/proposals/{}", escape(id))).await
    }

    /// What one member sees of a proposal.
    pub async fn proposal_part(&self, id: &str, account: &str) -> Result<ProposalPart, Error> {
        self.get(&format!("{API}/netting/proposals/{}/part?account={}", escape(id), escape(account))).await
    }

    /// What a member says to their part of a proposal.
    pub async fn answer_proposal(&self, id: &str, word: &ProposalWord) -> Result<ProposalPart, Error> {
        self.post(&format!("{API}/netting/proposals/{}/words", escape(id)), word, None).await
    }

    /// Takes a proposal back.
    pub async fn withdraw_proposal(&self, id: &str) -> Result<NettingProposal, Error> {
        self.post(&format!("{API}/netting/proposals/{}/withdraw", escape(id)), &(), None).await
    }

    /// Makes an invitation.
    pub async fn invite(&self, invitation: &NewInvitation) -> Result<Invitation, Error> {
        self.post(&format!("{API}/peers/invitations"), invitation, None).await
    }

    /// Answers an invitation.
    pub async fn join(&self, join: &Join) -> Result<Pairing, Error> {
        let request = Request::post(&format!("{API}/peers/join"), join, None)?;
        self.send(request.waiting(DIAL_TIME)).await?.json()
    }

    /// Pairings that are not done.
    pub async fn pairings(&self) -> Result<Pairings, Error> {
        self.get(&format!("{API}/peers/pairings")).await
    }

    /// Confirms a pairing with the words compared and the root set's signatures.
    pub async fn confirm(&self, id: &str, confirm: &Confirm) -> Result<Pairing, Error> {
        self.post(&format!("{API}/peers/pairings/{}/confirm", escape(id)), confirm, None).await
    }

    /// Imports payments from a CSV.
    pub async fn import_payments(&self, import: &ImportPayments) -> Result<Imported, Error> {
        // The file names its own op ids, so a second post writes nothing twice; it needs no key.
        let request = Request::post(&format!("{API}/import/payments"), import, None)?;
        self.send(request.waiting(IMPORT_TIME)).await?.json()
    }

    async fn post_waiting<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl serde::Serialize + Sync),
        key: Option<&str>,
        wait_s: Option<u64>,
    ) -> Result<T, Error> {
        let request = Request::post(path, body, key)?;
        self.send(request.waiting(Duration::from_secs(wait_s.unwrap_or(0)))).await?.json()
    }
}
