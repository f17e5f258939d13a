use super::*;
use crate::clearing::intent::{CLAIM_VERSION, DecisionBody, Outcome};
use crate::entry::{Body, Payload};
use crate::ids::{ClaimId, Salt};
use crate::keys::SecretKey;
use crate::log::checkpoint::Checkpoint;
use crate::log::note::VerifierKey;
use crate::log::proof::{LeafHashes, build_inclusion};
use crate::log::tree::root_of;
use crate::testing::TestNetwork;
use watch::Watch;

fn identity(network: &TestNetwork) -> Vec<Vec<u8>> {
    let own = network.own();
    own.iter().filter(|e| matches!(e.op().payload, Payload::Genesis(_))).map(|e| e.bytes().to_vec()).collect()
}

fn keys(network: &TestNetwork) -> Keys {
    let entries: Vec<Entry> = identity(network).iter().map(|bytes| Entry::parse(bytes).unwrap()).collect();
    Keys::from_entries(&entries).unwrap()
}

fn head(network: &TestNetwork, key: &SecretKey, size: u64, root: u8) -> Vec<u8> {
    let origin = network.ledger().origin();
    Checkpoint::new(&origin, size, Hash([root; 32])).unwrap().sign(key).to_string().into_bytes()
}

fn decision(network: &TestNetwork, claim: u8, outcome: Outcome) -> Vec<u8> {
    let code = if outcome == Outcome::Accept { 0 } else { 1 };
    let claim = ClaimId([claim; 32]);
    let body = DecisionBody { v: CLAIM_VERSION, decider: network.ledger(), epoch: 0, claim, outcome, code };
    encode(&crate::clearing::intent::Decision::sign(body, &network.log_key()))
}

/// The entry as its writer might have written it otherwise.
fn other(network: &TestNetwork, entry: &Entry, change: impl FnOnce(&mut Body)) -> Vec<u8> {
    let mut body = entry.body().clone();
    body.salt = Salt([9; 16]);
    change(&mut body);
    Entry::sign(&body, &network.log_key()).unwrap().bytes().to_vec()
}

fn join(network: &TestNetwork, kind: EvidenceType, a: &[u8], b: &[u8]) -> Result<Proven, NotEvidence> {
    Evidence::join(kind, network.ledger(), &identity(network), [a, b], &keys(network))
}

#[test]
fn two_heads_of_one_size_are_evidence_and_the_order_does_not_matter() {
    let (network, key) = (TestNetwork::new(1), TestNetwork::new(1).log_key());
    let (a, b) = (head(&network, &key, 7, 1), head(&network, &key, 7, 2));
    let proven = join(&network, EvidenceType::Notes, &a, &b).unwrap();
    let turned = join(&network, EvidenceType::Notes, &b, &a).unwrap();
    assert_eq!((proven.id(), proven.evidence().to_bytes()), (turned.id(), turned.evidence().to_bytes()));
    let read = Evidence::parse(&proven.evidence().to_bytes()).unwrap();
    assert_eq!(read.verify_alone().unwrap(), proven);
    assert!(proven.words()[0].contains(&network.ledger().to_string()));
    let same = join(&network, EvidenceType::Notes, &a, &a);
    assert_eq!(same, Err(NotEvidence::Same));
    let later = head(&network, &key, 8, 2);
    let both = join(&network, EvidenceType::Notes, &a, &later);
    assert_eq!(both, Err(NotEvidence::OtherSubject { what: "sizes" }));
}

#[test]
fn a_head_that_somebody_else_signed_convicts_nobody() {
    let network = TestNetwork::new(1);
    let stranger = TestNetwork::new(2).log_key();
    let (a, b) = (head(&network, &network.log_key(), 7, 1), head(&network, &stranger, 7, 2));
    let forged = join(&network, EvidenceType::Notes, &a, &b);
    assert!(matches!(forged, Err(NotEvidence::Signature { .. })), "{forged:?}");
    let other = TestNetwork::new(2);
    let theirs = head(&other, &other.log_key(), 7, 2);
    let mixed = join(&network, EvidenceType::Notes, &a, &theirs);
    assert!(matches!(mixed, Err(NotEvidence::OtherSubject { what: "logs" })), "{mixed:?}");
}

#[test]
fn proofs_of_two_entries_at_one_index_are_evidence_at_any_sizes() {
    let network = TestNetwork::new(1);
    let half = |size: u64, salt: u8, index: u64| {
        let leaves: Vec<Hash> = (0..size).map(|i| Hash::of("", &[&[salt], &i.to_be_bytes()])).collect();
        let proof = build_inclusion(&mut LeafHashes(&leaves), index, size).unwrap();
        let root = root_of(leaves.iter().copied());
        let note = Checkpoint::new(&network.ledger().origin(), size, root).unwrap().sign(&network.log_key());
        let leaf = leaves[usize::try_from(index).unwrap()];
        InclusionHalf { note: Blob(note.to_string().into_bytes()), index, leaf, proof }
    };
    let (a, b) = (half(7, 1, 3), half(9, 2, 3));
    join(&network, EvidenceType::Proofs, &a.to_bytes(), &b.to_bytes()).unwrap();
    let elsewhere = half(9, 2, 4);
    let both = join(&network, EvidenceType::Proofs, &a.to_bytes(), &elsewhere.to_bytes());
    assert_eq!(both, Err(NotEvidence::OtherSubject { what: "places" }));
    let mut wrong = b;
    wrong.proof.swap(0, 1);
    let broken = join(&network, EvidenceType::Proofs, &a.to_bytes(), &wrong.to_bytes());
    assert!(matches!(broken, Err(NotEvidence::Half { half: 2, why: HalfError::Proof(_) })), "{broken:?}");
}

#[test]
fn two_entries_at_one_place_are_evidence_only_within_one_boot() {
    let mut network = TestNetwork::new(1);
    network.member();
    let unit = network.own()[1].clone();
    let first = unit.bytes();
    let same_seq = other(&network, &unit, |_| {});
    join(&network, EvidenceType::Entries, first, &same_seq).unwrap();
    // Another place of the ledger, the same place of the stream.
    let same_sseq = other(&network, &unit, |body| body.seq = 9);
    join(&network, EvidenceType::Entries, first, &same_sseq).unwrap();
    let later_boot = other(&network, &unit, |body| body.boot += 1);
    let both = join(&network, EvidenceType::Entries, first, &later_boot);
    assert_eq!(both, Err(NotEvidence::OtherSubject { what: "boots" }));
    let elsewhere = other(&network, &unit, |body| {
        body.seq = 9;
        body.stream = body.stream.map(|header| crate::entry::StreamHeader { sseq: 5, ..header });
    });
    let both = join(&network, EvidenceType::Entries, first, &elsewhere);
    assert_eq!(both, Err(NotEvidence::OtherSubject { what: "places" }));
}

#[test]
fn yes_and_no_to_one_claim_are_evidence_and_two_noes_are_not() {
    let network = TestNetwork::new(1);
    let (yes, no) = (decision(&network, 5, Outcome::Accept), decision(&network, 5, Outcome::Reject));
    let proven = join(&network, EvidenceType::Decisions, &no, &yes).unwrap();
    assert!(proven.words().iter().any(|w| w.contains("yes to the payment")), "{:?}", proven.words());
    let elsewhere = decision(&network, 6, Outcome::Reject);
    let both = join(&network, EvidenceType::Decisions, &yes, &elsewhere);
    assert_eq!(both, Err(NotEvidence::OtherSubject { what: "claims" }));
}

#[test]
fn one_key_alone_is_enough_and_a_key_of_another_log_is_not() {
    let network = TestNetwork::new(1);
    let key = Checkpoint::log_key(&network.ledger().origin(), &network.log_key().public()).unwrap();
    let (yes, no) = (decision(&network, 5, Outcome::Accept), decision(&network, 5, Outcome::Reject));
    let by_key = Keys::Key(Box::new(key));
    let bare = Evidence::join(EvidenceType::Decisions, network.ledger(), &[], [&yes, &no], &by_key).unwrap();
    assert_eq!(bare.evidence().verify_alone(), Err(NotEvidence::NoKey));
    assert!(bare.words().last().unwrap().contains("with the key you gave"));
    let other: VerifierKey = Checkpoint::log_key("weft/other", &network.log_key().public()).unwrap();
    let wrong = bare.evidence().verify(&Keys::Key(Box::new(other)));
    assert!(matches!(wrong, Err(NotEvidence::Signature { .. })));
}

#[test]
fn a_file_reads_back_and_has_one_form() {
    let (network, key) = (TestNetwork::new(1), TestNetwork::new(1).log_key());
    let (a, b) = (head(&network, &key, 7, 1), head(&network, &key, 7, 2));
    let proven = join(&network, EvidenceType::Notes, &a, &b).unwrap();
    let text = proven.evidence().to_text();
    assert_eq!(Evidence::from_text(text.as_bytes()).unwrap(), *proven.evidence());
    for bad in [
        text.replace("weft-evidence/1", "weft-evidence/2"),
        text.replace("type 1", "type 3"),
        text.replace("\n\n", "\nnote x\n\n"),
        text.trim_end().to_owned(),
        format!("{text}\n"),
    ] {
        assert!(matches!(Evidence::from_text(bad.as_bytes()), Err(TextError::Malformed(_))), "{bad}");
    }
}

#[test]
fn a_note_seen_is_remembered_until_its_contradiction_comes() {
    let (network, key) = (TestNetwork::new(1), TestNetwork::new(1).log_key());
    let (mut watch, entries, keys) = (Watch::default(), identity(&network), keys(&network));
    let mut see = |note: &[u8]| watch.see(EvidenceType::Notes, network.ledger(), note, &entries, &keys);
    assert_eq!(see(&head(&network, &key, 7, 1)), Ok(None));
    assert_eq!(see(&head(&network, &key, 7, 1)), Ok(None));
    let forged = see(&head(&network, &TestNetwork::new(2).log_key(), 7, 2));
    assert!(matches!(forged, Err(NotEvidence::Signature { .. })));
    let proven = see(&head(&network, &key, 7, 2)).unwrap().expect("a contradiction");
    assert_eq!((proven.kind(), proven.accused()), (EvidenceType::Notes, network.ledger()));
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let network = TestNetwork::new(1);
    let half = head(&network, &network.log_key(), 7, 1);
    let long = vec![b'a'; MAX_HALF_BYTES + 1];
    let refused = join(&network, EvidenceType::Notes, &half, &long);
    assert!(matches!(refused, Err(NotEvidence::Half { half: 2, why: HalfError::TooLong { .. } })));
    let whole = Evidence::parse(&vec![0; MAX_EVIDENCE_BYTES + 1]);
    assert!(matches!(whole, Err(NotEvidence::Encoding(EncodingError::TooLong { .. }))));
    let text = Evidence::from_text(&vec![b'a'; MAX_TEXT_BYTES + 1]);
    assert!(matches!(text, Err(TextError::TooLong { .. })));
}
