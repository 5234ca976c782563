//! `label-studio`: tasks with every judgement as an annotation and the model's word as a prediction, images beside them,
//! and the labelling configuration that shows them. Label Studio imports the task files as they are; it finds the images
//! with local files served from the folder above the export (`LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`).

use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use serde_json::{Value, json};

use super::part::{Row, image_name, objects, put_image, text};
use super::{Format, Part};
use crate::error::{Error, Result};
use crate::part_file::PartFile;

/// `label-studio`.
pub(super) struct LabelStudio;

impl Format for LabelStudio {
    fn name(&self) -> &'static str {
        "label-studio"
    }

    fn query(&self) -> &'static str {
        "select v.*, j.judged, p.expression as predicted, p.confidence as predicted_confidence, p.round as predicted_round \
         from provenance v \
         left join ( \
           select face_id, array_agg(named_struct('label_id', label_id, 'expression', expression, 'annotator', annotator, \
             'origin', origin, 'seconds', seconds) order by created_at, label_id) as judged \
           from current_labels where expression is not null group by face_id \
         ) j on v.face_id = j.face_id \
         left join current_predictions p on v.face_id = p.face_id"
    }

    fn begin(&self, folder: &Path, number: u32, _schema: &SchemaRef) -> Result<Box<dyn Part>> {
        let mut file = PartFile::create(folder.join(format!("tasks-{number:05}.json")))?;
        file.put(b"[")?;
        Ok(Box::new(Tasks { folder: folder.to_owned(), file, is_first: true }))
    }

    fn finish(&self, folder: &Path, _parts: u32, classes: &[String]) -> Result<()> {
        let mut file = PartFile::create(folder.join("config.xml"))?;
        file.put(configuration(classes).as_bytes())?;
        file.close()
    }
}

struct Tasks {
    folder: PathBuf,
    file: PartFile,
    is_first: bool,
}

impl Part for Tasks {
    fn write(&mut self, rows: &RecordBatch, images: &[Vec<u8>]) -> Result<()> {
        for (row, image) in objects(rows)?.iter().zip(images) {
            let name = image_name(row)?;
            put_image(&self.folder.join("images").join(&name), image)?;
            let task = serde_json::to_string(&self.task(row, &name)?).map_err(|source| Error::Output { source })?;
            self.file.put(if self.is_first { b"\n" } else { b",\n" })?;
            self.file.put(task.as_bytes())?;
            self.is_first = false;
        }
        Ok(())
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        self.file.put(b"\n]\n")?;
        self.file.close()
    }
}

impl Tasks {
    fn task(&self, row: &Row, name: &str) -> Result<Value> {
        let folder = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let judged = row.get("judged").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let annotations: Vec<Value> = judged.iter().map(annotation).collect();
        let predictions: Vec<Value> = row
            .get("predicted")
            .and_then(Value::as_str)
            .map(|class| {
                let round = row.get("predicted_round").and_then(Value::as_u64).unwrap_or_default();
                json!({
                    "model_version": format!("round-{round}"),
                    "score": row.get("predicted_confidence"),
                    "result": [choice(class)],
                })
            })
            .into_iter()
            .collect();
        Ok(json!({
            "data": {
                "image": format!("/data/local-files/?d={folder}/images/{name}"),
                "face_id": text(row, "face_id")?,
                "expression": text(row, "expression")?,
                "origin": text(row, "origin")?,
                "split": text(row, "split")?,
                "source": row.get("source"),
            },
            "annotations": annotations,
            "predictions": predictions,
        }))
    }
}

/// Label Studio refuses annotations by people it does not know, and keeps of an annotation what it knows itself. A result it
/// keeps as it is, so there stands whose it is: exported again and imported here, it is known for the label that it was.
fn annotation(judged: &Value) -> Value {
    let mut result = choice(judged["expression"].as_str().unwrap_or_default());
    result["meta"] = json!({
        "annotator": judged.get("annotator"),
        "origin": judged.get("origin"),
        "label_id": judged.get("label_id"),
    });
    json!({ "result": [result], "was_cancelled": false, "ground_truth": false, "lead_time": judged.get("seconds") })
}

fn choice(class: &str) -> Value {
    json!({
        "from_name": "expression",
        "to_name": "image",
        "type": "choices",
        "value": { "choices": [class] },
    })
}

fn configuration(classes: &[String]) -> String {
    let choices: String = classes.iter().map(|class| format!("    <Choice value=\"{class}\"/>\n")).collect();
    format!(
        "<View>\n  <Image name=\"image\" value=\"$image\"/>\n  <Choices name=\"expression\" toName=\"image\" \
         choice=\"single\">\n{choices}  </Choices>\n</View>\n"
    )
}
