//! What the tasks of a running load work with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio_util::sync::CancellationToken;

use crate::bulk::Client;
use crate::ledger::LoadLedger;
use crate::options::Concurrency;

use super::Org;
use super::books::Books;
use super::family::Family;
use super::held::Held;
use super::keys::Keys;
use super::org::{LoadId, Member, ObjectJobs};
use super::plan::Plan;

/// The parts of a running load, one for each concern.
#[derive(Debug)]
pub(super) struct Load {
    /// What all loads share.
    pub(super) org: Org,
    pub(super) id: LoadId,
    /// Counts the calls of this load beside those of the org.
    pub(super) client: Client,
    pub(super) plan: Arc<Plan>,
    pub(super) books: Books,
    /// Where the rows of its jobs are entered before they are closed.
    pub(super) ledger: Option<LoadLedger>,
    pub(super) keys: Keys,
    /// The jobs into its object, of all loads.
    pub(super) jobs: Arc<ObjectJobs>,
    /// Whether and how rows wait for their parents, in a family.
    pub(super) held: Option<Held>,
    /// A job was processed, so that its columns, which all jobs have, are not at fault.
    pub(super) has_loaded: AtomicBool,
    /// What it has of the memory, as all loads see it.
    pub(super) member: Arc<Member>,
    /// From now on nothing new is begun; jobs in flight come to their end.
    pub(super) stop: CancellationToken,
}

impl Load {
    pub(super) fn new(
        org: &Org,
        plan: Arc<Plan>,
        stop: CancellationToken,
        ledger: Option<LoadLedger>,
        family: Option<&Family>,
    ) -> Self {
        let books = Books::new();
        let serial = plan.options.concurrency == Concurrency::Serial;
        let held = family.map(|family| {
            let (object, most) = (&plan.target.object, plan.options.held_rows);
            Held::new(family, object, &plan.coercion, most, org.budget())
        });
        Self {
            held,
            client: org.client().scoped_until(stop.clone()),
            keys: Keys::new(org.budget()),
            jobs: org.admission().jobs_into(&plan.target.object, serial),
            member: org.admission().register(books.rows()),
            id: org.in_flight().new_load(),
            org: org.clone(),
            plan,
            ledger,
            books,
            has_loaded: AtomicBool::new(false),
            stop,
        }
    }
}
