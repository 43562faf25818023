//! Brings the parts of a finished job to stdout.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::thread::sleep;

use super::rows::{RowError, RowWriter};
use super::unpack::{BadFile, verify};
use crate::error::{Error, Result};
use crate::freshchat::reports::{Progress, look};
use crate::freshchat::{Api, DownloadError, RetryPolicy, Storage};
use crate::singer::Output;

/// How often a job is asked for fresh links in a row.
const MOST_REFRESHES: u32 = 3;

/// What a download needs, for all jobs of a run.
pub struct Downloads<'a> {
    pub storage: &'a Storage,
    pub retry: RetryPolicy,
    /// Most bytes that a file may unpack to.
    pub most: u64,
    pub output: &'a Output,
}

impl Downloads<'_> {
    /// Writes the rows of all parts, in order.
    ///
    /// # Errors
    /// [`Error::Report`] where a part can't be had or can't be read, or an
    /// error of stdout. Rows of the parts before are out then, and come again
    /// with the next extraction of the window.
    pub fn write_job(
        &self,
        api: &Api,
        job: &str,
        event: &'static str,
        mut links: Vec<String>,
        writer: &mut RowWriter,
    ) -> Result<()> {
        let parts = links.len();
        let mut refreshes = 0;
        let mut part = 0;
        while part < parts {
            match self.fetch(event, &links[part], writer)? {
                Some((mut file, ordered)) => {
                    self.write_part(event, &mut file, ordered, writer)?;
                    part += 1;
                    refreshes = 0;
                }
                None if refreshes < MOST_REFRESHES => {
                    refreshes += 1;
                    log::info!(
                        "report {event}: the link to part {} has expired; asking for fresh links",
                        part + 1
                    );
                    links = fresh_links(api, job, event, parts)?;
                }
                None => {
                    return Err(report(
                        event,
                        "its links expire before they can be followed",
                    ));
                }
            }
        }
        Ok(())
    }

    /// A part in a file of its own that is gone when it is closed, checked to
    /// its end; none if the link has expired.
    fn fetch(
        &self,
        event: &'static str,
        link: &str,
        writer: &RowWriter,
    ) -> Result<Option<(File, bool)>> {
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
            sleep(wait);
        }
    }

    fn try_fetch(
        &self,
        link: &str,
        writer: &RowWriter,
    ) -> std::result::Result<(File, bool), Failure> {
        let local = |error: std::io::Error| Failure::Final(format!("a temporary file: {error}"));
        // It has no name: nothing is left of it, not even after a crash.
        let mut file = tempfile::tempfile().map_err(local)?;
        self.storage.download(link, &mut file)?;
        file.seek(SeekFrom::Start(0)).map_err(local)?;
        verify(&mut file, self.most)?;
        let ordered = writer.check(&mut file)?;
        Ok((file, ordered))
    }

    fn write_part(
        &self,
        event: &'static str,
        file: &mut File,
        ordered: bool,
        writer: &mut RowWriter,
    ) -> Result<()> {
        match writer.write(file, ordered, self.output) {
            Ok(()) => Ok(()),
            Err(RowError::Run(error)) => Err(error),
            Err(RowError::File(BadFile::Damaged(problem) | BadFile::Unusable(problem))) => {
                Err(report(event, problem))
            }
        }
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

fn fresh_links(api: &Api, job: &str, event: &'static str, parts: usize) -> Result<Vec<String>> {
    match look(api, job)? {
        Progress::Done(links) if links.len() == parts => Ok(links),
        _ => Err(report(
            event,
            "the job lost its parts while they were downloaded",
        )),
    }
}

fn report(event: &'static str, problem: impl Into<String>) -> Error {
    Error::Report {
        event,
        problem: problem.into(),
    }
}
