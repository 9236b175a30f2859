//! A disk that fails below SQLite, in the real process: `faulty_disk.c`, compiled here, loaded into the
//! bridge by `LD_PRELOAD`, and told what to do through a file that both have open.

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
/// What the two files are called, in the spool and before the suffixes of the disk's own files.
const FILES: [&str; 2] = [crate::spool::DATABASE, crate::spool::WAL];
/// The database, and its log, as the files of a [`Rule`].
pub const DATABASE: u64 = 1;
pub const LOG: u64 = 2;

/// Kinds of calls, a set.
pub mod call {
    pub const WRITE: u64 = 1;
    pub const SYNC: u64 = 2;
    pub const TRUNCATE: u64 = 4;
    pub const OPEN: u64 = 8;
    pub const READ: u64 = 16;
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// EIO. Of a sync: what was to be synced stays readable, and no later sync writes it.
    Eio = 1,
    Enospc,
    /// Of a write: half of it, and says so.
    Short,
    /// Of a write: half of it, and EIO.
    Torn,
    /// Of a sync: EIO, and what was to be synced is gone at once.
    Dropped,
    /// Of a sync: EIO, and all of it is on the disk.
    YetThere,
    /// Waits for the next rule, and succeeds then.
    Hang,
    /// SIGKILL before the call.
    Die,
}

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub calls: u64,
    pub files: u64,
    /// So many of them pass first.
    pub skip: u64,
    /// So many fail then.
    pub times: u64,
    pub action: Action,
}

impl Rule {
    /// The next such call.
    pub fn next(calls: u64, files: u64, action: Action) -> Self {
        Self { calls, files, skip: 0, times: 1, action }
    }

    /// All such calls from now on.
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

/// The disk under one spool directory; outlives the processes on it.
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

    /// From now on this rule, in the place of the one before.
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

    /// From now on nothing fails; what hangs goes on.
    pub fn heal(&self) {
        self.put(Word::Calls, 0);
        self.put(Word::Rule, self.get(Word::Rule) + 1);
    }

    /// So many calls have failed under the present rule.
    pub fn hits(&self) -> u64 {
        self.get(Word::Hits)
    }

    /// So many calls hang.
    pub fn hanging(&self) -> u64 {
        self.get(Word::Hanging)
    }

    /// Leaves on the disk what was synced, and of what was written since then some pages, as chance
    /// has it. The process has to be dead.
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
        // Never dropped, as a static is not: so not in the machine's own directory of temporary files.
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
