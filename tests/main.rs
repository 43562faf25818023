//! Black-box tests: each runs the built program against a simulated account
//! and looks at all of its output, and at the requests that the account saw.

mod bad_input;
mod conversations;
mod discovery;
mod entities;
mod lists;
mod metrics;
mod output;
mod reports;
mod requests;
mod resume;
mod secrets;
mod selection;
mod tap;
mod users;
mod walk;
