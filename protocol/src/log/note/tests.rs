//! The worked examples of signed-note and of Go's `sumdb/note`, and every way of breaking a note.

use super::*;

/// The example of C2SP signed-note, "Verifier keys".
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE_NOTE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// The example of `golang.org/x/mod/sumdb/note`; its published seed makes signing reproducible.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const GO_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/// The first example of C2SP signed-note: its text holds an empty line.
const POEM: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
    — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

fn vkey(text: &str) -> VerifierKey {
    text.parse().unwrap()
}

fn go_secret() -> SecretKey {
    let bytes = BASE64.decode(GO_SEED.as_bytes()).unwrap();
    SecretKey::from_seed(bytes[1..].try_into().unwrap())
}

#[test]
fn the_published_notes_verify_and_print_as_they_were() {
    let go_note = format!("{GO_TEXT}\n{GO_LINE}");
    for (key, text) in [(EXAMPLE_KEY, EXAMPLE_NOTE), (GO_KEY, &go_note)] {
        assert_eq!(vkey(key).to_string(), key);
        let note = Note::parse(text.as_bytes()).unwrap();
        assert_eq!(note.verify(&vkey(key)), Ok(()));
        assert_eq!(note.to_string(), text);
    }
}

#[test]
fn signing_reproduces_the_published_note() {
    let key = vkey(GO_KEY);
    let note = Note::sign(GO_TEXT, key.name(), &go_secret()).unwrap();
    assert_eq!(note.to_string(), format!("{GO_TEXT}\n{GO_LINE}"));
}

#[test]
fn a_text_may_hold_empty_lines() {
    let note = Note::parse(POEM.as_bytes()).unwrap();
    assert!(note.text().ends_with("sole:\n\ned è subito sera.\n"));
    assert_eq!(note.to_string(), POEM);
    assert_eq!(note.signatures()[0].id, KeyId([0x36, 0x7b, 0xa0, 0x4b]));
    let odd = Note::sign("a\n\n", vkey(GO_KEY).name(), &go_secret()).unwrap();
    assert_eq!(Note::parse(odd.to_string().as_bytes()), Ok(odd));
}

#[test]
fn each_changed_byte_of_a_note_is_noticed() {
    let (key, good) = (vkey(GO_KEY), format!("{GO_TEXT}\n{GO_LINE}").into_bytes());
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let believed = Note::parse(&bytes).is_ok_and(|note| note.verify(&key).is_ok());
            assert!(!believed, "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn lines_of_unknown_keys_are_kept_and_listed() {
    let key = vkey(EXAMPLE_KEY);
    let text = format!("{EXAMPLE_NOTE}— stranger AAAAAAA=\n");
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.verify(&key), Ok(()));
    assert_eq!(note.to_string(), text);
    let others: Vec<_> = note.lines_of_others(std::slice::from_ref(&key)).map(|l| l.name.as_str()).collect();
    assert_eq!(others, ["stranger"]);
}

#[test]
fn a_wrong_line_of_a_known_key_spoils_the_note() {
    let key = vkey(EXAMPLE_KEY);
    for signature in [vec![0; 64], vec![0; 63]] {
        let mut note = Note::parse(EXAMPLE_NOTE.as_bytes()).unwrap();
        note.add(SignatureLine { name: key.name().clone(), id: key.id(), signature }).unwrap();
        let error = NoteVerifyError::BadSignature { name: key.name().clone(), id: key.id() };
        assert_eq!(note.verify(&key), Err(error));
    }
}

#[test]
fn a_key_that_did_not_sign_is_named() {
    let (key, note) = (vkey(GO_KEY), Note::parse(EXAMPLE_NOTE.as_bytes()).unwrap());
    let error = note.verify(&key).unwrap_err();
    assert_eq!(error.to_string(), "the note is not signed by PeterNeumann (key id c74f20a3)");
    let witness = VerifierKey::new(key.name().clone(), SignatureType::CosignatureV1, *key.key());
    assert_eq!(note.verify(&witness), Err(NoteVerifyError::WrongType { name: key.name().clone() }));
}

#[test]
fn malformed_notes_are_refused_by_rule() {
    let line = |why| NoteError::SignatureLine { line: 1, why };
    let cases = [
        ("", NoteError::NoSignatures),
        ("text\n", NoteError::NoSignatures),
        ("text\n\n", NoteError::NoSignatures),
        ("text\n— a AAAAAAA=\n", NoteError::NoSignatures),
        ("text\n\n— a AAAAAAA=", NoteError::NotTerminated { what: "last signature line" }),
        ("te\txt\n\n— a AAAAAAA=\n", NoteError::ControlCharacter { at: 2 }),
        ("text\r\n\n— a AAAAAAA=\n", NoteError::ControlCharacter { at: 4 }),
        ("text\n\n- a AAAAAAA=\n", line("it does not start with an em dash and a space")),
        ("text\n\n— a\n", line("no space between name and signature")),
        ("text\n\n—  AAAAAAA=\n", line("the name is empty or holds a space or a plus")),
        ("text\n\n— a+b AAAAAAA=\n", line("the name is empty or holds a space or a plus")),
        ("text\n\n— a\u{a0}b AAAAAAA=\n", line("the name is empty or holds a space or a plus")),
        ("text\n\n— a  AAAAAAA=\n", line("the signature is not strict base64")),
        ("text\n\n— a AAAAAAA= \n", line("the signature is not strict base64")),
        ("text\n\n— a AAAAAAA\n", line("the signature is not strict base64")),
        ("text\n\n— a AAAAAAB=\n", line("the signature is not strict base64")),
        ("text\n\n— a AAAAAA==\n", line("no signature after the key id")),
        ("text\n\n— a AAAA\n", line("no signature after the key id")),
    ];
    for (text, error) in cases {
        assert_eq!(Note::parse(text.as_bytes()), Err(error), "{text:?}");
    }
    assert_eq!(Note::parse(b"a\xff"), Err(NoteError::NotUtf8 { at: 1 }));
}

#[test]
fn a_note_has_limits_in_bytes_and_lines() {
    let got = MAX_NOTE_BYTES + 1;
    assert_eq!(Note::parse(&vec![b'a'; got]), Err(NoteError::TooLong { got }));
    let lines = |n| format!("text\n\n{}", "— a AAAAAAA=\n".repeat(n));
    assert_eq!(Note::parse(lines(17).as_bytes()), Err(NoteError::TooManySignatures { got: 17 }));
    let mut full = Note::parse(lines(16).as_bytes()).unwrap();
    let line = full.signatures()[0].clone();
    assert_eq!(full.add(line), Err(NoteError::TooManySignatures { got: 17 }));
    let name = KeyName::new("a").unwrap();
    let long = "a\n".repeat(MAX_NOTE_BYTES / 2);
    assert!(matches!(Note::sign(&long, &name, &go_secret()), Err(NoteError::TooLong { .. })));
}

#[test]
fn texts_that_cannot_be_signed_are_refused() {
    let name = KeyName::new("a").unwrap();
    let error = NoteError::NotTerminated { what: "text" };
    assert_eq!(Note::sign("no newline", &name, &go_secret()), Err(error.clone()));
    assert_eq!(Note::sign("", &name, &go_secret()), Err(error));
    assert_eq!(Note::sign("a\0\n", &name, &go_secret()), Err(NoteError::ControlCharacter { at: 1 }));
}

#[test]
fn malformed_verifier_keys_are_refused() {
    // From Go's tests: no part of a good key is a good key.
    for from in 0..GO_KEY.len() {
        for to in from..GO_KEY.len() + usize::from(from > 0) {
            assert!(GO_KEY[from..to].parse::<VerifierKey>().is_err(), "{}", &GO_KEY[from..to]);
        }
    }
    let upper = GO_KEY.replace("c74f20a3", "C74F20A3");
    assert_eq!(upper.parse::<VerifierKey>(), Err(VerifierKeyError::Malformed));
    let renamed = GO_KEY.replace("Peter", "Paul");
    assert!(matches!(renamed.parse::<VerifierKey>(), Err(VerifierKeyError::WrongId { .. })));
    let other_type = GO_KEY.replace("+ARpc", "+Ahpc");
    assert_eq!(other_type.parse::<VerifierKey>(), Err(VerifierKeyError::UnknownType { found: 2 }));
    let long = format!("{}{GO_KEY}", "a".repeat(MAX_NOTE_BYTES));
    assert_eq!(long.parse::<VerifierKey>(), Err(VerifierKeyError::Malformed));
}

#[test]
fn a_published_witness_key_is_read() {
    let text = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    assert_eq!(vkey(text).signature_type(), SignatureType::CosignatureV1);
    assert_eq!(vkey(text).to_string(), text);
    let plus_in_base64 = "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6";
    assert_eq!(vkey(plus_in_base64).to_string(), plus_in_base64);
}
