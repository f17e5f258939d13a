//! A channel that nothing brings back, reset between real nodes (specs/clearing.md §17): hull and lansing were both set back
//! to a backup; madison's mirror gives hull its own entries back, and they acknowledge what lansing has lost for good.

use std::path::Path;
use std::time::Duration;
use weft_api::GuardStatus;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ledger::own_accounts;
use weft_protocol::ledger::succession::Succession;
use weft_tests::kit::{Audited, Failure, Outcome, Site, copy_folder, expect, hour, run_weft, weft_well};

/// Far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// The notice has run out by then.
const LATER: &str = "days-ahead-8";

fn root_of(site: &Site) -> String {
    site.data.path().join("keys/root-1").display().to_string()
}

/// Something about a notice, signed by the root key.
fn act(site: &Site, what: &str, peer: &str) -> Outcome<String> {
    weft_well(site.data.path(), &["peer", "reset", what, peer, "--root-key", &root_of(site)])
}

/// Our side is closed by request, signature and submission: the clock of this test is a week behind that of the node.
fn close(site: &Site, peer: &str) -> Outcome<()> {
    let request = site.data.path().join("close.weft-request").display().to_string();
    weft_well(
        site.data.path(),
        &["peer", "reset", "close", peer, "--request", &request, "--good-for", "30"],
    )?;
    let signature = format!("{request}.signature");
    let said = weft_well(
        site.data.path(),
        &["key", "sign", &request, "--key", &root_of(site), "--yes", "--out", &signature],
    )?;
    expect(&said, said.contains("This cannot be taken back"))?;
    weft_well(site.data.path(), &["key", "submit", &request, &signature])?;
    Ok(())
}

async fn until(what: &str, site: &Site, mut holds: impl AsyncFnMut(&Site) -> Outcome<bool>) -> Outcome<()> {
    let stands = async {
        while !holds(site).await? {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, stands).await {
        Ok(done) => done,
        Err(_) => {
            let status = site.status().await?;
            let why = format!("{}: {what}: {:?} {:?}", site.name, status.guard, status.problems);
            Err(Failure::new(format!("{why}\n{}", site.log_text())))
        }
    }
}

async fn set_back(site: &mut Site, backup: &Path) -> Outcome<()> {
    site.kill().await?;
    std::fs::remove_dir_all(site.data.path())?;
    Ok(copy_folder(backup, site.data.path())?)
}

/// The root set lets the ledger go on without the peer that has lost its own entries, too.
async fn succeed(site: &Site) -> Outcome<()> {
    let unheard = async |site: &Site| {
        let guard = site.status().await?.guard;
        let terms = guard.and_then(|guard| guard.succession);
        // All that the mirror keeps is back, and only lansing cannot give what was acknowledged.
        Ok(terms.is_some_and(|terms| terms.unheard.len() == 1 && terms.old_size == terms.base))
    };
    until("no succession without lansing", site, unheard).await?;
    let terms = site.status().await?.guard.and_then(|guard| guard.succession);
    let terms = terms.ok_or_else(|| Failure::new("no terms"))?;
    let succession = Succession {
        number: terms.number,
        old_size: terms.old_size,
        old_root: terms.old_root.as_deref().map(str::parse).transpose()?,
        base: terms.base,
        boot: terms.boot,
        unheard: terms.unheard.iter().map(|ledger| ledger.parse()).collect::<Result<_, _>>()?,
    };
    site.sign_and_post(Payload::Succession(succession), &site.root()?, Role::Root).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_both_have_lost_is_reset_and_payments_go_on() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found_with_recovery(folder.path(), "hull", &[]).await?;
    let mut lansing = Site::found(folder.path(), "lansing", &[]).await?;
    let mut madison = Site::found(folder.path(), "madison", &[]).await?;
    for (site, member) in [(&hull, "Ada"), (&lansing, "Bo"), (&madison, "Cy")] {
        site.add_member(member, None).await?;
    }
    hull.pair_with(&madison, 1_000).await?;
    hull.mirror = false;
    hull.pair_with(&lansing, 1_000).await?;
    hull.pay("Ada", "Bo@lansing", 100, 20).await?;
    hull.until_quiet(PATIENCE).await?;
    lansing.until_quiet(PATIENCE).await?;
    let backups = folder.path().join("backups");
    for site in [&mut hull, &mut lansing] {
        site.stop().await?;
        copy_folder(site.data.path(), &backups.join(&site.name))?;
        site.start().await?;
    }
    hull.until_open("lansing").await?;
    // What is written from here on lansing loses for good.
    lansing.pay("Bo", "Ada@hull", 30, 20).await?;
    hull.pay("Ada", "Bo@lansing", 7, 20).await?;
    hull.until_quiet(PATIENCE).await?;
    let mirrored = async |site: &Site| {
        let status = site.status().await?;
        Ok(status.mirrors.peers.iter().any(|peer| peer.upto == Some(status.entries)))
    };
    until("not mirrored", &hull, mirrored).await?;
    set_back(&mut hull, &backups.join("hull")).await?;
    set_back(&mut lansing, &backups.join("lansing")).await?;
    hull.arguments = vec!["--recovery-key".to_owned(), hull.recovery_key().to_string_lossy().into_owned()];
    hull.start().await?;
    lansing.start().await?;
    succeed(&hull).await?;
    let signs = async |site: &Site| Ok(site.status().await?.guard.is_none_or(|guard| !guard.quarantined));
    until("it never signs", &hull, signs).await?;
    until("it never signs", &lansing, signs).await?;
    // Each stands alone now: hull's books say 77, lansing's 100.
    assert_eq!((hull.position("lansing").await?, lansing.position("hull").await?), (77, -100));
    let stuck = hull.pay("Ada", "Bo@lansing", 1, 0).await;
    let why = stuck.err().ok_or_else(|| Failure::new("the channel is not stuck"))?.to_string();
    expect(&why, why.contains("has not answered since this node started"))?;

    // A crash changes nothing about it, and asks no root set again.
    hull.arguments.clear();
    hull.kill().await?;
    hull.start().await?;
    let awaits = |guard: &GuardStatus| !guard.quarantined && guard.awaited.len() == 1;
    expect("it goes on, without lansing", hull.status().await?.guard.is_some_and(|guard| awaits(&guard)))?;
    let too_early =
        run_weft(hull.data.path(), &["peer", "reset", "close", "lansing", "--root-key", &root_of(&hull)])?;
    expect(&too_early.1, too_early.0 != 0)?;
    let said = act(&hull, "notice", "lansing")?;
    expect(&said, said.contains("our notice runs until"))?;
    act(&lansing, "notice", "hull")?;
    let (code, said) =
        run_weft(hull.data.path(), &["peer", "reset", "close", "lansing", "--root-key", &root_of(&hull)])?;
    expect(&said, code == 65 && said.contains("it is closed after that"))?;
    let out = folder.path().join("lansing-side").display().to_string();
    let (code, said) = run_weft(lansing.data.path(), &["peer", "reset", "side", "hull", "--out", &out])?;
    expect(&said, code == 65 && said.contains("our side is not closed"))?;

    // A week later.
    for site in [&mut hull, &mut lansing, &mut madison] {
        site.stop().await?;
        site.arguments = vec!["--test-hook".to_owned(), LATER.to_owned()];
        site.start().await?;
    }
    for site in [&hull, &lansing, &madison] {
        weft_well(site.data.path(), &["confirm-time", "--yes"])?;
    }
    close(&hull, "lansing")?;
    close(&lansing, "hull")?;
    weft_well(lansing.data.path(), &["peer", "reset", "side", "hull", "--out", &out])?;
    let request = folder.path().join("reset.weft-request").display().to_string();
    let draft = ["peer", "reset", "draft", "lansing", "--theirs", &out, "--request", &request];
    let (code, said) = run_weft(hull.data.path(), &draft)?;
    expect(&said, code == 65 && said.contains("different positions"))?;
    let said = weft_well(hull.data.path(), &[&draft[..], &["--agreed", "77"]].concat())?;
    expect(&said, said.contains("this network owes 77"))?;
    let sign = |site: &Site| {
        let file = format!("{request}.{}", site.name);
        let said = weft_well(
            site.data.path(),
            &["key", "sign", &request, "--key", &root_of(site), "--yes", "--out", &file],
        )?;
        expect(&said, said.contains("begins it anew") && said.contains("Both root sets sign this"))?;
        Ok::<_, Failure>(file)
    };
    let (ours, theirs) = (sign(&hull)?, sign(&lansing)?);
    let (code, said) = run_weft(hull.data.path(), &["key", "submit", &request, &ours])?;
    expect(&said, code == 75 && said.contains("of the other network's root set"))?;
    // hull asks lansing after its start, as before: it offers nothing before it has heard what lansing holds.
    let offered = async |hull: &Site| {
        let (code, said) = run_weft(hull.data.path(), &["key", "submit", &request, &ours, &theirs])?;
        expect(&said, code == 0 || said.contains("has not answered since this node started"))?;
        Ok(code == 0)
    };
    until("not offered", &hull, offered).await?;

    // lansing takes it by itself.
    let anew = async |site: &Site, peer: &str| {
        let state = site.client.reset_state(peer).await?;
        Ok(state.incarnation == 1 && state.open)
    };
    until("not begun anew", &hull, async |site| anew(site, "lansing").await).await?;
    until("not begun anew", &lansing, async |site| anew(site, "hull").await).await?;
    assert_eq!((hull.position("lansing").await?, lansing.position("hull").await?), (77, -77));
    hull.until_open("lansing").await?;
    lansing.until_open("hull").await?;
    hull.pay("Ada", "Bo@lansing", 5, 20).await?;
    lansing.pay("Bo", "Ada@hull", 2, 20).await?;
    hull.until_quiet(PATIENCE).await?;
    lansing.until_quiet(PATIENCE).await?;
    assert_eq!((hull.position("lansing").await?, lansing.position("hull").await?), (80, -80));
    // What lansing's books lacked is on its `disputed`: what it has lost, 30 of Bo's and 7 of Ada's, people see there.
    for site in [&mut hull, &mut lansing, &mut madison] {
        site.stop().await?;
    }
    let (one, other) = (Audited::by_both(hull.data.path())?, Audited::by_both(lansing.data.path())?);
    let disputed = |side: &Audited| side.audit.state().balance(&own_accounts::disputed(), hour().unit);
    assert_eq!((disputed(&one), disputed(&other)), (0, -23));
    one.agree(&other)
}
