//! The base address of an account.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// The domains of Freshchat accounts. The token is sent to no other.
const DOMAINS: [&str; 2] = ["freshchat.com", "myfreshworks.com"];

/// The maximum length of a label in a host name (RFC 1035).
const LONGEST_LABEL: usize = 63;

/// The path of version 2 of the API.
const VERSION_PATH: &str = "/v2";

/// A base address such as `https://acme.freshchat.com/v2`, without a trailing
/// slash.
#[derive(Debug, Clone, PartialEq)]
pub struct Address(Url);

impl Address {
    /// Reads the `domain` setting: `acme`, a host name, or an https address.
    ///
    /// # Errors
    /// What is wrong with the text. The text itself isn't quoted, because it
    /// may be a secret that was set here by mistake.
    pub fn from_domain(domain: &str) -> Result<Self, String> {
        let domain = domain.trim();
        let rest = match domain.split_once("://") {
            Some(("https", rest)) => rest,
            Some(_) => return Err("is an address, but not of https".into()),
            None => domain,
        };
        let host = rest.trim_end_matches('/').trim_end_matches(VERSION_PATH);
        let host = if host.contains('.') {
            host.to_ascii_lowercase()
        } else {
            format!("{}.{}", host.to_ascii_lowercase(), DOMAINS[0])
        };
        let known = DOMAINS.iter().any(|domain| {
            host.strip_suffix(domain)
                .and_then(|account| account.strip_suffix('.'))
                .is_some_and(is_account_name)
        });
        if !known {
            return Err(format!(
                "is not a Freshchat host: it is the account's name, or a host under {} or {}",
                DOMAINS[0], DOMAINS[1]
            ));
        }
        let url = Url::parse(&format!("https://{host}{VERSION_PATH}"));
        url.map(Self).map_err(|error| format!("is wrong: {error}"))
    }

    /// Reads the `api_url` setting: any https address, or http on loopback.
    ///
    /// # Errors
    /// What is wrong with the text, also without quoting it.
    pub fn from_url(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim().trim_end_matches('/'))
            .map_err(|error| format!("is not an address: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user name or password".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must end with its path, without a query or fragment".into());
        }
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            _ => Err("is neither https, nor http on a loopback address".into()),
        }
    }

    /// The host, with the port unless it is the default of the scheme.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Whether requests stay on this machine, so that no proxy should be used.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// The address of an endpoint. `path` is relative to the base, without a
    /// leading slash, and with encoded segments.
    pub fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.0.as_str().trim_end_matches('/'))
    }

    /// The path of an endpoint, for messages. A proxy's path before the API
    /// version is left out, because it may be a key.
    pub fn path_of(&self, path: &str) -> String {
        match self.0.path().trim_end_matches('/').ends_with(VERSION_PATH) {
            true => format!("{VERSION_PATH}/{path}"),
            false => format!("/{path}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Allows only labels of letters, digits and hyphens. Other characters (`@`,
/// `/`, `?`, `#`, `\`, `:`) could change the host.
fn is_account_name(name: &str) -> bool {
    name.split('.').all(|label| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Whether the host is a loopback address or `localhost`.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_domain() {
        for (domain, expected) in [
            ("acme", "https://acme.freshchat.com/v2"),
            ("Acme.freshchat.com", "https://acme.freshchat.com/v2"),
            (
                "https://x.myfreshworks.com",
                "https://x.myfreshworks.com/v2",
            ),
            (
                "https://x.myfreshworks.com/v2/",
                "https://x.myfreshworks.com/v2",
            ),
            ("api.eu.freshchat.com", "https://api.eu.freshchat.com/v2"),
            (
                "org-123456789012345678-abc",
                "https://org-123456789012345678-abc.freshchat.com/v2",
            ),
        ] {
            let address = Address::from_domain(domain).unwrap();
            assert_eq!(address.to_string(), expected, "{domain}");
        }
    }

    #[test]
    fn refuses_hosts_that_are_not_freshchat() {
        for domain in [
            "evil.com",
            "freshchat.com.evil.com",
            "evil.com/.freshchat.com",
            "acme@evil.com#.freshchat.com",
            "evilfreshchat.com",
            ".freshchat.com",
            "acme.freshchat.com:8080",
            "http://acme.freshchat.com",
            "acme.freshchat.com/crm",
            "a me",
            "",
            &"a".repeat(64),
        ] {
            assert!(Address::from_domain(domain).is_err(), "{domain}");
        }
    }

    #[test]
    fn a_path_in_a_message_shows_no_key_of_a_proxy() {
        for (url, path) in [
            ("https://host/v2", "/v2/users"),
            ("https://host/key/v2/", "/v2/users"),
            ("https://host/key", "/users"),
        ] {
            assert_eq!(Address::from_url(url).unwrap().path_of("users"), path);
        }
    }

    #[test]
    fn allows_plain_http_on_loopback_only() {
        for url in [
            "http://127.0.0.1:80/v2",
            "http://localhost:1/v2",
            "http://[::1]:9/v2",
        ] {
            assert!(Address::from_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://127.0.0.1.evil.com/v2",
            "http://10.0.0.1/v2",
            "ftp://127.0.0.1/v2",
            "https://user:pass@host/v2",
            "https://host/v2?x=1",
            "acme",
        ] {
            assert!(Address::from_url(url).is_err(), "{url}");
        }
    }
}
