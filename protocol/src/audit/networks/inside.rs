//! What others have signed inside a step: accords, Intents, Decisions, identity entries.

use super::{MAX_WAITING_ACCORDS, Networks};
use crate::audit::finding::{Class, Finding, Findings};
use crate::audit::signatures::{About, Checker, Job};
use crate::clearing::accord::Accord;
use crate::clearing::intent::Decision;
use crate::clearing::step::{RootSig, Step, StepArgs};
use crate::entry::Entry;
use crate::ids::{LedgerId, SigBytes};
use crate::keys;
use crate::ledger::SigCheck;
use crate::ledger::clearing::accord_signatures_of;

const DECISION: &str = "the decider's signature under its Decision";
const ACCORD: &str = "a root signature under the accord";

impl Networks {
    /// Signatures inside a step that the writer's own ledger does not vouch for. `us` is set for steps of ours, where
    /// our own words are checked with the entry.
    pub(in crate::audit) fn embedded(
        &mut self,
        step: &Step,
        us: Option<&LedgerId>,
        about: &About,
        checker: &mut Checker,
        findings: &mut Findings,
    ) {
        let about = |what| About { what, ..about.clone() };
        match &step.args {
            StepArgs::Key(args) => {
                let learned =
                    Entry::parse(&args.entry.0).map_err(|e| e.to_string()).and_then(|e| self.learn(&e));
                if let Err(why) = learned {
                    let what = format!("the identity entry inside does not verify: {why}");
                    let About { entry, file, .. } = about("");
                    findings.add(Finding::error(what).at(entry).in_file(&*file));
                }
            }
            StepArgs::Propose(args) => match args.intent.parse() {
                Ok(intent) => {
                    let message = keys::message(keys::INTENT, &[&args.intent.intent.0]);
                    let about = about("the payer network's signature under its Intent");
                    self.queue_other(
                        us,
                        intent.payer,
                        intent.epoch,
                        message,
                        args.intent.sig,
                        about,
                        checker,
                    );
                }
                Err(why) => {
                    let About { entry, file, .. } = about("");
                    findings.add(
                        Finding::error(format!("its Intent cannot be read: {why}")).at(entry).in_file(&*file),
                    );
                }
            },
            StepArgs::Accept(args) => self.decision(us, &args.decision, &about(DECISION), checker, findings),
            StepArgs::Reject(args) => {
                if let Some(decision) = &args.decision {
                    self.decision(us, decision, &about(DECISION), checker, findings);
                }
            }
            StepArgs::Done(args) => self.decision(us, &args.decision, &about(DECISION), checker, findings),
            StepArgs::Accord(args) => {
                let accord = match Accord::parse(&args.accord.0) {
                    Ok(accord) => accord,
                    Err(why) => {
                        let About { entry, file, .. } = about("");
                        return findings.add(Finding::error(why.to_string()).at(entry).in_file(&*file));
                    }
                };
                for (signer, sigs) in [(accord.a, &args.sigs_a), (accord.b, &args.sigs_b)] {
                    if Some(&signer) != us && self.waiting_accords.len() < MAX_WAITING_ACCORDS {
                        self.waiting_accords.push((
                            signer,
                            args.accord.0.clone(),
                            sigs.clone(),
                            about(ACCORD),
                        ));
                    }
                }
            }
            StepArgs::Free
            | StepArgs::Return
            | StepArgs::Stmt(_)
            | StepArgs::StmtAck(_)
            | StepArgs::Settle(_)
            | StepArgs::SettleAck(_)
            | StepArgs::Offer(_)
            | StepArgs::DropHold(_)
            | StepArgs::Apply(_)
            | StepArgs::Pause(_)
            | StepArgs::End => {}
        }
    }

    /// The signatures of one root set under an accord.
    pub(super) fn accord(
        &mut self,
        signer: &LedgerId,
        bytes: &[u8],
        sigs: &[RootSig],
        about: &About,
        checker: &mut Checker,
        findings: &mut Findings,
    ) {
        let finding = |class, what: String| Finding::new(class, what).at(about.entry).in_file(&*about.file);
        let Some(identity) = self.identities.get(signer) else {
            let what =
                format!("the signatures of {} under the accord, as its identity is not here", signer.short());
            self.left_out = self.left_out.saturating_add(1);
            return findings.add(finding(Class::NotChecked, what));
        };
        // Where it was signed in the other ledger is not known here: any root set that ever was in force may have.
        let former = identity.former.iter().rev().map(|former| &former.set);
        let by_former = former.filter_map(|set| accord_signatures_of(set, bytes, sigs).ok()).next();
        match accord_signatures_of(&identity.root, bytes, sigs).or_else(|why| by_former.ok_or(why)) {
            Ok(checks) => {
                for check in checks {
                    self.clearing_signatures = self.clearing_signatures.saturating_add(1);
                    let SigCheck { key, message, sig } = check;
                    checker.push(&Job { key, message: &message, sig, about });
                }
            }
            Err(why) => {
                findings.add(finding(
                    Class::Error,
                    format!("the accord is not signed by {}: {why}", signer.short()),
                ));
            }
        }
    }

    fn decision(
        &mut self,
        us: Option<&LedgerId>,
        decision: &Decision,
        about: &About,
        checker: &mut Checker,
        findings: &mut Findings,
    ) {
        let body = &decision.body;
        let known = self.decisions.entry((body.claim, body.decider)).or_insert((body.outcome, about.entry));
        if known.0 != body.outcome {
            let what = format!(
                "{} has signed both an ACCEPT and a REJECT of claim {}",
                body.decider.short(),
                body.claim
            );
            let first = known.1;
            let finding = Finding::new(Class::Equivocation, what).at(first).at(about.entry);
            findings.add(finding.in_file(&*about.file));
        }
        self.queue_other(
            us,
            body.decider,
            body.epoch,
            decision.message(),
            decision.sig,
            about.clone(),
            checker,
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a signature has five parts, and it is queued by whom it is of"
    )]
    fn queue_other(
        &mut self,
        us: Option<&LedgerId>,
        ledger: LedgerId,
        epoch: u32,
        message: Vec<u8>,
        sig: SigBytes,
        about: About,
        checker: &mut Checker,
    ) {
        if Some(&ledger) != us {
            self.clearing_signatures = self.clearing_signatures.saturating_add(1);
            self.queue(ledger, epoch, message, sig, about, checker);
        }
    }
}
