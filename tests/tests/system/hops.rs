//! Payments over several networks between real nodes: hull, madison, providence and lansing on a line, each a process of
//! its own that knows only its neighbours until their public streams have travelled (specs/network.md §11, §12).

use std::time::Duration;
use weft_api::{Done, PaymentState};
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::Payload;
use weft_tests::kit::{Audited, Books, Failure, Outcome, Site, fresh_id, payment};

/// Far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const LIMIT: u64 = 1_000;
const NAMES: [&str; 4] = ["hull", "madison", "providence", "lansing"];
const MEMBERS: [&str; 4] = ["Ada Lovelace", "Bo Diddley", "Cy Twombly", "Dora Maar"];
const MEMO: &str = "mending the red bicycle";

/// Four networks on a line.
struct Line {
    sites: Vec<Site>,
    folder: tempfile::TempDir,
}

impl Line {
    /// `taps`: where madison writes its traffic, before it is encrypted.
    async fn new(taps: &[String]) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let mut sites = Vec::new();
        for (name, member) in NAMES.iter().zip(MEMBERS) {
            let tap = taps.iter().filter(|_| *name == "madison").flat_map(|tap| ["--test-tap", tap]);
            let mut site = Site::found(folder.path(), name, &tap.collect::<Vec<_>>()).await?;
            site.passes_on = true;
            site.add_member(member, None).await?;
            sites.push(site);
        }
        for place in 0..3 {
            sites[place].pair_with(&sites[place + 1], LIMIT).await?;
        }
        let line = Self { sites, folder };
        line.sites[0].until_ways("lansing", 1).await?;
        line.sites[3].until_ways("hull", 1).await?;
        Ok(line)
    }

    async fn pay(&self, amount: u64, wait_s: u64) -> Outcome<Done> {
        let mut new = payment(MEMBERS[0], &format!("{}@lansing", MEMBERS[3]), amount);
        new.wait_s = Some(wait_s);
        new.memo = Some(MEMO.to_owned());
        Ok(self.sites[0].client.pay(&new, &fresh_id()).await?)
    }

    /// Waits until a claim stands as wished in one of the networks.
    async fn until_claim(&self, at: usize, claim: &str, wish: impl Fn(PaymentState) -> bool) -> Outcome<()> {
        let site = &self.sites[at];
        let stands = async {
            while !site.client.claim(claim, 0).await.is_ok_and(|now| wish(now.state)) {
                tokio::time::sleep(POLL).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, stands).await;
        waited.map_err(|_| {
            Failure::new(format!("claim {claim} does not come so far in {}\n{}", site.name, site.log_text()))
        })
    }

    async fn until_quiet(&self) -> Outcome<()> {
        for site in &self.sites {
            site.until_quiet(PATIENCE).await?;
        }
        Ok(())
    }

    /// Every ledger audits clean, each against its neighbours, and each hop stands at `paid`.
    async fn ends_with(&mut self, paid: i64) -> Outcome<()> {
        self.until_quiet().await?;
        for place in 0..3 {
            let (here, next) = (&self.sites[place], &self.sites[place + 1]);
            assert_eq!(here.position(NAMES[place + 1]).await?, paid, "{}", here.name);
            assert_eq!(next.position(NAMES[place]).await?, -paid, "{}", next.name);
        }
        assert_eq!(self.sites[0].balance(MEMBERS[0]).await?, -paid);
        assert_eq!(self.sites[3].balance(MEMBERS[3]).await?, paid);
        for site in &mut self.sites {
            site.stop().await?;
        }
        audit_together(&self.sites)
    }
}

/// Every ledger is in order, and the books of neighbours agree.
fn audit_together(sites: &[Site]) -> Outcome<()> {
    let audits: Vec<Audited> =
        sites.iter().map(|site| Audited::by_both(site.data.path())).collect::<Outcome<_>>()?;
    audits.windows(2).try_for_each(|pair| pair[0].agree(&pair[1]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_crosses_four_networks_whose_ends_never_met() -> Outcome<()> {
    let mut line = Line::new(&[]).await?;
    let ways = line.sites[0].client.ways("lansing", Some("3"), None).await?;
    assert_eq!(ways.ways[0].networks, NAMES);
    let done = line.pay(3, 30).await?;
    assert_eq!(done.state, PaymentState::Done, "{done:?}");
    // By ledger id as well as by name; to nobody it is given back, and one beyond all limits is not begun.
    let by_id = format!("{}@{}", MEMBERS[3], ways.ledger);
    let done = line.sites[0].pay(MEMBERS[0], &by_id, 4, 30).await?;
    assert_eq!(done.state, PaymentState::Done, "{done:?}");
    let freed = line.sites[0].pay(MEMBERS[0], "Nobody@lansing", 5, 30).await?;
    assert_eq!(freed.state, PaymentState::Freed, "{freed:?}");
    let beyond = line.sites[0].pay(MEMBERS[0], &by_id, 2 * LIMIT, 0).await;
    assert!(beyond.is_err_and(|why| format!("{why}").contains("no way is known")));
    line.ends_with(7).await
}

/// What `weft` prints for an operator of one of the networks.
fn weft(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(weft_tests::binaries::weft());
    command.arg("--data").arg(site.data.path()).args(arguments);
    let out = command.output().expect("weft starts");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_pay_across_and_say_which_way_and_what_waits() -> Outcome<()> {
    let mut line = Line::new(&[]).await?;
    let to = format!("{}@lansing", MEMBERS[3]);
    let (code, said) = weft(&line.sites[0], &["peer", "routes", "lansing", "3"]);
    assert!(code == Some(0) && said.contains("hull > madison > providence > lansing"), "{said}");
    let (code, said) = weft(&line.sites[0], &["pay", MEMBERS[0], &to, "3", "--memo", MEMO]);
    assert!(code == Some(0) && said.contains("has paid"), "{said}");
    let (code, said) = weft(&line.sites[0], &["peer", "ping", "lansing"]);
    assert!(code == Some(0) && said.contains("lansing answers"), "{said}");
    let (code, said) = weft(&line.sites[0], &["peer", "list", "--all"]);
    assert!(code == Some(0) && said.contains("further away"), "{said}");
    line.sites[1].stop().await?;
    let (code, said) = weft(&line.sites[0], &["pay", MEMBERS[0], &to, "4", "--wait", "1"]);
    assert!(code == Some(0) && said.contains("is set aside"), "{said}");
    let (code, said) = weft(&line.sites[0], &["claims"]);
    assert!(code == Some(0) && said.contains("madison is not connected"), "{said}");
    line.sites[1].start().await?;
    line.until_quiet().await?;
    let (code, said) = weft(&line.sites[0], &["peer", "ban", "lansing", "--reason", "they asked us to"]);
    assert!(code == Some(0) && said.contains("is shut out"), "{said}");
    let (code, said) = weft(&line.sites[0], &["pay", MEMBERS[0], &to, "1"]);
    assert!(code == Some(65) && said.contains("is shut out here"), "{said}");
    line.ends_with(7).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_was_away_hears_of_everybody_from_any_peer() -> Outcome<()> {
    let mut line = Line::new(&[]).await?;
    line.sites[0].stop().await?;
    // While hull is away a network joins at the other end; then that end goes to sleep.
    let mut york = Site::found(line.folder.path(), "york", &[]).await?;
    york.add_member("Eve", None).await?;
    line.sites[3].passes_on = true;
    line.sites[3].pair_with(&york, LIMIT).await?;
    line.sites[1].until_ways("york", 1).await?;
    york.stop().await?;
    line.sites[3].stop().await?;
    line.sites[2].stop().await?;
    line.sites[0].start().await?;
    line.sites[0].until_ways("york", 1).await?;
    let ways = line.sites[0].client.ways("york", None, None).await?;
    assert_eq!(ways.ways[0].networks, ["hull", "madison", "providence", "lansing", "york"]);
    // Nobody has to be awake together: it ends when all have been, whatever the order.
    let held = line.sites[0].pay(MEMBERS[0], "Eve@york", 6, 0).await?;
    let claim = held.claim.ok_or_else(|| Failure::new("a payment to another network has a claim"))?;
    for site in &mut line.sites[2..] {
        site.start().await?;
    }
    york.start().await?;
    line.until_claim(0, &claim, |now| now == PaymentState::Done).await?;
    assert_eq!(york.balance("Eve").await?, 6);
    york.until_quiet(PATIENCE).await?;
    york.stop().await?;
    line.until_quiet().await?;
    for site in &mut line.sites {
        site.stop().await?;
    }
    line.sites.push(york);
    audit_together(&line.sites)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_middle_killed_after_the_decision_keeps_nobody_waiting_but_itself() -> Outcome<()> {
    let mut line = Line::new(&[]).await?;
    // lansing sleeps while the payment goes as far as providence; then madison dies, and lansing decides.
    line.sites[3].stop().await?;
    let held = line.pay(3, 0).await?;
    let claim = held.claim.ok_or_else(|| Failure::new("a payment to another network has a claim"))?;
    line.until_claim(2, &claim, |_| true).await?;
    line.sites[1].kill().await?;
    line.sites[3].start().await?;
    for (place, state) in [(3, PaymentState::Done), (2, PaymentState::Done), (0, PaymentState::Done)] {
        line.until_claim(place, &claim, |now| now == state).await?;
    }
    assert_eq!(line.sites[0].balance(MEMBERS[0]).await?, -3, "the value has left the hold");
    assert_eq!(line.sites[3].balance(MEMBERS[3]).await?, 3);
    line.sites[1].start().await?;
    line.ends_with(3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_middle_killed_before_the_decision_costs_nobody_anything() -> Outcome<()> {
    let mut line = Line::new(&[]).await?;
    // The first goes on when madison is back; the second is cancelled meanwhile, at the decider itself.
    line.sites[1].kill().await?;
    let first = line.pay(3, 0).await?;
    let second = line.pay(4, 0).await?;
    assert_eq!((first.state, second.state), (PaymentState::Held, PaymentState::Held));
    let cancelled = second.claim.ok_or_else(|| Failure::new("a payment to another network has a claim"))?;
    line.sites[0].client.cancel(&cancelled).await?;
    line.sites[1].start().await?;
    line.until_claim(0, &cancelled, |now| now == PaymentState::Freed).await?;
    let completed = first.claim.ok_or_else(|| Failure::new("a payment to another network has a claim"))?;
    line.until_claim(0, &completed, |now| now == PaymentState::Done).await?;
    line.ends_with(3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_between_see_no_name_and_no_memo_and_cannot_link_two_payments_of_a_member() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let tap = folder.path().join("tap");
    let mut line = Line::new(&[tap.display().to_string()]).await?;
    for amount in [3, 4] {
        let done = line.pay(amount, 30).await?;
        assert_eq!(done.state, PaymentState::Done, "{done:?}");
    }
    let ada = line.sites[0].client.statement(MEMBERS[0], None, Some(1)).await?.account.account;
    let dora = line.sites[3].client.statement(MEMBERS[3], None, Some(1)).await?.account.account;
    line.ends_with(7).await?;
    let frames = std::fs::read_to_string(&tap)?;
    let frames: Vec<u8> = frames
        .lines()
        .flat_map(|line| {
            line.rsplit(' ').next().and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok())
        })
        .flatten()
        .collect();
    assert!(frames.len() > 20_000, "only {} bytes of traffic", frames.len());
    let mut kept = Vec::new();
    for site in &line.sites[1..3] {
        read_all(site.data.path(), &mut kept)?;
    }
    let mut needles: Vec<Vec<u8>> = Vec::new();
    for text in [MEMBERS[0], MEMBERS[3], MEMO] {
        needles.extend(text.split(' ').filter(|word| word.len() > 4).map(|word| word.as_bytes().to_vec()));
    }
    for account in [&ada, &dora] {
        needles.extend([account.as_bytes().to_vec(), data_encoding::HEXLOWER.decode(account.as_bytes())?]);
    }
    for needle in &needles {
        let found = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!found(&frames), "{:?} in the traffic of madison", String::from_utf8_lossy(needle));
        assert!(!found(&kept), "{:?} in the folder of a network between", String::from_utf8_lossy(needle));
    }
    let mut hull = Vec::new();
    read_all(line.sites[0].data.path(), &mut hull)?;
    assert!(hull.windows(8).any(|window| window == b"Lovelace"), "the search finds what is there");
    nothing_links(&line.sites[1])
}

/// Of two claims of one member, a network between holds nothing that is alike but what names networks and accords.
fn nothing_links(middle: &Site) -> Outcome<()> {
    let books = Books::read(middle.data.path())?;
    let proposals: Vec<_> = books
        .received
        .iter()
        .filter_map(|entry| {
            let Payload::Step(step) = &entry.op().payload else { return None };
            let StepArgs::Propose(args) = &step.args else { return None };
            Some((step.reference, args.intent.sig, args.intent.parse().ok()?))
        })
        .collect();
    let [(ref_one, sig_one, one), (ref_two, sig_two, two)] = &proposals[..] else {
        return Err(Failure::new(format!("{} proposals, two were made", proposals.len())));
    };
    assert_ne!(ref_one, ref_two);
    assert_ne!(sig_one, sig_two);
    assert_ne!(one.nonce, two.nonce);
    assert_ne!(one.sidecar, two.sidecar);
    Ok(())
}

fn read_all(folder: &std::path::Path, out: &mut Vec<u8>) -> Outcome<()> {
    for item in std::fs::read_dir(folder)? {
        let path = item?.path();
        if path.is_dir() {
            read_all(&path, out)?;
        } else if path.is_file() {
            out.extend(std::fs::read(&path)?);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_turned_down_on_its_way_takes_another_one() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut sites = Vec::new();
    for name in NAMES {
        let mut site = Site::found(folder.path(), name, &[]).await?;
        site.passes_on = true;
        sites.push(site);
    }
    for (place, member) in [(0, MEMBERS[0]), (1, MEMBERS[1]), (3, MEMBERS[3])] {
        sites[place].add_member(member, None).await?;
    }
    // hull reaches lansing over madison or over providence. madison's own members use up its room towards lansing, which
    // nobody is told within ten minutes.
    for (one, other) in [(0, 1), (1, 3), (0, 2), (2, 3)] {
        sites[one].pair_with(&sites[other], LIMIT).await?;
    }
    let two_ways = async {
        while !sites[0].client.ways("lansing", Some("500"), None).await.is_ok_and(|ways| ways.ways.len() == 2)
        {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, two_ways).await.map_err(|_| Failure::new("there are two ways"))?;
    let best = sites[0].client.ways("lansing", Some("500"), None).await?.ways.remove(0).networks.remove(1);
    let (first, other) = if best == "madison" { (1, 2) } else { (2, 1) };
    if first == 2 {
        sites[2].add_member(MEMBERS[2], None).await?;
    }
    let used = sites[first].pay(MEMBERS[first], &format!("{}@lansing", MEMBERS[3]), 900, 30).await?;
    assert_eq!(used.state, PaymentState::Done, "{used:?}");
    let new = {
        let mut new = payment(MEMBERS[0], &format!("{}@lansing", MEMBERS[3]), 500);
        new.wait_s = Some(30);
        new
    };
    let key = fresh_id();
    let done = sites[0].client.pay(&new, &key).await?;
    assert_eq!(done.state, PaymentState::Done, "{done:?}");
    let again = sites[0].client.pay(&new, &key).await?;
    assert_eq!((again.state, &again.claim), (PaymentState::Done, &done.claim), "asked again it is the same");
    assert_eq!(
        sites[0].client.claims(true).await?.claims.len(),
        2,
        "the one that failed, and the one that was paid"
    );
    assert_eq!(sites[0].position(NAMES[other]).await?, 500);
    assert_eq!(sites[0].position(NAMES[first]).await?, 0);
    assert_eq!(sites[0].balance(MEMBERS[0]).await?, -500);
    Ok(())
}
