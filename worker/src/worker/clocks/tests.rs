use imgflo_job::{Files, JobData, Quality, Urgency};

use super::*;

/// A job that a front end made at `created_at` by its clock.
fn job(from: &str, created_at: u64) -> Job {
    let data = JobData {
        graphspec: String::new(),
        graph: String::new(),
        files: Files::default(),
        iips: Default::default(),
        outtype: None,
        apikey: None,
        token: None,
        cachekey: String::new(),
        query: String::new(),
        request: String::new(),
        no_cache: false,
        debug_url: None,
        runtime: String::new(),
        source: None,
        definition: Default::default(),
        quality: Quality::default(),
        background: None,
    };
    Job { created_at, from: Some(from.to_owned()), ..Job::new(Urgency::Urgent, data, None) }
}

/// A moment that many seconds after the clocks began.
fn at(clocks: &Clocks, seconds: u64) -> Instant {
    clocks.began + Duration::from_secs(seconds)
}

#[test]
fn the_time_at_front_ends_does_not_depend_on_this_machines_clock() {
    let clocks = Clocks::default();
    for (front, start) in [("behind", 1_000_000), ("ahead", message::now() + 3_600_000), ("wild", u64::MAX)] {
        for seconds in 0..100 {
            clocks.heard_at(front, start.saturating_add(seconds * 1000), at(&clocks, seconds));
        }
        let now = clocks.time_at_front_of(&job(front, 0), at(&clocks, 100));
        match front {
            "wild" => assert!(now > u64::MAX / 4, "{now}"),
            _ => assert_eq!(now, start + 100_000, "{front}"),
        }
    }
}

#[test]
fn a_slow_message_does_not_set_the_time_back() {
    let clocks = Clocks::default();
    clocks.heard_at("f", 1_000_000, at(&clocks, 0));
    // It was seven seconds on its way.
    clocks.heard_at("f", 1_000_000, at(&clocks, 7));
    assert_eq!(clocks.time_at_front_of(&job("f", 0), at(&clocks, 7)), 1_007_000);
    // A job that waited a minute in its queue tells less still.
    drop(clocks.add("f", 1_007_000, at(&clocks, 67)));
    assert_eq!(clocks.time_at_front_of(&job("f", 0), at(&clocks, 67)), 1_067_000);
}

#[test]
fn a_clock_that_is_set_is_followed() {
    let clocks = Clocks::default();
    let length = 3 * COUNTS.as_secs();
    for (round, start) in [1_000_000_u64, 9_000_000, 500_000].into_iter().enumerate() {
        let began = round as u64 * length;
        for seconds in 0..length {
            clocks.heard_at("f", start + seconds * 1000, at(&clocks, began + seconds));
        }
        let now = clocks.time_at_front_of(&job("f", 0), at(&clocks, began + length));
        assert_eq!(now, start + 1000 * length, "round {round}");
    }
}

#[test]
fn a_job_whose_front_end_is_not_known_yet_is_as_old_as_nothing() {
    let clocks = Clocks::default();
    let job = job("new", 1_000_000);
    clocks.met(&job);
    assert!(clocks.now_at_front_of(&job).abs_diff(1_000_000) < 1000);
    assert_eq!(clocks.ahead_of_front_of(&job), None, "it may have waited");
    // One of a program that does not say who it is has this machine's time.
    let nobody = Job { from: None, ..job };
    assert!(clocks.now_at_front_of(&nobody).abs_diff(message::now()) < 1000);
}

#[test]
fn clocks_that_differ_are_told() {
    let clocks = Clocks::default();
    for (front, ahead) in [("a", 60_000), ("b", -60_000), ("c", 1000)] {
        for _ in 0..2 {
            clocks.heard(front, (message::now() as i64 - ahead) as u64);
        }
        let told = clocks.ahead_of_front_of(&job(front, 0));
        match front {
            "c" => assert_eq!(told, None),
            _ => assert!(told.is_some_and(|told| (told - ahead).abs() < 1000), "{front}: {told:?}"),
        }
    }
}
