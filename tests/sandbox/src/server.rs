//! The two listeners, and the connections that they serve from threads.

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};

use crate::account::Account;
use crate::control::{Control, InFlight, InFlightGuard, Request as Logged, Stop};
use crate::http::{self, Broken, Delivery, Request, Response};
use crate::options::Options;
use crate::{api, inspect, reports};

/// From this size on, in bytes, a body is not copied to stand behind its head.
const LARGE: usize = 1024 * 1024;

/// What exists: the switches and the data.
#[derive(Debug)]
pub struct World {
    pub options: Arc<Options>,
    pub account: Account,
}

impl World {
    /// The own time of a change that is listed now.
    pub fn moment(&mut self) -> i64 {
        let now = self.options.now();
        self.account.moment(now, &self.options.quirks.list_lag)
    }
}

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    world: RwLock<World>,
    control: Mutex<Control>,
    pub in_flight: InFlight,
    pub stop: Stop,
    pub token: String,
    pub api_port: u16,
    pub storage_port: u16,
    connections: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Which of the two servers a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Api,
    Storage,
}

impl Shared {
    /// Whoever takes both takes the world before the control.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn world_mut(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn control(&self) -> MutexGuard<'_, Control> {
        lock(&self.control)
    }

    /// Notes that the client broke a rule.
    pub fn violate(&self, rule: String) {
        self.control().violations.push(rule);
    }

    /// Stops serving, and waits for all threads.
    pub fn shut_down(&self) {
        self.stop.set();
        for port in [self.api_port, self.storage_port] {
            // Wakes the listener, which then sees that it is to stop.
            drop(TcpStream::connect(("127.0.0.1", port)));
        }
        for stream in lock(&self.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        loop {
            let threads = std::mem::take(&mut *lock(&self.threads));
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                // A panic was noted where it happened.
                let _ = thread.join();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the account and serves it. Fails if the port is taken.
pub fn start(options: Options, token: String) -> io::Result<Arc<Shared>> {
    let api = TcpListener::bind(("127.0.0.1", options.port))?;
    let storage = TcpListener::bind(("127.0.0.1", 0))?;
    let account = Account::generate(&options);
    let shared = Arc::new(Shared {
        world: RwLock::new(World {
            options: Arc::new(options),
            account,
        }),
        control: Mutex::default(),
        in_flight: InFlight::default(),
        stop: Stop::default(),
        token,
        api_port: api.local_addr()?.port(),
        storage_port: storage.local_addr()?.port(),
        connections: AtomicU64::new(0),
        open: Mutex::default(),
        threads: Mutex::default(),
    });
    for (listener, origin) in [(api, Origin::Api), (storage, Origin::Storage)] {
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || accept(&own, &listener, origin));
        lock(&shared.threads).push(thread);
    }
    Ok(shared)
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, origin: Origin) {
    for stream in listener.incoming() {
        if shared.stop.is_set() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let own = Arc::clone(shared);
        let thread = thread::spawn(move || {
            let number = own.connections.fetch_add(1, Ordering::SeqCst) + 1;
            // An error is the client's going away; a panic must not leave it waiting.
            let served =
                panic::catch_unwind(AssertUnwindSafe(|| serve(&own, stream, origin, number)));
            lock(&own.open).remove(&number);
            if served.is_err() {
                own.violate("the sandbox itself panicked".to_owned());
            }
        });
        let mut threads = lock(&shared.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
    }
}

/// Answers the requests of one connection, one after the other.
fn serve(shared: &Shared, stream: TcpStream, origin: Origin, connection: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    lock(&shared.open).insert(connection, stream.try_clone()?);
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while !shared.stop.is_set() {
        let request = match http::read_request(&mut reader) {
            Ok(request) => request,
            Err(Broken::Closed) => break,
            Err(Broken::Refused(status)) => {
                shared.violate(format!("a request that is refused with {status}"));
                let response = Response::new(status, "text/plain", "bad request");
                deliver(shared, response, &mut stream, None)?;
                break;
            }
        };
        if let Some(response) = inspect::answer(shared, &request) {
            deliver(shared, response, &mut stream, None)?;
            continue;
        }
        let guard = (origin == Origin::Api).then(|| shared.in_flight.enter());
        let response = match origin {
            Origin::Api => api::answer(shared, &request, connection),
            Origin::Storage => reports::answer_storage(shared, &request, connection),
        };
        let keep = deliver(shared, response, &mut stream, guard)?;
        if !keep || request.closes() {
            break;
        }
    }
    stream.shutdown(Shutdown::Both)
}

/// Sends a response as far as it is to go, and says whether the connection stays open. The
/// request counts as under way until just before the last byte is sent: once the client has the
/// answer, its next request must not be counted beside it.
fn deliver(
    shared: &Shared,
    response: Response,
    stream: &mut TcpStream,
    guard: Option<InFlightGuard<'_>>,
) -> io::Result<bool> {
    let mut bytes = response.head();
    let body = response.body;
    let half = body.len() / 2;
    match response.delivery {
        Delivery::Nothing => return Ok(false),
        Delivery::Half => {
            bytes.extend_from_slice(&body[..half]);
            drop(guard);
            stream.write_all(&bytes)?;
            return Ok(false);
        }
        Delivery::Pause(pause) => {
            bytes.extend_from_slice(&body[..half]);
            stream.write_all(&bytes)?;
            shared.stop.wait(pause);
            drop(guard);
            stream.write_all(&body[half..])?;
        }
        Delivery::Trickle(pause) => {
            stream.write_all(&bytes)?;
            for byte in &body {
                stream.write_all(&[*byte])?;
                shared.stop.wait(pause);
                if shared.stop.is_set() {
                    break;
                }
            }
            drop(guard);
        }
        Delivery::Whole if body.len() > LARGE => {
            stream.write_all(&bytes)?;
            drop(guard);
            stream.write_all(&body)?;
        }
        Delivery::Whole => {
            bytes.extend_from_slice(&body);
            drop(guard);
            stream.write_all(&bytes)?;
        }
    }
    Ok(true)
}

/// The log's entry of a request that just came.
pub fn log_entry(request: &Request, endpoint: &str, connection: u64) -> Logged {
    Logged {
        number: 0,
        method: request.method.clone(),
        endpoint: endpoint.to_owned(),
        path: request.path().to_owned(),
        query: request.query.clone(),
        status: 0,
        had_authorization: request.header("Authorization").is_some(),
        at: std::time::Instant::now(),
        connection,
        body: request.body.clone(),
    }
}
