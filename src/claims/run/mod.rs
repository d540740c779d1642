//! Running a claim: the runs it needs, launched one by one as child processes, kept in a pool, gathered as records.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | which runs there are, in which order |
//! | [`pool`] | finished runs by the hash of their resolved config, so that none is made twice |
//! | [`child`] | one run as a child process |
//! | [`printed`] | the files of a run that only prints |
//! | [`collect`] | from run folders to records |
//! | [`check`] | all of it, for several claims |

pub mod check;
pub mod child;
pub mod collect;
pub mod plan;
pub mod pool;
pub mod printed;
