//! The tables of signers who come back, the least recently seen of which give way.
//!
//! A signer gets a table at the second sight of the key, and a sight is a signature that was
//! accepted: nobody can push tables out with signatures of keys that are not theirs. The lock is
//! held for look-ups only, never while a table is built or used. A process must not fork while
//! another of its threads checks signatures: the child would find the lock taken for ever.

use crate::signer_curve::SignerTable;
use starknet_types_core::felt::Felt;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Signers with a table: 32 KB each, 64 MB in all.
const SIGNER_TABLES_MAX: usize = 2_048;

/// Signers seen once that are remembered; where there are more, all are forgotten together.
const SIGNERS_SEEN_MAX: usize = 16_384;

/// What is known of a key.
pub enum Sight {
    /// Not seen, or forgotten.
    First,
    /// Seen once: its table is worth the work.
    Second,
    /// Seen often: here is the table.
    Known(Arc<SignerTable>),
}

#[derive(Default)]
struct Signers {
    sights: u64,
    seen: HashSet<Felt>,
    tables: HashMap<Felt, (u64, Arc<SignerTable>)>,
}

/// Look a key up.
pub fn sight_of(key: &Felt) -> Sight {
    let signers = locked();
    if let Some((_, table)) = signers.tables.get(key) {
        return Sight::Known(Arc::clone(table));
    }
    match signers.seen.contains(key) {
        true => Sight::Second,
        false => Sight::First,
    }
}

/// Remember that a key with a table was seen once more.
pub fn remember_use(key: &Felt) {
    let mut signers = locked();
    signers.sights += 1;
    let now = signers.sights;
    if let Some((last, _)) = signers.tables.get_mut(key) {
        *last = now;
    }
}

/// Remember that a key was seen for the first time.
pub fn remember_sight(key: Felt) {
    let mut signers = locked();
    if signers.seen.len() >= SIGNERS_SEEN_MAX {
        signers.seen.clear();
    }
    signers.seen.insert(key);
}

/// Keep a key's table, in the place of the least recently used one where all places are taken.
pub fn keep_table(key: Felt, table: Arc<SignerTable>) {
    let mut signers = locked();
    signers.seen.remove(&key);
    signers.sights += 1;
    let now = signers.sights;
    signers.tables.insert(key, (now, table));
    if signers.tables.len() > SIGNER_TABLES_MAX {
        let oldest = signers.tables.iter().min_by_key(|(_, (last, _))| *last);
        if let Some(oldest) = oldest.map(|(key, _)| *key) {
            signers.tables.remove(&oldest);
        }
    }
}

fn locked() -> MutexGuard<'static, Signers> {
    static SIGNERS: OnceLock<Mutex<Signers>> = OnceLock::new();
    let signers = SIGNERS.get_or_init(Mutex::default);
    // No change above can stop half-way, so what a panic elsewhere left behind is whole.
    signers.lock().unwrap_or_else(PoisonError::into_inner)
}
