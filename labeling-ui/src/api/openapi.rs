//! `GET /api/openapi.json`: the API in OpenAPI 3.1, for generators and for people.
//!
//! In: the table of routes, with what each resource's file says of its operations, and the types that its handlers read
//! and write. Out: the document, put together once. Nothing of it is written down twice: a limit in it is the constant
//! that the handler compares with, a role the one that is asked for.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::caller::Asker;
use super::faces::OfFace;
use super::gate::COOKIE;
use super::operation::Operation;
use super::problem::Details;
use super::route::Route;
use super::shapes::{self, Shapes};
use super::{Limits, routes};

/// What one has to know before anything else.
const DESCRIPTION: &str = "On loopback nobody needs a token, and requests must name this machine in Host. Beyond it \
                           every request bears `Authorization: Bearer TOKEN`. Pages of other sites are refused. Errors are \
                           application/problem+json with a stable `code`.";

/// The document.
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}", document(&routes(&Limits::default()))));

/// Shows it.
pub(super) async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// What it says of itself.
pub(super) fn describe_show() -> Operation {
    Operation::new("openapi", "This document.").answers_in(200, "The document.", &["application/json"])
}

fn document(routes: &[Route]) -> Value {
    let mut shapes = Shapes::new();
    let shared = shared_parameters(&mut shapes);
    let mut paths = Map::new();
    for route in routes {
        let operations = route.operations.iter();
        let described =
            operations.map(|(name, operation)| ((*name).to_owned(), operation.described(&mut shapes, &shared)));
        paths.insert(route.path.to_owned(), described.collect::<Map<_, _>>().into());
    }
    let problem = shapes.written(shapes::of::<Details<'static>>());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Marginalia",
            "version": "1",
            "summary": "Faces in, judgements in, questions answered.",
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{}, { "token": [] }, { "browser": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "browser": { "type": "apiKey", "in": "cookie", "name": COOKIE },
            },
            "parameters": shared.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
            "responses": {
                "Problem": {
                    "description": "What went wrong.",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "schemas": shapes.components(),
        },
    });
    shapes::bound_numbers(&mut document);
    document
}

/// Parameters that several operations have, by their names in the document.
fn shared_parameters(shapes: &mut Shapes) -> Vec<(&'static str, Value)> {
    let face = shapes.parameters("path", shapes::fields::<OfFace>());
    let annotator = shapes.parameters("query", shapes::fields::<Asker>());
    let named = |name: &'static str, parameters: Vec<Value>| parameters.into_iter().map(move |value| (name, value));
    named("face", face).chain(named("annotator", annotator)).collect()
}
