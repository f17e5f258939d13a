//! Requests, both ways: the window on the way out, the admission on the way in.

use std::collections::hash_map;

use futures::FutureExt;
use libp2p::{
    PeerId, Swarm,
    request_response::{self, Message, OutboundFailure, OutboundRequestId, ResponseChannel},
};

use super::{Answered, ExchangeEvent, InFlight, NetworkTask};
use crate::network::{
    behaviour::Behaviour,
    conduct::Fault,
    counters::count,
    event::{Answer, NetworkEvent, Told},
    frame::{Ask, FrameError, Reply, framing_fault},
    handle::{Job, RequestError},
    limits::OverRate,
    protocols::Protocol,
    window::Offer,
};

impl NetworkTask {
    pub(super) fn on_job(&mut self, swarm: &mut Swarm<Behaviour>, job: Job) {
        if !swarm.is_connected(&job.peer) {
            let _ = job.reply.send(Err(RequestError::NotConnected));
            return;
        }
        match self.windows.offer(job.peer, job) {
            Offer::Send(job) => self.launch(swarm, Some(job)),
            Offer::Queued => {}
            Offer::Busy(job) => {
                let allowed = self.config.limits.window.saturating_add(self.config.limits.queue);
                let _ = job.reply.send(Err(RequestError::Busy { allowed }));
            }
        }
    }

    pub(super) fn on_exchange(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        protocol: Protocol,
        event: ExchangeEvent,
    ) {
        let (request_response::Event::Message { peer: with, .. }
        | request_response::Event::OutboundFailure { peer: with, .. }
        | request_response::Event::InboundFailure { peer: with, .. }
        | request_response::Event::ResponseSent { peer: with, .. }) = &event;
        self.spare.touch(with, self.now_ms());
        match event {
            request_response::Event::Message { peer, connection_id, message } => match message {
                Message::Request { request: Ask::Frame(bytes), channel, .. } => {
                    self.on_request(swarm, peer, protocol, bytes, channel);
                }
                Message::Request { request: Ask::Broken(fault), .. } => {
                    tracing::debug!(%peer, %fault, "bad frame");
                    count(&self.meter.bad_frames);
                    if let Some(fault) = blame_of(&fault) {
                        self.blame(swarm, peer, fault);
                    }
                    if !matches!(fault, FrameError::Slow { .. }) {
                        swarm.close_connection(connection_id);
                    }
                }
                Message::Request { request: Ask::NoRoom(_), channel, .. } => {
                    count(&self.meter.refused_no_room);
                    self.blame(swarm, peer, Fault::Flood);
                    refuse(swarm, protocol, channel);
                }
                Message::Response { request_id, response } => {
                    let outcome = match response {
                        Reply::Frame(bytes) => Ok(bytes),
                        Reply::Refused => Err(RequestError::Refused { protocol }),
                    };
                    self.on_outcome(swarm, protocol, request_id, outcome);
                }
            },
            request_response::Event::OutboundFailure { peer, connection_id, request_id, error } => {
                let silent = matches!(error, OutboundFailure::Timeout);
                if silent && swarm.behaviour().connections_to(&peer) > 1 {
                    // A peer that crashed and came back leaves a dead connection beside the new
                    // one, which would swallow every second request until the pings notice.
                    tracing::debug!(%peer, "no answer in time, closing this one of its connections");
                    swarm.close_connection(connection_id);
                }
                self.on_outcome(swarm, protocol, request_id, Err(outbound_error(protocol, &error)));
            }
            // The peer gave up or is gone; its answer finds nobody and is dropped.
            request_response::Event::InboundFailure { .. } | request_response::Event::ResponseSent { .. } => {
            }
        }
    }

    /// Lets an inbound request in, or refuses it.
    fn on_request(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        protocol: Protocol,
        bytes: Vec<u8>,
        channel: ResponseChannel<Reply>,
    ) {
        let (tier, now_ms) = (self.roster.tier(&peer), self.now_ms());
        if let Err(over) = self.admission.admit(peer, tier, protocol, bytes.len(), now_ms) {
            tracing::debug!(%peer, %protocol, ?over, "request refused");
            count(&self.meter.refused_over_rate);
            match over {
                OverRate::Peer => self.blame(swarm, peer, Fault::Flood),
                // Others may have done it.
                OverRate::UnknownTogether => {}
            }
            return refuse(swarm, protocol, channel);
        }
        // A peer's requests never overtake the news that it connected.
        self.tell_news();
        let full = self.unanswered.len() >= self.config.limits.max_unanswered || !self.news.is_empty();
        let (answer, answered) = Answer::new(protocol);
        let event = NetworkEvent::Request { peer, protocol, bytes, answer };
        if full || self.events.try_send(event).is_err() {
            count(&self.meter.refused_consumer_behind);
            return refuse(swarm, protocol, channel);
        }
        let answered = async move { Answered { peer, protocol, channel, told: answered.await.ok() } };
        self.unanswered.push(answered.boxed());
        *self.answering.entry(peer).or_default() += 1;
    }

    /// Sends the answer of a request, or refuses it, and remembers what was wrong with it. When the peer is gone there is
    /// nothing to do.
    pub(super) fn on_answered(&mut self, swarm: &mut Swarm<Behaviour>, answered: Answered) {
        let Answered { peer, protocol, channel, told } = answered;
        if let hash_map::Entry::Occupied(mut left) = self.answering.entry(peer) {
            *left.get_mut() = left.get().saturating_sub(1);
            if *left.get() == 0 {
                left.remove();
            }
        }
        let Told { bytes, fault } = told.unwrap_or(Told { bytes: None, fault: None });
        let reply = bytes.map_or(Reply::Refused, Reply::Frame);
        let _ = swarm.behaviour_mut().exchange(protocol).send_response(channel, reply);
        if let Some(fault) = fault {
            self.blame(swarm, peer, fault);
        }
    }

    /// Notes a fault of somebody, and shuts it out when it was one too many (specs/network.md 3.5).
    fn blame(&mut self, swarm: &mut Swarm<Behaviour>, peer: PeerId, fault: Fault) {
        let Some(why) = self.conduct.blame(peer, fault, self.now_ms()) else { return };
        let tier = self.roster.tier(&peer);
        // Whom nobody can be told of is not shut out for ever: it fills its record anew.
        if self.news.banned(peer, tier, why) {
            tracing::warn!(%peer, tier = tier.name(), %why, "somebody is shut out");
            count(&self.meter.bans);
            self.roster.block(peer);
            swarm.behaviour_mut().block(peer);
        }
    }

    fn on_outcome(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        protocol: Protocol,
        id: OutboundRequestId,
        outcome: Result<Vec<u8>, RequestError>,
    ) {
        let Some(request) = self.in_flight.remove(&(protocol, id)) else {
            return;
        };
        // The caller may have stopped waiting.
        let _ = request.reply.send(outcome);
        let next = self.windows.finished(request.peer);
        self.launch(swarm, next);
    }

    /// Sends a job that has its place in the window, or gives the place to the next one.
    fn launch(&mut self, swarm: &mut Swarm<Behaviour>, mut next: Option<Job>) {
        while let Some(Job { peer, protocol, bytes, reply }) = next.take() {
            let exchange = swarm.behaviour_mut().exchange(protocol);
            if exchange.is_connected(&peer) && !reply.is_closed() {
                let id = exchange.send_request(&peer, Ask::Frame(bytes));
                self.in_flight.insert((protocol, id), InFlight { peer, reply });
            } else {
                let _ = reply.send(Err(RequestError::NotConnected));
                next = self.windows.finished(peer);
            }
        }
    }
}

/// Refuses a request. When the peer is gone there is nothing to do.
fn refuse(swarm: &mut Swarm<Behaviour>, protocol: Protocol, channel: ResponseChannel<Reply>) {
    let _ = swarm.behaviour_mut().exchange(protocol).send_response(channel, Reply::Refused);
}

/// What a broken frame says of its sender. A short one says that a line broke.
fn blame_of(fault: &FrameError) -> Option<Fault> {
    match fault {
        FrameError::TooLarge { .. } => Some(Fault::Oversize),
        FrameError::Empty { .. } | FrameError::Trailing { .. } => Some(Fault::BadFrame),
        FrameError::Slow { .. } => Some(Fault::Slow),
        FrameError::Short { .. } => None,
    }
}

fn outbound_error(protocol: Protocol, error: &OutboundFailure) -> RequestError {
    match error {
        OutboundFailure::DialFailure => RequestError::NotConnected,
        OutboundFailure::Timeout => RequestError::TimedOut { protocol },
        OutboundFailure::ConnectionClosed => RequestError::Lost { protocol },
        OutboundFailure::UnsupportedProtocols => RequestError::UnsupportedProtocol { protocol },
        OutboundFailure::Io(error) => {
            framing_fault(error).map_or(RequestError::Lost { protocol }, RequestError::BadAnswer)
        }
    }
}
