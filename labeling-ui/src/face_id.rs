//! How the id of a face looks, for the description of the API: in the program itself an id is text.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The schema of an id; fields that hold one name it.
pub(crate) struct FaceId;

impl JsonSchema for FaceId {
    fn schema_name() -> Cow<'static, str> {
        "FaceId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "BLAKE3 of the image.", "pattern": "^[0-9a-f]{64}$" })
    }
}
