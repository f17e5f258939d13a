//! Asking and answering: what arrives, what is refused, what stays unknown.

use std::time::Duration;

use tokio::sync::mpsc;

use super::kit::{fast, node, node_with, raw_peer, raw_server, soon, until};
use crate::network::{Direction, FrameError, Limits, NetworkEvent, Part, Protocol, RequestError, Traffic};

#[tokio::test]
async fn a_request_and_its_answer_make_the_round_trip_under_every_protocol() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    let (asking, (b_net, b_peer, _)) = (a, b.echo());
    for protocol in Protocol::ALL {
        let len = protocol.request_cap().min(protocol.response_cap());
        let body = vec![protocol as u8 + 1; len];
        let answer = soon(asking.net.request(b_peer, protocol, body.clone())).await;
        assert_eq!(answer, Ok(body));
        let bytes = u64::try_from(len).unwrap();
        let expected = Traffic { messages: 1, bytes };
        assert_eq!(asking.net.counters().of(protocol).requests_out, expected);
        assert_eq!(asking.net.counters().of(protocol).responses_in, expected);
        assert_eq!(b_net.counters().of(protocol).requests_in, expected);
        until(|| b_net.counters().of(protocol).responses_out == expected).await;
    }
}

#[tokio::test]
async fn the_side_that_was_called_can_ask_as_well() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    let (_a_net, a_peer, _) = a.echo();
    let answer = soon(b.net.request(a_peer, Protocol::Claim, b"why".to_vec())).await;
    assert_eq!(answer, Ok(b"why".to_vec()));
}

#[tokio::test]
async fn a_request_of_exactly_the_cap_arrives_and_one_byte_more_never_leaves() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    let (net, peer) = (a.net.clone(), b.peer);
    let cap = Protocol::Stream.request_cap();
    let asked = tokio::spawn(async move { net.request(peer, Protocol::Stream, vec![1; cap]).await });
    let (from, protocol, bytes, answer) = b.asked().await;
    assert_eq!((from, protocol, bytes.len()), (a.peer, Protocol::Stream, cap));
    answer.send(b"ok".to_vec()).unwrap();
    assert_eq!(soon(asked).await.unwrap(), Ok(b"ok".to_vec()));

    let fault = FrameError::TooLarge { protocol: Protocol::Stream, announced: cap + 1, allowed: cap };
    let error = a.net.request(peer, Protocol::Stream, vec![1; cap + 1]).await.unwrap_err();
    assert_eq!(error, RequestError::TooLarge(fault));
    assert_eq!(a.net.counters().of(Protocol::Stream).requests_out.messages, 1);
}

#[tokio::test]
async fn a_request_to_nobody_is_certainly_not_sent() {
    let (a, b) = (node(fast()).await, node(fast()).await);
    let error = soon(a.net.request(b.peer, Protocol::Hello, vec![1])).await.unwrap_err();
    assert_eq!(error, RequestError::NotConnected);
    assert!(error.is_certain());
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_unknown() {
    let limits = Limits { request_timeout: Some(Duration::from_millis(300)), ..fast() };
    let (mut a, mut b) = (node(limits).await, node(fast()).await);
    a.join(&mut b).await;
    let error = soon(a.net.request(b.peer, Protocol::Claim, vec![1])).await.unwrap_err();
    assert_eq!(error, RequestError::TimedOut { protocol: Protocol::Claim });
    assert!(!error.is_certain());
    let (.., bytes, _answer) = b.asked().await;
    assert_eq!(bytes, [1], "the request did arrive: that is why it is unknown");
}

#[tokio::test]
async fn a_dropped_answer_refuses_for_certain() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    let (net, peer) = (a.net.clone(), b.peer);
    let asked = tokio::spawn(async move { net.request(peer, Protocol::Pair, vec![1]).await });
    drop(b.asked().await);
    let error = soon(asked).await.unwrap().unwrap_err();
    assert_eq!(error, RequestError::Refused { protocol: Protocol::Pair });
    assert!(error.is_certain());
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_request_unknown() {
    let (mut a, mut b) = (node(fast()).await, node(fast()).await);
    a.join(&mut b).await;
    let (net, peer) = (a.net.clone(), b.peer);
    let asked = tokio::spawn(async move { net.request(peer, Protocol::Claim, vec![1]).await });
    let (.., _answer) = b.asked().await;
    b.net.disconnect(a.peer).await.unwrap();
    let error = soon(asked).await.unwrap().unwrap_err();
    assert_eq!(error, RequestError::Lost { protocol: Protocol::Claim });
    assert!(!error.is_certain());
}

#[tokio::test]
async fn sixteen_are_in_flight_the_rest_waits_in_order_and_the_queue_ends() {
    let limits = Limits { queue: 3, ..fast() };
    let (mut a, mut b) = (node(limits).await, node(fast()).await);
    a.join(&mut b).await;
    let mut asked = Vec::new();
    for number in 0..19_u8 {
        let (net, peer) = (a.net.clone(), b.peer);
        asked.push(tokio::spawn(async move { net.request(peer, Protocol::Stream, vec![number]).await }));
        tokio::task::yield_now().await;
    }
    let mut held = Vec::new();
    for _ in 0..16 {
        let (.., bytes, answer) = b.asked().await;
        assert!(bytes[0] < 16, "the oldest go first");
        held.push(answer);
    }
    let error = soon(a.net.request(b.peer, Protocol::Stream, vec![99])).await.unwrap_err();
    assert_eq!(error, RequestError::Busy { allowed: 19 });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(b.events.try_recv().is_err(), "no seventeenth is in flight");

    for expected in 16..19 {
        held.remove(0).send(vec![0]).unwrap();
        let (.., bytes, answer) = b.asked().await;
        assert_eq!(bytes, [expected]);
        held.push(answer);
    }
    for answer in held {
        answer.send(vec![0]).unwrap();
    }
    for asked in asked {
        assert_eq!(soon(asked).await.unwrap(), Ok(vec![0]));
    }
}

#[tokio::test]
async fn a_burst_of_a_thousand_requests_loses_none() {
    let limits = Limits { queue: 1_000, ..fast() };
    let (mut a, mut b) = (node(limits).await, node(fast()).await);
    a.join(&mut b).await;
    let (_b_net, b_peer, _) = b.echo();
    let requests = (0..1_000_u32).map(|number| {
        let net = a.net.clone();
        tokio::spawn(async move {
            let body = number.to_be_bytes().to_vec();
            (net.request(b_peer, Protocol::Claim, body.clone()).await, body)
        })
    });
    for asked in requests.collect::<Vec<_>>() {
        let (answer, body) = soon(asked).await.unwrap();
        assert_eq!(answer, Ok(body));
    }
}

#[tokio::test]
async fn an_oversize_answer_is_refused_by_its_prefix() {
    let mut a = node(fast()).await;
    let announced = Protocol::Hello.response_cap() + 1;
    let prefix = u32::try_from(announced).unwrap().to_be_bytes().to_vec();
    let (peer, addr) = raw_server(raw_peer(Protocol::Hello), prefix).await;
    a.net.set_peer(peer, vec![addr]).await.unwrap();
    a.connected(peer).await;
    let error = soon(a.net.request(peer, Protocol::Hello, vec![1])).await.unwrap_err();
    let allowed = Protocol::Hello.response_cap();
    let fault = FrameError::TooLarge { protocol: Protocol::Hello, announced, allowed };
    assert_eq!(error, RequestError::BadAnswer(fault));
    assert!(!error.is_certain());
}

#[tokio::test]
async fn a_peer_without_the_protocol_is_told_apart_from_one_that_refuses() {
    let mut a = node(fast()).await;
    let (peer, addr) = raw_server(raw_peer(Protocol::Hello), vec![0; 4]).await;
    a.net.set_peer(peer, vec![addr]).await.unwrap();
    a.connected(peer).await;
    let error = soon(a.net.request(peer, Protocol::Pair, vec![1])).await.unwrap_err();
    assert_eq!(error, RequestError::UnsupportedProtocol { protocol: Protocol::Pair });
    let error = soon(a.net.request(peer, Protocol::Hello, vec![1])).await.unwrap_err();
    assert_eq!(error, RequestError::Refused { protocol: Protocol::Hello });
}

#[tokio::test]
async fn the_tap_sees_every_frame_in_plain() {
    let (tap, mut taken) = mpsc::channel(16);
    let mut a = node_with([7; 32], |config| config.tap = Some(tap)).await;
    let mut b = node(fast()).await;
    a.join(&mut b).await;
    let (_b_net, b_peer, _) = b.echo();
    soon(a.net.request(b_peer, Protocol::Hello, b"secret".to_vec())).await.unwrap();
    for (direction, part) in [(Direction::Out, Part::Request), (Direction::In, Part::Response)] {
        let frame = soon(taken.recv()).await.unwrap();
        assert_eq!((frame.direction, frame.part, frame.protocol), (direction, part, Protocol::Hello));
        assert_eq!(frame.bytes, b"secret");
    }
    assert_eq!(a.net.counters().tap_lost, 0);
}

#[tokio::test]
async fn a_consumer_that_never_reads_costs_refusals_and_nothing_else() {
    let limits = Limits { event_queue: 2, ..fast() };
    let (mut a, mut b) = (node(fast()).await, node(limits).await);
    a.join(&mut b).await;
    let mut unanswered = Vec::new();
    for _ in 0..2 {
        let (net, peer) = (a.net.clone(), b.peer);
        unanswered.push(tokio::spawn(async move { net.request(peer, Protocol::Claim, vec![1]).await }));
    }
    until(|| b.events.len() == 2).await;
    let error = soon(a.net.request(b.peer, Protocol::Claim, vec![2])).await.unwrap_err();
    assert_eq!(error, RequestError::Refused { protocol: Protocol::Claim });
    assert_eq!(b.net.counters().refused_consumer_behind, 1);
    assert_eq!(soon(b.net.connected_peers()).await.unwrap(), [a.peer], "the task still takes commands");
    b.events.try_recv().unwrap();
    let (net, peer) = (a.net.clone(), b.peer);
    let asked = tokio::spawn(async move { net.request(peer, Protocol::Claim, vec![3]).await });
    soon(async {
        loop {
            match b.events.recv().await.unwrap() {
                NetworkEvent::Request { bytes, answer, .. } if bytes == [3] => {
                    return answer.send(bytes).unwrap();
                }
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(soon(asked).await.unwrap(), Ok(vec![3]));
}
