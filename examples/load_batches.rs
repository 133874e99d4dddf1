//! Rows from memory into Salesforce: the report, and the rejected rows with their reasons.
//!
//! ```sh
//! cargo run --example load_batches
//! ```

use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_salesforce::arrow::util::pretty::pretty_format_batches;
use arrow_salesforce::{Credentials, Error, Loader, Org, OrgOptions};
use salesforce_sim::{Sim, SimOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any org will do. This one is simulated.
    let app = SimOptions::default();
    let sim = Sim::start(app.clone()).await?;
    let url = sim.url().parse()?;
    let login =
        Credentials::refresh_token(url, app.client_id, app.client_secret, app.refresh_token);
    let org = Org::connect(login, OrgOptions::default()).await?;

    let texts = |texts: [Option<&str>; 3]| Arc::new(StringArray::from_iter(texts)) as ArrayRef;
    let contacts = RecordBatch::try_from_iter_with_nullable([
        ("LastName", texts([Some("Ng"), None, Some("Tanaka")]), true),
        ("Birthdate", texts([Some("1981-11-01"), None, None]), true),
    ])?;
    let building = Loader::builder(&org).object("Contact");
    let loader = building.schema(contacts.schema()).build().await?;
    let batches = futures::stream::iter([Ok::<_, Error>(contacts)]);
    let loaded = loader.load(batches).await?;
    println!("{}", loaded.report);
    println!("{}", pretty_format_batches(&loaded.rejected)?);
    Ok(())
}
