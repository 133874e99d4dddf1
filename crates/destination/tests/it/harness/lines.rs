//! Lines as a platform writes them to a destination: catalogs, records, states, statuses.

use serde_json::{Map, Value, json};
use testkit::KEY;

/// A stream of a configured catalog, and the maker of its lines.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) object: Option<String>,
    pub(crate) columns: Vec<(String, Value)>,
}

impl Stream {
    /// A stream of one object, whose columns are all texts.
    pub(crate) fn new(name: &str, object: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column, "string"));
        Self::typed(name, object, columns)
    }

    /// A stream of one object with columns of JSON types.
    pub(crate) fn typed<'a>(
        name: &str,
        object: &str,
        columns: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let column = |(name, kind): (&str, &str)| (name.into(), json!({"type": ["null", kind]}));
        Self {
            name: name.into(),
            namespace: None,
            object: Some(object.into()),
            columns: columns.into_iter().map(column).collect(),
        }
    }

    pub(crate) fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    fn descriptor(&self) -> Value {
        match &self.namespace {
            Some(namespace) => json!({"name": self.name, "namespace": namespace}),
            None => json!({"name": self.name}),
        }
    }

    /// The stream in a configured catalog.
    pub(crate) fn configured(&self) -> Value {
        let properties: Map<String, Value> = self.columns.iter().cloned().collect();
        let mut stream = self.descriptor();
        stream["json_schema"] = json!({"type": "object", "properties": properties});
        stream["supported_sync_modes"] = json!(["full_refresh"]);
        let mut configured = json!({
            "stream": stream,
            "sync_mode": "incremental",
            "destination_sync_mode": "append",
            "generation_id": 3,
            "minimum_generation_id": 0,
            "sync_id": 42,
        });
        if let Some(object) = &self.object {
            configured["destination_object_name"] = json!(object);
        }
        configured
    }

    pub(crate) fn record(&self, data: &Value) -> String {
        self.record_text(&data.to_string())
    }

    /// A record whose `data` is this JSON text, byte for byte.
    pub(crate) fn record_text(&self, data: &str) -> String {
        let namespace = match &self.namespace {
            Some(namespace) => format!(r#""namespace":{},"#, json!(namespace)),
            None => String::new(),
        };
        format!(
            r#"{{"type":"RECORD","record":{{{namespace}"stream":{},"emitted_at":1700000000000,"data":{data}}}}}"#,
            json!(self.name),
        )
    }

    /// A state of this stream with a blob of its own after `count` records.
    pub(crate) fn state(&self, id: u64, count: usize) -> String {
        self.state_text(id, count, &format!(r#"{{"cursor":{id}}}"#))
    }

    /// A state whose blob is this JSON text, byte for byte.
    pub(crate) fn state_text(&self, id: u64, count: usize, blob: &str) -> String {
        format!(
            r#"{{"type":"STATE","state":{{"type":"STREAM","stream":{{"stream_descriptor":{},"stream_state":{blob}}},"sourceStats":{{"recordCount":{count}.0}},"id":{id}}}}}"#,
            self.descriptor()
        )
    }

    pub(crate) fn status(&self, status: &str) -> String {
        json!({"type": "TRACE", "trace": {
            "type": "STREAM_STATUS",
            "emitted_at": 1_700_000_000_000.0,
            "stream_status": {"stream_descriptor": self.descriptor(), "status": status},
        }})
        .to_string()
    }

    pub(crate) fn complete(&self) -> String {
        self.status("COMPLETE")
    }
}

/// A configured catalog of some streams.
pub(crate) fn catalog(streams: &[&Stream]) -> Value {
    let streams: Vec<Value> = streams.iter().map(|stream| stream.configured()).collect();
    json!({"streams": streams})
}

pub(crate) fn contacts() -> Stream {
    Stream::new(
        "contacts",
        "Contact",
        &[KEY, "LastName", "FirstName", "Email"],
    )
}

/// A good contact.
pub(crate) fn contact(number: usize) -> Value {
    json!({
        KEY: format!("C-{number}"),
        "LastName": format!("Ng {number}"),
        "FirstName": "Ada",
        "Email": format!("ada.{number}@example.com"),
    })
}

pub(crate) fn accounts() -> Stream {
    let columns = [
        (KEY, "string"),
        ("Name", "string"),
        ("NumberOfEmployees", "integer"),
    ];
    Stream::typed("accounts", "Account", columns)
}

/// A good account.
pub(crate) fn account(number: usize) -> Value {
    json!({
        KEY: format!("A-{number}"),
        "Name": format!("Acme {number}"),
        "NumberOfEmployees": number,
    })
}
