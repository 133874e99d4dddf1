//! One run of a command: started in a process group of its own, watched, and ended if it takes too
//! long. States are stamped as they arrive.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use crate::error::{At, Error, Result};
use crate::process::Tree;
use crate::sizes::Sizes;

/// Pause between two looks for the end of the command.
const TICK: Duration = Duration::from_millis(5);

/// Pause between two looks at its memory.
const LOOK: Duration = Duration::from_millis(50);

/// Points of the curve of memory that are kept.
const POINTS: usize = 400;

/// The referee is to end: no loader works on.
static ENDS: AtomicBool = AtomicBool::new(false);

/// Loaders that work.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Whether the referee was asked to end: what runs then is no result.
pub(crate) fn ends() -> bool {
    ENDS.load(Ordering::SeqCst)
}

/// Ends all loaders, and those that would be started: the referee was asked to end.
pub(crate) async fn end_all() {
    const PATIENCE: Duration = Duration::from_secs(10);
    ENDS.store(true, Ordering::SeqCst);
    let start = Instant::now();
    while RUNNING.load(Ordering::SeqCst) > 0 && start.elapsed() < PATIENCE {
        tokio::time::sleep(TICK).await;
    }
}

/// What is run.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) command: Vec<OsString>,
    pub(crate) environment: Vec<(String, OsString)>,
    pub(crate) stdin: Option<PathBuf>,
    /// Where it works, and what it prints goes.
    pub(crate) folder: PathBuf,
    /// Where it names rejected rows.
    pub(crate) rejects: PathBuf,
    pub(crate) timeout: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this exit code; none after a signal.
    Code(Option<i32>),
    TimedOut,
    /// As it was asked to by the receiver.
    Killed,
}

/// A STATE line on stdout.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) stream: String,
    /// Records of its stream before it, as the source said.
    pub(crate) cursor: u64,
    /// When it arrived, in milliseconds since 1970.
    pub(crate) at: u64,
}

/// What a command printed, and how far its files of rejected rows were by then.
#[derive(Debug, Default)]
struct Printed {
    states: Vec<State>,
    sizes: Sizes,
}

/// What a run cost.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Usage {
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) processes: usize,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) disk_read_bytes: u64,
    pub(crate) disk_written_bytes: u64,
    /// Seconds since the start, and bytes.
    pub(crate) memory: Vec<(f64, u64)>,
}

impl Usage {
    /// The usage of two runs, one after the other.
    pub(crate) fn then(mut self, other: Self) -> Self {
        let shift = self.wall_seconds;
        let later = other.memory.into_iter();
        self.memory
            .extend(later.map(|(at, bytes)| (at + shift, bytes)));
        self.wall_seconds += other.wall_seconds;
        self.cpu_seconds += other.cpu_seconds;
        self.peak_memory_bytes = self.peak_memory_bytes.max(other.peak_memory_bytes);
        self.processes = self.processes.max(other.processes);
        self.read_bytes += other.read_bytes;
        self.written_bytes += other.written_bytes;
        self.disk_read_bytes += other.disk_read_bytes;
        self.disk_written_bytes += other.disk_written_bytes;
        self
    }
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) end: End,
    /// When it began, in milliseconds since 1970.
    pub(crate) began: u64,
    pub(crate) states: Vec<State>,
    /// How long files of rejected rows were, and when.
    pub(crate) sizes: Sizes,
    pub(crate) usage: Usage,
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Runs a command to its end. It is killed once `kill` has something.
pub(crate) fn run(job: &Job, kill: &Receiver<()>) -> Result<Run> {
    let (program, arguments) = job
        .command
        .split_first()
        .ok_or_else(|| Error::Input("there is no command to run".to_owned()))?;
    let stdin = match &job.stdin {
        Some(path) => File::open(path).at(path)?.into(),
        None => Stdio::null(),
    };
    let stderr = job.folder.join("stderr.log");
    let stderr = append(&stderr)?;
    let mark = mark();
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let (began, start) = (now(), Instant::now());
    let mut child = Command::new(program)
        .args(arguments)
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .env(&mark.0, &mark.1)
        .current_dir(&job.folder)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .process_group(0)
        .spawn()
        .map_err(|source| {
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Error::Command {
                program: program.to_string_lossy().into_owned(),
                source,
            }
        })?;
    let log = append(&job.folder.join("stdout.log"))?;
    let (sender, printed) = channel();
    if let Some(stdout) = child.stdout.take() {
        let rejects = job.rejects.clone();
        thread::spawn(move || {
            // A process that outlives the command may hold its stdout: nobody waits for this.
            let _ = sender.send(read(stdout, log, &rejects));
        });
    }
    let (name, value) = &mark;
    let variable = format!("{name}={}", value.to_string_lossy());
    let mut tree = Tree::new(child.id(), variable);
    let (end, usage) = watch(&mut child, &mut tree, start, job.timeout, kill);
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    let printed = printed.recv_timeout(Duration::from_secs(5));
    let Printed { states, sizes } = printed.unwrap_or_default();
    Ok(Run {
        end,
        began,
        states,
        sizes,
        usage,
    })
}

/// A variable that no other run has.
fn mark() -> (String, OsString) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let value = format!("{}-{}-{run}", std::process::id(), now());
    ("BENCH_RUN".to_owned(), value.into())
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .at(path)
}

/// Keeps what is printed, and the states of it with their time.
fn read(stdout: ChildStdout, log: File, rejects: &Path) -> Printed {
    let mut log = BufWriter::new(log);
    let mut printed = Printed::default();
    let mut lines = BufReader::new(stdout);
    let mut line = Vec::new();
    let mut noted = 0;
    while lines
        .read_until(b'\n', &mut line)
        .is_ok_and(|read| read > 0)
    {
        let at = now();
        printed.states.extend(state(&line, at));
        // States that came together share a look.
        if printed.states.len() > noted && lines.buffer().is_empty() {
            printed.sizes.note(rejects, at);
            noted = printed.states.len();
        }
        // A disk that is full costs the log alone.
        let _ = log.write_all(&line);
        line.clear();
    }
    printed
}

fn state(line: &[u8], at: u64) -> Option<State> {
    let is_state = line.windows(7).any(|window| window == br#""STATE""#);
    let message: Value = is_state
        .then(|| serde_json::from_slice(line).ok())
        .flatten()?;
    let stream = &message["state"]["stream"];
    Some(State {
        stream: stream["stream_descriptor"]["name"].as_str()?.to_owned(),
        cursor: stream["stream_state"]["cursor"].as_u64()?,
        at,
    })
}

fn watch(
    child: &mut Child,
    tree: &mut Tree,
    start: Instant,
    timeout: Duration,
    kill: &Receiver<()>,
) -> (End, Usage) {
    let mut memory = Vec::new();
    let mut looked = None::<Instant>;
    let mut cut = None;
    while !tree.has_ended() {
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            let (at, bytes) = (start.elapsed().as_secs_f64(), tree.look());
            // A process that is about to end has no memory any more.
            memory.extend((bytes > 0).then_some((at, bytes)));
            // The mark is gone with the process.
            tree.peak();
        }
        // Without a referee that could ask for it, nobody waits for the run.
        let asked = kill.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout);
        let killed = asked || ends();
        if cut.is_none() && (killed || start.elapsed() > timeout) {
            cut = Some(if killed { End::Killed } else { End::TimedOut });
            kill_all(tree);
        }
    }
    let wall_seconds = start.elapsed().as_secs_f64();
    // Whatever it left behind must not work on while the org is judged.
    kill_all(tree);
    let bytes = tree.bytes();
    let usage = Usage {
        wall_seconds,
        cpu_seconds: tree.cpu_seconds(),
        peak_memory_bytes: tree.peak(),
        processes: tree.most_processes(),
        read_bytes: bytes.read,
        written_bytes: bytes.written,
        disk_read_bytes: bytes.disk_read,
        disk_written_bytes: bytes.disk_written,
        memory: thinned(&memory),
    };
    let code = child.wait().ok().and_then(|status| status.code());
    (cut.unwrap_or(End::Code(code)), usage)
}

/// Ends all processes of a tree, and those that they start meanwhile.
fn kill_all(tree: &mut Tree) {
    const ROUNDS: usize = 20;
    for _ in 0..ROUNDS {
        let alive = tree.alive();
        if alive.is_empty() {
            return;
        }
        // One that has just ended needs no end.
        let _ = Command::new("kill")
            .arg("-KILL")
            .args(alive.iter().map(u32::to_string))
            .stderr(Stdio::null())
            .status();
        thread::park_timeout(TICK);
    }
}

/// A curve of few points: each has the most of the points that it stands for.
fn thinned(points: &[(f64, u64)]) -> Vec<(f64, u64)> {
    let width = points.len().div_ceil(POINTS).max(1);
    let most = |points: &[(f64, u64)]| points.iter().copied().max_by_key(|(_, bytes)| *bytes);
    points.chunks(width).filter_map(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(script: &str, folder: &Path) -> Job {
        Job {
            command: ["sh", "-c", script].map(OsString::from).to_vec(),
            environment: vec![("BENCH_ROWS".to_owned(), "7".into())],
            stdin: None,
            folder: folder.to_owned(),
            rejects: folder.to_owned(),
            timeout: Duration::from_secs(60),
        }
    }

    #[test]
    fn children_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        // Two processes that do some work, one of them a grandchild.
        let work = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done";
        let script = format!("({work}); sh -c '{work}' & wait; exit 3");
        let (_kill, never) = channel();
        let run = run(&job(&script, folder.path()), &never).unwrap();
        assert_eq!(run.end, End::Code(Some(3)));
        assert!(
            run.usage.cpu_seconds > 0.0 && run.usage.peak_memory_bytes > 0,
            "{run:?}"
        );
        assert!(
            run.usage.cpu_seconds < run.usage.wall_seconds * 4.0 + 0.1,
            "{run:?}"
        );
    }

    #[test]
    fn what_leaves_its_parent_is_counted_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        // A process in a session of its own, whose parent is gone.
        let work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo $$ > pid; sleep 600";
        std::fs::write(folder.path().join("work.sh"), work).unwrap();
        let script = "(setsid sh work.sh &); while [ ! -s pid ]; do sleep 0.02; done";
        let (_kill, never) = channel();
        let run = run(&job(script, folder.path()), &never).unwrap();
        assert_eq!(run.end, End::Code(Some(0)));
        assert!(run.usage.cpu_seconds > 0.0, "{run:?}");
        let left = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", left.trim()));
        assert!(stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z ")));
    }

    #[test]
    fn states_are_stamped() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo no json; echo '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"cursor":9}}}}'; echo $BENCH_ROWS"#;
        let (_kill, never) = channel();
        let before = now();
        let run = run(&job(script, folder.path()), &never).unwrap();
        let [state] = &run.states[..] else {
            panic!("{run:?}");
        };
        assert_eq!((state.stream.as_str(), state.cursor), ("a", 9));
        assert!((before..=now()).contains(&state.at));
        let log = std::fs::read_to_string(folder.path().join("stdout.log")).unwrap();
        assert!(
            log.starts_with("no json\n") && log.ends_with("\n7\n"),
            "{log}"
        );
    }

    #[test]
    fn what_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let (_kill, never) = channel();
        let short = Job {
            timeout: Duration::from_millis(100),
            ..job("sleep 600 & sleep 600", folder.path())
        };
        assert_eq!(run(&short, &never).unwrap().end, End::TimedOut);
        let (kill, asked) = channel();
        kill.send(()).unwrap();
        let long = job("sleep 600 & sleep 600", folder.path());
        assert_eq!(run(&long, &asked).unwrap().end, End::Killed);
    }

    #[test]
    fn a_curve_keeps_its_peak() {
        let mut points: Vec<(f64, u64)> = (0..1_000).map(|at| (f64::from(at), 1)).collect();
        points[777].1 = 9;
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS && thin.contains(&(777.0, 9)));
    }
}
