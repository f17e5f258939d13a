//! Several holders of root keys act together by file, and the loss of some of them (specs/ceremony.md §3, specs/keys.md
//! §4 and §5), over real processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use weft_api::{Join, NewInvitation};
use weft_node::clock::Clock;
use weft_protocol::ceremony::{Form, Request, What, unwrap, wrap};
use weft_protocol::encoding::Blob;
use weft_tests::binaries::weftd;
use weft_tests::kit::{Failure, Outcome, Site, expect, output_text, run_weft, weft_well};

/// The holders of root keys: a key file each, in a folder that no node sees.
struct Holders(PathBuf);

impl Holders {
    fn new(folder: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self(folder.to_owned()))
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Makes a key and gives its public half.
    fn make(&self, name: &str) -> Outcome<String> {
        let said = weft_well(&self.0, &["key", "new", &self.file(name)])?;
        let line = said.lines().find_map(|line| line.strip_prefix("public key "));
        line.map(str::to_owned).ok_or_else(|| Failure::new(said.clone()))
    }

    /// Signs, away from any node, and gives the file of the signature.
    fn sign(&self, name: &str, request: &str) -> Outcome<String> {
        let out = format!("{request}.{name}");
        weft_well(&self.0, &["key", "sign", request, "--key", &self.file(name), "--yes", "--out", &out])?;
        Ok(out)
    }
}

/// Founds a network whose root keys are held elsewhere.
async fn found(
    folder: &Path,
    name: &str,
    holders: &Holders,
    here: &[&str],
    elsewhere: &[&str],
    threshold: u8,
) -> Outcome<Site> {
    let mut init = Command::new(weftd());
    init.args(["init", "--site", name, "--threshold", &threshold.to_string(), "--data"])
        .arg(folder.join(name));
    for key in here {
        init.args(["--root-key", &holders.file(key)]);
    }
    for key in elsewhere {
        init.args(["--root-public", key]);
    }
    let made = init.stdin(Stdio::null()).output()?;
    expect(&output_text(&made), made.status.success())?;
    Site::opened(folder, name).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_holders_set_a_rule_by_file_and_one_alone_cannot() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let holders = Holders::new(&folder.path().join("holders"))?;
    holders.make("ada")?;
    holders.make("bo")?;
    let cy = holders.make("cy")?;
    let mut hull = found(folder.path(), "hull", &holders, &["ada", "bo"], &[&cy], 2).await?;
    let data = hull.data.path().to_owned();
    let status = hull.status().await?;
    expect("the root set is another one", status.roots.threshold == 2 && status.roots.keys.len() == 3)?;

    let rule = ["rule", "limit", "--unit", "hour", "--all-members", "--stop", "90"];
    let (code, said) = run_weft(&data, &[&rule[..], &["--root-key", &holders.file("ada")]].concat())?;
    expect(&said, code == 65 && said.contains("2 root keys must sign together, and 1 are here"))?;
    let request = holders.file("rule.weft-request");
    let said = weft_well(&data, &[&rule[..], &["--request", &request]].concat())?;
    expect(&said, said.contains("asks 2 of the root keys to sign"))?;
    let shown = std::fs::read_to_string(&request)?;
    expect(&shown, shown.contains("below zero: stop at 90") && shown.contains("all accounts of members"))?;

    let ada = holders.sign("ada", &request)?;
    let (code, said) = run_weft(&data, &["key", "submit", &request, &ada])?;
    expect(&said, code == 75 && said.contains("1 of 2 signatures are here; 1 missing"))?;
    let (_, twice) = run_weft(&data, &["key", "submit", &request, &ada, &ada])?;
    expect(&twice, twice.contains("1 of 2 signatures are here"))?;
    let cy = holders.sign("cy", &request)?;
    holders.make("stranger")?;
    let (code, said) =
        run_weft(&holders.0, &["key", "sign", &request, "--key", &holders.file("stranger"), "--yes"])?;
    expect(&said, code == 65 && said.contains("is not one of the root keys"))?;
    let said = weft_well(&data, &["key", "submit", &request, &ada, &cy])?;
    expect(&said, said.contains("Done, with 2 signatures"))?;
    let again = weft_well(&data, &["key", "submit", &request, &cy, &ada])?;
    expect("the same request was done twice", again == said)?;

    // A request that nobody signed in time: its time is moved back by hand, as a clock would do it.
    let bytes = unwrap(Form::Request, &shown)?;
    let mut stale = Request::parse(&bytes)?;
    let mut op = stale.op()?.ok_or_else(|| Failure::new("an operation"))?;
    op.not_after_ms = Clock.now_ms() - 1;
    stale.not_after_ms = op.not_after_ms;
    stale.what = What::Op(op.payload.kind().code(), Blob(op.to_bytes()));
    let path = holders.file("stale.weft-request");
    std::fs::write(&path, wrap(Form::Request, "old", &stale.to_bytes()))?;
    let (code, said) = run_weft(&holders.0, &["key", "sign", &path, "--key", &holders.file("bo"), "--yes"])?;
    expect(
        &said,
        code == 65 && said.contains("this request was good until") && said.contains("make it again"),
    )?;
    hull.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_grows_from_one_root_key_loses_one_of_three_and_goes_on_and_pairs() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let holders = Holders::new(&folder.path().join("holders"))?;
    let ada = holders.make("ada")?;
    let (bo, cy, dee) = (holders.make("bo")?, holders.make("cy")?, holders.make("dee")?);
    let mut hull = found(folder.path(), "hull", &holders, &["ada"], &[], 1).await?;
    let data = hull.data.path().to_owned();
    let set = |keys: [&str; 3], request: &str| {
        let mut line = vec!["key", "change-roots", "--threshold", "2", "--request"];
        line.push(request);
        keys.iter().for_each(|key| line.extend(["--key", *key]));
        line.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let first = holders.file("first.weft-request");
    let line = set([&ada, &bo, &cy], &first);
    weft_well(&data, &line.iter().map(String::as_str).collect::<Vec<_>>())?;
    let by_ada = holders.sign("ada", &first)?;
    let (_, said) = run_weft(&data, &["key", "submit", &first, &by_ada])?;
    expect(&said, said.contains("1 of 2 signatures of the new root set are here"))?;
    let by_bo = holders.sign("bo", &first)?;
    weft_well(&data, &["key", "submit", &first, &by_ada, &by_bo])?;
    expect("the set is another one", hull.status().await?.roots.threshold == 2)?;

    // Ada's key is lost. The two others put Dee's in its place.
    std::fs::remove_file(holders.file("ada"))?;
    let second = holders.file("second.weft-request");
    let line = set([&bo, &cy, &dee], &second);
    weft_well(&data, &line.iter().map(String::as_str).collect::<Vec<_>>())?;
    let signatures = [holders.sign("bo", &second)?, holders.sign("cy", &second)?];
    weft_well(&data, &["key", "submit", &second, &signatures[0], &signatures[1]])?;
    let now = hull.status().await?.roots.keys;
    expect("the lost key still counts", !now.contains(&ada) && now.contains(&dee))?;

    // The new set pairs: two of its holders sign the accord by file; the other network has one key.
    let mut york = Site::found(folder.path(), "york", &[]).await?;
    let unit = "hour".to_owned();
    let new = NewInvitation {
        unit: unit.clone(),
        their_unit: None,
        rate: None,
        they_may_owe: "100".into(),
        we_may_owe: "100".into(),
        expires_s: None,
        relay: false,
        mirror: false,
    };
    let link = york.client.invite(&new).await?.link;
    let pairing = hull.client.join(&Join { link, unit, alias: None }).await?;
    let words = pairing.words.join(" ");
    let accord = holders.file("accord.weft-request");
    weft_well(&data, &["peer", "confirm", "--words", &words, "--request", &accord])?;
    let shown = std::fs::read_to_string(&accord)?;
    expect(&shown, shown.contains(&words) && shown.contains("They may owe us at most 100"))?;
    let signatures = [holders.sign("dee", &accord)?, holders.sign("bo", &accord)?];
    let (code, said) = run_weft(&data, &["key", "submit", &accord, &signatures[0]])?;
    expect(&said, code == 75)?;
    let root = york.data.key("root-1").display().to_string();
    let confirm = ["peer", "confirm", "--words", &words, "--root-key", &root, "--wait", "60"];
    let york_data = york.data.path().to_owned();
    let (submitted, confirmed) = (
        weft_well(&data, &["key", "submit", &accord, &signatures[0], &signatures[1]])?,
        weft_well(&york_data, &confirm)?,
    );
    expect(&submitted, submitted.contains("Our side has signed, with 2 keys"))?;
    expect(&confirmed, confirmed.contains("is a peer now"))?;
    hull.until_open("york").await?;
    hull.add_member("Ada", None).await?;
    york.add_member("Bo", None).await?;
    let paid = hull.pay("Ada", "Bo@york", 30, 30).await?;
    expect("the payment did not arrive", paid.state == weft_api::PaymentState::Done)?;
    hull.stop().await?;
    york.stop().await
}
