//! Each format, alone and compressed.

use super::*;
use crate::spec::Format;

/// Rows of more than one batch.
const ROWS: std::ops::Range<i64> = 0..20_000;

#[tokio::test]
async fn all_formats_give_the_same_rows_in_order() {
    let folder = Folder::new();
    let batch = people(ROWS);
    for (name, bytes) in [
        ("a.parquet", parquet(&batch)),
        ("a.arrow", ipc_file(&batch)),
        ("a.arrows", ipc_stream(&batch)),
        ("a.jsonl", json_lines(&batch)),
        ("a.csv", csv(&batch)),
    ] {
        let typed = folder.write(name, bytes);
        assert_eq!(folder.rows(&[&typed]).await, expected(ROWS), "{name}");
    }
}

#[tokio::test]
async fn compression_is_found_whatever_the_name() {
    let folder = Folder::new();
    let batch = people(ROWS);
    for ending in ["gz", "zst", "bz2", "xz"] {
        for (format, bytes) in [
            ("csv", csv(&batch)),
            ("jsonl", json_lines(&batch)),
            ("arrow", ipc_file(&batch)),
            ("parquet", parquet(&batch)),
        ] {
            let bytes = packed(ending, &bytes).await;
            let named = folder.write(&format!("a.{format}.{ending}"), &bytes);
            assert_eq!(folder.rows(&[&named]).await, expected(ROWS), "{named}");
            let unnamed = folder.write(&format!("b.{format}"), &bytes);
            assert_eq!(folder.rows(&[&unnamed]).await, expected(ROWS), "{unnamed}");
        }
    }
}

/// Programs that compress in parallel write files of several members.
#[tokio::test]
async fn nothing_behind_the_first_compressed_member_is_lost() {
    let folder = Folder::new();
    for ending in ["gz", "zst", "bz2", "xz"] {
        let mut bytes = packed(ending, &json_lines(&people(0..2))).await;
        bytes.extend(packed(ending, &json_lines(&people(2..5))).await);
        let typed = folder.write(&format!("a.jsonl.{ending}"), bytes);
        assert_eq!(folder.rows(&[&typed]).await, expected(0..5), "{ending}");
    }
}

#[tokio::test]
async fn a_compressed_file_without_its_end_is_refused() {
    let folder = Folder::new();
    for ending in ["gz", "zst", "bz2", "xz"] {
        let bytes = packed(ending, &json_lines(&people(ROWS))).await;
        let typed = folder.write("a.jsonl", &bytes[..bytes.len() - 9]);
        let error = folder.refusal(&[&typed]).await;
        assert!(
            error.contains("a.jsonl cannot be read: its compressed"),
            "{ending}: {error}"
        );
    }
}

#[tokio::test]
async fn binary_files_without_their_end_are_refused() {
    let folder = Folder::new();
    let batch = people(ROWS);
    let whole = parquet(&batch);
    let typed = folder.write("a.parquet", &whole[..whole.len() - 4]);
    let error = folder.refusal(&[&typed]).await;
    assert!(error.contains("its end is missing"), "{error}");

    let file = ipc_file(&batch);
    // Up to the end of the only batch, where a stream might end.
    let stream = ipc_stream(&batch);
    let typed = folder.write("a.arrow", &file[..8 + stream.len() - 8]);
    let inputs = folder.open(&[&typed]).await.unwrap();
    let error = rows_of(&inputs, "select * from input").await.unwrap_err();
    assert!(error.to_string().contains("its end is missing"), "{error}");
}

#[tokio::test]
async fn records_of_json_have_all_fields_and_exact_digits() {
    let folder = Folder::new();
    let typed = folder.write(
        "a.jsonl",
        "{\"a\":1.10,\"b\":\"x\"}\r\n\n{\"c\":12345678901234567890.5,\"b\":null}\n\
         {\"d\":{ \"e\" : [1] },\"a\":1e3}\nnot json\n{\"a\":true}",
    );
    let inputs = folder.open(&[&typed]).await.unwrap();
    assert_eq!(
        rows_of(&inputs, "select * from input").await.unwrap(),
        [
            "a=1.10 b=x",
            "c=12345678901234567890.5 _airbyte_null_b=true",
            "a=1e3 d={\"e\":[1]}",
            "_airbyte_raw=not json _airbyte_raw_error=the line is no JSON object",
            "a=true"
        ]
    );
    assert_eq!(inputs.rows(), Some(5));
    let found = inputs.found();
    assert!(
        found[0].ends_with("a.jsonl: JSON lines, 5 rows"),
        "{found:?}"
    );
    assert_eq!(
        found[1],
        format!("{typed}: 1 line is no JSON object; it is rejected")
    );
    let batch = batch_of(&inputs, "select * from input").await.unwrap();
    let declared = batch.schema();
    let declared = declared.fields().iter().take(6).map(|field| {
        let declared = arrow_salesforce::source::DeclaredType::of(field);
        declared.map_or("", arrow_salesforce::source::DeclaredType::name)
    });
    let expected = ["union", "string", "number", "object", "", ""];
    assert_eq!(declared.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn queries_see_the_records_that_can_be_read() {
    let folder = Folder::new();
    let json = folder.write("d/x=1/a.jsonl", "{\"id\":1}\nnot json\n{\"id\":2}\n");
    let directory = folder.typed("d");
    let text = folder.write("b.csv", "id,name\n1,a\n2\n3,c\n");
    let inputs = folder
        .open(&[&directory, &format!("b={text}")])
        .await
        .unwrap();
    let context = context();
    inputs.register_for_query(&context).unwrap();
    for (table, expected) in [
        ("input".to_owned(), ["id=1 x=1", "id=2 x=1"]),
        ("b".to_owned(), ["id=1 name=a", "id=3 name=c"]),
        (format!("'{json}'"), ["id=1", "id=2"]),
    ] {
        let frame = context
            .sql(&format!("select * from {table}"))
            .await
            .unwrap();
        let rows = frame.collect().await.unwrap();
        assert_eq!(rows.iter().flat_map(texts).collect::<Vec<_>>(), expected);
    }
    let mut unreadable = Vec::new();
    for table in inputs.unreadable() {
        let frame = context.read_table(table).unwrap();
        unreadable.extend(frame.collect().await.unwrap().iter().flat_map(texts));
    }
    assert_eq!(unreadable.len(), 3, "{unreadable:?}");
    assert!(unreadable[0].starts_with("_airbyte_raw=not json _airbyte_raw_error="));
    assert!(
        unreadable[1].starts_with("_airbyte_raw=2 _airbyte_raw_error="),
        "{unreadable:?}"
    );
}

#[tokio::test]
async fn json_that_has_no_lines_is_refused_with_what_to_do() {
    let folder = Folder::new();
    for (content, expected) in [
        (&b"[{\"a\":1}]"[..], "it is one JSON array"),
        (b"{\n\"a\": 1\n}", "no line of it is a JSON object"),
        (b"\xFF\xFE{\0}\0", "it is UTF-16"),
        (b"\n", "there is no record"),
    ] {
        let typed = folder.write("a.json", content);
        let error = folder.refusal(&[&typed]).await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn json_whose_keys_are_values_is_refused() {
    let folder = Folder::new();
    let lines: String = (0..10_001).map(|id| format!("{{\"{id}\":1}}\n")).collect();
    let typed = folder.write("a.jsonl", lines);
    let error = folder.refusal(&[&typed]).await;
    assert!(
        error.contains("more than 10,000 different fields"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_need_not_say_the_format() {
    let folder = Folder::new();
    let batch = people(0..3);
    for (name, bytes) in [
        ("a", parquet(&batch)),
        ("b.dat", ipc_stream(&batch)),
        ("c.txt", json_lines(&batch)),
        ("d.csv", parquet(&batch)),
        ("e", gzip(&ipc_file(&batch))),
    ] {
        let typed = folder.write(name, bytes);
        assert_eq!(folder.rows(&[&typed]).await, expected(0..3), "{name}");
    }
    let typed = folder.write("people.txt", csv(&batch));
    let error = folder.refusal(&[&typed]).await;
    assert!(error.ends_with("does not say its format: add --format csv, jsonl, parquet or arrow"));
    let read = ReadSpec {
        format: Some(Format::Csv),
        ..ReadSpec::default()
    };
    let inputs = folder.open_as(&[&typed], &read).await.unwrap();
    assert_eq!(
        rows_of(&inputs, "select * from input").await.unwrap(),
        expected(0..3)
    );
}

#[tokio::test]
async fn what_is_not_read_is_called_by_its_name() {
    let folder = Folder::new();
    let typed = folder.write("book.xlsx", b"PK\x03\x04etc");
    let error = folder.refusal(&[&typed]).await;
    assert!(
        error.contains("a ZIP archive or an Excel workbook"),
        "{error}"
    );
    assert!(error.contains("save the sheet as CSV"), "{error}");
}

#[tokio::test]
async fn parquet_is_read_by_columns_and_conditions() {
    let folder = Folder::new();
    let typed = folder.write("a.parquet", parquet(&people(ROWS)));
    let inputs = folder.open(&[&typed]).await.unwrap();
    let rows = rows_of(&inputs, "select name from input where id >= 19998").await;
    assert_eq!(rows.unwrap(), ["name=n19998", "name=n19999"]);
    let rows = rows_of(&inputs, "select count(*) as n from input").await;
    assert_eq!(rows.unwrap(), ["n=20000"]);
}

#[tokio::test]
async fn files_of_one_table_may_differ_in_their_columns() {
    let folder = Folder::new();
    let other: ArrayRef = Arc::new(StringArray::from(vec!["m"]));
    let other =
        RecordBatch::try_from_iter([("name", Arc::clone(&other)), ("more", other)]).unwrap();
    for (ending, write) in [("parquet", parquet as fn(&_) -> _), ("arrow", ipc_file)] {
        let one = folder.write(&format!("1.{ending}"), write(&people(0..1)));
        let two = folder.write(&format!("2.{ending}"), write(&other));
        assert_eq!(
            folder.rows(&[&one, &two]).await,
            ["id=0 name=n0", "name=m more=m"],
            "{ending}"
        );
    }
}
