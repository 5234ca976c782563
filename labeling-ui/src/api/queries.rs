//! `/api/queries`: queries that people keep under a name, for all who work on the corpus.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use marginalia_store::tables::saved_queries::SavedQuery;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::{Api, body, time, to_the_end};
use crate::access::Role;
use crate::saved_queries;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    sql: String,
}

/// All of them, by name.
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let queries = saved_queries::list(&api.parts.corpus).await?;
    Ok(Json(json!({ "queries": queries.iter().map(described).collect::<Vec<_>>() })))
}

/// Keeps one, in place of the one of its name.
pub(super) async fn save(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    caller.require(Role::Annotator)?;
    let Text { sql } = body::json(&headers, &body)?;
    to_the_end(async move {
        let (corpus, actor) = (&api.parts.corpus, caller.actor());
        let most = api.parts.sql_limits.max_text_bytes;
        let query = saved_queries::save(corpus, &name, &sql, &actor.name, most).await?;
        corpus.note_change(&actor, "query_saved", Some(name), None).await?;
        Ok(Json(described(&query)))
    })
    .await
}

/// Removes one.
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Role::Annotator)?;
    to_the_end(async move {
        let (corpus, actor) = (&api.parts.corpus, caller.actor());
        saved_queries::remove(corpus, &name, &actor.name).await?;
        corpus.note_change(&actor, "query_deleted", Some(name), None).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn described(query: &SavedQuery) -> Value {
    json!({ "name": query.name, "sql": query.sql, "author": query.author, "saved_at": time::text(query.saved_at) })
}
