//! The sandbox over its sockets, with a client of a few lines.

mod lists;
mod readings;
mod reports;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::Sandbox;

/// What came back; the body as far as it came.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    whole: bool,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One connection to one origin.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(url: &str) -> Client {
        let address = url.trim_start_matches("http://").split('/').next().unwrap();
        Client(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    /// `None` if the connection closes before any byte.
    fn send(&mut self, method: &str, target: &str, token: &str, body: &str) -> Option<Answer> {
        let authorization = match token {
            "" => String::new(),
            _ => format!("Authorization: Bearer {token}\r\n"),
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.split("Content-Length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = Vec::new();
        let _ = self.0.by_ref().take(length as u64).read_to_end(&mut body);
        Some(Answer {
            status: head[9..12].parse().unwrap(),
            whole: body.len() == length,
            head,
            body,
        })
    }
}

fn get(sandbox: &Sandbox, target: &str) -> Answer {
    let mut client = Client::new(&sandbox.api_url());
    let target = format!("/v2/{target}");
    client.send("GET", &target, sandbox.token(), "").unwrap()
}

fn sorted(mut records: Vec<Value>) -> Vec<Value> {
    records.sort_by_cached_key(Value::to_string);
    records
}
