//! The org's clock, and how it goes with that of the client.
//!
//! It stands still while the client acts: while a request that acts on a job is answered, while
//! the file of a closed job is read, until the client has polled a job that ended, and until it has
//! been quiet for a while. Then it jumps to the next end of a job. So a client reacts in no
//! simulated time, however slow the machine is, and jobs that it closes one right after another
//! begin together.
//!
//! In real time it never stands still: so the org works while the client does, and both compete.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::engine::{Engine, Job};
use super::{Contention, ContentionCounts};

/// Pause between two looks at the client.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a job that ended waits for its poll.
const UNSEEN: Duration = Duration::from_secs(5);

/// The clock of an org under contention.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    state: Mutex<State>,
    /// How many things the client does.
    acts: AtomicUsize,
    /// When it did the last one.
    acted: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct State {
    engine: Engine,
    /// A task moves the clock.
    is_driven: bool,
    /// Jobs that ended and were not polled since.
    unseen: HashSet<u32>,
    /// In real time: the moment that it is.
    due: Duration,
    /// When that was looked at.
    looked: Option<Instant>,
    /// In real time: how far the clock was behind, at most, in simulated time.
    late: Duration,
}

impl State {
    /// In real time: the moment that it is now.
    fn due(&mut self) -> Duration {
        let speed = self.engine.settings.speed.unwrap_or(1.0);
        let now = Instant::now();
        let passed = self.looked.map_or(Duration::ZERO, |looked| now - looked);
        self.looked = Some(now);
        let passed = Duration::try_from_secs_f64(passed.as_secs_f64() * speed);
        self.due = self.due.max(self.engine.now()) + passed.unwrap_or_default();
        self.due
    }
}

/// Something that a client does. The clock stands still meanwhile.
#[derive(Debug)]
pub(crate) struct Acting(Arc<Clock>);

impl Drop for Acting {
    fn drop(&mut self) {
        *self.0.acted.lock() = Some(Instant::now());
        self.0.acts.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Clock {
    /// The client begins to do something.
    pub(crate) fn act(self: &Arc<Clock>) -> Acting {
        self.acts.fetch_add(1, Ordering::SeqCst);
        Acting(Arc::clone(self))
    }

    /// The client has seen that a job ended.
    pub(crate) fn see(&self, job: u32) {
        if self.state.lock().unseen.remove(&job) {
            *self.acted.lock() = Some(Instant::now());
        }
    }

    /// The org's time.
    pub(crate) fn now(&self) -> Duration {
        self.state.lock().engine.now()
    }

    pub(crate) fn counts(&self) -> ContentionCounts {
        self.state.lock().engine.counts()
    }

    /// In real time: how many real seconds the clock was behind, at most.
    pub(crate) fn late_seconds(&self) -> f64 {
        let state = self.state.lock();
        state.late.as_secs_f64() / state.engine.settings.speed.unwrap_or(1.0)
    }

    /// Forgets all jobs and counts.
    pub(crate) fn reset(&self) {
        let mut state = self.state.lock();
        let is_driven = state.is_driven;
        *state = State {
            is_driven,
            ..State::default()
        };
    }

    /// A job begins. The clock stands still while `hold` says so.
    pub(crate) fn begin(
        self: &Arc<Clock>,
        job: Job,
        settings: &Contention,
        hold: watch::Receiver<bool>,
    ) {
        let mut state = self.state.lock();
        state.engine.settings = settings.clone();
        if settings.real_time {
            // No time has passed while there was no work.
            if !state.is_driven {
                (state.due, state.looked) = (Duration::ZERO, None);
            }
            let due = state.due();
            if state.engine.next().is_none_or(|next| next > due) {
                state.engine.wait_until(due);
            }
        }
        state.engine.begin(job);
        if !std::mem::replace(&mut state.is_driven, true) {
            tokio::spawn(drive(Arc::clone(self), hold));
        }
    }

    /// Waits until the client waits.
    async fn client_waits(&self) {
        let since = Instant::now();
        loop {
            let (quiet, has_unseen) = {
                let mut state = self.state.lock();
                if state.engine.settings.real_time {
                    return;
                }
                if since.elapsed() > UNSEEN {
                    state.unseen.clear();
                }
                (state.engine.settings.quiet, !state.unseen.is_empty())
            };
            let acts = self.acts.load(Ordering::SeqCst) > 0;
            let is_quiet = (*self.acted.lock()).is_none_or(|acted| acted.elapsed() >= quiet);
            if is_quiet && !acts && !has_unseen {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The moment up to which the clock may go in the next turn, and how long a turn takes.
    fn turn(&self) -> (Option<Duration>, Duration) {
        let mut state = self.state.lock();
        if state.engine.settings.real_time {
            return (Some(state.due()), PAUSE);
        }
        let Some(speed) = state.engine.settings.speed else {
            return (None, Duration::ZERO);
        };
        let far = Duration::try_from_secs_f64(PAUSE.as_secs_f64() * speed);
        (Some(state.engine.now() + far.unwrap_or(PAUSE)), PAUSE)
    }

    /// Moves the clock to a moment, but no further than to the next end of a job, and only while
    /// the client does nothing. Returns whether there is more to come.
    fn advance(&self, until: Option<Duration>) -> bool {
        loop {
            let mut state = self.state.lock();
            let Some(next) = state.engine.next() else {
                state.is_driven = false;
                return false;
            };
            let real_time = state.engine.settings.real_time;
            if self.acts.load(Ordering::SeqCst) > 0 && !real_time {
                return true;
            }
            if let Some(until) = until.filter(|until| next > *until) {
                state.engine.wait_until(until);
                return true;
            }
            if let (true, Some(until)) = (real_time, until) {
                state.late = state.late.max(until.saturating_sub(next));
            }
            let ended = state.engine.step();
            if !ended.is_empty() && !real_time {
                state.unseen.extend(ended);
                return true;
            }
        }
    }
}

/// Moves the clock until no job is left.
async fn drive(clock: Arc<Clock>, mut hold: watch::Receiver<bool>) {
    loop {
        if *hold.borrow() {
            // An error means that the org is gone, which holds nothing.
            let _ = hold.wait_for(|held| !held).await;
            clock.state.lock().looked = None;
        }
        clock.client_waits().await;
        let (until, pause) = clock.turn();
        tokio::time::sleep(pause).await;
        let moving = Arc::clone(&clock);
        match tokio::task::spawn_blocking(move || moving.advance(until)).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::error!(%error, "a step of the simulated org broke");
                clock.state.lock().is_driven = false;
                clock.reset();
                return;
            }
        }
    }
}
