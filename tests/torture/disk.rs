//! A small file system for the spool, so that it can be filled: a tmpfs in a mount namespace of the
//! run's own. It takes rights that not every machine gives; without them the spool lies in the run's
//! directory, and the disk is not filled.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Far above the spool's own bound.
const SIZE: &str = "512m";
/// Says to the process inside where the file system is.
const INSIDE: &str = "BRIDGE_TORTURE_DISK";
/// Mounts, then becomes the command behind it.
const SCRIPT: &str = r#"mount -t tmpfs -o size="$1" torture "$2" && shift 2 && exec "$@""#;

/// The small file system, after this process was started anew with one of its own; none where
/// that is not permitted.
pub(crate) fn small_disk() -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(INSIDE) {
        return Some(PathBuf::from(disk)).filter(|disk| !disk.as_os_str().is_empty());
    }
    // Runs at the same time each have a file system of their own there.
    let mount_point = Path::new(env!("CARGO_TARGET_TMPDIR")).join("torture-disk");
    fs::create_dir_all(&mount_point).ok()?;
    // Root needs no namespace of users; others get one in which they may mount.
    for flags in [&["--mount"][..], &["--mount", "--user", "--map-root-user"]] {
        if inside(flags, &mount_point, Path::new("true")).status().is_ok_and(|status| status.success()) {
            let program = std::env::current_exe().ok()?;
            // Returns only where it fails.
            let error = inside(flags, &mount_point, &program)
                .args(std::env::args_os().skip(1))
                .env(INSIDE, &mount_point)
                .exec();
            eprintln!("torture: no mount namespace: {error}");
            return None;
        }
    }
    None
}

fn inside(flags: &[&str], mount_point: &Path, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(flags).args(["sh", "-c", SCRIPT, "sh", SIZE]).arg(mount_point).arg(program).stdin(Stdio::null());
    if program == Path::new("true") {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    command
}

/// Takes all the room that is left; dropping it gives the room back.
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    pub(crate) fn fill(disk: &Path) -> Self {
        let ballast = Self(disk.join("ballast"));
        let mut file = File::create(&ballast.0).expect("a file on the small disk");
        let mut piece = vec![0_u8; 1 << 20];
        // Ever smaller pieces, until not even a page fits.
        while piece.len() >= 4096 {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
        ballast
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("the ballast is there");
    }
}
