//! The socket: its path, its permissions, its time limits.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

const NAME: &str = "control.sock";
/// Commands that may wait for a connection.
const BACKLOG: i32 = 8;

/// The socket's path in a spool directory.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Returns the socket's address. The kernel accepts about 100 bytes, and the path of a directory may be longer.
/// In that case the address uses the returned open directory, which must stay open while the address is used.
fn address(dir: &Path) -> io::Result<(SocketAddrUnix, Option<File>)> {
    if let Ok(address) = SocketAddrUnix::new(file(dir)) {
        return Ok((address, None));
    }
    let open = File::open(dir)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd()))?;
    Ok((address, Some(open)))
}

/// Creates the socket, and replaces one that a killed process left: the caller holds the directory's lock.
/// Clients can connect only after the mode is set.
pub(super) fn serve(dir: &Path) -> io::Result<UnixListener> {
    remove(dir)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let (address, _open) = address(dir)?;
    bind(&socket, &address)?;
    std::fs::set_permissions(file(dir), Permissions::from_mode(0o600))?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Connects. No operation on the returned stream waits longer than `patience`.
pub(super) fn open(dir: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for side in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, side, Some(patience))?;
    }
    let (address, _open) = address(dir)?;
    connect(&socket, &address)?;
    Ok(socket.into())
}

/// Removes the socket, if it exists.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(file(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
