//! What the swarm finds out about where others reach us (specs/network.md §16).

use libp2p::{Multiaddr, PeerId, Swarm, autonat, swarm::ConnectionId, upnp};

use super::{Behaviour, NetworkTask};
use crate::network::{
    counters::count,
    reach::{Called, Router, may_be_at, nameless},
    tier::Tier,
};

impl NetworkTask {
    /// Somebody tells where it sees us. Strangers are not asked.
    pub(super) fn on_seen(&mut self, swarm: &mut Swarm<Behaviour>, by: PeerId, seen: &Multiaddr) {
        if self.roster.tier(&by) == Tier::Unknown {
            return;
        }
        let listening = self.listening.borrow().addresses.clone();
        for address in may_be_at(seen, &listening) {
            swarm.behaviour_mut().may_be_at(&address);
        }
    }

    /// Somebody has tried to call us. What did not work is tried once more: a call can fail by chance, as on a slow line.
    /// While a router is asked that waits for its answer.
    pub(super) fn on_called(&mut self, swarm: &mut Swarm<Behaviour>, checked: autonat::v2::client::Event) {
        let worked = checked.result.is_ok();
        count(if worked { &self.meter.called } else { &self.meter.not_called });
        let (at, by) = (nameless(checked.tested_addr), checked.server);
        match checked.result {
            Ok(()) => tracing::info!(%at, %by, "a peer has called us"),
            Err(why) => tracing::info!(%at, %by, %why, "a peer has tried to call us, in vain"),
        }
        if !worked && self.reach.borrow().router != Router::Asked {
            swarm.behaviour_mut().again_at(&at, self.local_peer_id);
        }
        self.reach.send_modify(|reach| reach.add(Called { at, by, worked }));
    }

    /// The router has answered: what has failed meanwhile is tried once more.
    fn failed_again(&mut self, swarm: &mut Swarm<Behaviour>) {
        let failed: Vec<_> =
            self.reach.borrow().called.iter().filter(|one| !one.worked).map(|one| one.at.clone()).collect();
        for at in failed {
            swarm.behaviour_mut().again_at(&at, self.local_peer_id);
        }
    }

    /// What the router does.
    pub(super) fn on_router(&mut self, swarm: &mut Swarm<Behaviour>, event: upnp::Event) {
        let router = match event {
            upnp::Event::NewExternalAddr { external_addr, .. } => {
                tracing::info!(at = %external_addr, "the router lets others in");
                swarm.behaviour_mut().is_open_at(&external_addr, self.local_peer_id);
                self.failed_again(swarm);
                Router::Opens
            }
            upnp::Event::ExpiredExternalAddr { external_addr, .. } => {
                tracing::warn!(at = %external_addr, "the router lets nobody in any more");
                Router::Asked
            }
            upnp::Event::GatewayNotFound => {
                self.failed_again(swarm);
                Router::None
            }
            upnp::Event::NonRoutableGateway => {
                self.failed_again(swarm);
                Router::NotPublic
            }
        };
        self.reach.send_modify(|reach| reach.router = router);
    }

    /// Others reach us there: it is told to them, before the addresses at which we listen.
    pub(super) fn on_found(&mut self, address: Multiaddr) {
        let address = nameless(address);
        if self.listening.borrow().addresses.contains(&address) {
            return;
        }
        self.listening.send_modify(|listening| listening.addresses.insert(0, address.clone()));
        self.reach.send_modify(|reach| reach.found.push(address.clone()));
        self.news.listening(address);
    }

    /// Others do not reach us there any more.
    pub(super) fn on_lost(&mut self, address: &Multiaddr) {
        if self.reach.borrow().found.contains(address) {
            self.listening.send_modify(|listening| listening.addresses.retain(|known| known != address));
            self.reach.send_modify(|reach| reach.found.retain(|known| known != address));
        }
    }

    /// A connection is gone.
    pub(super) fn forget_connection(&mut self, swarm: &mut Swarm<Behaviour>, id: ConnectionId) {
        self.over_circuits.remove(&id);
        if self.called_back.remove(&id).is_some() {
            swarm.behaviour_mut().take_asked_for(id);
        }
    }
}
