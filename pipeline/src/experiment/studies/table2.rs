//! Table 2 of the report: the methods trained on one data set and measured on another. Classes are matched by name, and only
//! faces of classes that both sets have are measured; the report's own table shows what comes of matching numbers.

use super::table1::{methods, six};
use super::{Kind, Study};

pub(super) const STUDY: Study = Study {
    name: "table2",
    about: "methods trained on one data set and measured on the others",
    arms: methods,
    usual: six,
    reference: "ada-cm",
    kind: Kind::Transfer,
};
