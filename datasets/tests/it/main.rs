//! The crate through its public interface, in one binary.

mod admission;
mod archives;
mod choosing;
mod classes;
mod fer2013;
mod files;
mod imagefolder;
mod label_studio;
mod manifest;
mod messages;
mod published;
mod support;
mod synthetic;
