//! A cable that can be cut, and an address that stays when a node comes back on another port.
//!
//! A node tells its peers the relay's address instead of its own, so everything peers send it passes here.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy)]
struct Cable {
    cut: bool,
    node: Option<SocketAddr>,
}

/// A running relay; it ends when dropped.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    cable: Arc<watch::Sender<Cable>>,
}

impl Relay {
    /// Listens on a free port of loopback. Connections are closed until there is a node to lead to.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let cable = Arc::new(watch::Sender::new(Cable { cut: false, node: None }));
        let weak = Arc::downgrade(&cable);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let Some(cable) = weak.upgrade() else { return };
                tokio::spawn(carry(from, cable.subscribe()));
            }
        });
        Ok(Self { port, cable })
    }

    /// Where peers connect to, as a multiaddress.
    pub fn multiaddr(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.port)
    }

    /// Leads to the node on this port of loopback from now on; connections to the one before end.
    pub fn lead_to(&self, port: u16) {
        self.cable.send_modify(|cable| cable.node = Some(SocketAddr::from(([127, 0, 0, 1], port))));
    }

    /// Cuts or mends the cable.
    pub fn cut(&self, cut: bool) {
        self.cable.send_modify(|cable| cable.cut = cut);
    }
}

async fn carry(mut from: TcpStream, mut cable: watch::Receiver<Cable>) {
    let Cable { cut: false, node: Some(node) } = *cable.borrow_and_update() else { return };
    let Ok(mut onward) = TcpStream::connect(node).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut from, &mut onward) => {}
        _ = cable.wait_for(|now| now.cut || now.node != Some(node)) => {}
    }
}
