//! Policies (C2SP tlog-policy): which logs and witnesses are known, and which witnesses together are enough.
//!
//! A policy is a text that people write, so comments and spaces are free; what counts is strict. A name is defined
//! once and before its use, is a member of at most one group, and each public key stands once: so no witness can
//! count twice. Names are bytes, as the format asks; they mean nothing outside of the text.

use crate::ids::KeyBytes;
use crate::log::note::{SignatureType, VerifierKey, VerifierKeyError};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Longest policy: 96 lines of the longest keys and URLs fit.
pub const MAX_POLICY_BYTES: usize = 64 * 1024;
/// Most log lines; what the format recommends to support at least.
pub const MAX_LOGS: usize = 32;
/// Most witness lines; what the format recommends to support at least.
pub const MAX_WITNESSES: usize = 32;
/// Most group lines; what the format recommends to support at least.
pub const MAX_GROUPS: usize = 32;

/// A name inside a policy: any bytes but spaces, tabs and control characters. Prints lossily, compares exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Vec<u8>);

impl Name {
    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// A log whose checkpoints the policy accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key; the key's name is the origin.
    pub key: VerifierKey,
    /// Where it is reached, if the policy says.
    pub url: Option<String>,
}

/// A witness that the policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name in this policy.
    pub name: Name,
    /// Its key.
    pub key: VerifierKey,
    /// Its submission prefix, if the policy says.
    pub url: Option<String>,
}

/// A line that a quorum can ask for: an index into the policy's witnesses or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// One witness.
    Witness(usize),
    /// A group, defined before.
    Group(usize),
}

/// So many of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name in this policy.
    pub name: Name,
    /// How many members must have witnessed: 1 to their number.
    pub threshold: usize,
    /// Who.
    pub members: Vec<Member>,
}

/// Why a text is not a policy. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than [`MAX_POLICY_BYTES`].
    #[error("a policy of {got} bytes, at most {} are allowed", MAX_POLICY_BYTES)]
    TooLong {
        /// Bytes received.
        got: usize,
    },
    /// The last line is cut off.
    #[error("the policy does not end with a newline: it may be cut off")]
    NotTerminated,
    /// A control character that is neither tab nor newline.
    #[error("policy line {line}: a control character ({byte:#04x}) is not allowed")]
    ControlCharacter {
        /// Which line.
        line: usize,
        /// The byte.
        byte: u8,
    },
    /// A line that is no line of a policy.
    #[error("policy line {line}: {why}")]
    Line {
        /// Which line.
        line: usize,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A key that cannot be read.
    #[error("policy line {line}: {error}")]
    Key {
        /// Which line.
        line: usize,
        /// What is wrong with it.
        error: VerifierKeyError,
    },
    /// More lines of a kind than allowed.
    #[error("policy line {line}: more than {max} {what}")]
    TooMany {
        /// Which line.
        line: usize,
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
    /// A name that no line before defines.
    #[error("policy line {line}: \"{name}\" is not defined on a line before")]
    Unknown {
        /// Which line.
        line: usize,
        /// The name.
        name: Name,
    },
    /// A threshold that is no number from 1 to the number of members.
    #[error("policy line {line}: a group of {members} members needs \"all\", \"any\" or 1 to {members}")]
    Threshold {
        /// Which line.
        line: usize,
        /// How many members the group has.
        members: usize,
    },
    /// No quorum line.
    #[error("the policy has no quorum line")]
    NoQuorum,
}

/// Logs, witnesses and the quorum; see the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

impl Policy {
    /// Reads a policy text.
    ///
    /// # Errors
    /// Names the line and the first rule that it breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLong { got: bytes.len() });
        }
        let text = bytes.strip_suffix(b"\n").ok_or(PolicyError::NotTerminated)?;
        let mut reader = Reader::default();
        for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            reader.line = line;
            reader.read(text)?;
        }
        let quorum = reader.quorum.ok_or(PolicyError::NoQuorum)?;
        let Reader { logs, witnesses, groups, .. } = reader;
        Ok(Self { logs, witnesses, groups, quorum })
    }

    /// A policy of these witnesses, any `threshold` of which are enough; of none, when there is no witness.
    pub fn of_witnesses(keys: impl IntoIterator<Item = VerifierKey>, threshold: usize) -> Self {
        let named = |key: VerifierKey| {
            let name = Name(key.name().as_str().as_bytes().to_vec());
            PolicyWitness { name, key, url: None }
        };
        let witnesses: Vec<_> = keys.into_iter().take(MAX_WITNESSES).map(named).collect();
        let members: Vec<_> = (0..witnesses.len()).map(Member::Witness).collect();
        if members.is_empty() {
            return Self { logs: Vec::new(), witnesses, groups: Vec::new(), quorum: None };
        }
        let threshold = threshold.clamp(1, members.len());
        let groups = vec![Group { name: Name(b"peers".to_vec()), threshold, members }];
        Self { logs: Vec::new(), witnesses, groups, quorum: Some(Member::Group(0)) }
    }

    /// The logs that may sign a checkpoint; when empty, the log is known from elsewhere.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// All witnesses, in order.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// All groups, in order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// What the quorum line names; `None` is the quorum `none`, which asks for nobody.
    pub const fn quorum(&self) -> Option<Member> {
        self.quorum
    }

    /// Whether these witnesses together are enough; `signed` tells of each by its index.
    pub fn reached(&self, signed: impl Fn(usize) -> bool) -> bool {
        // A group names only what stands before it, so one walk in order knows all members.
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, groups: &[bool]| match *member {
            Member::Witness(index) => signed(index),
            Member::Group(index) => groups.get(index).copied().unwrap_or(false),
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(member, &groups)).count();
            groups.push(count >= group.threshold);
        }
        self.quorum.is_none_or(|member| holds(&member, &groups))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
        for log in &self.logs {
            writeln!(f, "log {}{}", log.key, url(&log.url))?;
        }
        for witness in &self.witnesses {
            writeln!(f, "witness {} {}{}", witness.name, witness.key, url(&witness.url))?;
        }
        let name = |member: &Member| match *member {
            Member::Witness(index) => self.witnesses.get(index).map(|witness| witness.name.to_string()),
            Member::Group(index) => self.groups.get(index).map(|group| group.name.to_string()),
        };
        for group in &self.groups {
            let members: Vec<_> = group.members.iter().filter_map(name).collect();
            writeln!(f, "group {} {} {}", group.name, group.threshold, members.join(" "))?;
        }
        let quorum = self.quorum.as_ref().and_then(name).unwrap_or_else(|| "none".to_owned());
        writeln!(f, "quorum {quorum}")
    }
}

/// What the lines so far have said.
#[derive(Default)]
struct Reader {
    line: usize,
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    /// `Some(None)` is the quorum `none`.
    quorum: Option<Option<Member>>,
    names: BTreeMap<Vec<u8>, Member>,
    /// Names that are members already.
    used: BTreeSet<Vec<u8>>,
    log_keys: BTreeSet<KeyBytes>,
    witness_keys: BTreeSet<KeyBytes>,
}

impl Reader {
    fn wrong(&self, why: &'static str) -> PolicyError {
        PolicyError::Line { line: self.line, why }
    }

    fn read(&mut self, text: &[u8]) -> Result<(), PolicyError> {
        let line = self.line;
        if let Some(byte) = text.iter().copied().find(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
            return Err(PolicyError::ControlCharacter { line, byte });
        }
        let items = text.split(|b| *b == b' ' || *b == b'\t').filter(|item| !item.is_empty());
        let items: Vec<&[u8]> = items.collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key, url @ ..] => self.log(key, url),
            [b"witness", name, key, url @ ..] => self.witness(name, key, url),
            [b"group", name, threshold, members @ ..] => self.group(name, threshold, members),
            [b"quorum", name] => self.read_quorum(name),
            [..] => {
                Err(self.wrong("not a log, witness, group or quorum line, or with too few or many items"))
            }
        }
    }

    fn key(&self, text: &[u8], wanted: SignatureType) -> Result<VerifierKey, PolicyError> {
        let text = std::str::from_utf8(text).map_err(|_| self.wrong("the key is not UTF-8"))?;
        let key: VerifierKey = text.parse().map_err(|error| PolicyError::Key { line: self.line, error })?;
        match (wanted, key.signature_type()) {
            (SignatureType::Ed25519, SignatureType::CosignatureV1) => {
                Err(self.wrong("a log's key has type 0x01, this one is a witness's"))
            }
            (SignatureType::CosignatureV1, SignatureType::Ed25519) => {
                Err(self.wrong("a witness's key has type 0x04, this one is a log's"))
            }
            (SignatureType::Ed25519, SignatureType::Ed25519)
            | (SignatureType::CosignatureV1, SignatureType::CosignatureV1) => Ok(key),
        }
    }

    fn url(&self, items: &[&[u8]]) -> Result<Option<String>, PolicyError> {
        match items {
            [] => Ok(None),
            [url] => {
                let url = std::str::from_utf8(url).map_err(|_| self.wrong("the URL is not UTF-8"))?;
                Ok(Some(url.to_owned()))
            }
            [..] => Err(self.wrong("something follows the URL")),
        }
    }

    fn log(&mut self, key: &[u8], url: &[&[u8]]) -> Result<(), PolicyError> {
        let log = PolicyLog { key: self.key(key, SignatureType::Ed25519)?, url: self.url(url)? };
        if !self.log_keys.insert(log.key.key().bytes()) {
            return Err(self.wrong("this log's key stands on a line before"));
        }
        self.room("logs", self.logs.len(), MAX_LOGS)?;
        self.logs.push(log);
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: &[&[u8]]) -> Result<(), PolicyError> {
        let (key, url) = (self.key(key, SignatureType::CosignatureV1)?, self.url(url)?);
        if !self.witness_keys.insert(key.key().bytes()) {
            return Err(self.wrong("this witness's key stands on a line before"));
        }
        self.room("witnesses", self.witnesses.len(), MAX_WITNESSES)?;
        let name = self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name, key, url });
        Ok(())
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], items: &[&[u8]]) -> Result<(), PolicyError> {
        if items.is_empty() {
            return Err(self.wrong("a group without members"));
        }
        let mut members = Vec::new();
        for item in items {
            members.push(self.find(item)?);
            if !self.used.insert(item.to_vec()) {
                return Err(self.wrong("a name is a member of a group twice, or of two groups"));
            }
        }
        let threshold = match threshold {
            b"all" => Some(members.len()),
            b"any" => Some(1),
            number => threshold_of(number).filter(|k| (1..=members.len()).contains(k)),
        };
        let threshold =
            threshold.ok_or(PolicyError::Threshold { line: self.line, members: members.len() })?;
        self.room("groups", self.groups.len(), MAX_GROUPS)?;
        let name = self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { name, threshold, members });
        Ok(())
    }

    fn read_quorum(&mut self, name: &[u8]) -> Result<(), PolicyError> {
        if self.quorum.is_some() {
            return Err(self.wrong("a second quorum line"));
        }
        self.quorum = Some(if name == b"none" { None } else { Some(self.find(name)?) });
        Ok(())
    }

    fn find(&self, name: &[u8]) -> Result<Member, PolicyError> {
        let unknown = || PolicyError::Unknown { line: self.line, name: Name(name.to_vec()) };
        self.names.get(name).copied().ok_or_else(unknown)
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<Name, PolicyError> {
        if name == b"none" {
            return Err(self.wrong("the name \"none\" cannot be given to a witness or group"));
        }
        if self.names.insert(name.to_vec(), member).is_some() {
            return Err(self.wrong("this name is defined on a line before"));
        }
        Ok(Name(name.to_vec()))
    }

    fn room(&self, what: &'static str, have: usize, max: usize) -> Result<(), PolicyError> {
        if have < max { Ok(()) } else { Err(PolicyError::TooMany { line: self.line, what, max }) }
    }
}

fn threshold_of(text: &[u8]) -> Option<usize> {
    usize::try_from(crate::log::parse_decimal(std::str::from_utf8(text).ok()?)?).ok()
}

#[cfg(test)]
mod tests;
