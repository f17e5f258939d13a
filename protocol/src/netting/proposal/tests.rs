use super::super::tests::Dice;
use super::*;

const LEDGER: LedgerId = LedgerId([7; 32]);

fn account(n: u8) -> AccountId {
    AccountId([n; 16])
}

fn invoice(debtor: u8, creditor: u8, amount: i64) -> Invoice {
    Invoice { debtor: account(debtor), creditor: account(creditor), amount: Amount::new(amount).unwrap() }
}

fn rooms(of: &[(u8, i64, i64)]) -> Rooms {
    of.iter().map(|(n, give, take)| (account(*n), (*give, *take))).collect()
}

fn proposal(invoices: &[Invoice], rooms: &Rooms) -> Proposal {
    Proposal::new(&LEDGER, UnitId(1), (1_000, 2_000), invoices, rooms).unwrap()
}

fn paid(proposal: &Proposal) -> Vec<i64> {
    proposal.lines.iter().map(|line| line.paid).collect()
}

fn agree(proposal: &mut Proposal, n: u8, rooms: &Rooms) {
    let part = proposal.part(account(n));
    proposal.say(account(n), true, &part, rooms).unwrap();
}

#[test]
fn when_all_have_agreed_the_accounts_move_by_payments_that_are_made_once() {
    let room = rooms(&[(1, 40, 0), (3, 0, 100)]);
    let mut proposal = proposal(&[invoice(1, 2, 60), invoice(1, 2, 40), invoice(2, 3, 70)], &room);
    assert_eq!((paid(&proposal), proposal.stage), (vec![40, 40], Stage::Asking));
    assert!(proposal.payments().is_empty());
    for n in [1, 2, 3] {
        assert!(proposal.waits_for().contains(&account(n)));
        agree(&mut proposal, n, &room);
    }
    assert_eq!(proposal.stage, Stage::Agreed);
    let payments = proposal.payments();
    let moved: Vec<_> = payments.iter().map(|one| (one.from, one.to, one.amount.minor())).collect();
    assert_eq!(moved, [(account(1), account(3), 40)]);
    assert_eq!(proposal.payments()[0].op_id, payments[0].op_id);
    assert_eq!(proposal.say(account(1), false, &Hash::ZERO, &room), Err(ProposalError::Ended));
    proposal.withdraw().unwrap();
    assert!(proposal.payments().is_empty());
    assert_eq!(proposal.withdraw(), Err(ProposalError::Ended));
}

#[test]
fn who_refuses_is_left_out_and_the_rest_is_solved_again() {
    // A circle of three and one of two.
    let invoices = [invoice(1, 2, 5), invoice(2, 3, 5), invoice(3, 1, 5), invoice(1, 4, 7), invoice(4, 1, 7)];
    let mut proposal = proposal(&invoices, &Rooms::new());
    assert_eq!(paid(&proposal), [5, 7, 5, 5, 7]);
    proposal.say(account(3), false, &Hash::ZERO, &Rooms::new()).unwrap();
    assert_eq!((paid(&proposal), proposal.stage), (vec![0, 7, 0, 0, 7], Stage::Asking));
    assert_eq!(
        proposal.say(account(3), true, &Hash::ZERO, &Rooms::new()),
        Err(ProposalError::Out(account(3)))
    );
    let part = proposal.part(account(2));
    let nothing = proposal.say(account(2), true, &part, &Rooms::new());
    assert_eq!(nothing, Err(ProposalError::NotAsked(account(2))));
    agree(&mut proposal, 1, &Rooms::new());
    proposal.say(account(4), false, &Hash::ZERO, &Rooms::new()).unwrap();
    assert_eq!(proposal.stage, Stage::Nothing);
}

#[test]
fn a_word_is_about_what_was_seen_and_nothing_else() {
    let invoices = [invoice(1, 2, 5), invoice(2, 1, 5), invoice(2, 3, 4), invoice(3, 2, 4)];
    let mut proposal = proposal(&invoices, &Rooms::new());
    let seen = proposal.part(account(2));
    proposal.say(account(3), false, &Hash::ZERO, &Rooms::new()).unwrap();
    let changed = proposal.say(account(2), true, &seen, &Rooms::new());
    assert_eq!(changed, Err(ProposalError::Changed(account(2))));
    let other = proposal.say(account(9), true, &seen, &Rooms::new());
    assert_eq!(other, Err(ProposalError::NotNamed(account(9))));
    let part = proposal.part(account(1));
    let key = SecretKey::from_seed(&[5; 32]);
    let sig = sign_word(&key, &LEDGER, &part, true);
    verify_word(&key.public(), &LEDGER, &part, true, &sig).unwrap();
    assert!(verify_word(&key.public(), &LEDGER, &part, false, &sig).is_err());
    assert!(verify_word(&key.public(), &LEDGER, &seen, true, &sig).is_err());
}

#[test]
fn the_silent_are_left_out_when_the_time_is_over() {
    let invoices = [invoice(1, 2, 5), invoice(2, 1, 5), invoice(2, 3, 4), invoice(3, 2, 4)];
    let mut proposal = proposal(&invoices, &Rooms::new());
    agree(&mut proposal, 1, &Rooms::new());
    agree(&mut proposal, 2, &Rooms::new());
    assert!(!proposal.look(2_000, &Rooms::new()));
    assert!(proposal.look(2_001, &Rooms::new()));
    assert_eq!((paid(&proposal), proposal.stage), (vec![5, 5, 0, 0], Stage::Agreed));
    assert_eq!(proposal.words[&account(3)], Word::Silent);
    let kept = crate::encoding::encode(&proposal);
    assert_eq!(crate::encoding::decode_canonical::<Proposal>(&kept, kept.len()), Ok(proposal.clone()));
    assert!(proposal.payments().is_empty(), "a circle moves no account");
}

#[test]
fn what_somebody_has_agreed_to_never_becomes_more() {
    let mut dice = Dice(11);
    let (mut agreed, mut ended) = (0, 0);
    for _ in 0..150 {
        let count = 3 + dice.below(5);
        let pick = |dice: &mut Dice| u8::try_from(dice.below(count)).unwrap();
        let mut invoices = Vec::new();
        for _ in 0..3 * count {
            let (debtor, creditor) = (pick(&mut dice), pick(&mut dice));
            if debtor != creditor {
                invoices.push(invoice(debtor, creditor, 1 + i64::try_from(dice.below(40)).unwrap()));
            }
        }
        let room = |dice: &mut Dice| i64::try_from(dice.below(30)).unwrap();
        let mut at: Rooms =
            (0..count).map(|n| (account(n as u8), (room(&mut dice), room(&mut dice)))).collect();
        let Ok(mut proposal) = Proposal::new(&LEDGER, UnitId(1), (1_000, 2_000), &invoices, &at) else {
            continue;
        };
        let mut words: BTreeMap<AccountId, (Vec<i64>, i64)> = BTreeMap::new();
        let check = |proposal: &Proposal, words: &BTreeMap<AccountId, (Vec<i64>, i64)>, at: &Rooms| {
            for (account, (lines, moves)) in words {
                let now: Vec<i64> = proposal.lines_of(*account).map(|line| line.paid).collect();
                assert!(now.iter().zip(lines).all(|(now, agreed)| now <= agreed), "{now:?} {lines:?}");
                let by = proposal.moves(account);
                assert!(by.abs() <= moves.abs() && by.signum() * moves.signum() >= 0, "{by} of {moves}");
            }
            for account in proposal.accounts() {
                let (give, take) = at[&account];
                let by = proposal.moves(&account);
                let said = words.contains_key(&account);
                assert!(said || (-give <= by && by <= take), "{by} of {give} and {take}");
            }
            let all: i64 = proposal.accounts().iter().map(|one| proposal.moves(one)).sum();
            assert_eq!(all, 0);
        };
        for _ in 0..2 * count {
            check(&proposal, &words, &at);
            let who = account(pick(&mut dice));
            let agrees = dice.below(4) > 0;
            // Balances move meanwhile; they count when it is solved again.
            let mut later = at.clone();
            later.values_mut().for_each(|(give, take)| (*give, *take) = (room(&mut dice), room(&mut dice)));
            let part = proposal.part(who);
            if proposal.say(who, agrees, &part, &later).is_ok() {
                at = if agrees { at } else { later };
                if agrees {
                    let lines = proposal.lines_of(who).map(|line| line.paid).collect();
                    words.insert(who, (lines, proposal.moves(&who)));
                    agreed += 1;
                } else {
                    words.remove(&who);
                }
            }
        }
        proposal.look(3_000, &at);
        check(&proposal, &words, &at);
        assert_ne!(proposal.stage, Stage::Asking);
        let moved: i64 = proposal.payments().iter().map(|one| one.amount.minor()).sum();
        if proposal.stage == Stage::Agreed {
            let up: i64 = proposal.accounts().iter().map(|one| proposal.moves(one).max(0)).sum();
            assert_eq!(moved, up);
            ended += 1;
        }
    }
    assert!(agreed > 200 && ended > 40, "{agreed} {ended}");
}

#[test]
fn invoices_that_are_no_proposal_are_named() {
    let new = |until_ms, invoices: &[Invoice]| {
        Proposal::new(&LEDGER, UnitId(1), (1_000, until_ms), invoices, &Rooms::new()).unwrap_err()
    };
    assert_eq!(new(2_000, &[]), ProposalError::Count(0));
    let many = vec![invoice(1, 2, 1); MAX_INVOICES + 1];
    assert_eq!(new(2_000, &many), ProposalError::Count(MAX_INVOICES + 1));
    assert_eq!(new(1_000, &many[..1]), ProposalError::Time(0));
    assert_eq!(new(1_001 + MAX_ASK_MS, &many[..1]), ProposalError::Time(MAX_ASK_MS + 1));
    assert!(matches!(new(2_000, &[invoice(1, 1, 1)]), ProposalError::Invoices(_)));
}
