//! One path of the API: what answers its methods, together with what the document says of them.
//!
//! A method has a handler and a description or neither, so nothing is answered that the document does not name; and the
//! role that a description names is asked for here, before the handler runs.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use tower_http::timeout::TimeoutLayer;

use super::Api;
use super::caller::Caller;
use super::operation::Operation;
use super::problem::Problem;
use crate::access::Role;

/// A path with its methods.
pub(super) struct Route {
    pub path: &'static str,
    pub methods: MethodRouter<Api>,
    /// What is said of each method, by its name in the document.
    pub operations: Vec<(&'static str, Operation)>,
}

impl Route {
    /// A path that nothing answers yet.
    pub fn at(path: &'static str) -> Self {
        Self { path, methods: MethodRouter::new(), operations: Vec::new() }
    }

    /// Answers `GET`, and `HEAD` with it.
    pub fn get<H: Handler<T, Api>, T: 'static>(self, handler: H, operation: Operation) -> Self {
        self.on(MethodFilter::GET, "get", handler, operation)
    }

    /// Answers `POST`.
    pub fn post<H: Handler<T, Api>, T: 'static>(self, handler: H, operation: Operation) -> Self {
        self.on(MethodFilter::POST, "post", handler, operation)
    }

    /// Answers `PUT`.
    pub fn put<H: Handler<T, Api>, T: 'static>(self, handler: H, operation: Operation) -> Self {
        self.on(MethodFilter::PUT, "put", handler, operation)
    }

    /// Answers `DELETE`.
    pub fn delete<H: Handler<T, Api>, T: 'static>(self, handler: H, operation: Operation) -> Self {
        self.on(MethodFilter::DELETE, "delete", handler, operation)
    }

    fn on<H, T>(mut self, filter: MethodFilter, method: &'static str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let mut answering = on(filter, handler);
        if let Some(role) = operation.needs_role() {
            answering = answering.route_layer(from_fn_with_state(role, require));
        }
        self.methods = self.methods.merge(answering);
        self.operations.push((method, operation));
        self
    }

    /// Begins to answer within this time, or says that it took too long.
    pub fn within(self, time: Duration) -> Self {
        let limit = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time);
        Self { methods: self.methods.layer(limit), ..self }
    }
}

/// Lets those through who have the role.
async fn require(
    State(role): State<Role>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    caller.require(role)?;
    Ok(next.run(request).await)
}
