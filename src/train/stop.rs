//! Stopping on request: SIGINT and SIGTERM let the loop save and leave; a second one ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

/// One for the whole process: a signal that comes between two runs of a sweep must stop the second.
static RAISED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// A flag that signals raise.
#[derive(Clone)]
pub struct StopFlag {
    raised: Arc<AtomicBool>,
}

impl StopFlag {
    /// Catches SIGINT, SIGTERM and SIGUSR1 (which clusters send before they kill), from the first call on.
    pub fn install() -> Result<Self> {
        if let Some(raised) = RAISED.get() {
            return Ok(Self { raised: raised.clone() });
        }
        let raised = RAISED.get_or_init(Default::default).clone();
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            // Registered first, so that it acts only on a second signal.
            signal_hook::flag::register_conditional_shutdown(signal, 130, raised.clone())
                .and_then(|_| signal_hook::flag::register(signal, raised.clone()))
                .with_context(|| format!("cannot catch signal {signal}"))?;
        }
        Ok(Self { raised })
    }

    pub fn raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }
}
