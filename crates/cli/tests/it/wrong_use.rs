//! What is said where something is typed wrong: each message names the cause and the cure, and the
//! code is 2 where another command is to be typed.

use testkit::sim::{CLIENT_ID, TestSim};
use testkit::tls::SIGNER_OF_NOTHING;

use crate::harness::Shell;

const PEOPLE: &str = "Ext_Id__c,LastName,Email\na1,Lovelace,ada@example.com\n";

/// Types commands, and notes what is said.
struct Desk {
    shell: Shell,
    sim: TestSim,
    said: String,
}

impl Desk {
    async fn new(files: &[(&str, &str)]) -> Self {
        let sim = TestSim::start().await;
        let shell = Shell::of(&sim).with("SSL_CERT_FILE", SIGNER_OF_NOTHING);
        for (name, content) in files {
            shell.file(name, content);
        }
        shell.file("people.csv", PEOPLE);
        Self {
            shell,
            sim,
            said: String::new(),
        }
    }

    /// Types a command of words, with `~` for blanks in them.
    async fn type_in(&mut self, words: &str) {
        let args: Vec<String> = words
            .split(' ')
            .map(|word| word.replace('~', " "))
            .collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = self.shell.run(&args).await;
        let said = format!("{}{}-> {}", ended.stdout, ended.stderr, ended.code);
        self.said += &format!("$ {words}\n{}\n\n", self.masked(&said));
    }

    /// Without what differs from run to run.
    fn masked(&self, text: &str) -> String {
        let folder = self.shell.path().canonicalize().unwrap();
        let (_, port) = self.sim.url().rsplit_once(':').unwrap();
        text.replace(folder.to_str().unwrap(), "FOLDER")
            .replace(self.shell.path().to_str().unwrap(), "FOLDER")
            .replace(port, "PORT")
    }
}

/// What is said of commands in a folder with these files.
async fn said_of(files: &[(&str, &str)], commands: &[&str]) -> String {
    let mut desk = Desk::new(files).await;
    for command in commands {
        desk.type_in(command).await;
    }
    desk.said
}

#[tokio::test]
async fn flags_that_cannot_be() {
    let files: &[(&str, &str)] = &[("bad.toml", "object = 'Contact'\ninput = ['people.csv']\n")];
    let commands = [
        "load",
        "load people.csv",
        "load people.csv --object Contact --insert --update",
        "load -f nothing.toml",
        "load -f bad.toml",
        "load people.csv --object Contact --limit many",
        "load people.csv --object Contact --dates german",
        "load people.csv --object Contact --max-rejected lots",
        "load people.csv --object Contact --memory 7apples",
        "load people.csv --object Contact --timezone Mars",
        "load people.csv --object Contact --nulls maybe",
        "load people.csv --object Contact --on-too-long cry",
        "load people.csv --object Contact --set OwnerId",
        "load people.csv --object Contact --map Email",
        "load people.csv --object Contact --map-file nothing.txt",
        "load people.csv --object Contact --max-jobs-in-flight 0",
        "completions klingon",
        "runs prune --older-than 30",
    ];
    insta::assert_snapshot!(said_of(files, &commands).await, @r#"
    $ load
    error: say which object to load into: --object Contact
    -> 2

    $ load people.csv
    error: say which object to load into: --object Contact
    -> 2

    $ load people.csv --object Contact --insert --update
    error: the argument '--insert' cannot be used with '--update'

    Usage: arrow-salesforce load --object <OBJECT> --insert <INPUT>...

    For more information, try '--help'.
    -> 2

    $ load -f nothing.toml
    error: -f nothing.toml cannot be read: No such file or directory (os error 2)
    -> 2

    $ load -f bad.toml
    error: -f bad.toml: input: TOML parse error at line 2, column 1
      |
    2 | input = ['people.csv']
      | ^^^^^
    unknown field `input`, expected one of `inputs`, `object`, `upsert`, `update`, `delete`, `hard_delete`, `sql`, `map`, `ignore_unknown`, `set`, `where`, `limit`, `sample`, `materialize`, `read`, `write`

    -> 2

    $ load people.csv --object Contact --limit many
    error: invalid value 'many' for '--limit <N>': invalid digit found in string

    For more information, try '--help'.
    -> 2

    $ load people.csv --object Contact --dates german
    error: invalid value 'german' for '--dates <DATES>'
      [possible values: dmy, mdy, ymd]

    For more information, try '--help'.
    -> 2

    $ load people.csv --object Contact --max-rejected lots
    people.csv: CSV in UTF-8, columns between ',', 1 record
    error: --max-rejected lots: give a number of records, such as 100, or whole percent from 0% to 100%, such as 2%
    -> 2

    $ load people.csv --object Contact --memory 7apples
    error: --memory 7apples: it is a number with a unit, such as 512MiB or 2GB
    -> 2

    $ load people.csv --object Contact --timezone Mars
    people.csv: CSV in UTF-8, columns between ',', 1 record
    error: --timezone: timezone is not known; give a name such as Europe/Berlin, or an offset such as +05:30
    -> 2

    $ load people.csv --object Contact --nulls maybe
    error: --nulls: unknown variant `maybe`, expected `leave` or `clear`
    -> 2

    $ load people.csv --object Contact --on-too-long cry
    error: --on-too-long: unknown variant `cry`, expected `reject` or `truncate`
    -> 2

    $ load people.csv --object Contact --set OwnerId
    error: --set "OwnerId" is not of the form FIELD=VALUE
    -> 2

    $ load people.csv --object Contact --map Email
    error: --map "Email" is not of the form FIELD=COLUMN
    -> 2

    $ load people.csv --object Contact --map-file nothing.txt
    error: --map-file nothing.txt cannot be read: No such file or directory (os error 2)
    -> 2

    $ load people.csv --object Contact --max-jobs-in-flight 0
    error: --max-jobs-in-flight is 0; it must be between 1 and 100
    -> 2

    $ completions klingon
    error: invalid value 'klingon' for '<SHELL>'
      [possible values: bash, elvish, fish, powershell, zsh]

    For more information, try '--help'.
    -> 2

    $ runs prune --older-than 30
    error: --older-than 30: it is a number with a unit, such as 30d, 12h or 90m
    -> 2
    "#);
}

#[tokio::test]
async fn inputs_that_cannot_be_read() {
    let files: &[(&str, &str)] = &[
        ("data.bin", "\u{1}\u{2}\u{3}"),
        ("doubled.csv", "LastName,lastname\na,b\n"),
        ("empty.csv", ""),
        (
            "dates.csv",
            "LastName,Birthdate\na,03/04/2024\nb,05/06/2024\n",
        ),
        ("sum.csv", "LastName,AnnualRevenue\na,1.234\nb,5.678\n"),
    ];
    let commands = [
        "load nothing.csv --object Contact",
        "load *.nothing --object Contact",
        "load data.bin --object Contact",
        "load doubled.csv --object Contact",
        "load empty.csv --object Contact",
        "load people.csv --object Contact --delimiter ;;",
        "load people.csv --object Contact --encoding klingon",
        "load ftp://example.com/people.csv --object Contact",
        "load dates.csv --object Contact",
        "load sum.csv --object Account --map Name=LastName",
        "load people.csv --object Contact --sql select~*~form~input",
        "load people.csv --object Contact --sql select~mail~from~input",
        "load people.csv --object Contact --where age~>~3",
    ];
    insta::assert_snapshot!(said_of(files, &commands).await, @r#"
    $ load nothing.csv --object Contact
    error: nothing.csv cannot be read: it is not there
    -> 2

    $ load *.nothing --object Contact
    error: *.nothing cannot be read: no file matches
    -> 2

    $ load data.bin --object Contact
    error: data.bin does not say its format: add --format csv, jsonl, parquet or arrow
    -> 2

    $ load doubled.csv --object Contact
    error: the columns do not fit Contact:
      column lastname and column LastName both fill LastName; choose one by --map 'LastName=…'
    -> 2

    $ load empty.csv --object Contact
    error: empty.csv: the file is empty; its first line must name the columns
    -> 2

    $ load people.csv --object Contact --delimiter ;;
    error: --delimiter ;; is neither one character of ASCII nor the word tab
    -> 2

    $ load people.csv --object Contact --encoding klingon
    error: --encoding klingon names no encoding; use a name such as utf-8, latin1, windows-1250, utf-16le or shift_jis
    -> 2

    $ load ftp://example.com/people.csv --object Contact
    error: ftp://example.com/people.csv: inputs are read from s3://, gs://, az:// and https://, not from ftp://
    -> 2

    $ load dates.csv --object Contact
    error: values can be read in more than one way:
      Birthdate: 03/04/2024 may be 2024-04-03 or 2024-03-04, and no value of the column settles it; say --dates dmy or --dates mdy
    -> 2

    $ load sum.csv --object Account --map Name=LastName
    error: values can be read in more than one way:
      AnnualRevenue: 1.234 may be 1.234 or 1234, and no value of the column settles it; say --decimal point or --decimal comma
    -> 2

    $ load people.csv --object Contact --sql select~*~form~input
    error: --sql: SQL error: ParserError("Expected: end of statement, found: form at Line: 1, Column: 10")
    -> 2

    $ load people.csv --object Contact --sql select~mail~from~input
    error: --sql: No field named mail. Did you mean 'input."Email"'?
    Valid fields are input."Ext_Id__c", input."LastName", input."Email".
    -> 2

    $ load people.csv --object Contact --where age~>~3
    error: --where: No field named age.
    Valid fields are input."Ext_Id__c", input."LastName", input."Email", input._airbyte_raw, input._airbyte_raw_error.
    -> 2
    "#);
}

#[tokio::test]
async fn columns_that_do_not_fit() {
    let files: &[(&str, &str)] = &[("other.csv", "Id,surname,mail\n003,a,b\n")];
    let commands = [
        "load other.csv --object Contact",
        "load people.csv --object Contcat",
        "load people.csv --object Contact --map Mail=Email",
        "load people.csv --object Contact --map Email=mail",
        "load people.csv --object Contact --set Department__X=1",
        "load people.csv --object Contact --set CreatedDate=2024-01-01",
        "load people.csv --object Contact --upsert LastName",
        "load people.csv --object Contact --update",
        "load people.csv --object Contact --delete --yes",
    ];
    insta::assert_snapshot!(said_of(files, &commands).await, @"
    $ load other.csv --object Contact
    error: the columns do not fit Contact:
      column Id: Id is read-only for this user: an insert cannot write it
      column surname: Contact has no field of this name or label, or the user may not see it; nearest: FirstName (First Name)
      column mail: Contact has no field of this name or label, or the user may not see it; nearest: Email, MailingCity (Mailing City), MailingState (Mailing State)
    name a field for a column by --map 'FirstName=surname', or leave out columns that match none by --ignore-unknown
    -> 2

    $ load people.csv --object Contcat
    error: object Contcat does not exist or the user may not see it; did you mean Contact? Check the API name, or grant the object permission in a profile or permission set of the integration user
    -> 2

    $ load people.csv --object Contact --map Mail=Email
    error: the columns do not fit Contact:
      --map Mail: Contact has no such field, or the user may not see it; nearest: Email, MailingCity (Mailing City), MailingState (Mailing State)
    -> 2

    $ load people.csv --object Contact --map Email=mail
    error: the columns do not fit Contact:
      --map Email=mail: there is no column mail; the columns are Ext_Id__c, LastName and Email
    -> 2

    $ load people.csv --object Contact --set Department__X=1
    error: the columns do not fit Contact:
      --set Department__X: Contact has no such field, or the user may not see it; nearest: Department
    -> 2

    $ load people.csv --object Contact --set CreatedDate=2024-01-01
    error: the columns do not fit Contact:
      --set CreatedDate: CreatedDate is read-only for this user: an insert cannot write it
    -> 2

    $ load people.csv --object Contact --upsert LastName
    error: the columns do not fit Contact:
      --upsert LastName: it is not an external ID of Contact; use Ext_Id__c or Id
    -> 2

    $ load people.csv --object Contact --update
    error: the columns do not fit Contact:
      no column fills Id, by which update finds the records of Contact; name it by --map 'Id=COLUMN'
    -> 2

    $ load people.csv --object Contact --delete --yes
    error: the columns do not fit Contact:
      no column fills Id, by which delete finds the records of Contact; name it by --map 'Id=COLUMN'
    -> 2
    ");
}

#[tokio::test]
async fn orgs_that_cannot_be() {
    let load = "load people.csv --object Contact";
    let ways: [&[(&str, &str)]; 7] = [
        &[],
        &[("SF_ACCESS_TOKEN", "00D!x")],
        &[("SF_CLIENT_ID", "x"), ("SF_CLIENT_SECRET", "y")],
        &[("SF_ACCESS_TOKEN", "x"), ("SF_REFRESH_TOKEN", "y")],
        &[("ARROW_SALESFORCE_CONFIG", "nothing.json")],
        &[
            ("SF_ACCESS_TOKEN", "00D5g0000000000!old"),
            ("SF_INSTANCE_URL", "SIM"),
        ],
        &[
            ("SF_CLIENT_ID", CLIENT_ID),
            ("SF_CLIENT_SECRET", "wrong-secret"),
            ("SF_LOGIN_URL", "SIM"),
        ],
    ];
    let mut said = String::new();
    for way in ways {
        let mut desk = Desk::new(&[]).await;
        let url = desk.sim.url().to_owned();
        desk.shell = desk.shell.with("ARROW_SALESFORCE_CONFIG", "");
        for (name, value) in way {
            desk.shell = desk
                .shell
                .with(name, if *value == "SIM" { &url } else { value });
        }
        desk.type_in(load).await;
        said += &desk.said;
    }
    let mut desk = Desk::new(&[("ids.csv", "Id\n0035g0000000000AAA\n")]).await;
    desk.shell = desk.shell.with("PATH", "/nowhere");
    for command in [
        "load people.csv --object Contact --from-sf dev",
        "load ids.csv --object Contact --delete",
        "load ids.csv --object Contact --hard-delete",
    ] {
        desk.type_in(command).await;
    }
    said += &desk.said;
    insta::assert_snapshot!(said, @"
    $ load people.csv --object Contact
    error: nothing says whose org it is: log in by `arrow-salesforce login`, or give --org NAME, --config FILE or --from-sf ALIAS, or set SF_CLIENT_ID and what else `arrow-salesforce load --help` names
    -> 2

    $ load people.csv --object Contact
    error: SF_INSTANCE_URL is not set; this way to log in needs it
    -> 2

    $ load people.csv --object Contact
    error: SF_LOGIN_URL is not set; this way to log in needs it
    -> 2

    $ load people.csv --object Contact
    error: SF_ACCESS_TOKEN and SF_REFRESH_TOKEN are set, and each is another way to log in; leave one of them
    -> 2

    $ load people.csv --object Contact
    error: the file of --config cannot be read: nothing.json: No such file or directory (os error 2)
    -> 2

    $ load people.csv --object Contact
    error: the login at 127.0.0.1 was refused (INVALID_SESSION_ID: Session expired or invalid); the access token has expired, was revoked or is of another org than this host's: get a new one; for a load that takes longer than a session lasts, use credentials that can log in again
    -> 2

    $ load people.csv --object Contact
    error: the login at 127.0.0.1 was refused (invalid_client: invalid client credentials); client_secret is not the consumer secret of the app: copy it again from the app's page in Setup
    -> 2

    $ load people.csv --object Contact --from-sf dev
    error: --from-sf asks the sf command line, which is not on the PATH: install it, or give credentials by --config or the environment
    -> 2

    $ load ids.csv --object Contact --delete
    ids.csv: CSV in UTF-8, 1 record
    error: this will delete up to 0 of 0 records of Contact in the production org 127.0.0.1, which `undo` cannot take back, and there is no terminal to ask on: --yes confirms it
    -> 2

    $ load ids.csv --object Contact --hard-delete
    ids.csv: CSV in UTF-8, 1 record
    error: this will delete for good, past the recycle bin, up to 0 of 0 records of Contact in the production org 127.0.0.1, which `undo` cannot take back, and there is no terminal to ask on: --yes confirms it
    -> 2
    ");
}

#[tokio::test]
async fn runs_that_are_not_there() {
    let commands = [
        "resume 2020",
        "rejects 2020",
        "runs",
        "runs prune --older-than 1h",
    ];
    insta::assert_snapshot!(said_of(&[], &commands).await, @r#"
    $ resume 2020
    error: there is no run "2020" in FOLDER/.local/share/arrow-salesforce/runs/: `arrow-salesforce runs` lists those that are there
    -> 2

    $ rejects 2020
    error: there is no run "2020" in FOLDER/.local/share/arrow-salesforce/runs/: `arrow-salesforce runs` lists those that are there
    -> 2

    $ runs
    there are no runs in FOLDER/.local/share/arrow-salesforce/runs/
    -> 0

    $ runs prune --older-than 1h
    no run is older than 1h
    -> 0
    "#);
}
