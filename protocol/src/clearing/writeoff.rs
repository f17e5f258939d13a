//! A peer that is lost: what writing it off would say, and what follows when it is heard again (specs/clearing.md §16).

use super::engine::{Cx, Engine};
use crate::entry::Payload;
use crate::ids::{LedgerId, StreamId};
use crate::ledger::Rejected;
use crate::ledger::writeoff::{WriteOff, WriteOffAct, facts};

impl Engine {
    /// What writing a peer off would say now, for our root set to sign. `seen_ms`: when it was last in contact.
    ///
    /// # Errors
    /// No accord; whether it was lost for long enough is for the ledger to say.
    pub fn write_off_of(&self, peer: &LedgerId, seen_ms: u64) -> Result<WriteOff, Rejected> {
        let (channel, row) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let stream = self.peers.stream(&channel);
        let (heard_ms, next) = stream.map_or((0, 0), |stream| (stream.heard_ms, stream.next));
        let postings = facts(&self.state, &channel, row)?.postings;
        let (act, heard_ms) = (WriteOffAct::WrittenOff, heard_ms.max(seen_ms));
        Ok(WriteOff { act, channel, heard_ms, next, postings })
    }

    /// Takes back what was written off of peers that have been heard since.
    pub(super) fn look_at_write_offs(&mut self, cx: &mut Cx<'_>) {
        if self.quiet {
            return;
        }
        let heard = |(id, row): (&StreamId, &crate::ledger::writeoff::WriteOffRow)| {
            let stream = self.peers.stream(id).filter(|stream| stream.next > row.next)?;
            Some((*id, stream.heard_ms, stream.next, row.back.clone()))
        };
        let back: Vec<_> = self.state.written_off.iter().filter_map(heard).collect();
        for (channel, heard_ms, next, postings) in back {
            let act = WriteOffAct::TakenBack;
            let payload = Payload::WriteOff(WriteOff { act, channel, heard_ms, next, postings });
            // Our own books do not stand against it; should they, it is tried again with the next entry.
            let _ = self.own(payload, channel.as_bytes(), &next.to_be_bytes(), 0, cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AccountId;
    use crate::ledger::own_accounts;
    use crate::ledger::writeoff::LOST_AFTER_MS;
    use crate::testing::TestNetwork;

    /// hull is owed 100 by lansing and has a payment of 60 open, of which lansing has heard and hull has no word.
    fn owed() -> (TestNetwork, TestNetwork, AccountId, AccountId) {
        let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
        let (ada, bob) = (hull.member(), lansing.member());
        hull.accord(&mut lansing, 1_000);
        lansing.pay(bob, ada, &mut hull, 100).unwrap();
        hull.settle(&mut lansing);
        hull.pay(ada, bob, &mut lansing, 60).unwrap();
        hull.deliver(&mut lansing, usize::MAX);
        (hull, lansing, ada, bob)
    }

    fn write_off(hull: &mut TestNetwork, lansing: &TestNetwork) -> Result<(), Rejected> {
        let off = hull.engine.write_off_of(&lansing.ledger(), 0).unwrap();
        hull.by_root(Payload::WriteOff(off))
    }

    fn position(at: &TestNetwork, of: &TestNetwork) -> i64 {
        at.balance(&own_accounts::peer(&at.ledger(), &of.ledger()))
    }

    #[test]
    fn a_lost_peer_is_written_off_after_thirty_days_and_what_it_says_later_counts() {
        let (mut hull, mut lansing, ada, bob) = owed();
        assert_eq!((hull.balance(&ada), position(&hull, &lansing)), (40, -100));
        assert!(matches!(write_off(&mut hull, &lansing), Err(Rejected::WriteOffEarly { .. })));
        hull.later(LOST_AFTER_MS);
        write_off(&mut hull, &lansing).unwrap();
        // ada has her 60 again; the debt of 100 and the open 60 are the network's to bear.
        let disputed = own_accounts::disputed();
        assert_eq!((hull.balance(&ada), position(&hull, &lansing)), (100, 0));
        assert_eq!((hull.balance(&disputed), hull.balance(&own_accounts::hold())), (-160, 60));
        assert_eq!(write_off(&mut hull, &lansing), Err(Rejected::NothingToDo));
        let refused = hull.pay(ada, bob, &mut lansing, 1);
        assert!(matches!(refused, Err(Rejected::WrittenOff { .. })));
        // lansing is back, and has said yes to the 60 long ago.
        lansing.settle(&mut hull);
        assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (100, -40));
        assert_eq!((position(&hull, &lansing), position(&lansing, &hull)), (-40, 40));
        assert_eq!((hull.balance(&disputed), hull.balance(&own_accounts::hold())), (-60, 0));
        assert!(hull.engine.peers().findings().is_empty() && lansing.engine.peers().findings().is_empty());
        // A statement of both, and a payment, as before.
        hull.pay(ada, bob, &mut lansing, 1).unwrap();
        hull.settle(&mut lansing);
        assert_eq!(lansing.balance(&bob), -39);
    }

    #[test]
    fn the_node_alone_writes_nobody_off_and_takes_nothing_back_of_its_own() {
        let (mut hull, lansing, _, _) = owed();
        hull.later(LOST_AFTER_MS);
        let off = hull.engine.write_off_of(&lansing.ledger(), 0).unwrap();
        let early = WriteOff { heard_ms: u64::MAX, ..off.clone() };
        assert!(matches!(hull.by_root(Payload::WriteOff(early)), Err(Rejected::WriteOffEarly { .. })));
        let more = WriteOff { postings: Vec::new(), ..off.clone() };
        assert_eq!(hull.by_root(Payload::WriteOff(more)), Err(Rejected::PostingsDiffer));
        let back = WriteOff { act: WriteOffAct::TakenBack, ..off.clone() };
        assert_eq!(hull.by_root(Payload::WriteOff(back)), Err(Rejected::NodeOnly));
        hull.by_root(Payload::WriteOff(off)).unwrap();
        assert_eq!(hull.state().written_off.len(), 1);
    }
}
