use super::*;
use std::os::unix::fs::PermissionsExt;

/// A name and what the file holds.
type File = (String, Vec<u8>);
type Files = Vec<File>;

const GOOD: &str = "four words are enough";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

/// A store of two plain keys.
fn plain() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = Keystore::closed(folder.path(), None);
    store.add("log", &[7; 32]).unwrap();
    store.add("desk", &[8; 32]).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

fn bytes_of(folder: &Path) -> Files {
    let mut all = Vec::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let item = item.unwrap();
        all.push((item.file_name().to_string_lossy().into_owned(), std::fs::read(item.path()).unwrap()));
    }
    all.sort();
    all
}

#[test]
fn keys_are_encrypted_read_with_the_passphrase_and_decrypted_again() {
    let (_guard, folder) = plain();
    let names = Keystore::closed(&folder, None).encrypt(&passphrase(GOOD)).unwrap();
    assert_eq!(names, ["desk", "log"]);
    let closed = Keystore::closed(&folder, None);
    assert!(matches!(closed.read("log"), Err(KeystoreError::NeedsPassphrase(_))));
    for (name, bytes) in bytes_of(&folder) {
        assert!(name.ends_with(".age"), "{name} is left");
        let hex = HEXLOWER.encode(&[7; 32]).into_bytes();
        assert!(!bytes.windows(hex.len()).any(|w| w == hex) && !bytes.windows(32).any(|w| w == [7; 32]));
        let mode = std::fs::metadata(folder.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let open = closed.open(&passphrase(GOOD)).unwrap();
    assert_eq!((*open.read("log").unwrap(), *open.read("desk").unwrap()), ([7; 32], [8; 32]));
    // A running node adds a key without the passphrase; the next start reads it with the passphrase.
    open.add("log-1", &[9; 32]).unwrap();
    assert!(matches!(open.add("log-1", &[1; 32]), Err(KeystoreError::Exists(_))));
    let again = Keystore::closed(&folder, None).open(&passphrase(GOOD)).unwrap();
    assert_eq!(*again.read("log-1").unwrap(), [9; 32]);
    let names = again.decrypt(&passphrase(GOOD)).unwrap();
    assert_eq!(names, ["desk", "log", "log-1"]);
    assert_eq!(*Keystore::closed(&folder, None).read("log").unwrap(), [7; 32]);
    assert!(bytes_of(&folder).iter().all(|(name, _)| !name.ends_with(".age")));
}

#[test]
fn a_wrong_passphrase_is_told_and_changes_nothing() {
    let (_guard, folder) = plain();
    Keystore::closed(&folder, None).encrypt(&passphrase(GOOD)).unwrap();
    let before = bytes_of(&folder);
    let wrong = || passphrase("another passphrase");
    let store = || Keystore::closed(&folder, None);
    for failed in [
        store().open(&wrong()).unwrap_err(),
        store().decrypt(&wrong()).unwrap_err(),
        store().change_passphrase(&wrong(), &passphrase(GOOD)).unwrap_err(),
    ] {
        assert!(matches!(failed, KeystoreError::WrongPassphrase(_)), "{failed}");
        assert!(failed.to_string().contains("nothing was changed"));
    }
    assert!(matches!(store().encrypt(&wrong()), Err(KeystoreError::AlreadyEncrypted(_))));
    assert_eq!(bytes_of(&folder), before);
}

#[test]
fn another_passphrase_changes_one_file_and_the_old_one_opens_nothing() {
    let (_guard, folder) = plain();
    Keystore::closed(&folder, None).encrypt(&passphrase(GOOD)).unwrap();
    let before = bytes_of(&folder);
    let new = passphrase("and now for another one");
    Keystore::closed(&folder, None).change_passphrase(&passphrase(GOOD), &new).unwrap();
    let changed = bytes_of(&folder).iter().zip(&before).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 1);
    assert!(Keystore::closed(&folder, None).open(&passphrase(GOOD)).is_err());
    assert_eq!(*Keystore::closed(&folder, None).open(&new).unwrap().read("log").unwrap(), [7; 32]);
}

/// Every state that a kill between two file operations of an encryption can leave: no key is lost in any, the next
/// run ends the work, and a store that is half encrypted can be used.
#[test]
fn an_encryption_that_was_cut_off_anywhere_loses_no_key_and_is_ended_by_the_next_run() {
    let (_guard, done) = plain();
    let plain_files = bytes_of(&done);
    Keystore::closed(&done, None).encrypt(&passphrase(GOOD)).unwrap();
    let encrypted = bytes_of(&done);
    let get = |set: &[File], name: &str| set.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let step = |files: &[(&str, &[File])]| {
        files.iter().map(|(name, set)| ((*name).to_owned(), get(set, name))).collect::<Vec<_>>()
    };
    let (p, e) = (plain_files.as_slice(), encrypted.as_slice());
    for state in [
        step(&[("log", p), ("desk", p), ("identity.age", e)]),
        step(&[("log", p), ("desk", p), ("identity.age", e), ("desk.age", e)]),
        step(&[("log", p), ("desk", p), ("identity.age", e), ("desk.age", e), ("log.age", e)]),
        step(&[("log", p), ("identity.age", e), ("desk.age", e), ("log.age", e)]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &state {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        // A `.new` that a crash left is not a key, and in nobody's way.
        std::fs::write(folder.path().join("log.age.new"), b"half").unwrap();
        let store = || Keystore::closed(folder.path(), None);
        let open = store().open(&passphrase(GOOD)).unwrap();
        assert_eq!((*open.read("log").unwrap(), *open.read("desk").unwrap()), ([7; 32], [8; 32]));
        store().encrypt(&passphrase(GOOD)).unwrap();
        let open = store().open(&passphrase(GOOD)).unwrap();
        assert_eq!((*open.read("log").unwrap(), *open.read("desk").unwrap()), ([7; 32], [8; 32]));
        assert!(open.kept().unwrap().iter().all(|(_, kept)| *kept == Kept::Encrypted));
    }
}

#[test]
fn two_forms_of_a_key_that_differ_are_refused_and_both_are_kept() {
    let (_guard, folder) = plain();
    Keystore::closed(&folder, None).encrypt(&passphrase(GOOD)).unwrap();
    std::fs::write(folder.join("log"), format!("{}\n", HEXLOWER.encode(&[1; 32]))).unwrap();
    let before = bytes_of(&folder);
    let open = Keystore::closed(&folder, None).open(&passphrase(GOOD)).unwrap();
    assert!(matches!(open.read("log"), Err(KeystoreError::Differ { .. })));
    assert!(matches!(
        Keystore::closed(&folder, None).encrypt(&passphrase(GOOD)),
        Err(KeystoreError::Differ { .. })
    ));
    assert_eq!(bytes_of(&folder), before);
}

#[test]
fn a_file_that_asks_for_hours_of_work_is_refused_at_once() {
    let (_guard, folder) = plain();
    Keystore::closed(&folder, None).encrypt(&passphrase(GOOD)).unwrap();
    let path = folder.join("identity.age");
    let text = std::fs::read(&path).unwrap();
    // The exponent stands at the end of the scrypt line of the header.
    let line = text.windows(10).position(|w| w == b"-> scrypt ").unwrap();
    let end = line + text[line..].iter().position(|b| *b == b'\n').unwrap();
    assert_eq!(&text[end - 2..end], WORK.to_string().as_bytes());
    for work in ["19", "30", "63"] {
        let mut hostile = text.clone();
        hostile[end - 2..end].copy_from_slice(work.as_bytes());
        std::fs::write(&path, &hostile).unwrap();
        let error = Keystore::closed(&folder, None).open(&passphrase(GOOD)).unwrap_err();
        let required: u8 = work.parse().unwrap();
        assert!(
            matches!(&error, KeystoreError::TooMuchWork { required: r, .. } if *r == required),
            "{error}"
        );
    }
    std::fs::write(&path, vec![b'x'; 5_000]).unwrap();
    assert!(matches!(
        Keystore::closed(&folder, None).open(&passphrase(GOOD)),
        Err(KeystoreError::TooLong(_))
    ));
    std::fs::write(&path, b"age-encryption.org/v1\n").unwrap();
    assert!(Keystore::closed(&folder, None).open(&passphrase(GOOD)).is_err());
}

#[test]
fn credentials_give_keys_and_must_agree_with_files() {
    let (_guard, folder) = plain();
    let given = tempfile::tempdir().unwrap();
    let put =
        |name: &str, seed: [u8; 32]| std::fs::write(given.path().join(name), HEXLOWER.encode(&seed)).unwrap();
    put("weft.seal", [3; 32]);
    put("weft.passphrase", [4; 32]);
    put("other", [5; 32]);
    let store = Keystore::closed(&folder, Some(given.path().to_owned()));
    assert_eq!(*store.read("seal").unwrap(), [3; 32]);
    let names: Vec<_> = store.kept().unwrap();
    assert_eq!(
        names,
        [
            ("desk".to_owned(), Kept::Plain),
            ("log".to_owned(), Kept::Plain),
            ("seal".to_owned(), Kept::Credential)
        ]
    );
    put("weft.log", [7; 32]);
    assert_eq!(*store.read("log").unwrap(), [7; 32]);
    put("weft.log", [6; 32]);
    assert!(matches!(store.read("log"), Err(KeystoreError::Differ { .. })));
    assert!(matches!(store.read("witness"), Err(KeystoreError::Missing { .. })));
}

#[test]
fn a_passphrase_file_must_be_private_and_its_line_end_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p");
    let source = PassphraseSource::File(path.clone());
    let write = |text: &[u8], mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write(b"four words are enough\r\nmore\n", 0o600);
    assert_eq!(source.existing("").unwrap().secret().expose_secret(), GOOD);
    write(GOOD.as_bytes(), 0o640);
    assert!(matches!(source.existing(""), Err(PassphraseError::Shared { mode: 0o640, .. })));
    for (text, fits) in
        [(&b"\n"[..], false), (&[b'a'; 1_025], false), (&[b'a'; 1_024], true), (b"\xff", false)]
    {
        write(text, 0o600);
        assert_eq!(source.existing("").is_ok(), fits);
    }
    write(b"too short", 0o600);
    assert!(matches!(source.fresh(), Err(PassphraseError::TooShort { got: 9 })));
    assert!(matches!(PassphraseSource::Nowhere.existing(""), Err(PassphraseError::NoTerminal)));
}

#[test]
fn nothing_secret_is_printed() {
    let (_guard, folder) = plain();
    let store = Keystore::closed(&folder, None).make_encrypted(&passphrase(GOOD)).unwrap();
    let shown = format!("{store:?} {:?} {}", passphrase(GOOD), store.read("none").unwrap_err());
    assert!(!shown.contains(GOOD) && !shown.to_uppercase().contains("AGE-SECRET"), "{shown}");
}

#[test]
fn a_recovery_key_is_read_from_its_file_or_its_words_and_mistakes_do_not_show_them() {
    use super::command::read_secret_file;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recovery");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        read_secret_file(&path)
    };
    let secret = [7; 32];
    let words = weft_protocol::words::words_of(&secret);
    assert_eq!(*read(&format!("{}\n", "07".repeat(32))).unwrap(), secret);
    assert_eq!(*read(&words.join("\n")).unwrap(), secret);
    let mut mistaken = words.clone();
    mistaken[3] = "zzzz";
    let why = read(&mistaken.join(" ")).unwrap_err();
    assert!(why.contains("word 4 is not in the list") && !why.contains("zzzz"), "{why}");
    for text in [words[..23].join(" "), "no key".to_owned(), "07".repeat(31)] {
        let why = read(&text).unwrap_err();
        assert!(words.iter().all(|word| !why.split(' ').any(|w| w == *word) || word.len() < 4), "{why}");
    }
    assert!(read_secret_file(&folder.path().join("nothing")).is_err());
}
