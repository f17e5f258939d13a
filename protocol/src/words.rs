//! The list of 2,048 words, and a key of 32 bytes as 24 of them (specs/ceremony.md §2).
//!
//! The list is the English one of BIP-39 and the encoding is that of BIP-39 for 256 bits, so other tools read the words
//! too; the seed that BIP-39 derives from words is not used. What must hold: words give back exactly the bytes they were
//! made from, and a mistake is found with a chance of 255 in 256 or better.

#![cfg_attr(
    not(test),
    expect(
        clippy::arithmetic_side_effects,
        reason = "places inside 33 bytes and inside words of at most 32 letters"
    )
)]

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Words of a key.
pub const KEY_WORDS: usize = 24;
/// Bits that a word stands for.
const WORD_BITS: usize = 11;
/// Most words that are proposed for one that is not in the list.
const MAX_NEAR: usize = 3;
/// A word further away than this many letters is not proposed.
const MAX_DISTANCE: usize = 2;
/// Longest text that is looked at: more than 24 of the longest words with wide gaps.
const MAX_TEXT_BYTES: usize = 2_048;
/// Longest word that is compared with the list; its own words have at most 8 letters.
const MAX_WORD_CHARS: usize = 32;

static LIST: &str = include_str!("../../specs/words.txt");

/// A word that is not in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Which one, from 1.
    pub number: usize,
    /// What was typed.
    pub typed: String,
    /// Words of the list that look like it, nearest first.
    pub near: Vec<&'static str>,
}

/// Why words are no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Too few or too many.
    #[error("a key has {KEY_WORDS} words, got {got}")]
    Count {
        /// Words given.
        got: usize,
    },
    /// Far more text than words have.
    #[error("{KEY_WORDS} words take at most {MAX_TEXT_BYTES} bytes, got {got}")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// Some are not in the list.
    #[error("{}", sentence(.0))]
    Unknown(Vec<Mistake>),
    /// All are in the list, but they do not belong together.
    #[error(
        "all {KEY_WORDS} words are in the list, but they do not fit together: one was read or written as another word, or \
         two changed places. Compare them with the paper one by one"
    )]
    Checksum,
}

fn sentence(mistakes: &[Mistake]) -> String {
    let one = |mistake: &Mistake| {
        let near = match mistake.near[..] {
            [] => String::new(),
            _ => format!(" (perhaps {})", mistake.near.join(", ")),
        };
        format!("word {} \"{}\" is not in the list{near}", mistake.number, mistake.typed)
    };
    mistakes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A word of the list by its number, 0 to 2,047.
///
/// # Panics
/// When the number has more than 11 bits.
pub fn word(index: usize) -> &'static str {
    LIST.lines().nth(index).expect("the list has 2,048 words and an index has 11 bits")
}

/// The 24 words of a key: its 256 bits and the first 8 bits of their SHA-256, 11 bits a word, the highest bit first.
pub fn words_of(key: &[u8; 32]) -> Vec<&'static str> {
    let mut bytes = Zeroizing::new([0; 33]);
    bytes[..32].copy_from_slice(key);
    bytes[32] = Sha256::digest(key)[0];
    (0..KEY_WORDS).map(|n| word(bits(&*bytes, n))).collect()
}

/// Reads the 24 words of a key, in any case and with any blanks between them; numbers such as `1.` before words are
/// left aside.
///
/// # Errors
/// Names each word that is not in the list; says when the number or the checksum does not fit.
pub fn key_of(text: &str) -> Result<Zeroizing<[u8; 32]>, WordsError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(WordsError::TooLong { got: text.len() });
    }
    let words = text
        .split_whitespace()
        .filter(|w| !w.trim_end_matches(['.', ')', ':']).bytes().all(|b| b.is_ascii_digit()));
    let words: Vec<Zeroizing<String>> = words.map(|w| Zeroizing::new(w.to_lowercase())).collect();
    let indices: Vec<Option<usize>> = words.iter().map(|w| index_of(w)).collect();
    let mistakes: Vec<Mistake> =
        (1..).zip(&words).zip(&indices).filter(|(_, index)| index.is_none()).map(mistake).collect();
    if words.len() != KEY_WORDS {
        return Err(WordsError::Count { got: words.len() });
    }
    if !mistakes.is_empty() {
        return Err(WordsError::Unknown(mistakes));
    }
    let mut bytes = Zeroizing::new([0_u8; 33]);
    for (n, index) in indices.into_iter().flatten().enumerate() {
        for bit in 0..WORD_BITS {
            let at = n * WORD_BITS + bit;
            let set = index >> (WORD_BITS - 1 - bit) & 1 == 1;
            bytes[at / 8] |= u8::from(set) << (7 - at % 8);
        }
    }
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&bytes[..32]);
    if Sha256::digest(*key)[0] == bytes[32] { Ok(key) } else { Err(WordsError::Checksum) }
}

fn mistake(((number, typed), _): ((usize, &Zeroizing<String>), &Option<usize>)) -> Mistake {
    Mistake { number, typed: typed.to_string(), near: near(typed) }
}

/// The 11 bits of a word.
fn bits(bytes: &[u8], n: usize) -> usize {
    (0..WORD_BITS).fold(0, |sum, bit| {
        let at = n * WORD_BITS + bit;
        sum << 1 | usize::from(bytes[at / 8] >> (7 - at % 8) & 1)
    })
}

fn index_of(typed: &str) -> Option<usize> {
    LIST.lines().position(|word| word == typed)
}

/// Words of the list that somebody may have meant, nearest first.
fn near(typed: &str) -> Vec<&'static str> {
    if typed.chars().count() > MAX_WORD_CHARS {
        return Vec::new();
    }
    // The first four letters tell every word of the list from all others.
    let begins = |word: &str| typed.len() >= 4 && word.get(..4).is_some_and(|start| typed.starts_with(start));
    let far = |word: &str| if begins(word) { 1 } else { distance(typed, word) };
    let mut near: Vec<(usize, &str)> = LIST.lines().map(|word| (far(word), word)).collect();
    near.retain(|(far, _)| *far <= MAX_DISTANCE);
    near.sort_unstable();
    near.into_iter().take(MAX_NEAR).map(|(_, word)| word).collect()
}

/// Letters added, left out, changed, or exchanged with their neighbour, between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut rows = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let at = |i: usize, j: usize| i * width + j;
            rows[at(i, j)] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = usize::from(a[i - 1] != b[j - 1]);
                let mut least = (rows[at(i - 1, j)] + 1)
                    .min(rows[at(i, j - 1)] + 1)
                    .min(rows[at(i - 1, j - 1)] + changed);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[at(i - 2, j - 2)] + 1);
                }
                least
            };
        }
    }
    rows.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of 256 bits that BIP-39's authors publish for the English list: entropy and words
    /// (python-mnemonic, `vectors.json`, MIT licence, Copyright (c) 2013 Pavol Rusnak).
    const PUBLISHED: [(&str, &str); 8] = [
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
             abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
        ),
        (
            "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
            "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal \
             winner thank year wave sausage worth title",
        ),
        (
            "8080808080808080808080808080808080808080808080808080808080808080",
            "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic \
             avoid letter advice cage absurd amount doctor acoustic bless",
        ),
        (
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
        ),
        (
            "00ac97c48106f0aeb8ba061e0250a559b3251dc35854e694780ba51d53a50120",
            "absent gorilla van acoustic humor firm title dolphin bulk barely citizen recall crane moment aspect appear \
             track phrase actual enforce steel spoon afraid benefit",
        ),
        (
            "3edc83b60740d77af3afa2fcb82c2f1bc541ee4e2518ddef4996d32453f54a3c",
            "disagree tomato unique attend aspect runway solid violin witness scrap armed daring favorite warm decade \
             perfect target kid grant play early wide cigar night",
        ),
        (
            "89bb4bc5555992cdaf3444c5e7ca5a6e9f27efab894f1990bae41be8b2a26ea4",
            "meadow surge vanish primary odor grocery rubber mass shine dinner notable tag venue water purchase clarify \
             book magic ribbon daughter menu eye ritual orchard",
        ),
        (
            "911fec0fbd88029f6fa99164896c18d898c9232af18bdcca3e42d53b86493104",
            "much youth advance kitchen lens exile salt cram goose enter alert raise milk muscle profit cousin system \
             faint mouse price reveal cause series long",
        ),
    ];

    fn seed(hex: &str) -> [u8; 32] {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_list_has_2048_different_words() {
        let words: std::collections::BTreeSet<&str> = LIST.lines().collect();
        assert_eq!((LIST.lines().count(), words.len()), (2_048, 2_048));
        let starts: std::collections::BTreeSet<&str> =
            LIST.lines().map(|w| w.get(..4).unwrap_or(w)).collect();
        assert_eq!(starts.len(), 2_048);
    }

    #[test]
    fn the_published_vectors_hold_both_ways() {
        for (hex, words) in PUBLISHED {
            assert_eq!(words_of(&seed(hex)).join(" "), words);
            assert_eq!(*key_of(words).unwrap(), seed(hex));
        }
    }

    #[test]
    fn case_blanks_line_ends_and_numbers_do_not_matter() {
        let words = words_of(&[5; 32]);
        let listed: String =
            (1..).zip(&words).map(|(n, w)| format!(" {n}.  {}\n", w.to_uppercase())).collect();
        assert_eq!(*key_of(&listed).unwrap(), [5; 32]);
    }

    #[test]
    fn a_mistyped_word_is_named_with_its_number_and_near_words() {
        let mut words: Vec<String> = words_of(&seed(PUBLISHED[4].0)).into_iter().map(str::to_owned).collect();
        words[0] = "absant".to_owned();
        words[3] = "acuostic".to_owned();
        words[6] = "qqqqqq".to_owned();
        let Err(WordsError::Unknown(mistakes)) = key_of(&words.join(" ")) else { panic!("they are taken") };
        let numbers: Vec<usize> = mistakes.iter().map(|m| m.number).collect();
        assert_eq!(numbers, [1, 4, 7]);
        assert!(mistakes[0].near.contains(&"absent"), "{mistakes:?}");
        assert_eq!(mistakes[1].near.first(), Some(&"acoustic"));
        assert!(mistakes[2].near.is_empty());
        let said = WordsError::Unknown(mistakes).to_string();
        assert!(said.starts_with("word 1 \"absant\" is not in the list (perhaps "), "{said}");
    }

    #[test]
    fn exchanged_and_missing_words_are_noticed() {
        let words = words_of(&seed(PUBLISHED[7].0));
        let mut exchanged = words.clone();
        exchanged.swap(3, 4);
        assert_eq!(key_of(&exchanged.join(" ")), Err(WordsError::Checksum));
        assert_eq!(key_of(&words[1..].join(" ")), Err(WordsError::Count { got: 23 }));
        assert_eq!(key_of(&"a ".repeat(2_000)), Err(WordsError::TooLong { got: 4_000 }));
        assert_eq!(key_of(""), Err(WordsError::Count { got: 0 }));
    }
}
