//! Every refusal that a ledger's own entries can meet, one sentence each. The codes are those of specs/ledger.md §7.

#[path = "support/ledger_kit.rs"]
mod kit;

use kit::*;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, Entry, How, Payload, Role, SignedOp, StreamHeader};
use weft_protocol::ids::{AccountId, Hash, KeyBytes, LedgerId, PUBLIC_STREAM, Signer};
use weft_protocol::ledger::identity::{Genesis, KeyBound, Purpose};
use weft_protocol::ledger::members::{AccountChanged, AccountClosed, OwnerKind};
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::transfer::{Credit, End, Hold, Release, Reversal, Transfer, move_value};
use weft_protocol::ledger::units::UnitDefined;
use weft_protocol::ledger::{Notice, own_accounts};

/// 1 has a key and is coordinator, 2 has a key, 3 has none.
fn world() -> World {
    let mut world = World::new();
    world.coordinator(1);
    world.open(2, true);
    world.open(3, false);
    world
}

fn refused(payload: Payload, signs: &[Sign]) -> String {
    world().refusal(payload, signs)
}

fn forged(change: impl FnOnce(&mut Body)) -> String {
    world().forge(pay(2, 3, HOUR, 1), &[own(2)], change).expect_err("it keeps the rules").code()
}

fn started(change: impl FnOnce(&mut Genesis)) -> String {
    let mut payload = genesis();
    change(&mut payload);
    World::empty().refusal(Payload::Genesis(payload), &[ROOT])
}

fn changed(add: Option<KeyBytes>, remove: Option<Signer>, anchor: Option<bool>) -> Payload {
    Payload::AccountChanged(AccountChanged { account: account(2), add_key: add, remove_key: remove, anchor })
}

fn closed(n: u8) -> Payload {
    Payload::AccountClosed(AccountClosed { account: account(n) })
}

fn bound(purpose: Purpose, epoch: u32, key: KeyBytes) -> Payload {
    Payload::KeyBound(KeyBound { purpose, epoch, key })
}

fn public(seed: u8) -> KeyBytes {
    key(seed).public().bytes()
}

fn rule(world: &World, change: impl FnOnce(&mut LimitRule)) -> Payload {
    let mut rule = LimitRule { unit: HOUR, account: Some(account(2)), owner: None, below: None, above: None };
    change(&mut rule);
    Payload::RuleSet(RuleSet { authority: world.genesis_leaf(), rule: Rule::Limit(rule) })
}

fn refused_rule(change: impl FnOnce(&mut LimitRule)) -> String {
    let mut world = world();
    let payload = rule(&world, change);
    world.refusal(payload, &[ROOT])
}

fn reversal(seq: u64, lines: &[(u8, u16, i64)]) -> Payload {
    Payload::Reversal(Reversal { seq, postings: postings(lines) })
}

/// A world in which 2 has paid 3 ten, and the place of that.
fn paid() -> (World, u64) {
    let mut world = world();
    let seq = world.must(pay(2, 3, HOUR, 10), &[own(2)]).entry.body().seq;
    (world, seq)
}

mod place {
    use super::*;

    #[test]
    fn nothing_stands_before_a_genesis() {
        assert_eq!(World::empty().refusal(pay(1, 2, HOUR, 1), &[own(1)]), "no-genesis");
    }

    #[test]
    fn a_genesis_stands_first_and_alone() {
        let mut world = world();
        let ledger = world.ledger();
        let forged = world.forge(Payload::Genesis(genesis()), &[ROOT], |b| b.ledger = ledger);
        assert_eq!(forged.unwrap_err().code(), "genesis-place");
    }

    #[test]
    fn a_genesis_binds_each_purpose_once_and_in_order() {
        assert_eq!(started(|g| g.keys.truncate(4)), "genesis-keys");
        assert_eq!(started(|g| g.keys.swap(0, 1)), "genesis-keys");
        assert_eq!(started(|g| g.keys[1] = g.keys[0]), "genesis-keys");
    }

    #[test]
    fn a_genesis_gives_its_ledger_the_id_that_follows_from_it() {
        let forged =
            World::empty().forge(Payload::Genesis(genesis()), &[ROOT], |b| b.ledger = LedgerId([1; 32]));
        assert_eq!(forged.unwrap_err().code(), "ledger-mismatch");
    }

    #[test]
    fn an_entry_belongs_to_this_ledger() {
        assert_eq!(forged(|b| b.ledger = LedgerId([1; 32])), "ledger-mismatch");
    }

    #[test]
    fn places_have_no_gaps_and_no_doubles() {
        assert_eq!(forged(|b| b.seq += 1), "seq");
        assert_eq!(forged(|b| b.seq -= 1), "seq");
        assert_eq!(forged(|b| b.seq = u64::MAX), "seq");
    }

    #[test]
    fn an_entry_names_the_one_before_it() {
        assert_eq!(forged(|b| b.prev = Hash::ZERO), "prev");
    }

    #[test]
    fn time_and_boot_never_go_back() {
        assert_eq!(forged(|b| b.time_ms -= 1), "time-back");
        assert_eq!(forged(|b| b.boot -= 1), "boot-back");
    }

    #[test]
    fn an_entry_is_of_the_epoch_in_force() {
        assert_eq!(forged(|b| b.epoch = 1), "unknown-epoch");
    }

    #[test]
    fn only_public_kinds_stand_in_the_public_stream_and_always() {
        let header = StreamHeader { id: PUBLIC_STREAM, sseq: 3, sprev: Hash::ZERO };
        assert_eq!(forged(|b| b.stream = Some(header)), "stream-header");
        let unit = |change: fn(&mut Body)| {
            world().forge(unit(weft_protocol::ids::UnitId(5), "meal"), &[ROOT], change).unwrap_err().code()
        };
        assert_eq!(unit(|b| b.stream = None), "stream-header");
        assert_eq!(
            unit(|b| b.stream = b.stream.map(|h| StreamHeader { sseq: h.sseq + 1, ..h })),
            "stream-place"
        );
        assert_eq!(
            unit(|b| b.stream = b.stream.map(|h| StreamHeader { sprev: Hash::ZERO, ..h })),
            "stream-place"
        );
    }
}

mod operations {
    use super::*;

    #[test]
    fn an_operation_is_done_once_by_whoever_signed_it() {
        let mut world = world();
        world.must(pay(2, 3, HOUR, 1), &[own(2)]);
        let again = world.written.last().unwrap().clone();
        assert_eq!(world.submit(&again).unwrap_err().code(), "op-done");
    }

    /// An operation used to count for its first signer only: a node could append one with two signatures once more with the
    /// signatures in another order, and the payer paid twice.
    #[test]
    fn an_operation_is_not_new_because_its_signatures_stand_in_another_order() {
        let mut world = world();
        world.must(pay(2, 3, HOUR, 1), &[own(2), coordinator(1)]);
        let done = world.written.last().unwrap().clone();
        let turned = SignedOp { auth: done.auth.iter().rev().cloned().collect(), ..done.clone() };
        let alone = SignedOp { auth: vec![done.auth[0].clone()], ..done };
        assert_eq!(world.submit(&turned).unwrap_err().code(), "op-done");
        assert_eq!(world.submit(&alone).unwrap_err().code(), "op-done");
    }

    #[test]
    fn an_operation_lives_until_its_time_and_at_most_35_days() {
        let mut world = world();
        let mut op = world.op(pay(2, 3, HOUR, 1), vec![]);
        op.not_after_ms = world.now_ms - 1;
        let late = world.sign(&op, &[own(2)]);
        assert_eq!(world.submit(&late).unwrap_err().code(), "op-expired");
        op.not_after_ms = world.now_ms + 35 * DAY_MS + 1;
        let long = world.sign(&op, &[own(2)]);
        assert_eq!(world.submit(&long).unwrap_err().code(), "op-life");
        op.not_after_ms = world.now_ms + 35 * DAY_MS;
        let longest = world.sign(&op, &[own(2)]);
        world.submit(&longest).unwrap();
    }

    #[test]
    fn an_operation_that_was_forgotten_is_too_old_to_be_done_again() {
        let mut world = world();
        world.must(pay(2, 3, HOUR, 1), &[own(2)]);
        let old = world.written.last().unwrap().clone();
        world.now_ms += 2 * DAY_MS;
        world.must(pay(2, 3, HOUR, 1), &[own(2)]);
        assert_eq!(world.submit(&old).unwrap_err().code(), "op-expired");
    }

    #[test]
    fn the_nodes_own_kinds_carry_no_signature_and_others_at_least_one() {
        let release =
            Payload::Release(Release { hold: Hash::ZERO, postings: postings(&[(1, 0, -1), (2, 0, 1)]) });
        assert_eq!(refused(release, &[own(2)]), "node-only");
        assert_eq!(refused(pay(2, 3, HOUR, 1), &[]), "unsigned");
    }
}

mod authority {
    use super::*;

    #[test]
    fn a_signature_is_of_a_known_key_in_force() {
        assert_eq!(refused(pay(2, 3, HOUR, 1), &[own(9)]), "unknown-signer");
        assert_eq!(refused(pay(2, 3, HOUR, 1), &[(1, Role::Root, How::Custody)]), "unknown-signer");
        assert_eq!(refused(pay(2, 3, HOUR, 1), &[(seed(2), Role::Node, How::OwnKey)]), "unknown-signer");
        assert_eq!(refused(pay(2, 3, HOUR, 1), &[(10, Role::Member, How::Custody)]), "unknown-signer");
    }

    #[test]
    fn a_key_that_was_taken_away_signs_nothing_any_more() {
        let mut world = world();
        world.must(changed(Some(public(99)), Some(key(seed(2)).public().signer()), None), &[ROOT]);
        assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2)]), "unknown-signer");
        world.must(pay(2, 3, HOUR, 1), &[(99, Role::Member, How::OwnKey)]);
    }

    #[test]
    fn a_role_must_be_held_to_be_signed_in() {
        assert_eq!(refused(pay(2, 3, HOUR, 1), &[coordinator(2)]), "role-not-held");
    }

    #[test]
    fn passkeys_are_not_in_this_version() {
        assert_eq!(refused(pay(2, 3, HOUR, 1), &[(seed(2), Role::Member, How::Passkey)]), "passkey-not-yet");
    }

    #[test]
    fn a_root_key_counts_once() {
        assert_eq!(refused(unit(weft_protocol::ids::UnitId(5), "meal"), &[ROOT, ROOT]), "signed-twice");
    }

    #[test]
    fn at_most_16_signatures_stand_under_an_operation() {
        assert_eq!(refused(pay(2, 3, HOUR, 1), &[own(2); 17]), "too-many-signatures");
    }

    #[test]
    fn what_the_root_set_decides_nobody_else_can() {
        for payload in [
            granted(2, Role::Treasurer, true),
            unit(weft_protocol::ids::UnitId(5), "meal"),
            bound(Purpose::Log, 1, public(50)),
            rule(&world(), |_| {}),
        ] {
            for signs in [[coordinator(1)], [own(2)], [DESK], [DESK_COORDINATOR]] {
                assert_eq!(refused(payload.clone(), &signs), "root-quorum");
            }
        }
    }

    #[test]
    fn accounts_are_kept_by_coordinators_and_operators() {
        for payload in [opened(9, OwnerKind::Member, None), changed(None, None, Some(false)), closed(2)] {
            for signs in [[own(2)], [own(1)], [DESK], [(14, Role::Treasurer, How::Paper)]] {
                assert_eq!(refused(payload.clone(), &signs), "office-needed");
            }
            for signs in [[coordinator(1)], [DESK_COORDINATOR], [ROOT], [(14, Role::Operator, How::Spoken)]] {
                world().must(payload.clone(), &signs);
            }
        }
    }

    #[test]
    fn who_has_a_key_is_debited_by_that_key_alone() {
        for signs in [[DESK], [DESK_COORDINATOR], [ROOT], [own(1)], [coordinator(1)]] {
            assert_eq!(refused(pay(2, 3, HOUR, 1), &signs), "not-authorised");
        }
        world().must(pay(2, 3, HOUR, 1), &[own(2)]);
    }

    #[test]
    fn who_has_no_key_is_debited_through_the_desk_alone() {
        for signs in [[ROOT], [own(1)], [coordinator(1)]] {
            assert_eq!(refused(pay(3, 2, HOUR, 1), &signs), "not-authorised");
        }
        for how in [How::Custody, How::Paper, How::Spoken] {
            world().must(pay(3, 2, HOUR, 1), &[(14, Role::Helper, how)]);
        }
    }

    #[test]
    fn a_pool_is_debited_by_an_office() {
        let mut world = world();
        world.must(opened(4, OwnerKind::Pool, None), &[ROOT]);
        for signs in [[DESK], [own(1)]] {
            assert_eq!(world.refusal(pay(4, 2, HOUR, 1), &signs), "not-authorised");
        }
        for signs in [[coordinator(1)], [DESK_COORDINATOR], [ROOT], [(14, Role::Treasurer, How::Custody)]] {
            world.must(pay(4, 2, HOUR, 1), &signs);
        }
    }

    #[test]
    fn a_payment_of_two_payers_needs_both() {
        let both = transfer(&[(1, 0, -5), (2, 0, -5), (3, 0, 10)]);
        assert_eq!(refused(both.clone(), &[own(2)]), "not-authorised");
        world().must(both, &[own(2), own(1)]);
    }

    #[test]
    fn only_offices_are_granted() {
        for role in [Role::Member, Role::Root, Role::Node] {
            assert_eq!(refused(granted(2, role, true), &[ROOT]), "role-not-grantable");
        }
        assert_eq!(refused(granted(2, Role::Helper, false), &[ROOT]), "nothing-to-do");
    }

    #[test]
    fn a_rule_names_what_gives_the_right_to_set_it() {
        let rule = LimitRule { unit: HOUR, account: Some(account(2)), owner: None, below: None, above: None };
        let payload = Payload::RuleSet(RuleSet { authority: Hash([1; 32]), rule: Rule::Limit(rule) });
        assert_eq!(refused(payload, &[ROOT]), "authority-unknown");
    }

    #[test]
    fn a_signature_that_was_altered_or_relabelled_does_not_verify() {
        assert_eq!(forged(|b| b.auth[0].sig.0[9] ^= 1), "signature");
        let custody =
            |change: fn(&mut Body)| world().forge(pay(3, 2, HOUR, 1), &[DESK], change).unwrap_err().code();
        assert_eq!(custody(|b| b.auth[0].how = How::Paper), "signature");
        assert_eq!(custody(|b| b.auth[0].role = Role::Helper), "signature");
    }
}

mod keys {
    use super::*;

    #[test]
    fn a_root_set_has_ordered_keys_and_a_threshold_it_can_meet() {
        assert_eq!(started(|g| g.root.keys = vec![]), "root-set");
        assert_eq!(started(|g| g.root.threshold = 0), "root-set");
        assert_eq!(started(|g| g.root.threshold = 2), "root-set");
        assert_eq!(started(|g| g.root.keys.push(g.root.keys[0])), "root-set-order");
        assert_eq!(started(|g| g.root.keys.extend([KeyBytes([0xff; 32]); 15])), "root-set");
        assert_eq!(started(|g| g.root.keys.push(KeyBytes([0xff; 32]))), "key");
    }

    #[test]
    fn weak_keys_and_keys_that_are_no_points_are_refused_everywhere() {
        let weak = KeyBytes::ZERO;
        assert_eq!(started(|g| g.keys[0].key = weak), "key");
        assert_eq!(started(|g| g.keys[2].key = weak), "key");
        assert_eq!(refused(changed(Some(weak), None, None), &[ROOT]), "key");
        assert_eq!(refused(bound(Purpose::Witness, 1, KeyBytes([0xff; 32])), &[ROOT]), "key");
    }

    #[test]
    fn epochs_of_a_key_have_no_gaps_and_a_key_comes_once() {
        assert_eq!(refused(bound(Purpose::Log, 0, public(50)), &[ROOT]), "key-epoch");
        assert_eq!(refused(bound(Purpose::Log, 2, public(50)), &[ROOT]), "key-epoch");
        assert_eq!(refused(bound(Purpose::Log, 1, public(10)), &[ROOT]), "key-reused");
    }

    #[test]
    fn a_signer_id_belongs_to_one_account_for_ever() {
        assert_eq!(refused(opened(9, OwnerKind::Member, Some(seed(2))), &[ROOT]), "signer-exists");
        for of_the_network in [1, 10, 11, 13, 14] {
            assert_eq!(refused(opened(9, OwnerKind::Member, Some(of_the_network)), &[ROOT]), "signer-exists");
        }
        let mut world = world();
        world.must(changed(None, Some(key(seed(2)).public().signer()), None), &[ROOT]);
        assert_eq!(world.refusal(changed(Some(public(seed(2))), None, None), &[ROOT]), "signer-exists");
    }

    #[test]
    fn an_account_has_at_most_eight_keys() {
        let mut world = world();
        for seed in 30..37 {
            world.must(changed(Some(public(seed)), None, None), &[ROOT]);
        }
        assert_eq!(world.refusal(changed(Some(public(37)), None, None), &[ROOT]), "too-many-keys");
    }

    #[test]
    fn a_signature_has_64_bytes() {
        assert_eq!(forged(|b| b.auth[0].sig = Blob(vec![0; 63])), "signature-length");
    }
}

mod members_and_units {
    use super::*;

    #[test]
    fn an_account_is_opened_once_and_never_for_a_peer_or_the_network() {
        assert_eq!(refused(opened(2, OwnerKind::Member, None), &[ROOT]), "account-exists");
        assert_eq!(refused(opened(9, OwnerKind::Peer, None), &[ROOT]), "owner-kind");
        assert_eq!(refused(opened(9, OwnerKind::Own, None), &[ROOT]), "owner-kind");
    }

    #[test]
    fn only_an_organisation_is_an_anchor() {
        assert_eq!(refused(changed(None, None, Some(true)), &[ROOT]), "anchor-owner");
    }

    #[test]
    fn a_change_changes_something_that_is_there() {
        assert_eq!(refused(changed(None, None, None), &[ROOT]), "nothing-to-do");
        assert_eq!(refused(changed(None, Some(Signer([1; 8])), None), &[ROOT]), "unknown-signer");
    }

    #[test]
    fn accounts_that_are_not_there_are_named() {
        assert_eq!(refused(closed(9), &[ROOT]), "unknown-account");
        assert_eq!(refused(pay(2, 9, HOUR, 1), &[own(2)]), "unknown-account");
        assert_eq!(refused(granted(9, Role::Helper, true), &[ROOT]), "unknown-account");
    }

    #[test]
    fn an_account_is_closed_empty_and_then_does_nothing() {
        let (mut world, _) = paid();
        assert_eq!(world.refusal(closed(3), &[ROOT]), "not-empty");
        world.must(pay(3, 2, HOUR, 10), &[DESK]);
        world.must(closed(3), &[ROOT]);
        assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2)]), "account-closed");
        assert_eq!(world.refusal(closed(3), &[ROOT]), "account-closed");
        world.must(closed(2), &[ROOT]);
        assert_eq!(world.refusal(pay(2, 1, HOUR, 1), &[own(2)]), "unknown-signer");
    }

    #[test]
    fn an_account_with_a_payment_under_way_is_not_closed() {
        let mut world = world();
        world.must(pay(1, 2, HOUR, 5), &[own(1)]);
        world.must(hold(2, 5), &[own(2)]);
        assert_eq!(world.refusal(closed(2), &[ROOT]), "holds-open");
    }

    #[test]
    fn a_unit_has_a_code_a_name_and_a_scale_within_bounds_and_comes_once() {
        let defined = |change: fn(&mut UnitDefined)| {
            let Payload::UnitDefined(mut defined) = unit(weft_protocol::ids::UnitId(5), "meal") else {
                return String::new();
            };
            change(&mut defined);
            refused(Payload::UnitDefined(defined), &[ROOT])
        };
        assert_eq!(defined(|u| u.code = String::new()), "unit-code");
        assert_eq!(defined(|u| u.code = "a".repeat(17)), "unit-code");
        assert_eq!(defined(|u| u.code = "Meal".into()), "unit-code");
        assert_eq!(defined(|u| u.name = String::new()), "name-length");
        assert_eq!(defined(|u| u.name = "é".repeat(33)), "name-length");
        assert_eq!(defined(|u| u.scale = 7), "unit-scale");
        assert_eq!(defined(|u| u.unit = HOUR), "unit-exists");
        assert_eq!(defined(|u| u.code = "hour".into()), "unit-exists");
    }
}

mod rules_and_limits {
    use super::*;

    #[test]
    fn a_limit_is_for_one_account_or_one_kind_of_holder() {
        assert_eq!(refused_rule(|r| r.account = None), "limit-scope");
        assert_eq!(refused_rule(|r| r.owner = Some(OwnerKind::Member)), "limit-scope");
        for owner in [OwnerKind::Peer, OwnerKind::Own] {
            assert_eq!(refused_rule(|r| (r.account, r.owner) = (None, Some(owner))), "limit-scope");
        }
        assert_eq!(refused_rule(|r| r.account = Some(own_accounts::hold())), "owner-kind");
        assert_eq!(refused_rule(|r| r.account = Some(account(9))), "unknown-account");
        assert_eq!(refused_rule(|r| r.unit.0 = 9), "unknown-unit");
    }

    #[test]
    fn the_levels_of_a_limit_rise_and_there_is_one() {
        assert_eq!(refused_rule(|r| r.below = Some(levels(2, 1, 3))), "levels-order");
        assert_eq!(refused_rule(|r| r.above = Some(levels(1, 3, 2))), "levels-order");
        assert_eq!(refused_rule(|r| r.above = Some(Levels::default())), "nothing-to-do");
    }

    #[test]
    fn a_limit_warns_then_stops_then_stands_firm() {
        let mut world = world();
        world.limit(2, levels(10, 20, 30));
        assert_eq!(world.must(pay(2, 3, HOUR, 10), &[own(2)]).transition.notices, []);
        let warned = world.must(pay(2, 3, HOUR, 10), &[own(2)]).transition.notices;
        assert!(matches!(warned[..], [Notice::NearLimit { balance: -20, .. }]));
        assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2)]), "limit-stop");
        let lifted = world.must(pay(2, 3, HOUR, 10), &[own(2), coordinator(1)]).transition.notices;
        assert!(matches!(lifted[..], [Notice::StopLifted { balance: -30, .. }]));
        assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2), coordinator(1)]), "limit-firm");
        assert_eq!(world.refusal(hold(2, 1), &[own(2)]), "limit-firm");
    }

    #[test]
    fn paying_back_towards_zero_is_never_stopped() {
        let mut world = world();
        world.must(pay(2, 3, HOUR, 50), &[own(2)]);
        world.limit(2, levels(1, 2, 3));
        world.must(pay(3, 2, HOUR, 10), &[DESK]);
        assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2)]), "limit-firm");
    }

    #[test]
    fn the_rule_of_an_account_goes_before_that_of_its_kind_and_each_is_replaced_as_a_whole() {
        let mut world = world();
        let tight = rule(&world, |r| {
            (r.account, r.owner, r.below) = (None, Some(OwnerKind::Member), Some(levels(1, 2, 3)))
        });
        world.must(tight, &[ROOT]);
        assert_eq!(world.refusal(pay(2, 3, HOUR, 4), &[own(2)]), "limit-firm");
        world.limit(2, levels(10, 20, 30));
        world.must(pay(2, 3, HOUR, 4), &[own(2)]);
        let none = rule(&world, |_| {});
        world.must(none, &[ROOT]);
        world.must(pay(2, 3, HOUR, 400), &[own(2)]);
    }

    #[test]
    fn a_limit_above_binds_the_receiver() {
        let mut world = world();
        let above = rule(&world, |r| (r.account, r.above) = (Some(account(3)), Some(levels(5, 10, 20))));
        world.must(above, &[ROOT]);
        assert_eq!(world.refusal(pay(2, 3, HOUR, 11), &[own(2)]), "limit-stop");
        world.must(pay(2, 3, HOUR, 11), &[own(2), coordinator(1)]);
    }
}

mod transfers {
    use super::*;

    #[test]
    fn a_movement_has_one_form() {
        let by = |lines: &[(u8, u16, i64)]| refused(transfer(lines), &[own(2), own(1)]);
        assert_eq!(by(&[]), "nothing-to-do");
        assert_eq!(by(&[(2, 0, 1), (1, 0, -1)]), "posting-order");
        assert_eq!(by(&[(2, 1, -1), (2, 0, 1)]), "posting-order");
        assert_eq!(by(&[(2, 0, -1), (2, 0, 1)]), "posting-order");
        assert_eq!(by(&[(1, 0, 0), (2, 0, 0)]), "posting-amount");
        assert_eq!(by(&[(1, 0, i64::MAX), (2, 0, -i64::MAX)]), "posting-amount");
        assert_eq!(by(&[(1, 0, i64::MIN), (2, 0, 1)]), "posting-amount");
        assert_eq!(by(&[(1, 0, 2), (2, 0, -1)]), "sum-not-zero");
        assert_eq!(by(&[(1, 0, 1), (2, 1, -1)]), "sum-not-zero");
        assert_eq!(by(&[(1, 7, 1), (2, 7, -1)]), "unknown-unit");
    }

    #[test]
    fn a_balance_stays_within_two_to_the_62() {
        let mut world = world();
        let most = 1 << 62;
        world.must(transfer(&[(1, 0, most), (2, 0, -most)]), &[own(2)]);
        assert_eq!(world.refusal(pay(2, 1, HOUR, 1), &[own(2)]), "balance-overflow");
    }

    #[test]
    fn nobody_posts_to_an_account_of_the_network() {
        let postings = move_value(account(2), own_accounts::hold(), HOUR, amount(1));
        let payload = Payload::Transfer(Transfer { postings, when_day: None });
        assert_eq!(refused(payload, &[own(2)]), "owner-kind");
    }

    #[test]
    fn a_transfer_is_reversed_once_and_as_a_whole() {
        let (mut world, seq) = paid();
        assert_eq!(
            world.refusal(reversal(seq, &[(2, 0, 9), (3, 0, -9)]), &[coordinator(1)]),
            "reversal-differs"
        );
        assert_eq!(
            world.refusal(reversal(seq, &[(2, 0, -10), (3, 0, 10)]), &[coordinator(1)]),
            "reversal-differs"
        );
        assert_eq!(
            world.refusal(reversal(seq + 1, &[(2, 0, 10), (3, 0, -10)]), &[coordinator(1)]),
            "not-reversible"
        );
        world.must(reversal(seq, &[(2, 0, 10), (3, 0, -10)]), &[coordinator(1)]);
        assert_eq!(
            world.refusal(reversal(seq, &[(2, 0, 10), (3, 0, -10)]), &[coordinator(1)]),
            "already-reversed"
        );
    }

    #[test]
    fn a_reversal_needs_the_receiver_or_a_coordinator() {
        let (mut world, seq) = paid();
        let back = reversal(seq, &[(2, 0, 10), (3, 0, -10)]);
        assert_eq!(world.refusal(back.clone(), &[own(2)]), "not-authorised");
        world.must(back, &[DESK]);
    }

    #[test]
    fn a_reversal_passes_limits() {
        let (mut world, seq) = paid();
        world.must(pay(3, 1, HOUR, 10), &[DESK]);
        world.limit(3, levels(0, 0, 0));
        world.must(reversal(seq, &[(2, 0, 10), (3, 0, -10)]), &[coordinator(1)]);
    }

    #[test]
    fn a_transfer_is_reversible_for_60_days_and_then_forgotten() {
        let (mut world, seq) = paid();
        let back = reversal(seq, &[(2, 0, 10), (3, 0, -10)]);
        world.now_ms += 60 * DAY_MS;
        world.must(pay(2, 1, HOUR, 1), &[own(2)]);
        assert!(world.state.transfers.contains_key(&seq), "60 days are not over");
        world.now_ms += 1;
        world.must(pay(2, 1, HOUR, 1), &[own(2)]);
        assert_eq!(world.refusal(back, &[coordinator(1)]), "not-reversible");
    }

    #[test]
    fn a_hold_names_one_sidecar_and_another_network() {
        let mut world = world();
        for sidecars in [vec![], vec![Hash([1; 32]), Hash([2; 32])]] {
            let op = world.op(hold(2, 5), sidecars);
            let signed = world.sign(&op, &[own(2)]);
            assert_eq!(world.submit(&signed).unwrap_err().code(), "hold-sidecar");
        }
        let payee_network = world.ledger();
        let home = Hold { account: account(2), unit: HOUR, amount: amount(5), payee_network, when_day: None };
        assert_eq!(world.refusal(Payload::Hold(home), &[own(2)]), "own-network");
        assert_eq!(world.refusal(hold(2, 5), &[DESK]), "not-authorised");
    }

    #[test]
    fn a_release_gives_back_exactly_what_was_held_and_once() {
        let mut world = world();
        let leaf = world.must(hold(2, 5), &[own(2)]).entry.leaf();
        let release = |to: AccountId, minor: i64| {
            let postings = move_value(own_accounts::hold(), to, HOUR, amount(minor));
            Payload::Release(Release { hold: leaf, postings })
        };
        assert_eq!(world.refusal(release(account(2), 4), &[]), "postings-differ");
        assert_eq!(world.refusal(release(account(1), 5), &[]), "postings-differ");
        world.must(release(account(2), 5), &[]);
        assert_eq!(world.refusal(release(account(2), 5), &[]), "unknown-hold");
    }

    #[test]
    fn the_other_halves_of_clearing_need_a_claim() {
        let claim = weft_protocol::ids::ClaimId([1; 32]);
        let postings = postings(&[(1, 0, -1), (2, 0, 1)]);
        let end = End { claim, part: 0, closing: Hash::ZERO, postings: postings.clone() };
        assert_eq!(refused(Payload::End(end), &[]), "unknown-claim");
        assert_eq!(
            refused(Payload::Credit(Credit { claim, account: account(2), postings }), &[]),
            "unknown-claim"
        );
    }
}

mod form {
    use super::*;

    #[test]
    fn an_entry_that_is_too_long_is_none() {
        let lines: Vec<_> = (0..64).map(|n| (n, 0, if n < 32 { -(1 << 40) } else { 1 << 40 })).collect();
        let mut world = world();
        let op = world.op(transfer(&lines), vec![Hash([1; 32]); 64]);
        let signed = world.sign(&op, &[own(2); 8]);
        assert_eq!(world.submit(&signed).unwrap_err().code(), "entry");
    }

    #[test]
    fn more_than_64_postings_are_no_list() {
        let lines: Vec<_> = (0..65).map(|n| (n, 0, 1)).collect();
        assert_eq!(refused(transfer(&lines), &[own(2)]), "entry");
    }

    #[test]
    fn bytes_before_after_or_inside_an_entry_make_it_none() {
        let (world, _) = paid();
        let good = world.entries.last().unwrap().bytes();
        assert!(Entry::parse(good).is_ok());
        assert!(Entry::parse(&[good, &[0]].concat()).is_err());
        assert!(Entry::parse(&[&[0x82], good].concat()).is_err());
        assert!(Entry::parse(&good[..good.len() - 1]).is_err());
    }

    #[test]
    fn a_kind_and_a_version_of_the_future_are_refused() {
        assert_eq!(forged(|b| b.kind = 0x0601), "entry");
        assert_eq!(forged(|b| b.v = 2), "entry");
    }
}
