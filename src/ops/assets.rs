//! The files of the page, which are part of the program, and the headers that protect it.

use http::StatusCode;

use crate::edge::Response;

/// What the page may load and do: its own files and requests to its own origin. No other page may show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// Path, type and content of each file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("page/index.html")),
    ("/page/page.css", CSS, include_str!("page/page.css")),
    ("/page/tables.css", CSS, include_str!("page/tables.css")),
    ("/page/main.js", SCRIPT, include_str!("page/main.js")),
    ("/page/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/page/text.js", SCRIPT, include_str!("page/text.js")),
    ("/page/verdict.js", SCRIPT, include_str!("page/verdict.js")),
    ("/page/charts.js", SCRIPT, include_str!("page/charts.js")),
    ("/page/plot.js", SCRIPT, include_str!("page/plot.js")),
    ("/page/tables.js", SCRIPT, include_str!("page/tables.js")),
    ("/page/actions.js", SCRIPT, include_str!("page/actions.js")),
    ("/page/find.js", SCRIPT, include_str!("page/find.js")),
    ("/page/runbook.js", SCRIPT, include_str!("page/runbook.js")),
    ("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("/docs/operations.md", MARKDOWN, include_str!("../../docs/operations.md")),
];

/// The file with this path.
pub(super) fn file(path: &[u8]) -> Option<Response> {
    let (_, kind, content) = FILES.iter().find(|(name, ..)| name.as_bytes() == path)?;
    Some(Response::new(StatusCode::OK, *kind, *content))
}

/// The response with the headers that every response of the listener has.
pub(super) fn protected(response: Response) -> Response {
    response
        .header("Content-Security-Policy", POLICY)
        .header("X-Content-Type-Options", "nosniff")
        .header("X-Frame-Options", "DENY")
        .header("Referrer-Policy", "no-referrer")
        .header("Cross-Origin-Resource-Policy", "same-origin")
        .header("Cache-Control", "no-store")
}
