//! A file system for one bridge, in a mount namespace that ends with its process.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::bridge::{Bridge, Setup};
use crate::process::Start as _;

/// How `unshare` makes a namespace here in which a file system can be mounted: root may do it as such,
/// others as root of a user namespace. Panics where neither is permitted: what is tested in one is not
/// tested otherwise.
fn unshare() -> &'static str {
    static FLAGS: OnceLock<&str> = OnceLock::new();
    FLAGS.get_or_init(|| {
        let mut failures = Vec::new();
        for flags in ["-m", "-rm"] {
            let output = Command::new("unshare").args([flags, "mount", "-t", "tmpfs", "probe", "/mnt"]).run();
            match output {
                Ok(output) if output.status.success() => return flags,
                Ok(output) => {
                    failures.push(format!("unshare {flags}: {}", String::from_utf8_lossy(&output.stderr).trim()));
                }
                Err(error) => failures.push(format!("unshare {flags}: {error}")),
            }
        }
        panic!(
            "this test mounts a small file system in a namespace of its own, and that is not permitted here:\n  {}\n\
             Run it as root with CAP_SYS_ADMIN, or allow user namespaces (sysctl user.max_user_namespaces, \
             kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns); in a container: \
             --privileged, or --cap-add SYS_ADMIN with seccomp and AppArmor unconfined",
            failures.join("\n  ")
        )
    })
}

fn inside(setup: Setup, script: &str) -> Setup {
    let script = format!("set -e; {script}; exec \"$@\"");
    std::fs::create_dir_all(setup.spool_dir()).unwrap();
    let dir = setup.spool_dir().display().to_string();
    setup.inside(&["unshare", unshare(), "sh", "-c", &script.replace("DIR", &format!("'{dir}'")), "sh"])
}

/// With a file system of this size as the spool directory.
pub fn small_disk(setup: Setup, bytes: u64) -> Setup {
    inside(setup, &format!("mount -t tmpfs -o size={bytes} spool DIR"))
}

/// With what the spool directory holds on a file system that is mounted read-only.
pub fn read_only_disk(setup: Setup) -> Setup {
    let fill = "copy=$(mktemp -d) && cp -a DIR/. $copy && mount -t tmpfs spool DIR && cp -a $copy/. DIR && rm -r $copy";
    inside(setup, &format!("{fill} && mount -o remount,ro DIR"))
}

/// The spool directory as the running bridge sees it.
pub fn seen_by(bridge: &Bridge) -> PathBuf {
    let dir = bridge.setup().spool_dir();
    format!("/proc/{}/root{}", bridge.process.pid(), dir.display()).into()
}
