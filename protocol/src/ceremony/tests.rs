use super::*;
use crate::ids::OpId;
use crate::ledger::identity::RootChanged;
use crate::ledger::members::RoleGranted;

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn set(threshold: u8, seeds: &[u8]) -> RootSet {
    let mut keys: Vec<KeyBytes> = seeds.iter().map(|n| key(*n).public().bytes()).collect();
    keys.sort_unstable();
    RootSet { threshold, keys }
}

fn request(payload: Payload, sets: Vec<RootSet>) -> Request {
    let op = Op { op_id: OpId([1; 16]), not_after_ms: 9, payload, sidecars: Vec::new() };
    let what = What::Op(op.payload.kind().code(), Blob(op.to_bytes()));
    let (units, names) = (Vec::new(), Vec::new());
    Request {
        v: 1,
        ledger: LedgerId([3; 32]),
        site: "hull".into(),
        sets,
        what,
        not_after_ms: 9,
        units,
        names,
    }
}

fn role() -> Payload {
    Payload::RoleGranted(RoleGranted { account: AccountId([2; 16]), role: Role::Coordinator, granted: true })
}

#[test]
fn two_of_three_sign_and_the_operation_carries_both_signatures() {
    let request = request(role(), vec![set(2, &[1, 2, 3])]);
    assert_eq!(Request::parse(&request.to_bytes()).as_ref(), Ok(&request));
    let mut collected = Collected::default();
    assert_eq!(request.progress(&collected)[0].missing(), 2);
    for seed in [1, 1, 3] {
        let signature = request.sign(&key(seed)).unwrap();
        let signature = Signature::parse(&signature.to_bytes()).unwrap();
        request.collect(&mut collected, &signature).unwrap();
    }
    let progress = &request.progress(&collected)[0];
    assert_eq!((progress.missing(), progress.have.len()), (0, 2));
    assert_eq!(progress.open, [key(2).public().signer()]);
    let signed = request.signed_op(&collected).unwrap();
    for auth in &signed.auth {
        let message =
            op_message(&request.ledger, signed.kind, auth.signer, auth.role, auth.how, &signed.op.0);
        let key = request.sets[0].key_of(auth.signer).unwrap();
        let sig = SigBytes::from_slice(&auth.sig.0).unwrap();
        PublicKey::new(&key).unwrap().verify_message(&message, &sig).unwrap();
    }
}

#[test]
fn a_new_root_set_has_to_sign_too() {
    let (old, new) = (set(1, &[1]), set(2, &[1, 2, 3]));
    let change = Payload::RootChanged(RootChanged { root: new.clone(), next_root: None });
    let request = request(change.clone(), vec![old.clone(), new.clone()]);
    assert!(Request::parse(&request.to_bytes()).is_ok());
    let mut collected = Collected::default();
    request.collect(&mut collected, &request.sign(&key(1)).unwrap()).unwrap();
    let missing: Vec<usize> = request.progress(&collected).iter().map(Progress::missing).collect();
    assert_eq!(missing, [0, 1]);
    for sets in [vec![old.clone()], vec![old.clone(), old.clone()], vec![old.clone(), new.clone(), new]] {
        let wrong = super::tests::request(change.clone(), sets);
        assert!(Request::parse(&wrong.to_bytes()).is_err());
    }
    let idle = super::tests::request(role(), vec![old.clone(), old]);
    assert_eq!(Request::parse(&idle.to_bytes()), Err(CeremonyError::OtherSet));
}

#[test]
fn strangers_other_requests_and_changed_signatures_do_not_count() {
    let first = request(role(), vec![set(1, &[1, 2])]);
    let other = Request { site: "york".into(), ..first.clone() };
    let mut collected = Collected::default();
    let signer = key(9).public().signer();
    assert_eq!(first.sign(&key(9)), Err(CeremonyError::NotARoot { signer }));
    let of_other = other.sign(&key(1)).unwrap();
    let (expected, got) = (first.id(), other.id());
    assert_eq!(first.collect(&mut collected, &of_other), Err(CeremonyError::OtherRequest { expected, got }));
    let mut changed = first.sign(&key(1)).unwrap();
    changed.sig.0[5] ^= 1;
    assert!(matches!(first.collect(&mut collected, &changed), Err(CeremonyError::Invalid { .. })));
    let borrowed = Signature { signer: key(2).public().signer(), ..first.sign(&key(1)).unwrap() };
    assert!(matches!(first.collect(&mut collected, &borrowed), Err(CeremonyError::Invalid { .. })));
    assert_eq!(collected, Collected::default());
}

#[test]
fn broken_requests_are_refused_and_named() {
    let good = request(role(), vec![set(1, &[1])]);
    let refused = |request: Request| Request::parse(&request.to_bytes()).unwrap_err();
    assert_eq!(refused(Request { v: 2, ..good.clone() }), CeremonyError::Version { got: 2 });
    let none = refused(Request { sets: Vec::new(), ..good.clone() });
    assert!(matches!(none, CeremonyError::Sets(_) | CeremonyError::Encoding(_)), "{none}");
    let unmet = refused(Request { sets: vec![set(2, &[1])], ..good.clone() });
    assert!(matches!(unmet, CeremonyError::Sets(_)), "{unmet}");
    let life = refused(Request { not_after_ms: 8, ..good.clone() });
    assert_eq!(life, CeremonyError::Life { says: 8, ends: 9 });
    let unknown = refused(Request { what: What::Op(0x7fff, Blob(Vec::new())), ..good.clone() });
    assert!(matches!(unknown, CeremonyError::Op(_)), "{unknown}");
    let mut longer = good.to_bytes();
    longer.push(0);
    assert!(matches!(Request::parse(&longer), Err(CeremonyError::Encoding(_))));
    assert!(Signature::parse(&good.to_bytes()).is_err());
}

#[test]
fn a_text_gives_its_bytes_back_and_a_cut_one_is_refused() {
    let bytes = request(role(), vec![set(1, &[1])]).to_bytes();
    let text = wrap(Form::Request, "Sets a role.", &bytes);
    assert!(text.starts_with("Sets a role.\n\n-----BEGIN WEFT REQUEST-----\n"));
    assert_eq!(unwrap(Form::Request, &text), Ok(bytes));
    assert_eq!(unwrap(Form::Request, &text.replace('\n', "\r\n  ")), unwrap(Form::Request, &text));
    assert_eq!(unwrap(Form::Signature, &text), Err(TextError::Lines));
    assert_eq!(unwrap(Form::Request, &text[..text.len() - 10]), Err(TextError::Lines));
    assert_eq!(unwrap(Form::Request, &format!("{text}{text}")), Err(TextError::Lines));
    let line = text.lines().nth(3).unwrap();
    assert_eq!(unwrap(Form::Request, &text.replace(line, &line[1..])), Err(TextError::Base64));
    assert_eq!(unwrap(Form::Request, &"x".repeat(70_000)), Err(TextError::TooLong));
}
