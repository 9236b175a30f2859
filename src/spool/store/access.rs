//! Ownership and permissions of the spool directory.
//!
//! The rule: the directory has mode 0700 and every file 0600, independent of the umask and of earlier releases.
//! Symbolic links in the directory are not followed. Files that a command creates as root get the owner of the
//! directory, so that the service can use them. A directory of another user is used (a Kubernetes volume belongs to
//! root), with a warning if users other than its owner and root may write to it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Prefixes of the spool's file names, including those of later releases.
const OURS: [&str; 4] = ["spool.", "control.", "refused.", "history."];
/// Names that a file system or the check of another process may create.
const NEUTRAL: [&str; 2] = ["lost+found", CHECK];
const CHECK: &str = ".check-";
/// Maximum number of names that are read. A spool has far fewer.
const MOST_NAMES: usize = 10_000;
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const ROOT: u32 = 0;

/// Creates the directory with mode 0700, and missing parent directories with default permissions.
pub(in crate::spool) fn create(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(DIRECTORY_MODE).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        created => created,
    }
}

/// Checks the directory and its files, and removes the permissions of other users where this process is the owner.
/// Returns warnings about permissions that it cannot change.
///
/// # Errors
/// A name in the directory is a symbolic link, or this process may not use it.
pub(in crate::spool) fn secure(dir: &Path) -> io::Result<Vec<String>> {
    let warnings = look(dir)?;
    let me = geteuid().as_raw();
    let narrow = |path: &Path, found: &Metadata, mode: u32| {
        if found.uid() == me && found.mode() & 0o7777 & !mode != 0 {
            std::fs::set_permissions(path, Permissions::from_mode(found.mode() & mode))?;
        }
        io::Result::Ok(())
    };
    let contents = contents(dir)?;
    // The permissions of a directory that also holds other files (`/tmp`, a home directory) stay.
    if !contents.others {
        narrow(dir, &std::fs::metadata(dir)?, DIRECTORY_MODE)?;
    }
    for (path, found) in contents.ours {
        narrow(&path, &found, FILE_MODE)?;
    }
    Ok(warnings)
}

/// Checks the directory and its files without changing anything.
pub(in crate::spool) fn look(dir: &Path) -> io::Result<Vec<String>> {
    let me = geteuid().as_raw();
    let contents = contents(dir)?;
    for (path, found) in contents.ours {
        if found.is_symlink() {
            return Err(other(format!("{} is a symbolic link, which is not followed", path.display())));
        }
        if is_refused(&path, Access::READ_OK | Access::WRITE_OK) {
            return Err(belongs(&path, &found));
        }
    }
    let found = std::fs::metadata(dir)?;
    if is_refused(dir, Access::WRITE_OK | Access::EXEC_OK) {
        return Err(belongs(dir, &found));
    }
    let mut warnings = Vec::new();
    if found.uid() != me && found.uid() != ROOT && me != ROOT {
        warnings.push(format!(
            "the spool directory {} belongs to uid {}, and this process is uid {me}: its owner can replace the spool",
            dir.display(),
            found.uid()
        ));
    }
    if found.mode() & 0o022 != 0 && contents.others {
        warnings.push(format!(
            "others may write to the spool directory {} (mode {:04o}), and it holds more than a spool: give the spool a \
             directory of its own",
            dir.display(),
            found.mode() & 0o7777
        ));
    } else if found.mode() & 0o002 != 0 && found.uid() != me {
        warnings.push(format!(
            "everybody may write to the spool directory {} (mode {:04o}, uid {}): give it to uid {me} with mode 0700",
            dir.display(),
            found.mode() & 0o7777,
            found.uid()
        ));
    }
    Ok(warnings)
}

/// Whether the directory could be created and used. Only permissions are read, so no file is left behind.
///
/// # Errors
/// The directory could not be created.
pub(in crate::spool) fn could_create(dir: &Path) -> io::Result<()> {
    // A relative path without a parent starts at the working directory.
    let above = dir.ancestors().skip(1).map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    for above in above {
        match std::fs::metadata(above) {
            Ok(found) if !found.is_dir() => {
                return Err(other(format!("{} is not a directory", above.display())));
            }
            Ok(found) => {
                let usable = rustix::fs::accessat(CWD, above, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
                return usable.map_err(|error| {
                    let error = io::Error::from(error);
                    if error.kind() == io::ErrorKind::PermissionDenied { belongs(above, &found) } else { error }
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Creates a file in the directory and removes it.
///
/// # Errors
/// The file cannot be created.
pub(in crate::spool) fn can_write(dir: &Path) -> io::Result<()> {
    tempfile::Builder::new().prefix(CHECK).tempfile_in(dir)?.close()
}

/// Opens a file for reading and writing. Creates it if it is missing.
pub fn open_or_create(dir: &Path, name: &str) -> io::Result<File> {
    if let Some(file) = open_existing(dir, name)? {
        return Ok(file);
    }
    let file = options().create(true).mode(FILE_MODE).open(dir.join(name))?;
    if geteuid().is_root() {
        // The owner of the directory runs the service.
        let owner = std::fs::metadata(dir)?;
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(file)
}

/// Opens a file for reading and writing if it exists.
pub fn open_existing(dir: &Path, name: &str) -> io::Result<Option<File>> {
    let path = dir.join(name);
    match options().open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(match std::fs::symlink_metadata(&path) {
            Ok(found) => belongs(&path, &found),
            Err(_) => error,
        }),
        Err(error) => Err(error),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// The contents of a directory.
struct Contents {
    /// The files of the spool.
    ours: Vec<(PathBuf, Metadata)>,
    /// Whether the directory also holds other files.
    others: bool,
}

fn contents(dir: &Path) -> io::Result<Contents> {
    let mut found = Contents { ours: Vec::new(), others: false };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(std::fs::metadata(dir).map_or(error, |found| belongs(dir, &found)));
        }
        entries => entries?,
    };
    for entry in entries.take(MOST_NAMES) {
        let entry = entry?;
        let name = entry.file_name();
        let begins =
            |beginnings: &[&str]| beginnings.iter().any(|begin| name.as_encoded_bytes().starts_with(begin.as_bytes()));
        if !begins(&OURS) {
            found.others |= !begins(&NEUTRAL);
            continue;
        }
        // Metadata of the name itself: symbolic links are not followed.
        match entry.metadata() {
            Ok(metadata) => found.ours.push((entry.path(), metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether permissions refuse this access. Other errors appear when the file is used.
fn is_refused(path: &Path, access: Access) -> bool {
    matches!(rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS), Err(Errno::ACCESS | Errno::PERM))
}

fn belongs(path: &Path, found: &Metadata) -> io::Error {
    let text = format!(
        "{} belongs to uid {} (mode {:04o}), and this process is uid {}; give it to this user (chown, chmod)",
        path.display(),
        found.uid(),
        found.mode() & 0o7777,
        geteuid().as_raw()
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn other(text: String) -> io::Error {
    io::Error::other(text)
}
