//! `--test`: one cheap call of each kind, and a line for each.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::freshchat::{Get, clock};
use crate::{singer, sync, timestamp};

/// An id that no report has: to ask for it shows whether reports may be read.
const NO_REPORT: &str = "00000000-0000-0000-0000-000000000000";

/// A kind of endpoint.
struct Family {
    name: &'static str,
    get: Get,
    /// A status that is as good as an answer here.
    expected: &'static [u16],
}

/// Makes the calls, and prints a line for each family to stdout.
///
/// # Errors
/// [`Error::Unauthorized`] at the first call that is refused, and
/// [`Error::TestFailed`] after the last; a family that the token may not read
/// is no failure.
pub fn run(config: &Config) -> Result<()> {
    let client = sync::client(config, |_| {});
    let api = client.api();
    let mut failed = 0;
    for family in families() {
        let verdict = match api.get(&family.get, |body| {
            serde_json::from_str::<serde::de::IgnoredAny>(&body)
        }) {
            Ok(_) => "ok".to_owned(),
            Err(error @ Error::Unauthorized { .. }) => return Err(error),
            Err(error) => match error.status() {
                Some(403) => "forbidden".to_owned(),
                Some(status) if family.expected.contains(&status) => "ok".to_owned(),
                _ => {
                    failed += 1;
                    error.to_string()
                }
            },
        };
        let line = config
            .settings
            .api_token
            .redact(format!("{}: {verdict}\n", family.name));
        singer::print(&line)?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Error::TestFailed { failed }),
    }
}

fn families() -> Vec<Family> {
    let list = |name: &'static str| Family {
        name,
        get: Get::new(name).with("page", 1).with("items_per_page", 1),
        expected: &[],
    };
    let users = list("users");
    vec![
        Family {
            name: "accounts",
            get: Get::new("accounts/configuration"),
            expected: &[],
        },
        Family {
            get: users
                .get
                .with("updated_from", timestamp::format(clock::now())),
            ..users
        },
        Family {
            name: "conversations",
            get: Get::new("conversations/fields"),
            // Accounts outside the suite have no fields.
            expected: &[404],
        },
        list("agents"),
        list("groups"),
        list("channels"),
        list("roles"),
        Family {
            name: "outbound-messages",
            get: Get::new("outbound-messages"),
            expected: &[],
        },
        Family {
            name: "business-hours",
            get: Get::new("business-hours/within-bh"),
            expected: &[],
        },
        Family {
            name: "reports",
            get: Get {
                path: format!("reports/raw/{NO_REPORT}"),
                ..Get::new("reports/raw/{id}")
            },
            expected: &[400, 404],
        },
        Family {
            name: "metrics",
            get: Get::new("metrics/instant")
                .with("metric", "team_presence.online")
                .with("group_by", "group")
                .with("summary", true),
            expected: &[],
        },
    ]
}
