//! `weft.toml`: what an operator may set. Unknown keys are errors; every default is safe.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// The configuration of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Short name of the network, 1 to 32 of a-z, 0-9 and `-`; peers see it after the @.
    pub site: String,
    /// How other nodes reach this one.
    #[serde(default)]
    pub network: NetworkSection,
    /// How programs and pages on this machine reach it, beside its Unix socket.
    #[serde(default)]
    pub http: HttpSection,
    /// Who vouches for this ledger's checkpoints, and for whose this node vouches.
    #[serde(default)]
    pub witness: WitnessSection,
    /// What this node hears of networks further away, and tells of its own ways.
    #[serde(default)]
    pub federation: FederationSection,
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSection {
    /// Addresses to listen on, as multiaddresses, of TCP and of QUIC. Loopback with any free ports until told otherwise.
    pub listen: Vec<String>,
    /// Addresses to tell others, when they differ from the listening ones.
    pub external: Vec<String>,
    /// For a node that nobody can call: nodes of peers over which others reach it, each with its peer id at the end, such as
    /// `/dns4/node.example.org/tcp/7600/p2p/12D3Koo…`. They must serve circuits.
    pub circuits: Vec<String>,
    /// For a node that everybody can call: whether peers, and networks that they vouch for, may be reached over it.
    pub serve_circuits: bool,
    /// How often peers are asked to call this node back at addresses that nobody has tried, so that its people know whether
    /// others can reach it; peers that ask are called back, too. In seconds; 0: neither. Nothing is asked while it listens on
    /// loopback only.
    pub reach_checks_s: u64,
    /// Whether the router is asked to let others in (UPnP). Off: it changes what the router lets through for everybody.
    pub upnp: bool,
    /// Shortest wait before dialling a lost peer again, in milliseconds.
    pub redial_min_ms: u64,
    /// Longest wait, in milliseconds.
    pub redial_max_ms: u64,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Address and port; loopback only until a proxy with TLS stands in front. Empty turns it off.
    pub listen: String,
}

/// `[witness]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WitnessSection {
    /// File with the policy (C2SP tlog-policy) for this ledger's checkpoints, in the data folder or as a whole path.
    /// Empty: every peer is asked.
    pub policy: String,
    /// File in the same form whose `log` lines name other logs that this node cosigns. Empty: peers' logs alone.
    pub logs: String,
    /// Least time between two entries that record the head of the same peer's log, in seconds.
    pub view_every_s: u64,
}

/// `[federation]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FederationSection {
    /// How often one peer, drawn at random, is asked for everything that networks say in public, in seconds.
    pub sync_every_s: u64,
    /// Least time between two entries that tell how much an accord lets pass, in seconds.
    pub capacity_every_s: u64,
    /// How often letters are fetched from peers, and written to peers that are away, in seconds.
    pub letters_every_s: u64,
}

impl Default for FederationSection {
    fn default() -> Self {
        Self { sync_every_s: 300, capacity_every_s: 600, letters_every_s: 60 }
    }
}

impl Default for WitnessSection {
    fn default() -> Self {
        Self { policy: String::new(), logs: String::new(), view_every_s: 3_600 }
    }
}

impl Default for NetworkSection {
    fn default() -> Self {
        Self {
            listen: ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"].map(str::to_owned).to_vec(),
            external: Vec::new(),
            circuits: Vec::new(),
            serve_circuits: false,
            reach_checks_s: 60,
            upnp: false,
            redial_min_ms: 2_000,
            redial_max_ms: 600_000,
        }
    }
}

impl Default for HttpSection {
    fn default() -> Self {
        Self { listen: "127.0.0.1:0".to_owned() }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its content.
    #[error("{path}: {why}")]
    Content {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl Config {
    /// A configuration with defaults.
    ///
    /// # Errors
    /// When the site name is not one.
    pub fn new(site: &str) -> Result<Self, ConfigError> {
        let config = Self {
            site: site.to_owned(),
            network: NetworkSection::default(),
            http: HttpSection::default(),
            witness: WitnessSection::default(),
            federation: FederationSection::default(),
        };
        config.check("weft.toml")?;
        Ok(config)
    }

    /// Reads `weft.toml`.
    ///
    /// # Errors
    /// When it cannot be read, holds an unknown key, or a value that cannot be used.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: name.clone(), source })?;
        let config: Self = toml::from_str(&text)
            .map_err(|e| ConfigError::Content { path: name.clone(), why: e.to_string() })?;
        config.check(&name)?;
        Ok(config)
    }

    fn check(&self, path: &str) -> Result<(), ConfigError> {
        let bad = |why: String| Err(ConfigError::Content { path: path.to_owned(), why });
        let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if self.site.is_empty() || self.site.len() > 32 || !self.site.bytes().all(letter) {
            return bad(format!("site \"{}\": use 1 to 32 of a-z, 0-9 and -", self.site));
        }
        for address in self.network.listen.iter().chain(&self.network.external) {
            if address.parse::<crate::network::Multiaddr>().is_err() {
                return bad(format!(
                    "\"{address}\" is not a multiaddress, such as /ip4/0.0.0.0/tcp/7600 or /ip4/0.0.0.0/udp/7600/quic-v1"
                ));
            }
        }
        for address in &self.network.circuits {
            let parsed = address.parse::<crate::network::Multiaddr>().ok();
            if parsed.and_then(|address| crate::network::circuit_at(&address)).is_none() {
                return bad(format!(
                    "network.circuits \"{address}\": give the address of a peer's node with its peer id, such as \
                     /dns4/node.example.org/tcp/7600/p2p/12D3Koo…; the people there see both with `weft status`"
                ));
            }
        }
        if !self.http.listen.is_empty() && self.http.listen.parse::<std::net::SocketAddr>().is_err() {
            return bad(format!("http.listen \"{}\": give an address and a port", self.http.listen));
        }
        if self.network.redial_min_ms == 0 || self.network.redial_min_ms > self.network.redial_max_ms {
            return bad("redial_min_ms must be at least 1 and at most redial_max_ms".to_owned());
        }
        Ok(())
    }
}
