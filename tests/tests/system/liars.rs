//! Networks that lie, over real processes: a node whose folder was copied and that went on twice, as one that never
//! asks its peers. Whoever has both halves stops, tells others, and the file convicts for everybody (specs/evidence.md).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weft_api::{Evidence as Recorded, NewEvidence};
use weft_audit::write_bundle;
use weft_protocol::evidence::{Evidence, EvidenceType};
use weft_protocol::ids::LedgerId;
use weft_protocol::keys::SecretKey;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_tests::binaries;
use weft_tests::corruptions::judges::{self, Specs};
use weft_tests::kit::{Failure, Outcome, Site, copy_folder, fresh_id};
use weft_tests::require::second_verifier;
use weft_tests::simulator::{Topology, evidence_of};

/// Far above what it takes: a checkpoint comes 10 s after an entry at the latest.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);
const LIMIT: u64 = 1_000;

/// A liar with a copy of its folder, and two networks that are its peers.
struct Town {
    hull: Site,
    lansing: Site,
    madison: Site,
    folder: tempfile::TempDir,
}

async fn town() -> Outcome<Town> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &["--test-hook", "no-guard"]).await?;
    let lansing = Site::found(folder.path(), "lansing", &[]).await?;
    let madison = Site::found(folder.path(), "madison", &[]).await?;
    for name in ["Ada", "Abe"] {
        hull.add_member(name, None).await?;
    }
    lansing.add_member("Bo", None).await?;
    madison.add_member("Cy", None).await?;
    hull.pair_with(&lansing, LIMIT).await?;
    hull.pair_with(&madison, LIMIT).await?;
    lansing.pair_with(&madison, LIMIT).await?;
    hull.pay("Ada", "Bo@lansing", 5, 20).await?;
    hull.until_quiet(PATIENCE).await?;
    hull.stop().await?;
    copy_folder(hull.data.path(), &folder.path().join("copy"))?;
    hull.start().await?;
    hull.until_open("lansing").await?;
    Ok(Town { hull, lansing, madison, folder })
}

impl Town {
    /// The node goes on from its copy, as if the rest had never been: with the same number of its start.
    async fn goes_on_from_the_copy(&mut self) -> Outcome<()> {
        self.hull.kill().await?;
        std::fs::remove_dir_all(self.hull.data.path())?;
        copy_folder(&self.folder.path().join("copy"), self.hull.data.path())?;
        self.hull.start().await
    }

    fn save(&self, evidence: &Recorded) -> Outcome<PathBuf> {
        let file = self.folder.path().join(format!("{}.weft-evidence", evidence.kind));
        std::fs::write(&file, &evidence.file)?;
        Ok(file)
    }

    /// The verifier key of the liar's log: what an auditor has of it from elsewhere.
    fn vkey(&self, liar: &LedgerId) -> Outcome<String> {
        let log = SecretKey::from_seed(&*self.hull.data.seed("log")?);
        Ok(Checkpoint::log_key(&liar.origin(), &log.public())?.to_string())
    }
}

async fn recorded(site: &Site, kind: EvidenceType) -> Outcome<Recorded> {
    let wait = async {
        loop {
            let found = site.client.evidence().await?.evidence;
            if let Some(one) = found.into_iter().find(|one| one.kind == kind.code()) {
                return Ok(one);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| {
        Err(Failure::new(format!("{} has recorded nothing\n{}", site.name, site.log_text())))
    })
}

/// `weft audit evidence` with nothing but the file and, where one is given, the key; and the same in Python.
fn convicts_for_everybody(file: &Path, vkey: Option<&str>) {
    let mut weft = Command::new(binaries::weft());
    weft.args(["audit", "evidence"]).arg(file);
    weft.args(vkey.iter().flat_map(|key| ["--key", key]));
    let weft = weft.output().expect("weft starts");
    let said = String::from_utf8_lossy(&weft.stdout).into_owned();
    assert_eq!(weft.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&weft.stderr));
    assert!(said.contains("is proven") && said.contains("It also signed"), "{said}");
    let Some(mut specs) = second_verifier() else { return };
    let out = specs.arg("evidence").arg(file).args(vkey).output().expect("Python starts");
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stdout));
}

/// The bundle of an honest network holds what it has recorded: both auditors prove it again, say who is convicted, and find
/// a changed byte.
fn auditors_convict(bundle: &Path, data: &Path, seen: &Recorded, by_specs: u64) -> Outcome<()> {
    write_bundle(data, bundle)?;
    let name = format!("evidence/{}.weft-evidence", seen.id);
    let file = bundle.join(&name);
    let right = std::fs::read(&file)?;
    assert_eq!(String::from_utf8_lossy(&right), seen.file);
    let mut specs = Specs::start()?;
    let mut judge = |exit: u64, by_specs: u64, says: &dyn Fn(&judges::Verdict) -> bool| -> Outcome<()> {
        let verdict = judges::weft(bundle, None)?;
        assert!(verdict.exit == exit && says(&verdict), "{}", verdict.text());
        if let Some(specs) = specs.as_mut() {
            let verdict = specs.judge(bundle, None)?;
            assert!(verdict.exit == by_specs && says(&verdict), "{}", verdict.text());
        }
        Ok(())
    };
    let words =
        format!("the network with ledger {} is convicted: it has signed two different entries", seen.accused);
    judge(0, by_specs, &|verdict| verdict.findings.iter().any(|found| found.what.starts_with(&words)))?;
    for at in [0, right.len() / 3, right.len() / 2, right.len() - 2] {
        let mut spoilt = right.clone();
        spoilt[at] ^= 1;
        std::fs::write(&file, spoilt)?;
        judge(1, 1, &|verdict| verdict.names(&["error"], std::slice::from_ref(&name)))?;
    }
    std::fs::remove_file(&file)?;
    judge(0, by_specs, &|verdict| verdict.names(&["not checked"], std::slice::from_ref(&seen.id)))?;
    Ok(std::fs::write(&file, right)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_entries_at_one_place_stop_payments_everywhere_and_convict_for_everybody() -> Outcome<()> {
    let mut town = town().await?;
    town.hull.pay("Ada", "Bo@lansing", 7, 20).await?;
    town.hull.until_quiet(PATIENCE).await?;
    town.goes_on_from_the_copy().await?;
    // Its answer is not waited for: it never comes.
    town.hull.pay("Ada", "Bo@lansing", 1, 0).await?;

    let seen = recorded(&town.lansing, EvidenceType::Entries).await?;
    let liar: LedgerId = seen.accused.parse()?;
    assert_eq!(seen.accused, town.hull.status().await?.ledger);
    // Only lansing was given both: madison has it from there.
    let told = recorded(&town.madison, EvidenceType::Entries).await?;
    assert_eq!((&told.id, told.frozen, seen.frozen), (&seen.id, true, true));
    for site in [&town.lansing, &town.madison] {
        let problems = site.status().await?.problems;
        let words = "has signed two different entries at one place; no new payments go to it";
        assert!(problems.iter().any(|problem| problem.contains(words)), "{problems:?}");
    }
    let refused = town.madison.pay("Cy", "Ada@hull", 1, 0).await.expect_err("no payment goes to a liar");
    assert!(refused.to_string().contains("no new payments with it"), "{refused}");
    // Among the others all goes on.
    town.lansing.pay("Bo", "Cy@madison", 2, 20).await?;
    convicts_for_everybody(&town.save(&seen)?, Some(&town.vkey(&liar)?));
    let forward = town.lansing.client.forward(&fresh_id()).await?.seq;
    let cosigned = tokio::time::timeout(PATIENCE, async {
        while town.lansing.status().await?.witness.size <= forward {
            tokio::time::sleep(POLL).await;
        }
        Outcome::Ok(())
    });
    cosigned.await.unwrap_or_else(|_| Err(Failure::new("no witness has cosigned the forward")))?;
    town.lansing.stop().await?;
    auditors_convict(&town.folder.path().join("bundle"), town.lansing.data.path(), &seen, 0)?;
    let mut prune = Command::new(binaries::weftd());
    prune.args(["prune", "--test-any-age", "--data"]).arg(town.lansing.data.path());
    let out = prune.output().expect("weftd starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // Python says of such a bundle that it cannot replay it.
    auditors_convict(&town.folder.path().join("pruned"), town.lansing.data.path(), &seen, 3)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_heads_of_one_size_are_seen_by_a_witness_and_handed_on_by_people() -> Outcome<()> {
    let mut town = town().await?;
    for amount in [1, 2, 3] {
        town.hull.pay("Ada", "Abe", amount, 0).await?;
    }
    let size = town.hull.status().await?.entries;
    let cosigned = tokio::time::timeout(PATIENCE, async {
        while town.hull.status().await?.witness.size < size {
            tokio::time::sleep(POLL).await;
        }
        Outcome::Ok(())
    });
    cosigned.await.unwrap_or_else(|_| Err(Failure::new("no witness has cosigned the first history")))?;
    town.madison.stop().await?;
    town.goes_on_from_the_copy().await?;
    for amount in [10, 20, 30] {
        town.hull.pay("Ada", "Abe", amount, 0).await?;
    }
    let seen = recorded(&town.lansing, EvidenceType::Notes).await?;
    let file = town.save(&seen)?;
    convicts_for_everybody(&file, Some(&town.vkey(&seen.accused.parse()?)?));

    // The liar and the witness are gone; somebody brings the file.
    town.hull.kill().await?;
    town.lansing.stop().await?;
    town.madison.start().await?;
    assert!(town.madison.client.evidence().await?.evidence.is_empty());
    let data = town.madison.data.path().to_path_buf();
    let add = |file: &Path| {
        let mut weft = Command::new(binaries::weft());
        weft.arg("--data").arg(&data).args(["peer", "evidence", "add"]).arg(file);
        weft.output().expect("weft starts")
    };
    let added = add(&file);
    let said = String::from_utf8_lossy(&added.stdout).into_owned();
    assert!(
        added.status.success() && said.contains("Recorded"),
        "{said}{}",
        String::from_utf8_lossy(&added.stderr)
    );
    let known = recorded(&town.madison, EvidenceType::Notes).await?;
    assert_eq!((&known.id, known.frozen), (&seen.id, true));
    assert!(add(&file).status.success(), "the same evidence again changes nothing");
    assert_eq!(town.madison.client.evidence().await?.evidence.len(), 1);

    let changed = seen.file.replacen('A', "B", 1);
    let refused = town.madison.client.add_evidence(&NewEvidence { file: changed }).await;
    let refused = refused.expect_err("a changed file is none").to_string();
    assert!(refused.contains("evidence") || refused.contains("file"), "{refused}");
    // A network that nobody has shown the liar to has nothing to stop.
    let stranger = Site::found(town.folder.path(), "oshkosh", &[]).await?;
    let refused = stranger.client.add_evidence(&NewEvidence { file: seen.file.clone() }).await;
    let refused = refused.expect_err("it does not know the liar").to_string();
    assert!(refused.contains("nobody has shown this node"), "{refused}");
    Ok(())
}

/// Of each type, this much of what the simulator's networks record is checked by both programs.
const SAMPLES: usize = 3;

#[test]
fn what_networks_record_of_each_type_convicts_for_everybody() {
    let folder = tempfile::tempdir().expect("a writable folder");
    for kind in EvidenceType::ALL {
        let mut found = Vec::new();
        for seed in 0.. {
            let recorded = evidence_of(Topology::Signing(kind), seed).expect("what must hold holds");
            found.extend(recorded.into_iter().filter(|(of, _)| *of == kind));
            if found.len() >= SAMPLES {
                break;
            }
        }
        for (number, (_, bytes)) in found.iter().take(SAMPLES).enumerate() {
            let file = folder.path().join(format!("{}-{number}.weft-evidence", kind.code()));
            let evidence = Evidence::parse(bytes).expect("it was recorded");
            std::fs::write(&file, evidence.to_text()).expect("a writable folder");
            convicts_for_everybody(&file, None);
        }
    }
}
