//! All permits that programs hold: a table for each upstream and each breaker without one.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_breaker::{Advance, OwnedPermit, Timestamp};
use parking_lot::Mutex;

use crate::upstream::permit_seal::{PermitSeal, Sealed};
use crate::upstream::permit_table::{PermitTable, Taken};

/// The permits of this start of the process.
#[derive(Debug)]
pub struct Permits {
    seal: PermitSeal,
    /// The tables by the name of an upstream or a breaker without one, of which a plan has few; each is made when the
    /// first permit is given. No worker takes these locks.
    tables: Mutex<HashMap<Arc<str>, Arc<Mutex<PermitTable>>>>,
}

/// The name under which a permit is kept, and that of its breaker.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The upstream, or the breaker without one.
    pub family: &'a Arc<str>,
    /// The breaker's full name.
    pub breaker: &'a str,
}

/// The answer to a report with a permit.
#[derive(Debug)]
pub enum Presented {
    /// A permit of this start.
    Ours(Taken),
    /// A permit of another start.
    OfAnotherStart,
    /// A permit that this start has not given for this breaker.
    Forged,
    /// No permit at all.
    Unreadable,
}

impl Permits {
    /// No permit, with a seal of this start.
    ///
    /// # Errors
    /// If the system has no randomness; a sentence.
    pub fn draw() -> Result<Permits, String> {
        let seal = PermitSeal::draw();
        Ok(Permits {
            seal: seal.map_err(|_| "the system gives no random numbers".to_owned())?,
            tables: Mutex::default(),
        })
    }

    /// A permit for a number of calls.
    pub fn grant(&self, owner: Owner<'_>, advance: Advance, calls: u32, now: Timestamp) -> String {
        let serial = self.table(owner).lock().grant(advance, calls, now);
        self.seal.write(owner.breaker, serial)
    }

    /// A permit for one call, whose outcome is late from `until`.
    pub fn hold(
        &self,
        owner: Owner<'_>,
        permit: OwnedPermit,
        until: Timestamp,
        now: Timestamp,
    ) -> String {
        let serial = self.table(owner).lock().hold(permit, until, now);
        self.seal.write(owner.breaker, serial)
    }

    /// Takes a number of outcomes of a permit, one at least.
    pub fn present(
        &self,
        owner: Owner<'_>,
        text: &str,
        outcomes: usize,
        now: Timestamp,
    ) -> Presented {
        match self.seal.read(owner.breaker, text) {
            Sealed::Ours(serial) => {
                let taken = self.table(owner).lock().take(serial, outcomes, now);
                Presented::Ours(taken)
            }
            Sealed::OfAnotherStart => Presented::OfAnotherStart,
            Sealed::Forged => Presented::Forged,
            Sealed::Unreadable => Presented::Unreadable,
        }
    }

    /// Looks at a permit and takes nothing of it.
    pub fn look(&self, owner: Owner<'_>, text: &str) -> Sealed {
        self.seal.read(owner.breaker, text)
    }

    /// Drops the permits whose time is over.
    pub fn sweep(&self, now: Timestamp) {
        let tables: Vec<_> = self.tables.lock().values().cloned().collect();
        for table in tables {
            table.lock().sweep(now);
        }
    }

    fn table(&self, owner: Owner<'_>) -> Arc<Mutex<PermitTable>> {
        let mut tables = self.tables.lock();
        if let Some(table) = tables.get(owner.family) {
            return table.clone();
        }
        tables.entry(owner.family.clone()).or_default().clone()
    }
}
