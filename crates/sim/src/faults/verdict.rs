//! What happens to one request.

use std::time::Duration;

use super::{Action, PageFault};
use crate::error::ApiError;

/// A page of HTML as gateways send it: several lines, with commas in them.
const PAGE: &str = "<!DOCTYPE html>\n<html>\n<head><title>We are down, for maintenance</title></head>\n\
    <body>\n<h1>Sorry, we are busy</h1>\n<p>Please wait, then try again, or see trust.salesforce.com</p>\n\
    </body>\n</html>\n";

/// Where redirects lead if a fault does not say.
const ELSEWHERE: &str = "https://moved.my.salesforce.com/ui/setup";

/// What happens to one request. Of several answers the first that is set is given.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    /// All sessions end.
    pub(crate) expire_tokens: bool,
    /// All connections are refused for this long.
    pub(crate) refuse: Option<Duration>,
    /// The org moves to another host.
    pub(crate) moves: Option<Move>,
    /// What is wrong with a page of results.
    pub(crate) page: Option<PageFault>,
    /// The answer in place of the work.
    pub(crate) before: Option<Answer>,
    /// The answer after the work, in place of its own.
    pub(crate) after: Option<Answer>,
}

/// How an org moves to another host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move {
    /// The status of the old host's answers.
    pub(crate) code: u16,
    /// Logins are answered so too.
    pub(crate) login: bool,
}

/// An answer that is not the work's own.
#[derive(Debug)]
pub(crate) enum Answer {
    /// None: the connection is closed.
    Cut,
    /// None for this long; then the connection is closed.
    Hang(Duration),
    /// The work's own, of which a part of the body is sent before the connection is closed.
    CutBody,
    /// The work's own with this share of its body.
    Truncate(f64),
    Status(Status),
    Error(ApiError),
    OauthError(OauthError),
}

/// An error of the token endpoint.
#[derive(Debug)]
pub(crate) struct OauthError {
    pub(crate) error: String,
    pub(crate) description: String,
}

/// A response that a fault makes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) body: Option<String>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) location: Option<String>,
}

impl Verdict {
    pub(super) fn add(&mut self, action: Action, after_work: bool) {
        let (answer, after_work) = match action {
            Action::Delay { ms } => {
                self.delay += Duration::from_millis(ms);
                return;
            }
            Action::ExpireTokens {} => {
                self.expire_tokens = true;
                return;
            }
            Action::ResultPage(fault) => {
                self.page.get_or_insert(fault);
                return;
            }
            Action::MoveHost { code, login } => {
                self.moves = Some(Move { code, login });
                return;
            }
            Action::Refuse { ms } => {
                self.refuse = Some(Duration::from_millis(ms));
                (Answer::Cut, after_work)
            }
            Action::Close {} => (Answer::Cut, after_work),
            Action::Lose {} => (Answer::Cut, true),
            Action::CutBody {} => (Answer::CutBody, true),
            Action::Truncate { share } => (Answer::Truncate(share), true),
            Action::Hang { ms } => (Answer::Hang(Duration::from_millis(ms)), after_work),
            Action::ApiError {
                status,
                code,
                message,
            } => {
                let error = ApiError::new(status, &code, &message);
                (Answer::Error(error), after_work)
            }
            Action::OauthError { error, description } => {
                let error = OauthError { error, description };
                (Answer::OauthError(error), after_work)
            }
            action => match Status::of(action) {
                Some(status) => (Answer::Status(status), after_work),
                None => return,
            },
        };
        let place = if after_work {
            &mut self.after
        } else {
            &mut self.before
        };
        place.get_or_insert(answer);
    }
}

impl Status {
    /// The response that an action makes, if it makes one.
    fn of(action: Action) -> Option<Status> {
        Some(match action {
            Action::Status {
                code,
                body,
                retry_after,
            } => Status {
                code,
                body,
                retry_after,
                location: None,
            },
            Action::Page { code, retry_after } => Status {
                code,
                body: Some(PAGE.to_owned()),
                retry_after,
                location: None,
            },
            Action::Redirect { code, location } => Status {
                code,
                body: Some(PAGE.to_owned()),
                location: Some(location.unwrap_or_else(|| ELSEWHERE.to_owned())),
                retry_after: None,
            },
            _ => return None,
        })
    }
}
