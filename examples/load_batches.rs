//! The library in one program: RecordBatches from memory into Contact, the report, and the rejected
//! records with their reasons.
//!
//! ```sh
//! cargo run --release --example load_batches
//! ```

use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray};
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::arrow::util::pretty::pretty_format_batches;
use arrow_salesforce::bulk::Credentials;
use arrow_salesforce::load::{Event, Loader, Org, Rejects};
use arrow_salesforce::object::Operation;
use arrow_salesforce::options::OrgOptions;
use salesforce_sim::{Sim, SimOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any org will do. This one is simulated.
    let options = SimOptions::default();
    let salesforce = Sim::start(options.clone()).await?;
    let credentials = Credentials::refresh_token(
        salesforce.url().parse()?,
        options.client_id,
        options.client_secret,
        options.refresh_token,
    );
    let org = Org::connect(credentials, OrgOptions::default()).await?;

    // Columns are matched to fields by name in any letter case, and their types are coerced.
    let contacts = contacts()?;
    let loader = Loader::builder(&org)
        .object("Contact")
        .operation(Operation::Insert)
        .schema(contacts.schema())
        .rejects(Rejects::Events)
        .build()
        .await?;
    println!("How each column becomes a cell:\n{}\n", loader.coercion());

    // Rows go in at one end, and what became of them comes out at the other.
    let (mut feed, mut events) = loader.start();
    let feeding = tokio::spawn(async move {
        feed.send(contacts).await?;
        feed.checkpoint(1).await?;
        feed.finish().await
    });
    while let Some(event) = events.next().await {
        match event? {
            Event::Rejected(records) => println!("{}\n", pretty_format_batches(&[records])?),
            Event::Durable { checkpoint, counts } => {
                let (accepted, rejected) = (counts.accepted, counts.rejected);
                println!("Checkpoint {checkpoint}: {accepted} accepted, {rejected} rejected\n");
            }
            Event::Finished(report) => println!("{report}"),
            _ => {}
        }
    }
    Ok(feeding.await??)
}

fn contacts() -> Result<RecordBatch, ArrowError> {
    let last_name = StringArray::from(vec![Some("Ng"), Some("Okafor"), None, Some("Tanaka")]);
    let email = StringArray::from(vec![
        "ng@example.com",
        "nowhere",
        "x@example.com",
        "t@example.com",
    ]);
    let birthdate = Date32Array::from(vec![Some(4_321), None, Some(10_957), Some(-25)]);
    RecordBatch::try_from_iter_with_nullable([
        ("lastname", Arc::new(last_name) as ArrayRef, true),
        ("Email", Arc::new(email), true),
        ("birthdate", Arc::new(birthdate), true),
    ])
}
