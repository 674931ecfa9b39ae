//! Work on many items, shared by two threads where that is worth a thread.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

/// Do `work` for the items 0 .. count, in two threads where that `pays`.
///
/// `work` returns one result for each item of its range. Where no thread is to be had, this one
/// does it all; a panic in the other thread goes on in this one.
pub fn in_two_threads<T: Send>(
    count: usize,
    pays: bool,
    work: impl Fn(Range<usize>) -> Vec<T> + Sync,
) -> Vec<T> {
    if !pays || count < 2 {
        return work(0..count);
    }
    let middle = count / 2;
    thread::scope(|scope| {
        let spawned = thread::Builder::new().spawn_scoped(scope, || work(middle..count));
        let mut results = work(0..middle);
        let rest = match spawned {
            Ok(other) => other.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => work(middle..count),
        };
        results.extend(rest);
        results
    })
}
