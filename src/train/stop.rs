//! Stopping on request: SIGINT and SIGTERM let the loop save and leave; a second one ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

/// A flag that signals raise.
#[derive(Clone)]
pub struct StopFlag {
    raised: Arc<AtomicBool>,
}

impl StopFlag {
    /// Catches SIGINT, SIGTERM and SIGUSR1 (which clusters send before they kill).
    pub fn install() -> Result<Self> {
        let flag = Self { raised: Arc::new(AtomicBool::new(false)) };
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            // Registered first, so that it acts only on a second signal.
            signal_hook::flag::register_conditional_shutdown(signal, 130, flag.raised.clone())
                .and_then(|_| signal_hook::flag::register(signal, flag.raised.clone()))
                .with_context(|| format!("cannot catch signal {signal}"))?;
        }
        Ok(flag)
    }

    pub fn raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }
}
