//! Queries: what an org holds, as record batches.

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::compute::concat_batches;
use arrow_salesforce::arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_salesforce::bulk::{BulkError, Client, Credentials, QueryOptions, Types};
use futures::TryStreamExt;
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};

async fn client(sim: &TestSim) -> Client {
    let url = sim.url().parse().unwrap();
    let login = Credentials::refresh_token(url, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN);
    Client::connect(login).await.unwrap()
}

/// All rows of a query as one batch.
async fn ask(client: &Client, soql: &str, options: QueryOptions) -> Result<RecordBatch, BulkError> {
    let query = client.query(soql, options).await?;
    let schema = query.schema().clone();
    let batches: Vec<RecordBatch> = query.stream().try_collect().await?;
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// The columns with their types, and each row as text.
fn shown(batch: &RecordBatch) -> String {
    let options = FormatOptions::default().with_null("-");
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let mut lines: Vec<String> = batch
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let values = (0..batch.num_rows()).map(|row| columns[index].value(row).to_string());
            let values: Vec<String> = values.collect();
            format!(
                "{} {}: {}",
                field.name(),
                field.data_type(),
                values.join(" | ")
            )
        })
        .collect();
    lines.push(String::new());
    lines.join("\n")
}

const EVERYTHING: &str = "Ext_Id__c,Text__c,Multi__c,Flag__c,Int__c,Long__c,Double__c,\
    Currency__c,Percent__c,Date__c,Date_Time__c,Time__c\n\
    E-1,\"a \"\"b\"\",\nc\",A;C,true,912260031,9007199254740991,912260031,250,-12.5,2024-02-29,\
    2024-02-29T23:59:59.999Z,23:59:59.999Z\n\
    E-2,,,,,,,,,,,\n";

const SELECT_EVERYTHING: &str = "SELECT ext_id__c, Text__c, Multi__c, Flag__c, Int__c, Long__c, \
    Double__c, Currency__c, Percent__c, Date__c, Date_Time__c, Time__c \
    FROM everything__c ORDER BY Ext_Id__c";

#[tokio::test]
async fn each_type_of_field() {
    let sim = TestSim::start().await;
    sim.insert("Everything__c", EVERYTHING).await;
    let client = client(&sim).await;
    let described = ask(&client, SELECT_EVERYTHING, QueryOptions::default()).await;
    insta::assert_snapshot!(shown(&described.unwrap()), @r#"
Ext_Id__c Utf8: E-1 | E-2
Text__c Utf8: a "b",
c | -
Multi__c List(Utf8): [A, C] | -
Flag__c Boolean: true | false
Int__c Int32: 912260031 | -
Long__c Int64: 9007199254740991 | -
Double__c Decimal128(18, 4): 912260031.0000 | -
Currency__c Decimal128(18, 2): 250.00 | -
Percent__c Decimal128(18, 2): -12.50 | -
Date__c Date32: 2024-02-29 | -
Date_Time__c Timestamp(ms, "UTC"): 2024-02-29T23:59:59.999Z | -
Time__c Time32(ms): 23:59:59.999 | -
"#);
    let texts = QueryOptions::default().with_types(Types::Text);
    let texts = ask(&client, SELECT_EVERYTHING, texts).await;
    insta::assert_snapshot!(shown(&texts.unwrap()), @r#"
    Ext_Id__c Utf8: E-1 | E-2
    Text__c Utf8: a "b",
    c | -
    Multi__c Utf8: A;C | -
    Flag__c Utf8: true | false
    Int__c Utf8: 912260031 | -
    Long__c Utf8: 9007199254740991 | -
    Double__c Utf8: 9.12260031E8 | -
    Currency__c Utf8: 250.0 | -
    Percent__c Utf8: -12.5 | -
    Date__c Utf8: 2024-02-29 | -
    Date_Time__c Utf8: 2024-02-29T23:59:59.999Z | -
    Time__c Utf8: 23:59:59.999Z | -
    "#);
}
