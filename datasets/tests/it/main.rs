//! The crate through its public interface, in one binary.

mod admission;
mod affectnet;
mod archives;
mod choosing;
mod ck_plus;
mod classes;
mod expw;
mod fer2013;
mod ferplus;
mod files;
mod imagefolder;
mod label_studio;
mod manifest;
mod messages;
mod miniatures;
mod options;
mod oulu_casia;
mod posed;
mod published;
mod raf_db;
mod recognise;
mod sfew;
mod support;
mod synthetic;
mod tiff;
