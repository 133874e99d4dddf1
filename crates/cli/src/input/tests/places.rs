//! Directories, globs, names, standard input, paths in queries.

use super::*;

#[tokio::test]
async fn globs_and_directories_are_read_in_the_order_of_names() {
    let folder = Folder::new();
    for id in [2, 0, 1] {
        folder.write(&format!("d/{id}.csv"), csv(&people(id..id + 1)));
    }
    folder.write("d/readme.txt", "none");
    folder.write("d/_SUCCESS", "");
    folder.write("d/.hidden.csv", "x");
    let (directory, glob) = (folder.typed("d"), folder.typed("d/[01]*.csv"));
    assert_eq!(folder.rows(&[&directory]).await, expected(0..3));
    assert_eq!(
        folder.rows(&[&format!("{directory}/")]).await,
        expected(0..3)
    );
    assert_eq!(folder.rows(&[&glob]).await, expected(0..2));
    let none = folder.typed("d/*.parquet");
    assert_eq!(
        folder.refusal(&[&none]).await,
        format!("{none} cannot be read: no file matches")
    );
    let none = folder.typed("d/3.csv");
    assert_eq!(
        folder.refusal(&[&none]).await,
        format!("{none} cannot be read: it is not there")
    );
}

#[tokio::test]
async fn directories_give_columns() {
    let folder = Folder::new();
    for (ending, write) in [
        ("parquet", parquet as fn(&_) -> _),
        ("csv", csv),
        ("jsonl", json_lines),
        ("arrow", ipc_file),
    ] {
        let at = |dt: &str, name: &str| format!("{ending}/region=north/dt={dt}/{name}.{ending}");
        folder.write(&at("2024-01-01", "a"), write(&people(0..1)));
        folder.write(&at("__HIVE_DEFAULT_PARTITION__", "b"), write(&people(1..2)));
        let expected = [
            "id=0 name=n0 region=north dt=2024-01-01",
            "id=1 name=n1 region=north",
        ];
        assert_eq!(
            folder.rows(&[&folder.typed(ending)]).await,
            expected,
            "{ending}"
        );
        let glob = folder.typed(&format!("{ending}/*/dt=2024*/*"));
        assert_eq!(folder.rows(&[&glob]).await, expected[..1], "{ending}");
        let inputs = folder.open(&[&folder.typed(ending)]).await.unwrap();
        let sql = "select id from input where dt = '2024-01-01'";
        assert_eq!(rows_of(&inputs, sql).await.unwrap(), ["id=0"], "{ending}");
    }
}

#[tokio::test]
async fn a_column_of_the_file_counts_more_than_that_of_its_directory() {
    let folder = Folder::new();
    for (ending, write) in [("parquet", parquet as fn(&_) -> _), ("csv", csv)] {
        folder.write(&format!("{ending}/id=7/a.{ending}"), write(&people(0..1)));
        assert_eq!(folder.rows(&[&folder.typed(ending)]).await, expected(0..1));
    }
}

#[tokio::test]
async fn named_inputs_are_tables() {
    let folder = Folder::new();
    let one = folder.write("1.csv", csv(&people(0..2)));
    let two = folder.write("2.parquet", parquet(&people(1..3)));
    let three = folder.write("3.csv", csv(&people(2..3)));
    let inputs = folder
        .open(&[&one, &format!("Others={two}"), &three])
        .await
        .unwrap();
    let rows = rows_of(
        &inputs,
        "select i.name from input i join Others o on cast(o.id as varchar) = i.id order by 1",
    );
    assert_eq!(rows.await.unwrap(), ["name=n1", "name=n2"]);
    assert_eq!(inputs.rows(), Some(3));
    assert_eq!(inputs.states().len(), 3);

    let only = folder.open(&[&format!("people={one}")]).await.unwrap();
    for table in ["people", "input"] {
        let rows = rows_of(&only, &format!("select * from {table}")).await;
        assert_eq!(rows.unwrap(), expected(0..2));
    }
    let twice = folder
        .refusal(&[&format!("a={one}"), &format!("A={three}")])
        .await;
    assert_eq!(twice, "two inputs are named A: give each a name of its own");
}

#[tokio::test]
async fn inputs_of_several_formats_are_read_in_the_order_they_are_typed() {
    let folder = Folder::new();
    let one = folder.write("d/1.csv", csv(&people(0..2)));
    let two = folder.write("d/2.parquet", parquet(&people(2..5)));
    let three = folder.write("d/3.jsonl", "{\"id\":5,\"name\":\"n5\",\"x\":1}\nno\n");
    let rows = folder.rows(&[&three, &two, &one, &two]).await;
    let expected = [
        vec!["id=5 name=n5 x=1".to_owned()],
        vec!["_airbyte_raw=no _airbyte_raw_error=the line is no JSON object".to_owned()],
        expected(2..5),
        expected(0..2),
        expected(2..5),
    ];
    assert_eq!(rows, expected.concat());
    let inputs = folder.open(&[&one, &two]).await.unwrap();
    assert_eq!((inputs.rows(), inputs.states().len()), (Some(5), 2));
    let sql = "select count(*) as n, max(name) as name from input where id > '1'";
    assert_eq!(rows_of(&inputs, sql).await.unwrap(), ["n=3 name=n4"]);
    let mixed = folder.refusal(&[&folder.typed("d")]).await;
    assert!(mixed.contains("1.csv is CSV and"), "{mixed}");
}

#[tokio::test]
async fn queries_name_files() {
    let folder = Folder::new();
    let one = folder.write("1.csv", csv(&people(0..2)));
    let two = folder.write("2.jsonl", json_lines(&people(1..3)));
    let inputs = folder.open(&[&one]).await.unwrap();
    let sql = format!(
        "select i.name from input i join '{two}' o on o.id = i.id where exists (select 1 from '{two}')"
    );
    assert_eq!(rows_of(&inputs, &sql).await.unwrap(), ["name=n1"]);
    let states: Vec<_> = inputs
        .states()
        .into_iter()
        .map(|state| state.name)
        .collect();
    let canonical = |path: &str| fs::canonicalize(path).unwrap().display().to_string();
    assert_eq!(states[..2], [canonical(&one), canonical(&two)]);

    let gone = folder.typed("3.csv");
    let error = rows_of(&inputs, &format!("select * from '{gone}'"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("3.csv cannot be read: it is not there"),
        "{error}"
    );
    let error = rows_of(&inputs, "select * from nowhere").await.unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn standard_input_is_what_was_kept_of_it() {
    let folder = Folder::new();
    folder.write("spool/stdin", csv(&people(0..2)));
    let read = ReadSpec {
        format: Some(crate::spec::Format::Csv),
        ..ReadSpec::default()
    };
    let inputs = folder.open_as(&["-"], &read).await.unwrap();
    let rows = rows_of(&inputs, "select * from input").await;
    assert_eq!(rows.unwrap(), expected(0..2));
    let states = inputs.states();
    assert_eq!(
        (states[0].name.as_str(), &states[0].modified),
        ("standard input", &None)
    );
    let error = folder.open_as(&["-", "a=-"], &read).await.unwrap_err();
    assert!(error.to_string().contains("only once"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_kept_too() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let (to, bytes) = (pipe.clone(), json_lines(&people(0..3)));
    let writing = std::thread::spawn(move || fs::write(to, bytes).unwrap());
    assert_eq!(
        folder.rows(&[&pipe.display().to_string()]).await,
        expected(0..3)
    );
    writing.join().unwrap();
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_refused() {
    let folder = Folder::new();
    for (name, bytes) in [
        ("a.parquet", parquet(&people(0..3))),
        ("a.csv", csv(&people(0..3))),
    ] {
        let typed = folder.write(name, bytes);
        let inputs = folder.open(&[&typed]).await.unwrap();
        let before = inputs.states();
        folder.write(name, csv(&people(0..30)));
        let error = rows_of(&inputs, "select * from input").await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("it was changed while it was being read"),
            "{error}"
        );
        folder.write(name, csv(&people(0..2)));
        if name.ends_with("csv") {
            let now = folder.open(&[&typed]).await.unwrap().states();
            assert_eq!(super::super::FileState::changes(&before, &now).len(), 1);
        }
    }
}

#[tokio::test]
async fn a_delta_table_is_no_directory_of_files() {
    let folder = Folder::new();
    folder.write("t/_delta_log/0.json", "{}");
    folder.write("t/a.parquet", parquet(&people(0..1)));
    let error = folder.refusal(&[&folder.typed("t")]).await;
    assert!(error.contains("it is a Delta table"), "{error}");
}
