//! The Singer protocol: catalog, selection, messages, state and metrics.
//!
//! This module knows nothing about Freshchat. [`Output`] is the only writer of
//! stdout. The protocol is described at <https://hub.meltano.com/singer/spec>.

mod catalog;
mod clean;
mod convert;
mod free;
pub mod metrics;
mod output;
mod path;
mod record;
mod schema;
mod state;
mod warnings;

pub use catalog::{Catalog, CatalogEntry, selected_schema};
pub use output::{Output, print};
pub use record::RecordWriter;
pub use schema::{Field, Fields, Kind};
pub use state::{Bookmark, Names, State};
