//! Downloads the parts of a finished job, and writes their rows to stdout.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use super::filter::Filter;
use super::identity::Stamp;
use super::job_rows::JobRows;
use super::report::Ready;
use super::rows::{Bounds, RowError, RowWriter};
use super::unpack::BadFile;
use crate::error::{Error, Result};
use crate::extract::counted::counted;
use crate::extract::ids::Ids;
use crate::extract::window::Window;
use crate::freshchat::reports::{JobProgress, ReportPart, look};
use crate::freshchat::{Api, DownloadError, RetryPolicy, Stop, Storage};
use crate::singer::Output;

/// How many times in a row a job is polled for fresh links.
const MOST_REFRESHES: u32 = 3;

/// What a download needs, for all jobs of a run.
pub struct Downloads<'a> {
    pub storage: &'a Storage,
    pub retry: RetryPolicy,
    /// The maximum size of a file in bytes, packed and unpacked.
    pub most: u64,
    pub output: &'a Output,
    pub stop: &'a Stop,
}

impl Downloads<'_> {
    /// Writes the rows of all parts of a job, in order, and collects the
    /// conversations that they name, if wanted.
    ///
    /// # Errors
    /// [`NotWritten`] if a part can't be downloaded or read, or if stdout can't
    /// be written to. The rows of earlier parts are already written then, and
    /// are repeated when the window is extracted again.
    pub fn write_job(
        &self,
        api: &Api,
        event: &'static str,
        ready: &mut Ready,
        conversations: &Mutex<Ids>,
    ) -> std::result::Result<(), NotWritten> {
        let window = ready.job.window();
        let parts = ready.parts.len();
        let mut refreshes = 0;
        let mut rows = JobRows::new(window, parts);
        let mut next = 0;
        while next < parts {
            let unwritten = |error| unwritten(event, error);
            ready.writer.begin_part(&mut rows).map_err(unwritten)?;
            let part = &ready.parts[next];
            let Some((mut file, again)) = self.fetch(event, &part.link, &ready.writer, &rows)?
            else {
                if refreshes == MOST_REFRESHES {
                    let problem = "its links expire before they can be used";
                    return Err(report(event, problem).into());
                }
                refreshes += 1;
                log::info!(
                    "report {event}: the link to part {} has expired; requesting fresh links",
                    next + 1
                );
                ready.parts = fresh_links(api, &ready.job.id, parts)?;
                continue;
            };
            if ready.conversations {
                let found = conversations.lock();
                let mut found = found.unwrap_or_else(PoisonError::into_inner);
                let written = ready.writer.find_conversations(&mut file, &mut found);
                written.map_err(unwritten)?;
            }
            if ready.rows {
                let bounds = bounds(window, &ready.parts, next);
                let written = ready
                    .writer
                    .write(&mut file, again, &bounds, &mut rows, self.output);
                written.map_err(unwritten)?;
            }
            refreshes = 0;
            next += 1;
        }
        if ready.rows && parts > 1 && ready.writer.sums_over_period() {
            log::warn!(
                "report {event}: job {} has {parts} parts, and each may have a row for the same \
                 agent and period; add up such rows",
                ready.job.id
            );
        }
        if rows.outside > 0 {
            log::warn!(
                "report {event}: job {} has {} outside the time of the file; these are written, \
                 and may be in the target twice",
                ready.job.id,
                counted(rows.outside, "row")
            );
        }
        Ok(())
    }

    /// Downloads a part into a temporary file and checks it completely. `None`
    /// if the link has expired.
    fn fetch(
        &self,
        event: &'static str,
        link: &str,
        writer: &RowWriter,
        rows: &JobRows,
    ) -> Result<Option<Fetched>> {
        let mut retries = self.retry.start();
        loop {
            let problem = match self.try_fetch(link, writer, rows) {
                Ok(fetched) => return Ok(Some(fetched)),
                Err(Failure::Expired) => return Ok(None),
                Err(Failure::Final(problem)) => return Err(report(event, problem)),
                Err(Failure::Passing(problem)) => problem,
            };
            let Some(wait) = retries.next() else {
                return Err(report(event, problem));
            };
            log::info!(
                "report {event}: {problem}; downloading it again in {:.1} s",
                wait.as_secs_f64()
            );
            self.stop.sleep(wait)?;
        }
    }

    fn try_fetch(
        &self,
        link: &str,
        writer: &RowWriter,
        rows: &JobRows,
    ) -> std::result::Result<Fetched, Failure> {
        // The file has no name, so nothing is left behind, even after a crash.
        let mut file = tempfile::tempfile().map_err(DownloadError::Local)?;
        self.storage.download(link, self.most, &mut file)?;
        let again = writer.check(&mut file, self.most, rows)?;
        Ok((file, again))
    }
}

/// A file, and a filter for the rows that may share their identity, if the file
/// is out of order.
type Fetched = (File, Option<Filter>);

/// The time of a part, or that of its job if the API doesn't give one.
fn bounds(job: Window, parts: &[ReportPart], at: usize) -> Bounds {
    let part = &parts[at];
    let to = part.to.unwrap_or(job.to);
    Bounds {
        from: Stamp::at(part.from.unwrap_or(job.from)),
        to: Stamp::at(to),
        is_followed: parts.iter().any(|other| other.from == Some(to)),
    }
}

/// Why not all rows of a job were written.
#[derive(Debug)]
pub enum NotWritten {
    /// The server no longer has the job. The text says why.
    Lost(String),
    /// The job isn't done after all.
    Pending,
    Failed(Error),
}

impl From<Error> for NotWritten {
    fn from(error: Error) -> Self {
        NotWritten::Failed(error)
    }
}

/// Why a part is missing.
enum Failure {
    Expired,
    /// Another download may succeed.
    Passing(String),
    Final(String),
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Expired => Failure::Expired,
            DownloadError::Status(status @ (408 | 429 | 500..=599)) => {
                Failure::Passing(format!("the storage answered {status}"))
            }
            DownloadError::Status(status) => {
                Failure::Final(format!("the storage answered {status}"))
            }
            DownloadError::Broken(problem) => Failure::Passing(problem),
            DownloadError::Refused(problem) => Failure::Final(problem),
            DownloadError::Local(error) => Failure::Final(local(&error)),
        }
    }
}

impl From<BadFile> for Failure {
    fn from(error: BadFile) -> Self {
        match error {
            BadFile::Damaged(problem) => {
                Failure::Passing(format!("the file is damaged: {problem}"))
            }
            BadFile::Foreign(problem) => Failure::Passing(problem),
            BadFile::Unusable(problem) => Failure::Final(problem),
        }
    }
}

/// Gets fresh links to the parts of a job that was already done.
fn fresh_links(
    api: &Api,
    job: &str,
    parts: usize,
) -> std::result::Result<Vec<ReportPart>, NotWritten> {
    match look(api, job) {
        Ok(JobProgress::Done(links)) if links.len() == parts => Ok(links),
        Ok(JobProgress::Pending) => Err(NotWritten::Pending),
        Ok(_) => Err(NotWritten::Lost(
            "lost its parts while they were downloaded".into(),
        )),
        Err(error) if error.status() == Some(404) => {
            Err(NotWritten::Lost("is no longer known".into()))
        }
        Err(error) => Err(error.into()),
    }
}

fn unwritten(event: &'static str, error: RowError) -> Error {
    match error {
        RowError::Run(error) => error,
        RowError::Local(error) => report(event, local(&error)),
        RowError::File(
            BadFile::Damaged(problem) | BadFile::Foreign(problem) | BadFile::Unusable(problem),
        ) => report(event, problem),
    }
}

fn local(error: &std::io::Error) -> String {
    format!("temporary file: {error}")
}

fn report(event: &'static str, problem: impl Into<String>) -> Error {
    Error::Report {
        event,
        problem: problem.into(),
    }
}
