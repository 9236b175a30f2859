//! Decodes the chunked transfer coding step by step and strictly.
//!
//! A line must end with CRLF, a size has 1 to 16 hexadecimal digits, and extensions and trailers are limited. If two
//! readers disagree about the end of a body, an attacker can use the difference (request smuggling). Source:
//! RFC 9112, section 7.1.

/// The maximum length of a size line with its extensions, and of the trailer section, in bytes.
const MAX_LINE_BYTES: usize = 4 * 1024;

/// The expected next bytes of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Size,
    /// The remaining bytes of the chunk.
    Data(u64),
    /// The line end after the data of a chunk.
    DataEnd,
    /// Bytes of the trailer section so far.
    Trailer(usize),
    Done,
}

/// A decoder of one body.
#[derive(Debug)]
pub(super) struct Chunked(ChunkState);

/// The meaning of the bytes at the start of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChunkStep {
    /// A number of bytes of framing, to be skipped.
    Skip(usize),
    /// A number of bytes of the body.
    Data(usize),
    /// The body is complete.
    Done,
    /// More bytes are needed.
    More,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self(ChunkState::Size)
    }

    /// Decodes the start of the buffer. The caller removes the bytes of a step before the next one.
    ///
    /// # Errors
    /// The error of the framing.
    pub(super) fn step(&mut self, buffer: &[u8]) -> Result<ChunkStep, &'static str> {
        match self.0 {
            ChunkState::Size => {
                let Some(line) = line(buffer, MAX_LINE_BYTES, "chunk size line")? else { return Ok(ChunkStep::More) };
                let size = size(line)?;
                self.0 = if size == 0 { ChunkState::Trailer(0) } else { ChunkState::Data(size) };
                Ok(ChunkStep::Skip(line.len() + 2))
            }
            ChunkState::Data(_) if buffer.is_empty() => Ok(ChunkStep::More),
            ChunkState::Data(left) => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let left = left - here as u64;
                self.0 = if left == 0 { ChunkState::DataEnd } else { ChunkState::Data(left) };
                Ok(ChunkStep::Data(here))
            }
            ChunkState::DataEnd => match buffer {
                [b'\r', b'\n', ..] => {
                    self.0 = ChunkState::Size;
                    Ok(ChunkStep::Skip(2))
                }
                [] | [b'\r'] => Ok(ChunkStep::More),
                _ => Err("a chunk is longer than its size"),
            },
            ChunkState::Trailer(before) => {
                let Some(line) = line(buffer, MAX_LINE_BYTES - before, "trailer section")? else {
                    return Ok(ChunkStep::More);
                };
                let used = line.len() + 2;
                self.0 = if line.is_empty() {
                    ChunkState::Done
                } else {
                    ChunkState::Trailer((before + used).min(MAX_LINE_BYTES))
                };
                Ok(ChunkStep::Skip(used))
            }
            ChunkState::Done => Ok(ChunkStep::Done),
        }
    }
}

/// Returns the line at the start of the buffer, without its CRLF.
fn line<'b>(buffer: &'b [u8], most: usize, what: &'static str) -> Result<Option<&'b [u8]>, &'static str> {
    let Some(end) = memchr::memchr(b'\n', buffer.get(..most.min(buffer.len())).unwrap_or_default()) else {
        let too_long =
            if what == "trailer section" { "the trailer section is too long" } else { "a chunk size line is too long" };
        return if buffer.len() >= most { Err(too_long) } else { Ok(None) };
    };
    match buffer.get(..end) {
        Some([line @ .., b'\r']) if !line.contains(&b'\r') => Ok(Some(line)),
        _ => Err("a line of the chunked coding does not end with CRLF"),
    }
}

fn size(line: &[u8]) -> Result<u64, &'static str> {
    const WRONG: &str = "a chunk size is not 1 to 16 hexadecimal digits";
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    if !(1..=16).contains(&digits) || !matches!(extension.iter().find(|byte| !blank(byte)), None | Some(b';')) {
        return Err(WRONG);
    }
    let size = std::str::from_utf8(size).map_err(|_| WRONG)?;
    u64::from_str_radix(size, 16).map_err(|_| WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes bytes that arrive `step` at a time.
    fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize), &'static str> {
        let (mut decoder, mut buffer, mut body, mut used) = (Chunked::new(), Vec::new(), Vec::new(), 0);
        let mut rest = bytes.chunks(step);
        loop {
            match decoder.step(&buffer)? {
                ChunkStep::Skip(length) => {
                    buffer.drain(..length);
                    used += length;
                }
                ChunkStep::Data(length) => {
                    body.extend(buffer.drain(..length));
                    used += length;
                }
                ChunkStep::Done => return Ok((body, used)),
                ChunkStep::More => buffer.extend(rest.next().ok_or("incomplete")?),
            }
        }
    }

    #[test]
    fn the_end_of_a_body_does_not_depend_on_the_chunks_received() {
        let coded = b"4\r\nWiki\r\n5;name=value\r\npedia\r\n00\r\nTrailer: x\r\n\r\nGET / HTTP/1.1";
        for step in 1..coded.len() {
            assert_eq!(decode(coded, step), Ok((b"Wikipedia".to_vec(), coded.len() - 14)), "{step} at a time");
        }
    }

    #[test]
    fn ambiguous_framing_is_an_error() {
        for coded in [
            &b"4\nWiki\r\n0\r\n\r\n"[..],
            b"4\r\nWiki\n0\r\n\r\n",
            b"4\r\nWikipedia\r\n0\r\n\r\n",
            b"0x4\r\nWiki\r\n0\r\n\r\n",
            b"+4\r\nWiki\r\n0\r\n\r\n",
            b"-1\r\n\r\n",
            b"\r\nWiki\r\n0\r\n\r\n",
            b" 4\r\nWiki\r\n0\r\n\r\n",
            b"4 4\r\nWiki\r\n0\r\n\r\n",
            b"4\r\r\nWiki\r\n0\r\n\r\n",
            b"10000000000000000\r\n",
            b"0\r\n\n",
        ] {
            let error = decode(coded, 64).unwrap_err();
            assert_ne!(error, "incomplete", "{}", coded.escape_ascii());
        }
    }

    #[test]
    fn endless_framing_is_an_error() {
        let mut extension = b"4;".to_vec();
        extension.resize(1 << 16, b'x');
        assert!(decode(&extension, 100).unwrap_err().contains("too long"));
        let trailers = [&b"0\r\n"[..], &b"a: b\r\n".repeat(10_000)].concat();
        assert!(decode(&trailers, 100).unwrap_err().contains("too long"));
    }
}
