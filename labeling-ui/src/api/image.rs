//! `GET /api/faces/{id}/image`: the bytes as they came, or small.
//!
//! A face's id is the hash of its bytes, so the answer never changes: it is kept by the client for good, and its tag is the
//! id. The type is what admission saw in the bytes, never what somebody said.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use marginalia_store::tables::faces::Face;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::faces::OfFace;
use super::operation::Operation;
use super::problem::Problem;
use super::{Api, tags};

/// Widths that are made: few, so that caches hold what they are asked for.
const WIDTHS: [u32; 4] = [48, 96, 192, 384];
/// What an image comes as.
const TYPES: [&str; 5] = ["image/jpeg", "image/png", "image/webp", "image/bmp", OTHER_TYPE];
/// What comes of bytes that nobody knows.
const OTHER_TYPE: &str = "application/octet-stream";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    /// Pixels that the image is at most wide and high; without it the image comes as it is.
    #[schemars(extend("enum" = WIDTHS))]
    w: Option<u32>,
}

/// `GET /api/faces/{id}/image`.
pub(super) fn describe_show() -> Operation {
    let summary = "The bytes as they came, or a PNG no larger than w. Never changes: the face's id is the hash of its \
                   bytes, and the ETag.";
    Operation::new("image", summary)
        .path::<OfFace>()
        .query::<Size>()
        .header("If-None-Match", "ETags of what the client has.", json!({ "type": "string" }))
        .answers_in(200, "The image, of the type that its bytes have.", &TYPES)
        .bearing("ETag", "The face's id, and w where it was given.")
        .answers_empty(304, "The client has it.")
        .problem(404, "No such face.")
}

/// Shows the image.
pub(super) async fn show(
    State(api): State<Api>,
    Path(OfFace { id: face_id }): Path<OfFace>,
    Query(size): Query<Size>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(width) = size.w.filter(|width| !WIDTHS.contains(width)) {
        let known = WIDTHS.map(|width| width.to_string()).join(", ");
        let detail = format!("w is {width}; there are {known}, and without w the image as it came.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_width", detail));
    }
    // Read even where the client has it: a face that was forgotten is not vouched for.
    let face = api.pictures.face(&face_id).await?;
    let tag = match size.w {
        Some(width) => format!("\"{face_id}-{width}\""),
        None => format!("\"{face_id}\""),
    };
    if tags::has(&headers, &tag) {
        return Ok(kept(StatusCode::NOT_MODIFIED.into_response(), &tag));
    }
    if let Some(width) = size.w.filter(|width| face.width.max(face.height) > *width)
        && let Some(small) = thumbnail(&api, &face, width).await?
    {
        return Ok(kept(([(header::CONTENT_TYPE, "image/png")], small).into_response(), &tag));
    }
    let content_type = match face.format.as_str() {
        "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        _ => OTHER_TYPE,
    };
    Ok(kept(([(header::CONTENT_TYPE, content_type)], face.image.clone()).into_response(), &tag))
}

async fn thumbnail(api: &Api, face: &Face, width: u32) -> Result<Option<Bytes>, Problem> {
    let make = async {
        // Decoded images are large: only so many at once. The semaphore is never closed.
        let _permit = api.thumbnails.acquire().await;
        api.parts.admission.thumbnail(face.image.clone(), width).await
    };
    Ok(api.pictures.small(face, width, make).await?)
}

fn kept(mut response: Response, tag: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    // Private: a face is not for caches between.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    response
}
