//! Every number that a stranger controls, with its default and the setting that moves it.

use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const SECOND: u64 = 1000;

/// One limit as a setting: a command-line flag `--<name>` and a variable `IMGFLO_<NAME>`.
#[derive(Clone, Copy, Debug)]
pub struct LimitSetting {
    /// Name as a flag: `max-url-bytes`.
    pub name: &'static str,
    /// What it is counted in: `bytes`, `pixels`, `ms`, `s`; empty for plain counts.
    pub unit: &'static str,
    /// What it limits, one line.
    pub help: &'static str,
    /// Reads it, in its unit.
    pub get: fn(&Limits) -> u64,
    /// Writes it, in its unit, unchecked.
    pub set: fn(&mut Limits, u64),
    /// Smallest value that makes sense.
    pub minimum: u64,
    /// Largest value that makes sense.
    pub maximum: u64,
}

impl LimitSetting {
    /// Name as an environment variable: `IMGFLO_MAX_URL_BYTES`.
    pub fn variable(&self) -> String {
        format!("IMGFLO_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Value of an unconfigured deployment.
    pub fn default_value(&self) -> u64 {
        (self.get)(&Limits::default())
    }

    /// Sets it from text.
    ///
    /// # Errors
    /// A sentence that names the variable, the text and the range, when it is no whole number
    /// within that range.
    pub fn read(&self, text: &str, limits: &mut Limits) -> Result<(), String> {
        match text.trim().parse::<u64>() {
            Ok(value) if (self.minimum..=self.maximum).contains(&value) => {
                (self.set)(limits, value);
                Ok(())
            }
            _ => Err(format!(
                "{} is '{text}', but must be a whole number from {} to {}{}{}",
                self.variable(),
                self.minimum,
                self.maximum,
                if self.unit.is_empty() { "" } else { " " },
                self.unit
            )),
        }
    }
}

/// A type that a limit can have, as the number a setting holds.
trait Number {
    fn get(&self) -> u64;
    fn of(value: u64) -> Self;
}

impl Number for u64 {
    fn get(&self) -> u64 {
        *self
    }

    fn of(value: u64) -> Self {
        value
    }
}

impl Number for Duration {
    fn get(&self) -> u64 {
        self.as_millis() as u64
    }

    fn of(value: u64) -> Self {
        Duration::from_millis(value)
    }
}

/// `max_url_bytes` as a flag: `max-url-bytes`.
const fn dashed<const LENGTH: usize>(field: &str) -> [u8; LENGTH] {
    let mut name = [0; LENGTH];
    let mut at = 0;
    while at < LENGTH {
        let byte = field.as_bytes()[at];
        name[at] = if byte == b'_' { b'-' } else { byte };
        at += 1;
    }
    name
}

/// Makes the struct, its defaults and its settings from one list, so that they cannot differ.
macro_rules! limits {
    ($( #[doc = $help:literal] $field:ident: $type:ty, in $unit:literal = $default:expr, $range:expr; )+) => {
        /// Limits of one deployment. Each is also a setting: [`Limits::SETTINGS`].
        #[derive(Clone, Debug, PartialEq)]
        pub struct Limits {
            $( #[doc = $help] pub $field: $type, )+
        }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $( $field: Number::of($default), )+ }
            }
        }

        impl Limits {
            /// All limits, as settings.
            pub const SETTINGS: &'static [LimitSetting] = &[ $( LimitSetting {
                name: {
                    const NAME: [u8; stringify!($field).len()] = dashed(stringify!($field));
                    match std::str::from_utf8(&NAME) {
                        Ok(name) => name,
                        Err(_) => panic!("a field's name is ASCII"),
                    }
                },
                unit: $unit,
                help: $help.trim_ascii(),
                get: |limits| Number::get(&limits.$field),
                set: |limits, value| limits.$field = Number::of(value),
                minimum: *$range.start(),
                maximum: *$range.end(),
            }, )+ ];
        }
    };
}

limits! {
    // 65,534 is the most that the HTTP library reads.
    /// Longest request target (path and query), bytes.
    max_url_bytes: u64, in "bytes" = 16 * KIB, (256..=65_534);
    /// Longest `data:` input, bytes of the URL.
    max_data_url_bytes: u64, in "bytes" = 16 * KIB, (0..=65_534);
    /// Most query parameters of a request.
    max_parameters: u64, in "" = 100, (1..=10_000);
    /// Most bytes fetched for an input while a client waits.
    max_input_bytes: u64, in "bytes" = 32 * MIB, (1..=4 * GIB);
    /// Most bytes fetched for an input in the background.
    max_background_input_bytes: u64, in "bytes" = 256 * MIB, (1..=4 * GIB);
    /// Most pixels of an input, width × height.
    max_input_pixels: u64, in "pixels" = 50_000_000, (1..=4_000_000_000);
    // What a picture takes follows from its pixels: this only keeps numbers within reason.
    /// Longest side of an input, pixels.
    max_input_side: u64, in "pixels" = 1_000_000, (1..=2_147_483_647);
    /// Most pixels of a result, width × height.
    max_output_pixels: u64, in "pixels" = 25_000_000, (1..=4_000_000_000);
    /// Most pixels of a result that is written as AVIF; larger ones are answered as WebP.
    max_avif_pixels: u64, in "pixels" = 2_000_000, (1..=100_000_000);
    /// Most bytes of pixel buffers that one job may hold at once, as its plan predicts.
    max_job_memory: u64, in "bytes" = 3 * GIB, (MIB..=1024 * GIB);
    /// Most processor time that rendering may take while a client waits, as its plan predicts, seconds.
    max_urgent_cpu_seconds: u64, in "s" = 60, (1..=1_000_000);
    /// Most processor time that rendering may take in the background, as its plan predicts, seconds.
    max_background_cpu_seconds: u64, in "s" = 600, (1..=1_000_000);
    /// Most processes in a graph, with those of the graphs in it.
    max_graph_nodes: u64, in "" = 200, (1..=10_000);
    /// Largest graph file, and largest graph with the graphs in it as JSON, bytes.
    max_graph_bytes: u64, in "bytes" = MIB, (KIB..=64 * MIB);
    /// Longest name that an editor may give a graph, process, port or group, bytes.
    max_name_bytes: u64, in "bytes" = 500, (16..=2000);
    /// Most processes of a graph in the live runtime, which also holds what leads nowhere yet.
    max_live_nodes: u64, in "" = 1000, (1..=10_000);
    /// Most edges and literals of a graph in the live runtime.
    max_live_connections: u64, in "" = 10_000, (1..=100_000);
    /// Most versions of a graph that are kept; of those without a title the oldest go first.
    max_graph_versions: u64, in "" = 1000, (1..=10_000);
    /// Most bytes of all versions of a graph together; of those without a title the oldest go first.
    max_graph_versions_bytes: u64, in "bytes" = 64 * MIB, (KIB..=64 * GIB);
    /// Longest source of an operation in C that is written while the server runs, bytes.
    max_operation_bytes: u64, in "bytes" = 256 * KIB, (KIB..=16 * MIB);
    /// Most redirects followed for an input.
    max_redirects: u64, in "" = 5, (0..=20);
    /// Most levels of `/graph` URLs as inputs of `/graph` URLs.
    max_nested: u64, in "" = 4, (0..=16);
    /// Most jobs waiting in the urgent lane.
    max_urgent_jobs: u64, in "" = 64, (1..=1_000_000);
    /// Most of the places in the urgent lane for jobs whose inputs come from one host, while jobs of others are asked for.
    max_urgent_share: u64, in "percent" = 75, (1..=100);
    /// Most jobs waiting in the background lane.
    max_background_jobs: u64, in "" = 10_000, (1..=1_000_000);
    /// Most inputs that a worker fetches at a time; a host has at most as many of them as are free.
    max_fetches: u64, in "" = 512, (1..=65_536);
    /// Most bytes of inputs that a worker fetches or has fetched and not used yet, and one input more.
    max_fetch_bytes: u64, in "bytes" = 256 * MIB, (0..=1024 * GIB);
    /// Most bytes of results that a worker stores while other jobs compute; results beyond that keep their job's slot.
    max_storing_bytes: u64, in "bytes" = 64 * MIB, (0..=1024 * GIB);
    /// Time to connect to an input's host.
    connect_timeout: Duration, in "ms" = 2 * SECOND, (1..=600 * SECOND);
    /// Time until the first byte of an input.
    first_byte_timeout: Duration, in "ms" = 5 * SECOND, (1..=600 * SECOND);
    /// Time for all of an input.
    fetch_timeout: Duration, in "ms" = 15 * SECOND, (1..=3600 * SECOND);
    /// Time for which it is remembered that an input's host answered with an error, or with no picture.
    negative_lifetime: Duration, in "ms" = 5 * SECOND, (0..=3600 * SECOND);
    /// Time a client waits for an answer, and an urgent job has from its arrival.
    urgent_deadline: Duration, in "ms" = 25 * SECOND, (1..=3600 * SECOND);
    /// Time a background job may work.
    background_deadline: Duration, in "ms" = 600 * SECOND, (1..=86_400 * SECOND);
}

impl Limits {
    /// Time that an urgent job may work: past its client's deadline for as long as its rendering may take, but no longer
    /// than a background job.
    pub fn longest_urgent_work(&self) -> Duration {
        let work = Duration::from_secs(self.max_urgent_cpu_seconds);
        self.urgent_deadline.saturating_add(work).min(self.background_deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn setting(name: &str) -> &'static LimitSetting {
        Limits::SETTINGS.iter().find(|setting| setting.name == name).unwrap()
    }

    #[test]
    fn one_setting_a_limit() {
        // Each Debug field is a setting, and no two settings share a name.
        let fields = format!("{:?}", Limits::default()).matches(": ").count();
        assert_eq!(fields, Limits::SETTINGS.len());
        let names: HashSet<&str> = Limits::SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), fields);
        assert_eq!(setting("max-url-bytes").variable(), "IMGFLO_MAX_URL_BYTES");
        assert_eq!(setting("max-url-bytes").help, "Longest request target (path and query), bytes.");
        assert_eq!(setting("urgent-deadline").default_value(), 25_000);
    }

    #[test]
    fn each_moves_its_own_limit_only() {
        for setting in Limits::SETTINGS {
            let mut limits = Limits::default();
            assert!((setting.minimum..=setting.maximum).contains(&setting.default_value()), "{}", setting.name);
            setting.read(&setting.minimum.to_string(), &mut limits).unwrap();
            assert_eq!((setting.get)(&limits), setting.minimum, "{}", setting.name);
            assert_ne!(limits, Limits::default(), "{}", setting.name);
            (setting.set)(&mut limits, setting.default_value());
            assert_eq!(limits, Limits::default(), "{}", setting.name);
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let mut limits = Limits::default();
        for text in ["", "x", "-1", "1.5", "255", "65535", "99999999999999999999"] {
            let error = setting("max-url-bytes").read(text, &mut limits).unwrap_err();
            assert_eq!(
                error,
                format!("IMGFLO_MAX_URL_BYTES is '{text}', but must be a whole number from 256 to 65534 bytes")
            );
        }
        assert_eq!(limits, Limits::default());
        setting("connect-timeout").read(" 250 ", &mut limits).unwrap();
        assert_eq!(limits.connect_timeout, Duration::from_millis(250));
    }
}
