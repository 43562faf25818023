//! The link to a list's next page.

use url::form_urlencoded;

/// What a link such as `/v2/conversations/…/messages?1=1&page=2&items_per_page=50&from_time=…`
/// says of the next page. Its host and path are not looked at: requests go to
/// the account's own address only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Link {
    pub page: Option<u64>,
    pub items_per_page: Option<u32>,
    pub from_time: Option<String>,
}

impl Link {
    /// Reads the query of a link.
    pub fn parse(href: &str) -> Self {
        let query = href.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let mut link = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "page" => link.page = value.parse().ok(),
                "items_per_page" => link.items_per_page = value.parse().ok(),
                "from_time" => link.from_time = Some(value.into_owned()),
                _ => {}
            }
        }
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_query_alone() {
        let full = Link {
            page: Some(2),
            items_per_page: Some(50),
            from_time: Some("2022-11-29T06:36:55.799Z".into()),
        };
        for (href, link) in [
            (
                "/v2/conversations/e0/messages?1=1&page=2&items_per_page=50\
                 &from_time=2022-11-29T06%3A36%3A55.799Z",
                full.clone(),
            ),
            (
                "https://elsewhere.example/x?from_time=2022-11-29T06:36:55.799Z\
                 &items_per_page=50&page=2#y",
                full,
            ),
            ("/v2/conversations/e0/messages", Link::default()),
            ("?page=two", Link::default()),
        ] {
            assert_eq!(Link::parse(href), link, "{href}");
        }
    }
}
