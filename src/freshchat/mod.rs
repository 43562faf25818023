//! The Freshchat REST API v2: addresses, requests, retries, rate limits and
//! pages.
//!
//! This module knows nothing about Singer.

mod address;
mod client;
pub mod clock;
mod get;
mod limits;
mod pages;
mod problems;
pub mod reports;
mod retry;
mod stop;
mod storage;

pub use address::Address;
pub use client::{Api, Client, Exchange, Options};
pub use get::Get;
pub use limits::{HourlyLimit, Limits, PATIENCE};
pub use pages::{Page, Shape};
pub use problems::without_values;
pub use retry::RetryPolicy;
pub use stop::Stop;
pub use storage::{DownloadError, Storage};
