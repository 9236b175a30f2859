//! A disk that fails below SQLite in the real process. `faulty_disk.c` is compiled here and loaded into the bridge by
//! `LD_PRELOAD`. A file that both processes map controls it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::bridge::Setup;
use crate::process::Start as _;
use crate::random::Random;

const PAGE: usize = 4096;
const DIRTY: u8 = 1;
/// The names of the two files in the spool. The disk's own files add suffixes to them.
const FILES: [&str; 2] = [crate::spool::DATABASE, crate::spool::WAL];
/// The database and its WAL, as the files of a [`Rule`].
pub const DATABASE: u64 = 1;
pub const LOG: u64 = 2;

/// A set of kinds of calls.
pub mod call {
    pub const WRITE: u64 = 1;
    pub const SYNC: u64 = 2;
    pub const TRUNCATE: u64 = 4;
    pub const OPEN: u64 = 8;
    pub const READ: u64 = 16;
}

/// The effect of a rule on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The call returns EIO. After a sync, the unsynced pages stay readable, and no later sync writes them.
    Eio = 1,
    Enospc,
    /// A write writes half of its bytes and returns that number.
    Short,
    /// A write writes half of its bytes and returns EIO.
    Torn,
    /// A sync returns EIO, and the unsynced pages are lost at once.
    Dropped,
    /// A sync returns EIO, but all pages are on the disk.
    YetThere,
    /// The call waits for the next rule, and then succeeds.
    Hang,
    /// The process gets SIGKILL before the call.
    Die,
}

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub calls: u64,
    pub files: u64,
    /// The number of calls that succeed first.
    pub skip: u64,
    /// The number of calls that fail then.
    pub times: u64,
    pub action: Action,
}

impl Rule {
    /// Returns a rule for the next such call.
    pub fn next(calls: u64, files: u64, action: Action) -> Self {
        Self { calls, files, skip: 0, times: 1, action }
    }

    /// Returns a rule for all such calls from now on.
    pub fn all(calls: u64, files: u64, action: Action) -> Self {
        Self { times: u64::MAX, ..Self::next(calls, files, action) }
    }
}

/// The words of `control`, in the order of `struct control`.
#[derive(Clone, Copy)]
enum Word {
    Rule,
    Calls,
    Files,
    Skip,
    Times,
    Action,
    Matched,
    Hits,
    Hanging,
}

/// The disk under one spool directory. It outlives the processes that use it.
pub struct FaultyDisk {
    dir: TempDir,
    control: File,
}

impl FaultyDisk {
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("faulty-disk-").unwrap();
        let mut options = OpenOptions::new();
        let control = options.read(true).write(true).create_new(true).open(dir.path().join("control")).unwrap();
        control.set_len(PAGE as u64).unwrap();
        Self { dir, control }
    }

    /// A bridge on this disk.
    pub fn under(&self, setup: Setup) -> Setup {
        setup.env("LD_PRELOAD", library().display()).env("FAULTY_DISK", self.dir.path().display())
    }

    /// Replaces the current rule.
    pub fn set(&self, rule: Rule) {
        self.heal();
        let words = [
            (Word::Files, rule.files),
            (Word::Skip, rule.skip),
            (Word::Times, rule.times),
            (Word::Action, rule.action as u64),
            (Word::Matched, 0),
            (Word::Hits, 0),
            (Word::Calls, rule.calls),
        ];
        for (word, value) in words {
            self.put(word, value);
        }
    }

    /// Ends all faults. Hanging calls continue.
    pub fn heal(&self) {
        self.put(Word::Calls, 0);
        self.put(Word::Rule, self.get(Word::Rule) + 1);
    }

    /// Returns the number of calls that have failed under the current rule.
    pub fn hits(&self) -> u64 {
        self.get(Word::Hits)
    }

    /// Returns the number of hanging calls.
    pub fn hanging(&self) -> u64 {
        self.get(Word::Hanging)
    }

    /// Simulates a power cut: keeps the synced pages, and a random part of the pages written after that. The process
    /// must have ended.
    pub fn cut_power(&self, setup: &Setup, random: &mut Random) {
        self.put(Word::Hanging, 0);
        for name in FILES {
            let path = setup.spool_dir().join(name);
            if !path.exists() {
                continue;
            }
            let shown = std::fs::read(&path).unwrap();
            let map = std::fs::read(self.dir.path().join(format!("{name}.map"))).unwrap();
            let durable = self.dir.path().join(format!("{name}.durable"));
            let file = OpenOptions::new().write(true).open(&durable).unwrap();
            for (nth, page) in shown.chunks(PAGE).enumerate() {
                if map[nth] == DIRTY && random.pick(0..2) == 0 {
                    file.write_all_at(page, (nth * PAGE) as u64).unwrap();
                }
            }
            std::fs::copy(&durable, &path).unwrap();
            std::fs::write(self.dir.path().join(format!("{name}.map")), vec![0; map.len()]).unwrap();
        }
    }

    fn get(&self, word: Word) -> u64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, word as u64 * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn put(&self, word: Word, value: u64) {
        self.control.write_all_at(&value.to_ne_bytes(), word as u64 * 8).unwrap();
    }
}

/// The library, compiled once for all tests of the process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, std::path::PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        // A static is never dropped, so its directory is not in the system's temporary directory.
        let dir = TempDir::with_prefix_in("faulty-disk-library-", env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = dir.path().join("faulty_disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bridge/faulty_disk.c");
        let output = Command::new("cc")
            .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o"])
            .args([path.as_os_str(), source.as_ref()])
            .run()
            .expect("cc, which the build of SQLite needs as well");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (dir, path)
    });
    path
}
