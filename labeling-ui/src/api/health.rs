//! `GET /healthz`: the process lives. `GET /readyz`: it can read the corpus, and is not about to end.

use axum::extract::State;
use axum::http::StatusCode;

use super::Api;
use super::problem::Problem;

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
