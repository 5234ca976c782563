//! What requests and answers look like, from the types themselves.
//!
//! In: types with [`JsonSchema`], as handlers read and write them. Out: their schemas; those that have a name of their
//! own lie among the document's components and are referred to. What is read and what is written are two things: a
//! field that may be left out of a request stands as null in an answer.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

/// Makes the schema of one type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The shape of a type, as a reference where the type has a name in the document.
pub(super) fn of<T: JsonSchema>() -> Shape {
    SchemaGenerator::subschema_for::<T>
}

/// The fields of a type, each of which is a parameter.
pub(super) fn fields<T: JsonSchema>() -> Shape {
    T::json_schema
}

/// Makes schemas, and keeps those that are referred to.
pub(super) struct Shapes {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Shapes {
    /// None yet.
    pub fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            requests: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }

    /// The schema of what a request holds.
    pub fn read(&mut self, shape: Shape) -> Value {
        shape(&mut self.requests).to_value()
    }

    /// The schema of what an answer holds.
    pub fn written(&mut self, shape: Shape) -> Value {
        shape(&mut self.answers).to_value()
    }

    /// Parameters in the query or the path: the fields of what a handler reads from there.
    pub fn parameters(&mut self, place: &str, fields: Shape) -> Vec<Value> {
        let mut fields = self.read(fields);
        let required = fields.get("required").cloned().unwrap_or_default();
        let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|known| known == name));
        let Some(Value::Object(properties)) = fields.get_mut("properties").map(Value::take) else { return Vec::new() };
        let parameter = |(name, schema): (String, Value)| parameter(place, is_required(&name), name, schema);
        properties.into_iter().map(parameter).collect()
    }

    /// The schemas that are referred to, by name. One that is both read and written looks the same in both.
    pub fn components(mut self) -> Map<String, Value> {
        let mut components = self.requests.take_definitions(false);
        for (name, schema) in self.answers.take_definitions(false) {
            let known = components.entry(name).or_insert_with(|| schema.clone());
            debug_assert_eq!(*known, schema, "one name for two schemas");
        }
        components
    }
}

fn parameter(place: &str, is_required: bool, name: String, mut schema: Value) -> Value {
    let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    without_null(&mut schema);
    let mut parameter = Map::from_iter([("name".to_owned(), name.into()), ("in".to_owned(), place.into())]);
    if is_required {
        parameter.insert("required".to_owned(), true.into());
    }
    parameter.extend(description.map(|description| ("description".to_owned(), description)));
    parameter.insert("schema".to_owned(), schema);
    parameter.into()
}

/// What may be left out of a query is left out: the text `null` is no null.
fn without_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            schema["type"] = only.clone();
        }
    }
}

/// For an enum without tags whose variants have no object in common: exactly one of them fits.
pub(super) fn one_of(schema: &mut Schema) {
    if let Some(variants) = schema.remove("anyOf") {
        schema.insert("oneOf".to_owned(), variants);
    }
}

/// Widths of Rust's numbers as bounds, which everybody checks, instead of formats, which nobody knows.
pub(super) fn bound_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(bound_numbers),
        Value::Object(members) => {
            let format = members.get("format").and_then(Value::as_str).unwrap_or_default().to_owned();
            if ["uint", "uint16", "uint32", "uint64", "float", "double"].contains(&format.as_str()) {
                members.remove("format");
            }
            if format == "uint32" && !members.contains_key("enum") {
                members.entry("maximum").or_insert_with(|| u32::MAX.into());
            }
            members.values_mut().for_each(bound_numbers);
        }
        _ => {}
    }
}
