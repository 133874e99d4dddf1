//! What Linux says of a tree of processes: processor time, memory and bytes, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Clock ticks a second in `/proc/<pid>/stat`, the same on every Linux.
const TICKS: u64 = 100;

/// One process, from `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy)]
struct Stat {
    zombie: bool,
    parent: u32,
    group: u32,
    /// Ticks of its own, and of its children that it waited for.
    own: u64,
    children: u64,
    /// When it began, in ticks: with its number it is one process and no other.
    began: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets, which may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
    let id = |field: usize| fields.get(field)?.parse::<u32>().ok();
    Some(Stat {
        zombie: fields.first() == Some(&"Z"),
        parent: id(1)?,
        group: id(2)?,
        own: number(11)? + number(12)?,
        children: number(13)? + number(14)?,
        began: number(19)?,
    })
}

/// Whether a process was started with a variable, `NAME=value`.
fn has_variable(pid: u32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|one| one == variable.as_bytes())
}

/// Bytes of a process so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bytes {
    /// Read and written by calls of the process, files and pipes alike.
    pub(crate) read: u64,
    pub(crate) written: u64,
    /// Read from and written to a disk.
    pub(crate) disk_read: u64,
    pub(crate) disk_written: u64,
}

fn bytes(pid: u32) -> Option<Bytes> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|value| value.trim().parse().ok())
    };
    Some(Bytes {
        read: number("rchar:")?,
        written: number("wchar:")?,
        disk_read: number("read_bytes:")?,
        disk_written: number("write_bytes:")?,
    })
}

fn kibibytes(pid: u32, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// What was last seen of a process.
#[derive(Debug, Clone, Copy)]
struct Seen {
    parent: u32,
    ticks: u64,
    bytes: Bytes,
}

/// A process and all that it started, watched from outside.
#[derive(Debug)]
pub(crate) struct Tree {
    root: u32,
    /// A variable that all processes of the tree were started with.
    variable: String,
    /// Processes without it, with the moment when they began.
    others: BTreeSet<(u32, u64)>,
    seen: BTreeMap<u32, Seen>,
    /// Ticks of processes that ended as nobody's children: no parent's count has them.
    orphans: u64,
    peak: u64,
    most_processes: usize,
}

impl Tree {
    /// The tree of a process that leads a process group of its own and was started with a variable,
    /// `NAME=value`, that nothing else has: by it processes are found that left their parents.
    pub(crate) fn new(root: u32, variable: String) -> Self {
        Self {
            root,
            variable,
            others: BTreeSet::new(),
            seen: BTreeMap::new(),
            orphans: 0,
            peak: 0,
            most_processes: 0,
        }
    }

    /// Whether the root has ended. It must not have been waited for.
    pub(crate) fn has_ended(&self) -> bool {
        stat(self.root).is_none_or(|stat| stat.zombie)
    }

    /// Looks at all processes of the tree. Returns their memory in bytes.
    pub(crate) fn look(&mut self) -> u64 {
        let mut all: BTreeMap<u32, Stat> = BTreeMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, stat(pid)?))) {
                all.insert(pid, stat);
            }
        }
        let mine: Vec<u32> = all
            .iter()
            .filter(|(pid, stat)| self.is_mine(**pid, &all) || self.is_marked(**pid, stat))
            .map(|(pid, _)| *pid)
            .collect();
        let others = all.iter().filter(|(pid, _)| !mine.contains(pid));
        self.others = others.map(|(pid, stat)| (*pid, stat.began)).collect();
        let mut memory = 0;
        for pid in &mine {
            let stat = all[pid];
            if !stat.zombie {
                memory += self.memory(*pid, mine.len());
            }
            let before = self.seen.get(pid).map(|seen| seen.bytes);
            let seen = Seen {
                parent: stat.parent,
                ticks: stat.own + stat.children,
                bytes: bytes(*pid).or(before).unwrap_or_default(),
            };
            self.seen.insert(*pid, seen);
        }
        // What is gone was counted by the parent that waited for it, if that is of this tree.
        let known: BTreeSet<u32> = self.seen.keys().copied().collect();
        for pid in known
            .iter()
            .filter(|pid| **pid != self.root && !all.contains_key(pid))
        {
            if let Some(seen) = self.seen.remove(pid) {
                self.orphans += if known.contains(&seen.parent) {
                    0
                } else {
                    seen.ticks
                };
            }
        }
        self.most_processes = self.most_processes.max(mine.len());
        self.peak = self.peak.max(memory);
        memory
    }

    fn is_mine(&self, pid: u32, all: &BTreeMap<u32, Stat>) -> bool {
        let mut at = pid;
        // A chain of parents ends at 1 or 0; the bound is for pids that change while they are read.
        for _ in 0..64 {
            let Some(stat) = all.get(&at) else {
                return false;
            };
            if at == self.root || stat.group == self.root || self.seen.contains_key(&at) {
                return true;
            }
            at = stat.parent;
        }
        false
    }

    fn is_marked(&self, pid: u32, stat: &Stat) -> bool {
        !self.others.contains(&(pid, stat.began)) && has_variable(pid, &self.variable)
    }

    /// All processes of the tree that work on, at this look.
    pub(crate) fn alive(&mut self) -> Vec<u32> {
        self.look();
        let alive = |pid: &u32| stat(*pid).is_some_and(|stat| !stat.zombie);
        self.seen.keys().copied().filter(alive).collect()
    }

    /// Memory of a process: resident; of several processes each its share of what they share.
    fn memory(&self, pid: u32, processes: usize) -> u64 {
        let shared = (processes > 1)
            .then(|| kibibytes(pid, "smaps_rollup", "Pss:"))
            .flatten();
        let resident = shared.or_else(|| kibibytes(pid, "status", "VmRSS:"));
        resident.unwrap_or_default() << 10
    }

    /// Processor time of the whole tree so far, in seconds.
    #[allow(clippy::cast_precision_loss, reason = "ticks are far below 2^53")]
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let root = stat(self.root).map(|stat| stat.own + stat.children);
        let root = root.or_else(|| self.seen.get(&self.root).map(|seen| seen.ticks));
        let alive = self.seen.iter().filter(|(pid, _)| **pid != self.root);
        let ticks = root.unwrap_or_default()
            + self.orphans
            + alive.map(|(_, seen)| seen.ticks).sum::<u64>();
        ticks as f64 / TICKS as f64
    }

    /// Most memory at once, in bytes: the kernel's own mark where there was one process only.
    pub(crate) fn peak(&mut self) -> u64 {
        if self.most_processes == 1
            && let Some(mark) = kibibytes(self.root, "status", "VmHWM:")
        {
            self.peak = self.peak.max(mark << 10);
        }
        self.peak
    }

    pub(crate) fn most_processes(&self) -> usize {
        self.most_processes
    }

    /// Bytes of the root, and of the children that it waited for.
    pub(crate) fn bytes(&self) -> Bytes {
        let mut sum = Bytes::default();
        for seen in self.seen.values() {
            sum.read += seen.bytes.read;
            sum.written += seen.bytes.written;
            sum.disk_read += seen.bytes.disk_read;
            sum.disk_written += seen.bytes.disk_written;
        }
        sum
    }
}
