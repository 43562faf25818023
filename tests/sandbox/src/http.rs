//! HTTP/1.1 as far as one kind of client needs it: requests in, responses out.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The longest request line with all headers, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;
/// The longest body, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Decoded, one entry per segment, so that a `/` inside of an id stays in it.
    pub segments: Vec<String>,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    /// The value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The page that is asked for, if one is.
    pub fn page(&self) -> Option<usize> {
        let found = self.query.iter().find(|(name, _)| name == "page");
        found?.1.parse().ok()
    }

    /// Whether the client wants the connection closed after the answer.
    pub fn closes(&self) -> bool {
        self.header("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Why no request came.
#[derive(Debug)]
pub enum Broken {
    /// The client is gone, or the sandbox stops.
    Closed,
    /// It is no HTTP, or past a limit: answer with this status and close.
    Refused(u16),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Broken {
        Broken::Closed
    }
}

/// Reads the next request of a connection.
pub fn read_request(reader: &mut BufReader<TcpStream>) -> Result<Request, Broken> {
    let mut room = HEAD_LIMIT;
    let first = read_line(reader, &mut room)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Broken::Refused(400));
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader, &mut room)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(Broken::Refused(400))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        segments: path
            .split('/')
            .skip(1)
            .map(|part| decode(part, false))
            .collect(),
        query: parse_query(query),
        headers,
        body: String::new(),
    };
    request.body = read_body(reader, &request)?;
    Ok(request)
}

fn read_line(reader: &mut BufReader<TcpStream>, room: &mut usize) -> Result<String, Broken> {
    let mut line = Vec::new();
    let read = reader
        .by_ref()
        .take(*room as u64)
        .read_until(b'\n', &mut line)?;
    if read == 0 && *room > 0 {
        return Err(Broken::Closed);
    }
    *room -= read;
    if line.pop() != Some(b'\n') {
        return Err(Broken::Refused(431));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| Broken::Refused(400))
}

fn read_body(reader: &mut BufReader<TcpStream>, request: &Request) -> Result<String, Broken> {
    if request.header("Transfer-Encoding").is_some() {
        return Err(Broken::Refused(411));
    }
    let length = match request.header("Content-Length") {
        Some(text) => text.parse().map_err(|_| Broken::Refused(400))?,
        None => 0,
    };
    if length > BODY_LIMIT {
        return Err(Broken::Refused(413));
    }
    if request
        .header("Expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    {
        reader
            .get_mut()
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    String::from_utf8(body).map_err(|_| Broken::Refused(400))
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

fn decode(text: &str, plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let code = tail
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            (b'+', _) if plus_is_space => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Percent-encodes a query name or value.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// How much of a response reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    /// Nothing; the connection closes.
    Nothing,
    /// Half of the body, then the connection closes.
    Half,
    /// Half of the body, silence, then the rest.
    Pause(Duration),
    /// The body byte by byte, with this pause after each.
    Trickle(Duration),
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub delivery: Delivery,
}

impl Response {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        Response {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
            delivery: Delivery::Whole,
        }
    }

    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response::new(status, "application/json;charset=UTF-8", body)
    }

    /// Adds a header, unless there is one of this name.
    pub fn add_header(&mut self, name: &str, value: impl ToString) {
        let mut own = self.headers.iter();
        if !own.any(|(own, _)| own.eq_ignore_ascii_case(name)) {
            self.headers.push((name.to_owned(), value.to_string()));
        }
    }

    /// The status line and the headers, with the length of the body.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_and_encoded() {
        let query = parse_query("1=1&from_time=2022-01-01T00%3A00%3A00Z&a+b=%C3%A9%&flag");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            pair("1", "1"),
            pair("from_time", "2022-01-01T00:00:00Z"),
            pair("a b", "é%"),
            pair("flag", ""),
        ];
        assert_eq!(query, expected);
        assert_eq!(decode(&encode("a b+é/%"), true), "a b+é/%");
    }
}
