//! Pairing: two operators agree, their nodes exchange who they are, both root sets sign (specs/network.md §5).
//!
//! The host made the invitation, the guest answers it. Nonces are exchanged as hashes first; the check words cover
//! both, so nobody in between can search for equal words. Nothing of the other network is taken into the ledger
//! before our root set has signed. Every message may come again: the record says what was answered.

mod record;
mod terms;

use super::{Clearing, ClearingError, peer_id};
use crate::network::{PeerId, Protocol, peer_id_from_public_key};
use crate::service::{Core, short};
use crate::store::private::{InvitationUse, LocalPeer};
use record::{
    Exchange, Record, Terms, hash, hex, identity_of, load, nonce_hash, roots, save, unhex, unit_in,
};
use std::time::Duration;
use weft_api::{Confirm, Invitation, Join, NewInvitation, Pairing};
use weft_protocol::amount::parse_decimal;
use weft_protocol::clearing::accord::{Accord, MAX_RATE};
use weft_protocol::clearing::peers::Refusal;
use weft_protocol::clearing::step::{AccordArgs, RootSig};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::Payload;
use weft_protocol::federation::descriptor::Descriptor;
use weft_protocol::federation::invite::Invite;
use weft_protocol::ids::{Hash, KeyBytes, LedgerId, UnitId};
use weft_protocol::ledger::clearing::accord_signatures;
use weft_protocol::ledger::identity::Identity;
use weft_protocol::ledger::units::UnitDefined;
use weft_protocol::wire::{Message, PairAnswer, PairAsk};

/// How long an invitation is good when nothing else is said.
const INVITATION_LIFE_S: u64 = 7 * 86_400;
/// How often the guest asks whether the host's operator has confirmed.
const POLL: Duration = Duration::from_millis(500);
/// Steps of a channel that are searched for an accord whose signatures a guest asks for again.
const MAX_STEPS_LOOKED_AT: usize = 1_000;

fn own_unit(core: &Core, code: &str) -> Result<UnitDefined, ClearingError> {
    let unit = core.engine().state().units.values().find(|u| u.code == code).cloned();
    unit.ok_or_else(|| ClearingError::refused("unknown-unit", format!("this network has no unit \"{code}\"")))
}

fn unit_of(core: &Core, unit: UnitId) -> Result<UnitDefined, ClearingError> {
    let known = core.engine().state().units.get(&unit).cloned();
    known
        .ok_or_else(|| ClearingError::refused("unknown-unit", format!("this network has no unit {}", unit.0)))
}

/// An unlike unit of theirs, as the inviter names it.
fn exchange(core: &Core, new: &NewInvitation) -> Result<Option<Exchange>, ClearingError> {
    let (code, rate) = match (&new.their_unit, &new.rate) {
        (None, None) => return Ok(None),
        (Some(code), Some(rate)) => (code, rate),
        (Some(_), None) | (None, Some(_)) => {
            let detail = "an unlike unit needs both: the unit that stands here for theirs, and the rate";
            return Err(ClearingError::refused("rate", detail));
        }
    };
    let foreign = own_unit(core, code).map_err(|_| {
        let detail = format!(
            "this network has no unit \"{code}\" to count theirs in: define it first, of the same kind and with the same decimals \
             as theirs (weft unit add)"
        );
        ClearingError::refused("unknown-unit", detail)
    })?;
    if *code == new.unit {
        return Err(ClearingError::refused("rate", "our own unit cannot stand for theirs as well"));
    }
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| (1..=MAX_RATE).contains(n));
    let parsed = rate.split_once(':').and_then(|(theirs, ours)| Some((number(theirs)?, number(ours)?)));
    let (num, den) = parsed.ok_or_else(|| {
        let detail = format!(
            "\"{rate}\" is no rate: write THEIRS:OURS with two whole numbers from 1 to 2^32, such as 33:1 where 33 of the smallest \
             parts of their unit are worth one of ours"
        );
        ClearingError::refused("rate", detail)
    })?;
    Ok(Some(Exchange { foreign: foreign.unit.0, num, den }))
}

fn check_roots(identity: &Identity, accord: &[u8], sigs: &[RootSig]) -> Result<(), ClearingError> {
    let checks = accord_signatures(identity, accord, sigs);
    let checks = checks.map_err(|e| ClearingError::refused(&e.code(), e.to_string()))?;
    let verified = checks.iter().try_for_each(|c| c.verify());
    verified.map_err(|e| ClearingError::refused("signature", format!("a root signature: {e}")))
}

impl Clearing {
    pub(super) async fn make_invitation(&self, new: NewInvitation) -> Result<Invitation, ClearingError> {
        let clock = self.0.clock;
        let token: [u8; 16] = clock.random();
        let life_ms = new.expires_s.unwrap_or(INVITATION_LIFE_S).saturating_mul(1_000);
        let expires_ms = clock.now_ms().saturating_add(life_ms);
        let addresses = self.told_addresses().await;
        let made = self.0.ledger.run(move |core| {
            let unit = own_unit(core, &new.unit)?;
            let exchange = exchange(core, &new)?;
            let counted = match exchange {
                Some(Exchange { foreign, .. }) => unit_of(core, UnitId(foreign))?,
                None => unit.clone(),
            };
            let limit = |text: &str| {
                if !text.is_empty() && text.chars().all(|c| matches!(c, '0' | '.')) {
                    return Ok(0);
                }
                let amount =
                    parse_decimal(text, counted.scale).map_err(|e| ClearingError::refused("amount", e))?;
                Ok::<u64, ClearingError>(amount.minor().unsigned_abs())
            };
            let terms = Terms {
                unit: unit.unit.0,
                they_may_owe: limit(&new.they_may_owe)?,
                we_may_owe: limit(&new.we_may_owe)?,
                relay: new.relay,
                mirror: new.mirror,
                exchange,
            };
            let invitation = crate::store::private::Invitation {
                token_hash: nonce_of_token(&token),
                bytes: serde_json::to_vec(&terms).unwrap_or_default(),
                expires_ms,
                used: false,
            };
            let kept = core.private().add_invitation(&invitation);
            kept.map_err(|e| ClearingError::new(503, "private-store", e.to_string()))?;
            core.engine().state().ledger().map_err(|e| ClearingError::refused(&e.code(), e.to_string()))
        });
        let ledger = made.await??;
        let invite = Invite {
            ledger,
            peer: KeyBytes(crate::network::public_key_of_seed(&self.0.keys.libp2p)),
            addresses,
            token,
            expires_ms,
        };
        let link = invite.link().map_err(|e| ClearingError::refused("invitation", e.to_string()))?;
        Ok(Invitation { schema: "weft.invitation/1".to_owned(), link, expires_ms })
    }

    pub(super) async fn answer_invitation(&self, join: Join) -> Result<Pairing, ClearingError> {
        let _one_at_a_time = self.0.pairing.lock().await;
        let invite =
            Invite::parse(&join.link).map_err(|e| ClearingError::refused("invitation", e.to_string()))?;
        let clock = self.0.clock;
        if invite.expires_ms < clock.now_ms() {
            return Err(ClearingError::refused(
                "invitation-expired",
                "the invitation has expired; ask for a new one",
            ));
        }
        let code = join.unit.clone();
        let ours = self.0.ledger.run(move |core| {
            let ledger = core.engine().state().ledger();
            let ledger = ledger.map_err(|e| ClearingError::refused(&e.code(), e.to_string()))?;
            let entries = core.introduction().map_err(|e| ClearingError::new(503, "store", e))?;
            Ok::<_, ClearingError>((ledger, own_unit(core, &code)?, entries))
        });
        let (us, unit, entries) = ours.await??;
        if us == invite.ledger {
            return Err(ClearingError::refused("own-network", "this invitation is this network's own"));
        }
        let peer = peer_id_from_public_key(invite.peer.as_bytes())
            .map_err(|e| ClearingError::refused("invitation", e.to_string()))?;
        let addresses = invite.addresses.iter().filter_map(|a| a.parse().ok()).collect();
        self.0.network.dial_once(peer, addresses).await.map_err(|e| {
            let detail =
                format!("the inviting node cannot be reached ({e}); check that it runs and try again");
            ClearingError::new(503, "not-reachable", detail)
        })?;
        let nonce = Hash(clock.random());
        let ask = PairAsk {
            message: 1,
            token: invite.token,
            entries,
            descriptor: Some(self.descriptor().await),
            unit: Some(unit.unit.0),
            nonce_hash: Some(nonce_hash(&nonce)),
            nonce: None,
            signatures: Vec::new(),
        };
        let answer = self.pair_ask(peer, &ask).await?;
        let (Some(descriptor), Some(accord), Some(their_hash)) =
            (answer.descriptor, answer.accord, answer.nonce_hash)
        else {
            return Err(ClearingError::refused("bad-answer", "the other node left out what pairing needs"));
        };
        let identity = identity_of(&answer.entries).map_err(|e| ClearingError::refused("bad-identity", e))?;
        if identity.ledger != invite.ledger || peer_id(&identity)? != peer {
            return Err(ClearingError::refused("bad-identity", "the other node is not the one that invited"));
        }
        let about = Descriptor::open(&descriptor.0, &identity)
            .map_err(|e| ClearingError::refused("descriptor", e.to_string()))?;
        let terms =
            Accord::parse(&accord.0).map_err(|e| ClearingError::refused("bad-accord", e.to_string()))?;
        let (proposed, host) = (terms.clone(), invite.ledger);
        self.0.ledger.run(move |core| terms::check_follows(core, &host, &proposed)).await??;
        let fits =
            terms.a == invite.ledger && terms.b == us && terms.pairs.iter().all(|p| p.unit_b == unit.unit);
        if !fits {
            return Err(ClearingError::refused(
                "bad-accord",
                "the accord proposed is not between us in this unit",
            ));
        }
        self.catch_up(peer, host).await;
        let reveal = PairAsk {
            message: 3,
            entries: Vec::new(),
            descriptor: None,
            unit: None,
            nonce_hash: None,
            nonce: Some(nonce),
            ..ask
        };
        let revealed = self.pair_ask(peer, &reveal).await?;
        let theirs = revealed.nonce.filter(|n| nonce_hash(n) == their_hash);
        let theirs = theirs.ok_or_else(|| {
            ClearingError::refused("nonce", "the other node's nonce is not the one it announced: do not pair")
        })?;
        let record = Record {
            id: hex(&clock.random::<8>()),
            host: false,
            token: hex(&invite.token),
            expires_ms: invite.expires_ms,
            ledger: identity.ledger.to_string(),
            alias: join.alias.unwrap_or_else(|| about.site.clone()),
            site: about.site,
            addresses: about.addresses,
            entries: answer.entries.iter().map(|e| hex(&e.0)).collect(),
            accord: hex(&accord.0),
            our_nonce: nonce.to_string(),
            their_nonce_hash: their_hash.to_string(),
            their_nonce: Some(theirs.to_string()),
            our_sigs: Vec::new(),
            their_sigs: Vec::new(),
            done: false,
        };
        let shown = record.clone();
        self.0.ledger.run(move |core| save(core, record)).await??;
        self.show(&shown).await
    }

    async fn pair_ask(&self, peer: PeerId, ask: &PairAsk) -> Result<PairAnswer, ClearingError> {
        let bytes = self.0.network.request(peer, Protocol::Pair, ask.to_bytes()).await.map_err(|e| {
            ClearingError::new(503, "not-reachable", format!("the other node did not answer: {e}; try again"))
        })?;
        let answer = PairAnswer::parse(&bytes)
            .map_err(|e| ClearingError::new(503, "bad-answer", format!("the answer is malformed: {e}")))?;
        match answer.refused {
            Some(why) => {
                Err(ClearingError::refused("pairing-refused", format!("the other node says: {why}")))
            }
            None if answer.message == ask.message.saturating_add(1) => Ok(answer),
            None => Err(ClearingError::new(503, "bad-answer", "the answer is to another question")),
        }
    }

    /// The host's side of all three messages.
    pub(super) async fn pair_in(&self, peer: PeerId, ask: PairAsk) -> PairAnswer {
        let _one_at_a_time = self.0.pairing.lock().await;
        let answered = match ask.message {
            1 => self.introduce_in(peer, ask).await,
            3 => self.nonce_in(ask).await,
            _ => self.confirm_in(ask).await,
        };
        answered.unwrap_or_else(|error| {
            let refused = Some(short(error.detail));
            PairAnswer { refused, ..empty_answer(8) }
        })
    }

    async fn introduce_in(&self, peer: PeerId, ask: PairAsk) -> Result<PairAnswer, ClearingError> {
        let identity = identity_of(&ask.entries).map_err(|e| ClearingError::refused("bad-identity", e))?;
        if peer_id(&identity)? != peer {
            return Err(ClearingError::refused("bad-identity", "the identity is not the connection's"));
        }
        let missing = || ClearingError::refused("introduction", "the introduction is incomplete");
        let descriptor = ask.descriptor.ok_or_else(missing)?;
        let about = Descriptor::open(&descriptor.0, &identity)
            .map_err(|e| ClearingError::refused("descriptor", e.to_string()))?;
        let (unit, their_hash) = (UnitId(ask.unit.ok_or_else(missing)?), ask.nonce_hash.ok_or_else(missing)?);
        let theirs = unit_in(&ask.entries, unit).ok_or_else(missing)?;
        let author = identity.ledger;
        let (token, nonce, entries) = (ask.token, Hash(self.0.clock.random()), ask.entries);
        let run = self.0.ledger.run(move |core| {
            host_record(core, &token, &identity, &about, theirs, their_hash, nonce, &entries)
        });
        let (record, entries) = run.await??;
        self.catch_up(peer, author).await;
        Ok(PairAnswer {
            entries,
            descriptor: Some(self.descriptor().await),
            accord: Some(Blob(unhex(&record.accord))),
            nonce_hash: Some(nonce_hash(&hash(&record.our_nonce))),
            ..empty_answer(2)
        })
    }

    async fn nonce_in(&self, ask: PairAsk) -> Result<PairAnswer, ClearingError> {
        let token = hex(&ask.token);
        let run = self.0.ledger.run(move |core| {
            let mut record = by_token(core, &token)?;
            let nonce = ask.nonce.filter(|n| nonce_hash(n).to_string() == record.their_nonce_hash);
            let nonce = nonce.ok_or_else(|| {
                ClearingError::refused("nonce", "the nonce is not the one that was announced")
            })?;
            record.their_nonce = Some(nonce.to_string());
            let ours = hash(&record.our_nonce);
            save(core, record)?;
            Ok::<Hash, ClearingError>(ours)
        });
        Ok(PairAnswer { nonce: Some(run.await??), ..empty_answer(4) })
    }

    async fn confirm_in(&self, ask: PairAsk) -> Result<PairAnswer, ClearingError> {
        let token = hex(&ask.token);
        let run = self.0.ledger.run(move |core| {
            let mut record = match by_token(core, &token) {
                Ok(record) => record,
                Err(error) => return done_signatures(core, &ask).ok_or(error),
            };
            check_roots(&record.identity()?, &unhex(&record.accord), &ask.signatures)?;
            record.their_sigs =
                ask.signatures.iter().map(|s| (s.signer.to_string(), s.sig.to_string())).collect();
            let sigs = roots(&record.our_sigs);
            save(core, record.clone())?;
            Ok((sigs, Some(record)))
        });
        let (signatures, record) = run.await??;
        if let Some(record) = record
            && !signatures.is_empty()
        {
            self.finish(record).await?;
        }
        Ok(PairAnswer { signatures, ..empty_answer(6) })
    }

    pub(super) async fn confirm_pairing(&self, id: &str, confirm: Confirm) -> Result<Pairing, ClearingError> {
        let id = id.to_owned();
        let our_log = self.0.keys.log.public().bytes();
        let run = self.0.ledger.run(move |core| {
            let unknown = || ClearingError::new(404, "unknown-pairing", format!("there is no pairing {id}"));
            let mut record = load(core).remove(&id).ok_or_else(unknown)?;
            let words = record.words(our_log)?;
            if words.is_empty() {
                return Err(ClearingError::refused("words", "the other node has not shown its nonce yet"));
            }
            if confirm.words != words {
                let detail =
                    "the words are not the same on both sides: do not confirm; make a new invitation";
                return Err(ClearingError::refused("words", detail));
            }
            let sigs: Vec<(String, String)> =
                confirm.signatures.iter().map(|s| (s.signer.clone(), s.sig.clone())).collect();
            let identity = core.engine().state().identity();
            let identity = identity.map_err(|e| ClearingError::refused(&e.code(), e.to_string()))?;
            check_roots(identity, &unhex(&record.accord), &roots(&sigs))?;
            record.our_sigs = sigs;
            save(core, record.clone())?;
            Ok(record)
        });
        let record = run.await??;
        if record.host && !record.their_sigs.is_empty() {
            self.finish(record.clone()).await?;
            return self.show(&Record { done: true, ..record }).await;
        }
        if !record.host {
            tokio::spawn(self.clone().poll(record.clone()));
        }
        self.show(&record).await
    }

    /// The guest asks until the host's operator has confirmed, or the invitation is over.
    async fn poll(self, record: Record) {
        let Ok(identity) = record.identity() else { return };
        let Ok(peer) = peer_id(&identity) else { return };
        let ask = PairAsk {
            message: 5,
            token: unhex(&record.token).try_into().unwrap_or_default(),
            entries: Vec::new(),
            descriptor: None,
            unit: None,
            nonce_hash: None,
            nonce: None,
            signatures: roots(&record.our_sigs),
        };
        while self.0.clock.now_ms() < record.expires_ms {
            let addresses = record.addresses.iter().filter_map(|a| a.parse().ok()).collect();
            let _ = self.0.network.dial_once(peer, addresses).await;
            if let Ok(answer) = self.pair_ask(peer, &ask).await
                && !answer.signatures.is_empty()
            {
                let their_sigs =
                    answer.signatures.iter().map(|s| (s.signer.to_string(), s.sig.to_string())).collect();
                let finished = self.finish(Record { their_sigs, ..record.clone() }).await;
                match finished {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(%error, "the pairing could not be finished; trying again"),
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Both root sets have signed: the accord goes into our ledger, and the link starts.
    async fn finish(&self, record: Record) -> Result<(), ClearingError> {
        let ledger: LedgerId =
            record.ledger.parse().map_err(|_| ClearingError::new(500, "record", "a broken record"))?;
        let run = self.0.ledger.run(move |core| {
            let accord = record.accord()?;
            let in_force = core.engine().state().channel_with(&ledger).map(|(_, row)| row.accord_id);
            if in_force != Some(accord.id()) {
                let entries = record.entries();
                match core.receive_public(&entries) {
                    // Between them stand entries that a pairing leaves out: they were asked for when it began.
                    Ok(()) | Err(Refusal::Gap { .. }) => {}
                    Err(why) => return Err(ClearingError::refused("bad-identity", why.to_string())),
                }
                let (a, b) = (roots(&record.our_sigs), roots(&record.their_sigs));
                let (sigs_a, sigs_b) = if record.host { (a, b) } else { (b, a) };
                let args = AccordArgs { accord: Blob(accord.to_bytes()), sigs_a, sigs_b };
                core.accord(args).map_err(|e| ClearingError::refused(&e.code(), e.to_string()))?;
            }
            let known = core.private().peer(&ledger);
            if known.map_err(|e| ClearingError::new(503, "private-store", e.to_string()))?.is_none() {
                name_peer(core, ledger, &record)?;
            }
            save(core, Record { done: true, ..record })
        });
        run.await??;
        self.open_link(ledger).await
    }

    /// After a start: goes on with pairings that our operator has confirmed.
    pub(super) async fn resume_pairings(&self) -> Result<(), ClearingError> {
        let records = self.0.ledger.run(|core| load(core)).await?;
        for record in records.into_values().filter(|r| !r.done && !r.our_sigs.is_empty()) {
            if record.host && !record.their_sigs.is_empty() {
                self.finish(record).await?;
            } else if !record.host {
                tokio::spawn(self.clone().poll(record));
            }
        }
        Ok(())
    }

    pub(super) async fn open_pairings(&self) -> Result<Vec<Pairing>, ClearingError> {
        let records = self.0.ledger.run(|core| load(core)).await?;
        let mut shown = Vec::new();
        for record in records.values() {
            shown.push(self.show(record).await?);
        }
        Ok(shown)
    }

    async fn show(&self, record: &Record) -> Result<Pairing, ClearingError> {
        let accord = record.accord()?;
        let wanted = record.clone();
        let terms = self.0.ledger.run(move |core| terms::sentences(core, &wanted, &accord)).await?;
        Ok(Pairing {
            schema: "weft.pairing/1".to_owned(),
            id: record.id.clone(),
            ledger: record.ledger.clone(),
            site: record.site.clone(),
            terms,
            words: record.words(self.0.keys.log.public().bytes())?,
            accord: record.accord.clone(),
            state: record.state(self.0.clock.now_ms()).to_owned(),
            expires_ms: record.expires_ms,
        })
    }
}

/// The host's record of a guest: new with an unused invitation, the same again for the same guest.
#[expect(clippy::too_many_arguments, reason = "all of the introduction, checked one by one before")]
fn host_record(
    core: &mut Core,
    token: &[u8; 16],
    identity: &Identity,
    about: &Descriptor,
    theirs: UnitDefined,
    their_hash: Hash,
    nonce: Hash,
    entries: &[Blob],
) -> Result<(Record, Vec<Blob>), ClearingError> {
    let ours = core.introduction().map_err(|e| ClearingError::new(503, "store", e))?;
    let used = core.private().use_invitation(&nonce_of_token(token), core.clock().now_ms());
    let used = used.map_err(|e| ClearingError::new(503, "private-store", e.to_string()))?;
    let invitation = match used {
        InvitationUse::Opened(invitation) => invitation,
        InvitationUse::AlreadyUsed(_) => {
            let record = by_token(core, &hex(token))?;
            let same = record.ledger == identity.ledger.to_string()
                && record.their_nonce_hash == their_hash.to_string();
            return if same {
                Ok((record, ours))
            } else {
                Err(ClearingError::refused(
                    "invitation-used",
                    "the invitation was used before; ask for a new one",
                ))
            };
        }
        InvitationUse::Expired => {
            return Err(ClearingError::refused(
                "invitation-expired",
                "the invitation has expired; ask for a new one",
            ));
        }
        InvitationUse::Unknown => {
            return Err(ClearingError::refused("invitation-unknown", "there is no such invitation"));
        }
    };
    let broken = || ClearingError::new(500, "invitation", "the invitation cannot be read");
    let terms: Terms = serde_json::from_slice(&invitation.bytes).map_err(|_| broken())?;
    let unit = core.engine().state().units.get(&UnitId(terms.unit)).cloned().ok_or_else(broken)?;
    let like = match terms.exchange {
        Some(Exchange { foreign, .. }) => unit_of(core, UnitId(foreign))?,
        None => unit.clone(),
    };
    if (like.kind, like.scale) != (theirs.kind, theirs.scale) {
        let detail = format!(
            "the units {} and {} differ in kind or decimals; only equal units can be paired one to one, and an unlike unit \
             needs one here that is defined as theirs is, and a rate",
            like.code, theirs.code
        );
        return Err(ClearingError::refused("units-differ", detail));
    }
    let us = core.engine().state().ledger().map_err(|e| ClearingError::refused(&e.code(), e.to_string()))?;
    if us == identity.ledger {
        return Err(ClearingError::refused("own-network", "a network cannot pair with itself"));
    }
    let accord = terms::proposal(core, identity.ledger, unit.unit, theirs.unit, &terms)?;
    let record = Record {
        id: hex(&core.clock().random::<8>()),
        host: true,
        token: hex(token),
        expires_ms: invitation.expires_ms,
        ledger: identity.ledger.to_string(),
        site: about.site.clone(),
        alias: about.site.clone(),
        addresses: about.addresses.clone(),
        entries: entries.iter().map(|e| hex(&e.0)).collect(),
        accord: hex(&accord.to_bytes()),
        our_nonce: nonce.to_string(),
        their_nonce_hash: their_hash.to_string(),
        their_nonce: None,
        our_sigs: Vec::new(),
        their_sigs: Vec::new(),
        done: false,
    };
    save(core, record.clone())?;
    Ok((record, ours))
}

/// Gives a new peer its name here, and remembers where it is reached.
fn name_peer(core: &mut Core, ledger: LedgerId, record: &Record) -> Result<(), ClearingError> {
    let mut local = LocalPeer {
        ledger,
        alias: record.alias.clone(),
        addresses: record.addresses.clone(),
        note: String::new(),
    };
    if core.put_peer(&local).is_err() {
        // Another peer has the name: this one is told apart by the start of its ledger id.
        local.alias = format!("{}-{}", record.alias, ledger.short());
        let put = core.put_peer(&local);
        put.map_err(|e| ClearingError::new(503, "private-store", e.to_string()))?;
    }
    Ok(())
}

/// The guest asks again after everything is done, because our answer was lost: the accord in our ledger answers.
fn done_signatures(core: &Core, ask: &PairAsk) -> Option<(Vec<RootSig>, Option<Record>)> {
    let state = core.engine().state();
    state.channels.keys().find_map(|channel| {
        let end = state.stream(channel).next;
        // The first accord stands at place 0, one that was renewed stands near the end.
        let places = std::iter::once(0).chain((1..end).rev().take(MAX_STEPS_LOOKED_AT));
        places.filter_map(|sseq| core.own_stream_entry(channel, sseq).ok()).find_map(|entry| {
            let Payload::Step(step) = &entry.op().payload else { return None };
            let weft_protocol::clearing::step::StepArgs::Accord(args) = &step.args else { return None };
            (args.sigs_b == ask.signatures).then(|| (args.sigs_a.clone(), None))
        })
    })
}

fn by_token(core: &Core, token: &str) -> Result<Record, ClearingError> {
    let record = load(core).into_values().find(|r| r.host && r.token == token);
    record.ok_or_else(|| {
        ClearingError::refused("invitation-unknown", "there is no pairing under this invitation")
    })
}

fn nonce_of_token(token: &[u8; 16]) -> Hash {
    Hash::of("WEFT-TOKEN/1\n", &[token])
}

fn empty_answer(message: u8) -> PairAnswer {
    PairAnswer {
        message,
        entries: Vec::new(),
        descriptor: None,
        accord: None,
        nonce_hash: None,
        nonce: None,
        signatures: Vec::new(),
        refused: None,
    }
}
