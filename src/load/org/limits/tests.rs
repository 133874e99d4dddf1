use super::*;

fn allowance(left: u64, max: u64) -> Option<Allowance> {
    Some(Allowance {
        left,
        max,
        used: 0,
        lasts: None,
    })
}

fn short(requests: Option<Allowance>, batches: Option<Allowance>, job: u64) -> Option<u64> {
    let allowances = Allowances {
        api_requests: requests,
        batches,
    };
    assert_eq!(allowances.short_for(job, 0), None);
    let short = allowances.short_for(job, 20)?;
    Some(short.left)
}

#[test]
fn a_reserve_is_not_touched() {
    assert_eq!(short(None, None, 1), None);
    assert_eq!(short(allowance(1_001, 5_000), None, 1), None);
    assert_eq!(short(allowance(1_000, 5_000), None, 1), Some(1_000));
    assert_eq!(short(allowance(0, 5_000), None, 1), Some(0));
    // A job of several batches does not reach into it.
    let batches = |left| allowance(left, 100);
    assert_eq!(short(None, batches(21), 1), None);
    assert_eq!(short(None, batches(20), 1), Some(20));
    assert_eq!(short(allowance(5_000, 5_000), batches(30), 11), Some(30));
    assert_eq!(short(None, batches(31), 11), None);
    // One that could never go, goes while there is room at all.
    assert_eq!(short(None, batches(21), 81), None);
    assert_eq!(short(None, batches(20), 81), Some(20));
}

/// What an org said of its API requests last.
fn said(org: Option<ApiUsage>) -> Usage {
    Usage {
        api_calls: 12,
        org,
        ..Usage::default()
    }
}

#[test]
fn what_is_left_counts_what_was_used_since() {
    let mut known = Known {
        requests_before: 100,
        batches: Some(Limit {
            max: 15_000,
            remaining: 14_000,
        }),
        claimed: 10,
        used: 30,
        ..Known::default()
    };
    let usage = ApiUsage {
        used: 150,
        allowed: 5_000,
    };
    let left = known.allowances(&said(Some(usage)));
    let requests = left.api_requests.unwrap();
    assert_eq!(
        (requests.left, requests.max, requests.used),
        (4_850, 5_000, 50)
    );
    let batches = left.batches.unwrap();
    assert_eq!(
        (batches.left, batches.max, batches.used),
        (13_990, 15_000, 30)
    );
    // Salesforce lets an org use a little more than it may, and says so.
    known.batches = Some(Limit {
        max: 15_000,
        remaining: -3,
    });
    assert_eq!(known.allowances(&said(None)).batches.unwrap().left, 0);
    let over = ApiUsage {
        used: 5_001,
        allowed: 5_000,
    };
    assert_eq!(
        known
            .allowances(&said(Some(over)))
            .api_requests
            .unwrap()
            .left,
        0
    );
}

#[test]
fn requests_that_no_answer_says_are_counted_from_their_reading() {
    let mut known = Known::default();
    assert_eq!(known.allowances(&said(None)).api_requests, None);
    let read = Limit {
        max: 5_000,
        remaining: 4_000,
    };
    known.requests = Some((read, 10));
    known.begin(true, &said(None));
    let requests = known.allowances(&said(None)).api_requests.unwrap();
    assert_eq!(
        (requests.left, requests.max, requests.used),
        (3_998, 5_000, 0)
    );
}

#[test]
fn a_forecast_follows_the_rate() {
    let hour = Duration::from_secs(3_600);
    assert_eq!(lasts(1_000, 500, hour), Some(2 * hour));
    assert_eq!(lasts(1_000, 1, hour), None);
    assert_eq!(lasts(1_000, 0, hour), None);
    assert_eq!(lasts(0, 0, hour), None);
    assert_eq!(lasts(0, 7, hour), Some(Duration::ZERO));
}

#[test]
fn it_is_warned_once() {
    let mut known = Known::default();
    let used = Allowance {
        left: 9,
        max: 20,
        used: 11,
        lasts: None,
    };
    let allowances = Allowances {
        api_requests: None,
        batches: Some(used),
    };
    known.warn(&Allowances::default());
    assert_eq!(known.warned, [false; 3]);
    known.warn(&allowances);
    assert_eq!(known.warned, [false, true, false]);
}
