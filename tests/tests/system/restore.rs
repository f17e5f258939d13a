//! A node that is restored from an old backup, over real processes: what it signs, what comes back, what is lost
//! (specs/clearing.md §11).

use std::path::Path;
use std::time::Duration;
use weft_api::{GuardStatus, NewErasure, Reason, SuccessionTerms};
use weft_protocol::entry::{Kind, Payload, Role};
use weft_protocol::ids::Hash;
use weft_protocol::ledger::succession::Succession;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::Note;
use weft_protocol::log::tree::root_of;
use weft_tests::kit::{Audited, Books, Failure, Outcome, Site, copy_folder, fresh_id};

/// How long something may take that needs no person.
const PATIENCE: Duration = Duration::from_secs(45);
/// How often the node is asked.
const POLL: Duration = Duration::from_millis(50);
/// What each side may owe the other.
const LIMIT: u64 = 10_000;

/// What a node says of a peer that has signed two things at one place of its stream.
const OTHER_BYTES: &str = "was received before with other bytes";

/// A network with two peers, and what its backup held.
struct Town {
    hull: Site,
    peers: [Site; 2],
    folder: tempfile::TempDir,
}

const PEERS: [(&str, &str); 2] = [("lansing", "Bo"), ("madison", "Cy")];

/// Pairs, pays, takes a backup of the stopped node, and pays on: inside the network, to both peers, and from them. The
/// first peer's backup is taken in the middle of that: it is newer, and old all the same.
async fn town(arguments: &[&str]) -> Outcome<Town> {
    let folder = tempfile::tempdir()?;
    let hull = Site::found(folder.path(), "hull", arguments).await?;
    town_of(folder, hull).await
}

async fn town_of(folder: tempfile::TempDir, hull: Site) -> Outcome<Town> {
    let lansing = Site::found(folder.path(), PEERS[0].0, &[]).await?;
    let madison = Site::found(folder.path(), PEERS[1].0, &[]).await?;
    let mut town = Town { hull, peers: [lansing, madison], folder };
    for name in ["Ada", "Abe"] {
        town.hull.add_member(name, None).await?;
    }
    for (peer, (_, member)) in town.peers.iter().zip(PEERS) {
        peer.add_member(member, None).await?;
        town.hull.pair_with(peer, LIMIT).await?;
    }
    town.pay_all(100).await?;
    town.hull.stop().await?;
    copy_folder(town.hull.data.path(), &town.backup(&town.hull))?;
    town.hull.start().await?;
    town.open_links().await?;
    town.pay_all(7).await?;
    town.peers[0].stop().await?;
    copy_folder(town.peers[0].data.path(), &town.backup(&town.peers[0]))?;
    town.peers[0].start().await?;
    town.open_links().await?;
    town.pay_all(5).await?;
    Ok(town)
}

impl Town {
    fn backup(&self, site: &Site) -> std::path::PathBuf {
        self.folder.path().join("backups").join(&site.name)
    }

    async fn open_links(&self) -> Outcome<()> {
        for (peer, (name, _)) in self.peers.iter().zip(PEERS) {
            self.hull.until_open(name).await?;
            peer.until_open("hull").await?;
        }
        Ok(())
    }

    /// One payment inside, one to each peer, one from each; all final on both sides.
    async fn pay_all(&self, amount: u64) -> Outcome<()> {
        self.hull.pay("Ada", "Abe", amount, 0).await?;
        for (peer, (name, member)) in self.peers.iter().zip(PEERS) {
            self.hull.pay("Ada", &format!("{member}@{name}"), amount, 20).await?;
            peer.pay(member, "Abe@hull", amount * 2, 20).await?;
        }
        self.hull.until_quiet(PATIENCE).await?;
        for peer in &self.peers {
            peer.until_quiet(PATIENCE).await?;
        }
        Ok(())
    }

    /// The machine is gone; what is left is the backup.
    async fn restore(&mut self) -> Outcome<()> {
        self.hull.kill().await?;
        put_back(&self.backup(&self.hull), self.hull.data.path())?;
        self.hull.start().await
    }

    /// The root set lets the ledger go on, once everybody has answered; then all is as it was before.
    async fn goes_on(&mut self) -> Outcome<SuccessionTerms> {
        let terms = terms(&self.hull).await?;
        is_refused(&self.hull).await?;
        succeed(&self.hull, &terms).await?;
        until(&self.hull, "still guarded", |guard| guard.is_none()).await?;
        self.open_links().await?;
        self.hull.until_quiet(PATIENCE).await?;
        Ok(terms)
    }

    /// Nobody has seen two things at one place.
    async fn nobody_saw_a_fork(&self) -> Outcome<()> {
        for peer in &self.peers {
            let problems = peer.status().await?.problems;
            assert!(!problems.iter().any(|p| p.contains(OTHER_BYTES)), "{problems:?}");
        }
        Ok(())
    }

    /// All three stop, and both verifiers read what they wrote.
    async fn audits(&mut self) -> Outcome<[Audited; 3]> {
        self.hull.stop().await?;
        for peer in &mut self.peers {
            peer.stop().await?;
        }
        Ok([
            Audited::by_both(self.hull.data.path())?,
            Audited::by_both(self.peers[0].data.path())?,
            Audited::by_both(self.peers[1].data.path())?,
        ])
    }
}

fn put_back(backup: &Path, data: &Path) -> Outcome<()> {
    std::fs::remove_dir_all(data)?;
    Ok(copy_folder(backup, data)?)
}

/// Waits until the guard of a node stands so.
async fn until(
    site: &Site,
    what: &str,
    fits: impl Fn(Option<&GuardStatus>) -> bool,
) -> Outcome<Option<GuardStatus>> {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let guard = site.status().await?.guard;
            if fits(guard.as_ref()) {
                return Ok(guard);
            }
            tokio::time::sleep(POLL).await;
        }
    });
    match waited.await {
        Ok(found) => found,
        Err(_) => {
            let status = site.status().await?;
            let why = format!("{}: {what}: {:?} {:?}", site.name, status.guard, status.problems);
            Err(Failure::new(format!("{why}\n{}", site.log_text())))
        }
    }
}

/// Waits until a node says this among its problems.
async fn until_said(site: &Site, words: &str) -> Outcome<()> {
    let said = tokio::time::timeout(PATIENCE, async {
        while !site.status().await?.problems.iter().any(|problem| problem.contains(words)) {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    });
    match said.await {
        Ok(said) => said,
        Err(_) => Err(Failure::new(format!("not said: {words}: {:?}", site.status().await?.problems))),
    }
}

/// The terms of a succession once everybody has answered.
async fn terms(site: &Site) -> Outcome<SuccessionTerms> {
    let all_heard = |guard: &GuardStatus| guard.succession.as_ref().is_some_and(|t| t.unheard.is_empty());
    let guard = until(site, "no terms", |guard| guard.is_some_and(all_heard)).await?;
    guard.and_then(|guard| guard.succession).ok_or_else(|| Failure::new("no terms"))
}

async fn succeed(site: &Site, terms: &SuccessionTerms) -> Outcome<()> {
    let payload = Payload::Succession(Succession {
        number: terms.number,
        old_size: terms.old_size,
        old_root: terms.old_root.as_deref().map(str::parse).transpose()?,
        base: terms.base,
        boot: terms.boot,
        unheard: Vec::new(),
    });
    site.sign_and_post(payload, &site.root()?, Role::Root).await?;
    Ok(())
}

async fn is_refused(site: &Site) -> Outcome<()> {
    match site.pay("Ada", "Abe", 1, 0).await {
        Ok(_) => Err(Failure::new("a node that has not heard its peers has signed")),
        Err(refused) if refused.to_string().contains("older than what it has said") => Ok(()),
        Err(other) => Err(other),
    }
}

/// The same, and both peers keep the entries of the first network. Inside it more is paid than one piece holds, and all of
/// it is mirrored.
async fn mirrored_town() -> Outcome<Town> {
    let folder = tempfile::tempdir()?;
    let hull = Site::found_with_recovery(folder.path(), "hull", &[]).await?;
    let town = town_of(folder, hull).await?;
    for amount in 1..=70 {
        town.hull.pay("Abe", "Ada", amount, 0).await?;
    }
    until_mirrored(&town.hull, town.peers.len()).await?;
    Ok(town)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_erased_after_the_backup_is_erased_again_when_all_is_back() -> Outcome<()> {
    const NAME: &str = "Zoë Quillfeather";
    let folder = tempfile::tempdir()?;
    let hull = Site::found_with_recovery(folder.path(), "hull", &[]).await?;
    hull.add_member(NAME, None).await?;
    let mut town = town_of(folder, hull).await?;
    let erasure = NewErasure { reason: Reason::Asked, confirm: NAME.to_owned() };
    town.hull.client.erase(NAME, &erasure, &fresh_id()).await?;
    until_mirrored(&town.hull, town.peers.len()).await?;
    town.hull.arguments =
        vec!["--recovery-key".to_owned(), town.hull.recovery_key().to_string_lossy().into_owned()];
    town.restore().await?;
    until(&town.hull, "still guarded", |guard| guard.is_none()).await?;
    let gone = async {
        loop {
            let members = town.hull.client.members(None).await?.members;
            let named = members.iter().any(|member| member.name.as_deref() == Some(NAME));
            if !named && members.iter().any(|member| member.closed && member.name.is_none()) {
                return Ok::<(), Failure>(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.map_err(|_| Failure::new("she is still there"))??;
    town.hull.stop().await?;
    for file in std::fs::read_dir(town.hull.data.private())? {
        let path = file?.path();
        let bytes = std::fs::read(&path)?;
        let named = bytes.windows(NAME.len()).any(|window| window == NAME.as_bytes());
        assert!(!named, "her name is in {}", path.display());
    }
    Ok(())
}

/// Waits until so many peers keep all entries of a network.
async fn until_mirrored(site: &Site, peers: usize) -> Outcome<()> {
    let mirrored = tokio::time::timeout(PATIENCE, async {
        loop {
            let status = site.status().await?;
            let whole = |upto: Option<u64>| upto == Some(status.entries);
            if status.mirrors.peers.iter().filter(|peer| whole(peer.upto)).count() == peers {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    });
    match mirrored.await {
        Ok(done) => done,
        Err(_) => Err(Failure::new(format!("not mirrored: {:?}", site.status().await?.mirrors))),
    }
}

/// The head of the published log: its size and root.
fn published(site: &Site) -> Outcome<(u64, Hash)> {
    let note = Note::parse(&std::fs::read(site.data.public().join("checkpoint"))?)?;
    let says: Checkpoint = note.text().parse()?;
    Ok((says.size(), says.root()))
}

/// Flips a bit in every piece that a peer keeps, and makes its checksum fit: as a keeper does that lies.
fn spoil(keeper: &Site) -> Outcome<usize> {
    let mut spoilt = 0;
    for owner in std::fs::read_dir(keeper.data.mirror())? {
        for piece in std::fs::read_dir(owner?.path())? {
            let path = piece?.path();
            let mut bytes = std::fs::read(&path)?;
            let end = bytes.len().checked_sub(32).ok_or_else(|| Failure::new("a short piece"))?;
            bytes[end - 100] ^= 1;
            let hash = Hash::of("", &[&bytes[..end]]);
            bytes[end..].copy_from_slice(hash.as_bytes());
            std::fs::write(&path, bytes)?;
            spoilt += 1;
        }
    }
    Ok(spoilt)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_mirror_everything_is_back_and_nothing_forks() -> Outcome<()> {
    let mut town = mirrored_town().await?;
    let (size, root) = published(&town.hull)?;
    let before = town.hull.status().await?;
    assert_eq!(before.entries, size, "all of it is in the checkpoint that was mirrored");
    let balances = [town.hull.balance("Ada").await?, town.hull.balance("Abe").await?];
    let positions = [town.hull.position("lansing").await?, town.hull.position("madison").await?];
    town.hull.kill().await?;
    let entries = Books::read(town.hull.data.path())?.own;
    town.restore().await?;
    // Without the key it waits, and says what it waits for.
    let ahead = |guard: &GuardStatus| guard.quarantined && guard.known_size == size;
    until(&town.hull, "nobody has answered", |guard| guard.is_some_and(ahead)).await?;
    until_said(
        &town.hull,
        "keeps entries of ours, sealed: stop, and start once with `weftd run --recovery-key FILE`",
    )
    .await?;
    is_refused(&town.hull).await?;
    town.hull.stop().await?;
    town.hull.arguments =
        vec!["--recovery-key".to_owned(), town.hull.recovery_key().to_string_lossy().into_owned()];
    town.hull.start().await?;
    until(&town.hull, "still guarded", |guard| guard.is_none()).await?;
    town.open_links().await?;
    town.hull.until_quiet(PATIENCE).await?;
    assert_eq!([town.hull.balance("Ada").await?, town.hull.balance("Abe").await?], balances);
    assert_eq!([town.hull.position("lansing").await?, town.hull.position("madison").await?], positions);
    town.pay_all(3).await?;
    town.nobody_saw_a_fork().await?;
    let [hull, lansing, madison] = town.audits().await?;
    hull.agree(&lansing)?;
    hull.agree(&madison)?;
    let own = Books::read(town.hull.data.path())?.own;
    assert!(own.len() > entries.len());
    for (old, new) in entries.iter().zip(&own) {
        assert_eq!(old.bytes(), new.bytes(), "entry {}", old.body().seq);
    }
    let leaves = own.iter().take(usize::try_from(size)?).map(weft_protocol::entry::Entry::leaf);
    assert_eq!(root_of(leaves), root, "the tree that was seen before");
    let successions = own.iter().filter(|entry| entry.kind() == Kind::Succession).count();
    assert_eq!(successions, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_that_paired_without_mirrors_agree_on_them_later() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found_with_recovery(folder.path(), "hull", &[]).await?;
    let mut lansing = Site::found_with_recovery(folder.path(), "lansing", &[]).await?;
    hull.add_member("Ada", None).await?;
    hull.add_member("Abe", None).await?;
    lansing.add_member("Bo", None).await?;
    hull.mirror = false;
    hull.pair_with(&lansing, LIMIT).await?;
    hull.stop().await?;
    let backup = folder.path().join("backup");
    copy_folder(hull.data.path(), &backup)?;
    hull.start().await?;
    hull.until_open("lansing").await?;
    hull.pay("Ada", "Abe", 1, 0).await?;
    hull.pay("Ada", "Bo@lansing", 5, 20).await?;
    assert!(hull.status().await?.mirrors.peers.is_empty());
    let refused = lansing.pair_with(&hull, LIMIT).await.expect_err("the inviter is the other one");
    assert!(refused.to_string().contains("it has to invite"), "{refused}");
    hull.mirror = true;
    hull.pair_with(&lansing, 2 * LIMIT).await?;
    for (site, peer) in [(&hull, "lansing"), (&lansing, "hull")] {
        let whole = tokio::time::timeout(PATIENCE, async {
            loop {
                let mirrors = site.status().await?.mirrors;
                let one = mirrors.peers.iter().find(|one| one.alias == peer);
                if one.is_some_and(|one| one.upto == Some(mirrors.size) && one.kept_bytes > 0)
                    && mirrors.size > 0
                {
                    return Ok::<_, Failure>(());
                }
                tokio::time::sleep(POLL).await;
            }
        });
        whole.await.map_err(|_| Failure::new("nothing is mirrored"))??;
    }
    hull.pay("Ada", "Bo@lansing", 2 * LIMIT - 5, 20).await?;
    assert_eq!(hull.position("lansing").await?, 20_000, "up to the new limit");
    // A backup from before they agreed does not know of it, and the mirror gives everything back all the same.
    until_mirrored(&hull, 1).await?;
    let entries = hull.status().await?.entries;
    hull.kill().await?;
    put_back(&backup, hull.data.path())?;
    hull.arguments = vec!["--recovery-key".to_owned(), hull.recovery_key().to_string_lossy().into_owned()];
    hull.start().await?;
    until(&hull, "still guarded", |guard| guard.is_none()).await?;
    assert!(hull.status().await?.entries >= entries);
    assert_eq!(hull.position("lansing").await?, 20_000);
    hull.until_open("lansing").await?;
    hull.until_quiet(PATIENCE).await?;
    hull.stop().await?;
    lansing.stop().await?;
    Audited::by_both(hull.data.path())?.agree(&Audited::by_both(lansing.data.path())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_the_backup_does_not_know_is_back_with_its_accord_and_is_asked_too() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found_with_recovery(folder.path(), "hull", &[]).await?;
    let lansing = Site::found(folder.path(), "lansing", &[]).await?;
    let madison = Site::found(folder.path(), "madison", &[]).await?;
    hull.add_member("Ada", None).await?;
    madison.add_member("Cy", None).await?;
    hull.pair_with(&lansing, LIMIT).await?;
    hull.stop().await?;
    let backup = folder.path().join("backup");
    copy_folder(hull.data.path(), &backup)?;
    hull.start().await?;
    hull.mirror = false;
    hull.pair_with(&madison, LIMIT).await?;
    hull.pay("Ada", "Cy@madison", 7, 20).await?;
    hull.until_quiet(PATIENCE).await?;
    until_mirrored(&hull, 1).await?;
    let entries = hull.status().await?.entries;
    hull.kill().await?;
    put_back(&backup, hull.data.path())?;
    hull.arguments = vec!["--recovery-key".to_owned(), hull.recovery_key().to_string_lossy().into_owned()];
    hull.start().await?;
    until(&hull, "still guarded", |guard| guard.is_none()).await?;
    assert!(hull.status().await?.entries >= entries);
    hull.until_open("madison").await?;
    assert_eq!((hull.position("madison").await?, madison.position("hull").await?), (7, -7));
    hull.pay("Ada", "Cy@madison", 1, 20).await?;
    let asked = madison.status().await?.messages.into_iter().find(|one| one.protocol == "/weft/guard/1");
    assert!(
        asked.is_some_and(|one| one.requests_in > 0),
        "nothing was signed towards it before it was asked"
    );
    assert!(!madison.status().await?.problems.iter().any(|problem| problem.contains(OTHER_BYTES)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_gives_bad_pieces_is_named_and_passed_over() -> Outcome<()> {
    let mut town = mirrored_town().await?;
    let size = town.hull.status().await?.entries;
    let spoilt = town.peers[0].status().await?.ledger;
    town.peers[0].stop().await?;
    assert!(spoil(&town.peers[0])? > 1);
    town.peers[0].start().await?;
    town.hull.arguments =
        vec!["--recovery-key".to_owned(), town.hull.recovery_key().to_string_lossy().into_owned()];
    // The good one comes later: whoever is there first is asked first.
    town.peers[1].stop().await?;
    town.restore().await?;
    let passed_over = async {
        while !town.hull.log_text().contains("a mirror is passed over") {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, passed_over).await.map_err(|_| Failure::new(town.hull.log_text()))?;
    town.peers[1].start().await?;
    until(&town.hull, "still guarded", |guard| guard.is_none()).await?;
    let log = town.hull.log_text();
    assert!(log.contains(&spoilt[..8]), "{log}");
    assert_eq!(log.matches("a mirror is passed over").count(), 1, "the other one is as it was:\n{log}");
    assert!(town.hull.status().await?.entries >= size);
    town.open_links().await?;
    town.pay_all(3).await?;
    town.nobody_saw_a_fork().await
}

#[tokio::test(flavor = "multi_thread")]
async fn local_entries_that_only_a_witness_has_seen_are_known_to_be_missing() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    let lansing = Site::found(folder.path(), "lansing", &[]).await?;
    hull.add_member("Ada", None).await?;
    hull.add_member("Abe", None).await?;
    hull.pair_with(&lansing, LIMIT).await?;
    hull.stop().await?;
    let backup = folder.path().join("backup");
    copy_folder(hull.data.path(), &backup)?;
    hull.start().await?;
    hull.until_open("lansing").await?;
    hull.pay("Ada", "Abe", 7, 0).await?;
    let entries = hull.status().await?.entries;
    let cosigned = tokio::time::timeout(PATIENCE, async {
        while hull.status().await?.witness.size < entries {
            tokio::time::sleep(POLL).await;
        }
        published(&hull)
    });
    let (size, root) = cosigned.await.map_err(|_| Failure::new("the checkpoint is not cosigned"))??;
    assert_eq!(size, entries);
    hull.kill().await?;
    put_back(&backup, hull.data.path())?;
    hull.start().await?;
    let terms = terms(&hull).await?;
    assert_eq!((terms.old_size, terms.base), (size, size - 1), "the payment is missing");
    assert_eq!(terms.old_root, Some(root.to_string()), "and the root that the witness has seen is known");
    is_refused(&hull).await?;
    // Nothing but the question what it had cosigned itself goes out as long as it waits: no checkpoint of its own.
    let asked = |status: weft_api::Status| {
        let counts = status.messages.into_iter().find(|one| one.protocol == "/weft/witness/1");
        counts.map(|one| one.requests_out)
    };
    while asked(hull.status().await?) == Some(0) {
        tokio::time::sleep(POLL).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(asked(hull.status().await?), Some(1));
    succeed(&hull, &terms).await?;
    until(&hull, "still guarded", |guard| guard.is_none()).await?;
    hull.pay("Ada", "Abe", 1, 0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mirror_channel_entries_come_back_and_the_claims_of_peers_are_honoured() -> Outcome<()> {
    let mut town = town(&[]).await?;
    let positions = [town.hull.position("lansing").await?, town.hull.position("madison").await?];
    let size = town.hull.status().await?.entries;
    town.restore().await?;
    is_refused(&town.hull).await?;
    let terms = town.goes_on().await?;
    assert!(terms.base < terms.old_size && terms.old_size <= size, "{terms:?}, {size} entries");
    for (i, peer) in town.peers.iter().enumerate() {
        assert_eq!(town.hull.position(PEERS[i].0).await?, positions[i], "our side of {}", PEERS[i].0);
        assert_eq!(peer.position("hull").await?, -positions[i], "the side of {}", PEERS[i].0);
    }
    town.pay_all(3).await?;
    town.nobody_saw_a_fork().await?;
    let [hull, lansing, madison] = town.audits().await?;
    hull.agree(&lansing)?;
    hull.agree(&madison)?;
    let own = Books::read(town.hull.data.path())?.own;
    let count = |kind| own.iter().filter(|entry| entry.kind() == kind).count();
    assert_eq!(count(Kind::Succession), 1);
    assert!(count(Kind::Recovered) >= 8, "{}", count(Kind::Recovered));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_networks_restored_at_once_go_on_together() -> Outcome<()> {
    let mut town = town(&[]).await?;
    let with_madison = town.hull.position("madison").await?;
    town.peers[0].kill().await?;
    put_back(&town.backup(&town.peers[0]), town.peers[0].data.path())?;
    town.restore().await?;
    town.peers[0].start().await?;
    town.goes_on().await?;
    until(&town.peers[0], "the other one is still guarded", |guard| guard.is_none()).await?;
    town.peers[0].until_quiet(PATIENCE).await?;
    assert_eq!(town.hull.position("madison").await?, with_madison);
    assert_eq!(town.hull.position("lansing").await?, -town.peers[0].position("hull").await?);
    town.pay_all(3).await?;
    town.nobody_saw_a_fork().await?;
    let [hull, lansing, madison] = town.audits().await?;
    hull.agree(&lansing)?;
    hull.agree(&madison)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_guard_the_same_restore_forks() -> Outcome<()> {
    let mut town = town(&["--test-hook", "no-guard"]).await?;
    town.restore().await?;
    town.hull.pay("Ada", "Abe", 1, 0).await?;
    town.hull.pay("Ada", "Bo@lansing", 1, 0).await?;
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            let problems = town.peers[0].status().await?.problems;
            if problems.iter().any(|p| p.contains(OTHER_BYTES)) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    });
    seen.await.unwrap_or_else(|_| Err(Failure::new("the peer has seen nothing")))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_crash_proves_itself_and_goes_on_at_once() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    let mut lansing = Site::found(folder.path(), "lansing", &[]).await?;
    hull.add_member("Ada", None).await?;
    hull.add_member("Abe", None).await?;
    lansing.add_member("Bo", None).await?;
    hull.pair_with(&lansing, LIMIT).await?;
    hull.pay("Ada", "Bo@lansing", 5, 20).await?;
    lansing.kill().await?;
    hull.kill().await?;
    hull.start().await?;
    assert_eq!(hull.status().await?.guard, None, "its token shows that nothing it has told is missing");
    hull.pay("Ada", "Abe", 1, 0).await?;
    hull.stop().await?;
    // The same folder somewhere else is a copy, and so is the same place written over.
    let copy = folder.path().join("copy");
    copy_folder(hull.data.path(), &copy)?;
    put_back(&copy, hull.data.path())?;
    hull.start().await?;
    let guard = hull.status().await?.guard.expect("a copy proves nothing");
    assert!(guard.quarantined && guard.awaited.len() == 1, "{guard:?}");
    is_refused(&hull).await?;
    lansing.start().await?;
    until(&hull, "its peer has answered", |guard| guard.is_none()).await?;
    hull.pay("Ada", "Abe", 1, 0).await?;
    Ok(())
}
