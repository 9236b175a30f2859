//! Passes the commit to the crate, see `src/version.rs`. Never fails: if the commit is unknown, it is empty.

use std::path::Path;
use std::process::Command;

/// For builds without a repository, as in an image or from a tarball.
const GIVEN: &str = "RECALL_BRIDGE_COMMIT";
/// Cargo adds this file to a package of the source.
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

/// Returns the commit of HEAD, if this directory is the top of a repository. A repository around it is another project.
fn from_git() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    // The files that change when HEAD moves: HEAD itself, its branch, or the packed refs.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in [Some("HEAD"), branch.as_deref(), Some("packed-refs")].into_iter().flatten() {
        let path = git(&["rev-parse", "--git-path", name]);
        // A missing file would count as changed each time.
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
    #[expect(clippy::disallowed_methods, reason = "a build script has no port")]
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// Returns the start of a commit's hash; `None` for a word such as "unknown".
fn hash(text: &str) -> Option<String> {
    let is_hash = text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.chars().take(LENGTH).collect())
}
