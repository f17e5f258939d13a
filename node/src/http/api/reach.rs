//! Whether others can call this node, in words, and what helps where they cannot.

use crate::network::{Multiaddr, Reach, Router, is_circuit};
use weft_api::Reached;

/// What is known of how others reach us.
pub(super) fn reached(reach: &Reach, addresses: &[Multiaddr]) -> Reached {
    let can_be_called = reach.can_be_called();
    let mut words = match can_be_called {
        Some(true) => {
            let at = reach.called.iter().filter(|one| one.worked).map(|one| one.at.to_string());
            format!("others can call this node: a peer has, at {}", at.collect::<Vec<_>>().join(" and "))
        }
        Some(false) => {
            let at = reach.called.iter().map(|one| one.at.to_string()).collect::<Vec<_>>().join(" and ");
            format!("others cannot call this node: a peer has tried at {at} since this start and got no answer")
        }
        None if is_here_only(addresses) => {
            "only programs on this machine can call this node: set `listen` under [network] in weft.toml, such as \
             \"/ip4/0.0.0.0/tcp/7600\" and \"/ip4/0.0.0.0/udp/7600/quic-v1\""
                .to_owned()
        }
        None if !reach.checks => {
            "nobody is asked whether others can call this node (`reach_checks_s = 0` in weft.toml)".to_owned()
        }
        None => "it is not known yet whether others can call this node: a peer that it has called will try".to_owned(),
    };
    words.push_str(match reach.router {
        Router::NotAsked => "",
        Router::Asked => "; the router is being asked to let others in",
        Router::None => "; no router answers that opens ports when it is asked (UPnP)",
        Router::NotPublic => {
            "; the router has no public address of its own, so opening a port there does not help"
        }
        Router::Opens => "; the router lets others in, as it was asked to (UPnP)",
    });
    if can_be_called == Some(false) {
        words.push_str(&help(reach, addresses));
    }
    Reached { can_be_called, words }
}

/// Whether it listens on loopback alone.
fn is_here_only(addresses: &[Multiaddr]) -> bool {
    let loopback = |address: &Multiaddr| {
        let text = address.to_string();
        text.starts_with("/ip4/127.") || text.starts_with("/ip6/::1/")
    };
    addresses.iter().all(loopback)
}

/// What can be done where nobody gets through.
fn help(reach: &Reach, addresses: &[Multiaddr]) -> String {
    if addresses.iter().any(is_circuit) {
        return ". They reach it over the node of a peer, so this need not be mended".to_owned();
    }
    let mut help = ". It calls its peers and so pays and is paid, but two such nodes do not find each other. What helps, any \
                    of these: tell the router to pass the port on to this machine, TCP and UDP"
        .to_owned();
    if reach.router == Router::NotAsked {
        help.push_str("; let the node ask it (`upnp = true` under [network] in weft.toml)");
    }
    help.push_str("; be reached over a peer whose node serves circuits (`circuits`)");
    if reach.told {
        help.push_str("; or correct `external`, if it is not where others call");
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Called, PeerId};

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn called(worked: bool) -> Reach {
        let called = vec![Called { at: at("/ip4/203.0.113.9/tcp/7600"), by: PeerId::random(), worked }];
        Reach { checks: true, called, ..Reach::default() }
    }

    #[test]
    fn it_says_what_is_known_and_what_to_do() {
        let here = [at("/ip4/10.0.0.5/tcp/7600")];
        let said = |reach: &Reach| reached(reach, &here);
        let yes = said(&called(true));
        assert!(yes.can_be_called == Some(true) && yes.words.ends_with("at /ip4/203.0.113.9/tcp/7600"));
        let no = said(&called(false));
        assert_eq!(no.can_be_called, Some(false));
        for part in ["tell the router to pass the port on", "`upnp = true`", "`circuits`"] {
            assert!(no.words.contains(part), "{}", no.words);
        }
        let asked = said(&Reach { router: Router::NotPublic, told: true, ..called(false) });
        assert!(
            !asked.words.contains("`upnp = true`") && asked.words.contains("no public address of its own")
        );
        assert!(asked.words.contains("correct `external`"));
        let checks = Reach { checks: true, ..Reach::default() };
        assert!(said(&checks).words.contains("not known yet"));
        assert!(said(&Reach::default()).words.contains("`reach_checks_s = 0`"));
        let loopback = reached(&checks, &[at("/ip4/127.0.0.1/tcp/1")]);
        assert!(loopback.can_be_called.is_none() && loopback.words.contains("set `listen`"));
        let circuit = at(&format!("/ip4/192.0.2.7/tcp/1/p2p/{}/p2p-circuit", PeerId::random()));
        let over = reached(&called(false), &[here[0].clone(), circuit]);
        assert!(over.words.ends_with("so this need not be mended"), "{}", over.words);
    }
}
