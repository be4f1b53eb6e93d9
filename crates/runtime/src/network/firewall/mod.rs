//! The firewall: what the networks are, as rules of nftables. Two tables of one name, for packets and for frames.
//!
//! Deciding is pure (`plan`); [`apply`] then brings the kernel to it in one transaction, so that packets meet the rules
//! before or the rules after. Tables that are there keep their hooks; whatever else somebody did to them is undone.
//! Lookups in sets and maps do what grows with the containers; rules grow with the networks and with policies.

mod frames;
mod packets;
mod policies;
mod ruleset;
mod socket;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use super::{Driver, Populated};
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::net::Route;
use forgeone_sys::net::nftables::{Batch, Changes, Family};
use forgeone_sys::{AsFd, BorrowedFd, Errno};
use policies::{Macs, Restricted};
use ruleset::{Before, Table};

const FAMILIES: [Family; 2] = [Family::Inet, Family::Bridge];

/// Brings the tables of this name, in the current network namespace, to what the networks are. They go where nobody is in
/// any.
///
/// # Errors
/// [`Kind::Unsupported`] for what this kernel lacks, and for a policy that can't be had; otherwise the kernel's answer.
/// Nothing is changed then.
pub fn apply(table: &str, all: &[Populated]) -> Result<()> {
    let during = || format!("firewall: table {table:?}");
    let restricted = policies::restricted(all)?;
    let macs = macs(&restricted).during(during)?;
    match plan(all, &restricted, &macs) {
        Some(tables) => write(table, &tables).during(during),
        None => remove(table).during(during),
    }
}

/// The tables, if there is anybody whom they are for.
fn plan(all: &[Populated], restricted: &[Restricted], macs: &Macs) -> Option<[Table; 2]> {
    let here = |one: &&Populated| one.network.driver == Driver::Bridge && !one.endpoints.is_empty();
    let all: Vec<_> = all.iter().filter(here).collect();
    (!all.is_empty()).then(|| [packets::table(&all, restricted), frames::table(&all, restricted, macs)])
}

/// The hardware addresses of the bridges that policies need.
fn macs(restricted: &[Restricted]) -> Result<Macs> {
    let mut macs = Macs::new();
    if restricted.is_empty() {
        return Ok(macs);
    }
    let route = Route::open()?;
    for Restricted { network, .. } in restricted {
        let name = &network.interface;
        if !macs.contains_key(name) {
            let mac = route.device(name)?.and_then(|device| device.mac);
            let none = || Error::new(Kind::State, format!("there is no bridge {name:?}"));
            macs.insert(name.clone(), mac.ok_or_else(none)?);
        }
    }
    Ok(macs)
}

fn write(name: &str, tables: &[Table; 2]) -> Result<()> {
    let nftables = socket::current().map_err(lacking)?;
    let commit = |before: [Before; 2]| {
        let mut batch = Batch::new(Family::Inet, name);
        tables.iter().zip(&before).for_each(|(table, before)| table.write(name, before, &mut batch));
        nftables.commit(batch)
    };
    let chains = FAMILIES.map(|family| nftables.chains(family, name).unwrap_or_default());
    match commit([Before::Chains(&chains[0]), Before::Chains(&chains[1])]) {
        // Somebody else's hand is in it, or another version's.
        Err(e) if e.errno() != Errno::PERM => commit([Before::Unknown, Before::Unknown]).map_err(lacking),
        result => Ok(result?),
    }
}

/// What is missing is said to be missing; a kernel without nf_tables has no tables to remove.
fn remove(name: &str) -> Result<()> {
    let removed = socket::current().and_then(|nftables| {
        let mut batch = Batch::new(Family::Inet, name);
        for family in FAMILIES {
            batch.turn_to(family, name);
            batch.table();
            batch.delete_table();
        }
        nftables.commit(batch)
    });
    match removed {
        Err(e) if is_lacking(e.errno()) => Ok(()),
        result => Ok(result?),
    }
}

/// How a kernel says that it lacks something: the subsystem, a family, a kind of chain, an expression.
fn is_lacking(errno: Errno) -> bool {
    [Errno::NOENT, Errno::OPNOTSUPP, Errno::PROTONOSUPPORT, Errno::AFNOSUPPORT].contains(&errno)
}

fn lacking(e: forgeone_sys::Error) -> Error {
    if !is_lacking(e.errno()) {
        return e.into();
    }
    let needs = "this kernel lacks what networks need of nf_tables (NAT of the inet family, Linux 5.2; tables of the \
                 bridge family; fib, masq, nat, reject); use --network host or none";
    Error::new(Kind::Unsupported, format!("{e}: {needs}"))
}

/// Notices when somebody takes the rules away.
#[derive(Debug)]
pub struct Watch {
    changes: Changes,
}

impl Watch {
    /// Begins to watch the current network namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> Result<Self> {
        Ok(Self { changes: Changes::open()? })
    }

    /// Takes what has been told since, without waiting: whether the tables of this name lack their rules by now, so that
    /// they have to be applied again. What [`apply`] does itself leaves them whole.
    ///
    /// # Errors
    /// The kernel's.
    pub fn changed(&mut self, table: &str) -> Result<bool> {
        if !self.changes.deleted(table)? {
            return Ok(false);
        }
        let nftables = socket::current()?;
        for (family, chain) in
            [(Family::Inet, "forward"), (Family::Inet, "prerouting"), (Family::Bridge, "prerouting")]
        {
            if nftables.rules(family, table, chain)? == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}
