//! What others have signed inside a step: accords, Intents, Decisions, identity entries.

use super::{MAX_WAITING_ACCORDS, Networks, WaitingRoots};
use crate::audit::finding::{Class, Finding, Findings};
use crate::audit::signatures::{About, Checker, Job};
use crate::clearing::accord::Accord;
use crate::clearing::dispute::Dispute;
use crate::clearing::intent::Decision;
use crate::clearing::reset::Reset;
use crate::clearing::step::{RootSig, Step, StepArgs};
use crate::entry::Entry;
use crate::ids::{LedgerId, SigBytes};
use crate::keys::{self, Context};
use crate::ledger::SigCheck;
use crate::ledger::clearing::root_signatures_of;

const DECISION: &str = "the decider's signature under its Decision";
const ACCORD: &str = "a root signature under the accord";
const DISPUTE: &str = "a root signature under the dispute";
const RESET: &str = "a root signature under the reset";

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
                    self.wait(keys::ACCORD, us, signer, (&args.accord.0, sigs), about(ACCORD));
                }
            }
            StepArgs::Dispute(args) => {
                let dispute = match Dispute::parse(&args.dispute.0) {
                    Ok(dispute) => dispute,
                    Err(why) => {
                        let About { entry, file, .. } = about("");
                        return findings.add(Finding::error(why.to_string()).at(entry).in_file(&*file));
                    }
                };
                for end in [dispute.debtor, dispute.creditor] {
                    let sigs = args.sigs_of(&dispute, &end);
                    self.wait(keys::DISPUTE, us, end, (&args.dispute.0, sigs), about(DISPUTE));
                }
            }
            StepArgs::Reset(args) => {
                let reset = match Reset::parse(&args.reset.0) {
                    Ok(reset) => reset,
                    Err(why) => {
                        let About { entry, file, .. } = about("");
                        return findings.add(Finding::error(why.to_string()).at(entry).in_file(&*file));
                    }
                };
                for (end, sigs) in [(reset.a, &args.sigs_a), (reset.b, &args.sigs_b)] {
                    self.wait(keys::RESET, us, end, (&args.reset.0, sigs), about(RESET));
                }
            }
            StepArgs::Free
            | StepArgs::Return
            | StepArgs::ResetRefuse(_)
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

    /// Signatures of a root set are looked at when all identities are here.
    fn wait(
        &mut self,
        context: Context,
        us: Option<&LedgerId>,
        signer: LedgerId,
        (bytes, sigs): (&[u8], &[RootSig]),
        about: About,
    ) {
        if Some(&signer) != us && self.waiting_accords.len() < MAX_WAITING_ACCORDS {
            let (bytes, sigs) = (bytes.to_vec(), sigs.to_vec());
            self.waiting_accords.push(WaitingRoots { context, signer, bytes, sigs, about });
        }
    }

    /// The signatures of one root set under what both networks of a channel sign.
    pub(super) fn root_signed(
        &mut self,
        context: Context,
        signer: &LedgerId,
        (bytes, sigs): (&[u8], &[RootSig]),
        about: &About,
        checker: &mut Checker,
        findings: &mut Findings,
    ) {
        let finding = |class, what: String| Finding::new(class, what).at(about.entry).in_file(&*about.file);
        let Some(identity) = self.identities.get(signer) else {
            let what = format!("{} of {}, as its identity is not here", about.what, signer.short());
            self.left_out = self.left_out.saturating_add(1);
            return findings.add(finding(Class::NotChecked, what));
        };
        // Where it was signed in the other ledger is not known here: any root set that ever was in force may have.
        let former = identity.former.iter().rev().map(|former| &former.set);
        let by_former = former.filter_map(|set| root_signatures_of(context, set, bytes, sigs).ok()).next();
        match root_signatures_of(context, &identity.root, bytes, sigs).or_else(|why| by_former.ok_or(why)) {
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
                    format!("{}: not signed by {}: {why}", about.what, signer.short()),
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
