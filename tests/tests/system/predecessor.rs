//! The root keys of a network are lost, a few or too many of them: what still goes on, and the new ledger that follows the
//! old one (specs/keys.md §4, §5).

use std::path::Path;
use std::process::{Command, Output, Stdio};
use weft_audit::{Class, VerifyOptions, report_text, verify_dir, verify_store, write_bundle};
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::UnitId;
use weft_protocol::ledger::units::{UnitDefined, UnitKind};
use weft_tests::binaries::{weft, weftd};
use weft_tests::kit::{Outcome, Site, by_specs, output_text};

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("the program starts")
}

fn new_key(folder: &Path, name: &str) -> String {
    let path = folder.join(name).display().to_string();
    let out = run(weft(), &["key", "new", &path]);
    assert!(out.status.success(), "{}", output_text(&out));
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_few_root_keys_are_left_a_new_ledger_names_the_old_one() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let keys: Vec<String> = ["ada", "ben", "cat"].map(|name| new_key(folder.path(), name)).to_vec();
    let old = folder.path().join("old").display().to_string();
    let mut init = vec!["init", "--site", "hull", "--threshold", "2", "--data", &old];
    keys.iter().for_each(|key| init.extend(["--root-key", key]));
    let out = run(weftd(), &init);
    assert!(out.status.success(), "{}", output_text(&out));
    let mut hull = Site::opened(folder.path(), "old").await?;
    hull.add_member("Ada", None).await?;
    hull.add_member("Abe", None).await?;
    hull.pay("Ada", "Abe", 5, 0).await?;
    let ledger = hull.status().await?.ledger;

    // Ada's and Ben's keys are gone. The node goes on; what needs the root set does not.
    let cat = weft_node::keystore::command::read_key_file(Path::new(&keys[2]))?;
    let unit = UnitDefined {
        unit: UnitId(9),
        code: "credit".to_owned(),
        name: "Credit".to_owned(),
        kind: UnitKind::Credit,
        scale: 2,
    };
    let refused = hull.sign_and_post(Payload::UnitDefined(unit), &cat, Role::Root).await;
    let refused = refused.expect_err("one of three is no quorum").to_string();
    assert!(refused.contains("root"), "{refused}");
    hull.pay("Ada", "Abe", 5, 0).await?;
    hull.stop().await?;

    // The new ledger. What names another log, or nothing to hold it to, founds nothing.
    let checkpoint = hull.data.public().join("checkpoint").display().to_string();
    let new = folder.path().join("new").display().to_string();
    let found = |ledger: &str, more: &[&str]| {
        let start =
            ["init", "--site", "hull", "--data", &new, "--root-key", &keys[2], "--predecessor", ledger];
        run(weftd(), &[&start, more].concat())
    };
    assert!(!found(&ledger, &[]).status.success(), "it must name a checkpoint");
    let other = "00".repeat(32);
    let out = found(&other, &["--last-good", &checkpoint]);
    assert!(
        !out.status.success() && output_text(&out).contains("the ledger named is"),
        "{}",
        output_text(&out)
    );
    let out = found(&ledger, &["--last-good", &keys[2]]);
    assert!(!out.status.success() && output_text(&out).contains("no checkpoint"), "{}", output_text(&out));
    assert!(!Path::new(&new).exists(), "nothing was made");
    let out = found(&ledger, &["--last-good", &checkpoint]);
    assert!(out.status.success(), "{}", output_text(&out));

    let mut hull = Site::opened(folder.path(), "new").await?;
    hull.add_member("Ada", None).await?;
    assert_eq!(hull.balance("Ada").await?, 0, "nothing passes over by itself");
    assert_ne!(hull.status().await?.ledger, ledger);
    hull.stop().await?;
    by_specs(Path::new(&new))?;
    let audited = verify_store(Path::new(&new), &VerifyOptions::default(), &mut |_| {})?;
    assert_eq!(audited.exit_code, 0);
    let text = report_text(audited.report());
    assert!(text.contains(&ledger) && text.contains("nothing of the other ledger vouches"), "{text}");

    // So does every audit after it.
    let bundle = folder.path().join("bundle");
    write_bundle(Path::new(&new), &bundle)?;
    let first = verify_dir(&bundle, &VerifyOptions::default(), &mut |_| {})?;
    let result = folder.path().join("result");
    std::fs::write(&result, first.audit.result()?)?;
    let options = VerifyOptions { since: Some(result), ..VerifyOptions::default() };
    let again = verify_dir(&bundle, &options, &mut |_| {})?;
    let named =
        again.report().findings.kept().iter().any(|f| f.class == Class::Warning && f.what.contains(&ledger));
    assert!(named, "{}", report_text(again.report()));
    Ok(())
}
