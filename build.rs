//! Tells the crate which commit it is built from, see `src/version.rs`. Never fails: without
//! knowledge there is no commit.

use std::path::Path;
use std::process::Command;

/// For builds without a repository at hand, as in an image or from a tarball.
const GIVEN: &str = "RECALL_BRIDGE_COMMIT";
/// Cargo puts it into a package of the source.
const PACKAGED: &str = ".cargo_vcs_info.json";
const LENGTH: usize = 12;

fn main() {
    println!("cargo::rerun-if-env-changed={GIVEN}");
    println!("cargo::rerun-if-changed=build.rs");
    let given = std::env::var(GIVEN).ok();
    let commit = given.as_deref().and_then(hash).or_else(from_git).or_else(from_package);
    let release = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let full = commit.as_ref().map_or_else(|| release.clone(), |commit| format!("{release} ({commit})"));
    println!("cargo::rustc-env=RECALL_BRIDGE_BUILT_FROM={}", commit.unwrap_or_default());
    println!("cargo::rustc-env=RECALL_BRIDGE_VERSION={full}");
}

/// What HEAD is, where this directory is the top of a repository: one around it is another project.
fn from_git() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    // What changes when HEAD moves: itself, the branch that it names, or the file of packed refs.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in [Some("HEAD"), branch.as_deref(), Some("packed-refs")].into_iter().flatten() {
        let path = git(&["rev-parse", "--git-path", name]);
        // One that is not there would count as changed each time.
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    hash(&git(&["rev-parse", "HEAD"])?)
}

fn from_package() -> Option<String> {
    let text = std::fs::read_to_string(PACKAGED).ok()?;
    hash(text.split("\"sha1\"").nth(1)?.split('"').nth(1)?)
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The beginning of a commit's hash; none for a word such as "unknown".
fn hash(text: &str) -> Option<String> {
    let is_hash = text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.chars().take(LENGTH).collect())
}
