//! A small file system for the spool, so that it can be filled, in a mount namespace of the run's
//! own: an ext4 in a file where that is permitted, with real syncs; a tmpfs elsewhere; and where not
//! even that is, none: then the disk is not filled.

use crate::process::Start as _;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Far above the spool's own bound.
const SIZE: &str = "640M";
/// Says to the process inside where the file system is.
const INSIDE: &str = "BRIDGE_TORTURE_DISK";
/// What it takes to enter, and to mount at `$1` a file system of `$2`; the better ones first.
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

/// The small file system, after this process was started anew with one of its own; none where
/// that is not permitted.
pub(crate) fn small_disk() -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(INSIDE) {
        return Some(PathBuf::from(disk));
    }
    // Runs at the same time each have a file system of their own there.
    let mount_point = Path::new(env!("CARGO_TARGET_TMPDIR")).join("torture-disk");
    fs::create_dir_all(&mount_point).ok()?;
    for (kind, flags, mount) in WAYS {
        let mut trial = inside(flags, mount, &mount_point);
        trial.arg("true").stdout(Stdio::null()).stderr(Stdio::null());
        if trial.exit_status().is_ok_and(|status| status.success()) {
            eprintln!("torture: the spool's disk is {kind}, {SIZE}");
            let program = std::env::current_exe().ok()?;
            let mut anew = inside(flags, mount, &mount_point);
            // Returns only where it fails.
            let error = anew.arg(program).args(std::env::args_os().skip(1)).env(INSIDE, &mount_point).exec();
            eprintln!("torture: {error}");
            return None;
        }
    }
    eprintln!("torture: no file system may be mounted here: the disk will not be full");
    None
}

/// A shell that mounts, then becomes the command whose words are added.
fn inside(flags: &[&str], mount: &str, mount_point: &Path) -> Command {
    let script = format!("{mount} && shift 2 && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(flags).args(["sh", "-c", &script, "sh"]).arg(mount_point).arg(SIZE).stdin(Stdio::null());
    command
}

/// Takes all the room that is left; dropping it gives the room back.
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    pub(crate) fn fill(disk: &Path) -> Self {
        let ballast = Self(disk.join("ballast"));
        let mut file = File::create(&ballast.0).expect("a file on the small disk");
        // Room is taken without writing it, in ever smaller pieces; what is left then, by writing.
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

/// Gives a file so much more room, or not.
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
