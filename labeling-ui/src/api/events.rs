//! `GET /api/events`: what happens, as server-sent events.
//!
//! The first event is `ready`, or `resync` for whoever names an event that is not known any more; `resync` also comes
//! to readers that are too slow. After it one looks at everything anew. The number of the last event that was read
//! comes in `Last-Event-ID`, or as a parameter where the client cannot set headers. The stream ends when the server
//! does, and soon after the token is revoked that it was opened with.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::operation::Operation;
use super::problem::Problem;
use super::{Api, gate};
use crate::access::Gate;
use crate::events::{Reception, Told};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Keeps proxies from waiting until there is more to pass on.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    /// The last event that was read, for clients that cannot set headers.
    last_event_id: Option<String>,
}

/// `GET /api/events`.
pub(super) fn describe_listen() -> Operation {
    let summary = "What happens, as server-sent events: ready, resync, faces, labelled, label_taken_back, changed, \
                   round, round_progress, warning. After resync look at everything anew.";
    Operation::new("events", summary)
        .header("Last-Event-ID", "The last event that was read.", json!({ "type": "string" }))
        .query::<Since>()
        .answers_in(200, "The stream; it ends when the server or the token does.", &["text/event-stream"])
        .problem(429, "As many streams are open as are kept; Retry-After says when to come again.")
}

/// Opens the stream.
pub(super) async fn listen(
    State(api): State<Api>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let permit = api.listeners.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{} event streams are open, which is all that are kept.", api.parts.limits.listeners);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_listeners", detail).retry_after(30)
    })?;
    let header = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let last_read = header.or(since.last_event_id).filter(|id| !id.is_empty());
    let reception = api.parts.events.listen(last_read.as_deref());
    let end = api.parts.cancel.clone().cancelled_owned();
    let revoked = revoked(api.clone(), gate::token(&headers).unwrap_or_default().to_owned());
    let events = flow(reception, permit).take_until(end).take_until(revoked).map(Ok::<_, Infallible>);
    let alive = KeepAlive::default().interval(api.parts.limits.keep_alive);
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// Returns once this token is good no more. Where that cannot be looked up whoever bears it has to come again, too.
async fn revoked(api: Api, token: String) {
    let Gate::Tokens(access) = &api.parts.gate else { return std::future::pending().await };
    loop {
        tokio::time::sleep(api.parts.limits.keep_alive).await;
        if !matches!(access.bearer(&token).await, Ok(Some(_))) {
            return;
        }
    }
}

/// A reader's way through the stream.
struct Reader {
    first: VecDeque<Event>,
    coming: Receiver<Arc<Told>>,
    _permit: OwnedSemaphorePermit,
}

fn flow(reception: Reception, permit: OwnedSemaphorePermit) -> impl Stream<Item = Event> {
    let greeting = if reception.missed.is_some() { "ready" } else { "resync" };
    let mut first = VecDeque::from([Event::default().event(greeting).id(reception.last).data("{}")]);
    if let Some(missed) = reception.missed.filter(|missed| !missed.is_empty()) {
        // What was missed bears its own numbers, and the last of them is the newest: no greeting is needed.
        first = missed.iter().map(|told| event(told)).collect();
    }
    let reader = Reader { first, coming: reception.coming, _permit: permit };
    stream::unfold(reader, |mut reader| async move {
        if let Some(event) = reader.first.pop_front() {
            return Some((event, reader));
        }
        match reader.coming.recv().await {
            Ok(told) => Some((event(&told), reader)),
            Err(RecvError::Lagged(_)) => Some((Event::default().event("resync").data("{}"), reader)),
            Err(RecvError::Closed) => None,
        }
    })
}

fn event(told: &Told) -> Event {
    let event = Event::default().event(&*told.name).data(&told.data);
    match &told.id {
        Some(id) => event.id(id),
        None => event,
    }
}
