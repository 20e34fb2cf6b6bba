use super::*;

fn read_all(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    read_for(Command::Serve, arguments, environment)
}

fn read_for(which: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let matches = flags(clap::Command::new("imgflo"), which).get_matches_from([&["imgflo"], arguments].concat());
    read(&matches, &environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(), which)
}

#[test]
fn defaults_are_loopback_and_unsigned() {
    let settings = read_all(&[], &[]).unwrap();
    assert!(settings.bind.ip().is_loopback());
    assert_eq!(settings.bind.port(), 8080);
    assert!(settings.applications.is_empty());
    assert_eq!(settings.limits, Limits::default());
}

#[test]
fn flags_win_over_the_environment() {
    let settings = read_all(&["--quality", "70"], &[("IMGFLO_QUALITY", "60"), ("IMGFLO_GRAPHS", "/g")]).unwrap();
    assert_eq!(settings.quality, 70);
    assert_eq!(settings.graphs, PathBuf::from("/g"));
    assert!(settings.graphs_named && !settings.files_named);
}

#[test]
fn every_fault_is_reported_at_once() {
    let faults = read_all(
        &["--quality", "101", "--bind", "nowhere"],
        &[
            ("IMGFLO_WORKERS", "many"),
            ("IMGFLO_LOG_FORMAT", "xml"),
            ("IMGFLO_QALITY", "3"),
            ("IMGFLO_ELEPHANT", "3"),
            ("IMGFLO_ALLOW_ADDRESSES", "10.0.0.0/99"),
        ],
    )
    .unwrap_err();
    assert_eq!(faults.len(), 7, "{faults:#?}");
    assert!(faults.iter().any(|f| f == "IMGFLO_ELEPHANT: no such setting; `imgflo settings` lists all"), "{faults:#?}");
    assert!(
        faults.iter().any(|f| f.contains("IMGFLO_QALITY") && f.contains("did you mean IMGFLO_QUALITY")),
        "{faults:#?}"
    );
    assert!(faults.iter().any(|f| f.contains("IMGFLO_WORKERS") && f.contains("'many'")), "{faults:#?}");
}

#[test]
fn another_address_needs_keys_or_the_word() {
    let faults = read_all(&["--bind", "0.0.0.0:80"], &[]).unwrap_err();
    assert!(faults[0].contains("IMGFLO_ALLOW_UNSIGNED"), "{faults:?}");
    assert!(read_all(&["--bind", "0.0.0.0:80"], &[("IMGFLO_ALLOW_UNSIGNED", "true")]).is_ok());
    let keys = [("IMGFLO_API_KEY", "key"), ("IMGFLO_API_SECRET", "secret")];
    let settings = read_all(&["--bind", "0.0.0.0:80"], &keys).unwrap();
    assert_eq!(settings.applications.len(), 1);
}

#[test]
fn a_database_of_applications_closes_other_addresses() {
    let database = [("DATABASE_URL", "postgres://ann:hush@db.example/apps")];
    let settings = read_all(&["--bind", "0.0.0.0:80"], &database).unwrap();
    assert!(!settings.open_when_empty);
    assert!(read_all(&[], &database).unwrap().open_when_empty);
    let unsigned = [database[0], ("IMGFLO_ALLOW_UNSIGNED", "true")];
    assert!(read_all(&["--bind", "0.0.0.0:80"], &unsigned).unwrap().open_when_empty);
    // A file that `imgflo apps` made does as well.
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--bind", "0.0.0.0:80", "--data-dir", folder.path().to_str().unwrap()];
    assert!(read_all(&arguments, &[]).is_err());
    std::fs::write(folder.path().join("imgflo.db"), "").unwrap();
    assert!(read_all(&arguments, &[]).is_ok());
    let faults = read_all(&[], &[("DATABASE_URL", "mysql://ann:hush@db.example/apps")]).unwrap_err();
    assert!(faults[0].starts_with("DATABASE_URL") && !faults[0].contains("hush"), "{faults:?}");
}

#[test]
fn port_alone_opens_only_what_is_signed() {
    // A platform that sets PORT reaches nobody on loopback, and does not say so.
    let faults = read_all(&[], &[("PORT", "9000")]).unwrap_err();
    assert!(faults[0].starts_with("PORT: 0.0.0.0:9000 "), "{faults:?}");
    assert!(faults[0].contains("IMGFLO_API_KEY") && faults[0].contains("--bind 127.0.0.1:9000"), "{faults:?}");
    let settings = read_all(&[], &[("PORT", "9000"), ("IMGFLO_ALLOW_UNSIGNED", "true")]).unwrap();
    assert_eq!(settings.bind, "0.0.0.0:9000".parse().unwrap());
    assert!(read_for(Command::Worker, &[], &[("PORT", "9000")]).is_ok());
    let settings = read_all(&[], &[("PORT", "9000"), ("IMGFLO_API_KEY", "k"), ("IMGFLO_API_SECRET", "s")]).unwrap();
    assert_eq!(settings.bind, "0.0.0.0:9000".parse().unwrap());
    let settings = read_all(&[], &[("PORT", "9000"), ("IMGFLO_BIND", "127.0.0.1:1")]).unwrap();
    assert_eq!(settings.bind.port(), 1);
}

#[test]
fn service_links_of_kubernetes_are_no_settings() {
    // As kubelet makes them for the Services imgflo, imgflo-web and imgflo-port (pkg/kubelet/envvars).
    let links = [
        ("IMGFLO_SERVICE_HOST", "10.0.0.11"),
        ("IMGFLO_SERVICE_PORT", "80"),
        ("IMGFLO_SERVICE_PORT_HTTP", "80"),
        ("IMGFLO_PORT", "tcp://10.0.0.11:80"),
        ("IMGFLO_PORT_80_TCP", "tcp://10.0.0.11:80"),
        ("IMGFLO_PORT_80_TCP_PROTO", "tcp"),
        ("IMGFLO_PORT_80_TCP_PORT", "80"),
        ("IMGFLO_PORT_80_TCP_ADDR", "10.0.0.11"),
        ("IMGFLO_WEB_SERVICE_HOST", "10.0.0.12"),
        ("IMGFLO_WEB_SERVICE_PORT_METRICS_UDP", "53"),
        ("IMGFLO_WEB_PORT", "udp://10.0.0.12:53"),
        ("IMGFLO_WEB_PORT_53_UDP_ADDR", "10.0.0.12"),
        ("IMGFLO_PORT_PORT", "tcp://10.0.0.13:80"),
        ("IMGFLO_PORT_PORT_80_TCP_PORT", "80"),
    ];
    assert_eq!(read_all(&[], &links).unwrap(), read_all(&[], &[]).unwrap());
    for (name, value) in [
        ("IMGFLO_PORT", "8080"),
        ("IMGFLO_PORT", "http://a"),
        ("IMGFLO_PORT_HTTP", "tcp://a:1"),
        ("IMGFLO_PORT_80_TCP_NAME", "tcp"),
        ("IMGFLO_SERVICE", "a"),
        ("IMGFLO_SERVICE_NAME", "a"),
    ] {
        assert!(read_all(&[], &[(name, value)]).unwrap_err()[0].starts_with(name), "{name}={value}");
    }
    let links: std::collections::BTreeSet<_> = links.into_iter().map(|(name, _)| name).collect();
    assert!(all().iter().flat_map(|setting| &setting.variables).all(|name| !links.contains(name.as_str())));
}

#[test]
fn limits_have_settings() {
    let settings = read_all(&[], &[("IMGFLO_MAX_INPUT_PIXELS", "1000000")]).unwrap();
    assert_eq!(settings.limits.max_input_pixels, 1_000_000);
}

#[test]
fn sizes_take_units() {
    assert_eq!(parse_size("10GiB"), Some(10 << 30));
    assert_eq!(parse_size("512"), Some(512));
    assert_eq!(parse_size("1GB"), None);
    assert_eq!(parse_size("99999999999GiB"), None);
    assert_eq!(parse_size(""), None);
}

#[test]
fn platforms_name_services_their_own_way() {
    let settings = read_all(
        &[],
        &[("CLOUDAMQP_URL", "amqps://u:p@host/v"), ("REDIS_URL", "redis://:p@host:1"), ("IMGFLO_TEST_AMQP", "x")],
    )
    .unwrap();
    assert_eq!(settings.broker.as_deref(), Some("amqps://u:p@host/v"));
    assert_eq!(settings.redis.as_deref(), Some("redis://:p@host:1"));
    let ours = [("CLOUDAMQP_URL", "amqp://a"), ("IMGFLO_BROKER_URL", "amqp://b")];
    assert_eq!(read_all(&[], &ours).unwrap().broker.as_deref(), Some("amqp://b"));
}

#[test]
fn a_front_end_with_a_broker_leaves_the_work_to_others() {
    let broker = [("IMGFLO_BROKER_URL", "amqp://host")];
    assert_eq!(read_all(&[], &broker).unwrap().workers, 0);
    assert_eq!(read_all(&["--workers", "3"], &broker).unwrap().workers, 3);
    assert!(read_all(&[], &[]).unwrap().workers > 0);
    assert!(read_all(&["--workers", "0"], &[]).is_err(), "nobody would do the work");
    assert!(read_for(Command::Worker, &[], &broker).unwrap().workers > 0);
}

#[test]
fn a_worker_does_not_mind_the_settings_of_http() {
    let environment = [("IMGFLO_BROKER_URL", "amqp://host"), ("IMGFLO_BIND", "0.0.0.0:80")];
    assert!(read_for(Command::Worker, &[], &environment).is_ok());
    let command = flags(clap::Command::new("imgflo"), Command::Worker);
    assert!(command.try_get_matches_from(["imgflo", "--bind", "127.0.0.1:80"]).is_err());
}

#[test]
fn buckets() {
    let s3 = |environment: &[(&str, &str)]| read_all(&[], environment).map(|settings| settings.s3.unwrap());
    let bucket = ("IMGFLO_S3_BUCKET", "b");
    assert_eq!(
        s3(&[bucket]).unwrap(),
        S3Options {
            bucket: "b".into(),
            prefix: "p".into(),
            endpoint: None,
            region: None,
            path_style: false,
            delivery: Delivery::Stream
        }
    );
    assert!(s3(&[bucket, ("IMGFLO_S3_ENDPOINT", "http://minio:9000")]).unwrap().path_style);
    let public = [bucket, ("IMGFLO_RESULTS", "public"), ("IMGFLO_S3_PUBLIC_URL", "https://cdn.example.org")];
    assert_eq!(s3(&public).unwrap().delivery, Delivery::Public("https://cdn.example.org".into()));
    assert_eq!(s3(&public[..2]).unwrap().delivery, Delivery::Bucket);
    assert_eq!(
        read_all(&[], &[("IMGFLO_S3_ENDPOINT", "http://x"), ("IMGFLO_RESULTS", "presigned")]).unwrap_err().len(),
        2
    );
}

#[test]
fn a_background_is_an_opaque_colour() {
    let read = |background: &str| read_all(&["--background", background], &[]);
    for (text, rgb) in [
        ("white", [255; 3]),
        ("#0080ff", [0, 128, 255]),
        ("#F00", [255, 0, 0]),
        (" Navy ", [0, 0, 128]),
        ("beige", [245, 245, 220]),
    ] {
        assert_eq!(read(text).unwrap().background.rgb, rgb, "{text}");
    }
    for text in ["none", "#ff000080", "beiges", "#12345", "255,0,0"] {
        let faults = read(text).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("--background") && faults[0].contains("#rrggbb"), "{faults:?}");
    }
    assert_eq!(read_all(&[], &[("IMGFLO_BACKGROUND", "black")]).unwrap().background.rgb, [0; 3]);
}

#[test]
fn passwords_are_not_shown() {
    let faults = read_all(&["--redis", "http://:hush@host"], &[("IMGFLO_BROKER_URL", "hush")]).unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| !fault.contains("hush")), "{faults:?}");
}

#[test]
fn the_docs_table_is_this_table() {
    let docs = include_str!("../../../docs/SETTINGS.md");
    let shown: String = docs.lines().filter(|l| l.starts_with('|')).map(|l| format!("{l}\n")).collect();
    assert_eq!(shown, table(), "docs/SETTINGS.md is out of date: replace its table by the output of `imgflo settings`");
}

#[test]
fn a_runtime_that_others_reach_needs_a_secret() {
    let read = |arguments: &[&str]| read_for(Command::Runtime, arguments, &[]);
    for open in [["--bind", "0.0.0.0:3569"], ["--url", "https://edit.example.org"]] {
        let faults = read(&open).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("IMGFLO_EDIT_SECRET"), "{faults:?}");
        let short = read(&[&open[..], &["--secret", "short"]].concat()).unwrap_err();
        assert!(short[0].contains("shorter than 16"), "{short:?}");
        assert!(read(&[&open[..], &["--secret", "sixteen letters!"]].concat()).is_ok());
    }
    for here in [&[][..], &["--url", "http://localhost:1"], &["--secret", "s"]] {
        assert!(read(here).is_ok(), "{here:?}");
    }
}

#[test]
fn fleet_secrets_are_long_and_several_while_they_are_replaced() {
    let broker = ("IMGFLO_BROKER_URL", "amqp://localhost");
    let read = |more: &[(&str, &str)]| read_for(Command::Worker, &[], &[&[broker], more].concat());
    assert!(!read(&[]).unwrap().fleet_secrets.refuses());
    let (old, new) = ("a secret of the fleet", "another of the fleet");
    let both = format!("{new}, {old}");
    assert_eq!(
        read(&[("IMGFLO_FLEET_SECRET", &both)]).unwrap().fleet_secrets,
        FleetSecrets::new([new, old].map(String::from), false)
    );
    let mixed = read(&[("IMGFLO_FLEET_SECRET", old), ("IMGFLO_FLEET_ACCEPT_UNSIGNED", "true")]).unwrap();
    assert!(!mixed.fleet_secrets.refuses());
    let short = format!("{old},short");
    let faults = read(&[("IMGFLO_FLEET_SECRET", &short)]).unwrap_err();
    assert_eq!(faults, ["IMGFLO_FLEET_SECRET: a fleet secret must have 16 characters or more"]);
}
