//! Log keys that change: who may sign a checkpoint at the change, and what a revocation stands by.

use super::*;
use crate::ledger::identity::LastGood;
use crate::log::tree::root_of;

/// What a memory's checkpoint says when one of the network's log keys signs it.
fn signed_by(memory: &Memory, network: &TestNetwork, epoch: u32) -> Memory {
    let mut again = memory.clone();
    again.seal(&network.ledger(), &network.log_key_of(epoch));
    again
}

#[test]
fn a_checkpoint_at_a_change_of_keys_is_signed_by_the_key_before_or_the_key_after_it() {
    let mut hull = TestNetwork::new(1);
    hull.member();
    hull.rotate_log().unwrap();
    let memory = Memory::of(&hull);
    for epoch in [0, 1] {
        assert_eq!(wrong(&signed_by(&memory, &hull, epoch).audit(&Options::default())), Vec::<String>::new());
    }
    hull.member();
    let later = Memory::of(&hull);
    assert_eq!(wrong(&signed_by(&later, &hull, 1).audit(&Options::default())), Vec::<String>::new());
    let before = wrong(&signed_by(&later, &hull, 0).audit(&Options::default()));
    assert!(before[0].contains("the checkpoint is not this ledger's"), "{before:?}");
}

#[test]
fn a_revocation_that_stands_by_another_history_is_found() {
    let (mut hull, _) = two_networks();
    let mut honest = hull.clone();
    honest.revoke_log(7).unwrap();
    assert_eq!(wrong(&Memory::of(&honest).audit(&Options::default())), Vec::<String>::new());
    let root = root_of(hull.own().iter().take(8).map(Entry::leaf));
    hull.revoke_log_standing_by(LastGood { size: 7, root }).unwrap();
    let said = wrong(&Memory::of(&hull).audit(&Options::default()));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("the revocation of log key 0 stands by 7 entries that are not those here"),
        "{said:?}"
    );
}

#[test]
fn a_revocation_from_before_what_a_witness_has_cosigned_is_found_by_who_kept_the_checkpoint() {
    let (mut hull, lansing) = two_networks();
    let kept = Memory::of(&hull);
    let entries = kept.own.len();
    hull.revoke_log(7).unwrap();
    let memory = Memory::of(&hull);
    let with = |earlier: &Memory| {
        let bytes = earlier.checkpoint.as_ref().unwrap().as_bytes().to_vec();
        let earlier = Some(NamedBytes { file: "kept".into(), bytes });
        memory.audit(&Options { earlier, ..Options::default() })
    };
    assert_eq!(wrong(&with(&kept)), Vec::<String>::new());
    let said = wrong(&with(&cosigned(&kept, &[&lansing])));
    let wanted = format!("stands by 7 entries only, and a witness has cosigned {entries} under that key");
    assert!(said.len() == 1 && said[0].contains(&wanted), "{said:?}");
}
