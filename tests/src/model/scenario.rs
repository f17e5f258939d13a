//! The worlds that are searched: small enough to be searched whole.

use super::liar::Lie;
use super::people::Deed;
use weft_protocol::clearing::dispute::DisputeOutcome::{Bound, Free};

/// A world: a line of networks, the payments wished for, and what may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Two networks, one payment, two crashes.
    Pair,
    /// Two networks that pay each other at once, one crash.
    PairCrossing,
    /// Three networks, one payment, one crash.
    Three,
    /// Three networks, two payments of which only one fits the limit.
    ThreeFull,
    /// Three networks, two payments in opposite directions.
    ThreeCrossing,
    /// Four networks, one payment.
    Four,
    /// Four networks, one payment, one crash.
    FourCrash,
    /// Three networks, the decider lies.
    LyingDecider,
    /// Three networks; the decider says yes to its neighbour, and no past it.
    TwoFacedDecider,
    /// Four networks, the decider lies.
    LyingDeciderFar,
    /// Three networks, the middle lies.
    LyingMiddle,
    /// Four networks, the first of the two middles lies.
    LyingFirstMiddle,
    /// Four networks, the second of the two middles lies.
    LyingSecondMiddle,
    /// Three networks, the payer's lies.
    LyingPayer,
    /// Two networks, one payment; one of them is set back.
    PairSetBack,
    /// Two networks, one payment; they are set back twice.
    PairSetBackTwice,
    /// Three networks, one payment; one of them is set back.
    ThreeSetBack,
    /// Three networks, one payment; two of them are set back, also at once.
    ThreeSetBackTwo,
    /// Two networks, one payment; its hop is closed by dispute.
    PairDispute,
    /// Three networks, one payment; its hops are closed by dispute, each in either way.
    ThreeDispute,
    /// Three networks, one payment; the first hop may be freed by dispute.
    ThreeDisputeFirst,
    /// Two networks that pay each other, with statements whenever people want them.
    PairStatements,
    /// Two networks, one payment; what is owed is settled by one and taken back, and answered by the other.
    PairSettles,
    /// Two networks, one payment; their channel is reset.
    PairReset,
    /// Two networks, one payment; their channel is reset, both are set back.
    PairResetSetBack,
    /// Three networks, one payment; the channel before the middle is reset, by a document that frees too much or by a right one.
    ThreeResetFirst,
    /// Three networks, one payment; the channel after the middle is reset.
    ThreeResetLast,
    /// Three networks, one payment; the channel before the middle is reset, one of them is set back.
    ThreeResetSetBack,
    /// Two networks, one payment in two parts, one crash.
    PairParts,
    /// Three networks, one payment in two parts.
    ThreeParts,
    /// Two networks, one payment; the decider changes its log key, one crash.
    PairRotation,
    /// Three networks, one payment; the middle and the decider change their log keys.
    ThreeRotation,
    /// Two networks that pay each other; one may be written off, one crash.
    PairWriteOff,
    /// Three networks, one payment; the decider may be written off.
    ThreeWriteOff,
}

/// A payment that is wished for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// First network of the way.
    pub from: usize,
    /// Last network of the way.
    pub to: usize,
    /// How much, in minutes.
    pub amount: i64,
    /// In how many parts, each of as much as the others.
    pub parts: u8,
}

impl Wish {
    /// The networks of the way, in order.
    pub(super) fn way(&self) -> Vec<usize> {
        if self.from < self.to {
            (self.from..=self.to).collect()
        } else {
            (self.to..=self.from).rev().collect()
        }
    }
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::Pair,
        Self::PairCrossing,
        Self::Three,
        Self::ThreeFull,
        Self::ThreeCrossing,
        Self::Four,
        Self::FourCrash,
        Self::LyingDecider,
        Self::TwoFacedDecider,
        Self::LyingDeciderFar,
        Self::LyingMiddle,
        Self::LyingFirstMiddle,
        Self::LyingSecondMiddle,
        Self::LyingPayer,
        Self::PairSetBack,
        Self::PairSetBackTwice,
        Self::ThreeSetBack,
        Self::ThreeSetBackTwo,
        Self::PairDispute,
        Self::ThreeDispute,
        Self::ThreeDisputeFirst,
        Self::PairStatements,
        Self::PairSettles,
        Self::PairReset,
        Self::PairResetSetBack,
        Self::ThreeResetFirst,
        Self::ThreeResetLast,
        Self::ThreeResetSetBack,
        Self::PairParts,
        Self::ThreeParts,
        Self::PairRotation,
        Self::ThreeRotation,
        Self::PairWriteOff,
        Self::ThreeWriteOff,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::PairCrossing => "pair-crossing",
            Self::Three => "three",
            Self::ThreeFull => "three-full",
            Self::ThreeCrossing => "three-crossing",
            Self::Four => "four",
            Self::FourCrash => "four-crash",
            Self::LyingDecider => "lying-decider",
            Self::TwoFacedDecider => "two-faced-decider",
            Self::LyingDeciderFar => "lying-decider-far",
            Self::LyingMiddle => "lying-middle",
            Self::LyingFirstMiddle => "lying-first-middle",
            Self::LyingSecondMiddle => "lying-second-middle",
            Self::LyingPayer => "lying-payer",
            Self::PairSetBack => "pair-set-back",
            Self::PairSetBackTwice => "pair-set-back-twice",
            Self::ThreeSetBack => "three-set-back",
            Self::ThreeSetBackTwo => "three-set-back-two",
            Self::PairDispute => "pair-dispute",
            Self::ThreeDispute => "three-dispute",
            Self::ThreeDisputeFirst => "three-dispute-first",
            Self::PairStatements => "pair-statements",
            Self::PairSettles => "pair-settles",
            Self::PairReset => "pair-reset",
            Self::PairResetSetBack => "pair-reset-set-back",
            Self::ThreeResetFirst => "three-reset-first",
            Self::ThreeResetLast => "three-reset-last",
            Self::ThreeResetSetBack => "three-reset-set-back",
            Self::PairParts => "pair-parts",
            Self::ThreeParts => "three-parts",
            Self::PairRotation => "pair-rotation",
            Self::ThreeRotation => "three-rotation",
            Self::PairWriteOff => "pair-write-off",
            Self::ThreeWriteOff => "three-write-off",
        }
    }

    /// The scenario of a name.
    ///
    /// # Errors
    /// The names there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.name() == name);
        found.ok_or_else(|| Self::ALL.map(Self::name).join(", "))
    }

    /// How many networks stand in the line.
    pub(super) fn networks(self) -> usize {
        match self {
            Self::Pair
            | Self::PairCrossing
            | Self::PairSetBack
            | Self::PairSetBackTwice
            | Self::PairDispute
            | Self::PairStatements
            | Self::PairReset
            | Self::PairResetSetBack
            | Self::PairSettles
            | Self::PairParts
            | Self::PairRotation
            | Self::PairWriteOff => 2,
            Self::Four
            | Self::FourCrash
            | Self::LyingDeciderFar
            | Self::LyingFirstMiddle
            | Self::LyingSecondMiddle => 4,
            _ => 3,
        }
    }

    /// The payments wished for.
    pub(super) fn wishes(self) -> Vec<Wish> {
        let last = self.networks() - 1;
        let there = |amount| Wish { from: 0, to: last, amount, parts: 1 };
        let back = |amount| Wish { from: last, to: 0, amount, parts: 1 };
        match self {
            Self::PairCrossing | Self::ThreeCrossing | Self::PairStatements | Self::PairWriteOff => {
                vec![there(60), back(50)]
            }
            Self::PairParts | Self::ThreeParts => vec![Wish { parts: 2, ..there(60) }],
            Self::ThreeFull => vec![there(60), there(70)],
            _ => vec![there(60)],
        }
    }

    /// What people may do, each once.
    pub(super) fn deeds(self) -> &'static [Deed] {
        match self {
            Self::PairDispute => {
                &[Deed::Dispute { debtor: 0, outcome: Free }, Deed::Dispute { debtor: 0, outcome: Bound }]
            }
            Self::ThreeDispute => &[
                Deed::Dispute { debtor: 0, outcome: Free },
                Deed::Dispute { debtor: 0, outcome: Bound },
                Deed::Dispute { debtor: 1, outcome: Free },
                Deed::Dispute { debtor: 1, outcome: Bound },
            ],
            Self::ThreeDisputeFirst => &[Deed::Dispute { debtor: 0, outcome: Free }],
            Self::PairStatements => {
                &[Deed::State { by: 0, to: 1 }, Deed::State { by: 1, to: 0 }, Deed::State { by: 0, to: 1 }]
            }
            Self::PairSettles => &[
                Deed::Propose { by: 1, to: 0, amount: 40 },
                Deed::Withdraw { by: 1, to: 0 },
                Deed::Answer { by: 0, to: 1, accept: true },
                Deed::Answer { by: 0, to: 1, accept: false },
            ],
            Self::PairReset => &[
                Deed::Notice { by: 0, to: 1 },
                Deed::Notice { by: 1, to: 0 },
                Deed::Close { by: 0, to: 1 },
                Deed::Close { by: 1, to: 0 },
                Deed::Reset { at: 0, with: 1, free: false },
                Deed::Reset { at: 1, with: 0, free: false },
            ],
            Self::PairResetSetBack => &[
                Deed::Notice { by: 0, to: 1 },
                Deed::Notice { by: 1, to: 0 },
                Deed::Close { by: 0, to: 1 },
                Deed::Close { by: 1, to: 0 },
                Deed::Reset { at: 1, with: 0, free: false },
            ],
            Self::ThreeResetFirst => &[
                Deed::Notice { by: 0, to: 1 },
                Deed::Notice { by: 1, to: 0 },
                Deed::Close { by: 0, to: 1 },
                Deed::Close { by: 1, to: 0 },
                Deed::Reset { at: 0, with: 1, free: true },
                Deed::Reset { at: 1, with: 0, free: true },
                Deed::Reset { at: 0, with: 1, free: false },
            ],
            Self::ThreeResetLast => &[
                Deed::Notice { by: 1, to: 2 },
                Deed::Notice { by: 2, to: 1 },
                Deed::Close { by: 1, to: 2 },
                Deed::Close { by: 2, to: 1 },
                Deed::Reset { at: 2, with: 1, free: false },
            ],
            Self::ThreeResetSetBack => &[
                Deed::Notice { by: 0, to: 1 },
                Deed::Notice { by: 1, to: 0 },
                Deed::Close { by: 0, to: 1 },
                Deed::Close { by: 1, to: 0 },
                Deed::Reset { at: 0, with: 1, free: false },
            ],
            Self::PairRotation => &[Deed::Rotate { by: 1 }],
            Self::ThreeRotation => &[Deed::Rotate { by: 1 }, Deed::Rotate { by: 2 }],
            Self::PairWriteOff => &[Deed::WriteOff { by: 0, lost: 1 }],
            Self::ThreeWriteOff => &[Deed::WriteOff { by: 1, lost: 2 }],
            _ => &[],
        }
    }

    /// Whether a channel may be reset: time then passes in weeks.
    pub(super) fn resets(self) -> bool {
        self.deeds().iter().any(|deed| matches!(deed, Deed::Notice { .. }))
    }

    /// Whether hops are closed by dispute: a payment that its payee has may then have come back to its payer.
    pub(super) fn disputes(self) -> bool {
        self.deeds().iter().any(|deed| matches!(deed, Deed::Dispute { .. } | Deed::Reset { free: true, .. }))
    }

    /// Whether a network may be written off: what it owed, and what was on its way to it, stand on `disputed` then.
    pub(super) fn writes_off(self) -> bool {
        self.deeds().iter().any(|deed| matches!(deed, Deed::WriteOff { .. }))
    }

    /// How many commits may be cut short.
    pub(super) fn crashes(self) -> u8 {
        match self {
            Self::Pair => 2,
            Self::PairCrossing
            | Self::Three
            | Self::FourCrash
            | Self::PairDispute
            | Self::PairSettles
            | Self::PairReset
            | Self::PairParts
            | Self::PairRotation
            | Self::PairWriteOff => 1,
            _ => 0,
        }
    }

    /// How often a network may be set back to an older state.
    pub(super) fn set_backs(self) -> u8 {
        match self {
            Self::PairSetBackTwice | Self::ThreeSetBackTwo | Self::PairResetSetBack => 2,
            Self::PairSetBack | Self::ThreeSetBack | Self::ThreeResetSetBack => 1,
            _ => 0,
        }
    }

    /// Who lies.
    pub(super) fn liar(self) -> Option<usize> {
        match self {
            Self::LyingDecider | Self::TwoFacedDecider | Self::LyingSecondMiddle => Some(2),
            Self::LyingDeciderFar => Some(3),
            Self::LyingMiddle | Self::LyingFirstMiddle => Some(1),
            Self::LyingPayer => Some(0),
            _ => None,
        }
    }

    /// Whether the liar of this world may say it.
    pub(super) fn may_say(self, lie: Lie) -> bool {
        self != Self::TwoFacedDecider || matches!(lie, Lie::Accept | Lie::WhisperNo)
    }
}
