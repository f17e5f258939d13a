//! One way through a small world by chance, to its end: what networks have written then is for auditors to judge.

use super::scenario::Scenario;
use super::world::{Search, World};
use super::{check, party::Stored};
use crate::simulator::Recorded;
use crate::simulator::random::Random;
use stateright::Model as _;

/// Steps by chance at most: no small world has more lines than this.
const STEPS: usize = 80;

/// Walks through a world; what has not ended by then ends as it does when nothing goes wrong any more. Gives what each honest
/// network has on its disk; each piece of evidence is left away.
///
/// # Errors
/// What is broken.
pub fn walked(scenario: Scenario, seed: u64) -> Result<Vec<Recorded>, String> {
    let search = Search::new(scenario, None);
    let mut random = Random::new(seed, scenario.name());
    let mut world = search.start.clone();
    let steps = random.index(STEPS);
    for _ in 0..steps {
        let mut possible = Vec::new();
        search.actions(&world, &mut possible);
        if possible.is_empty() {
            break;
        }
        if let Some(after) = search.after(&world, random.pick(&possible)) {
            world = after;
        }
    }
    if let Some(what) = world.violation() {
        return Err(what.to_owned());
    }
    let ended = check::heal(&search, &world)?;
    Ok(recorded(&ended))
}

fn recorded(world: &World) -> Vec<Recorded> {
    let of = |(_, party): (usize, &super::party::Party)| {
        let (mut own, mut received) = (Vec::new(), Vec::new());
        for stored in &party.disk {
            match &**stored {
                Stored::Own(entry) => own.push(entry.clone()),
                Stored::Received(entry) => received.push(entry.clone()),
                Stored::Evidence(_) | Stored::Fence(_) => {}
            }
        }
        let (log, desk) = (*party.home.keys.log().seed(), *party.home.keys.desk.seed());
        Recorded { ledger: party.home.ledger, log, desk, own, received }
    };
    world.honest().map(of).collect()
}
