//! A simulated Freshchat account with an HTTP server of its own, for tests, examples and benches.
//!
//! - `options`, `quirks`, `faults`: what an account is like, and what goes wrong.
//! - `account`: its data. `changes`: what happens to it at random. `truth`: what a client should
//!   have read of it.
//! - `server`, `http`, `control`: connections, the log, limits.
//! - `api`, `metrics`, `reports`: the endpoints, the storage of report files among the last.
//!
//! ```
//! let sandbox = freshchat_sandbox::Sandbox::start(Default::default());
//! assert_eq!(sandbox.truth("users").len(), 100);
//! ```

mod account;
mod api;
mod changes;
mod clock;
mod control;
mod faults;
mod faulty;
mod http;
mod inspect;
mod json;
mod limits;
mod metrics;
mod options;
mod quirks;
mod reports;
mod rng;
mod sandbox;
mod server;
#[cfg(test)]
mod tests;
mod truth;

pub use changes::{Change, Changes};
pub use control::Request;
pub use faults::{Fault, FaultKind};
pub use options::{Edits, Options, Sizes};
pub use quirks::*;
pub use rng::Rng;
pub use sandbox::Sandbox;
