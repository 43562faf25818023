//! Brings the parts of a finished job to stdout.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use super::repeats::Repeats;
use super::rows::{RowError, RowWriter};
use super::schedule::Ready;
use super::unpack::BadFile;
use crate::error::{Error, Result};
use crate::extract::ids::Ids;
use crate::freshchat::reports::{Progress, look};
use crate::freshchat::{Api, DownloadError, RetryPolicy, Stop, Storage};
use crate::singer::Output;

/// How often a job is asked for fresh links in a row.
const MOST_REFRESHES: u32 = 3;

/// What a download needs, for all jobs of a run.
pub struct Downloads<'a> {
    pub storage: &'a Storage,
    pub retry: RetryPolicy,
    /// Most bytes that a file may have, and unpack to.
    pub most: u64,
    pub output: &'a Output,
    pub stop: &'a Stop,
}

impl Downloads<'_> {
    /// Writes the rows of all parts of a job, in order, and adds the
    /// conversations that they name, as far as each is wanted.
    ///
    /// # Errors
    /// [`NotWritten`]: a part can't be had or can't be read, or stdout can't be
    /// written to. Rows of the parts before are out then, and come again
    /// with the next extraction of the window.
    pub fn write_job(
        &self,
        api: &Api,
        event: &'static str,
        ready: &mut Ready,
        conversations: &Mutex<Ids>,
    ) -> std::result::Result<(), NotWritten> {
        let parts = ready.links.len();
        let mut refreshes = 0;
        let mut repeats = Repeats::default();
        // Kept until the job is done: where the rows turn out not to be in the
        // order of time, those of the parts before count again.
        let mut files = Vec::new();
        while files.len() < parts {
            let part = files.len();
            match self.fetch(event, &ready.links[part], &ready.writer)? {
                Some(mut file) => {
                    let unwritten = |error| unwritten(event, error);
                    if ready.conversations {
                        let found = conversations.lock();
                        let mut found = found.unwrap_or_else(PoisonError::into_inner);
                        let written = ready.writer.find_conversations(&mut file, &mut found);
                        written.map_err(unwritten)?;
                    }
                    files.push(file);
                    if ready.rows {
                        let written = ready.writer.write(&mut files, &mut repeats, self.output);
                        written.map_err(unwritten)?;
                    }
                    refreshes = 0;
                }
                None if refreshes < MOST_REFRESHES => {
                    refreshes += 1;
                    log::info!(
                        "report {event}: the link to part {} has expired; asking for fresh links",
                        part + 1
                    );
                    ready.links = fresh_links(api, &ready.job.id, parts)?;
                }
                None => {
                    let problem = "its links expire before they can be followed";
                    return Err(report(event, problem).into());
                }
            }
        }
        Ok(())
    }

    /// A part in a file of its own that is gone when it is closed, checked to
    /// its end; none if the link has expired.
    fn fetch(&self, event: &'static str, link: &str, writer: &RowWriter) -> Result<Option<File>> {
        let mut retries = self.retry.start();
        loop {
            let problem = match self.try_fetch(link, writer) {
                Ok(file) => return Ok(Some(file)),
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

    fn try_fetch(&self, link: &str, writer: &RowWriter) -> std::result::Result<File, Failure> {
        let local = |error: std::io::Error| Failure::Final(format!("a temporary file: {error}"));
        // It has no name: nothing is left of it, not even after a crash.
        let mut file = tempfile::tempfile().map_err(local)?;
        self.storage.download(link, self.most, &mut file)?;
        writer.check(&mut file, self.most)?;
        Ok(file)
    }
}

/// Why a job's rows aren't all out.
#[derive(Debug)]
pub enum NotWritten {
    /// The server doesn't have the job any more, in these words.
    Lost(String),
    Failed(Error),
}

impl From<Error> for NotWritten {
    fn from(error: Error) -> Self {
        NotWritten::Failed(error)
    }
}

/// Why a part isn't there.
enum Failure {
    Expired,
    /// Worth another download.
    Passing(String),
    Final(String),
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Status(403) => Failure::Expired,
            DownloadError::Status(status @ (408 | 429 | 500..=599)) => {
                Failure::Passing(format!("the storage answered {status}"))
            }
            DownloadError::Status(status) => {
                Failure::Final(format!("the storage answered {status}"))
            }
            DownloadError::Broken(problem) => Failure::Passing(problem),
            DownloadError::Refused(problem) => Failure::Final(problem),
            DownloadError::Local(error) => Failure::Final(format!("a temporary file: {error}")),
        }
    }
}

impl From<BadFile> for Failure {
    fn from(error: BadFile) -> Self {
        match error {
            BadFile::Damaged(problem) => {
                Failure::Passing(format!("the file is damaged: {problem}"))
            }
            BadFile::Unusable(problem) => Failure::Final(problem),
        }
    }
}

/// The links of a job that was done before.
fn fresh_links(api: &Api, job: &str, parts: usize) -> std::result::Result<Vec<String>, NotWritten> {
    match look(api, job) {
        Ok(Progress::Done(links)) if links.len() == parts => Ok(links),
        Ok(_) => Err(NotWritten::Lost(
            "lost its parts while they were downloaded".into(),
        )),
        Err(error) if error.status() == Some(404) => {
            Err(NotWritten::Lost("is not known any more".into()))
        }
        Err(error) => Err(error.into()),
    }
}

fn unwritten(event: &'static str, error: RowError) -> Error {
    match error {
        RowError::Run(error) => error,
        RowError::File(BadFile::Damaged(problem) | BadFile::Unusable(problem)) => {
            report(event, problem)
        }
    }
}

fn report(event: &'static str, problem: impl Into<String>) -> Error {
    Error::Report {
        event,
        problem: problem.into(),
    }
}
