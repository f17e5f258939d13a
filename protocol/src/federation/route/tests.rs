//! Ways against a search that looks at every simple path.

use super::*;
use proptest::prelude::*;

const UNIT: UnitId = UnitId(0);

fn network(n: u8) -> LedgerId {
    LedgerId([n; 32])
}

fn stop(n: u8) -> Stop {
    (network(n), UNIT)
}

fn offer(to: u8, sure: u64) -> HopOffer {
    HopOffer {
        to: stop(to),
        pair: 0,
        version: 1,
        rate: (1, 1),
        measure: Measure::Here,
        sure,
        below: sure * 2 + 2,
    }
}

fn map(hops: &[(u8, u8, u64)]) -> HopMap {
    let mut map = HopMap::default();
    for (from, to, sure) in hops {
        map.add(stop(*from), offer(*to, *sure));
    }
    map
}

fn search(payee: u8, amount: u64, failed: &BTreeSet<(LedgerId, LedgerId)>, most: usize) -> Search<'_> {
    Search { from: stop(0), payee: network(payee), amount, failed, most }
}

fn names(ways: &[Way]) -> Vec<Vec<u8>> {
    ways.iter().map(|way| way.route.ledgers.iter().map(|ledger| ledger.0[0]).collect()).collect()
}

#[test]
fn the_shortest_way_comes_first_and_the_others_follow_in_order() {
    let none = BTreeSet::new();
    let hops = [(0, 1, 100), (1, 9, 100), (0, 2, 100), (2, 9, 100), (0, 3, 100), (3, 2, 100)];
    let ways = map(&hops).ways(&search(9, 50, &none, 9));
    assert_eq!(names(&ways), [vec![0, 1, 9], vec![0, 2, 9], vec![0, 3, 2, 9]]);
    assert_eq!(ways[0].route.hops, [(0, 1), (0, 1)]);
    assert_eq!(names(&map(&hops).ways(&search(9, 50, &none, 1))), [vec![0, 1, 9]]);
}

#[test]
fn a_way_with_room_for_sure_is_taken_before_a_shorter_one_that_may_be_full_and_a_full_one_never() {
    let none = BTreeSet::new();
    let hops = [(0, 9, 20), (0, 1, 100), (1, 9, 100)];
    assert_eq!(names(&map(&hops).ways(&search(9, 30, &none, 9))), [vec![0, 1, 9], vec![0, 9]]);
    assert_eq!(names(&map(&hops).ways(&search(9, 42, &none, 9))), [vec![0, 1, 9]]);
    assert_eq!(names(&map(&hops).ways(&search(9, 500, &none, 9))), Vec::<Vec<u8>>::new());
}

#[test]
fn what_has_failed_lately_is_tried_last() {
    let failed = BTreeSet::from([(network(1), network(9))]);
    let hops = [(0, 1, 100), (1, 9, 100), (0, 2, 100), (2, 3, 100), (3, 9, 100)];
    assert_eq!(names(&map(&hops).ways(&search(9, 5, &failed, 9))), [vec![0, 2, 3, 9], vec![0, 1, 9]]);
}

#[test]
fn six_hops_are_a_way_and_seven_are_none() {
    let none = BTreeSet::new();
    let chain: Vec<(u8, u8, u64)> = (0..8).map(|n| (n, n + 1, 100)).collect();
    assert_eq!(map(&chain).ways(&search(6, 5, &none, 9)).len(), 1);
    assert_eq!(map(&chain).ways(&search(7, 5, &none, 9)).len(), 0);
    let reached = map(&chain).within_reach(BTreeSet::from([network(1)]));
    assert_eq!(reached, (1..=6).map(network).collect());
}

#[test]
fn a_network_passes_on_in_the_unit_in_which_it_received() {
    let none = BTreeSet::new();
    let mut map = HopMap::default();
    map.add(stop(0), offer(1, 100));
    map.add((network(1), UnitId(1)), offer(9, 100));
    assert_eq!(map.ways(&search(9, 5, &none, 9)).len(), 0);
}

fn told(
    from: u8,
    to: u8,
    version: u32,
    out: u8,
    back: u8,
    rate: (u64, u64),
) -> ((LedgerId, LedgerId), Capacity) {
    let line = CapacityLine {
        pair: 0,
        unit: UNIT,
        peer_unit: UNIT,
        num: rate.0,
        den: rate.1,
        out: Bucket(out),
        back: Bucket(back),
    };
    ((network(from), network(to)), Capacity { peer: network(to), version, lines: vec![line] })
}

#[test]
fn only_what_both_ends_tell_alike_is_a_hop_and_the_smaller_room_counts() {
    let open = |_: &LedgerId| false;
    let both = BTreeMap::from([told(0, 1, 1, 8, 8, (1, 1)), told(1, 0, 1, 9, 5, (1, 1))]);
    let ways = HopMap::told(&both, &open).ways(&search(1, 10, &BTreeSet::new(), 9));
    assert_eq!(ways[0].below, [Bucket(5).below()]);
    assert_eq!(HopMap::told(&both, &|ledger| *ledger == network(1)), HopMap::default());
    for other in [told(1, 0, 2, 9, 5, (1, 1)), told(1, 0, 1, 9, 5, (2, 1))] {
        let differ = BTreeMap::from([told(0, 1, 1, 8, 8, (1, 1)), other]);
        assert_eq!(HopMap::told(&differ, &open), HopMap::default());
    }
    assert_eq!(HopMap::told(&BTreeMap::from([told(0, 1, 1, 8, 8, (1, 1))]), &open), HopMap::default());
    let unlike = BTreeMap::from([told(0, 1, 1, 8, 8, (2, 1)), told(1, 0, 1, 9, 5, (1, 2))]);
    let ways = HopMap::told(&unlike, &open).ways(&search(1, 10, &BTreeSet::new(), 9));
    assert_eq!((ways[0].exchanges, &ways[0].sums[..]), (1, &[10, 20][..]));
}

/// A hop at which `num` there are worth `den` here.
fn rated(to: u8, (num, den): (u64, u64), sure: u64) -> HopOffer {
    HopOffer { rate: (num, den), measure: Measure::Unknown, ..offer(to, sure) }
}

#[test]
fn units_are_exchanged_where_nothing_else_leads_there_and_the_best_rate_is_taken() {
    let none = BTreeSet::new();
    let mut map = map(&[(0, 1, 1_000), (0, 2, 1_000)]);
    for (at, rate) in [(1, (33, 1)), (2, (34, 1))] {
        map.add(stop(at), rated(9, rate, 1_000));
    }
    let ways = map.ways(&search(9, 4, &none, 9));
    assert_eq!(names(&ways), [vec![0, 2, 9], vec![0, 1, 9]], "34 for 1 is more than 33");
    assert_eq!(ways[0].sums, [4, 4, 136]);
    // A way on which nothing is exchanged comes first, however much arrives on another.
    map.add(stop(2), offer(3, 1_000));
    map.add(stop(3), offer(9, 1_000));
    assert_eq!(names(&map.ways(&search(9, 4, &none, 1))), [vec![0, 2, 3, 9]]);
}

#[test]
fn what_is_sent_is_what_the_hops_after_it_need_and_nothing_that_is_too_little_arrives() {
    let none = BTreeSet::new();
    let mut map = map(&[(1, 9, 1_000)]);
    map.add(stop(0), rated(1, (1, 33), 1_000));
    let sums = |amount: u64| map.ways(&search(9, amount, &none, 1)).pop().map(|way| way.sums);
    assert_eq!(sums(66), Some(vec![66, 2, 2]));
    assert_eq!(sums(65), Some(vec![33, 1, 1]), "65 buy no more than 33 do");
    assert_eq!(sums(32), None);
}

#[test]
fn a_room_in_either_unit_is_doubted_by_the_larger_and_full_by_the_smaller() {
    let none = BTreeSet::new();
    let mut map = HopMap::default();
    // Sure up to 50, none from 102 on.
    map.add(stop(0), rated(9, (10, 1), 50));
    let found = |amount: u64| map.ways(&search(9, amount, &none, 1)).pop().map(|way| way.doubtful);
    assert_eq!([5, 6, 101, 102].map(found), [Some(0), Some(1), Some(1), None]);
    let of_own = |measure| {
        let mut map = HopMap::default();
        map.add(stop(0), HopOffer { measure, ..rated(9, (10, 1), 50) });
        map.ways(&search(9, 11, &none, 1)).pop().map(|way| way.doubtful)
    };
    assert_eq!([of_own(Measure::Here), of_own(Measure::There)], [Some(0), None]);
}

#[test]
fn a_split_goes_over_nothing_that_is_exchanged() {
    let none = BTreeSet::new();
    let mut map = map(&[(0, 9, 10)]);
    map.add(stop(0), HopOffer { pair: 1, ..rated(9, (2, 1), 10) });
    assert_eq!(map.split(&search(9, 25, &none, 1)), None);
}

/// Every simple path of at most six hops, by looking at all of them.
fn naive(map: &HopMap, search: &Search<'_>) -> Vec<Cost> {
    fn walk(map: &HopMap, search: &Search<'_>, trail: &Trail, out: &mut Vec<Cost>) {
        if trail.end().0 == search.payee {
            out.push(trail.cost());
            return;
        }
        if trail.taken.len() == MAX_HOPS {
            return;
        }
        for offer in map.hops.get(&trail.end()).into_iter().flatten() {
            if let Some(longer) =
                trail.with(trail.end(), offer, search).filter(|_| !trail.visits(&offer.to.0))
            {
                walk(map, search, &longer, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(map, search, &Trail::start(search), &mut out);
    out.sort();
    out
}

proptest! {
    #[test]
    fn the_ways_found_are_the_best_of_all_that_there_are(
        hops in proptest::collection::btree_map((0_u8..8, 0_u8..8), 0_u64..60, 0..28),
        failed in proptest::collection::btree_set((0_u8..8, 0_u8..8), 0..4),
        amount in 1_u64..60,
    ) {
        let hops: Vec<(u8, u8, u64)> =
            hops.into_iter().filter(|((a, b), _)| a != b).map(|((a, b), room)| (a, b, room)).collect();
        let failed: BTreeSet<_> = failed.into_iter().map(|(a, b)| (network(a), network(b))).collect();
        let search = search(7, amount, &failed, 6);
        let map = map(&hops);
        let all = naive(&map, &search);
        let found: Vec<Cost> = map
            .ways(&search)
            .iter()
            .map(|way| {
                let arrives = Reverse(*way.sums.last().expect("a way ends somewhere"));
                let (hops, ledgers) = (way.route.hops.len(), way.route.ledgers.clone());
                (way.doubtful, way.exchanges, UNIT, arrives, hops, ledgers)
            })
            .collect();
        prop_assert_eq!(&found[..], &all[..all.len().min(6)]);
    }
}
