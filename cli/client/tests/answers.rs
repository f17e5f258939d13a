//! The client against sockets that answer what no good node would, and what a good one does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use weft_client::{Client, Error, Method, Request};

/// A folder with a socket in it, and how many connections it has taken.
struct Socket {
    _folder: tempfile::TempDir,
    path: PathBuf,
    connections: Arc<AtomicUsize>,
}

/// Serves every connection with `serve`.
fn listen<F, S>(serve: F) -> Socket
where
    F: Fn(usize, UnixStream) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weftd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(number, stream));
        }
    });
    Socket { _folder: folder, path, connections }
}

/// Reads one request, head and body, and gives its text; empty at the end of the connection.
async fn read_request(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "))
                .map_or(0, |l| l.parse().unwrap());
            if body.len() >= length {
                return String::from_utf8(bytes).unwrap();
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return String::new(),
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A node that gives the same answer to everything.
fn canned(answer: String) -> Socket {
    listen(move |_, mut stream| {
        let answer = answer.clone();
        async move {
            while !read_request(&mut stream).await.is_empty() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
}

const PEERS: &str = r#"{"schema":"weft.peers/1","peers":[]}"#;

#[tokio::test]
async fn a_good_answer_is_read_and_the_connection_is_kept() {
    let socket = canned(http("200 OK", PEERS));
    let client = Client::unix(&socket.path);
    for _ in 0..5 {
        assert_eq!(client.peers().await.unwrap().schema, "weft.peers/1");
    }
    assert_eq!(socket.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn sixteen_requests_in_flight_each_get_their_answer() {
    let socket = listen(|_, mut stream| async move {
        loop {
            let request = read_request(&mut stream).await;
            let Some(path) = request.split(' ').nth(1) else { return };
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.write_all(http("200 OK", path).as_bytes()).await.unwrap();
        }
    });
    let client = Client::unix(&socket.path);
    for _round in 0..3 {
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..16 {
            let client = client.clone();
            tasks.spawn(async move {
                let path = format!("/echo/{i}");
                assert_eq!(client.get_text(&path).await.unwrap(), path);
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    }
    assert_eq!(
        socket.connections.load(Ordering::SeqCst),
        16,
        "later rounds use the connections of the first"
    );
}

#[tokio::test]
async fn a_post_carries_its_key_its_token_and_json() {
    let (sender, mut seen) = tokio::sync::mpsc::channel(1);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let n = stream.read(&mut bytes).await.unwrap();
        sender.send(String::from_utf8_lossy(&bytes[..n]).to_lowercase()).await.unwrap();
        stream.write_all(http("201 Created", PEERS).as_bytes()).await.unwrap();
    });
    let client = Client::url(&format!("http://127.0.0.1:{port}"), Some("s3cret")).unwrap();
    let _: weft_api::Peers = client.post("/x", &serde_json::json!({"a": 1}), Some("ab12")).await.unwrap();
    let request = seen.recv().await.unwrap();
    for expected in [
        "post /x http/1.1\r\n",
        "idempotency-key: ab12\r\n",
        "authorization: bearer s3cret\r\n",
        "content-type: application/json\r\n",
        &format!("host: 127.0.0.1:{port}\r\n"),
        "{\"a\":1}",
    ] {
        assert!(request.contains(expected), "{expected} in {request}");
    }
    assert!(!format!("{client:?}").contains("s3cret"), "a client never prints its token");
}

#[tokio::test]
async fn a_problem_is_handed_on_as_it_is() {
    let body =
        r#"{"type":"about:blank","title":"Beyond the stop","status":422,"code":"limit-stop","detail":"Ada"}"#;
    let socket = canned(http("422 Unprocessable Content", body));
    let Err(Error::Problem(problem)) = Client::unix(&socket.path).status().await else { panic!() };
    assert_eq!((problem.code.as_str(), problem.status), ("limit-stop", 422));
}

#[tokio::test]
async fn what_is_not_http_not_json_or_not_the_type_is_malformed() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(),
        http("200 OK", "{\"schema\":"),
        http("200 OK", "[]"),
        http("502 Bad Gateway", "<html>"),
        http("302 Found", ""),
    ] {
        let socket = canned(answer.clone());
        let result = Client::unix(&socket.path).peers().await;
        assert!(matches!(result, Err(Error::Malformed { .. })), "{answer}: {result:?}");
    }
}

#[tokio::test]
async fn an_answer_beyond_the_cap_is_refused_whether_its_length_is_told_or_not() {
    let told = http("200 OK", &"x".repeat(5_000));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n".to_owned()
        + &"x".repeat(4_095)
        + "\r\nfff\r\n"
        + &"x".repeat(4_095)
        + "\r\n0\r\n\r\n";
    for answer in [told, chunked] {
        let socket = canned(answer);
        let result = Client::unix(&socket.path).with_body_cap(4_096).get_text("/").await;
        let Err(Error::Malformed { why, .. }) = result else { panic!("{result:?}") };
        assert!(why.contains("longer than 4096 bytes"), "{why}");
    }
}

#[tokio::test]
async fn an_endless_head_is_malformed() {
    let socket = canned(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000)));
    let result = Client::unix(&socket.path).peers().await;
    assert!(matches!(result, Err(Error::Malformed { .. } | Error::Interrupted { .. })), "{result:?}");
}

#[tokio::test]
async fn nobody_at_the_socket_means_not_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Client::unix(folder.path().join("weftd.sock")).status().await;
    assert!(matches!(missing, Err(Error::NotReachable { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_slow_node_leaves_the_outcome_unknown() {
    let socket = listen(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{").await.unwrap();
        std::future::pending().await
    });
    let client = Client::unix(&socket.path).with_timeout(Duration::from_millis(100));
    let result = client.post::<weft_api::Done>("/p", &(), Some("ab")).await;
    assert!(matches!(result, Err(Error::Interrupted { .. })), "{result:?}");
}

/// The first connection answers once and dies on its second request; later ones work.
fn dies_once() -> Socket {
    listen(|number, mut stream| async move {
        let mut served = 0;
        while !read_request(&mut stream).await.is_empty() {
            served += 1;
            if number == 0 && served == 2 {
                return;
            }
            stream.write_all(http("200 OK", PEERS).as_bytes()).await.unwrap();
        }
    })
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_for_what_may_be_repeated() {
    for request in [Request::get("/x"), Request::raw(Method::Post, "/x", Vec::new(), Some("ab"))] {
        let socket = dies_once();
        let client = Client::unix(&socket.path);
        client.peers().await.unwrap();
        assert_eq!(client.send(request).await.unwrap().status, 200);
        assert_eq!(socket.connections.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_post_without_a_key_is_never_sent_twice() {
    let socket = dies_once();
    let client = Client::unix(&socket.path);
    client.peers().await.unwrap();
    let result = client.send(Request::raw(Method::Post, "/x", Vec::new(), None)).await;
    assert!(matches!(result, Err(Error::Interrupted { .. })), "{result:?}");
    assert_eq!(socket.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_tried_again() {
    let socket = listen(|_, mut stream| async move {
        read_request(&mut stream).await;
    });
    let result = Client::unix(&socket.path).peers().await;
    assert!(matches!(result, Err(Error::Interrupted { .. })), "{result:?}");
    assert_eq!(socket.connections.load(Ordering::SeqCst), 1);
}
