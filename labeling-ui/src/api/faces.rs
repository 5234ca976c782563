//! `/api/faces`: images come in, through the same admission as the watched folders; a face tells its story.
//!
//! One image is the body itself; any number are the parts of `multipart/form-data` or the files of a tar, which are
//! taken in as they arrive. Acknowledged after the commit. What admission refuses is a row in `rejects` and a reason in
//! the answer.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use marginalia_store::Moment;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::arriving::{Batches, File};
use super::body::essence;
use super::caller::{Asker, Caller};
use super::operation::Operation;
use super::problem::{Problem, RequestId};
use super::uploaded::{Image, MOST_NAMED, Sender, Uploaded, tidy};
use super::{Api, archive, form, to_the_end};
use crate::access::Role;
use crate::admission::{Admitted, Upload};
use crate::error::Error;
use crate::face_id::FaceId;
use crate::story::Story;

/// Types of a body that is one image. What it is in truth admission sees from the bytes.
const IMAGE_TYPES: [&str; 6] =
    ["image/jpeg", "image/png", "image/webp", "image/bmp", "image/x-ms-bmp", "application/octet-stream"];

/// Types of a body that is a tar.
const ARCHIVE_TYPES: [&str; 2] = ["application/x-tar", "application/tar"];

/// The type of a body that holds several images as its parts.
const FORM_TYPE: &str = "multipart/form-data";

/// The face that a path names.
#[derive(Deserialize, JsonSchema)]
pub(super) struct OfFace {
    #[schemars(with = "FaceId")]
    pub id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// Stream of new faces.
    #[serde(default = "upload_stream")]
    stream: String,
    /// What the image is called, for `sightings` and `rejects`, where it is the body.
    name: Option<String>,
}

fn upload_stream() -> String {
    "upload".to_owned()
}

/// `POST /api/faces`.
pub(super) fn describe_upload() -> Operation {
    let summary = "Take in one image (the body), or any number, as they arrive (the parts of multipart/form-data, the \
                   files of a tar). Acknowledged after the commit.";
    Operation::new("uploadFaces", summary)
        .role(Role::Admin)
        .query::<About>()
        .takes(&IMAGE_TYPES)
        .takes(&ARCHIVE_TYPES)
        .takes_shaped(FORM_TYPE, files_by_name)
        .answers::<Uploaded>(200, "Known.")
        .bearing("Location", "Of one image: where its face is.")
        .answers::<Uploaded>(201, "New, or some of several are.")
        .bearing("Location", "Of one image: where its face is.")
        .problem(400, "Several images break off, or too little of them comes for too long. What came before is in.")
        .problem(413, "An image that is larger than is taken.")
        .problem(415, "Not an image by its type.")
        .problem(422, "Refused by admission, with the reason; a row in `rejects` too.")
        .problem(429, "Too many uploads are under way; Retry-After says when.")
        .problem(503, "The image took too long to arrive.")
        .problem(507, "No room for new faces; labels still fit.")
}

fn files_by_name(_: &mut SchemaGenerator) -> Schema {
    let file = json!({ "type": "string", "contentMediaType": "application/octet-stream" });
    json_schema!({ "type": "object", "additionalProperties": file })
}

/// `GET /api/faces/{id}`.
pub(super) fn describe_story() -> Operation {
    let summary = "A face's whole story: where it was seen, what rounds and people said, where it stands. What others \
                   said of a face in the queue is kept back until the annotator who asks has judged it.";
    Operation::new("face", summary)
        .path::<OfFace>()
        .query::<Asker>()
        .answers::<Story>(200, "The story.")
        .problem(404, "No such face.")
}

/// Takes images in.
pub(super) async fn upload(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    Query(about): Query<About>,
    request: Request,
) -> Result<Response, Problem> {
    // Before any of the body is read: this is what bounds memory.
    let permit = api.uploads.clone().try_acquire_owned().map_err(|_| {
        let detail =
            format!("{} uploads are under way, which is all that are taken at once.", api.parts.limits.uploads);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", detail).retry_after(1)
    })?;
    let sender = Sender { name: caller.name(), stream: tidy(&about.stream) };
    let limits = &api.parts.limits;
    let essence = essence(request.headers()).unwrap_or_default();
    if ARCHIVE_TYPES.contains(&essence.as_str()) {
        let files = archive::files(request.into_body(), limits.image_bytes, limits.answer);
        return several(&api, files, "bad_archive", &sender, permit).await;
    }
    if essence == FORM_TYPE {
        let files = form::files(request, &request_id.0, limits).await?;
        return several(&api, files, "bad_multipart", &sender, permit).await;
    }
    if !IMAGE_TYPES.contains(&essence.as_str()) {
        let images = IMAGE_TYPES.join(", ");
        let detail = format!("Send an image ({images}), or several as multipart/form-data or application/x-tar.");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let taken = async {
        let image = one_image(&api, request).await?;
        let name = about.name.as_deref().unwrap_or(&request_id.0);
        one(admit(&api, vec![sender.upload(sender.source(name), image)], permit).await?)
    };
    let in_time = tokio::time::timeout(limits.answer, taken).await;
    in_time.unwrap_or_else(|_| Err(Problem::from_status(StatusCode::SERVICE_UNAVAILABLE)))
}

/// All that is known about a face.
pub(super) async fn story(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(OfFace { id }): Path<OfFace>,
    Query(asker): Query<Asker>,
) -> Result<Json<Story>, Problem> {
    let asker = caller.looker(asker.annotator.as_deref())?;
    let session = api.seen_by(&caller, Moment::Now).await?;
    Ok(Json(Story::tell(&session, &id, asker.as_deref()).await?))
}

/// What several images came to.
#[derive(Default)]
struct Tally {
    new: usize,
    known: usize,
    refused: usize,
    images: Vec<Image>,
}

impl Tally {
    /// Takes one batch in, in one commit.
    async fn take(
        &mut self,
        api: &Api,
        files: Vec<File>,
        sender: &Sender<'_>,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<(), Problem> {
        let (mut uploads, mut sources) = (Vec::new(), Vec::new());
        for File { name, image } in files {
            let source = sender.source(&name);
            sources.push((source.clone(), image.is_some()));
            uploads.extend(image.map(|image| sender.upload(source, image)));
        }
        let admitted = if uploads.is_empty() { Vec::new() } else { admit(api, uploads, permit.clone()).await? };
        let mut admitted = admitted.into_iter();
        for (source, is_whole) in sources {
            let outcome = if is_whole { admitted.next() } else { None };
            self.add(source, outcome.unwrap_or_else(|| refused_for_its_size(api)));
        }
        Ok(())
    }

    fn add(&mut self, source: String, admitted: Admitted) {
        match &admitted {
            Admitted::Face { is_new: true, .. } => self.new += 1,
            Admitted::Face { .. } => self.known += 1,
            Admitted::Refused { .. } => self.refused += 1,
        }
        if self.images.len() < MOST_NAMED {
            self.images.push(Image::of(source, admitted));
        }
    }

    /// A problem with what it came to all the same.
    fn told_in(self, problem: Problem) -> Problem {
        let counts = [("new", self.new), ("known", self.known), ("refused", self.refused)];
        let problem = counts.into_iter().fold(problem, |problem, (key, count)| problem.with(key, count));
        problem.with("images", json!(self.images))
    }
}

fn refused_for_its_size(api: &Api) -> Admitted {
    let reason = format!("larger than {} MB (ingest.max_file_mb)", api.parts.limits.image_bytes >> 20);
    Admitted::Refused { code: "too_large".to_owned(), reason }
}

/// Takes files in as they arrive, a batch at a time, each in one commit: 201 where one is new, 200 where all are known
/// or some refused, and a problem where all are refused.
async fn several(
    api: &Api,
    mut batches: Batches,
    broken: &'static str,
    sender: &Sender<'_>,
    permit: OwnedSemaphorePermit,
) -> Result<Response, Problem> {
    let permit = Arc::new(permit);
    let mut tally = Tally::default();
    while let Some(batch) = batches.recv().await {
        let files = match batch {
            Ok(files) => files,
            Err(error) => {
                let detail = format!(
                    "The body breaks off ({error}). What came before is in; send it again, and what is in is known."
                );
                return Err(tally.told_in(Problem::new(StatusCode::BAD_REQUEST, broken, detail)));
            }
        };
        tally.take(api, files, sender, &permit).await?;
    }
    let status = match (tally.new, tally.known, tally.refused) {
        (0, 0, 0) => return Err(Problem::new(StatusCode::BAD_REQUEST, "no_images", "There is no image in the body.")),
        (0, 0, _) => {
            let detail = "None of the images was let in.";
            return Err(tally.told_in(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", detail)));
        }
        (0, ..) => StatusCode::OK,
        _ => StatusCode::CREATED,
    };
    let Tally { new, known, refused, images } = tally;
    Ok((status, Json(Uploaded::Several { new, known, refused, images })).into_response())
}

/// The body as one image.
async fn one_image(api: &Api, mut request: Request) -> Result<Vec<u8>, Problem> {
    DefaultBodyLimit::max(api.parts.limits.image_bytes).apply(&mut request);
    match Bytes::from_request(request, api).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large(api)),
        Err(rejection) => Err(Problem::new(rejection.status(), "bad_body", rejection.body_text())),
    }
}

fn too_large(api: &Api) -> Problem {
    let megabytes = api.parts.limits.image_bytes >> 20;
    let detail = format!("An image may have {megabytes} MB (ingest.max_file_mb).");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// Admits, and tells of the faces that are new.
async fn admit<P>(api: &Api, uploads: Vec<Upload>, permit: P) -> Result<Vec<Admitted>, Problem>
where
    P: Send + 'static,
{
    let api = api.clone();
    to_the_end(async move {
        let sent = uploads.len();
        let admitted = api.parts.admission.admit(uploads).await?;
        drop(permit);
        if admitted.len() != sent {
            return Err(Error::Internal { what: format!("{sent} images came to {} outcomes", admitted.len()) }.into());
        }
        let new = admitted.iter().filter_map(|admitted| match admitted {
            Admitted::Face { face_id, is_new: true } => Some(face_id),
            _ => None,
        });
        let new: Vec<&String> = new.collect();
        let refused = admitted.iter().filter(|admitted| matches!(admitted, Admitted::Refused { .. })).count();
        let outcomes = [("new", new.len()), ("repeat", sent - new.len() - refused), ("rejected", refused)];
        for (outcome, count) in outcomes {
            api.parts.metrics.inputs("http", outcome, count as u64);
        }
        if !new.is_empty() {
            api.parts.events.tell("faces", &json!({ "face_ids": new }));
        }
        Ok(admitted)
    })
    .await
}

fn one(admitted: Vec<Admitted>) -> Result<Response, Problem> {
    match admitted.into_iter().next() {
        Some(Admitted::Face { face_id, is_new }) => {
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            let location = HeaderValue::from_str(&format!("/api/faces/{face_id}"));
            let mut response = (status, Json(Uploaded::One { face_id, new: is_new })).into_response();
            if let Ok(location) = location {
                response.headers_mut().insert(header::LOCATION, location);
            }
            Ok(response)
        }
        Some(Admitted::Refused { code, reason }) => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", reason);
            Err(problem.with("reason", code))
        }
        None => Err(Error::Internal { what: "an image came to nothing".to_owned() }.into()),
    }
}
