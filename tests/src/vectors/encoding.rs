//! Items that pass the gate, and items that each break one rule of it.

use super::kit::{code_of, hex, reading, unhex};
use serde_json::{Value, json};
use weft_protocol::encoding::check_shape;

pub(super) fn vectors() -> Value {
    let valid = [
        ("the smallest number", "00".to_owned()),
        ("the largest number in one byte", "17".into()),
        ("the smallest with one more byte", "1818".into()),
        ("the smallest with two more", "190100".into()),
        ("the smallest with four more", "1a00010000".into()),
        ("the smallest with eight more", "1b0000000100000000".into()),
        ("the largest number", "1bffffffffffffffff".into()),
        ("minus one", "20".into()),
        ("minus 2^62", "3b3fffffffffffffff".into()),
        ("false", "f4".into()),
        ("true", "f5".into()),
        ("no bytes", "40".into()),
        ("bytes", "43010203".into()),
        ("text", "6177".into()),
        ("text of two-byte characters", "62c3a9".into()),
        ("an empty array", "80".into()),
        ("an array", "83010203".into()),
        ("an empty map", "a0".into()),
        ("a map in order", "a200010102".into()),
        ("keys in order over a change of length", "a217001818f5".into()),
        ("64 items", format!("9840{}", "00".repeat(64))),
        ("a text of 256 bytes", format!("790100{}", "61".repeat(256))),
        ("nested six deep", format!("{}80", "81".repeat(5))),
        ("depth is not counted inside a byte string", format!("{}4781818181818180", "81".repeat(5) + "81")),
    ];
    let invalid = [
        ("nothing", String::new()),
        ("bytes that end early", "430102".into()),
        ("a head that ends early", "1901".into()),
        ("an array that ends early", "820".to_owned() + "1"),
        ("something after the item", "0000".into()),
        ("0 in two bytes", "1800".into()),
        ("23 in two bytes", "1817".into()),
        ("255 in three bytes", "1900ff".into()),
        ("65535 in five bytes", "1a0000ffff".into()),
        ("2^32 - 1 in nine bytes", "1b00000000ffffffff".into()),
        ("a length that is not shortest", "580101".into()),
        ("a count that is not shortest", "980100".into()),
        ("-1 in two bytes", "3800".into()),
        ("an array of indefinite length", "9f00ff".into()),
        ("a map of indefinite length", "bf0001ff".into()),
        ("bytes of indefinite length", "5f4101ff".into()),
        ("a reserved head", "1c".into()),
        ("a tag", "c100".into()),
        ("null", "f6".into()),
        ("undefined", "f7".into()),
        ("a half float", "f93c00".into()),
        ("a double", "fb3ff0000000000000".into()),
        ("a simple value", "f820".into()),
        ("a break", "ff".into()),
        ("a text as a key", "a1616100".into()),
        ("a negative key", "a12000".into()),
        ("keys out of order", "a201020001".into()),
        ("a key twice", "a200010002".into()),
        ("65 items", format!("9841{}", "00".repeat(65))),
        ("65 pairs", "b84100".into()),
        ("a text of 257 bytes", format!("790101{}", "61".repeat(257))),
        ("a text that is not UTF-8", "61ff".into()),
        ("an overlong UTF-8 form", "62c080".into()),
        ("a surrogate in UTF-8", "63eda080".into()),
        ("nested seven deep", format!("{}80", "81".repeat(6))),
        ("a length of almost 2^64", "5bffffffffffffffff".into()),
    ];
    let valid = valid.map(|(about, text)| {
        let bytes = unhex(&text);
        assert_eq!(check_shape(&bytes), Ok(()), "{about}");
        json!({ "about": about, "hex": hex(&bytes), "reading": reading(&bytes) })
    });
    let invalid = invalid.map(|(about, text)| {
        let error = check_shape(&unhex(&text)).expect_err(about);
        json!({ "about": about, "hex": text, "why": code_of(&format!("{error:?}")) })
    });
    json!({
        "about": "specs/encoding.md. In `reading` a byte string is h'..' and a map key is text",
        "valid": valid.to_vec(),
        "invalid": invalid.to_vec(),
    })
}
