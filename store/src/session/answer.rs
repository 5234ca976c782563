//! An answer: batches that arrive from the SQL threads through a bounded channel.
//!
//! In: a plan to run. Out: batches, an error or the end, never later than the deadline. Dropping an answer stops its query.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::LineDelimitedWriter;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::runtime::{Origin, Running, SqlRuntime};
use crate::error::{Error, Result};
use crate::guard;

/// Batches on their way to the reader.
const BATCHES_WAITING: usize = 2;
/// How long a query may wait for a thread.
const START_WAIT: Duration = Duration::from_secs(5);
/// How much of a text is repeated in messages about it.
const TEXT_SHOWN: usize = 200;

/// How long a statement of somebody's may take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When it came in.
    pub begun: Instant,
    /// Time for all of it or, where it is read in steps, for its beginning.
    pub timeout: Duration,
    /// How long an answer that is read in steps may be held open; each step has its own time ([`Answer::next_by`]).
    pub held: Option<Duration>,
}

impl Pace {
    /// All of it within this time from now.
    pub fn within(timeout: Duration) -> Self {
        Self { begun: Instant::now(), timeout, held: None }
    }

    /// When a step that begins with the statement must have ended.
    pub fn until(&self) -> Instant {
        self.begun + self.timeout
    }
}

/// When a query must have ended.
#[derive(Clone)]
pub(super) struct Deadline {
    /// By when there must be a plan.
    planned: Instant,
    at: Instant,
    timeout: Duration,
    /// Whether the answer is read in steps.
    is_held: bool,
    pub(super) running: Arc<Running>,
}

impl Deadline {
    pub(super) fn new(pace: Pace, running: Arc<Running>) -> Self {
        let timeout = pace.held.unwrap_or(pace.timeout);
        let is_held = pace.held.is_some();
        Self { planned: pace.until(), at: pace.begun + timeout, timeout: pace.timeout, is_held, running }
    }

    fn passed(&self, sql: &str) -> Error {
        self.running.set_overdue();
        tracing::warn!(sql = shown(sql), seconds = self.timeout.as_secs_f64(), "a query passed its deadline");
        Error::QueryTimeout { seconds: self.timeout.as_secs() }
    }
}

/// What is to be run, and how far.
pub(super) struct Work {
    pub(super) sql: String,
    pub(super) max_rows: Option<usize>,
    pub(super) deadline: Option<Deadline>,
}

/// The rows that answer a query, batch by batch.
pub struct Answer {
    /// Columns of every batch.
    pub schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch>>,
    task: Option<AbortOnDropHandle<()>>,
    deadline: Option<Deadline>,
    truncated: Arc<AtomicBool>,
    sql: String,
}

impl Answer {
    /// Plans on the SQL threads and returns once the first batch can be asked for. One with a deadline first waits for its
    /// turn, for half of its time at most.
    pub(super) async fn start<P>(runtime: &SqlRuntime, origin: Origin, work: Work, plan: P) -> Result<Self>
    where
        P: Future<Output = Result<SendableRecordBatchStream>> + Send + 'static,
    {
        let Work { sql, max_rows, deadline } = work;
        let (started, start) = oneshot::channel();
        let (planned, schema) = oneshot::channel();
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let truncated = Arc::new(AtomicBool::new(false));
        let place = match &deadline {
            Some(deadline) => Some(Place::wait(runtime, deadline).await?),
            None => None,
        };
        let task = Task { planned, sender, max_rows, truncated: truncated.clone(), place };
        let (at, by) = (deadline.as_ref().map(|d| d.at), deadline.as_ref().map(|d| d.planned));
        let task = runtime.handle(origin).spawn(async move {
            // Nobody to tell means that nobody waits any more.
            let _ = started.send(());
            let run = task.run(plan);
            match at {
                // Ends even if the reader holds the answer and asks for nothing.
                Some(at) => drop(timeout_at(at, run).await),
                None => run.await,
            }
        });
        let mut task = AbortOnDropHandle::new(task);
        wait_for_thread(runtime, by, start).await?;
        let schema = match &deadline {
            Some(deadline) => timeout_at(deadline.planned, schema).await.map_err(|_| deadline.passed(&sql))?,
            None => schema.await,
        };
        match schema {
            Ok(schema) => Ok(Self { schema: schema?, batches, task: Some(task), deadline, truncated, sql }),
            // The task ended without a word: it panicked, or the deadline fell inside its planning.
            Err(_) => Err(match ((&mut task).await, &deadline) {
                (Ok(()), Some(deadline)) => deadline.passed(&sql),
                (ended, _) => died(ended, &sql),
            }),
        }
    }

    /// The next batch, or none at the end.
    ///
    /// # Errors
    /// As [`Session::query`](super::Session::query); after an error the answer has ended.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.next_until(None).await
    }

    /// The same, by then: one step of an answer that is read in steps.
    pub async fn next_by(&mut self, step: Instant) -> Result<Option<RecordBatch>> {
        self.next_until(Some(step)).await
    }

    async fn next_until(&mut self, step: Option<Instant>) -> Result<Option<RecordBatch>> {
        let received = match &self.deadline {
            Some(deadline) => {
                let by = step.map_or(deadline.at, |step| step.min(deadline.at));
                let Ok(received) = timeout_at(by, self.batches.recv()).await else {
                    let error = deadline.passed(&self.sql);
                    self.end();
                    return Err(error);
                };
                received
            }
            None => self.batches.recv().await,
        };
        match received {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => {
                self.end();
                Err(error)
            }
            None => self.finish().await,
        }
    }

    /// Whether rows were left out because of the row limit; known once the last batch was read.
    pub fn is_truncated(&self) -> bool {
        self.truncated.load(Ordering::Relaxed)
    }

    /// All batches.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }

    /// All rows as values of `T`, fields by column name. Times are microseconds since 1970 (UTC), bytes hexadecimal.
    pub async fn rows<T: DeserializeOwned>(mut self) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        while let Some(batch) = self.next_rows().await? {
            rows.extend(batch);
        }
        Ok(rows)
    }

    /// The next batch as values of `T`, as [`Answer::rows`] does it.
    pub async fn next_rows<T: DeserializeOwned>(&mut self) -> Result<Option<Vec<T>>> {
        let Some(batch) = self.next().await? else { return Ok(None) };
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(&times_as_numbers(&batch)?)?;
        let json = writer.into_inner();
        let what = || format!("a row of the answer to {}", shown(&self.sql));
        let rows = serde_json::Deserializer::from_slice(&json).into_iter();
        let rows = rows.map(|row| row.map_err(|source| Error::Unreadable { what: what(), source }));
        rows.collect::<Result<Vec<T>>>().map(Some)
    }

    /// The batches as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        futures::stream::try_unfold(
            self,
            |mut answer| async move { Ok(answer.next().await?.map(|batch| (batch, answer))) },
        )
    }

    /// The channel is closed: by the end of the rows, by the deadline inside the task, or by a panic.
    async fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let Some(task) = self.task.take() else { return Ok(None) };
        let ended = task.await;
        match &self.deadline {
            _ if ended.is_err() => Err(died(ended, &self.sql)),
            Some(deadline) if Instant::now() >= deadline.at => Err(deadline.passed(&self.sql)),
            _ => Ok(None),
        }
    }

    fn end(&mut self) {
        self.task = None;
        self.batches.close();
    }
}

/// The side of an answer that runs on the SQL threads.
struct Task {
    planned: oneshot::Sender<Result<SchemaRef>>,
    sender: mpsc::Sender<Result<RecordBatch>>,
    max_rows: Option<usize>,
    truncated: Arc<AtomicBool>,
    place: Option<Place>,
}

/// A query's place among those that run.
struct Place {
    _permit: OwnedSemaphorePermit,
    /// Given back with the first rows: nobody knows when an answer that is read in steps is read on, and most of the memory
    /// that a query needs it needs before them.
    is_brief: bool,
}

impl Place {
    async fn wait(runtime: &SqlRuntime, deadline: &Deadline) -> Result<Self> {
        let wait = deadline.timeout / 2;
        match runtime.place(wait).await {
            Some(permit) => Ok(Self { _permit: permit, is_brief: deadline.is_held }),
            None if runtime.lingering() > 0 => Err(no_thread(runtime)),
            None => Err(Error::QueryTurnedAway(wait.as_secs())),
        }
    }
}

impl Task {
    async fn run(mut self, plan: impl Future<Output = Result<SendableRecordBatchStream>>) {
        let mut stream = match plan.await {
            Ok(stream) => stream,
            Err(error) => return drop(self.planned.send(Err(error))),
        };
        let _ = self.planned.send(Ok(stream.schema()));
        let mut left = self.max_rows.unwrap_or(usize::MAX);
        while let Some(batch) = stream.next().await {
            let batch = match batch {
                Ok(batch) if batch.num_rows() > left => {
                    self.truncated.store(true, Ordering::Relaxed);
                    Ok(batch.slice(0, left))
                }
                Ok(batch) => Ok(batch),
                Err(error) => Err(guard::failed(error)),
            };
            let last = batch.is_err() || self.truncated.load(Ordering::Relaxed);
            left -= batch.as_ref().map_or(0, RecordBatch::num_rows);
            self.place.take_if(|place| place.is_brief);
            let empty = batch.as_ref().is_ok_and(|batch| batch.num_rows() == 0);
            // A closed channel: the reader has gone.
            if (!empty && self.sender.send(batch).await.is_err()) || last {
                return;
            }
        }
    }
}

/// Runs what comes before a plan of people's, on their threads and by the deadline.
pub(super) async fn plan<T, F>(runtime: &SqlRuntime, sql: &str, deadline: Deadline, work: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (started, start) = oneshot::channel();
    let (by, running) = (deadline.planned, deadline.running.clone());
    let task = runtime.handle(Origin::People).spawn(async move {
        let _ = started.send(());
        // Held as long as the thread is.
        let _running = running;
        timeout_at(by, work).await.ok()
    });
    let mut task = AbortOnDropHandle::new(task);
    wait_for_thread(runtime, Some(by), start).await?;
    match timeout_at(by, &mut task).await {
        Ok(Ok(Some(planned))) => planned,
        Ok(Ok(None)) | Err(_) => Err(deadline.passed(sql)),
        Ok(Err(ended)) => Err(died(Err(ended), sql)),
    }
}

/// Waits until the task has a thread.
async fn wait_for_thread(runtime: &SqlRuntime, by: Option<Instant>, start: oneshot::Receiver<()>) -> Result<()> {
    let wait = Instant::now() + START_WAIT;
    match timeout_at(by.map_or(wait, |by| by.min(wait)), start).await {
        Ok(_) => Ok(()),
        Err(_) => Err(no_thread(runtime)),
    }
}

/// Runs something of the program's own on the SQL threads; `what` names it if it panics.
pub(super) async fn run<T, F>(handle: &Handle, what: &str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let task = AbortOnDropHandle::new(handle.spawn(work));
    match task.await {
        Ok(result) => result,
        Err(error) => Err(died(Err(error), what)),
    }
}

fn no_thread(runtime: &SqlRuntime) -> Error {
    let (threads, lingering) = (runtime.threads(), runtime.lingering());
    Error::QueryRefused {
        reason: format!(
            "all {threads} SQL threads are busy, {lingering} queries are past their deadline and still running; try again \
             later, or restart this process to be rid of them"
        ),
    }
}

/// The task ended without an answer of its own.
fn died(ended: std::result::Result<(), JoinError>, sql: &str) -> Error {
    let panic = match ended.map_err(JoinError::try_into_panic) {
        Err(Ok(panic)) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast::<&str>().map_or("panic".to_owned(), |text| (*text).to_owned()),
        },
        _ => "it was stopped".to_owned(),
    };
    // Arrow's own words where one column of a batch would pass 2 GB.
    if panic.contains("offset overflow") || panic.contains("capacity overflow") {
        return Error::QueryTooLarge { reason: format!("its values are too large for one batch ({panic})") };
    }
    Error::Internal { what: format!("the SQL engine failed ({panic}) on: {}", shown(sql)) }
}

fn shown(sql: &str) -> String {
    match sql.char_indices().nth(TEXT_SHOWN) {
        Some((end, _)) => format!("{}…", &sql[..end]),
        None => sql.to_owned(),
    }
}

/// Times as the program's own type reads them.
fn times_as_numbers(batch: &RecordBatch) -> Result<RecordBatch> {
    let mut fields: Vec<Field> = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let (data_type, column) = match field.data_type() {
            DataType::Timestamp(_, zone) => {
                let micros = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone.clone());
                (DataType::Int64, cast(&cast(column, &micros)?, &DataType::Int64)?)
            }
            other => (other.clone(), column.clone()),
        };
        fields.push(field.as_ref().clone().with_data_type(data_type));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
