//! `tap-freshchat`, a Singer tap for Freshchat.
//!
//! [`cli`] starts a run: it reads the [`config`] and passes the selected rows
//! of the table ([`streams`]) to [`sync`]. For each row, [`extract`] reads the
//! records from the API ([`freshchat`]) and writes them as Singer messages
//! ([`singer`]). `freshchat` and `singer` don't know each other.

mod about;
mod check;
mod cli;
mod config;
mod error;
mod extract;
mod files;
mod freshchat;
mod json;
mod logging;
mod outcome;
mod progress;
#[cfg(test)]
mod properties;
mod secret;
mod select;
mod singer;
mod streams;
mod sync;
mod timestamp;
mod watch;

pub use about::about;
pub use cli::run;

/// The names of all streams, in the order of the table.
pub fn stream_names() -> Vec<&'static str> {
    streams::STREAMS.iter().map(|stream| stream.name).collect()
}

/// The names of the streams that are synced without a catalog.
pub fn default_stream_names() -> Vec<&'static str> {
    let selected = select::by_default();
    selected
        .iter()
        .map(|selected| selected.stream.name)
        .collect()
}
