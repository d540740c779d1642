//! Claims about samplers, written down before they are tested: claim files, records, statistics, verdicts, reports.

mod averages;
pub mod claim;
pub mod compare;
pub mod equal_n;
pub mod fair;
pub mod figures;
pub mod import;
pub mod judge;
pub mod lint;
mod markdown;
pub mod open;
pub mod overall;
mod pictures;
pub mod quotes;
pub mod rates;
pub mod read;
pub mod record;
pub mod report;
pub mod run;
pub mod stats;
pub mod test;
pub mod values;
pub mod verbs;

pub use claim::Claim;
pub use record::{Record, Records};
