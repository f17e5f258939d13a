//! Listening: the same router on the Unix socket and, behind the token, on TCP.
//!
//! Connections have a bound; at a stop no new ones are taken, requests under way may end, and what waits for the
//! end of a payment answers at once with what is known.

use super::auth::{self, TokenDigest};
use super::error::ApiError;
use super::request::SMALL_BODY_BYTES;
use super::state::{App, Ctx};
use super::{api, openapi};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::serve::Listener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections at a time on each listener: 16 in flight for each of some clients, with room.
const MAX_CONNECTIONS: usize = 256;
/// How long requests under way may take to end at a stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves the API until `shutdown` turns true (or its sender is gone), then ends what is under way.
pub async fn serve(
    app: App,
    unix_listener: UnixListener,
    tcp: Option<TcpListener>,
    shutdown: watch::Receiver<bool>,
) {
    let token = TokenDigest::of(&app.keys.api_token);
    let witness_rate = super::witness::Rate::new(app.clock);
    let router = router(Ctx { app, shutdown: shutdown.clone(), witness_rate });
    let guarded = router.clone().layer(axum::middleware::from_fn_with_state(token, auth::check));
    let stop = shutdown.clone();
    let both = async {
        let on_tcp = async {
            if let Some(tcp) = tcp {
                listen(tcp, guarded, shutdown.clone()).await;
            }
        };
        futures::future::join(listen(unix_listener, router, shutdown.clone()), on_tcp).await;
    };
    let too_late = async {
        stopping(stop).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = both => {}
        () = too_late => tracing::warn!("requests were still under way {} s after the stop", GRACE.as_secs()),
    }
}

/// The whole API over a node.
fn router(ctx: Ctx) -> Router {
    let (router, _) = api::routes().split_for_parts();
    openapi::route(router)
        .route(super::witness::PATH, axum::routing::post(super::witness::add_checkpoint))
        .route(super::metrics::PATH, axum::routing::get(super::metrics::metrics))
        .fallback(|| async {
            ApiError::not_found("no-such-path", "the API has no such path: see /api/v1/openapi.json")
        })
        .method_not_allowed_fallback(|| async {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES))
        .with_state(ctx)
}

async fn stopping(mut shutdown: watch::Receiver<bool>) {
    // A sender that is gone means the same: nobody is left to say it.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn listen<L: Listener>(listener: L, router: Router, shutdown: watch::Receiver<bool>)
where
    L::Addr: std::fmt::Debug,
{
    let listener = Capped { listener, free: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
    let served = axum::serve(listener, router).with_graceful_shutdown(stopping(shutdown)).await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP API has stopped listening");
    }
}

/// A listener with a bound on its open connections; further ones wait to be taken.
struct Capped<L> {
    listener: L,
    free: Arc<Semaphore>,
}

impl<L: Listener> Listener for Capped<L> {
    type Io = Held<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let permit = self.free.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (io, address) = self.listener.accept().await;
        (Held { io, _permit: permit }, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that counts while it lives.
struct Held<Io> {
    io: Io,
    _permit: OwnedSemaphorePermit,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Held<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, to)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Held<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
