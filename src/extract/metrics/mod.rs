//! The metrics of the account's dashboard (API document, "Metrics").

mod answer;
mod asking;
pub mod historical;
pub mod instant;
mod refusals;
mod rows;
mod slices;
mod table;

pub use slices::Interval;
pub use table::{Aggregator, GroupBy, Metric, all, named};
