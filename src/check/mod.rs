//! `--test`: makes a cheap call of each kind, prints a line for each, and
//! prints what the answers show about this account's API.

mod readings;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::freshchat::{Api, Client, Get, clock};
use crate::{singer, sync, timestamp};
use readings::{List, Observed};

/// An id that no report has. Requesting it shows whether the token may read
/// reports.
const NO_REPORT: &str = "00000000-0000-0000-0000-000000000000";

/// Every user was updated after this time, which is before Freshchat existed.
const BEFORE_ALL: &str = "2010-01-01T00:00:00.000Z";

const USERS: List = List::new("users", "users", Some(50));

/// With one record per page, a page differs from the whole list if there are
/// more.
const LISTS: [List; 4] = [
    List::new("agents", "agents", Some(1)),
    List::new("groups", "groups", Some(1)),
    List::new("channels", "channels", Some(1)),
    List::new("roles", "roles", Some(1)),
];
const OUTBOUND_MESSAGES: List = List::new("outbound-messages", "outbound_messages", None);
const USER_CONVERSATIONS: List = List::new("users/{id}/conversations", "conversations", None);

const REPORT: &str = "reports/raw/{id}";

/// The metric to request by group.
const GROUPED_METRIC: &str = "conversation_metrics.assigned_interactions";

/// A kind of endpoint.
struct Family {
    name: &'static str,
    get: Get,
    /// Statuses that count as success here.
    expected: &'static [u16],
}

/// The result of a call.
enum Verdict {
    Ok,
    Forbidden,
    /// What is wrong, without any text from the API.
    Failed(String),
}

/// The answers so far, by endpoint template.
struct Account<'a> {
    api: Api<'a>,
    answers: HashMap<&'static str, Value>,
    /// The endpoints that the account or the token lacks, each with the status.
    missing: Vec<(&'static str, u16)>,
}

/// Makes the calls, and prints a line for each family and each reading to
/// stdout, or a single JSON object. The output contains no names and no ids, so
/// that users can share it. The API's error messages go to stderr.
///
/// # Errors
/// [`Error::Unauthorized`] if the first call is refused, and
/// [`Error::TestFailed`] after the last. A family that the token may not read
/// is not a failure.
pub fn run(config: &Config, json: bool) -> Result<()> {
    let client = sync::client(config, |_| {});
    let mut account = Account {
        api: client.api(),
        answers: HashMap::new(),
        missing: Vec::new(),
    };
    let now = clock::now();
    let mut verdicts = Map::new();
    let mut failed = 0;
    for family in families() {
        let verdict = account.call(&family)?;
        failed += usize::from(matches!(verdict, Verdict::Failed(_)));
        if !json {
            singer::print(&format!("{}: {}\n", family.name, verdict.text()))?;
        }
        verdicts.insert(family.name.to_owned(), verdict.text().into());
    }
    let readings = account.readings(&client, now)?;
    let text = match json {
        true => {
            let readings: Map<_, _> = readings.iter().map(Observed::json).collect();
            format!(
                "{:#}\n",
                json!({"endpoints": verdicts, "readings": readings})
            )
        }
        false => readings.iter().map(|it| format!("{it}\n")).collect(),
    };
    singer::print(&text)?;
    match failed {
        0 => Ok(()),
        failed => Err(Error::TestFailed { failed }),
    }
}

impl Verdict {
    fn text(&self) -> &str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Forbidden => "forbidden",
            Verdict::Failed(problem) => problem,
        }
    }
}

impl Account<'_> {
    /// Makes the call of a family, and keeps the answer.
    fn call(&mut self, family: &Family) -> Result<Verdict> {
        let endpoint = family.get.endpoint;
        let error = match self.ask(&family.get)? {
            Ok(body) => {
                self.answers.insert(endpoint, body);
                return Ok(Verdict::Ok);
            }
            Err(error) => error,
        };
        let status = self.note_missing(endpoint, &error);
        match status {
            Some(403) => return Ok(Verdict::Forbidden),
            Some(status) if family.expected.contains(&status) => return Ok(Verdict::Ok),
            _ => log::error!("{}: {error}", family.name),
        }
        Ok(Verdict::Failed(match (status, error) {
            (Some(status), _) => format!("answers {status}"),
            (None, Error::Transport { .. }) => "does not answer".to_owned(),
            (None, Error::NotJson { .. }) => "does not answer with JSON".to_owned(),
            (None, Error::Redirected { .. }) => "redirects to another host".to_owned(),
            (None, _) => "does not answer as documented".to_owned(),
        }))
    }

    /// Makes a call. The inner error says why there is no answer.
    fn ask(&self, get: &Get) -> Result<std::result::Result<Value, Error>> {
        match self.api.get(get, |body| serde_json::from_str(&body)) {
            Ok(body) => Ok(Ok(body)),
            Err(error) if error.ends_run() => Err(error),
            Err(error) => Ok(Err(error)),
        }
    }

    /// The status of an error. Also records whether it means that the endpoint
    /// is missing.
    fn note_missing(&mut self, endpoint: &'static str, error: &Error) -> Option<u16> {
        let status = error.status()?;
        // The requested report doesn't exist, on purpose.
        let is_absence = match endpoint {
            REPORT => status == 403,
            _ => matches!(status, 400 | 401 | 403 | 404),
        };
        if is_absence {
            self.missing.push((endpoint, status));
        }
        Some(status)
    }

    /// What the answers show about the API, with at most three more calls. If
    /// one of them fails, its reading is not seen.
    fn readings(&mut self, client: &Client, now: DateTime<Utc>) -> Result<Vec<Observed>> {
        let users = self
            .answers
            .get(USERS.endpoint)
            .cloned()
            .unwrap_or_default();
        let users = USERS.records(&users);
        let sorting = self.sorting(users)?;
        let user_conversations = self.user_conversations(users)?;
        let grouping = self.grouping(now)?;
        let mut readings = vec![
            readings::clock(clock::ahead_of_server()),
            readings::hourly_limit(client.hourly_limit()),
            readings::order(users),
            sorting,
            self.pages(&USERS),
        ];
        readings.extend(LISTS.iter().map(|list| self.pages(list)));
        readings.extend([
            self.pages(&OUTBOUND_MESSAGES),
            user_conversations,
            grouping,
            readings::missing(&self.missing),
        ]);
        Ok(readings)
    }

    fn pages(&self, list: &List) -> Observed {
        list.pages(self.answers.get(list.endpoint))
    }

    /// Whether users can be sorted. Requests an order other than the default
    /// one.
    fn sorting(&mut self, users: &[Value]) -> Result<Observed> {
        let Some(sort_order) = readings::other_order(users) else {
            return Ok(readings::sorting(users, None));
        };
        let get = list(&USERS)
            .with("updated_from", BEFORE_ALL)
            .with("sort_by", readings::CREATED)
            .with("sort_order", sort_order);
        let sorted = self.one_more(&get)?;
        let sorted = sorted.as_ref().map(|body| USERS.records(body));
        Ok(readings::sorting(
            users,
            sorted.map(|users| (sort_order, users)),
        ))
    }

    fn user_conversations(&mut self, users: &[Value]) -> Result<Observed> {
        let id = users.iter().find_map(|user| user["id"].as_str());
        let body = match id {
            Some(id) => self.one_more(&Get::of(USER_CONVERSATIONS.endpoint, id))?,
            None => None,
        };
        Ok(USER_CONVERSATIONS.pages(body.as_ref()))
    }

    fn grouping(&mut self, now: DateTime<Utc>) -> Result<Observed> {
        let get = Get::new("metrics/historical")
            .with("metric", GROUPED_METRIC)
            .with("start", timestamp::format(now - TimeDelta::days(1)))
            .with("end", timestamp::format(now))
            .with("group_by", "group");
        let body = self.one_more(&get)?;
        Ok(readings::grouping(body.as_ref()))
    }

    /// Makes one more call. `None` if it fails, which is logged.
    fn one_more(&mut self, get: &Get) -> Result<Option<Value>> {
        match self.ask(get)? {
            Ok(body) => Ok(Some(body)),
            Err(error) => {
                // An endpoint that answered before refuses only the parameters.
                if !self.answers.contains_key(get.endpoint) {
                    self.note_missing(get.endpoint, &error);
                }
                log::warn!("{error}");
                Ok(None)
            }
        }
    }
}

/// The first page of a list, with the page size wanted for it.
fn list(list: &List) -> Get {
    let get = Get::new(list.endpoint);
    match list.page_size {
        Some(size) => get.with("page", 1).with("items_per_page", size),
        None => get,
    }
}

fn families() -> Vec<Family> {
    let family = |name: &'static str, get: Get| Family {
        name,
        get,
        expected: &[],
    };
    let mut families = vec![
        family("accounts", Get::new("accounts/configuration")),
        family("users", list(&USERS).with("updated_from", BEFORE_ALL)),
        Family {
            // Accounts outside the suite have no fields.
            expected: &[404],
            ..family("conversations", Get::new("conversations/fields"))
        },
    ];
    families.extend(LISTS.iter().map(|it| family(it.endpoint, list(it))));
    families.extend([
        family(OUTBOUND_MESSAGES.endpoint, list(&OUTBOUND_MESSAGES)),
        family("business-hours", Get::new("business-hours/within-bh")),
        Family {
            expected: &[400, 404],
            ..family("reports", Get::of(REPORT, NO_REPORT))
        },
        family(
            "metrics",
            Get::new("metrics/instant")
                .with("metric", "team_presence.online")
                .with("group_by", "group")
                .with("summary", true),
        ),
    ]);
    families
}
