//! Logins that are under way: what a person's browser was asked, and what an app waits for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::random;
use crate::org::user::User;

/// Logins that are under way.
#[derive(Debug, Default)]
pub(in crate::http) struct Pending {
    /// By what a page holds in place of a password: who logged in there.
    tickets: HashMap<String, Arc<User>>,
    codes: HashMap<String, Code>,
    /// By device code.
    devices: HashMap<String, Device>,
}

/// An authorization code, and what it was given for.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) made: Instant,
    pub(super) is_used: bool,
    pub(super) user: Arc<User>,
    pub(super) client: String,
    pub(super) scope: String,
    pub(super) redirect_uri: String,
    /// The SHA-256 of the verifier, in Base64 for URLs.
    pub(super) challenge: Option<String>,
}

/// A device that waits for a person.
#[derive(Debug)]
pub(super) struct Device {
    made: Instant,
    polled: Option<Instant>,
    user_code: String,
    pub(super) client: String,
    pub(super) scope: String,
    answer: Answer,
}

/// What a person answered to a device.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    None,
    Denied,
    Allowed(Arc<User>),
}

/// What a device is answered.
#[derive(Debug)]
pub(super) enum Polled {
    Unknown,
    TooSoon,
    Waits,
    Denied,
    /// Once.
    Allowed {
        user: Arc<User>,
        scope: String,
    },
}

impl Pending {
    /// Remembers who logged in at a page.
    pub(super) fn ticket(&mut self, user: Arc<User>) -> String {
        let ticket = random("ticket");
        self.tickets.insert(ticket.clone(), user);
        ticket
    }

    /// Who logged in at a page.
    pub(super) fn holder(&self, ticket: &str) -> Option<Arc<User>> {
        self.tickets.get(ticket).map(Arc::clone)
    }

    /// Remembers a code. Like Salesforce's it ends with two equals signs, which an address has to
    /// encode.
    pub(super) fn code(&mut self, code: Code) -> String {
        let name = format!("{}==", random("aPrx"));
        self.codes.insert(name.clone(), code);
        name
    }

    /// Uses a code: what it was before.
    pub(super) fn use_code(&mut self, name: &str) -> Option<Code> {
        let code = self.codes.get_mut(name)?;
        let before = code.clone();
        code.is_used = true;
        Some(before)
    }

    /// Begins the login of a device: its device code and its user code.
    pub(super) fn device(&mut self, client: &str, scope: String) -> (String, String) {
        const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
        let letter = |_| char::from(LETTERS[fastrand::usize(..LETTERS.len())]);
        let user_code: String = (0..8).map(letter).collect();
        let name = random("device");
        let device = Device {
            made: Instant::now(),
            polled: None,
            user_code: user_code.clone(),
            client: client.to_owned(),
            scope,
            answer: Answer::None,
        };
        self.devices.insert(name.clone(), device);
        (name, user_code)
    }

    /// The device that waits with a user code, if it was made within the time.
    pub(super) fn waiting(&mut self, user_code: &str, life: Duration) -> Option<&mut Device> {
        let typed = user_code.trim().replace('-', "").to_ascii_uppercase();
        self.devices.values_mut().find(|device| {
            device.user_code == typed
                && device.made.elapsed() < life
                && matches!(device.answer, Answer::None)
        })
    }

    /// What the device of an app is answered.
    pub(super) fn poll(
        &mut self,
        name: &str,
        client: &str,
        life: Duration,
        interval: Duration,
    ) -> Polled {
        let found = self.devices.get_mut(name);
        let live = |device: &&mut Device| device.client == client && device.made.elapsed() < life;
        let Some(device) = found.filter(live) else {
            return Polled::Unknown;
        };
        let before = device.polled.replace(Instant::now());
        // A clock is not exact.
        if before.is_some_and(|before| before.elapsed() < interval.mul_f64(0.8)) {
            return Polled::TooSoon;
        }
        match device.answer.clone() {
            Answer::None => Polled::Waits,
            Answer::Denied => Polled::Denied,
            Answer::Allowed(user) => {
                let scope = device.scope.clone();
                self.devices.remove(name);
                Polled::Allowed { user, scope }
            }
        }
    }
}

impl Device {
    /// A person answers.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.answer = answer;
    }
}
