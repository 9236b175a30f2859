//! One entry of `bootstrap.servers`, as librdkafka reads it: `[protocol://]host[:port]`.

use super::secret::HIDDEN;
use super::values::shown;

/// What is wrong with an entry, and the fix.
type Wrong = (String, String);

/// Checks one entry. `protocol` is the `security.protocol` in effect: librdkafka drops an entry
/// that names another one.
pub(super) fn check(server: &str, protocol: &str) -> Result<(), Wrong> {
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
                format!("{} does not fit the security protocol {protocol}", shown(&without_login(server))),
                format!("write host:port and set KAFKA_SECURITY_PROTOCOL={named}"),
            ));
        }
        Some(_) => return wrong("is a URL, not the address of a broker"),
    };
    let (host, port) = split(address);
    if host.is_empty() {
        return wrong("names no host");
    }
    if !is_host(host) {
        return wrong("is not a host and a port");
    }
    match port {
        Some(port) if !is_port(port) => wrong("has no port from 1 to 65535"),
        _ => Ok(()),
    }
}

/// Whoever writes a login into the address does not want it in a log.
fn without_login(server: &str) -> String {
    match server.rsplit_once('@') {
        None => server.to_owned(),
        Some((_, address)) => format!("{HIDDEN}@{address}"),
    }
}

fn is_protocol(name: &str) -> bool {
    ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"].iter().any(|protocol| name.eq_ignore_ascii_case(protocol))
}

/// Host and port; an IPv6 address without brackets has no port.
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
