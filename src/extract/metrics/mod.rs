//! The metrics of the account's dashboard (API document, "Metrics").

mod answer;
mod asking;
mod grouping;
pub mod historical;
pub mod instant;
mod misses;
mod reach;
mod rows;
mod slices;
mod table;
mod unread;

pub use slices::Interval;
pub use table::{Aggregator, GroupBy, Metric, all, named};
