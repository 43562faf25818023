//! The HTTP client. No other file sends requests to the API or exposes the
//! token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use url::form_urlencoded;

use super::address::Address;
use super::clock;
use super::get::Get;
use super::limits::{self, HourlyLimit, Limits};
use super::problems::{
    api_error, header_text, is_unknown_host, looks_like_html, redirect_target, without_values,
};
use super::retry::RetryPolicy;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The maximum size of an answer. A larger one is not a page of records.
const LARGEST_BODY: u64 = 64 * 1024 * 1024;

/// The timeout for a whole body, in multiples of the timeout for a read. A slow
/// trickle never exceeds the latter.
const BODY_TIMEOUTS: u32 = 5;

/// The timeout of the request that checks whether the token is still valid. If
/// it isn't, the run should end soon.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// The path of the account configuration.
const ACCOUNT: &str = "accounts/configuration";

/// The maximum number of retries if the answer comes from a wrong host and not
/// from an API in trouble. The user waits for the message.
const TRIES_AT_WRONG_HOST: u32 = 2;

/// The options of a client.
pub struct Options {
    pub address: Address,
    pub token: Secret,
    pub user_agent: String,
    /// For the connection, for the first byte, and for each further read.
    pub timeout: Duration,
    pub retry: RetryPolicy,
    pub limits: Limits,
}

/// An HTTP exchange, as passed to the observer.
pub struct Exchange {
    /// The endpoint's template, such as `users/{id}/conversations`.
    pub endpoint: &'static str,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The time from the first byte of the request to the last byte of the
    /// answer.
    pub took: Duration,
}

/// The client of a run, shared by all streams and threads.
pub struct Client {
    agent: Agent,
    options: Options,
    observer: fn(&Exchange),
    stop: Arc<Stop>,
}

/// The client for a single stream, whose requests it counts.
pub struct Api<'a> {
    client: &'a Client,
    requests: Arc<AtomicU64>,
}

/// An answer, or the reason why there is none.
type Sent = std::result::Result<(StatusCode, HeaderMap, String), ureq::Error>;

/// The result of a single try.
enum Tried {
    Done(String),
    Failed(Error),
    /// The rate limit is used up, and the answer doesn't say when it is reset.
    Spent(Error),
    /// A retry makes sense, after `wait` if the API gave one. If `all`, all
    /// other requests must wait too.
    Again {
        error: Error,
        wait: Option<Duration>,
        all: bool,
        most: u32,
    },
}

impl Client {
    /// A client that calls `observer` for each exchange.
    pub fn new(options: Options, observer: fn(&Exchange)) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(options.user_agent.as_str())
            .accept("application/json")
            .max_idle_connections(options.limits.concurrency())
            .max_idle_connections_per_host(options.limits.concurrency())
            .timeout_connect(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_recv_body(Some(options.timeout * BODY_TIMEOUTS))
            .timeout_per_read(Some(options.timeout))
            .timeout_per_write(Some(options.timeout))
            .tls_config(
                TlsConfig::builder()
                    .root_certs(RootCerts::PlatformVerifier)
                    .build(),
            );
        if options.address.is_loopback() {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().new_agent(),
            options,
            observer,
            stop: Arc::default(),
        }
    }

    /// The client for a single stream.
    pub fn api(&self) -> Api<'_> {
        Api {
            client: self,
            requests: Arc::default(),
        }
    }

    /// What ends the run for all threads, such as a refused token.
    pub fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// The hourly limit and what is left of it, if the API has sent it.
    pub fn hourly_limit(&self) -> Option<HourlyLimit> {
        self.options.limits.hourly()
    }

    /// Requests the account configuration, which any token may read. The answer
    /// provides the server's time.
    ///
    /// # Errors
    /// Any error of the API, after retries.
    pub fn ask_for_account(&self) -> Result<()> {
        let answer = self.api().get(&Get::new(ACCOUNT), |body| {
            serde_json::from_str::<serde::de::IgnoredAny>(&body)
        });
        answer.map(|_| ())
    }

    /// Sends the request once and reads the whole answer. A `post` body is sent
    /// as a JSON POST. `timeout`, if given, limits the whole exchange, in
    /// addition to the timeouts of all requests.
    fn send(&self, get: &Get, post: Option<&str>, timeout: Option<Duration>) -> Sent {
        let mut address = self.options.address.join(&get.path);
        if !get.query.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&get.query);
            address = format!("{address}?{}", query.finish());
        }
        let token = format!("Bearer {}", self.options.token.expose());
        let mut response: Response<ureq::Body> = match post {
            None => {
                let call = self.agent.get(address).config();
                let call = call.timeout_global(timeout).build();
                call.header(header::AUTHORIZATION, token).call()?
            }
            Some(body) => {
                let call = self.agent.post(address).content_type("application/json");
                call.header(header::AUTHORIZATION, token).send(body)?
            }
        };
        let body = response
            .body_mut()
            .with_config()
            .limit(LARGEST_BODY)
            .read_to_vec()?;
        let body = String::from_utf8(body)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let (parts, _) = response.into_parts();
        Ok((parts.status, parts.headers, body))
    }

    /// Like [`Self::send`], but reports to the observer.
    fn exchange(&self, get: &Get, post: Option<&str>, timeout: Option<Duration>) -> Sent {
        let started = Instant::now();
        let sent = self.send(get, post, timeout);
        (self.observer)(&Exchange {
            endpoint: get.endpoint,
            status: sent.as_ref().ok().map(|(status, ..)| status.as_u16()),
            took: started.elapsed(),
        });
        sent
    }

    fn try_once(&self, get: &Get, post: Option<&str>) -> Tried {
        let permit = match self.options.limits.enter() {
            Ok(permit) => permit,
            Err(stopped) => return Tried::Failed(stopped),
        };
        let sent_at = Instant::now();
        let sent = self.exchange(get, post, None);
        drop(permit);
        let request = self.describe(get, post);
        let (status, headers, body) = match sent {
            Ok(answer) => answer,
            Err(ureq::Error::BodyExceedsLimit(most)) => {
                let problem = format!(
                    "the answer has more than {} MiB; a smaller `page_size` may help",
                    most / 1024 / 1024
                );
                return Tried::Failed(Error::Unexpected { request, problem });
            }
            Err(error) => {
                let most = match is_unknown_host(&error) {
                    true => TRIES_AT_WRONG_HOST,
                    false => u32::MAX,
                };
                let problem = self.problem(&error);
                return Tried::Again {
                    error: Error::Transport { request, problem },
                    wait: None,
                    all: false,
                    most,
                };
            }
        };
        if let Err(differ) = clock::observe(&headers, sent_at) {
            return Tried::Failed(self.end(Error::Clocks(differ)));
        }
        // A 429 contains its own wait.
        if status != StatusCode::TOO_MANY_REQUESTS {
            self.options.limits.observe(&headers);
        }
        self.judge(get.endpoint, request, status, &headers, body)
    }

    /// Ends the run for all threads.
    fn end(&self, error: Error) -> Error {
        self.stop.set(&error);
        self.options.limits.stop();
        error
    }

    /// Whether the token is still valid. This bypasses the rate limiter, where
    /// all requests may be waiting for up to an hour.
    fn is_token_good(&self) -> bool {
        let sent = self.exchange(&Get::new(ACCOUNT), None, Some(LOOK_TIMEOUT));
        sent.is_ok_and(|(status, ..)| status.is_success())
    }

    fn judge(
        &self,
        endpoint: &'static str,
        request: String,
        status: StatusCode,
        headers: &HeaderMap,
        body: String,
    ) -> Tried {
        let trace = header_text(headers, "x-trace-id");
        match status.as_u16() {
            200..=299 if looks_like_html(&body) => Tried::Again {
                error: self.not_json(request, "an HTML page".into()),
                wait: None,
                all: false,
                most: TRIES_AT_WRONG_HOST,
            },
            200..=299 => Tried::Done(body),
            300..=399 => Tried::Failed(Error::Redirected {
                request,
                to: redirect_target(headers),
            }),
            // Some endpoints answer 401 if the account lacks the feature.
            401 if endpoint == ACCOUNT || !self.is_token_good() => {
                Tried::Failed(self.end(Error::Unauthorized {
                    host: self.options.address.host(),
                    trace,
                }))
            }
            status => {
                // Redact before the body is cut, because a partial token would
                // not be found.
                let body = self.options.token.redact(body);
                let mut error = api_error(endpoint, request, status, &body, trace);
                if !matches!(status, 408 | 429 | 500..=599) {
                    return Tried::Failed(Error::Api(Box::new(error)));
                }
                let wait = if matches!(status, 429 | 503) {
                    limits::wait_asked_for(headers)
                } else {
                    None
                };
                error.retry_after = wait;
                if status == 429 && wait.is_none() {
                    return Tried::Spent(Error::Api(Box::new(error)));
                }
                Tried::Again {
                    error: Error::Api(Box::new(error)),
                    all: status == 429 || wait.is_some(),
                    wait,
                    most: u32::MAX,
                }
            }
        }
    }

    /// Sends the request until `parse` can read its answer, as often as the
    /// retry policy allows.
    fn get<T>(
        &self,
        get: &Get,
        requests: &AtomicU64,
        parse: &dyn Fn(String) -> serde_json::Result<T>,
    ) -> Result<T> {
        let mut retries = self.options.retry.start();
        loop {
            requests.fetch_add(1, Ordering::Relaxed);
            let (error, wait, all) = match self.try_once(get, None) {
                Tried::Failed(error) => return Err(error),
                Tried::Spent(error) => {
                    let Some(wait) = self.options.limits.blind_wait() else {
                        return Err(error);
                    };
                    log::info!("{error}; trying again in {:.1} s", wait.as_secs_f64());
                    self.options.limits.close(wait, &error.to_string());
                    continue;
                }
                Tried::Done(body) => match parse(body) {
                    Ok(parsed) => return Ok(parsed),
                    Err(problem) if problem.is_data() => {
                        return Err(Error::Unexpected {
                            request: self.describe(get, None),
                            problem: without_values(&problem),
                        });
                    }
                    Err(problem) => {
                        let error = self.not_json(self.describe(get, None), problem.to_string());
                        (error, None, false)
                    }
                },
                Tried::Again {
                    error,
                    wait,
                    all,
                    most,
                } => {
                    retries.at_most(most);
                    (error, wait, all)
                }
            };
            let Some(backoff) = retries.next() else {
                return Err(error);
            };
            // A reset that is due now may come a little late, so wait for the
            // backoff at least.
            let wait = wait.map_or(backoff, |asked| asked.max(backoff));
            log::info!("{error}; trying again in {:.1} s", wait.as_secs_f64());
            if all {
                self.options.limits.close(wait, &error.to_string());
            } else {
                self.options.limits.tell(wait, &error.to_string());
                self.stop.sleep(wait)?;
            }
        }
    }

    /// Sends a POST once. If the answer is lost, the API may or may not have
    /// processed it.
    fn post<T>(
        &self,
        get: &Get,
        body: &str,
        parse: impl Fn(String) -> serde_json::Result<T>,
    ) -> Result<T> {
        match self.try_once(get, Some(body)) {
            Tried::Done(answer) => parse(answer).map_err(|problem| Error::Unexpected {
                request: self.describe(get, Some(body)),
                problem: without_values(&problem),
            }),
            Tried::Failed(error) | Tried::Spent(error) | Tried::Again { error, .. } => Err(error),
        }
    }

    fn describe(&self, get: &Get, post: Option<&str>) -> String {
        let method = if post.is_some() { "POST" } else { "GET" };
        format!("{method} {}", self.options.address.path_of(&get.path))
    }

    fn not_json(&self, request: String, problem: String) -> Error {
        Error::NotJson {
            request,
            host: self.options.address.host(),
            problem,
        }
    }

    /// Describes a transport error.
    fn problem(&self, error: &ureq::Error) -> String {
        let host = self.options.address.host();
        match error {
            error if is_unknown_host(error) => {
                format!("the host {host} is not known; check `domain`")
            }
            ureq::Error::Timeout(ureq::Timeout::RecvBody) => format!(
                "{host} did not finish its answer within {} s",
                (self.options.timeout * BODY_TIMEOUTS).as_secs_f64()
            ),
            ureq::Error::Timeout(which) => format!(
                "{host} did not answer within {} s ({which:?})",
                self.options.timeout.as_secs_f64()
            ),
            error => format!("{host}: {error}"),
        }
    }
}

impl Api<'_> {
    /// Sends a GET request, and parses its answer with `parse`, which gets the
    /// body of a 2xx answer. A syntax error from `parse` causes a retry; its
    /// other errors end the call.
    ///
    /// # Errors
    /// Any error of the API, after retries.
    pub fn get<T>(&self, get: &Get, parse: impl Fn(String) -> serde_json::Result<T>) -> Result<T> {
        self.client.get(get, &self.requests, &parse)
    }

    /// Sends a POST request with a JSON body once, and parses its answer.
    ///
    /// # Errors
    /// Any error of the API.
    pub fn post<T>(
        &self,
        endpoint: &'static str,
        body: &serde_json::Value,
        parse: impl Fn(String) -> serde_json::Result<T>,
    ) -> Result<T> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.client
            .post(&Get::new(endpoint), &body.to_string(), parse)
    }

    /// The calls per hour that the account's limit leaves to this run, if the
    /// API has sent the limit.
    pub fn calls_per_hour(&self) -> Option<f64> {
        self.client.options.limits.calls_per_hour()
    }

    /// The requests sent so far, including retries.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The counter behind `requests`, for observers.
    pub fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.requests)
    }
}
