//! A cable that can be cut: a relay between two nodes on loopback.
//!
//! Nodes tell each other the relay's address instead of their own, so everything between them goes through it.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cable {
    cut: bool,
    to: Option<SocketAddr>,
}

/// A running relay; it ends when dropped.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    cable: Arc<watch::Sender<Cable>>,
}

impl Relay {
    /// Listens on a free port of loopback; connections wait for a target.
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cable, _) = watch::channel(Cable { cut: false, to: None });
        let cable = Arc::new(cable);
        let weak = Arc::downgrade(&cable);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(cable) = weak.upgrade() else { return };
                tokio::spawn(carry(stream, cable.subscribe()));
            }
        });
        Ok(Self { address, cable })
    }

    /// Where nodes connect to, as a multiaddress.
    pub(super) fn multiaddr(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.address.port())
    }

    /// Leads to this node from now on.
    pub(super) fn lead_to(&self, node: SocketAddr) {
        self.cable.send_modify(|cable| cable.to = Some(node));
    }

    /// Cuts or mends the cable.
    pub(super) fn cut(&self, cut: bool) {
        self.cable.send_modify(|cable| cable.cut = cut);
    }
}

async fn carry(mut from: TcpStream, mut cable: watch::Receiver<Cable>) {
    let Cable { cut: false, to: Some(to) } = *cable.borrow_and_update() else { return };
    let Ok(mut onward) = TcpStream::connect(to).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut from, &mut onward) => {}
        _ = cable.wait_for(|now| now.cut || now.to != Some(to)) => {}
    }
}
