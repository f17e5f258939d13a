//! The end of a replay: checkpoint and tree, signatures, sums, peers, and the report.

use super::Replay;
use crate::audit::finding::{Class, EntryRef, Finding, Report, Since, UnitSum};
use crate::audit::source::Source;
use crate::audit::tree::Claimed;
use crate::audit::{Audit, Options, Rest, peers, resume, revoked, rounds, witnesses};
use crate::ids::LedgerId;
use crate::ledger::members::OwnerKind;
use crate::ledger::own_accounts;
use crate::ledger::state::Account;
use crate::log::checkpoint::Checkpoint;
use crate::log::witness::Policy;

impl Replay {
    pub(super) fn finish(
        mut self,
        source: &mut dyn Source,
        newest: Option<&Claimed>,
        earlier: Option<&Claimed>,
        options: &Options,
    ) -> Audit {
        let ledger = self.state.identity.as_ref().map(|identity| identity.ledger);
        let left_out = self.finish_kept().or(self.since.as_ref().and_then(|edge| edge.left_out));
        self.name_left_out(left_out.as_ref());
        let keys = std::mem::take(&mut self.log_keys);
        let lost = earlier.is_some_and(|claimed| self.is_of_lost_part(claimed));
        let state = &self.state;
        // The key that the last entry of a size binds, or is signed by (keys.md 2.3).
        let signer = |claimed: &Claimed| {
            let size = claimed.says.as_ref()?.size();
            let origin = state.origin_at(size).ok()?;
            let before = |size: u64| keys.iter().rev().find(|(from, _)| *from < size).map(|(_, key)| *key);
            let now = before(size).or(keys.first().map(|(_, key)| *key))?;
            let last = before(size.saturating_sub(1)).filter(|key| claimed.is_of(&origin, key));
            Some((origin, last.unwrap_or(now)))
        };
        let since = self.since.as_ref().map(|edge| edge.since);
        if let (Some(since), Some(newest)) = (&since, newest) {
            resume::check_consistency(since, newest, source, &mut self.findings);
            let what = format!(
                "the first {} entries, their tiles and what peers had said then were read by the earlier audit, not by this one",
                since.entries
            );
            self.findings.add(Finding::new(Class::NotChecked, what));
        }
        let held = earlier.filter(|_| !lost);
        if let (Some(left_out), Some(earlier), Some(newest)) = (&left_out, held, newest) {
            // Its entries are not here, its tiles are.
            let says = earlier.says.as_ref().filter(|says| says.size() < left_out.before && says.size() > 0);
            if let Some(says) = says {
                let since = Since { entries: says.size(), root: says.root() };
                resume::check_consistency(&since, newest, source, &mut self.findings);
            }
        }
        let size = self.tree.finish(source, newest, held, &signer, &mut self.findings);
        let witnessed = newest.and_then(|claimed| {
            let (note, file) = claimed.note()?;
            let (origin, key) = signer(claimed)?;
            let log = Checkpoint::log_key(&origin, &key).ok()?;
            let peers = self.networks.witness_keys(ledger);
            Some(witnesses::judge(note, file, &log, &peers, options.policy.as_ref(), &mut self.findings))
        });
        if let Some(identity) = &self.state.identity {
            let peers = self.networks.witness_keys(ledger);
            let known = options.policy.clone().unwrap_or_else(|| Policy::of_witnesses(peers, 1));
            let vouched = newest.filter(|_| size.is_some());
            revoked::check(identity, vouched, held, &known, source, &mut self.findings);
        }
        self.name_successions();
        self.name_predecessor();
        let says = newest.and_then(|claimed| claimed.says.as_ref()).map(|says| says.size());
        self.evidence.check(source, &self.state, &mut self.findings);
        source.finish(says).into_iter().for_each(|finding| self.findings.add(finding));
        self.finish_signatures();
        self.check_identity(ledger, options);
        let units = self.check_units();
        let peers = match ledger {
            Some(ledger) => {
                rounds::check_one(ledger, &self.sides, &self.networks, &mut self.findings);
                peers::check(ledger, &self.state, &self.sides, &self.networks, &mut self.findings)
            }
            None => Vec::new(),
        };
        let pinned = peers.iter().any(|peer| peer.pinned_to.is_some());
        if options.earlier.is_none() && since.is_none() && !pinned && self.entries > 0 {
            let what = "WITHOUT AN EARLIER CHECKPOINT OR A PEER'S FOLDER a history that this node has rewritten and \
                        signed again cannot be excluded: keep this checkpoint, and give it to the next audit";
            self.findings.add(Finding::new(Class::NotChecked, what));
        }
        if self.entries == 0 {
            self.findings.add(Finding::unreadable("there are no entries"));
        }
        let openings = self.openings.finish(since.is_some(), &mut self.findings);
        let holders = |row: &&Account| !matches!(row.owner, OwnerKind::Own | OwnerKind::Peer);
        let report = Report {
            ledger,
            entries: self.entries,
            since,
            left_out,
            checkpoint_size: size,
            witnessed,
            root: self.tree.root(),
            state_digest: self.state.digest(),
            time_ms: self.time_ms,
            accounts: self.state.accounts.values().filter(holders).count() as u64,
            units,
            kinds: self.kinds.into_iter().collect(),
            signatures: self.counts,
            peers,
            openings,
            findings: self.findings,
        };
        let log_keys = keys.iter().map(|(from, key)| (*from, key.bytes())).collect();
        let rest = Rest {
            tree: self.tree.builder().clone(),
            log_keys,
            networks: self.networks,
            predecessor: self.predecessor,
            positions: source.positions(),
        };
        Audit { report, sides: self.sides, state: self.state, rest }
    }

    /// An earlier checkpoint over entries that a succession has given up cannot be compared any more: that is said,
    /// with how many, and more than the root set has owned up to is an error.
    fn is_of_lost_part(&mut self, claimed: &Claimed) -> bool {
        let Some(says) = &claimed.says else { return false };
        let rows: Vec<_> = self.state.successions.iter().map(|(n, row)| (*n, row.clone())).collect();
        for (number, row) in rows {
            let before = self.state.origin_at(row.base).unwrap_or_default();
            if says.origin().as_str() != before || says.size() <= row.base {
                continue;
            }
            let lost = says.size().saturating_sub(row.base);
            let what = format!(
                "the earlier checkpoint covers {lost} entries that succession {number} has lost: they cannot be compared"
            );
            let owned_up = says.size() <= row.old_size;
            let class = if owned_up { Class::Warning } else { Class::Mismatch };
            let finding = Finding::new(class, what).at(EntryRef::Own(row.base));
            self.findings.add(finding.in_file(claimed.file()));
            return true;
        }
        false
    }

    /// What was lost is named in every audit, for ever.
    fn name_successions(&mut self) {
        for (number, row) in &self.state.successions {
            let lost = row.old_size.saturating_sub(row.base);
            let mut what = format!(
                "succession {number}: the root set has signed that {lost} entries from here on were lost, and that the \
                 ledger goes on without them"
            );
            if !row.unheard.is_empty() {
                let names: Vec<String> = row.unheard.iter().map(|ledger| ledger.short()).collect();
                what.push_str(&format!("; {} had not been heard", names.join(", ")));
            }
            self.findings.add(Finding::new(Class::Warning, what).at(EntryRef::Own(row.base)));
        }
    }

    /// That a ledger takes the place of another is said in every audit: nothing of the other vouches for it.
    fn name_predecessor(&mut self) {
        let Some(old) = &self.predecessor else { return };
        let what = format!(
            "this ledger says that it takes the place of ledger {} as it stood with {} entries and root {}. Its founders have \
             signed that; nothing of the other ledger vouches for it, and no balance has passed over by itself",
            old.ledger, old.last_good.size, old.last_good.root
        );
        self.findings.add(Finding::new(Class::Warning, what).at(EntryRef::Own(0)));
    }

    fn finish_signatures(&mut self) {
        self.networks.finish(&mut self.checker, &mut self.findings);
        self.counts.peers = self.networks.node_signatures;
        self.counts.clearing = self.counts.clearing.saturating_add(self.networks.clearing_signatures);
        let failed = self.checker.finish();
        for about in failed.first {
            let finding = Finding::error(format!("{} does not verify", about.what)).at(about.entry);
            self.findings.add(finding.in_file(&*about.file));
        }
        self.findings.count_more(Class::Error, failed.more);
    }

    fn check_identity(&mut self, ledger: Option<LedgerId>, options: &Options) {
        if let (Some(expected), Some(got)) = (options.ledger, ledger)
            && expected != got
        {
            self.findings.add(Finding::error(format!("this is ledger {got}, asked for was {expected}")));
        }
    }

    fn check_units(&mut self) -> Vec<UnitSum> {
        let mut units = Vec::new();
        for (unit, sum) in self.state.sums() {
            let carried = self.sums.get(&unit).copied().unwrap_or(0);
            if sum != 0 || carried != sum {
                let what = format!("the balances in unit {unit} sum to {sum}, not to zero");
                self.findings.add(Finding::error(what));
            }
            let above = self.state.balances.iter().filter(|((_, u), balance)| *u == unit && **balance > 0);
            let outstanding = above.map(|(_, balance)| i128::from(*balance)).sum();
            let defined = self.state.units.get(&unit);
            let code = defined.map_or_else(String::new, |defined| defined.code.clone());
            units.push(UnitSum {
                unit,
                code,
                scale: defined.map_or(0, |defined| defined.scale),
                sum,
                outstanding,
            });
        }
        for (unit, balance) in self.state.balances_of(&own_accounts::id("disputed")) {
            if balance != 0 {
                let what = format!("{balance} of unit {unit} stand on the account for disputes");
                self.findings.add(Finding::new(Class::Disputed, what));
            }
        }
        units
    }
}
