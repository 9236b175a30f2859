//! A small file system for the spool that the run can fill, in the run's own mount namespace: ext4 in a file with real
//! syncs, if the system permits it; otherwise a tmpfs. If the system permits neither, the run does not fill the disk.

use crate::process::Start as _;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Far above the limit of the spool.
const SIZE: &str = "640M";
/// Passes the path of the file system to the restarted process.
const INSIDE: &str = "BRIDGE_TORTURE_DISK";
/// The ways to enter a namespace and to mount a file system of `$2` bytes at `$1`; the preferred ones first.
const WAYS: [(&str, &[&str], &str); 3] = [
    (
        "ext4",
        &["--mount"],
        r#"image=$(mktemp -p "${1%/*}") && truncate -s "$2" "$image" && mkfs.ext4 -q "$image" &&
           mount -o loop "$image" "$1"; code=$?; rm -f "$image"; [ $code = 0 ]"#,
    ),
    ("tmpfs", &["--mount"], r#"mount -t tmpfs -o size="$2" torture "$1""#),
    ("tmpfs", &["--mount", "--user", "--map-root-user"], r#"mount -t tmpfs -o size="$2" torture "$1""#),
];

/// Restarts this process with a small file system of its own and returns its path, or `None` if the system does not
/// permit the mount.
pub(crate) fn small_disk() -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(INSIDE) {
        return Some(PathBuf::from(disk));
    }
    // Each run mounts its own file system here, also when several runs exist at the same time.
    let mount_point = Path::new(env!("CARGO_TARGET_TMPDIR")).join("torture-disk");
    fs::create_dir_all(&mount_point).ok()?;
    for (kind, flags, mount) in WAYS {
        let mut trial = inside(flags, mount, &mount_point);
        trial.arg("true").stdout(Stdio::null()).stderr(Stdio::null());
        if trial.exit_status().is_ok_and(|status| status.success()) {
            eprintln!("torture: the spool's disk is {kind}, {SIZE}");
            let program = std::env::current_exe().ok()?;
            let mut command = inside(flags, mount, &mount_point);
            // `exec` returns only if it fails.
            let error = command.arg(program).args(std::env::args_os().skip(1)).env(INSIDE, &mount_point).exec();
            eprintln!("torture: {error}");
            return None;
        }
    }
    eprintln!("torture: no file system may be mounted here: the disk will not be full");
    None
}

/// Returns a shell command that mounts the file system and then executes the words that the caller appends.
fn inside(flags: &[&str], mount: &str, mount_point: &Path) -> Command {
    let script = format!("{mount} && shift 2 && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(flags).args(["sh", "-c", &script, "sh"]).arg(mount_point).arg(SIZE).stdin(Stdio::null());
    command
}

/// Fills the disk. Dropping the value frees the space.
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    pub(crate) fn fill(disk: &Path) -> Self {
        let ballast = Self(disk.join("ballast"));
        let mut file = File::create(&ballast.0).expect("a file on the small disk");
        // Allocates space without writing, in smaller and smaller pieces, and fills the rest by writing.
        let (mut offset, mut piece) = (0_u64, 256_u64 << 20);
        while piece >= 1 << 16 {
            if allocate(&ballast.0, offset, piece) {
                offset += piece;
            } else {
                piece /= 2;
            }
        }
        file.seek(SeekFrom::End(0)).expect("an end of the file");
        while file.write_all(&[0; 512]).is_ok() {}
        ballast
    }
}

/// Allocates `length` bytes for a file. Returns whether the disk had the space.
fn allocate(file: &Path, offset: u64, length: u64) -> bool {
    let mut fallocate = Command::new("fallocate");
    fallocate.args(["-o", &offset.to_string(), "-l", &length.to_string()]).arg(file);
    fallocate.stderr(Stdio::null()).exit_status().expect("fallocate starts (Debian package util-linux)").success()
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("the ballast is there");
    }
}
