use super::*;
use crate::SimOptions;

#[test]
fn each_embedded_profile_can_be_used() {
    for name in names() {
        let profile = Profile::load(name).unwrap();
        assert_eq!(profile.name, name);
        assert!(profile.about.len() > 50, "{name} says nothing of itself");
        let takes_time = profile.speed.is_some();
        assert_eq!(takes_time, name != "null");
        let options = SimOptions::of(profile.clone());
        assert_eq!(options.contention.is_some(), takes_time);
        // What is shown of it is what it was made of.
        let shown = serde_json::to_string(&options.profile).unwrap();
        assert_eq!(Profile::parse(&shown).unwrap(), profile);
    }
}

#[test]
fn a_profile_sets_the_options_of_the_org() {
    let options = SimOptions::of(
        Profile::parse(
            r#"{"speed":10,"slots":3,"chunk_seconds":1.5,"batches":900,"batches_used":30,
                "request_seconds":{"any":0.2,"poll":0.001,"upload":1},"triggers":["Case"],
                "faults":[{"do":{"close":{}}}]}"#,
        )
        .unwrap(),
    );
    let contention = options.contention.unwrap();
    assert_eq!((contention.slots, contention.speed), (3, Some(10.0)));
    assert_eq!(contention.chunk_time, Duration::from_millis(1_500));
    assert_eq!(contention.lock_wait, Duration::from_secs(10));
    assert_eq!(contention.triggers, ["Case"]);
    assert!(contention.real_time);
    assert_eq!((options.max_batches, options.other_batches), (900, 30));
    // A request takes its time by the clock of the org, and the shortest time is none.
    let delays: Vec<_> = options.faults[..2]
        .iter()
        .map(|fault| (fault.calls.as_slice(), fault.action.clone()))
        .collect();
    let expected = [
        (&[][..], Action::Delay { ms: 20 }),
        (&[Call::Upload][..], Action::Delay { ms: 100 }),
    ];
    assert_eq!(delays, expected);
    assert_eq!(options.faults[2], Fault::new(Action::Close {}));
    assert_eq!(options.faults.len(), 3);
}

#[test]
fn an_error_names_the_key() {
    for (text, key) in [
        (r#"{"slotz":3}"#, "slotz"),
        (r#"{"speed":1,"slots":"many"}"#, "slots"),
        (r#"{"speed":1,"slots":0}"#, "slots"),
        (r#"{"speed":0}"#, "speed"),
        (r#"{"slots":3}"#, "speed"),
        (r#"{"speed":1,"row_seconds":-1}"#, "row_seconds"),
        (
            r#"{"speed":1,"request_seconds":{"pool":1}}"#,
            "request_seconds.pool",
        ),
        (
            r#"{"speed":1,"request_seconds":{"poll":-1}}"#,
            "request_seconds.poll",
        ),
        (r#"{"fail_rate":2}"#, "fail_rate"),
        (
            r#"{"speed":1,"locking_lookups":["AccountId"]}"#,
            "locking_lookups",
        ),
        (
            r#"{"faults":[{"do":{"close":{}}},{"do":{"explode":{}}}]}"#,
            "faults[1]",
        ),
        (r#"{"api_calls":-5}"#, "api_calls"),
    ] {
        let error = Profile::parse(text).unwrap_err();
        let ProfileError::Key { key: found, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(found, key, "{error}");
        assert!(
            error.to_string().contains(&format!("key {key} of")),
            "{error}"
        );
    }
    assert!(matches!(
        Profile::parse("[]"),
        Err(ProfileError::NotJson(_))
    ));
    let error = Profile::load("bussy").unwrap_err().to_string();
    assert!(
        error.contains("bussy") && error.contains("busy, limited"),
        "{error}"
    );
}
