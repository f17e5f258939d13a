//! The purposes of a network's keys, by the names that people and files use.

use weft_protocol::ledger::identity::Purpose;

/// The name of a purpose: also that of its first key file.
pub const fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Log => "log",
        Purpose::Witness => "witness",
        Purpose::Seal => "seal",
        Purpose::Libp2p => "libp2p",
        Purpose::Desk => "desk",
        Purpose::Recovery => "recovery",
    }
}

/// The purpose that a name means.
pub fn parse(text: &str) -> Option<Purpose> {
    let all =
        [Purpose::Log, Purpose::Witness, Purpose::Seal, Purpose::Libp2p, Purpose::Desk, Purpose::Recovery];
    all.into_iter().find(|purpose| name(*purpose) == text)
}
