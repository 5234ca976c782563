//! One operation of the API, as the document describes it.
//!
//! In: what a resource's file says beside a handler, with the types that the handler itself reads and writes. Out: the
//! operation's entry in the document. The role in it is the one that [`Route`](super::route::Route) asks for.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::shapes::{self, Shape, Shapes};
use crate::access::Role;

/// Everything that goes wrong has this form.
const PROBLEM: &str = "#/components/responses/Problem";

/// What a handler is for, what it takes, and what may come of it.
pub(super) struct Operation {
    id: &'static str,
    summary: &'static str,
    role: Option<Role>,
    needs_token: bool,
    may_fail: bool,
    parameters: Vec<Parameter>,
    body: Vec<Content>,
    answers: Vec<Answer>,
}

/// A type of content, with the shape of what is in it where that is JSON.
type Content = (&'static str, Option<Shape>);

enum Parameter {
    Fields { place: &'static str, fields: Shape },
    Header { name: &'static str, description: &'static str, schema: Value },
}

struct Answer {
    status: u16,
    description: &'static str,
    is_problem: bool,
    headers: Vec<(&'static str, &'static str)>,
    content: Vec<Content>,
}

impl Operation {
    /// An operation that anybody may ask for who is let through, and that may fail.
    pub fn new(id: &'static str, summary: &'static str) -> Self {
        let (parameters, body, answers) = Default::default();
        Self { id, summary, role: None, needs_token: true, may_fail: true, parameters, body, answers }
    }

    /// Asked for by those who have this role, or one that may do more.
    pub fn role(self, role: Role) -> Self {
        Self { role: Some(role), ..self }
    }

    /// Answered without a token too.
    pub fn without_token(self) -> Self {
        Self { needs_token: false, ..self }
    }

    /// Answered with nothing but what is named here.
    pub fn never_fails(self) -> Self {
        Self { may_fail: false, ..self }
    }

    /// The parts of the path that the handler reads as `T`.
    pub fn path<T: JsonSchema>(self) -> Self {
        self.parameter(Parameter::Fields { place: "path", fields: shapes::fields::<T>() })
    }

    /// The query that the handler reads as `T`.
    pub fn query<T: JsonSchema>(self) -> Self {
        self.parameter(Parameter::Fields { place: "query", fields: shapes::fields::<T>() })
    }

    /// A header that the handler looks at.
    pub fn header(self, name: &'static str, description: &'static str, schema: Value) -> Self {
        self.parameter(Parameter::Header { name, description, schema })
    }

    fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// A body in JSON that the handler reads as `T`.
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body.push(("application/json", Some(shapes::of::<T>())));
        self
    }

    /// Bodies of other types.
    pub fn takes(mut self, types: &[&'static str]) -> Self {
        self.body.extend(types.iter().map(|name| (*name, None)));
        self
    }

    /// A body of another type whose parts have a shape.
    pub fn takes_shaped(mut self, name: &'static str, shape: Shape) -> Self {
        self.body.push((name, Some(shape)));
        self
    }

    /// An answer in JSON, written as `T`.
    pub fn answers<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.answers_shaped(status, description, shapes::of::<T>())
    }

    /// An answer in JSON that is written piece by piece.
    pub fn answers_shaped(self, status: u16, description: &'static str, shape: Shape) -> Self {
        self.answer(status, description, vec![("application/json", Some(shape))])
    }

    /// An answer that is no JSON of ours.
    pub fn answers_in(self, status: u16, description: &'static str, types: &[&'static str]) -> Self {
        self.answer(status, description, types.iter().map(|name| (*name, None)).collect())
    }

    /// An answer without a body.
    pub fn answers_empty(self, status: u16, description: &'static str) -> Self {
        self.answer(status, description, Vec::new())
    }

    fn answer(mut self, status: u16, description: &'static str, content: Vec<Content>) -> Self {
        self.answers.push(Answer { status, description, is_problem: false, headers: Vec::new(), content });
        self
    }

    /// The last answer in another type of content, too.
    pub fn or_in(mut self, name: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.content.push((name, None));
        }
        self
    }

    /// The last answer with a header.
    pub fn bearing(mut self, name: &'static str, description: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, description));
        }
        self
    }

    /// A way to fail that clients should know of.
    pub fn problem(mut self, status: u16, description: &'static str) -> Self {
        let (headers, content) = Default::default();
        self.answers.push(Answer { status, description, is_problem: true, headers, content });
        self
    }

    /// The role that it takes.
    pub fn needs_role(&self) -> Option<Role> {
        self.role
    }

    /// Its entry in the document. Parameters that are among the `shared` ones are referred to by their names there.
    pub fn described(&self, shapes: &mut Shapes, shared: &[(&'static str, Value)]) -> Value {
        let mut entry = Map::new();
        let mut tell = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        tell("operationId", self.id.into());
        tell("summary", self.whole_summary().into());
        if !self.needs_token {
            tell("security", json!([]));
        }
        let parameters = self.parameters.iter().flat_map(|parameter| parameter.described(shapes));
        let parameters: Vec<Value> = parameters.map(|parameter| referred(parameter, shared)).collect();
        if !parameters.is_empty() {
            tell("parameters", parameters.into());
        }
        if !self.body.is_empty() {
            let content = content(&self.body, |shape| shapes.read(shape));
            tell("requestBody", json!({ "required": true, "content": content }));
        }
        let mut responses: Map<String, Value> =
            self.answers.iter().map(|answer| (answer.status.to_string(), answer.described(shapes))).collect();
        if self.may_fail {
            responses.insert("default".to_owned(), json!({ "$ref": PROBLEM }));
        }
        tell("responses", responses.into());
        entry.into()
    }

    fn whole_summary(&self) -> String {
        match self.role {
            Some(role) => format!("{} Role: {}.", self.summary, role.name()),
            None => self.summary.to_owned(),
        }
    }
}

/// A reference where the parameter is a shared one.
fn referred(parameter: Value, shared: &[(&'static str, Value)]) -> Value {
    match shared.iter().find(|(_, known)| *known == parameter) {
        Some((name, _)) => json!({ "$ref": format!("#/components/parameters/{name}") }),
        None => parameter,
    }
}

impl Parameter {
    fn described(&self, shapes: &mut Shapes) -> Vec<Value> {
        match self {
            Self::Fields { place, fields } => shapes.parameters(place, *fields),
            Self::Header { name, description, schema } => {
                vec![json!({ "name": name, "in": "header", "description": description, "schema": schema })]
            }
        }
    }
}

impl Answer {
    fn described(&self, shapes: &mut Shapes) -> Value {
        if self.is_problem {
            return json!({ "description": self.description, "$ref": PROBLEM });
        }
        let mut answer = Map::from_iter([("description".to_owned(), self.description.into())]);
        if !self.headers.is_empty() {
            let header = |(name, description): &(&str, &str)| {
                ((*name).to_owned(), json!({ "description": description, "schema": { "type": "string" } }))
            };
            answer.insert("headers".to_owned(), self.headers.iter().map(header).collect::<Map<_, _>>().into());
        }
        if !self.content.is_empty() {
            answer.insert("content".to_owned(), content(&self.content, |shape| shapes.written(shape)));
        }
        answer.into()
    }
}

fn content(types: &[Content], mut schema: impl FnMut(Shape) -> Value) -> Value {
    let described = |(name, shape): &Content| {
        let media = shape.map_or_else(|| json!({}), |shape| json!({ "schema": schema(shape) }));
        ((*name).to_owned(), media)
    };
    types.iter().map(described).collect::<Map<_, _>>().into()
}
