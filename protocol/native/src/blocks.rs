//! The division of batches into blocks, and of blocks among threads.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};

/// The number of elements in a block: many enough to share one inversion, few enough to keep all cores busy.
pub const BLOCK: usize = 256;

static POOLS: LazyLock<Mutex<BTreeMap<usize, Arc<ThreadPool>>>> = LazyLock::new(Mutex::default);

/// Run `work` on `0..count` in ranges of `size`; return the results in order.
///
/// With one thread, the work runs in the caller's thread, so that callers in several threads do not wait for
/// each other in a pool. 0 means one thread for each core.
///
/// # Errors
///
/// An error of `work`. If several ranges fail, it is not fixed whose error is returned.
pub fn map<T: Send, E: Send>(
    count: usize,
    size: usize,
    threads: usize,
    work: impl Fn(Range<usize>) -> Result<T, E> + Sync + Send,
) -> Result<Vec<T>, E> {
    let size = size.max(1);
    let range = |index: usize| index * size..((index + 1) * size).min(count);
    let blocks = count.div_ceil(size);
    match pool(threads) {
        Some(pool) if blocks > 1 => pool.install(|| {
            (0..blocks)
                .into_par_iter()
                .map(|index| work(range(index)))
                .collect()
        }),
        _ => (0..blocks).map(|index| work(range(index))).collect(),
    }
}

/// Return the number of threads: for 0, the number of cores.
#[must_use]
pub fn resolve(threads: usize) -> usize {
    if threads == 0 {
        std::thread::available_parallelism().map_or(1, usize::from)
    } else {
        threads
    }
}

/// Return the pool with a number of threads; `None` for one thread, or if the system gives no threads.
fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    let threads = resolve(threads);
    if threads == 1 {
        return None;
    }
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(&threads) {
        return Some(Arc::clone(pool));
    }
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().ok()?);
    pools.insert(threads, Arc::clone(&pool));
    Some(pool)
}
