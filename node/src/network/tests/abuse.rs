//! Peers that break the rules or ask too much.

use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use tokio::io::AsyncWriteExt;

use super::kit::{fast, node, node_with, raw_dial, raw_peer, soon, until};
use crate::network::{Fault, Limits, Protocol, Rate, RequestError, Tier, TierRates};

#[tokio::test]
async fn an_oversize_announced_length_ends_the_connection_and_reaches_nobody() {
    let mut a = node(fast()).await;
    for wire in [u32::MAX.to_be_bytes().to_vec(), vec![0, 4, 0, 1], vec![0; 4], b"\0\0\0\x01xy".to_vec()] {
        let before = a.net.counters().bad_frames;
        let mut raw = raw_peer(Protocol::Stream);
        raw_dial(&mut raw, &a).await;
        raw.behaviour_mut().exchange.send_request(&a.peer, wire);
        soon(async { while !matches!(raw.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {} })
            .await;
        assert_eq!(a.net.counters().bad_frames, before + 1);
    }
    assert_eq!(a.net.counters().of(Protocol::Stream).requests_in.messages, 0);
    // The known peer beside it is served.
    let mut b = node(fast()).await;
    a.join(&mut b).await;
    let (_a_net, a_peer, _) = a.echo();
    assert_eq!(soon(b.net.request(a_peer, Protocol::Hello, vec![1])).await, Ok(vec![1]));
}

#[tokio::test]
async fn garbage_on_the_socket_does_no_harm() {
    let mut a = node(fast()).await;
    let port = a.addr.to_string().rsplit('/').next().unwrap().parse::<u16>().unwrap();
    let mut open = Vec::new();
    for round in 0..20_u8 {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let garbage: Vec<u8> = match round % 4 {
            0 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            1 => (0..=255).cycle().take(50_000).map(|byte: u8| byte.wrapping_mul(round)).collect(),
            2 => [b"\x13/multistream/1.0.0\n\x07/noise\n".to_vec(), vec![0xff; 5_000]].concat(),
            _ => vec![],
        };
        // The other side may hang up in the middle.
        let _ = socket.write_all(&garbage).await;
        if round % 2 == 0 {
            open.push(socket);
        }
    }
    until(|| a.net.counters().handshakes_failed >= 10).await;
    let mut b = node(fast()).await;
    a.join(&mut b).await;
    let (_a_net, a_peer, _) = a.echo();
    assert_eq!(soon(b.net.request(a_peer, Protocol::Hello, vec![1])).await, Ok(vec![1]));
}

#[tokio::test]
async fn the_thirty_third_stranger_is_turned_away_and_a_known_peer_is_not() {
    let mut a = node(fast()).await;
    let mut strangers = Vec::new();
    for _ in 0..36 {
        let stranger = node(fast()).await;
        // The handshake succeeds either way; the gate speaks after it.
        stranger.net.dial_once(a.peer, vec![a.addr.clone()]).await.unwrap();
        strangers.push(stranger);
    }
    until(|| a.net.counters().connections_denied == 4).await;
    assert_eq!(a.net.connected_peers().await.unwrap().len(), 32);

    let mut b = node(fast()).await;
    let (peer, address) = (b.peer, b.addr.clone());
    a.net.set_peer(peer, vec![]).await.unwrap();
    b.net.set_peer(a.peer, vec![a.addr.clone()]).await.unwrap();
    b.connected(a.peer).await;
    a.connected(peer).await;
    assert_eq!(a.net.connected_peers().await.unwrap().len(), 33);

    // One who becomes known frees the place of a stranger.
    a.net.set_peer(strangers[0].peer, vec![]).await.unwrap();
    let late = node(fast()).await;
    late.net.dial_once(a.peer, vec![a.addr.clone()]).await.unwrap();
    a.connected(late.peer).await;
    drop(address);
}

#[tokio::test]
async fn a_flood_from_a_stranger_is_cut_down_while_a_known_peer_is_served() {
    let slow = Rate { messages_per_s: 1, messages_burst: 5, bytes_per_s: 1_000, bytes_burst: 10_000 };
    let limits = Limits { rates: TierRates { unknown: slow, ..fast().rates }, ..fast() };
    let mut a = node(limits).await;
    let (mut known, stranger) = (node(fast()).await, node(fast()).await);
    a.join(&mut known).await;
    stranger.net.dial_once(a.peer, vec![a.addr.clone()]).await.unwrap();
    let (a_net, a_peer, _) = a.echo();

    let flood = tokio::spawn(async move {
        let mut outcomes = (0_u32, 0_u32);
        for _ in 0..300 {
            match stranger.net.request(a_peer, Protocol::Claim, vec![1]).await {
                Ok(_) => outcomes.0 += 1,
                Err(RequestError::Refused { .. }) => outcomes.1 += 1,
                Err(error) => panic!("{error}"),
            }
        }
        outcomes
    });
    for _ in 0..300 {
        assert_eq!(soon(known.net.request(a_peer, Protocol::Claim, vec![2])).await, Ok(vec![2]));
    }
    let (served, refused) = soon(flood).await.unwrap();
    assert!((5..30).contains(&served), "{served} of the flood were served");
    assert_eq!(served + refused, 300);
    assert_eq!(a_net.counters().refused_over_rate, u64::from(refused));
}

#[tokio::test]
async fn a_fourth_connection_of_one_peer_is_turned_away() {
    let a = node(fast()).await;
    let mut raw = raw_peer(Protocol::Hello);
    for _ in 0..4 {
        let options = libp2p::swarm::dial_opts::DialOpts::peer_id(a.peer)
            .condition(libp2p::swarm::dial_opts::PeerCondition::Always)
            .addresses(vec![a.addr.clone()])
            .allocate_new_port()
            .build();
        raw.dial(options).unwrap();
    }
    tokio::spawn(async move { while raw.next().await.is_some() {} });
    until(|| a.net.counters().connections_denied == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(a.net.connected_peers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_breaks_too_many_rules_is_shut_out_with_the_reason_and_let_in_again_when_asked() {
    let (mut a, b) = (node(fast()).await, node(fast()).await);
    let broken = {
        let mut raw = raw_peer(Protocol::Stream);
        for _ in 0..10 {
            raw_dial(&mut raw, &a).await;
            raw.behaviour_mut().exchange.send_request(&a.peer, u32::MAX.to_be_bytes().to_vec());
            soon(async {
                while !matches!(raw.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
            })
            .await;
        }
        *raw.local_peer_id()
    };
    let (peer, tier, why) = a.banned().await;
    assert_eq!((peer, tier, why.count(Fault::Oversize)), (broken, Tier::Unknown, 10));
    assert_eq!(why.to_string(), "it sent 10 frames longer than allowed");

    // A peer that floods is shut out too, and its standing connection ends.
    let few = Rate { messages_per_s: 0, messages_burst: 10, bytes_per_s: 1_000_000, bytes_burst: 1_000_000 };
    let limits = Limits { rates: TierRates { peer: few, ..fast().rates }, ..fast() };
    let (mut c, mut flooder) = (node(limits).await, b);
    c.join(&mut flooder).await;
    let to = c.peer;
    let flood = async || {
        let refused =
            |outcome: &Result<Vec<u8>, RequestError>| matches!(outcome, Err(RequestError::Refused { .. }));
        while refused(&flooder.net.request(to, Protocol::Stream, vec![1]).await) {}
    };
    // The first ten are let in; nobody answers them.
    for _ in 0..10 {
        let net = flooder.net.clone();
        tokio::spawn(async move { net.request(to, Protocol::Stream, vec![1]).await });
        c.asked().await;
    }
    soon(futures::future::join_all((0..16).map(|_| flood()))).await;
    let (peer, tier, why) = c.banned().await;
    assert_eq!((peer, tier), (flooder.peer, Tier::Peer));
    assert!(why.count(Fault::Flood) >= 1_900, "{why}");
    until_alone(&c).await;
    assert_eq!(c.net.counters().bans, 1);
    c.net.unblock(flooder.peer).await.unwrap();
    c.connected(flooder.peer).await;
}

#[tokio::test]
async fn who_is_shut_out_at_the_start_never_connects() {
    let b = node(fast()).await;
    let a = node_with([5; 32], |config| config.blocked = vec![b.peer]).await;
    // The handshake succeeds; the block speaks after it.
    b.net.dial_once(a.peer, vec![a.addr.clone()]).await.unwrap();
    until(|| a.net.counters().connections_denied == 1).await;
    until_alone(&a).await;
}

/// Waits until nobody is connected.
async fn until_alone(node: &super::kit::Node) {
    soon(async {
        while !node.net.connected_peers().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
