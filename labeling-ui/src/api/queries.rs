//! `/api/queries`: queries that people keep under a name, for all who work on the corpus.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use marginalia_store::tables::saved_queries::SavedQuery;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::operation::Operation;
use super::paging::Part;
use super::problem::Problem;
use super::{Api, body, time, to_the_end};
use crate::access::Role;
use crate::saved_queries::{self, NAME_CHARS};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Named {
    /// What the query is called.
    #[schemars(length(max = NAME_CHARS))]
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Text {
    sql: String,
}

/// A query that is kept.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SavedQuery")]
pub(super) struct Kept {
    name: String,
    sql: String,
    /// Who kept it.
    author: String,
    #[schemars(extend("format" = "date-time"))]
    saved_at: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Queries {
    queries: Vec<Kept>,
    /// For `after`, where there are more.
    next: Option<String>,
}

/// `GET /api/queries`.
pub(super) fn describe_list() -> Operation {
    Operation::new("queries", "Queries that people keep under a name, for all who work on the corpus.")
        .query::<Part>()
        .answers::<Queries>(200, "The queries, by name.")
}

/// `PUT /api/queries/{name}`.
pub(super) fn describe_save() -> Operation {
    Operation::new(
        "saveQuery",
        "Keeps a query under a name, in place of the one that is there. The history keeps both.",
    )
    .role(Role::Annotator)
    .path::<Named>()
    .body::<Text>()
    .answers::<Kept>(200, "The query as it is kept.")
}

/// `DELETE /api/queries/{name}`.
pub(super) fn describe_remove() -> Operation {
    Operation::new("deleteQuery", "Removes a query.")
        .role(Role::Annotator)
        .path::<Named>()
        .answers_empty(204, "It is gone.")
        .problem(404, "No query has that name.")
}

/// Those that are kept, by name.
pub(super) async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(part): Query<Part>,
) -> Result<Json<Queries>, Problem> {
    let limit = part.read()?;
    let after = part.after.as_deref().unwrap_or_default();
    let mut all = saved_queries::list(&api.parts.corpus).await?;
    if let Some(pseudonyms) = api.pseudonyms(&caller).await? {
        all.iter_mut().for_each(|query| query.author = pseudonyms.of(&query.author).into_owned());
    }
    let behind = all.into_iter().filter(|query| query.name.as_str() > after);
    let mut queries: Vec<Kept> = behind.take(limit).map(kept).collect();
    let next = part.cut(&mut queries, |query| query.name.clone());
    Ok(Json(Queries { queries, next }))
}

/// Keeps one, in place of the one of its name.
pub(super) async fn save(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(Named { name }): Path<Named>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Kept>, Problem> {
    let Text { sql } = body::json(&headers, &body)?;
    to_the_end(async move {
        let (corpus, actor) = (&api.parts.corpus, caller.actor());
        let most = api.parts.sql_limits.max_text_bytes;
        let query = saved_queries::save(corpus, &name, &sql, &actor.name, most).await?;
        corpus.note_change(&actor, "query_saved", Some(name), None).await?;
        Ok(Json(kept(query)))
    })
    .await
}

/// Removes one.
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(Named { name }): Path<Named>,
) -> Result<StatusCode, Problem> {
    to_the_end(async move {
        let (corpus, actor) = (&api.parts.corpus, caller.actor());
        saved_queries::remove(corpus, &name, &actor.name).await?;
        corpus.note_change(&actor, "query_deleted", Some(name), None).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn kept(query: SavedQuery) -> Kept {
    let SavedQuery { name, sql, author, saved_at } = query;
    // A row without a text is one that removes, and is not shown.
    Kept { name, sql: sql.unwrap_or_default(), author, saved_at: time::text(saved_at) }
}
