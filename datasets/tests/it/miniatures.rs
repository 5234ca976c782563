//! A miniature of every published set in each of its forms; the file of its format makes it.

use tempfile::TempDir;

use crate::{affectnet, ck_plus, expw, ferplus, oulu_casia, posed, raf_db, sfew};

/// Format and folder of each.
pub fn sets() -> Vec<(&'static str, TempDir)> {
    vec![
        ("raf-db", raf_db::published()),
        ("raf-db", raf_db::kaggle()),
        ("affectnet", affectnet::full()),
        ("affectnet", affectnet::reduced()),
        ("ck-plus", ck_plus::sequences()),
        ("ck-plus", ck_plus::ck_48()),
        ("ferplus", ferplus::training_form()),
        ("sfew", sfew::aligned()),
        ("expw", expw::scenes()),
        ("oulu-casia", oulu_casia::sequences()),
        ("kdef", posed::kdef()),
        ("jaffe", posed::jaffe()),
    ]
}
