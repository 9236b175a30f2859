//! Checks one entry of `bootstrap.servers`: `[protocol://]host[:port]`.

use super::secret::HIDDEN;
use super::values::shown;

/// The problem of an entry, and the fix.
type Problem = (String, String);

/// Checks one entry. `protocol` is the `security.protocol` in effect: librdkafka ignores an entry with another one.
pub(super) fn check(server: &str, protocol: &str) -> Result<(), Problem> {
    let wrong = |what: &str| {
        Err((
            format!("{} {what}", shown(&without_login(server))),
            "write host:port, several separated by commas".to_owned(),
        ))
    };
    let address = match server.split_once("://") {
        None => server,
        Some((named, address)) if named.eq_ignore_ascii_case(protocol) => address,
        Some((named, _)) if is_protocol(named) => {
            return Err((
                format!("{} does not match the security protocol {protocol}", shown(&without_login(server))),
                format!("write host:port and set KAFKA_SECURITY_PROTOCOL={named}"),
            ));
        }
        Some(_) => return wrong("is a URL, not a broker address"),
    };
    let (host, port) = split(address);
    if host.is_empty() {
        return wrong("has no host");
    }
    if !is_host(host) {
        return wrong("is not a host and a port");
    }
    match port {
        Some(port) if !is_port(port) => wrong("has no port from 1 to 65535"),
        _ => Ok(()),
    }
}

/// Hides user and password in an address: the text goes to the log.
fn without_login(server: &str) -> String {
    match server.rsplit_once('@') {
        None => server.to_owned(),
        Some((_, address)) => format!("{HIDDEN}@{address}"),
    }
}

fn is_protocol(name: &str) -> bool {
    ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"].iter().any(|protocol| name.eq_ignore_ascii_case(protocol))
}

/// Splits host and port. An IPv6 address without brackets has no port.
fn split(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    }
}

fn is_host(host: &str) -> bool {
    if host.contains(':') || host.starts_with('[') {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        return bare.unwrap_or(host).parse::<std::net::Ipv6Addr>().is_ok();
    }
    host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}
