//! The files of the journal: two of half the limit each. When the current one is full, it replaces the previous one.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::line::{JournalLine, decode, encode};
use crate::spool;

/// The names of a pair of files, and their limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    current: &'static str,
    previous: &'static str,
    /// Of each of the two, in bytes.
    bytes_max: u64,
}

/// The files of authentic entries.
pub(super) const AUTHENTIC: Pair =
    Pair { current: "refused.jsonl", previous: "refused.previous.jsonl", bytes_max: 8 << 20 };
/// The files of entries outside the time window.
pub(super) const OUTSIDE_WINDOW: Pair =
    Pair { current: "refused.late.jsonl", previous: "refused.late.previous.jsonl", bytes_max: 2 << 20 };

/// A pair of files, open for appending.
#[derive(Debug)]
pub(super) struct Pages {
    dir: PathBuf,
    pair: Pair,
    /// `None` before the first line, and after an error.
    file: Option<File>,
    /// The end of the last complete line.
    length: u64,
    dirty: bool,
}

impl Pages {
    pub(super) fn new(dir: &Path, pair: Pair) -> Self {
        Self { dir: dir.to_owned(), pair, file: None, length: 0, dirty: false }
    }

    /// Appends a line. `first` is the first line of a new file.
    ///
    /// # Errors
    /// The line was not written completely. The next line overwrites the part that was written.
    pub(super) fn append(&mut self, line: &JournalLine<'_>, first: &JournalLine<'_>) -> io::Result<()> {
        let bytes = encode(line)?;
        if self.open()? > 0 && self.length + bytes.len() as u64 > self.pair.bytes_max {
            self.sync()?;
            std::fs::rename(self.dir.join(self.pair.current), self.dir.join(self.pair.previous))?;
            self.file = None;
            self.open()?;
        }
        if self.length == 0 {
            self.write(&encode(first)?)?;
        }
        self.write(&bytes)
    }

    fn open(&mut self) -> io::Result<u64> {
        if self.file.is_none() {
            let file = spool::open_or_create(&self.dir, self.pair.current)?;
            self.length = file.metadata()?.len();
            let mut last = [b'\n'];
            if self.length > 0 {
                file.read_exact_at(&mut last, self.length - 1)?;
            }
            self.file = Some(file);
            // The last line of a killed process may have no end.
            if last != *b"\n" {
                self.write(b"\n")?;
            }
        }
        Ok(self.length)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &self.file else { return Err(io::ErrorKind::NotFound.into()) };
        match file.write_all_at(bytes, self.length) {
            Ok(()) => {
                self.length += bytes.len() as u64;
                self.dirty = true;
                Ok(())
            }
            Err(error) => {
                // If this fails too, the rest of the line is unreadable and counted so.
                let _ = file.set_len(self.length);
                Err(error)
            }
        }
    }

    /// Syncs the file to the disk. A file that someone removed is created again with the next line.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| self.dirty) else { return Ok(()) };
        self.dirty = false;
        let (synced, removed) = (file.sync_data(), file.metadata()?.nlink() == 0);
        if removed || synced.is_err() {
            self.file = None;
        }
        synced
    }
}

/// What a pair of files holds: the lines in order, and the number of unreadable ones.
///
/// # Errors
/// A file cannot be read.
pub(super) fn load(dir: &Path, pair: Pair, mut each: impl FnMut(JournalLine<'static>)) -> io::Result<u64> {
    let mut unreadable = 0;
    for name in [pair.previous, pair.current] {
        let Some(mut file) = spool::open_existing(dir, name)? else { continue };
        // A file over the limit is not ours. Its end is read.
        let skipped = file.metadata()?.len().saturating_sub(pair.bytes_max);
        file.seek(SeekFrom::Start(skipped))?;
        let mut bytes = Vec::new();
        file.take(pair.bytes_max).read_to_end(&mut bytes)?;
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match decode(line) {
                Some(line) => each(line),
                None => unreadable += 1,
            }
        }
    }
    Ok(unreadable)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
