//! Tests of the permissions of the spool directory, and of `check-config` without traces.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use rustix::process::geteuid;

use crate::bridge::{APP, Setup, TOKEN};
use crate::cli::{expect, only_spool, stderr, stop};
use crate::sender::Sender;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn check_config_creates_no_file_and_no_directory() {
    let setup = Setup::new("127.0.0.1:1");
    expect(&setup.run(&["check-config", "--offline"]), 0);
    assert!(!setup.spool_dir().exists());
    let relative = setup.clone().env("BRIDGE_SPOOL_DIR", "a/b/spool");
    expect(&relative.run(&["check-config", "--offline"]), 0);
    assert!(!setup.home().join("a").exists());
    std::fs::create_dir(setup.spool_dir()).unwrap();
    expect(&setup.run(&["check-config", "--offline"]), 0);
    assert_eq!(names(&setup.spool_dir()), Vec::<String>::new());
    let below_a_file = setup.clone().env("BRIDGE_SPOOL_DIR", "/etc/hostname/spool");
    let output = below_a_file.run(&["check-config", "--offline"]);
    expect(&output, 75);
    assert!(stderr(&output).contains("/etc/hostname"), "{output:?}");

    // The shutdown has no backlog to publish.
    let setup = setup.env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0);
    let mut bridge = setup.start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
    stop(&mut bridge);
    let before = names(&setup.spool_dir());
    expect(&setup.run(&["check-config", "--offline"]), 0);
    let after = names(&setup.spool_dir());
    assert!(after.iter().all(|name| before.contains(name)), "{before:?} {after:?}");
    setup.start();
}

#[test]
fn spool_directory_and_files_are_private_to_their_owner() {
    let setup = Setup::new("127.0.0.1:1").env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0).inside(&[
        "/bin/sh",
        "-c",
        "umask 000; exec \"$0\" \"$@\"",
    ]);
    for prepared in [false, true] {
        if prepared {
            std::fs::set_permissions(setup.spool_dir(), Permissions::from_mode(0o777)).unwrap();
            for name in names(&setup.spool_dir()) {
                std::fs::set_permissions(setup.spool_dir().join(name), Permissions::from_mode(0o666)).unwrap();
            }
        }
        let mut bridge = setup.start();
        Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
        assert_eq!(mode(&setup.spool_dir()), 0o700);
        for name in names(&setup.spool_dir()) {
            assert_eq!(mode(&setup.spool_dir().join(&name)), 0o600, "{name}");
        }
        stop(&mut bridge);
    }
}

#[test]
fn a_directory_with_other_files_keeps_its_mode_with_a_warning() {
    let setup = Setup::new("127.0.0.1:1").env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0);
    std::fs::create_dir(setup.spool_dir()).unwrap();
    std::fs::write(setup.spool_dir().join("mine"), "x").unwrap();
    std::fs::set_permissions(setup.spool_dir(), Permissions::from_mode(0o1777)).unwrap();
    let bridge = setup.start();
    assert_eq!(mode(&setup.spool_dir()), 0o1777);
    assert_eq!(mode(&crate::spool::file(&setup.spool_dir())), 0o600);
    assert!(bridge.process.log_lines().iter().any(|line| line.contains("spool_directory_open_to_others")));
    let check = setup.clone().env("BRIDGE_SPOOL_DIR", setup.spool_dir().display()).run(&["check-config", "--offline"]);
    expect(&check, 0);
}

#[test]
fn the_spool_follows_no_symbolic_link() {
    for name in ["spool.lock", "spool.db", "spool.db-wal", "spool.db-shm"] {
        let setup = Setup::new("127.0.0.1:1");
        std::fs::create_dir(setup.spool_dir()).unwrap();
        let target = setup.home().join("target");
        std::fs::write(&target, "mine").unwrap();
        symlink(&target, setup.spool_dir().join(name)).unwrap();
        for args in [["serve"].as_slice(), &["check-config", "--offline"]] {
            let output = setup.run(args);
            expect(&output, 75);
            assert!(stderr(&output).contains("is a symbolic link"), "{name}: {output:?}");
        }
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");
    }
}

#[test]
fn files_created_by_root_belong_to_the_owner_of_the_directory() {
    const OWNER: u32 = 12_345;
    if !geteuid().is_root() {
        // Only root can change the owner of a directory.
        return;
    }
    let setup = Setup::new("127.0.0.1:1").env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0);
    let mut bridge = setup.start();
    stop(&mut bridge);
    let dir = setup.spool_dir();
    std::fs::remove_file(dir.join("spool.lock")).unwrap();
    for path in names(&dir).iter().map(|name| dir.join(name)).chain([dir.clone()]) {
        std::os::unix::fs::chown(path, Some(OWNER), Some(OWNER)).unwrap();
    }
    for args in [["check-config", "--offline"].as_slice(), &["spool", "status"], &["quarantine", "list"]] {
        let setup = if args[0] == "check-config" { setup.clone() } else { only_spool(&setup) };
        expect(&setup.run(args), 0);
    }
    for name in names(&dir) {
        assert_eq!(std::fs::metadata(dir.join(&name)).unwrap().uid(), OWNER, "{name}");
    }
    // The error names the owner of a file and the user of the process.
    std::os::unix::fs::chown(setup.home(), Some(OWNER), None).unwrap();
    std::os::unix::fs::chown(dir.join("spool.lock"), Some(0), Some(0)).unwrap();
    let as_owner = setup.inside(&["setpriv", "--reuid=12345", "--clear-groups", "--regid=12345"]);
    let output = as_owner.run(&["check-config", "--offline"]);
    expect(&output, 75);
    for part in ["spool.lock", "belongs to uid 0", "this process is uid 12345"] {
        assert!(stderr(&output).contains(part), "{output:?}");
    }
}
