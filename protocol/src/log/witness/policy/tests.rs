//! The example of C2SP tlog-policy, and each way of breaking a policy.

use super::*;
use crate::keys::SecretKey;
use crate::log::note::KeyName;

fn vkey(name: &str, kind: SignatureType, seed: u8) -> VerifierKey {
    VerifierKey::new(KeyName::new(name).unwrap(), kind, SecretKey::from_seed(&[seed; 32]).public())
}

fn witness(name: &str, seed: u8) -> String {
    format!("witness {name} {}\n", vkey(&format!("example.com/{name}"), SignatureType::CosignatureV1, seed))
}

fn log() -> String {
    format!("log {}", vkey("example.com/log", SignatureType::Ed25519, 99))
}

/// The example of the format, with keys.
fn example() -> String {
    let mut text = format!("{} https://log.example/\n\n", log());
    for (name, seed) in [("X1", 1), ("X2", 2), ("X3", 3)] {
        text += &witness(name, seed);
    }
    text += "  # the second organisation\n\tgroup\tX-witnesses 2  X1 X2 X3 \n";
    for (name, seed) in [("Y1", 4), ("Y2", 5), ("Y3", 6)] {
        text += &witness(name, seed);
    }
    text + "group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
}

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text.as_bytes())
}

fn wrong(line: usize, why: &'static str) -> Result<Policy, PolicyError> {
    Err(PolicyError::Line { line, why })
}

#[test]
fn the_published_example_asks_for_two_of_x_and_one_of_y() {
    let policy = parse(&example()).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len(), policy.groups().len()), (1, 6, 3));
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://log.example/"));
    let reached = |signed: &[usize]| policy.reached(|index| signed.contains(&index));
    assert!(reached(&[0, 1, 3]) && reached(&[1, 2, 5]) && reached(&[0, 1, 2, 3, 4, 5]));
    assert!(!reached(&[0, 1]) && !reached(&[0, 3, 4, 5]) && !reached(&[3, 4, 5]) && !reached(&[]));
}

#[test]
fn a_policy_prints_as_a_policy_that_means_the_same() {
    let policy = parse(&example()).unwrap();
    assert_eq!(parse(&policy.to_string()), Ok(policy));
}

#[test]
fn the_quorum_can_be_one_witness_or_nobody() {
    let one = parse(&format!("{}quorum a\n", witness("a", 1))).unwrap();
    assert!(one.reached(|_| true) && !one.reached(|_| false));
    let none = parse("quorum none\n").unwrap();
    assert!(none.reached(|_| false) && none.witnesses().is_empty());
}

#[test]
fn peers_alone_make_a_policy() {
    let keys: Vec<_> =
        (1..=3).map(|n| vkey(&format!("weft/{n}/witness"), SignatureType::CosignatureV1, n)).collect();
    let policy = Policy::of_witnesses(keys, 2);
    assert_eq!(parse(&policy.to_string()), Ok(policy.clone()));
    assert!(policy.reached(|index| index < 2) && !policy.reached(|index| index < 1));
    assert!(Policy::of_witnesses([], 2).reached(|_| false));
}

#[test]
fn names_are_bytes_and_need_not_be_utf8() {
    let key = vkey("example.com/a", SignatureType::CosignatureV1, 1);
    let kelvin = [b"witness \xe2\x84\xaa ".as_slice(), key.to_string().as_bytes(), b"\nquorum K\n"].concat();
    assert!(matches!(Policy::parse(&kelvin), Err(PolicyError::Unknown { line: 2, .. })));
    let latin1 = [b"witness \xe9 ".as_slice(), key.to_string().as_bytes(), b"\nquorum \xe9\n"].concat();
    assert!(Policy::parse(&latin1).is_ok());
}

#[test]
fn broken_policies_are_refused_by_line_and_rule() {
    let (a, b) = (witness("a", 1), witness("b", 2));
    let long = "not a log, witness, group or quorum line, or with too few or many items";
    for text in ["Log x\n", "quorum\n", "quorum none none\n", "log\n", "witness a\n", "group a 1\nx\n"] {
        let first = parse(text);
        assert!(matches!(first, Err(PolicyError::Line { line: 1, .. })), "{text}: {first:?}");
    }
    assert_eq!(parse("Log x\n"), wrong(1, long));
    assert_eq!(parse(""), Err(PolicyError::NotTerminated));
    assert_eq!(parse("quorum none"), Err(PolicyError::NotTerminated));
    assert_eq!(parse("# nothing\n"), Err(PolicyError::NoQuorum));
    assert_eq!(parse("quorum none\nquorum none\n"), wrong(2, "a second quorum line"));
    assert_eq!(parse("quorum none\r\n"), Err(PolicyError::ControlCharacter { line: 1, byte: b'\r' }));
    assert_eq!(parse("#\x7f\n"), Err(PolicyError::ControlCharacter { line: 1, byte: 0x7f }));
    let twice = format!("{a}{}quorum a\n", witness("b", 1));
    assert_eq!(parse(&twice), wrong(2, "this witness's key stands on a line before"));
    let named = format!("{a}{}quorum a\n", b.replace("witness b", "witness a"));
    assert_eq!(parse(&named), wrong(2, "this name is defined on a line before"));
    let none = a.replace("witness a", "witness none");
    assert_eq!(parse(&none), wrong(1, "the name \"none\" cannot be given to a witness or group"));
    assert_eq!(
        parse(&format!("{}\n{}\nquorum none\n", log(), log())),
        wrong(2, "this log's key stands on a line before")
    );
    let as_log = a.replace("witness a", "log");
    assert_eq!(parse(&as_log), wrong(1, "a log's key has type 0x01, this one is a witness's"));
    let as_witness = format!("{}\n", log().replace("log ", "witness a "));
    assert_eq!(parse(&as_witness), wrong(1, "a witness's key has type 0x04, this one is a log's"));
    let more = format!("{} u v\n", a.trim_end());
    assert_eq!(parse(&more), wrong(1, "something follows the URL"));
    assert!(matches!(parse("log nonsense\n"), Err(PolicyError::Key { line: 1, .. })));
}

#[test]
fn broken_groups_are_refused() {
    let two = format!("{}{}", witness("a", 1), witness("b", 2));
    let group = |line: &str| parse(&format!("{two}{line}\nquorum g\n"));
    assert!(group("group g 2 a b").is_ok() && group("group g all a").is_ok());
    for threshold in ["0", "3", "01", "-1", "most", "99999999999999999999"] {
        let error = Err(PolicyError::Threshold { line: 3, members: 2 });
        assert_eq!(group(&format!("group g {threshold} a b")), error, "{threshold}");
    }
    assert_eq!(group("group g any"), wrong(3, "a group without members"));
    let twice = "a name is a member of a group twice, or of two groups";
    assert_eq!(group("group g any a a"), wrong(3, twice));
    assert_eq!(group("group h any a\ngroup g any h a"), wrong(4, twice));
    let unknown = |name: &str| Err(PolicyError::Unknown { line: 3, name: Name(name.into()) });
    assert_eq!(group("group g any g"), unknown("g"));
    assert_eq!(group("group g any none"), unknown("none"));
    assert_eq!(group("group g any c"), unknown("c"));
    assert_eq!(
        parse(&format!("quorum a\n{two}")),
        Err(PolicyError::Unknown { line: 1, name: Name("a".into()) })
    );
}

#[test]
fn a_policy_has_limits() {
    let got = MAX_POLICY_BYTES + 1;
    assert_eq!(Policy::parse(&vec![b'\n'; got]), Err(PolicyError::TooLong { got }));
    let witnesses =
        |n: u8| (1..=n).map(|seed| witness(&format!("w{seed}"), seed)).collect::<String>() + "quorum none\n";
    assert!(parse(&witnesses(32)).is_ok());
    let error = PolicyError::TooMany { line: 33, what: "witnesses", max: 32 };
    assert_eq!(parse(&witnesses(33)), Err(error));
}
