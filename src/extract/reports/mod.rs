//! Raw reports: jobs that the server processes, with CSV files as their result.
//!
//! [`windows`] cuts the time of a stream into windows, and [`slots`] matches these
//! with the jobs of earlier runs. [`lane`] tracks the progress of each window.
//! [`schedule`] decides which stream is next. [`engine`] has the reports
//! requested and polled ([`asking`]) and downloaded ([`download`]). [`rows`]
//! writes their content.
//!
//! A file is [unpacked](unpack) twice: first to [`check`] that it is complete,
//! based on its [`quotes`], and then to write its [rows](csv_rows). The
//! [`layout`] maps their [`columns`] to properties. Each row gets an id
//! computed from its [`identity`]. [`repeats`] numbers rows with the same
//! identity, with a [`filter`] and a [`hash_tally`] to limit the memory.

mod asking;
mod check;
mod columns;
mod csv_rows;
mod download;
mod engine;
mod filter;
mod hash_tally;
mod identity;
mod job_rows;
mod lane;
mod layout;
mod live_lines;
mod quotes;
mod repeats;
mod report;
mod rows;
mod schedule;
mod slots;
mod unpack;
mod windows;

pub use columns::Aliases;
pub use engine::{Engine, Finished};
pub use identity::{Identity, RowTime};
pub use report::ReportRun;
pub use schedule::search_lookback;
pub use slots::Search;
pub use windows::{Cut, oldest_start};
