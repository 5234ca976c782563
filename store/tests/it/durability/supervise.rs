//! A supervisor that stops a process before every call that changes the file system.
//!
//! In: a command and the folder to watch. Out: the calls it made there, in order over all threads, and whether it
//! acknowledged. At each call a test decides: let it happen, let it fail with an error of the system, or end the process
//! there (after pulling the plug of the disk, say). Counting is the point: a commit has a few dozen calls, so every place
//! where it can die is tried, not some random ones. Linux on x86-64, by ptrace and a seccomp filter.

use std::collections::HashSet;
use std::ffi::{CStr, c_void};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the process prints before the calls that count, and after them.
pub const GO: &str = "GO\n";
pub const ACK: &str = "ACK\n";

/// One call that changes the file system, or syncs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    pub path: PathBuf,
    /// The second path of a rename or link: the new name.
    pub to: Option<PathBuf>,
    /// Whether an `open` would make the file, or empty it.
    pub creates: bool,
}

/// What to do at a call.
pub enum Act {
    Go,
    /// The call does not happen and returns this error.
    Fail(i32),
    /// The process ends here, before the call, as by `kill -9`.
    Kill,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Calls between GO and the acknowledgement, or the end.
    pub calls: Vec<Call>,
    pub acknowledged: bool,
    /// Files written, and folders whose names changed, that were not synced when the acknowledgement left.
    pub unsynced: Vec<PathBuf>,
}

/// Runs the command; `decide` sees the number of each call (from 0) and the call.
pub fn supervise(command: &mut Command, under: &Path, mut decide: impl FnMut(usize, &Call) -> Act) -> Outcome {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(be_traced) };
    let mut child = command.spawn().expect("the supervised process starts");
    let pid = child.id() as i32;
    let mut outcome = Outcome::default();
    let mut open = Unsynced::default();
    let (mut counting, mut killed) = (false, false);
    let mut known = HashSet::new();
    loop {
        let mut status = 0;
        // SAFETY: plain system call; only children of this thread are waited for.
        let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
        assert!(tid > 0 || killed, "waiting for the supervised process: {}", io::Error::last_os_error());
        if tid <= 0 || (tid == pid && (libc::WIFEXITED(status) || libc::WIFSIGNALED(status))) {
            break;
        }
        if !libc::WIFSTOPPED(status) {
            continue;
        }
        let fresh = known.insert(tid);
        if fresh && tid == pid {
            set_options(pid);
        }
        let mut signal = libc::WSTOPSIG(status);
        if status >> 8 == libc::SIGTRAP | (libc::PTRACE_EVENT_SECCOMP << 8) {
            signal = 0;
            match look(tid, under) {
                Seen::Said(text) if text.contains(GO.trim_end()) => counting = true,
                Seen::Said(text) if counting && text.contains(ACK.trim_end()) => {
                    outcome.acknowledged = true;
                    outcome.unsynced = open.all();
                    counting = false;
                }
                Seen::Does(call) if counting && !killed => {
                    match decide(outcome.calls.len(), &call) {
                        Act::Go => open.note(&call),
                        Act::Fail(errno) => skip(tid, errno),
                        Act::Kill => {
                            killed = true;
                            // SAFETY: plain system call.
                            unsafe { libc::kill(pid, libc::SIGKILL) };
                        }
                    }
                    outcome.calls.push(call);
                }
                _ => {}
            }
        } else if signal == libc::SIGTRAP || (fresh && signal == libc::SIGSTOP) {
            // A stop of ptrace's own: exec, a new thread.
            signal = 0;
        }
        // SAFETY: plain system call; a process that was killed meanwhile is no longer there.
        unsafe { libc::ptrace(libc::PTRACE_CONT, tid, 0, signal) };
    }
    // It was waited for above already.
    let _ = child.wait();
    outcome
}

/// What is written but not synced.
#[derive(Default)]
struct Unsynced {
    files: HashSet<PathBuf>,
    folders: HashSet<PathBuf>,
}

impl Unsynced {
    fn note(&mut self, call: &Call) {
        let folder = |path: &Path| path.parent().map(Path::to_owned);
        match call.name {
            "open" if call.creates => {
                if !call.path.exists() {
                    self.folders.extend(folder(&call.path));
                }
                self.files.insert(call.path.clone());
            }
            "write" | "truncate" => drop(self.files.insert(call.path.clone())),
            "rename" | "link" => {
                let to = call.to.clone().unwrap_or_default();
                self.folders.extend(folder(&to));
                let is_unsynced = self.files.contains(&call.path);
                if call.name == "rename" {
                    self.folders.extend(folder(&call.path));
                    self.files.remove(&call.path);
                }
                if is_unsynced {
                    self.files.insert(to);
                }
            }
            "unlink" => {
                self.folders.extend(folder(&call.path));
                self.files.remove(&call.path);
                self.folders.remove(&call.path);
            }
            "mkdir" if !call.path.exists() => self.folders.extend(folder(&call.path)),
            "sync" => {
                self.files.remove(&call.path);
                self.folders.remove(&call.path);
            }
            _ => {}
        }
    }

    fn all(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.files.iter().chain(&self.folders).cloned().collect();
        all.sort();
        all
    }
}

enum Seen {
    /// A line on stdout.
    Said(String),
    Does(Call),
    Other,
}

const OPENS: &[i64] = &[libc::SYS_open, libc::SYS_openat, libc::SYS_creat];
const WRITES: &[i64] = &[
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_fallocate,
];
const TRUNCATES: &[i64] = &[libc::SYS_ftruncate, libc::SYS_truncate];
const NAMES: &[i64] = &[
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_rmdir,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
];
const SYNCS: &[i64] = &[libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs, libc::SYS_sync_file_range];

/// What the call at which `tid` stands would do under the folder.
fn look(tid: i32, under: &Path) -> Seen {
    let registers = registers(tid);
    let number = registers.orig_rax as i64;
    let [a, b, c, d] = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
    if number == libc::SYS_write && a == 1 {
        return Seen::Said(String::from_utf8_lossy(&memory(tid, b, (c as usize).min(256))).into_owned());
    }
    let call = |name, path: PathBuf, to: Option<PathBuf>, creates| {
        let inside = path.starts_with(under) || to.as_ref().is_some_and(|to| to.starts_with(under));
        if inside { Seen::Does(Call { name, path, to, creates }) } else { Seen::Other }
    };
    let makes = |flags: u64| flags as i32 & (libc::O_CREAT | libc::O_TRUNC) != 0;
    match number {
        libc::SYS_openat if makes(c) => call("open", path_at(tid, a, b), None, true),
        libc::SYS_open if makes(b) => call("open", path_at(tid, CWD, a), None, true),
        libc::SYS_creat => call("open", path_at(tid, CWD, a), None, true),
        libc::SYS_copy_file_range => call("write", path_of(tid, c), None, false),
        number if WRITES.contains(&number) => call("write", path_of(tid, a), None, false),
        libc::SYS_ftruncate => call("truncate", path_of(tid, a), None, false),
        libc::SYS_truncate => call("truncate", path_at(tid, CWD, a), None, false),
        libc::SYS_rename => call("rename", path_at(tid, CWD, a), Some(path_at(tid, CWD, b)), false),
        libc::SYS_renameat | libc::SYS_renameat2 => call("rename", path_at(tid, a, b), Some(path_at(tid, c, d)), false),
        libc::SYS_link => call("link", path_at(tid, CWD, a), Some(path_at(tid, CWD, b)), false),
        libc::SYS_linkat => call("link", path_at(tid, a, b), Some(path_at(tid, c, d)), false),
        libc::SYS_unlink | libc::SYS_rmdir => call("unlink", path_at(tid, CWD, a), None, false),
        libc::SYS_unlinkat => call("unlink", path_at(tid, a, b), None, false),
        libc::SYS_mkdir => call("mkdir", path_at(tid, CWD, a), None, false),
        libc::SYS_mkdirat => call("mkdir", path_at(tid, a, b), None, false),
        number if SYNCS.contains(&number) => call("sync", path_of(tid, a), None, false),
        _ => Seen::Other,
    }
}

/// The folder that a relative path without a descriptor starts from.
const CWD: u64 = libc::AT_FDCWD as i64 as u64;

fn path_of(tid: i32, descriptor: u64) -> PathBuf {
    std::fs::read_link(format!("/proc/{tid}/fd/{}", descriptor as i32)).unwrap_or_default()
}

fn path_at(tid: i32, descriptor: u64, pointer: u64) -> PathBuf {
    let bytes = memory(tid, pointer, 4096);
    let Ok(text) = CStr::from_bytes_until_nul(&bytes) else { return PathBuf::new() };
    let path = PathBuf::from(text.to_string_lossy().into_owned());
    if path.is_absolute() {
        return path;
    }
    let folder = match descriptor as i32 {
        libc::AT_FDCWD => std::fs::read_link(format!("/proc/{tid}/cwd")).unwrap_or_default(),
        _ => path_of(tid, descriptor),
    };
    folder.join(path)
}

/// Up to `length` bytes of the process; fewer where its memory ends.
fn memory(tid: i32, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; length];
    // A page at a time: a read across the end of the mapping would return nothing.
    let mut have = 0;
    while have < length {
        let from = address as usize + have;
        let part = (length - have).min(4096 - from % 4096);
        let local = libc::iovec { iov_base: bytes[have..].as_mut_ptr().cast(), iov_len: part };
        let remote = libc::iovec { iov_base: from as *mut c_void, iov_len: part };
        // SAFETY: the local buffer has `part` bytes from `have` on.
        let read = unsafe { libc::process_vm_readv(tid, &local, 1, &remote, 1, 0) };
        if read <= 0 {
            break;
        }
        have += read as usize;
    }
    bytes.truncate(have);
    bytes
}

fn registers(tid: i32) -> libc::user_regs_struct {
    // SAFETY: plain data, filled by the call.
    unsafe {
        let mut registers: libc::user_regs_struct = std::mem::zeroed();
        libc::ptrace(libc::PTRACE_GETREGS, tid, 0, &mut registers);
        registers
    }
}

/// Leaves the call out and returns an error from it.
fn skip(tid: i32, errno: i32) {
    let mut registers = registers(tid);
    registers.orig_rax = u64::MAX;
    registers.rax = i64::from(-errno) as u64;
    // SAFETY: the registers of a stopped thread.
    unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, 0, &registers) };
}

fn set_options(pid: i32) {
    let options = libc::PTRACE_O_EXITKILL
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACESECCOMP;
    // SAFETY: plain system call.
    let set = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
    assert!(set == 0, "ptrace: {}", io::Error::last_os_error());
}

/// In the child: be traced, and stop at the calls above only, so that all others cost nothing.
fn be_traced() -> io::Result<()> {
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let rule = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [rule(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW); 64];
    let mut length = 0;
    let mut push = |rule| {
        program[length] = rule;
        length += 1;
    };
    push(rule(LOAD_NUMBER, 0, 0, 0));
    for number in [OPENS, WRITES, TRUNCATES, NAMES, SYNCS].into_iter().flatten() {
        push(rule(JUMP_EQUAL, 0, 1, *number as u32));
        push(rule(RETURN, 0, 0, libc::SECCOMP_RET_TRACE));
    }
    push(rule(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog { len: length as u16, filter: program.as_mut_ptr() };
    let done = |result: i64| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: plain system calls; the program outlives them.
    unsafe {
        done(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0))?;
        done(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
        done(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter).into())
    }
}
