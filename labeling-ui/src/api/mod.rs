//! The HTTP API: one file per resource.
//!
//! In: requests. Out: answers, JSON but for images, Arrow and events; everything that goes wrong is
//! `application/problem+json`. [`router`] is a function of its state, so that it answers without a port too. On the way
//! in a request passes, from the outside: its id ([`problem`]), the headers of every answer, the wall against panics,
//! the gate (`Host`, `Origin`, token), the time limit, and the route's own limit on its body. What is none of its paths
//! is the [`page`]'s.

mod archive;
mod arriving;
mod body;
mod caller;
mod events;
mod faces;
mod flags;
mod form;
mod gate;
mod health;
mod image;
mod labels;
mod leases;
mod map;
mod metrics;
mod openapi;
mod operation;
mod pace;
mod paging;
mod panics;
mod problem;
mod queries;
mod queue;
mod retractions;
mod rounds;
mod route;
mod session;
mod shapes;
mod similar;
mod sql;
mod status;
pub(crate) mod tags;
mod time;
mod uploaded;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use marginalia_store::{Corpus, Moment, Pseudonyms, Session, SqlLimits, SqlRuntime};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::access::{Gate, Identity};
use crate::admission::Admission;
use crate::desk::Desk;
use crate::error::Error;
use crate::events::Events;
use crate::judgement::Judge;
use crate::metrics::Metrics;
use crate::page;
use crate::pictures::Pictures;
use crate::reading::Reading;
use crate::rounds::Rounds;
use caller::Caller;
use pace::Pace;
use problem::Problem;
use route::Route;

pub use openapi::DOCUMENT as OPENAPI;
pub use pace::Rate;

/// Bytes of a body that is no image.
const JSON_BYTES: usize = 1 << 20;

/// Bounds on what the API does at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a face is handed out for.
    pub lease: Duration,
    /// Bytes of one image.
    pub image_bytes: usize,
    /// Uploads under way; each holds an image, or some of several.
    pub uploads: usize,
    /// Images being made small; more wait.
    pub thumbnails: usize,
    /// Open event streams.
    pub listeners: usize,
    /// How often an event stream gives a sign of life, and its token is looked at again.
    pub keep_alive: Duration,
    /// Time that an answer may take to begin; SQL has its own.
    pub answer: Duration,
    /// How often the bearer of a token may ask.
    pub bearers: Rate,
    /// How often an address may ask without a good token.
    pub strangers: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            image_bytes: 32 << 20,
            uploads: 8,
            thumbnails: 4,
            listeners: 256,
            keep_alive: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            bearers: Rate::new(200, 1000),
            strangers: Rate::new(1, 20),
        }
    }
}

/// What the API works with.
pub struct Parts {
    /// The corpus.
    pub corpus: Corpus,
    /// Where SQL runs.
    pub sql: SqlRuntime,
    /// Bounds on people's SQL.
    pub sql_limits: SqlLimits,
    /// Lets faces in.
    pub admission: Arc<dyn Admission>,
    /// Runs rounds, where this process does.
    pub rounds: Option<Arc<dyn Rounds>>,
    /// Who is let through.
    pub gate: Gate,
    /// Who hears of what happens.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
    /// Bounds.
    pub limits: Limits,
    /// Told when to end.
    pub cancel: CancellationToken,
}

/// The API's state; cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub parts: Parts,
    pub reading: Reading,
    pub desk: Desk,
    pub judge: Judge,
    pub pictures: Pictures,
    pub uploads: Arc<Semaphore>,
    pub thumbnails: Semaphore,
    pub listeners: Arc<Semaphore>,
    pub pace: Pace,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("corpus", &self.parts.corpus.path()).field("gate", &self.parts.gate).finish()
    }
}

impl Api {
    fn new(parts: Parts) -> Self {
        let reading = Reading::new(&parts.corpus, &parts.sql, parts.sql_limits.clone());
        let pictures = Pictures::new(&parts.corpus);
        let inner = Inner {
            desk: Desk::new(&reading, &pictures, parts.limits.lease),
            pictures,
            judge: Judge::new(&parts.corpus),
            uploads: Arc::new(Semaphore::new(parts.limits.uploads)),
            thumbnails: Semaphore::new(parts.limits.thumbnails),
            listeners: Arc::new(Semaphore::new(parts.limits.listeners)),
            pace: Pace::new(parts.limits.bearers, parts.limits.strangers),
            reading,
            parts,
        };
        Self { inner: Arc::new(inner) }
    }

    /// How the names of others are told to the one who asks; none where they are told as they are.
    async fn pseudonyms(&self, caller: &Caller) -> Result<Option<Pseudonyms>, Problem> {
        match caller.identity() {
            Some(Identity { name, role }) => Ok(self.parts.corpus.pseudonyms(name, *role).await?),
            None => Ok(None),
        }
    }

    /// The corpus at a moment, as the one who asks may see it.
    async fn seen_by(&self, caller: &Caller, moment: Moment) -> Result<Session, Problem> {
        Ok(self.reading.at(moment).await?.under(self.pseudonyms(caller).await?)?)
    }
}

/// Every path with what answers it and what the document says of that.
fn routes(limits: &Limits) -> Vec<Route> {
    let quick = |route: Route| route.within(limits.answer);
    vec![
        // As long as images come in; one alone has its limits of time and size inside.
        Route::at("/api/faces").post(faces::upload, faces::describe_upload()),
        quick(Route::at("/api/faces/{id}").get(faces::story, faces::describe_story())),
        quick(Route::at("/api/faces/{id}/image").get(image::show, image::describe_show())),
        quick(Route::at("/api/faces/{id}/similar").get(similar::show, similar::describe_show())),
        quick(Route::at("/api/queue").get(queue::take, queue::describe_take())),
        quick(
            Route::at("/api/leases")
                .post(leases::extend, leases::describe_extend())
                .delete(leases::release, leases::describe_release()),
        ),
        quick(Route::at("/api/labels").post(labels::submit, labels::describe_submit())),
        quick(Route::at("/api/labels/{id}").delete(retractions::one, retractions::describe_one())),
        quick(Route::at("/api/retractions").post(retractions::several, retractions::describe_several())),
        quick(Route::at("/api/flags").get(flags::list, flags::describe_list()).post(flags::set, flags::describe_set())),
        quick(Route::at("/api/flags/{id}").delete(flags::take_off, flags::describe_take_off())),
        quick(Route::at("/api/queries").get(queries::list, queries::describe_list())),
        quick(
            Route::at("/api/queries/{name}")
                .put(queries::save, queries::describe_save())
                .delete(queries::remove, queries::describe_remove()),
        ),
        quick(
            Route::at("/api/rounds")
                .get(rounds::list, rounds::describe_list())
                .post(rounds::start, rounds::describe_start()),
        ),
        quick(Route::at("/api/rounds/current").delete(rounds::stop, rounds::describe_stop())),
        quick(Route::at("/api/rounds/{round}").get(rounds::one, rounds::describe_one())),
        quick(Route::at("/api/map").get(map::show, map::describe_show())),
        quick(Route::at("/api/status").get(status::show, status::describe_show())),
        quick(
            Route::at("/api/session")
                .get(session::show, session::describe_show())
                .post(session::begin, session::describe_begin())
                .delete(session::end, session::describe_end()),
        ),
        Route::at("/api/sql").post(sql::answer, sql::describe_answer()),
        Route::at("/api/events").get(events::listen, events::describe_listen()),
        Route::at("/api/openapi.json").get(openapi::show, openapi::describe_show()),
        quick(Route::at("/metrics").get(metrics::show, metrics::describe_show())),
        Route::at("/healthz").get(health::alive, health::describe_alive()),
        quick(Route::at("/readyz").get(health::ready, health::describe_ready())),
    ]
}

/// Paths that the API answers, as the router has them.
pub fn paths() -> Vec<&'static str> {
    routes(&Limits::default()).into_iter().map(|route| route.path).collect()
}

/// The API as a router.
pub fn router(parts: Parts) -> Router {
    let limits = parts.limits.clone();
    let api = Api::new(parts);
    let routes = routes(&limits).into_iter();
    let router = routes.fold(Router::new(), |router, route| router.route(route.path, route.methods));
    router
        .fallback(page::show)
        .layer(DefaultBodyLimit::max(JSON_BYTES))
        .layer(from_fn_with_state(api.clone(), gate::pass))
        .layer(from_fn(panics::catch))
        .layer(from_fn_with_state(api.clone(), metrics::measure))
        .layer(CompressionLayer::new().compress_when(compressible()))
        .layer(from_fn(with_headers))
        .layer(from_fn(problem::render))
        .with_state(api)
}

/// Runs work to its end, though its client may leave or lose patience: what has begun to be written is not given up in
/// the middle, where nobody could say what became of it.
async fn to_the_end<T, W>(work: W) -> Result<T, Problem>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Problem>> + Send + 'static,
{
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::Internal { what: format!("a request ended early ({error})") }.into()),
    }
}

/// Text of some length. Images are compressed already; streams must flow.
fn compressible() -> impl Predicate {
    SizeAbove::new(1024)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new(sql::ARROW_STREAM))
}

/// Headers of every answer, where it does not say otherwise itself: nothing of the API is a page, may be embedded
/// elsewhere, guessed at, or kept.
async fn with_headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
            ),
        ),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}
