//! Commands that send HTTP requests use no proxy on one machine, and `health` accepts only the response of a bridge.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use crate::bridge::{APP, Setup, TOKEN};
use crate::cli::{expect, stderr};

/// Answers everything with 200 and this body; its address.
fn answers(body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

fn behind(setup: &Setup, proxy: SocketAddr) -> Setup {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    names.into_iter().fold(setup.clone(), |setup, name| setup.env(name, format!("http://{proxy}")))
}

#[test]
fn loopback_never_goes_by_a_proxy() {
    let bridge = Setup::new("127.0.0.1:1").start();
    let proxy = answers("{\"ready\":true}");
    let setup = behind(&bridge.setup().clone().env("BRIDGE_OPS_LISTEN", bridge.ops_address()), proxy);
    expect(&setup.run(&["health"]), 0);
    let port = bridge.webhook_address().port();
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/");
        let app = APP.to_string();
        let args = ["send", "--url", &url, "--app", &app, "--token", TOKEN, "--count", "2", "--connections", "1"];
        expect(&setup.run(&args), 0);
    }
    // Nothing listens at this address, and the proxy would answer with 200.
    let dead = setup.env("BRIDGE_OPS_LISTEN", "127.0.0.1:1").run(&["health"]);
    expect(&dead, 1);
    assert!(stderr(&dead).contains("does not respond"), "{dead:?}");
}

#[test]
fn health_asks_both_families_of_a_wildcard_address() {
    let bridge = Setup::new("127.0.0.1:1").start();
    for host in ["0.0.0.0", "[::]"] {
        let listen = format!("{host}:{}", bridge.ops_address().port());
        expect(&bridge.setup().clone().env("BRIDGE_OPS_LISTEN", listen).run(&["health"]), 0);
    }
}

#[test]
fn another_program_that_answers_is_no_healthy_bridge() {
    for body in ["", "OK", "{}", "{\"ready\":\"true\"}", "<html>\u{1b}[2J"] {
        let output = Setup::new("unused:1").env("BRIDGE_OPS_LISTEN", answers(body)).run(&["health"]);
        expect(&output, 1);
        assert!(stderr(&output).contains("it is not a recall-bridge"), "{output:?}");
        assert!(!stderr(&output).contains('\u{1b}'), "{output:?}");
    }
}
