//! Raw reports: jobs that the server works off, whose rows are CSV files.
//!
//! [`plan`] cuts a stream's time into windows, [`slots`] lines these up with
//! the jobs of earlier runs, [`lane`] keeps what has become of each,
//! [`schedule`] says which stream's turn it is, [`engine`] has them asked for
//! and looked at ([`asking`]) and downloaded ([`download`]), and [`rows`]
//! writes what is in the files.

mod asking;
mod columns;
mod download;
mod engine;
mod lane;
mod lines;
mod plan;
mod repeats;
mod rows;
mod schedule;
mod slots;
mod unpack;

pub use columns::Aliases;
pub use engine::{Engine, Finished, ReportRun};

pub use plan::{Cut, oldest_start};
pub use slots::Search;
