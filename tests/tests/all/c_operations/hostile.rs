//! Foreign code that means harm: what it tries is refused, as root and as an ordinary user, in both engines.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use imgflo_ops::Pixels;
use imgflo_runtime::{
    COperations, Catalogue, ChildLimits, Control, Engine, ImageGraph, LibraryLimits, LiveOperations, NativeEngine,
    Plan, PlanLimits,
};
use imgflo_tests::program::{self, run};

use super::{decode, operation, text, write};

/// The user and group `nobody`.
const NOBODY: u32 = 65534;
/// The errors that a refusal gives. Another one would say that an attempt is at fault itself.
const REFUSALS: [i32; 3] = [1, 13, 38];
/// Fewest attempts, so that none gets lost.
const ATTEMPTS: usize = 98;

/// Who runs the attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Whoever runs the tests.
    Tester,
    /// `nobody`, where root runs the tests.
    Nobody,
}

impl Who {
    fn is_root(self) -> bool {
        self == Who::Tester && is_root()
    }

    fn command(self, program: &Path) -> Command {
        match self {
            Who::Tester => Command::new(program),
            Who::Nobody => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
                command
            }
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("there is /proc").uid() == 0
}

/// A process to disturb. It ends with this.
struct Victim(Child);

impl Victim {
    fn start(who: Who) -> Victim {
        Victim(who.command(Path::new("sleep")).arg("600").spawn().expect("sleep starts"))
    }

    /// What attempts on it would change.
    fn state(&self) -> String {
        let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).expect("it lives");
        let stat = of("stat");
        let fields = stat.rsplit(") ").next().unwrap().split(' ').collect::<Vec<_>>();
        let status = of("status");
        let processors = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap();
        // Priority, nice, scheduler.
        format!("{} {} {} {processors} {}", fields[15], fields[16], fields[38], of("limits"))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that belongs to `who`, with files to spoil and a socket.
struct Outside {
    folder: PathBuf,
    mailbox: UnixDatagram,
}

impl Outside {
    fn make(folder: PathBuf, who: Who) -> Outside {
        fs::create_dir(&folder).unwrap();
        for name in ["precious", "shortened", "deleted", "renamed"] {
            write(&folder, name, "keep me");
        }
        for name in ["folder", "emptied"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let mailbox = UnixDatagram::bind(folder.join("mailbox")).unwrap();
        mailbox.set_nonblocking(true).unwrap();
        if who == Who::Nobody {
            let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            for path in names.chain([folder.clone()]) {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        Outside { folder, mailbox }
    }

    /// All that attempts would change.
    fn state(&self) -> BTreeMap<PathBuf, (u32, u32, u64, i64, i64, i64)> {
        let entries = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let state = |path: PathBuf| {
            let of = fs::symlink_metadata(&path).unwrap();
            // The time of the last change shows new rights, owners and attributes, too.
            let state = (of.mode(), of.uid(), of.len(), of.mtime(), of.ctime(), of.ctime_nsec());
            (path, state)
        };
        entries.map(state).collect()
    }

    fn is_untouched(&self) -> bool {
        self.mailbox.recv(&mut [0; 8]).is_err()
    }
}

/// Lists of the machine's shared memory, semaphores and queues.
fn shared() -> String {
    let lists = ["shm", "sem", "msg"].map(|name| fs::read_to_string(format!("/proc/sysvipc/{name}")));
    lists.into_iter().map(|list| list.unwrap_or_default().lines().count().to_string() + " ").collect()
}

struct Rig {
    folder: tempfile::TempDir,
    /// Where `nobody` can run it.
    program: PathBuf,
}

impl Rig {
    fn build() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("imgflo");
        fs::copy(program::path(), &program).unwrap();
        for (name, text) in [
            ("attempts.h", include_str!("hostile/attempts.h")),
            ("hostile.c", include_str!("hostile/hostile.c")),
            ("hostile-gegl.c", include_str!("hostile/hostile-gegl.c")),
        ] {
            write(folder.path(), name, text);
        }
        for name in ["hostile", "hostile-gegl"] {
            let graph =
                format!("INPORT=it.OUTSIDE:OUTSIDE\nINPORT=it.VICTIM:VICTIM\nOUTPORT=it.OUTPUT:OUTPUT\nit(c/{name})\n");
            write(folder.path(), &format!("{name}.fbp"), &graph);
        }
        let built = run(&["ops", "build", "--ops", folder.path().to_str().unwrap()]);
        assert!(built.status.success(), "{}", text(&built));
        let control = folder.path().join("control.c");
        write(folder.path(), "control.c", include_str!("hostile/control.c"));
        let compiled = Command::new("cc").arg(&control).arg("-o").arg(folder.path().join("control")).output().unwrap();
        assert!(compiled.status.success(), "{}", text(&compiled));
        Rig { folder, program }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes all attempts without a sandbox; their names, and which were seen to succeed.
    fn control(&self, who: Who) -> Vec<(String, bool)> {
        let outside = Outside::make(self.path(&format!("control-{who:?}")), who);
        let victim = Victim::start(who);
        let mut command = who.command(&self.path("control"));
        let done = command.arg(&outside.folder).arg(victim.0.id().to_string()).output().unwrap();
        assert!(done.status.success(), "{}", text(&done));
        let _ = fs::remove_file("/tmp/imgflo-attempt");
        assert!(!outside.is_untouched(), "the datagram came");
        let said = text(&done);
        let attempts = said.lines().map(|line| {
            let [name, tried, status] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            // Containers and changed roots have no namespaces to give in any case.
            let refused = status != "0" && name.starts_with("namespace");
            assert!(status == "0" || refused, "{who:?}: {name} fails without a sandbox, too");
            (name.to_owned(), tried == "tried" && !refused)
        });
        attempts.collect()
    }

    /// Has a graph render all attempts, and returns how each ended: 0, or the number of an error.
    fn attack(&self, who: Who, graph: &str, count: usize) -> Vec<i32> {
        let outside = Outside::make(self.path(&format!("{graph}-{who:?}")), who);
        let results = self.path(&format!("results-{graph}-{who:?}"));
        fs::create_dir(&results).unwrap();
        if who == Who::Nobody {
            chown(&results, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let output = results.join("attempts.png");
        let victim = Victim::start(who);
        let before = (outside.state(), victim.state(), shared());
        let mut command = who.command(&self.program);
        command.current_dir(&results).arg("render").arg(self.path(&format!("{graph}.fbp")));
        command.arg("--ops").arg(self.folder.path()).arg("-o").arg(&output);
        command.args(["-p", &format!("outside={}", outside.folder.display())]);
        command.args(["-p", &format!("victim={}", victim.0.id())]);
        let done: Output = command.output().unwrap();
        assert!(done.status.success(), "{who:?} {graph}: {}", text(&done));
        assert!(!text(&done).contains("the kernel"), "{who:?} {graph}: {}", text(&done));
        assert_eq!((outside.state(), victim.state(), shared()), before, "{who:?} {graph}");
        assert!(outside.is_untouched());
        for path in ["/tmp/imgflo-attempt", "/left-behind", "/dev/shm/imgflo-attempt"] {
            assert!(!Path::new(path).exists(), "{who:?} {graph}: {path}");
        }
        let picture = decode(&fs::read(&output).unwrap());
        assert_eq!((picture.rect().width as usize, picture.rect().height), (count, 1));
        let pixels = match picture.into_pixels() {
            Pixels::Rgb8(pixels) => pixels,
            Pixels::Rgba8(pixels) => pixels.iter().map(|[red, green, blue, _]| [*red, *green, *blue]).collect(),
            Pixels::Float(_) => panic!("files have bytes"),
        };
        let result = |[red, green, blue]: [u8; 3]| {
            assert_eq!(blue, 255, "each was made");
            if red == 0 { i32::from(green) } else { 0 }
        };
        pixels.into_iter().map(result).collect()
    }
}

#[test]
fn every_attempt_is_refused() {
    let rig = Rig::build();
    let mut held = Vec::new();
    let whole: &[Who] = if is_root() { &[Who::Tester, Who::Nobody] } else { &[Who::Tester] };
    for who in whole {
        let attempts = rig.control(*who);
        assert!(attempts.len() >= ATTEMPTS, "{} attempts", attempts.len());
        let seen = attempts.iter().filter(|(_, succeeded)| *succeeded).count();
        let fewest = if who.is_root() { 80 } else { 66 };
        assert!(seen >= fewest, "{who:?}: {seen} attempts succeed without a sandbox");
        for graph in ["hostile", "hostile-gegl"] {
            let results = rig.attack(*who, graph, attempts.len());
            let failed = attempts.iter().zip(&results).filter(|(_, result)| !REFUSALS.contains(result));
            let failed = failed.map(|((name, _), result)| format!("{name}: {result}")).collect::<Vec<_>>();
            assert!(failed.is_empty(), "{who:?} {graph}: 0 is a success: {failed:?}");
            held.push((graph, *who, results.len(), seen));
        }
    }
    println!("attempts held, and how many of them succeed without a sandbox: {held:?}");
    if !is_root() {
        println!("the attempts as root are left out: the tests do not run as root");
    }
    assert_eq!(held.len(), 2 * whole.len());
}

/// The process that an operation runs in, by its picture; `body` runs before it is made.
fn process(body: &str) -> String {
    let body = format!(
        "{body}
        unsigned pid = (unsigned)getpid();
        for (int32_t y = call->output.box.y; y < call->output.box.y + call->output.box.height; y++) {{
            float *pixel = imgflo_row(&call->output, y);
            for (int32_t x = 0; x < call->output.box.width; x++, pixel += 4)
                for (int part = 0; part < 3; part++) pixel[part] = (float)(pid >> (8 * part) & 255) / 255.0f;
        }}"
    );
    let thread = "#include <pthread.h>
static void *waits(void *forever) {
    if (forever) for (;;) pause();
    return NULL;
}
static const char *render(";
    operation("flat", "IMGFLO_SOURCE", &body).replacen("static const char *render(", thread, 1)
}

#[test]
fn a_child_with_a_thread_that_goes_on_is_ended() {
    let limits = ChildLimits { program: program::path(), ..ChildLimits::new(1) };
    let operations = Arc::new(COperations::new(&limits, false).unwrap());
    let live = LiveOperations::new(Arc::clone(&operations), "cc", &limits).unwrap();
    let catalogue = Catalogue::native().with_c(operations);
    let render = |body: &str| {
        live.revise("flat", &process(body)).unwrap();
        let text = "OUTPORT=it.OUTPUT:OUTPUT\nit(c/flat)\n";
        let graph = imgflo_fbp::parse(text, &imgflo_fbp::ParseOptions::default()).unwrap();
        let limits = LibraryLimits { max_nodes: 10, max_bytes: 10_000 };
        let graph = ImageGraph::new("flat", graph, &catalogue, &limits).unwrap();
        let size = [("width", "3"), ("height", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let arguments = graph.arguments(&BTreeMap::from(size)).unwrap();
        let limits = PlanLimits { max_output_pixels: 100, max_memory: 1 << 20 };
        let plan = Plan::new(&graph, &arguments, None, &catalogue, &limits).unwrap();
        NativeEngine::new(1).render(&plan, None, &Control::default()).map(|image| {
            let [low, middle, high, _] = image.view(image.rect()).row_rgba8(0)[0];
            u32::from_le_bytes([low, middle, high, 0])
        })
    };
    let lives = |pid: u32| Path::new(&format!("/proc/{pid}")).exists();
    let first = render("").unwrap();
    let ends = "pthread_t thread; pthread_create(&thread, NULL, waits, NULL); pthread_join(thread, NULL);";
    for _ in 0..20 {
        assert_eq!(render(ends).unwrap(), first, "threads that end with the job are welcome");
    }
    let goes_on = "pthread_t thread; pthread_create(&thread, NULL, waits, \"forever\");";
    assert_eq!(render(goes_on).unwrap(), first, "its picture is made");
    assert!(!lives(first), "it does no other job");
    let second = render("").unwrap();
    assert_ne!(first, second);
    assert!(lives(second));
    let many = "pthread_t thread;
        pthread_attr_t little; pthread_attr_init(&little); pthread_attr_setstacksize(&little, 32768);
        for (int n = 0; n < 600; n++) pthread_create(&thread, &little, waits, \"forever\");
        pause();";
    let error = render(many).unwrap_err().to_string();
    assert!(error.contains("the operation c/flat had ") && error.contains("threads, more than 512"), "{error}");
    assert!(!lives(second));
}

#[test]
fn what_a_compiler_writes_is_limited_in_all() {
    let limits = ChildLimits { program: program::path(), ..ChildLimits::new(1) };
    // Words of the command are parted at spaces, and flags follow it: the shell takes them for its own arguments.
    let compile = |files: usize, bytes: u64| {
        let file = |index| format!("head${{IFS}}-c${{IFS}}{bytes}</dev/zero>{index}");
        let command = format!("sh -c {}", (0..files).map(file).collect::<Vec<_>>().join("&&"));
        let operations = Arc::new(COperations::new(&limits, false).unwrap());
        let live = LiveOperations::new(operations, &command, &limits).unwrap();
        let messages = live.revise("flat", &process("")).unwrap_err();
        messages.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    // No library was made, but nothing failed on the way there.
    let fits = compile(4, 60_000_000);
    assert!(!fits.contains("No space left"), "{fits}");
    // A container may have no mounts to give: then each file has its limit, and all have none.
    let mounts = [&["--mount"][..], &["--mount", "--map-root-user"]].into_iter().any(|arguments| {
        let command = "mount -t tmpfs none /tmp";
        Command::new("unshare")
            .args(arguments)
            .args(["sh", "-c", command])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if mounts {
        let all = compile(5, 60_000_000);
        assert!(all.contains("No space left on device"), "{all}");
    } else {
        eprintln!("the total of the scratch folder was not tested: no mounts of one's own");
    }
    let one = compile(1, 70_000_000);
    assert!(one.contains("File size limit exceeded"), "{one}");
}
