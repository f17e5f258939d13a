//! Seeded graphs of debts like those that trade and federations make: many small debtors, a few large ones, half of the
//! edges within a community.
//!
//! All of it is whole numbers modulo 2^64 from one mixing function, so a few lines in any language make the same bits; the
//! checksum says whether they did. What they look like follows what is published of real obligation networks: degrees
//! with a tail exponent of 2.5, amounts that are log-normal, debts that mostly run from smaller to larger firms.

use std::collections::BTreeMap;
use std::fmt;
use weft_protocol::netting::Debt;

use super::numbered;

/// A kind of graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Everybody may owe everybody.
    Mix,
    /// Debts mostly run up through tiers of suppliers.
    Tier,
    /// Positions between networks: one debt between any two, what is left of many.
    Fed,
}

/// A graph by its name: `tier-10000-5` has 10,000 parties and draws five debts for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// Its kind.
    pub family: Family,
    /// Parties.
    pub parties: u32,
    /// Debts drawn for each; parallel ones are added up.
    pub density: u32,
    /// Decides everything.
    pub seed: u64,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::Mix => "mix",
            Family::Tier => "tier",
            Family::Fed => "fed",
        };
        write!(f, "{family}-{}-{}", self.parties, self.density)
    }
}

impl std::str::FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not an instance: write tier-10000-5");
        let parts: Vec<&str> = text.split('-').collect();
        let [family, parties, density] = parts[..] else { return Err(wrong()) };
        let family = match family {
            "mix" => Family::Mix,
            "tier" => Family::Tier,
            "fed" => Family::Fed,
            _ => return Err(wrong()),
        };
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| (1..=100_000_000).contains(n));
        let parties = number(parties).filter(|n| *n > 1).ok_or_else(wrong)?;
        Ok(Self { family, parties, density: number(density).ok_or_else(wrong)?, seed: 1 })
    }
}

/// What rows of graphs with seed 1 sum up to ([`checksum`]), as a program in Python made them first.
pub const SUMS: [(&str, u64); 11] = [
    ("mix-1000-5", 0xaa3c_89df_c996_0a59),
    ("mix-1000-10", 0x4419_4000_6e5a_6f49),
    ("mix-10000-5", 0x09ea_1e85_fa7f_12d9),
    ("mix-10000-10", 0x58f3_64f8_162d_7c02),
    ("mix-100000-5", 0xbba5_8933_e144_0784),
    ("tier-1000-5", 0xa954_c46c_6f8b_141b),
    ("tier-1000-10", 0xf24f_7fea_af02_7500),
    ("tier-100000-5", 0xa3b3_df3f_3caf_bfd8),
    ("fed-100-10", 0x2229_979a_0abb_95db),
    ("fed-500-10", 0x466f_4924_af0d_5ade),
    ("fed-2000-10", 0xb4a5_beb1_70f4_2a78),
];

/// Debtor, creditor and amount, by numbers of parties.
pub type Row = (u32, u32, i64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of splitmix64.
#[must_use]
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(GOLDEN);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A rank below `count`, the first ones far more often: the third power of a number below one.
fn rank(drawn: u64, count: u64) -> u64 {
    let u = drawn >> 32;
    let squared = (u * u) >> 32;
    (((squared * u) >> 32) * count) >> 32
}

impl Instance {
    fn base(&self, stream: u64) -> u64 {
        mix(self.seed.wrapping_mul(GOLDEN).wrapping_add(stream))
    }

    /// The k-th number drawn for the i-th thing.
    fn draw(&self, i: u64, k: u64) -> u64 {
        mix(self.base(0).wrapping_add(i * 8).wrapping_add(k))
    }

    fn tier(&self, party: u64) -> u64 {
        mix(self.base(1).wrapping_add(party * 8)) & 0xffff
    }

    /// Who owes whom by one draw.
    fn ends(&self, i: u64) -> (u64, u64) {
        let parties = u64::from(self.parties);
        let communities = (parties / 256).max(1);
        let a = rank(self.draw(i, 0), parties);
        let mut b = if self.draw(i, 1) & 1 == 1 {
            rank(self.draw(i, 2), parties / communities) * communities + a % communities
        } else {
            rank(self.draw(i, 2), parties)
        };
        if b >= parties || b == a {
            b = (a + 1) % parties;
        }
        let drawn = self.draw(i, 3);
        // Of 256 draws so many do not look at tiers.
        let free = if self.family == Family::Tier { 96 } else { 256 };
        let turn = if drawn & 0xff < free { drawn >> 63 == 1 } else { self.tier(a) > self.tier(b) };
        if turn { (b, a) } else { (a, b) }
    }

    /// How much: log-normal by a sum of twelve bytes, with a median of 2^15.
    fn amount(&self, i: u64, powers: &[u64]) -> i64 {
        let bytes = self
            .draw(i, 4)
            .to_le_bytes()
            .into_iter()
            .chain(self.draw(i, 5).to_le_bytes().into_iter().take(4));
        let sum: i64 = bytes.map(i64::from).sum();
        let log = 15 * 256 + (((sum - 1_530) * 5) >> 1);
        let (part, whole) = (usize::try_from(log & 255).expect("eight bits"), log >> 8);
        i64::try_from((powers[part] << whole) >> 16).expect("a small amount").max(1)
    }

    /// All debts, by debtor and creditor.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        // 2^16 times 2^(i/256), to the nearest: the checksums of the tests say that it is.
        let powers: Vec<u64> =
            (0..256_u16).map(|i| (65_536.0 * (f64::from(i) / 256.0).exp2()).round() as u64).collect();
        let narrow = |party: u64| u32::try_from(party).expect("parties are counted in 32 bits");
        let count = u64::from(self.parties) * u64::from(self.density);
        let mut drawn: Vec<Row> = (0..count)
            .map(|i| {
                let (a, b) = self.ends(i);
                (narrow(a), narrow(b), self.amount(i, &powers))
            })
            .collect();
        if self.family == Family::Fed {
            return one_for_each_pair(&drawn);
        }
        drawn.sort_unstable();
        drawn.dedup_by(|next, sum| {
            let same = (next.0, next.1) == (sum.0, sum.1);
            sum.2 += if same { next.2 } else { 0 };
            same
        });
        drawn
    }

    /// Whether its rows are those that others make; `None` when nobody has said what they sum up to.
    #[must_use]
    pub fn is_right(&self) -> Option<bool> {
        let name = self.to_string();
        let (_, sum) = SUMS.iter().find(|(known, _)| *known == name)?;
        Some(checksum(&self.rows()) == *sum)
    }

    /// The same as debts between numbered parties.
    #[must_use]
    pub fn debts(&self) -> Vec<Debt> {
        let debt = |&(debtor, creditor, amount): &Row| Debt {
            debtor: numbered(debtor),
            creditor: numbered(creditor),
            amount,
        };
        self.rows().iter().map(debt).collect()
    }
}

/// What is left between any two when their debts are set off.
fn one_for_each_pair(drawn: &[Row]) -> Vec<Row> {
    let mut pairs: BTreeMap<(u32, u32), i64> = BTreeMap::new();
    for &(a, b, amount) in drawn {
        *pairs.entry((a.min(b), a.max(b))).or_default() += if a < b { amount } else { -amount };
    }
    let left = pairs.into_iter().filter(|(_, sum)| *sum != 0);
    let mut rows: Vec<Row> =
        left.map(|((a, b), sum)| if sum > 0 { (a, b, sum) } else { (b, a, -sum) }).collect();
    rows.sort_unstable();
    rows
}

/// A sum over all rows that any language can make.
#[must_use]
pub fn checksum(rows: &[Row]) -> u64 {
    let one = |&(debtor, creditor, amount): &Row| {
        mix((u64::from(debtor) << 32) + u64::from(creditor)) ^ mix(amount.unsigned_abs())
    };
    rows.iter().map(one).fold(0, u64::wrapping_add)
}
