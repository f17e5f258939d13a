//! Splits against a search over all ways of sharing an amount out.

use super::*;
use crate::federation::route::Measure;
use proptest::prelude::*;

const UNIT: UnitId = UnitId(0);

fn network(n: u8) -> LedgerId {
    LedgerId([n; 32])
}

fn stop(n: u8) -> Stop {
    (network(n), UNIT)
}

fn offer(to: u8, sure: u64, below: u64) -> HopOffer {
    HopOffer { to: stop(to), pair: 0, version: 1, rate: (1, 1), measure: Measure::Here, sure, below }
}

fn map(hops: &[(u8, u8, u64)]) -> HopMap {
    let mut map = HopMap::default();
    for (from, to, sure) in hops {
        map.add(stop(*from), offer(*to, *sure, *sure + 1));
    }
    map
}

/// The split of an amount from 0 to 9: networks of each way, and what goes over it.
fn split(map: &HopMap, amount: u64) -> Option<Vec<(Vec<u8>, u64)>> {
    let none = BTreeSet::new();
    let search = Search { from: stop(0), payee: network(9), amount, failed: &none, most: 1 };
    let names = |path: &Path| path.ledgers.iter().map(|ledger| ledger.0[0]).collect();
    Some(map.split(&search)?.iter().map(|(path, amount)| (names(path), *amount)).collect())
}

#[test]
fn an_amount_too_large_for_any_way_goes_over_two_the_shorter_filled_first() {
    let map = map(&[(0, 1, 60), (1, 9, 60), (0, 2, 70), (2, 3, 70), (3, 9, 70)]);
    assert_eq!(split(&map, 100), Some(vec![(vec![0, 1, 9], 60), (vec![0, 2, 3, 9], 40)]));
    assert_eq!(split(&map, 130), Some(vec![(vec![0, 2, 3, 9], 70), (vec![0, 1, 9], 60)]));
    assert_eq!(split(&map, 131), None);
}

#[test]
fn what_the_first_way_took_is_turned_back_where_that_lets_more_through() {
    // The shortest way 0-1-4-9 stands in the way of 0-1-5-6-9 and 0-2-3-4-9, which carry both only without it.
    let map = map(&[
        (0, 1, 10),
        (1, 4, 10),
        (4, 9, 10),
        (1, 5, 10),
        (5, 6, 10),
        (6, 9, 10),
        (0, 2, 10),
        (2, 3, 10),
        (3, 4, 10),
    ]);
    let mut parts = split(&map, 20).expect("there are two ways");
    parts.sort();
    assert_eq!(parts, [(vec![0, 1, 5, 6, 9], 10), (vec![0, 2, 3, 4, 9], 10)]);
}

#[test]
fn nine_ways_are_too_many_and_seven_hops_too_long() {
    let nine: Vec<(u8, u8, u64)> = (10..19).flat_map(|n| [(0, n, 1), (n, 9, 1)]).collect();
    assert_eq!(split(&map(&nine), 8).map(|parts| parts.len()), Some(8));
    assert_eq!(split(&map(&nine), 9), None);
    let chain: Vec<(u8, u8, u64)> =
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 9)].map(|(a, b)| (a, b, 5)).to_vec();
    assert_eq!(split(&map(&chain), 5), None);
}

#[test]
fn hops_that_failed_or_may_be_full_are_used_when_nothing_else_carries_it() {
    let mut map = map(&[(0, 1, 60), (1, 9, 60)]);
    map.add(stop(0), offer(2, 0, 50));
    map.add(stop(2), offer(9, 10, 50));
    assert_eq!(split(&map, 100), Some(vec![(vec![0, 1, 9], 60), (vec![0, 2, 9], 40)]));
    assert_eq!(split(&map, 110), None);
    let failed = BTreeSet::from([(network(1), network(9))]);
    let search = Search { from: stop(0), payee: network(9), amount: 100, failed: &failed, most: 1 };
    assert_eq!(map.split(&search).map(|parts| parts.len()), Some(2));
}

/// The least sum of amount times hops over all ways of sharing out; `None` when nothing carries it. Small maps only.
fn least(hops: &mut Vec<(u8, u8, u64)>, amount: u64) -> Option<u64> {
    if amount == 0 {
        return Some(0);
    }
    // Unit by unit, each over any simple way.
    let mut best: Option<u64> = None;
    for way in ways(hops, vec![0]) {
        let places: Vec<usize> = way
            .windows(2)
            .map(|pair| hops.iter().position(|h| (h.0, h.1) == (pair[0], pair[1])).expect("it was taken"))
            .collect();
        places.iter().for_each(|place| hops[*place].2 -= 1);
        let rest = least(hops, amount - 1);
        places.iter().for_each(|place| hops[*place].2 += 1);
        let cost = rest.map(|rest| rest + places.len() as u64);
        best = best.into_iter().chain(cost).min();
    }
    best
}

fn ways(hops: &[(u8, u8, u64)], so_far: Vec<u8>) -> Vec<Vec<u8>> {
    let at = *so_far.last().expect("it begins somewhere");
    if at == 9 {
        return vec![so_far];
    }
    let next = hops.iter().filter(|(from, to, room)| *from == at && *room > 0 && !so_far.contains(to));
    next.flat_map(|(_, to, _)| ways(hops, so_far.iter().copied().chain([*to]).collect())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_split_carries_the_amount_within_all_rooms_and_none_is_cheaper(
        rooms in proptest::collection::vec(0_u64..3, 12),
        amount in 1_u64..4,
    ) {
        const PAIRS: [(u8, u8); 12] = [
            (0, 1), (0, 2), (0, 3), (1, 2), (2, 1), (2, 3), (3, 2), (1, 9), (2, 9), (3, 9), (1, 3), (3, 1),
        ];
        let mut hops: Vec<(u8, u8, u64)> =
            PAIRS.iter().zip(&rooms).map(|((from, to), room)| (*from, *to, *room)).collect();
        let found = split(&map(&hops), amount);
        let expected = least(&mut hops, amount);
        prop_assert_eq!(found.is_some(), expected.is_some(), "{:?}", hops);
        if let (Some(parts), Some(expected)) = (found, expected) {
            let mut used: BTreeMap<(u8, u8), u64> = BTreeMap::new();
            let mut cost = 0;
            for (way, amount) in &parts {
                cost += amount * (way.len() as u64 - 1);
                way.windows(2).for_each(|pair| *used.entry((pair[0], pair[1])).or_default() += amount);
            }
            prop_assert_eq!(parts.iter().map(|(_, amount)| amount).sum::<u64>(), amount);
            for ((from, to), used) in used {
                let room = hops.iter().find(|h| (h.0, h.1) == (from, to)).map_or(0, |h| h.2);
                prop_assert!(used <= room, "{} to {}: {} of {}", from, to, used, room);
            }
            prop_assert_eq!(cost, expected, "{:?} over {:?}", parts, hops);
        }
    }
}
