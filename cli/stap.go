package cli

var helpOption = Option{Long: "help", Short: "h", Help: "show this help", SystemTap: "-h --help"}
var versionOption = Option{Long: "version", Short: "V", Help: "show the version", SystemTap: "-V --version"}

var colorOption = Option{Long: "color", Arg: "WHEN", Implied: "always", Values: []string{"never", "auto", "always"},
	Help: "colour diagnostics: never, auto (on a terminal, unless NO_COLOR is set) or always", SystemTap: "--color[=WHEN]"}

var formatOption = Option{Long: "message-format", Arg: "FORMAT", Values: []string{"stap", "text", "json", "sarif", "github"},
	Help: "shape of diagnostics: stap (SystemTap's, with our codes), text, json, sarif or github"}

// Options of scripts, which stap and stapc share.
var (
	exprOption = Option{Long: "expr", Short: "e", Arg: "SCRIPT", Many: true, Help: "take SCRIPT as the script", SystemTap: "-e SCRIPT"}

	extraOption = Option{Long: "extra", Short: "E", Arg: "SCRIPT", Many: true, Help: "add SCRIPT to the script of a file or -e", SystemTap: "-E SCRIPT"}

	guruOption = Option{Long: "guru", Short: "g", Help: "guru mode: allow what can do harm", SystemTap: "-g",
		Differs: "There is no C code to allow; what is left are writes to the probed program, signals, verdicts and changed return values.",
		More:    "Writing into programs, sending signals, changing return values and verdicts need it, besides what policy of the host says of a bundle."}

	defineOption = Option{Long: "define", Short: "D", Arg: "NAME=VALUE", Many: true, SystemTap: "-D NM=VAL",
		Differs: "Sets limits only; there is no C code that could see other macros.",
		Help:    "set a limit: MAXACTION, MAXSTRINGLEN, MAXMAPENTRIES, MAXERRORS, MAXSKIPPED, …",
		More:    "Also MAXACTION_INTERRUPTIBLE, MAXNESTING, MAXTRYLOCK, MAXBACKTRACE, HIST_ELISION and STP_NO_OVERLOAD. Other names are told of with -v and have no effect."}

	globalOption = Option{Long: "global", Short: "G", Arg: "NAME=VALUE", Many: true, Help: "give a scalar global its initial value", SystemTap: "-G VAR=VAL"}

	includeOption = Option{Long: "include", Short: "I", Arg: "DIR", Many: true, Complete: Folders, SystemTap: "-I DIR",
		Help: "take library files (.stp, .stpm) from DIR, too"}

	unoptimizedOption = Option{Long: "unoptimized", Short: "u", Help: "do not leave out code without effect", SystemTap: "-u"}

	noWarningsOption = Option{Long: "no-warnings", Short: "w", Help: "show no warnings", SystemTap: "-w"}

	strictOption = Option{Long: "strict", Short: "W", Help: "treat warnings as errors", SystemTap: "-W"}

	skipBadVarsOption = Option{Long: "skip-badvars", Help: "take target variables that cannot be resolved as 0", SystemTap: "--skip-badvars"}

	suppressErrorsOption = Option{Long: "suppress-handler-errors", SystemTap: "--suppress-handler-errors",
		Help: "go on after errors in handlers; they are only counted"}

	noGlobalsOption = Option{Long: "no-global-var-display", SystemTap: "--no-global-var-display",
		Help: "do not show globals that are written but never read"}

	suppressTimeOption = Option{Long: "suppress-time-limits", SystemTap: "--suppress-time-limits",
		Help:    "with -g: handlers may take as long as they like",
		Differs: "A handler is still ended after some hundred million actions: the kernel lets no program run for ever.",
		More:    "No MAXACTION, no overload protection, and locks are waited for longer."}

	rotateOption = Option{Long: "rotate", Short: "S", Arg: "SIZE[,N]", SystemTap: "-S SIZE[,N]",
		Help: "with -o: go on in another file (FILE.0, FILE.1 …) when one has SIZE MB, and keep the last N"}

	outputFormatOption = Option{Long: "format", Arg: "FORMAT", Values: []string{"text", "json"},
		Help: "what is printed: text, or json, an object for each hit that printed something, each global shown at the end, each message"}

	recordOption = Option{Long: "record", Arg: "FILE", Complete: Files,
		Help: "print nothing: write what would be printed to FILE before names are made of addresses, for stap --replay"}

	stacksOption = Option{Long: "stacks", Arg: "FILE", Complete: Files,
		Help: "write the stacks that the script has collected to FILE: a flame graph (.svg), folded stacks (.folded), or a profile for pprof (others)"}

	sysrootOption = Option{Long: "sysroot", Arg: "DIR", Complete: Folders, SystemTap: "--sysroot=DIR",
		Help: "take kernels, programs, libraries and debug files from below DIR"}

	compatibleOption = Option{Long: "compatible", Arg: "VERSION", SystemTap: "--compatible=VERSION",
		Help: "read the script as SystemTap VERSION would"}
)

// Stap is the stap command.
var Stap = &Command{
	Name:    "stap",
	Summary: "compile SystemTap scripts to eBPF and run them",
	Forms: []Form{
		{"stap [options] FILE [ARGUMENTS]", "Run the script in FILE."},
		{"stap [options] - [ARGUMENTS]", "Run the script on standard input."},
		{"stap [options] -e SCRIPT [ARGUMENTS]", "Run SCRIPT."},
		{"stap [options] -l PATTERN", "List probe points."},
		{"stap [options] -L PATTERN", "List probe points with their variables."},
		{"stap [options] -i [FILE [ARGUMENTS]]", "Write and run probes at a prompt, beginning with those in FILE."},
	},
	About: `stap reads a script in SystemTap's language, elaborates it against the running kernel or one that -r names,
compiles it to eBPF, loads that, and prints what its handlers print until the script ends, the time of -T is over,
the command of -c exits, or it is interrupted.

Running needs root, or CAP_BPF, CAP_PERFMON and read access to tracefs. The passes before (-p1 to -p4, -l, -L) need
no privilege, and on macOS and Windows a host description (-r; staprun --describe writes one on the host).

A script can be made executable with #!/usr/bin/stap as its first line, or #!/usr/bin/env -S stap -g with options.

Compiled scripts are kept, so that the same script starts quicker the next time; see --disable-cache and --clean-cache.

At the prompt of -i declarations (probe, function, global) are added to a script, which the command run runs until
it ends or is interrupted; a statement or an expression alone runs at once. The command help tells the others. Tab
completes commands, probe points, functions and variables. Commands may come from a file or pipe, too; the exit
status is then 1 if one of them failed.`,
	Sections: []Section{
		{"Script", []*Option{
			&exprOption, &extraOption, &guruOption, &defineOption, &globalOption, &includeOption,
			&compatibleOption,
			{Long: "check-version", Help: "warn where a script depends on the version of SystemTap", SystemTap: "--check-version"},
			&skipBadVarsOption,
			{Long: "privilege", Arg: "LEVEL", Values: []string{"stapusr", "stapsys", "stapdev"}, SystemTap: "--privilege=PRIVILEGE_LEVEL",
				Differs: "Checks the script only; who may run what is for policy and signatures to say (see staprun(8)).",
				Help:    "check that the script does only what LEVEL may: stapusr, stapsys or stapdev"},
			{Long: "unprivileged", Help: "the same as --privilege=stapusr", SystemTap: "--unprivileged"},
			{Long: "example", SystemTap: "--example", Help: "FILE is one of the example scripts; their list without FILE",
				More: "Examples are ours, and SystemTap's own where its documentation is installed."},
		}},
		{"Run", []*Option{
			{Long: "command", Short: "c", Arg: "CMD", Complete: Commands, SystemTap: "-c CMD",
				Help: "run CMD, trace until it exits; target() is its process id"},
			{Long: "pid", Short: "x", Arg: "PID", Complete: Processes, Help: "make PID the target process: target() is PID", SystemTap: "-x PID",
				Invalid: "Invalid target process ID number."},
			{Long: "timeout", Short: "T", Arg: "SEC", Help: "end the run after SEC seconds", SystemTap: "-T TIME"},
			{Long: "output", Short: "o", Arg: "FILE", Complete: Files, SystemTap: "-o FILE",
				Help: "write the output to FILE; conversions of strftime(3) are replaced"},
			&rotateOption,
			{Long: "flight-recorder", Short: "F", SystemTap: "-F",
				Help:    "with -o: go on in the background when the probes are active; without: leave the script attached and end",
				Differs: "While no loader is attached, probes of the loader (timers and others) rest."},
			&outputFormatOption, &recordOption,
			{Long: "replay", Arg: "FILE", Complete: Files, Help: "print what a run recorded in FILE (staprun --record), with the symbols that this machine has"},
			&stacksOption,
			{Long: "socket", Arg: "PATH", Complete: Files, Help: "tell programs (stapmon) the state of the run by a Unix socket"},
			{Long: "monitor", Arg: "SEC", Implied: "1", SystemTap: "--monitor[=N]", Invalid: "Invalid monitor interval.",
				Help:    "show globals, probes and output live (stapmon), anew every SEC seconds",
				Differs: "A program of its own, stapmon, shows it."},
			{Long: "remote", Arg: "HOST", Many: true, SystemTap: "--remote=URL",
				Help:    "run the script on HOST, [USER@]NAME or ssh://[USER@]NAME[:PORT]; several run at the same time",
				Differs: "By ssh only. The script is compiled here for the host's kernel, and needs nothing there; staprun is copied if it is not there."},
			{Long: "remote-prefix", SystemTap: "--remote-prefix", Help: "begin each line of a host's output with its number"},
			{Long: "timing", Short: "t", Help: "print hits and times of each probe at the end", SystemTap: "-t",
				Differs: "Times are nanoseconds, measured by the kernel."},
			{Long: "buffer", Short: "s", Arg: "MB", Help: "use an output buffer of MB megabytes", SystemTap: "-s NUM",
				Invalid: "Invalid buffer size (should be 1-4095).",
				Differs: "One buffer for all CPUs, default 4."},
			&suppressErrorsOption, &noGlobalsOption, &suppressTimeOption,
			{Long: "target-namespaces", Arg: "PID", Complete: Processes, SystemTap: "--target-namespace=PID",
				Invalid: "Invalid process ID number for target namespaces.",
				Help:    "ns_pid() and its like tell numbers as in the namespaces of PID"},
		}},
		{"Passes", []*Option{
			{Long: "pass", Short: "p", Arg: "N", SystemTap: "-p NUM", Values: []string{"1", "2", "3", "4", "5"},
				Invalid: "Invalid pass number (should be 1-5).",
				Help:    "stop after pass N: 1 parse, 2 elaborate, 3 translate, 4 compile, 5 run",
				Differs: "-p3 prints the handlers' intermediate code and eBPF instructions, -p4 writes a bundle for staprun and prints its name."},
			{Long: "module", Short: "m", Arg: "NAME", Help: "name the bundle NAME and keep it as NAME.o", SystemTap: "-m MODULE"},
			{Long: "sign-module", Arg: "KEY", Implied: " ", Complete: Files, SystemTap: "--sign-module[=PATH]",
				Help:    "with -p4, -m and --remote: sign the bundle with KEY, an SSH key (default ~/.ssh/id_ed25519)",
				Differs: "Signs with an SSH key, which staprun holds against allowed_signers; the kernel's machine owner keys are for modules."},
			{Long: "keep", Short: "k", Help: "keep what the passes made in a directory, and name it", SystemTap: "-k"},
			{Long: "tmpdir", Arg: "DIR", Complete: Folders, Help: "make the directory of -k in DIR", SystemTap: "--tmpdir=NAME"},
			&unoptimizedOption,
			{Long: "dump", Arg: "WHAT", Values: []string{"tokens", "source", "expanded"}, Help: "with -p1: show tokens, or the source or expanded tree"},
			{Long: "disable-cache", Help: "neither use nor keep compiled scripts", SystemTap: "--disable-cache"},
			{Long: "poison-cache", Help: "compile anew, and keep that", SystemTap: "--poison-cache"},
			{Long: "clean-cache", Help: "remove all compiled scripts that are kept, and end", SystemTap: "--clean-cache"},
		}},
		{"Target", []*Option{
			{Long: "release", Short: "r", Arg: "KERNEL", Many: true, Complete: Files, SystemTap: "-r RELEASE",
				Help:    "compile for another kernel: a release installed here, a BTF file, a vmlinux, a host description or a directory of them",
				Differs: "Needs no build tree: BTF or a host description is enough. With -l, -L and -p2 several."},
			{Long: "arch", Short: "a", Arg: "ARCH", SystemTap: "-a ARCH", Values: []string{"x86_64", "arm64"},
				Help:    "compile for this architecture: the kernel of -r has to be of it",
				Differs: "x86_64 and arm64."},
			&sysrootOption,
			{Long: "sysenv", Arg: "VAR=VALUE", Many: true, SystemTap: "--sysenv=VAR=VALUE",
				Help: "with --sysroot: PATH or LD_LIBRARY_PATH as it is there"},
			{Long: "download-debuginfo", Arg: "WHEN", Implied: "yes", SystemTap: "--download-debuginfo[=OPTION]",
				Help:    "take debug files from the servers of DEBUGINFOD_URLS: yes (if it is set) or no",
				Differs: "From debuginfod servers, not by ABRT, so \"ask\" and a number of seconds mean yes."},
		}},
		{"Lists", []*Option{
			{Long: "list", Short: "l", Arg: "PATTERN", Complete: Points, Help: "list the probe points that match PATTERN", SystemTap: "-l PROBE"},
			{Long: "list-vars", Short: "L", Arg: "PATTERN", Complete: Points, Help: "list them with the variables that their handlers have", SystemTap: "-L PROBE"},
			{Long: "dump-probe-types", Help: "list the kinds of probe points", SystemTap: "--dump-probe-types"},
			{Long: "dump-probe-aliases", Help: "list the probe aliases of the library", SystemTap: "--dump-probe-aliases"},
			{Long: "dump-functions", Help: "list the functions of the library", SystemTap: "--dump-functions"},
			{Long: "json", Help: "with -p1, -l, -L and the dumps: output for programs"},
		}},
		{"Messages", []*Option{
			{Long: "verbose", Short: "v", Help: "tell more; repeat for more still", SystemTap: "-v"},
			{Long: "vp", Arg: "NNNNN", Help: "tell more of single passes: 00200 is -vv for pass 3", SystemTap: "--vp {N}+"},
			{Long: "quiet", Short: "q", SystemTap: "-q",
				Help: "show no progress, no warnings and no notes", Differs: "SystemTap's -q gathers coverage of its library; here it means quiet."},
			&noWarningsOption, &strictOption, &colorOption, &formatOption,
			&helpOption, &versionOption,
		}},
		{"Other ways to work", []*Option{
			{Long: "interactive", Short: "i", Help: "write and run probes at a prompt", SystemTap: "-i --interactive"},
			{Long: "language-server", Help: "be a language server on standard input and output, as staplsp is", SystemTap: "--language-server"},
			{Long: "completions", Arg: "SHELL", Values: []string{"bash", "zsh", "fish"}, Help: "print the completion script of a shell"},
			{Long: "complete", Arg: "WHAT", Hidden: true, Help: "for completion scripts: list what the word can become"},
		}},
		{"SystemTap's", []*Option{
			{Long: "data", Short: "d", Arg: "OBJECT", SystemTap: "-d OBJECT", Silent: true, Instead: "the loader knows the symbols of every program and module that a stack leads to"},
			{Long: "ldd", SystemTap: "--ldd", Silent: true, Instead: "the loader knows the symbols of every library that a stack leads to"},
			{Long: "all-modules", SystemTap: "--all-modules", Silent: true, Instead: "the loader knows the symbols of all kernel modules"},
			{Long: "bulk", Short: "b", SystemTap: "-b", Instead: "output passes through one buffer in order; -s sets its size"},
			{Long: "prologue-searching", Short: "P", Arg: "WHEN", Implied: "always", Values: []string{"never", "always", "auto"}, SystemTap: "-P --prologue-searching[=WHEN]", Instead: "parameters are read at a function's entry by its calling convention"},
			{Long: "kbuild", Short: "B", Arg: "NM=VAL", SystemTap: "-B NM=VAL", Instead: "no kernel module is built"},
			{Long: "modinfo", Arg: "NM=VAL", SystemTap: "--modinfo NM=VAL", Instead: "no kernel module is built; a bundle's manifest is shown by staprun --inspect"},
			{Long: "debug", SystemTap: "--debug", Instead: "no kernel module is built; -k keeps what the passes make"},
			{Long: "runtime-dir", Short: "R", Arg: "DIR", SystemTap: "-R DIR", Instead: "there is no run-time system in C; staprun is all of it"},
			{Long: "runtime", Arg: "MODE", Values: []string{"kernel", "bpf", "dyninst"}, RefusedValues: []string{"dyninst"}, SystemTap: "--runtime=MODE", Instead: "scripts always run as eBPF"},
			{Long: "bpf", SystemTap: "--bpf", Instead: "scripts always run as eBPF"},
			{Long: "dyninst", SystemTap: "--dyninst", Refused: true, Instead: "scripts run as eBPF, which probes programs as well and needs root for it"},
			{Long: "save-uprobes", SystemTap: "--save-uprobes", Instead: "the kernel's own uprobes are used"},
			{Long: "semantic-keep-going", SystemTap: "--semantic-keep-going", Instead: "all mistakes of a script are always shown"},
			{Long: "rlimit-as", Arg: "NUM", SystemTap: "--rlimit-as=NUM", Instead: "use the shell's ulimit -v"},
			{Long: "rlimit-cpu", Arg: "NUM", SystemTap: "--rlimit-cpu=NUM", Instead: "use the shell's ulimit -t"},
			{Long: "rlimit-nproc", Arg: "NUM", SystemTap: "--rlimit-nproc=NUM", Instead: "use the shell's ulimit -u"},
			{Long: "rlimit-stack", Arg: "NUM", SystemTap: "--rlimit-stack=NUM", Instead: "use the shell's ulimit -s"},
			{Long: "rlimit-fsize", Arg: "NUM", SystemTap: "--rlimit-fsize=NUM", Instead: "use the shell's ulimit -f"},
			{Long: "use-server", Arg: "SERVER", Implied: " ", SystemTap: "--use-server[=SERVER-SPEC]", Refused: true, Instead: "compile with stapc where you like, sign the bundle, and run it with staprun"},
			{Long: "use-server-on-error", Arg: "YES", Implied: "yes", SystemTap: "--use-server-on-error[=yes/no]", Instead: "there are no compile servers: stapc compiles for any host that staprun --describe has described"},
			{Long: "use-http-server", Arg: "SERVER", Implied: " ", SystemTap: "--use-http-server", Refused: true, Instead: "compile with stapc where you like, sign the bundle, and run it with staprun"},
			{Long: "list-servers", Arg: "PROPERTIES", Implied: " ", SystemTap: "--list-servers[=PROPERTIES]", Refused: true, Instead: "there are no compile servers: stapc compiles for any host that staprun --describe has described"},
			{Long: "trust-servers", Arg: "TRUST", Implied: " ", SystemTap: "--trust-servers[=TRUST-SPEC]", Refused: true, Instead: "trust is given to keys that sign bundles, in /etc/stapkit/allowed_signers"},
			{Long: "build-as", Arg: "USER", SystemTap: "--build-as=USER", Instead: "compiling needs no privilege: run stapc as any user"},
			{Long: "benchmark-sdt", SystemTap: "--benchmark-sdt", Refused: true, Instead: "make bench in stapkit's repository measures what probes cost"},
			{Long: "benchmark-sdt-loops", Arg: "NUM", SystemTap: "--benchmark-sdt-loops=NUM", Refused: true, Instead: "make bench in stapkit's repository measures what probes cost"},
			{Long: "benchmark-sdt-threads", Arg: "NUM", SystemTap: "--benchmark-sdt-threads=NUM", Refused: true, Instead: "make bench in stapkit's repository measures what probes cost"},
		}},
	},
	Exits: []Entry{
		{"0", "the script ended without an error, also by a signal, or what was asked for was printed"},
		{"1", "a pass failed, a handler raised an error, an option is wrong, or -l found nothing"},
	},
	Environment: []Entry{
		{"SYSTEMTAP_DIR", "the directory of the file rc, instead of ~/.systemtap"},
		{"SYSTEMTAP_TAPSET", "the directory of library files in place of stapkit's own; what is C there is taken from that"},
		{"XDG_DATA_HOME, XDG_DATA_DIRS", "directories whose systemtap/tapset has further library files; SystemTap's own is left out"},
		{"SYSTEMTAP_RELEASE", "the kernel to compile for, as with -r"},
		{"SYSTEMTAP_DEBUGINFO_PATH", "directories where debug files are looked for, with colons between"},
		{"SYSTEMTAP_COLORS", "the colours of diagnostics, as in error=01;31:warning=00;33:source=00;34:caret=01:token=01"},
		{"DEBUGINFOD_URLS", "servers of debug files"},
		{"STAPKIT_CACHE", "the directory of what is kept between runs, or off; default: stapkit in the user's cache directory"},
		{"STAPKIT_CACHE_MB", "how many megabytes of compiled scripts are kept at most, default 256"},
		{"NO_COLOR", "if set, nothing is coloured"},
		{"TMPDIR", "where -k makes its directory"},
		{"VISUAL, EDITOR", "the editor of -i"},
	},
	Files: []Entry{
		{"~/.systemtap/rc", "options that are put in front of those of the command line; words as in a shell, # begins a comment"},
		{"~/.local/state/stapkit/history", "what was typed at -i; below $XDG_STATE_HOME if that is set"},
		{"stapkit.toml", "settings of the scripts below its directory, for the language tools"},
	},
	Examples: []Entry{
		{"stap -e 'probe syscall.openat { println(execname(), \" \", filename) }'", "who opens which files"},
		{"stap -l 'kernel.function(\"vfs_*\")'", "which functions of the kernel begin so"},
		{"stap script.stp -x 4711", "a script that asks for target()"},
		{"stap -p4 -m disk -r host.desc disk.stp", "compile for the host that a file describes"},
	},
	SeeAlso: []string{"stapc(1)", "staprun(8)", "staplint(1)", "stapfmt(1)", "staplsp(1)"},
}
