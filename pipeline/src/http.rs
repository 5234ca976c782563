//! The HTTP server as this program runs it: the API of `labeling-ui` over an open corpus, with the pipeline's own admission.
//!
//! In: an address, an open corpus, and who scores new faces and runs rounds. Out: a port that answers until the token is
//! cancelled.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use marginalia_datasets::{Limits, Reason, Record, thumbnail};
use marginalia_labeling_ui::api::{self, Parts};
use marginalia_labeling_ui::{
    Access, Admission, Admitted as Outcome, Bounds, Events, Gate, Metrics, Rounds, Secure, Upload, listen,
    serve as serve_on, watch,
};
use marginalia_store::locks::{Lock, Purpose};
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::rejects::Reject;
use marginalia_store::tables::sightings::Sighting;
use marginalia_store::{Corpus, Timestamp};
use rayon::prelude::*;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admitting::{Admitted, Refused, admit_record};
use crate::arrivals::Arrivals;
use crate::console::{Opened, sql_limits};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::import::sighting_row;
use crate::open_files;
use crate::report::EventReader;
use crate::tls::Tls;

/// What the server works with.
#[derive(Clone)]
pub struct HttpContext {
    /// The corpus with its settings.
    pub opened: Opened,
    /// Who hears of what happens; [`Forwarder`] tells it of rounds.
    pub events: Events,
    /// What is counted; [`Meter`](crate::meter::Meter) adds what rounds and folders do.
    pub metrics: Metrics,
    /// Who scores new faces, if this process does.
    pub arrivals: Option<Arrivals>,
    /// Who runs rounds, if this process does.
    pub rounds: Option<Arc<dyn Rounds>>,
}

/// An open port for the API, and the queue's lock: the queue is handed out by one process at a time.
pub struct HttpServer {
    listener: TcpListener,
    gate: Gate,
    lock: Lock,
    secure: Option<Arc<dyn Secure>>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl HttpServer {
    /// Opens the port; port 0 takes any that is free. With a certificate it is spoken to by TLS only.
    ///
    /// # Errors
    /// An address beyond loopback while no token is good, one that cannot be listened on, or another process that serves
    /// this corpus.
    pub async fn bind(opened: &Opened, address: SocketAddr, tls: Option<&Tls>) -> Result<Self> {
        let has_tokens = opened.corpus.grants().await?.iter().any(|grant| grant.revoked_at.is_none());
        if !address.ip().is_loopback() && !has_tokens {
            return Err(Error::OpenDoor { address });
        }
        let access: Arc<dyn Access> = Arc::new(opened.corpus.clone());
        let gate = Gate::of(address, has_tokens.then_some(access))?;
        let lock = Lock::take(opened.corpus.home(), Purpose::Queue).await?;
        let listener = listen(address).await?;
        let address = listener.local_addr().map_err(Error::io(address.to_string()))?;
        let secure = tls.map(|tls| Arc::new(tls.for_http()) as Arc<dyn Secure>);
        Ok(Self { listener, gate, lock, secure, address })
    }

    /// Answers until the token is cancelled.
    pub async fn serve(self, context: &HttpContext, cancel: &CancellationToken) -> Result<()> {
        let router = api::router(parts(context, self.gate, cancel));
        let looking = tokio::spawn(watch(context.opened.corpus.clone(), context.events.clone(), cancel.clone()));
        let bounds = Bounds::of_files(open_files::raise());
        serve_on(self.listener, self.secure, router, bounds, cancel.clone()).await;
        looking.abort();
        self.lock.release().await;
        Ok(())
    }
}

/// What the API is made of, for a router without a port too.
pub fn parts(context: &HttpContext, gate: Gate, cancel: &CancellationToken) -> Parts {
    let config = &context.opened.config;
    let image_bytes = (config.ingest.max_file_mb as usize) << 20;
    let limits = api::Limits { image_bytes, ..api::Limits::default() };
    Parts {
        corpus: context.opened.corpus.clone(),
        sql: context.opened.sql.clone(),
        sql_limits: sql_limits(&config.sql),
        admission: Arc::new(Door {
            corpus: context.opened.corpus.clone(),
            limits: config.ingest.limits(),
            arrivals: context.arrivals.clone(),
        }),
        rounds: context.rounds.clone(),
        gate,
        events: context.events.clone(),
        metrics: context.metrics.clone(),
        limits,
        cancel: cancel.clone(),
    }
}

/// A reader of this process's events that tells the API's listeners of rounds and warnings. Of faces and labels they hear
/// anyway, whichever process they come from.
pub struct Forwarder(pub Events);

impl EventReader for Forwarder {
    fn read(&mut self, event: &Event) {
        use Event::{
            EpochFinished, EpochStep, GateChecked, PoolScored, RoundAborted, RoundCommitted, RoundPlanned,
            RoundRejected, RoundStarted, Warning,
        };
        match event {
            EpochStep { .. } | PoolScored { .. } => self.0.tell_in_passing("round_progress", event),
            RoundStarted { .. }
            | RoundPlanned { .. }
            | EpochFinished { .. }
            | GateChecked { .. }
            | RoundCommitted { .. }
            | RoundRejected { .. }
            | RoundAborted { .. } => self.0.tell("round", event),
            Warning { .. } => self.0.tell("warning", event),
            _ => {}
        }
    }
}

/// The door for uploads: what the watcher does with files, for images that somebody sent.
struct Door {
    corpus: Corpus,
    limits: Limits,
    arrivals: Option<Arrivals>,
}

#[async_trait]
impl Admission for Door {
    async fn admit(&self, uploads: Vec<Upload>) -> marginalia_labeling_ui::Result<Vec<Outcome>> {
        self.take_in(uploads).await.map_err(for_the_api)
    }

    async fn thumbnail(&self, image: Vec<u8>, side: u32) -> marginalia_labeling_ui::Result<Option<Vec<u8>>> {
        let limits = self.limits;
        let small = tokio::task::spawn_blocking(move || thumbnail(&image, side, &limits)).await;
        // What was admitted under other limits and does not decode under these is shown as it is.
        Ok(small.map_err(|error| for_the_api(Error::task(error)))?.unwrap_or_default())
    }
}

/// Rows of one upload, and what is to be said of each image.
#[derive(Default)]
struct Rows {
    outcomes: Vec<Outcome>,
    faces: Vec<Face>,
    /// Which outcome each of the faces is.
    places: Vec<usize>,
    sightings: Vec<Sighting>,
    rejects: Vec<Reject>,
}

impl Rows {
    fn face(&mut self, Admitted { face, record }: Admitted, now: Timestamp) {
        self.sightings.push(sighting_row(record, Some(face.face_id.clone()), now));
        self.places.push(self.outcomes.len());
        self.outcomes.push(Outcome::Face { face_id: face.face_id.clone(), is_new: false });
        self.faces.push(face);
    }

    fn refused(&mut self, refused: Refused, now: Timestamp) {
        let (code, reason) = (refused.reason.code().to_owned(), refused.reason.to_string());
        self.outcomes.push(Outcome::Refused { code, reason });
        self.rejects.push(refused.row(now));
        self.sightings.push(sighting_row(refused.record, None, now));
    }
}

impl Door {
    async fn take_in(&self, uploads: Vec<Upload>) -> Result<Vec<Outcome>> {
        let (limits, now) = (self.limits, self.corpus.log().now());
        let look = move || uploads.into_par_iter().map(|upload| admit_record(record(upload), &limits, now)).collect();
        let looked_at: Vec<std::result::Result<Admitted, Box<Refused>>> =
            tokio::task::spawn_blocking(look).await.map_err(Error::task)?;
        let ids: Vec<&str> = looked_at.iter().flatten().map(|admitted| admitted.face.face_id.as_str()).collect();
        let mut forgotten = self.corpus.forgotten(&ids).await?.into_iter();
        let mut rows = Rows::default();
        for outcome in looked_at {
            match outcome {
                Ok(Admitted { record, .. }) if forgotten.next() == Some(true) => {
                    rows.refused(Refused { record, reason: Reason::Forgotten }, now);
                }
                Ok(admitted) => rows.face(admitted, now),
                Err(refused) => rows.refused(*refused, now),
            }
        }
        self.commit(rows).await
    }

    /// Faces first: a sighting never names a face that is not there.
    async fn commit(&self, mut rows: Rows) -> Result<Vec<Outcome>> {
        if !rows.faces.is_empty() {
            let waiting = self.arrivals.as_ref().and_then(|arrivals| arrivals.keep(&rows.faces));
            let acknowledged = self.corpus.writer::<Face>().append(rows.faces).await?;
            for (place, written) in rows.places.iter().zip(&acknowledged.written) {
                if let Some(Outcome::Face { is_new, .. }) = rows.outcomes.get_mut(*place) {
                    *is_new = *written;
                }
            }
            if let Some(arrivals) = &self.arrivals {
                arrivals.announce(waiting, &acknowledged.written);
            }
        }
        if !rows.rejects.is_empty() {
            self.corpus.writer::<Reject>().append(rows.rejects).await?;
        }
        self.corpus.writer::<Sighting>().append(rows.sightings).await?;
        Ok(rows.outcomes)
    }
}

fn record(upload: Upload) -> Record {
    Record {
        source: upload.source,
        dataset: upload.stream,
        size: upload.image.len() as u64,
        image: upload.image,
        ..Record::default()
    }
}

/// The API knows the store's errors; of ours it only says that there was one.
fn for_the_api(error: Error) -> marginalia_labeling_ui::Error {
    match error {
        Error::Store(error) => error.into(),
        other => marginalia_labeling_ui::Error::Internal { what: other.to_string() },
    }
}
