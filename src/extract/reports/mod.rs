//! Raw reports: jobs that the server works off, whose rows are CSV files.
//!
//! [`plan`] cuts a stream's time into windows, [`slots`] lines these up with
//! the jobs of earlier runs, [`lane`] keeps what has become of each,
//! [`schedule`] says which stream's turn it is, [`engine`] has them asked for
//! and looked at ([`asking`]) and downloaded ([`download`]), and [`rows`]
//! writes what is in the files.
//!
//! A file is [unpacked](unpack) twice: to [`check`] that it is whole, going by
//! its [`quotes`], and to write its [rows](csv_rows), whose [`columns`] become
//! properties as the [`layout`] has it. Each row gets an id that is made of its
//! [`identity`]; [`repeats`] numbers those that share it, with a [`filter`] and
//! a [`tally`] in little memory.

mod asking;
mod check;
mod columns;
mod csv_rows;
mod download;
mod engine;
mod filter;
mod identity;
mod job_rows;
mod lane;
mod layout;
mod lines;
mod plan;
mod quotes;
mod repeats;
mod report;
mod rows;
mod schedule;
mod slots;
mod tally;
mod unpack;

pub use columns::Aliases;
pub use engine::{Engine, Finished};
pub use identity::{Identity, RowTime};
pub use plan::{Cut, oldest_start};
pub use report::ReportRun;
pub use schedule::search_lookback;
pub use slots::Search;
