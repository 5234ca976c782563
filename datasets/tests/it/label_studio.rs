//! What Label Studio exports, with the shapes that its versions write.

use std::time::Duration;

use marginalia_datasets::{Classes, Error, ReadRequest, Split};

use crate::support::{Read, folder, jpeg, read, write};

fn choice(class: &str) -> String {
    format!(r#"[{{"from_name":"expression","to_name":"image","type":"choices","value":{{"choices":["{class}"]}}}}]"#)
}

fn exported(tasks: &str) -> (tempfile::TempDir, marginalia_datasets::Result<Read>) {
    let folder = folder(&[("images/a b.jpg", jpeg(1)), ("images/b.jpg", jpeg(2)), ("tasks.json", tasks.into())]);
    let all = read("label-studio", &ReadRequest::new(&folder.path().join("tasks.json"), &Classes::standard()));
    (folder, all)
}

#[test]
fn every_annotation_is_a_record_with_its_annotator_and_time() {
    let tasks = format!(
        r#"[
        {{"id":1,"data":{{"image":"/data/local-files/?d=faces/images/a%20b.jpg","split":"validation"}},"annotations":[
            {{"id":7,"completed_by":{{"id":1,"email":"ada@x.org"}},"result":{},"was_cancelled":false,"lead_time":2.5}},
            {{"id":8,"completed_by":3,"result":{},"was_cancelled":false,"lead_time":null}},
            {{"id":9,"completed_by":3,"result":[],"was_cancelled":true,"lead_time":1}}]}},
        {{"id":2,"data":{{"image":"/data/upload/4/b.jpg"}},"annotations":[],"predictions":[{{"score":0.5}}]}}
        ]"#,
        choice("fear"),
        choice("Sad")
    );
    let (folder, all) = exported(&tasks);
    // The second image lies where Label Studio put it, not here.
    let all = all.unwrap();
    assert_eq!(all.rejects.len(), 1, "{all:?}");
    assert!(all.rejects[0].source.ends_with("data/upload/4/b.jpg"));
    let said: Vec<_> = all
        .faces
        .iter()
        .map(|face| (face.given_class.as_deref(), face.annotator.as_deref(), face.lead_time, face.split))
        .collect();
    let validation = Some(Split::Validation);
    assert_eq!(
        said,
        [
            (Some("fear"), Some("ada@x.org"), Some(Duration::from_millis(2500)), validation),
            (Some("sadness"), Some("label-studio-3"), None, validation),
        ]
    );
    assert!(all.faces.iter().all(|face| face.is_judged_by_person && face.image == jpeg(1)));
    let sources: Vec<_> = all.faces.iter().map(|face| face.source.rsplit('/').next().unwrap()).collect();
    assert_eq!(sources, ["a b.jpg#annotation=id7", "a b.jpg#annotation=id8"]);
    write(folder.path(), "upload/4/b.jpg", &jpeg(2));
    let again = read("label-studio", &ReadRequest::new(folder.path(), &Classes::standard())).unwrap();
    assert_eq!((again.faces.len(), again.rejects.len()), (3, 0));
    assert_eq!(again.faces[2].given_class, None);
}

/// What an export of ours says in a result comes back through Label Studio as it is.
#[test]
fn a_label_that_went_there_and_back_is_its_annotators_until_somebody_changes_it() {
    let ours = choice("fear").replace("}}]", r#"},"meta":{"annotator":"ada","origin":"human","label_id":"L"}}]"#);
    let tasks = format!(
        r#"[{{"data":{{"image":"images/b.jpg"}},"annotations":[
            {{"id":1,"completed_by":1,"updated_by":null,"result":{ours}}},
            {{"id":2,"completed_by":1,"updated_by":4,"result":{ours}}},
            {{"id":3,"completed_by":1,"result":{ours}}}]}}]"#
    );
    let (_folder, all) = exported(&tasks);
    let all = all.unwrap();
    let annotators: Vec<_> = all.faces.iter().filter_map(|face| face.annotator.as_deref()).collect();
    assert_eq!(annotators, ["ada", "label-studio-4", "ada"]);
    let changed: Vec<_> = all.faces.iter().map(|face| (face.label_id.as_deref(), face.is_changed)).collect();
    assert_eq!(changed, [(Some("L"), false), (Some("L"), true), (Some("L"), false)]);
}

#[test]
fn what_is_no_export_is_refused_and_a_class_nobody_knows_is_told_first() {
    for text in ["{}", "", "path,label\n", r#"[{"data": 3}]"#, "[1, 2", "[]x"] {
        let (_folder, all) = exported(text);
        assert!(matches!(all, Err(Error::NotADataset { .. } | Error::Json { .. })), "{text}: {all:?}");
    }
    let (_folder, all) = exported("[]");
    assert!(all.unwrap().faces.is_empty());
    let task = |class: &str| {
        format!(r#"{{"data":{{"image":"images/b.jpg"}},"annotations":[{{"result":{}}}]}}"#, choice(class))
    };
    let (_folder, all) = exported(&format!("[{},{}]", task("fear"), task("hunger")));
    assert!(all.unwrap_err().to_string().contains("hunger"));
    let (_folder, all) = exported(r#"[{"image":"/data/upload/b.jpg","id":1,"annotator":3,"expression":"fear"}]"#);
    let refused = all.unwrap_err().to_string();
    assert!(refused.contains("tasks.json") && refused.contains("JSON-MIN"), "{refused}");
}

#[test]
fn no_task_reaches_out_of_the_folder() {
    for path in ["../../etc/passwd", "/data/local-files/?d=../../../../etc/passwd", "/etc/passwd", "", "?d=%2e%2e/x"] {
        let (_folder, all) = exported(&format!(r#"[{{"data":{{"image":"{path}"}}}}]"#));
        let all = all.unwrap();
        assert_eq!((all.faces.len(), all.rejects.len()), (0, 1), "{path}: {all:?}");
    }
}
