//! What went wrong, as `application/problem+json` (RFC 9457), and the id that every request has.
//!
//! Handlers answer with a [`Problem`]; [`render`] writes it out, and also what the framework itself refuses (no such
//! path, a method or body it does not take), so that no error has another form. Errors of ours are logged under the
//! request's id, and the id is all that the client is told of them.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::Error;

/// The id of a request, in the request and in the answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a client's own id that is taken over.
const ID_CHARS: usize = 64;
/// Bytes of the framework's own words.
const WORDS: usize = 4096;

/// The request's id, for handlers.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// RFC 9457.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Details<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// Short and stable.
    code: &'static str,
    /// For people: what happened and what to do.
    detail: &'a str,
    instance: &'a str,
    /// Also in X-Request-Id, and in the server's log.
    request_id: &'a str,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// One problem.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Vec<(&'static str, Value)>,
    header: Option<(HeaderName, HeaderValue)>,
    /// For the log alone.
    cause: Option<String>,
}

impl Problem {
    /// A problem: `code` is short and stable, `detail` says for people what happened and what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), more: Vec::new(), header: None, cause: None }
    }

    /// With one more member.
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((key, value.into()));
        self
    }

    /// With the seconds after which it may work.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.header = Some((header::RETRY_AFTER, seconds.into()));
        self
    }

    /// With what to send instead.
    pub fn challenge(mut self) -> Self {
        self.header = Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        self
    }

    /// What is said of a status alone.
    pub fn from_status(status: StatusCode) -> Self {
        refused(status, String::new())
    }

    fn internal(cause: String) -> Self {
        let detail = "Something failed in the server; its log says more under the request_id.";
        Self { cause: Some(cause), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail) }
    }

    fn into_body(self, path: &str, id: &str) -> Value {
        json!(Details {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            instance: path,
            request_id: id,
            more: self.more.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some((name, value)) = self.header.clone() {
            response.headers_mut().insert(name, value);
        }
        // The words are put in by `render`, which knows the request.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<marginalia_store::Error> for Problem {
    fn from(error: marginalia_store::Error) -> Self {
        use marginalia_store::Error as Store;
        let words = error.to_string();
        let (status, code) = match &error {
            Store::NoSuchFace { .. } => (StatusCode::NOT_FOUND, "no_such_face"),
            Store::NoSuchLabel { .. } => (StatusCode::NOT_FOUND, "no_such_label"),
            Store::NoSuchRound { .. } => (StatusCode::NOT_FOUND, "no_such_round"),
            Store::RoundNotKept { .. } => (StatusCode::GONE, "round_not_kept"),
            Store::TimeNotKept { .. } => (StatusCode::GONE, "time_not_kept"),
            Store::NoTime(_) => (StatusCode::BAD_REQUEST, "no_time"),
            Store::QueryRefused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "query_refused"),
            Store::QueryFailed { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "query_failed"),
            Store::QueryTimeout { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "query_timeout"),
            Store::QueryTooLarge { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "query_too_large"),
            Store::QueryTurnedAway(_) => {
                return Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_queries", words).retry_after(1);
            }
            error if error.is_out_of_room() => (StatusCode::INSUFFICIENT_STORAGE, "no_room"),
            error if error.stops_writing() => (StatusCode::SERVICE_UNAVAILABLE, "writing_stopped"),
            _ => return Self::internal(words),
        };
        Self::new(status, code, words)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Store(error) => return error.into(),
            Error::NeedsTokens { .. } | Error::Listen { .. } | Error::Internal { .. } => {
                return Self::internal(error.to_string());
            }
            Error::NoAnnotator => {
                let detail = "Name the annotator: a judgement has a name under it.";
                return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no_annotator", detail);
            }
            Error::NoSuchFlag { .. } => {
                return Self::new(StatusCode::NOT_FOUND, "no_such_flag", error.to_string());
            }
            Error::NoSuchQuery { .. } => {
                return Self::new(StatusCode::NOT_FOUND, "no_such_query", error.to_string());
            }
            Error::InvalidFlag { .. } => "invalid_flag",
            Error::InvalidQuery { .. } => "invalid_query",
            Error::UnknownExpression { .. } => "unknown_expression",
            Error::UnknownFaces { .. } => "unknown_face",
            Error::InvalidJudgement { .. } => "invalid_judgement",
            Error::ReusedKey { .. } => "reused_key",
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string())
    }
}

/// Gives the request an id, and the answer, where it is an error, its form.
pub async fn render(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        response = as_problem(response, &path, &id).await;
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The client's own id where it is one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let valid = |id: &&str| {
        (1..=ID_CHARS).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(valid);
    given.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

async fn as_problem(response: Response, path: &str, id: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let problem = match parts.extensions.remove::<Problem>() {
        Some(problem) => problem,
        None => refused_by_framework(parts.status, body).await,
    };
    if let Some(cause) = &problem.cause {
        tracing::error!(request_id = id, path, "{cause}");
    }
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Response::from_parts(parts, Body::from(problem.into_body(path, id).to_string()))
}

/// The framework answers in plain text or with no words at all.
async fn refused_by_framework(status: StatusCode, body: Body) -> Problem {
    let words = to_bytes(body, WORDS).await.unwrap_or_default();
    refused(status, String::from_utf8_lossy(&words).into_owned())
}

fn refused(status: StatusCode, words: String) -> Problem {
    let (code, otherwise) = match status {
        StatusCode::BAD_REQUEST => ("bad_request", "The request does not read."),
        StatusCode::NOT_FOUND => ("not_found", "There is nothing here; /api/openapi.json lists what there is."),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "This path takes the methods of the header Allow."),
        StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "The body is larger than is taken here."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported_media_type", "The body is of a type that is not taken here.")
        }
        StatusCode::SERVICE_UNAVAILABLE => ("too_slow", "The answer took too long; try again."),
        status if status.is_server_error() => ("internal", "Something failed in the server."),
        _ => ("refused", "The request was refused."),
    };
    Problem::new(status, code, if words.is_empty() { otherwise.to_owned() } else { words })
}
