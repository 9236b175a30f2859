//! The socket: where it is, who may connect, how long anything may take.

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
/// Commands that may wait for their turn.
const BACKLOG: i32 = 8;

/// The socket's name in a spool directory.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Its address: the kernel takes about 100 bytes, and a directory's path may be longer. Then it is
/// named by the open directory, which must be kept open for as long as the address is used.
fn address(dir: &Path) -> io::Result<(SocketAddrUnix, Option<File>)> {
    if let Ok(address) = SocketAddrUnix::new(file(dir)) {
        return Ok((address, None));
    }
    let open = File::open(dir)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd()))?;
    Ok((address, Some(open)))
}

/// Makes the socket, in the place of one that a process left which was killed: the caller holds the
/// directory's lock. Nobody can connect before the mode is right.
pub(super) fn serve(dir: &Path) -> io::Result<UnixListener> {
    remove(dir)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let (address, _open) = address(dir)?;
    bind(&socket, &address)?;
    std::fs::set_permissions(file(dir), Permissions::from_mode(0o600))?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Connects; neither that nor anything that is sent or received later waits longer than `patience`.
pub(super) fn open(dir: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for side in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, side, Some(patience))?;
    }
    let (address, _open) = address(dir)?;
    connect(&socket, &address)?;
    Ok(socket.into())
}

/// Removes the socket, where it is there.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(file(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
