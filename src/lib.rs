//! `tap-freshchat`, a Singer tap for Freshchat.
//!
//! A run enters in [`cli`], which reads the [`config`] and hands the selected
//! rows of the table ([`streams`]) to [`sync`]. There, [`extract`] reads each
//! from the API ([`freshchat`]) and writes it as Singer messages ([`singer`]).
//! `freshchat` and `singer` don't know each other.

mod about;
mod check;
mod cli;
mod config;
mod error;
mod extract;
mod files;
mod freshchat;
mod logging;
mod outcome;
mod progress;
mod secret;
mod select;
mod singer;
mod streams;
mod sync;
mod timestamp;
mod watch;

pub use about::about;
pub use cli::run;

/// The names of all streams, in the order in which they are synced.
pub fn stream_names() -> Vec<&'static str> {
    streams::STREAMS.iter().map(|stream| stream.name).collect()
}

/// The names of the streams that are synced unless a catalog says otherwise.
pub fn default_stream_names() -> Vec<&'static str> {
    let selected = select::by_default();
    selected
        .iter()
        .map(|selected| selected.stream.name)
        .collect()
}
