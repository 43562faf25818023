//! Raw reports: jobs that the server works off, whose rows are CSV files.
//!
//! [`plan`] cuts a stream's time into windows, [`lane`] keeps what has become
//! of each, [`engine`] asks for them, looks at them and has them downloaded
//! ([`download`]), and [`rows`] writes what is in the files.

mod columns;
mod download;
mod engine;
mod lane;
mod lines;
mod plan;
mod repeats;
mod rows;
mod unpack;

pub use columns::Aliases;
pub use engine::{Engine, Finished, ReportRun, is_unknown_event};
pub use plan::Cut;
