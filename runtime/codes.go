package loader

import (
	"fmt"
	"strings"

	"stapkit/diag"
)

// The codes of what can keep a run from beginning.
var (
	codePrivilege = diag.Register(diag.Info{Code: "R200", Title: "this process may not load probes into the kernel",
		Doc: `Loading BPF programs needs the capabilities CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN, which is what root has).
The message names the one that is missing. A container may lack them although its user is root, and a seccomp
filter or a security module may refuse the bpf() system call although they are there.

Scripts without kernel probes (begin, end, timer.*) need no privilege.
`})
	codeKernel = diag.Register(diag.Info{Code: "R201", Title: "the running kernel lacks something that the script needs",
		Doc: `The message names the kernel's configuration option, or the version from which on it can be there.
` + "`zcat /proc/config.gz` or `/boot/config-$(uname -r)`" + ` shows what the running kernel was built with.
`})
	codeBTF = diag.Register(diag.Info{Code: "R202", Title: "the running kernel has no type information",
		Doc: `Probes with typed arguments and structure members are fitted to the running kernel by its own type information
(BTF), which the file /sys/kernel/btf/vmlinux holds if the kernel was built with CONFIG_DEBUG_INFO_BTF.
`})
	codeRefusedProgram = diag.Register(diag.Info{Code: "R203", Title: "the kernel refuses a compiled handler",
		Doc: `What compiles should load: this is a defect of stapkit. Please report it with the script, the kernel's version and
the output of ` + "`-vv`" + `, which holds the kernel's own explanation. The message names the line of the script at which the
kernel stopped; a simpler handler may do meanwhile.
`})
	codeAttach = diag.Register(diag.Info{Code: "R204", Title: "a probe cannot be attached on this host",
		Doc: `Every way to attach the probe was tried, and the message says what each one failed for. A probe that may be missing
is marked with "?" behind its point.
`})
	codeLeft = diag.Register(diag.Info{Code: "R520", Title: "a script cannot be left attached, or attached to again",
		Doc: `With -L or --pin the programs, maps and links of a script get names below /sys/fs/bpf/stapkit, so that the kernel keeps
them when the loader ends; what only the loader knows is below /run/stapkit-left. Both belong to root, and are gone when
the machine is started again.

` + "`staprun -A NAME`" + ` goes on with such a script, ` + "`staprun -d NAME`" + ` takes it down without running its end probes, and
clears away what is left of one that is no longer whole. The BPF file system is mounted at /sys/fs/bpf on every machine
with systemd; elsewhere root mounts it with ` + "`mount -t bpf bpf /sys/fs/bpf`" + `. Perf events (kprobes, uprobes, sampling) can
be kept since Linux 5.15.
`})
	codeFiles = diag.Register(diag.Info{Code: "R300", Title: "the files of procfs probes cannot be made",
		Doc: `procfs probes are files whose content a handler makes or takes. They appear below /run/stapkit/NAME, NAME being the
script's; the loader serves them as a FUSE file system, for which the kernel needs FUSE (CONFIG_FUSE_FS, the module
fuse) and the process the right to mount (root). In a container /dev/fuse has to be given to it.

A path is relative to that directory, and one path cannot be a file and a directory.
`})
	codeCompiled = diag.Register(diag.Info{Code: "R205", Title: "the object does not fit the program",
		Doc: `The maps or programs in the object file are not those that the handlers in it were compiled for. It is damaged, or
made by a defective compiler.
`})
	codeOverload = diag.Register(diag.Info{Code: "R400", Title: "the handlers took too much of the machine's time",
		Doc: `While a script runs and the machine is busy, the kernel times its handlers in short samples, the first after two seconds.
When they took more than the limit in three of them in a row, the probes are taken down and the run ends in error with exit status 30. The default limit is
50 % of all CPUs; ` + "`cpu`" + ` in the host's policy, or ` + "`--limit cpu=N`" + `, sets another. The script option ` + "`-D STP_NO_OVERLOAD`" + `
switches the watch off when the script is compiled.

Probe fewer points or rarer ones, test a filter first in the handler, and do not print in handlers that are hit often;
` + "`-t`" + ` tells which probes take the time.
`})
	codeOutputRate = diag.Register(diag.Info{Code: "R401", Title: "the script prints too much",
		Doc: `More output than the limit was written over three seconds, and the run ended in error with exit status 31.
` + "`output_rate`" + ` in the host's policy, or ` + "`--limit output_rate=SIZE`" + ` (bytes a second), sets the limit; ` + "`staprun`" + ` has 256 MiB
by default. Count in an array and print it from a timer instead.
`})
	codeRuntime = diag.Register(diag.Info{Code: "R402", Title: "the run took as long as the policy allows",
		Doc: `The host's policy limits how long a bundle may run (` + "`runtime`" + `). At that time the run ends as with exit(), end
probes included, and the exit status is 32.
`})
	codeBroker = diag.Register(diag.Info{Code: "R403", Title: "the process that keeps the privileges of a run has ended",
		Doc: `A run consists of two processes: one reads what the probes send, runs handlers and prints, without any privilege; the
other, the broker, is asked by it for what needs some, such as opening the files of a traced program for their symbols. The broker was
killed, or could not be started, so the run ended and the probes were taken down.
`})
	codeDrop = diag.Register(diag.Info{Code: "R404", Title: "privileges cannot be given up",
		Doc: `Once its probes are attached, a run gives up all privileges: it changes to another user, drops all capabilities, and
has the kernel refuse it all system calls but those that printing needs. The kernel, or what the process was started by,
does not let it; the message tells the step. Nothing has been printed.
`})
)

// An Error is a reason why a run cannot begin or go on, with its code.
type Error struct {
	Code  diag.Code
	Lines []string // the first is the message, others say more
	Err   error    // what it comes from, may be nil
}

// Error returns the lines, the code behind the first.
func (e *Error) Error() string {
	s := e.Lines[0] + " [" + string(e.Code) + "]"
	if len(e.Lines) > 1 {
		s += "\n" + strings.Join(e.Lines[1:], "\n")
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func errorf(code diag.Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Lines: []string{fmt.Sprintf(format, args...)}, Err: cause}
}

// ForKernel reports whether another kernel could run what this one cannot.
func (e *Error) ForKernel() bool {
	return e.Code == codeKernel || e.Code == codeBTF || e.Code == codeAttach
}
