//! Random worlds: from a seed, an account, a reading of each point that the
//! documents leave open, faults, changes while it is read, and a chain of runs
//! with kills and changed selections. Whatever comes of it, nothing may be lost.
//!
//! `draw` makes a world, with `readings` of what is open; `play` plays it, and
//! `check` says what must have come. `tests/random_worlds.rs` plays some,
//! and `cargo run --release --example worlds` any number.

mod check;
mod draw;
mod play;
mod readings;
mod reports;

pub use play::play;

/// What a seed stands for, a line each.
#[allow(dead_code, reason = "tests print it where a world fails")]
pub fn story(seed: u64) -> String {
    draw::World::draw(seed).notes.join("\n")
}
