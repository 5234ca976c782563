//! Plans as bytes.
//!
//! In: our leaf, or a node of Ballista's. Out: bytes, and the node again on the other side. Everything else the
//! engine's own format has. A leaf names a table by its place, and only tables of the corpora that this process was
//! told of decode: a plan from whoever else reads nothing. Functions go as their names.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::arrow::datatypes::Schema;
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::Expr;
use datafusion_proto::bytes::Serializeable;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use datafusion_proto::protobuf;
use marginalia_store::{FragmentGroup, Home, LanceScan, TableRead};
use prost::Message;

/// What our nodes begin with; none of Ballista's does.
const OURS: &[u8] = b"marginalia/scan/1:";

/// Ours in front of Ballista's.
#[derive(Debug)]
pub struct Codec {
    homes: Vec<Home>,
    ballista: BallistaPhysicalExtensionCodec,
}

impl Codec {
    /// For tables of these corpora.
    pub fn new(homes: Vec<Home>) -> Self {
        Self { homes, ballista: BallistaPhysicalExtensionCodec::default() }
    }
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(message) = buf.strip_prefix(OURS) else {
            return self.ballista.try_decode(buf, inputs, ctx);
        };
        let message = Scan::decode(message).map_err(|error| exec_datafusion_err!("no scan of ours: {error}"))?;
        if !self.homes.iter().any(|home| home.has_readable_table(&message.uri)) {
            return exec_err!(
                "{} is no table that this cluster reads; cluster.corpora says which it does",
                message.uri
            );
        }
        Ok(Arc::new(LanceScan::new(message.into_read(ctx)?)))
    }

    fn try_encode(&self, node: Arc<dyn ExecutionPlan>, buf: &mut Vec<u8>) -> Result<()> {
        let Some(scan) = node.downcast_ref::<LanceScan>() else {
            return self.ballista.try_encode(node, buf);
        };
        let message = Scan::of(scan.read())?;
        buf.extend_from_slice(OURS);
        buf.extend(message.encode_to_vec());
        Ok(())
    }
}

/// A [`TableRead`].
#[derive(Clone, PartialEq, prost::Message)]
struct Scan {
    #[prost(string, tag = "1")]
    uri: String,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(message, repeated, tag = "3")]
    groups: Vec<Group>,
    #[prost(string, repeated, tag = "4")]
    columns: Vec<String>,
    #[prost(message, optional, tag = "5")]
    schema: Option<protobuf::Schema>,
    #[prost(bytes = "vec", optional, tag = "6")]
    filter: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "7")]
    limit: Option<u64>,
    #[prost(uint64, tag = "8")]
    batch_rows: u64,
}

/// A [`FragmentGroup`].
#[derive(Clone, PartialEq, prost::Message)]
struct Group {
    #[prost(uint64, repeated, tag = "1")]
    fragments: Vec<u64>,
    #[prost(uint64, optional, tag = "2")]
    rows: Option<u64>,
}

impl Scan {
    fn of(read: &TableRead) -> Result<Self> {
        let groups = read.groups.iter().map(|group| Group { fragments: group.fragments.clone(), rows: group.rows });
        let filter = read.filter.as_ref().map(Expr::to_bytes).transpose()?;
        Ok(Self {
            uri: read.uri.clone(),
            version: read.version,
            groups: groups.collect(),
            columns: read.columns.clone(),
            schema: Some(protobuf::Schema::try_from(&*read.schema)?),
            filter: filter.map(|bytes| bytes.to_vec()),
            limit: read.limit.map(|limit| limit as u64),
            batch_rows: read.batch_rows as u64,
        })
    }

    fn into_read(self, ctx: &TaskContext) -> Result<TableRead> {
        let Some(schema) = &self.schema else { return exec_err!("a scan of ours without a schema") };
        let schema = Schema::try_from(schema)?;
        if self.groups.is_empty() || schema.fields().len() != self.columns.len() {
            return exec_err!("a scan of ours that does not fit together");
        }
        let filter = self.filter.map(|filter| Expr::from_bytes_with_ctx(&filter, ctx)).transpose()?;
        let groups =
            self.groups.into_iter().map(|group| FragmentGroup { fragments: group.fragments, rows: group.rows });
        Ok(TableRead {
            uri: self.uri,
            version: self.version,
            groups: groups.collect(),
            columns: self.columns,
            schema: Arc::new(schema),
            filter,
            limit: self.limit.map(|limit| limit as usize),
            batch_rows: self.batch_rows.clamp(1, 1 << 16) as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::prelude::{col, lit};

    use super::*;

    fn read(uri: String) -> TableRead {
        TableRead {
            uri,
            version: 3,
            groups: vec![
                FragmentGroup { fragments: vec![7, 1], rows: Some(20) },
                FragmentGroup { fragments: vec![2], rows: None },
            ],
            columns: vec!["face_id".to_owned()],
            schema: Arc::new(Schema::new(vec![Field::new("face_id", DataType::Utf8, false)])),
            filter: Some(col("face_id").gt(lit("a"))),
            limit: Some(5),
            batch_rows: 256,
        }
    }

    fn encoded(codec: &Codec, read: TableRead) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec.try_encode(Arc::new(LanceScan::new(read)), &mut bytes).expect("bytes");
        bytes
    }

    #[tokio::test]
    async fn a_scan_comes_back_as_it_was_and_only_one_of_a_known_corpus() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("tables")).expect("a folder");
        let home = Home::attach(folder.path()).await.expect("a home");
        let codec = Codec::new(vec![home.clone()]);
        let decode = |bytes: &[u8]| codec.try_decode(bytes, &[], &TaskContext::default());
        let own = read(format!("{}/tables/faces.lance", home.place()));
        let bytes = encoded(&codec, own.clone());
        let node = decode(&bytes).expect("a scan");
        assert_eq!(node.downcast_ref::<LanceScan>().expect("a scan").read(), &own);
        for foreign in [
            format!("{}/tables/truth.lance", home.place()),
            format!("{}/tables/../tables/faces.lance", home.place()),
            "s3://elsewhere/tables/faces.lance".to_owned(),
            "/etc/passwd".to_owned(),
        ] {
            let refused = decode(&encoded(&codec, read(foreign.clone()))).expect_err(&foreign).to_string();
            assert!(refused.contains("is no table that this cluster reads"), "{refused}");
        }
        assert!(decode(&[OURS, &[255, 255]].concat()).is_err());
        assert!(decode(b"anything").is_err());
    }
}
