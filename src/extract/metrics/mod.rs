//! The metrics of the account's dashboard (API document, "Metrics").

mod answer;
mod grouping;
pub mod historical;
pub mod instant;
mod misses;
mod questions;
mod reach;
mod slice_rows;
mod slices;
mod table;
mod unread;

pub use slices::Interval;
pub use table::{Aggregator, GroupBy, Metric, all, named};
