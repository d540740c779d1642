//! Threads on the CPU: one libtorch thread each, side by side.
//!
//! libtorch would split every single operation among its threads, and wait for each to finish by spinning. A sampler's
//! operations are small (a quarter of a millisecond), so half the time goes into waiting, and a second program on the
//! machine makes it many times slower. Splitting the *batch* instead needs two meetings an update.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

static WORKERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread is one of several workers already.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Sets the number of workers (`None`: one a core) and keeps libtorch itself to one thread.
pub fn configure(workers: Option<usize>) {
    WORKERS.store(workers.unwrap_or_else(available), Ordering::Relaxed);
    keep_memory();
    alone();
}

/// Tensors of a few hundred kilobytes come and go thousands of times a second; glibc would hand each back to the kernel
/// and ask for fresh, zeroed pages the next time.
fn keep_memory() {
    // SAFETY: both calls only set limits of the allocator; 32 MiB is the largest threshold that it takes.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 512 << 20);
    }
}

/// Number of workers on the CPU; 1 until [`configure`] is called, and 1 to a worker, whose share is not divided again.
pub fn workers() -> usize {
    if IS_WORKER.get() { 1 } else { WORKERS.load(Ordering::Relaxed).max(1) }
}

/// Runs `job` on every item, each on a thread of its own, and `meanwhile` on this one; results in the items' order.
///
/// A single item runs right here, after `meanwhile`. A panic of a job goes on in the caller.
pub fn each<I: Send, T: Send>(items: Vec<I>, job: impl Fn(I) -> T + Sync, meanwhile: impl FnOnce()) -> Vec<T> {
    if items.len() == 1 {
        meanwhile();
        return items.into_iter().map(job).collect();
    }
    let job = &job;
    std::thread::scope(|scope| {
        let start = |item| {
            scope.spawn(move || {
                alone();
                IS_WORKER.set(true);
                job(item)
            })
        };
        let running: Vec<_> = items.into_iter().map(start).collect();
        meanwhile();
        let join = |thread: std::thread::ScopedJoinHandle<'_, T>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).collect()
    })
}

fn available() -> usize {
    let asked = std::env::var("OMP_NUM_THREADS").ok().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// One libtorch thread for what this thread computes.
fn alone() {
    tch::set_num_threads(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn results_come_in_order_and_tensors_travel() {
        let items: Vec<Tensor> = (0..5).map(|i| Tensor::full([3], i, (Kind::Double, Device::Cpu))).collect();
        let mut met = false;
        let sums = each(items, |t| t.sum(Kind::Double).double_value(&[]), || met = true);
        assert_eq!(sums, [0.0, 3.0, 6.0, 9.0, 12.0]);
        assert!(met);
    }

    #[test]
    fn a_worker_has_no_workers_of_its_own() {
        let before = WORKERS.swap(2, Ordering::Relaxed);
        assert_eq!((workers(), each(vec![(), ()], |()| workers(), || ())), (2, vec![1, 1]));
        WORKERS.store(before, Ordering::Relaxed);
    }
}
