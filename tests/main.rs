//! Black-box tests: each runs the built program against a simulated account
//! and looks at all of its output, and at the requests that the account saw.

#![allow(
    clippy::disallowed_methods,
    reason = "tests compare with the real time"
)]

mod architecture;
mod auto;
mod bad_input;
mod changed;
mod clock;
mod conversations;
mod deletions;
mod discovery;
mod endings;
mod entities;
mod lacking;
mod lists;
mod logs;
mod meltano;
mod metrics;
mod missed;
mod oldest_rust;
mod output;
mod random_worlds;
mod readings;
mod reports;
mod requests;
mod resume;
mod rounds;
mod rules;
mod secrets;
mod selection;
mod sharing;
mod state;
mod tap;
mod terminal;
mod users;
mod values;
mod walk;
mod worlds;
