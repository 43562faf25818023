//! Downloads report files from the storage host. Nothing here has access to the
//! token: the storage refuses requests with it, and must never see it.

use std::io::{Read, Write};
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};
use url::Url;

use super::address::is_loopback;

/// Storage in another region is reached through redirects.
const MOST_REDIRECTS: u32 = 5;

const BUFFER: usize = 64 * 1024;

/// Texts in a 400 that mean an expired link.
const EXPIRED: [&str; 2] = ["ExpiredToken", "Request has expired"];

/// How much of an error body is read, in bytes.
const SHORT_BODY: u64 = 4096;

/// An HTTP client without a token.
pub struct Storage {
    agent: Agent,
    /// Whether plain http on loopback is allowed, as it is when the API is
    /// there too.
    loopback: bool,
}

/// Why a download failed.
#[derive(Debug)]
pub enum DownloadError {
    /// The link must not be followed.
    Refused(String),
    /// The link has expired. Links are valid for an hour.
    Expired,
    /// The storage answered with this status.
    Status(u16),
    /// The connection failed, or the file is shorter than announced.
    Broken(String),
    /// The local file can't be written.
    Local(std::io::Error),
}

impl Storage {
    /// `timeout` limits the connection, the first byte and each further read,
    /// but not the whole download.
    pub fn new(user_agent: &str, timeout: Duration, loopback: bool) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!loopback)
            .max_redirects(if loopback { 0 } else { MOST_REDIRECTS })
            .max_redirects_will_error(false)
            .user_agent(user_agent)
            // The file is already compressed, and its length is checked.
            .accept_encoding("identity")
            .timeout_connect(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout))
            .tls_config(
                TlsConfig::builder()
                    .root_certs(RootCerts::PlatformVerifier)
                    .build(),
            );
        if loopback {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().new_agent(),
            loopback,
        }
    }

    /// Downloads a file of at most `most` bytes.
    ///
    /// # Errors
    /// See [`DownloadError`]. `into` may contain a part of the file.
    pub fn download(
        &self,
        link: &str,
        most: u64,
        into: &mut impl Write,
    ) -> Result<(), DownloadError> {
        let link = self.check(link)?;
        let mut response = self.agent.get(link.as_str()).call().map_err(broken)?;
        if response.status() != StatusCode::OK {
            return Err(refusal(&mut response));
        }
        let announced: Option<u64> = response
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; BUFFER];
        let mut length = 0;
        loop {
            let read = body
                .read(&mut buffer)
                .map_err(|error| broken(error.into()))?;
            if read == 0 {
                break;
            }
            length += read as u64;
            if length > most {
                let problem = format!("the file has more than {most} bytes");
                return Err(DownloadError::Refused(problem));
            }
            into.write_all(&buffer[..read])
                .map_err(DownloadError::Local)?;
        }
        match announced {
            Some(announced) if announced != length => Err(DownloadError::Broken(format!(
                "{length} of {announced} bytes arrived"
            ))),
            _ => Ok(()),
        }
    }

    fn check(&self, link: &str) -> Result<Url, DownloadError> {
        // The address isn't shown, because its query is the key to the file.
        let url = Url::parse(link)
            .map_err(|_| DownloadError::Refused("the link is not an address".into()))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.loopback && is_loopback(&url) => Ok(url),
            scheme => Err(DownloadError::Refused(format!(
                "the link to {} is {scheme}, not https",
                url.host_str().unwrap_or("nowhere")
            ))),
        }
    }
}

/// Interprets a refusal. Storage services differ in how they report an expired
/// link.
fn refusal(response: &mut Response<Body>) -> DownloadError {
    match response.status() {
        StatusCode::FORBIDDEN => return DownloadError::Expired,
        StatusCode::BAD_REQUEST => {}
        status => return DownloadError::Status(status.as_u16()),
    }
    let mut body = Vec::new();
    let read = response
        .body_mut()
        .as_reader()
        .take(SHORT_BODY)
        .read_to_end(&mut body);
    let body = String::from_utf8_lossy(&body);
    match (read, EXPIRED.iter().any(|words| body.contains(words))) {
        (_, true) => DownloadError::Expired,
        (Ok(_), false) => DownloadError::Status(400),
        (Err(error), false) => broken(error.into()),
    }
}

/// Describes a transport error, without any address.
fn broken(error: ureq::Error) -> DownloadError {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            DownloadError::Refused("the link is not an address".into())
        }
        ureq::Error::RequireHttpsOnly(_) => {
            DownloadError::Refused("the storage redirects to a host that is not https".into())
        }
        error => DownloadError::Broken(format!("the storage: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_https_only() {
        let storage = |loopback| Storage::new("test", Duration::from_secs(1), loopback);
        assert!(storage(false).check("https://s3.example.com/a?b").is_ok());
        assert!(storage(true).check("http://127.0.0.1:9/a").is_ok());
        for (loopback, link) in [
            (false, "http://127.0.0.1:9/a"),
            (true, "http://s3.example.com/a?key=secret"),
            (true, "file:///etc/passwd"),
            (false, "nothing"),
        ] {
            match storage(loopback).check(link) {
                Err(DownloadError::Refused(problem)) => assert!(!problem.contains("secret")),
                other => panic!("{link}: {other:?}"),
            }
        }
    }
}
