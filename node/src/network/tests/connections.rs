//! Staying connected: restarts, blocks, idleness, a panic, the end.

use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;

use super::kit::{fast, node, node_with, raw_dial, raw_peer, soon, until};
use crate::network::{
    ControlError, DialFailure, Limits, Network, NetworkConfig, Protocol, RequestError, StartError,
    handle::Command, peer_id_from_public_key, public_key_of_seed,
};

#[tokio::test]
async fn a_peer_that_restarts_on_another_port_is_found_again() {
    let mut a = node(fast()).await;
    let mut first = node_with([9; 32], |_| ()).await;
    a.join(&mut first).await;
    first.net.shutdown().await;
    soon(&mut first.join).await.unwrap();
    a.disconnected(first.peer).await;

    let second = node_with([9; 32], |_| ()).await;
    assert_eq!(second.peer, first.peer);
    assert_ne!(second.addr, first.addr);
    a.net.set_peer(second.peer, vec![second.addr.clone()]).await.unwrap();
    a.connected(second.peer).await;
    let (_net, peer, _) = second.echo();
    assert_eq!(soon(a.net.request(peer, Protocol::Hello, vec![1])).await, Ok(vec![1]));
}

#[tokio::test]
async fn a_lost_connection_to_a_known_peer_comes_back_by_itself() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    for _ in 0..3 {
        b.net.disconnect(a.peer).await.unwrap();
        a.disconnected(b.peer).await;
        a.connected(b.peer).await;
        b.connected(a.peer).await;
    }
}

#[tokio::test]
async fn a_peer_set_before_it_runs_is_reached_once_it_does() {
    let mut a = node(fast()).await;
    let port = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let address: crate::network::Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let peer = peer_id_from_public_key(&public_key_of_seed(&[3; 32])).unwrap();
    a.net.set_peer(peer, vec![address.clone()]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let late = node_with([3; 32], |config| config.listen = vec![address]).await;
    assert_eq!(late.peer, peer);
    a.connected(peer).await;
}

#[tokio::test]
async fn a_block_cuts_the_cable_both_ways_and_lifting_it_mends_it() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    b.net.set_peer(a.peer, vec![a.addr.clone()]).await.unwrap();
    a.net.block(b.peer).await.unwrap();
    a.disconnected(b.peer).await;
    b.disconnected(a.peer).await;
    let error = soon(a.net.request(b.peer, Protocol::Hello, vec![1])).await.unwrap_err();
    assert_eq!(error, RequestError::NotConnected);
    let error = soon(a.net.dial_once(b.peer, vec![b.addr.clone()])).await.unwrap_err();
    assert!(matches!(error, DialFailure::Denied { .. }), "{error}");
    let denied = a.net.counters().connections_denied;
    until(|| a.net.counters().connections_denied > denied).await; // b dials in vain
    assert!(a.net.connected_peers().await.unwrap().is_empty());
    a.net.unblock(b.peer).await.unwrap();
    a.connected(b.peer).await;
    b.connected(a.peer).await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_a_known_peer_and_closed_for_a_stranger() {
    let short = || Limits { idle: Duration::from_millis(200), ..fast() };
    let (mut a, mut b) = (node(short()).await, node(short()).await);
    let mut stranger = node(short()).await;
    a.join(&mut b).await;
    stranger.net.dial_once(a.peer, vec![a.addr.clone()]).await.unwrap();
    a.connected(stranger.peer).await;
    a.disconnected(stranger.peer).await;
    stranger.disconnected(a.peer).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(a.net.connected_peers().await.unwrap(), [b.peer]);
    assert!(b.events.try_recv().is_err(), "not even for a moment");

    a.net.forget_peer(b.peer).await.unwrap();
    a.disconnected(b.peer).await;
}

#[tokio::test]
async fn a_single_dial_says_who_answers_there_instead() {
    let (a, b) = (node(fast()).await, node(fast()).await);
    let wanted = peer_id_from_public_key(&public_key_of_seed(&[5; 32])).unwrap();
    let error = soon(a.net.dial_once(wanted, vec![b.addr.clone()])).await.unwrap_err();
    assert!(matches!(error, DialFailure::WrongIdentity { found, .. } if found == b.peer), "{error}");
    let nowhere = vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
    let error = soon(a.net.dial_once(wanted, nowhere)).await.unwrap_err();
    assert!(matches!(error, DialFailure::Unreachable { .. }), "{error}");
    let error = soon(a.net.dial_once(wanted, vec![])).await.unwrap_err();
    assert!(matches!(error, DialFailure::Unreachable { .. }), "{error}");
    assert_eq!(soon(a.net.dial_once(b.peer, vec![b.addr.clone()])).await, Ok(()));
    assert_eq!(soon(a.net.dial_once(b.peer, vec![])).await, Ok(()), "a standing connection will do");
}

#[tokio::test]
async fn after_a_panic_the_swarm_is_built_again_on_the_same_port_with_its_known_peers() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    let (net, peer) = (b.net.clone(), a.peer);
    let asked = tokio::spawn(async move { net.request(peer, Protocol::Claim, vec![1]).await });
    let (.., answer) = a.asked().await;
    a.net.commands.send(Command::Panic).await.unwrap();
    a.disconnected(b.peer).await;
    let error = soon(asked).await.unwrap().unwrap_err();
    assert!(!error.is_certain(), "{error}");
    assert!(answer.send(vec![1]).is_err());
    assert!(soon(a.net.connected_peers()).await.is_ok(), "commands are taken at any moment");
    a.connected(b.peer).await;
    assert_eq!(a.net.counters().rebuilds, 1);
    assert_eq!(soon(a.net.listen_addrs()).await, [a.addr.clone()]);
    let (_net, peer, _) = b.echo();
    assert_eq!(soon(a.net.request(peer, Protocol::Hello, vec![1])).await, Ok(vec![1]));
}

#[tokio::test]
async fn a_stopped_layer_says_so() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    a.net.shutdown().await;
    soon(&mut a.join).await.unwrap();
    b.disconnected(a.peer).await;
    let error = soon(a.net.request(b.peer, Protocol::Hello, vec![1])).await.unwrap_err();
    assert_eq!(error, RequestError::Closed);
    assert_eq!(a.net.set_peer(b.peer, vec![]).await, Err(ControlError::Closed));
    a.net.shutdown().await;
}

#[tokio::test]
async fn dropping_the_events_or_every_handle_stops_the_layer() {
    let a = node(fast()).await;
    drop(a.events);
    soon(a.join).await.unwrap();
    let b = node(fast()).await;
    drop(b.net);
    soon(b.join).await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_reported_at_the_start() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut config = NetworkConfig::new(zeroize::Zeroizing::new([1; 32]));
    config.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
    let error = Network::start(config).expect_err("the port is taken");
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
}

#[tokio::test]
async fn a_listener_on_all_interfaces_reports_real_addresses_with_a_real_port() {
    let every = "/ip4/0.0.0.0/tcp/0".parse().unwrap();
    let a = node_with([2; 32], |config| config.listen = vec![every]).await;
    let (text, b) = (a.addr.to_string(), node(fast()).await);
    assert!(!text.contains("/0.0.0.0/") && !text.ends_with("/tcp/0"), "{text}");
    assert_eq!(soon(b.net.dial_once(a.peer, vec![a.addr.clone()])).await, Ok(()));
}

#[tokio::test]
async fn a_name_is_resolved() {
    let (a, b) = (node(fast()).await, node(fast()).await);
    let named = b.addr.to_string().replace("/ip4/127.0.0.1/", "/dns4/localhost/");
    assert_eq!(soon(a.net.dial_once(b.peer, vec![named.parse().unwrap()])).await, Ok(()));
}

/// A peer lost its power and came back: its old connection still looks open to us, and libp2p
/// sends every second request into it.
#[tokio::test]
async fn a_connection_that_swallows_requests_is_closed_when_another_one_stands() {
    let limits = Limits { request_timeout: Some(Duration::from_millis(300)), ..fast() };
    let mut a = node(limits).await;
    let mut raw = raw_peer(Protocol::Hello);
    for _ in 0..2 {
        raw_dial(&mut raw, &a).await;
    }
    let peer = *raw.local_peer_id();
    a.connected(peer).await;
    let net = a.net.clone();
    let asked = tokio::spawn(async move { net.request(peer, Protocol::Hello, vec![1]).await });
    let left = soon(async {
        let mut held = Vec::new();
        loop {
            match raw.select_next_some().await {
                SwarmEvent::ConnectionClosed { num_established, .. } => return num_established,
                other => held.push(other),
            }
        }
    })
    .await;
    assert_eq!(left, 1);
    let error = soon(asked).await.unwrap().unwrap_err();
    assert_eq!(error, RequestError::TimedOut { protocol: Protocol::Hello });
    assert_eq!(a.net.connected_peers().await.unwrap(), [peer]);
}

#[tokio::test]
async fn nobody_is_a_peer_of_itself() {
    let a = node(fast()).await;
    assert_eq!(a.net.set_peer(a.peer, vec![]).await, Err(ControlError::OwnIdentity));
}

#[tokio::test]
async fn over_quic_alone_peers_find_each_other_ask_and_come_back_on_the_same_port_after_a_panic() {
    let quic = |config: &mut NetworkConfig| {
        config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
    };
    let (mut a, mut b) = (node_with([1; 32], quic).await, node_with([2; 32], quic).await);
    assert!(a.addr.to_string().ends_with("/quic-v1"), "{}", a.addr);
    a.join(&mut b).await;
    a.net.commands.send(Command::Panic).await.unwrap();
    a.disconnected(b.peer).await;
    a.connected(b.peer).await;
    assert_eq!(soon(a.net.listen_addrs()).await, [a.addr.clone()]);
    let (_net, peer, _) = b.echo();
    let long = vec![7; Protocol::Stream.response_cap()];
    assert_eq!(soon(a.net.request(peer, Protocol::Stream, long.clone())).await, Ok(long));
}

#[tokio::test]
async fn a_peer_that_is_told_both_ways_is_reached_where_one_of_them_is_closed() {
    let both = |config: &mut NetworkConfig| {
        config.listen =
            ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"].map(|a| a.parse().unwrap()).to_vec();
    };
    let mut b = node_with([3; 32], both).await;
    let told = soon(b.net.listen_addrs()).await;
    assert_eq!(told.len(), 2, "{told:?}");
    for closed in ["/ip4/127.0.0.1/udp/9/quic-v1", "/ip4/127.0.0.1/tcp/9"] {
        let open = told.iter().find(|address| address.to_string().contains("tcp") == closed.contains("udp"));
        let addresses = vec![closed.parse().unwrap(), open.expect("both are told").clone()];
        let mut a = node(fast()).await;
        a.net.set_peer(b.peer, addresses).await.unwrap();
        a.connected(b.peer).await;
        b.connected(a.peer).await;
        a.net.shutdown().await;
        b.disconnected(a.peer).await;
    }
}
