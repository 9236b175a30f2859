//! A minimal HTTP/1.1 client for senders: one connection, one request at a time.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The timeout of a request. The vendor's timeout is 2 s; the tests check the response time themselves.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that is kept alive.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        Self::open_for(address, TIMEOUT)
    }

    /// Connects with this timeout, which also applies to each read.
    pub fn open_for(address: SocketAddr, timeout: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Posts, reads the whole response and returns its status.
    pub fn post(&mut self, target: &str, body: &str) -> Result<u16> {
        self.exchange(target, body).map(|(status, _)| status)
    }

    /// Posts and returns status and body of the response.
    pub fn exchange(&mut self, target: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        let head = format!("POST {target} HTTP/1.1\r\nHost: bridge\r\nContent-Length: {}\r\n\r\n", body.len());
        self.reader.get_mut().write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())?;
        let bad = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| bad(&line))?;
        let mut length = None;
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let mut body = vec![0; length.ok_or_else(|| bad("an answer without its length"))?];
        self.reader.read_exact(&mut body)?;
        Ok((status, body))
    }
}
