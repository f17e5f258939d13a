//! The worlds that are searched: small enough to be searched whole.

use super::liar::Lie;

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
    pub const ALL: [Self; 18] = [
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
            Self::Pair | Self::PairCrossing | Self::PairSetBack | Self::PairSetBackTwice => 2,
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
        let there = |amount| Wish { from: 0, to: last, amount };
        let back = |amount| Wish { from: last, to: 0, amount };
        match self {
            Self::PairCrossing | Self::ThreeCrossing => vec![there(60), back(50)],
            Self::ThreeFull => vec![there(60), there(70)],
            _ => vec![there(60)],
        }
    }

    /// How many commits may be cut short.
    pub(super) fn crashes(self) -> u8 {
        match self {
            Self::Pair => 2,
            Self::PairCrossing | Self::Three | Self::FourCrash => 1,
            _ => 0,
        }
    }

    /// How often a network may be set back to an older state.
    pub(super) fn set_backs(self) -> u8 {
        match self {
            Self::PairSetBackTwice | Self::ThreeSetBackTwo => 2,
            Self::PairSetBack | Self::ThreeSetBack => 1,
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
