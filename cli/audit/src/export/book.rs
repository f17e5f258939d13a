//! The books as they grow, entry by entry: accounts with their names in accounting programs, units, balances.

use super::Names;
use std::collections::BTreeMap;
use std::io;
use weft_protocol::amount::format_decimal;
use weft_protocol::clearing::accord::Accord;
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{AccountId, UnitId};
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::movement::Movement;
use weft_protocol::ledger::own_accounts;
use weft_protocol::ledger::state::State;
use weft_protocol::ledger::units::{UnitDefined, UnitKind};
use weft_protocol::time::Day;

/// How much was exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that move value.
    pub movements: u64,
    /// Accounts.
    pub accounts: u64,
    /// Units.
    pub units: u64,
}

/// Something that accounting programs want to know.
pub(super) enum Event<'e> {
    /// The ledger was founded: the first of all.
    Founded(&'e Entry),
    /// A unit was defined.
    Unit(&'e Entry, UnitId),
    /// An account was opened.
    Opened(&'e Entry, AccountId),
    /// An account was closed.
    Closed(&'e Entry, AccountId),
    /// Value moved; the balances are those after it.
    Moved(&'e Entry, &'e Movement),
}

/// An account in accounting programs.
pub(super) struct Account {
    /// Its path there, such as `Assets:Member:Id-3f…`; ASCII.
    pub(super) path: String,
    /// Whose it is, when the person who exports said so.
    pub(super) name: Option<String>,
    pub(super) closed: bool,
}

/// See the module.
pub(super) struct Book {
    names: Names,
    accounts: BTreeMap<AccountId, Account>,
    units: BTreeMap<UnitId, UnitDefined>,
    balances: BTreeMap<(AccountId, UnitId), i64>,
    movements: u64,
    last: Day,
}

impl Book {
    pub(super) fn new(names: Names) -> Self {
        let (accounts, units, balances) = Default::default();
        Self { names, accounts, units, balances, movements: 0, last: Day(0) }
    }

    /// Takes in an entry and says what happened in it.
    pub(super) fn events(
        &mut self,
        entry: &Entry,
        say: &mut dyn FnMut(&Self, &Event<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.last = day_of(entry);
        match &entry.op().payload {
            Payload::Genesis(_) => {
                say(self, &Event::Founded(entry))?;
                for name in own_accounts::NAMES {
                    self.open(own_accounts::id(name), OwnerKind::Own, Some(name));
                    say(self, &Event::Opened(entry, own_accounts::id(name)))?;
                }
            }
            Payload::UnitDefined(unit) => {
                self.units.insert(unit.unit, unit.clone());
                say(self, &Event::Unit(entry, unit.unit))?;
            }
            Payload::AccountOpened(opened) => {
                self.open(opened.account, opened.owner, None);
                say(self, &Event::Opened(entry, opened.account))?;
            }
            Payload::AccountClosed(closed) => {
                if let Some(account) = self.accounts.get_mut(&closed.account) {
                    account.closed = true;
                }
                say(self, &Event::Closed(entry, closed.account))?;
            }
            Payload::Step(step) => {
                let StepArgs::Accord(args) = &step.args else { return Ok(()) };
                let Ok(accord) = Accord::parse(&args.accord.0) else { return Ok(()) };
                let account = own_accounts::peer(&accord.a, &accord.b);
                if !self.accounts.contains_key(&account) {
                    self.open(account, OwnerKind::Peer, None);
                    say(self, &Event::Opened(entry, account))?;
                }
            }
            payload => {
                let Some(movement) = payload.movement() else { return Ok(()) };
                for posting in &movement.postings {
                    let balance = self.balances.entry((posting.account, posting.unit)).or_default();
                    *balance = balance.saturating_add(posting.delta);
                }
                self.movements = self.movements.saturating_add(1);
                say(self, &Event::Moved(entry, &movement))?;
            }
        }
        Ok(())
    }

    fn open(&mut self, id: AccountId, owner: OwnerKind, own: Option<&str>) {
        let path = match (owner, own) {
            (_, Some(own)) => format!("Equity:Own:{}", capital(own)),
            (OwnerKind::Own, None) => format!("Equity:Own:Id-{id}"),
            (OwnerKind::Member, None) => format!("Assets:Member:Id-{id}"),
            (OwnerKind::Organisation, None) => format!("Assets:Organisation:Id-{id}"),
            (OwnerKind::Commons, None) => format!("Assets:Commons:Id-{id}"),
            (OwnerKind::Pool, None) => format!("Assets:Pool:Id-{id}"),
            (OwnerKind::Peer, None) => format!("Assets:Peer:Id-{id}"),
            (OwnerKind::Outside, None) => format!("Assets:Outside:Id-{id}"),
        };
        let name = self.names.of(&id);
        self.accounts.insert(id, Account { path, name, closed: false });
    }

    /// An account that an entry named; the audit refuses a ledger that names others.
    pub(super) fn account(&self, id: &AccountId) -> &Account {
        static UNKNOWN: Account = Account { path: String::new(), name: None, closed: false };
        self.accounts.get(id).unwrap_or(&UNKNOWN)
    }

    pub(super) fn unit(&self, id: UnitId) -> Option<&UnitDefined> {
        self.units.get(&id)
    }

    pub(super) fn balance(&self, account: &AccountId, unit: UnitId) -> i64 {
        self.balances.get(&(*account, unit)).copied().unwrap_or(0)
    }

    /// Every balance that was ever moved, by account and unit.
    pub(super) fn balances(&self) -> impl Iterator<Item = (&AccountId, UnitId, i64)> {
        self.balances.iter().map(|((account, unit), balance)| (account, *unit, *balance))
    }

    /// Minor units as a decimal number of the unit.
    pub(super) fn decimal(&self, unit: UnitId, minor: i64) -> String {
        format_decimal(minor, self.unit(unit).map_or(0, |unit| unit.scale))
    }

    /// The unit's name as a commodity (specs/exports.md §2): capital letters, digits and `-`.
    pub(super) fn commodity(&self, id: UnitId) -> String {
        let Some(unit) = self.unit(id) else { return numbered(id) };
        let code = unit.code.to_uppercase();
        let fits = code.len() > 1
            && code.starts_with(|c: char| c.is_ascii_uppercase())
            && code.ends_with(|c: char| c.is_ascii_alphanumeric())
            && !code.starts_with(NUMBERED);
        let code = if fits { code } else { numbered(id) };
        // A time unit is counted in minutes, whatever it is called.
        if unit.kind == UnitKind::Time && unit.scale == 0 { format!("{code}-MINUTES") } else { code }
    }

    /// The day of the last entry.
    pub(super) fn last_day(&self) -> Day {
        self.last
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (accounts, units) = (count(self.accounts.len()), count(self.units.len()));
        Counts { movements: self.movements, accounts, units }
    }

    /// Whether the balances are those of a replayed state, all of them.
    pub(super) fn agrees_with(&self, state: &State) -> bool {
        self.balances == state.balances
    }
}

/// How a unit is called whose code is no commodity; codes that begin so are called by their number too.
const NUMBERED: &str = "UNIT-";

fn numbered(unit: UnitId) -> String {
    format!("{NUMBERED}{}", unit.0)
}

/// The day of an entry, in UTC.
pub(super) fn day_of(entry: &Entry) -> Day {
    Day::of_ms(entry.body().time_ms)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
