//! `GET /healthz`: the process lives. `GET /readyz`: it can read the corpus, and is not about to end.

use axum::extract::State;
use axum::http::StatusCode;

use super::Api;
use super::operation::Operation;
use super::problem::Problem;

/// `GET /healthz`.
pub(super) fn describe_alive() -> Operation {
    let summary = "The process lives. Needs no token.";
    Operation::new("alive", summary).without_token().answers_in(200, "It does.", &["text/plain"]).never_fails()
}

/// `GET /readyz`.
pub(super) fn describe_ready() -> Operation {
    Operation::new("ready", "The corpus can be read, and the server is not about to end. Needs no token.")
        .without_token()
        .answers_in(200, "Requests are welcome.", &["text/plain"])
        .problem(503, "The server is about to end.")
}

/// Always fine: whoever is answered knows it.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Fine while requests are welcome.
pub(super) async fn ready(State(api): State<Api>) -> Result<&'static str, Problem> {
    if api.parts.cancel.is_cancelled() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "The server is about to end."));
    }
    api.parts.corpus.snapshot().await?;
    Ok("ok\n")
}
