//! Disputes and write-offs, as people ask for them: what root sets would sign, and what they have signed (specs/clearing.md
//! §15, §16).

use super::core::Core;
use std::collections::BTreeMap;
use weft_api::{DisputeDraft, RootSignature, Roots, WriteOffDraft, WriteOffLine};
use weft_protocol::amount::format_decimal;
use weft_protocol::clearing::dispute::{Dispute, DisputeArgs, DisputeOutcome};
use weft_protocol::clearing::step::RootSig;
use weft_protocol::encoding::Blob;
use weft_protocol::ids::{AccountId, ClaimId, LedgerId};
use weft_protocol::ledger::identity::{Identity, RootSet};
use weft_protocol::ledger::transfer::Posting;
use weft_protocol::ledger::writeoff::LOST_AFTER_MS;
use weft_protocol::ledger::{Rejected, own_accounts};

impl Core {
    /// Peers with whom a hop of this part of a claim is open.
    fn open_hops(&self, claim: &ClaimId, part: u8) -> Vec<LedgerId> {
        let (state, peers) = (self.engine().state(), self.engine().peers());
        let out = state.leg(claim, part).and_then(|row| row.outgoing.as_ref());
        let is_open = |channel| {
            let ours = out.is_some_and(|out| {
                out.channel == channel && out.closing == weft_protocol::ledger::state::Closing::Open
            });
            let said = peers.leg(&channel, claim, part);
            ours || said.is_some_and(|said| said.proposal.is_some() && said.closing.is_none())
        };
        state.channels.iter().filter(|(id, _)| is_open(**id)).map(|(_, row)| row.peer).collect()
    }

    /// What both root sets would sign about a hop. Without a peer the hop has to be the only open one here.
    ///
    /// # Errors
    /// No such open hop, or several.
    pub fn draft_dispute(
        &self,
        claim: ClaimId,
        part: u8,
        peer: Option<LedgerId>,
        outcome: DisputeOutcome,
    ) -> Result<DisputeDraft, Rejected> {
        let peer = match (peer, &self.open_hops(&claim, part)[..]) {
            (Some(peer), _) => peer,
            (None, [only]) => *only,
            (None, []) => return Err(Rejected::UnknownClaim { claim }),
            (None, _) => {
                return Err(Rejected::DisputeMismatch { why: "two hops are open here: name the peer" });
            }
        };
        let dispute = self.engine().dispute_of(claim, part, &peer, outcome)?;
        let state = self.engine().state();
        let (_, row) = state.channel_with(&peer).ok_or(Rejected::NoAccord { peer })?;
        let terms = row.accord.pairs.get(usize::from(dispute.pair));
        let unit = terms.and_then(|terms| state.units.get(&terms.booked_unit(row.we_are_a)));
        let theirs = self.engine().peers().identity(&peer).ok_or(Rejected::NotIntroduced { ledger: peer })?;
        let roots = |ledger: &LedgerId| -> Result<Roots, Rejected> {
            Ok(shown(if *ledger == peer { theirs } else { state.identity()? }))
        };
        Ok(DisputeDraft {
            schema: "weft.dispute-draft/1".to_owned(),
            dispute: data_encoding::HEXLOWER.encode(&dispute.to_bytes()),
            creditor: dispute.creditor.to_string(),
            creditor_name: self.name_of_network(&dispute.creditor),
            creditor_roots: roots(&dispute.creditor)?,
            debtor: dispute.debtor.to_string(),
            debtor_name: self.name_of_network(&dispute.debtor),
            debtor_roots: roots(&dispute.debtor)?,
            unit: unit.map_or_else(String::new, |unit| unit.code.clone()),
            amount: format_decimal(dispute.amount.minor(), unit.map_or(0, |unit| unit.scale)),
        })
    }

    /// Takes in a dispute with the signatures of both root sets; a key in both sets counts for both.
    ///
    /// # Errors
    /// The rule broken; nothing changed.
    pub fn take_in_dispute(
        &mut self,
        bytes: &[u8],
        signatures: &[RootSignature],
    ) -> Result<ClaimId, Rejected> {
        let wrong = |why| Rejected::DisputeMismatch { why };
        let dispute = Dispute::parse(bytes).map_err(|_| wrong("it cannot be read"))?;
        let sigs = read(signatures).ok_or(wrong("one of its signatures cannot be read"))?;
        let unknown = |ledger| Rejected::NotIntroduced { ledger };
        let debtor = self.engine().peers().identity(&dispute.debtor).ok_or(unknown(dispute.debtor))?;
        let ours = &self.engine().state().identity()?.root;
        let (sigs_debtor, sigs_creditor) = (of_set(&sigs, &debtor.root), of_set(&sigs, ours));
        let args = DisputeArgs { dispute: Blob(bytes.to_vec()), sigs_debtor, sigs_creditor };
        self.with_engine(|engine, cx| engine.dispute(args, cx))?;
        Ok(dispute.claim)
    }
}

/// Signatures of root keys as they were handed in; nothing when one cannot be read.
pub(super) fn read(signatures: &[RootSignature]) -> Option<Vec<RootSig>> {
    let one =
        |one: &RootSignature| Some(RootSig { signer: one.signer.parse().ok()?, sig: one.sig.parse().ok()? });
    signatures.iter().map(one).collect()
}

/// Those of the keys of one set.
pub(super) fn of_set(sigs: &[RootSig], set: &RootSet) -> Vec<RootSig> {
    sigs.iter().filter(|sig| set.key_of(sig.signer).is_some()).copied().collect()
}

pub(super) fn shown(identity: &Identity) -> Roots {
    let keys = identity.root.keys.iter().map(ToString::to_string).collect();
    Roots { threshold: identity.root.threshold, keys }
}

impl Core {
    /// What writing a peer off would say. `seen_ms`: when it was last in contact, as far as this node knows.
    ///
    /// # Errors
    /// No accord.
    pub fn draft_write_off(&self, peer: &LedgerId, seen_ms: u64) -> Result<WriteOffDraft, Rejected> {
        let off = self.engine().write_off_of(peer, seen_ms)?;
        let state = self.engine().state();
        let own = |name: &&str| (own_accounts::id(name), (*name).to_owned());
        let names: BTreeMap<AccountId, String> = own_accounts::NAMES.iter().map(own).collect();
        let line = |posting: &Posting| {
            let unit = state.units.get(&posting.unit);
            let of_peer = || {
                (posting.account == own_accounts::peer(&state.ledger().ok()?, peer))
                    .then(|| self.name_of_network(peer))
            };
            let person = || self.name_of(&posting.account).map(str::to_owned);
            let name = names.get(&posting.account).cloned().or_else(of_peer).or_else(person);
            WriteOffLine {
                account: posting.account.to_string(),
                name: name.unwrap_or_default(),
                unit: unit.map_or_else(String::new, |unit| unit.code.clone()),
                amount: format_decimal(posting.delta, unit.map_or(0, |unit| unit.scale)),
            }
        };
        Ok(WriteOffDraft {
            schema: "weft.write-off-draft/1".to_owned(),
            payload: data_encoding::HEXLOWER.encode(&weft_protocol::encoding::encode(&off)),
            heard_ms: off.heard_ms,
            from_ms: off.heard_ms.saturating_add(LOST_AFTER_MS),
            lines: off.postings.iter().map(line).collect(),
        })
    }
}
