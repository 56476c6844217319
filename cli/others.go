package cli

// Stapc is the stapc command.
var Stapc = &Command{
	Name:    "stapc",
	Summary: "compile a SystemTap script to a signed bundle",
	Forms: []Form{
		{"stapc [options] SCRIPT [ARGUMENTS]", "Compile SCRIPT to a bundle."},
		{"stapc [options] -e SCRIPT [ARGUMENTS]", "Compile the given script."},
		{"stapc sign --sign KEY BUNDLE", "Sign a bundle (stapc sign --help tells more)."},
	},
	About: `stapc compiles a script ahead of time to one file, a bundle, which staprun verifies and runs on hosts that have no
compiler, no kernel headers and no debug information. It needs no privilege and runs on Linux, macOS and Windows.

Without --target it compiles for the running kernel; staprun --describe writes on a host what --target takes. For
several targets, one bundle holds what each needs.`,
	Sections: []Section{
		{"Bundle", []*Option{
			{Long: "output", Short: "o", Arg: "FILE", Complete: Files, Help: "write the bundle to FILE (default: the script's name with .o)"},
			{Long: "module", Short: "m", Arg: "NAME", Help: "name the bundle NAME"},
			{Long: "sign", Arg: "KEY", Complete: Files, Help: "sign with KEY: a private key file, or a public key or certificate whose key the ssh-agent or the file beside it has"},
			{Long: "target", Arg: "FILE", Many: true, Complete: Files,
				Help: "compile for the host that FILE describes (a BTF file, or a description by staprun --describe); several: one bundle for all"},
			&sysrootOption,
			{Long: "explain", Help: "print what each probe costs"},
		}},
		{"Script", []*Option{
			&exprOption, &guruOption, &defineOption, &globalOption, &includeOption, &skipBadVarsOption, &suppressErrorsOption, &noGlobalsOption,
		}},
		{"Messages", []*Option{&noWarningsOption, &strictOption, &colorOption, &formatOption, &helpOption, &versionOption}},
	},
	Exits: []Entry{{"0", "the bundle was written"}, {"1", "the script has a mistake, or an option is wrong"}},
	Environment: []Entry{
		{"SSH_AUTH_SOCK", "the agent that has keys for --sign"},
		{"DEBUGINFOD_URLS", "servers of debug files"},
	},
	Examples: []Entry{
		{"stapc -o disk.o --sign ~/.ssh/id_ed25519 --target web.desc --target db.desc disk.stp", "one signed bundle for two kinds of hosts"},
	},
	SeeAlso: []string{"stapc-sign(1)", "staprun(8)", "stap(1)"},
}

// StapcSign is stapc sign.
var StapcSign = &Command{
	Name:    "stapc sign",
	Summary: "sign a bundle, or add a signature to it",
	Forms: []Form{
		{"stapc sign --sign KEY [-o FILE] BUNDLE", "Sign a bundle, perhaps once more."},
		{"stapc sign --sign KEY --detached FILE BUNDLE", "Put the signature into a file of its own."},
		{"stapc sign --message FILE BUNDLE", "Write what is to be signed, for ssh-keygen -Y sign."},
		{"stapc sign --attach SIGNATURE [-o FILE] BUNDLE", "Add a signature that was made elsewhere."},
	},
	About: `stapc sign changes who has signed a bundle, and nothing else of it. Signatures are those of ssh-keygen -Y sign with the
namespace stapkit-bundle.`,
	Sections: []Section{{"Options", []*Option{
		{Long: "sign", Arg: "KEY", Many: true, Complete: Files, Help: "sign with KEY: a private key file, or a public key or certificate whose key the ssh-agent or the file beside it has"},
		{Long: "output", Short: "o", Arg: "FILE", Complete: Files, Help: "write the bundle to FILE instead of where it was"},
		{Long: "attach", Arg: "FILE", Many: true, Complete: Files, Help: "add the signature in FILE, as ssh-keygen -Y sign writes it"},
		{Long: "message", Arg: "FILE", Complete: Files, Help: "prepare the bundle for signing and write the text to sign to FILE"},
		{Long: "detached", Arg: "FILE", Complete: Files, Help: "write the signature to FILE and leave it out of the bundle"},
		&helpOption,
	}}},
	Exits:   []Entry{{"0", "done"}, {"1", "something failed; the bundle is as it was"}},
	SeeAlso: []string{"stapc(1)", "staprun(8)", "ssh-keygen(1)"},
}

// Staprun is the staprun command.
var Staprun = &Command{
	Name:    "staprun",
	Page:    "8",
	Summary: "verify and run a compiled SystemTap script",
	Forms: []Form{
		{"staprun [options] BUNDLE [GLOBAL=VALUE ...]", "Verify and run a bundle."},
		{"staprun --verify BUNDLE", "Say whether it is to be trusted."},
		{"staprun --inspect [--json] BUNDLE", "Say what is in it."},
		{"staprun --dry-run [--target FILE] BUNDLE", "Say whether its probes are on this host."},
		{"staprun --check BUNDLE", "The same for this host, may it run and what does it cost."},
		{"staprun [options] -A NAME", "Go on with what is left attached as NAME."},
		{"staprun -d NAME", "Take down what is left attached as NAME."},
		{"staprun --list", "List installed bundles and running ones."},
		{"staprun --export-signature PREFIX BUNDLE", "Write PREFIX.manifest and PREFIX.sig for ssh-keygen."},
		{"staprun --describe FILE", "Describe this host for stapc --target."},
	},
	About: `staprun verifies a bundle that stapc made and runs it. It needs no compiler, no scripts and no debug information, and is not
set-user-ID. The file is read once; the bytes that were verified are the bytes that are loaded. Nothing on the command
line or in the environment changes who is trusted.`,
	Sections: []Section{
		{"Run", []*Option{
			{Long: "cmd", Short: "c", Arg: "COMMAND", Complete: Commands, Help: "run COMMAND as the target and end with it"},
			{Long: "pid", Short: "x", Arg: "PID", Complete: Processes, Help: "process PID is the target"},
			{Long: "output", Short: "o", Arg: "FILE", Complete: Files, Help: "write the output to FILE, in which conversions of strftime stand for the time"},
			&rotateOption,
			{Long: "daemon", Short: "D", Help: "with -o: go on in the background when the probes are active, and print the process id"},
			{Long: "pid-file", Arg: "FILE", Complete: Files, Help: "with -D: write the process id to FILE"},
			{Long: "leave", Short: "L", Help: "leave the script attached when its probes are active, and end"},
			{Long: "pin", Arg: "NAME", Help: "keep the script attached as NAME when this process is killed or ended by SIGQUIT; with -L: its name"},
			{Long: "attach", Short: "A", Arg: "NAME", Help: "go on with the script that is left attached as NAME"},
			&outputFormatOption, &recordOption, &stacksOption,
			{Long: "socket", Arg: "PATH", Implied: " ", Complete: Files, Help: "tell programs (stapmon) the state of the run by a Unix socket, /run/stapkit/PID.sock unless PATH is given"},
			{Long: "remote", Arg: "N:URI", Help: "this is host N of stap --remote, called URI; the run ends when standard input does"},
			{Long: "remote-id", Short: "r", Arg: "N:URI", Help: "what remote_id() and remote_uri() tell the script"},
			{Long: "target-namespaces", Short: "N", Arg: "PID", Complete: Processes, Help: "ns_pid() and its like tell numbers as in the namespaces of PID"},
			{Long: "buffer", Short: "b", Arg: "MB", Help: "buffer of MB megabytes for output (default 4)"},
			{Long: "timeout", Short: "T", Arg: "SECONDS", Help: "end after SECONDS"},
			{Long: "timing", Short: "t", Help: "print how often and how long each probe ran"},
			{Long: "suppress-handler-errors", Help: "go on after errors in handlers; they are only counted"},
			{Long: "no-global-var-display", Help: "do not show globals that are written but never read"},
			{Long: "cgroup", Arg: "PATH", Complete: Folders, Help: "look only at tasks in the cgroup PATH or of the systemd unit of that name"},
			{Long: "limit", Arg: "NAME=VALUE", Many: true, Help: "narrow a limit: map_memory, runtime, output_rate, cpu"},
			{Long: "installed", Help: "the bundle is the name of an installed one"},
			{Long: "allow-unsigned", Help: "run a bundle that nobody has signed (root only)"},
			{Long: "signature", Arg: "FILE", Many: true, Complete: Files, Help: "add the detached signature in FILE to the bundle before it is verified"},
		}},
		{"Instead of running", []*Option{
			{Long: "verify", Help: "verify the bundle"},
			{Long: "inspect", Help: "show what is in the bundle"},
			{Long: "dry-run", Help: "look for every probe's place"},
			{Long: "check", Help: "say whether the bundle may run here, where its probes are, and what they cost"},
			{Long: "list", Help: "list the installed bundles and the running ones"},
			{Long: "remove", Short: "d", Arg: "NAME", Help: "take down what is left attached as NAME, without its end probes"},
			{Long: "describe", Arg: "FILE", Complete: Files, Help: "write a description of this host to FILE"},
			{Long: "export-signature", Arg: "PREFIX", Complete: Files, Help: "write what is signed to PREFIX.manifest, and the signatures to PREFIX.sig, PREFIX.2.sig …"},
			{Long: "target", Arg: "FILE", Complete: Files, Help: "with --dry-run or --inspect: on the host that FILE describes (a description or BTF)"},
			{Long: "json", Help: "with --inspect, --verify, --dry-run, --check and --list: as JSON"},
		}},
		{"Messages", []*Option{
			{Long: "verbose", Short: "v", Help: "say more; twice: with the kernel's log where it refuses a program"},
			&noWarningsOption,
			{Long: "color", Short: "C", Arg: "WHEN", Values: []string{"never", "auto", "always"}, Help: "colour messages: never, auto (on a terminal, unless NO_COLOR is set) or always"},
			&helpOption, &versionOption,
		}},
		{"SystemTap's", []*Option{
			{Long: "uprobes", Short: "u", Instead: "the kernel's own uprobes are used"},
			{Long: "rename", Short: "R", Silent: true, Instead: "a bundle has no name in the kernel that could be taken"},
			{Long: "monitor", Short: "M", Arg: "SEC", Refused: true, Instead: "stapmon BUNDLE shows a run live"},
		}},
	},
	Exits: []Entry{
		{"0", "the script ended: by itself, by a signal, a timeout, or with its child"},
		{"1", "a handler raised an error, the child failed, or the bundle could not be run"},
		{"2", "wrong options"},
		{"20", "unsigned"},
		{"21", "untrusted: signed by a key that is not allowed to"},
		{"22", "expired, or not valid yet"},
		{"23", "revoked"},
		{"24", "altered or damaged"},
		{"25", "not for this kernel"},
		{"26", "refused by the policy of this host"},
		{"27", "made for a newer version"},
		{"30", "the handlers took too much of the CPUs' time"},
		{"31", "too much output"},
		{"32", "the run took as long as the policy allows"},
	},
	Files: []Entry{
		{"/etc/stapkit/allowed_signers", "who may sign bundles; also below /usr/lib/stapkit"},
		{"/etc/stapkit/policy.toml, policy.d/*.toml", "what bundles may do"},
		{"/etc/stapkit/bundles", "installed bundles"},
	},
	Examples: []Entry{
		{"staprun disk.o threshold=20", "run a bundle with another value of a global"},
		{"staprun --describe web.desc", "describe this host for stapc --target"},
	},
	SeeAlso: []string{"stapc(1)", "stap(1)"},
}

// Stapfmt is the stapfmt command.
var Stapfmt = &Command{
	Name:    "stapfmt",
	Summary: "format SystemTap scripts",
	Forms:   []Form{{"stapfmt [option …] [path …]", ""}},
	About: `stapfmt formats SystemTap scripts (.stp) and macro libraries (.stpm) in one style. Paths are files and folders; "-", or
no path, is the standard input. Without -l, -w or -d the formatted text is printed.`,
	Sections: []Section{{"Options", []*Option{
		{Long: "list", Short: "l", Help: "print the names of files that would change"},
		{Long: "diff", Short: "d", Help: "print what would change as a unified diff"},
		{Long: "write", Short: "w", Help: "write the result to the files"},
		{Long: "check", Help: "the same as --list; cannot be used with --write"},
		{Long: "partial", Help: "of a file with errors, format the declarations that parse"},
		{Long: "skip-foreign", Help: "pass over named files that are no SystemTap scripts, as it is always done with those found in folders"},
		{Long: "stdin-filename", Arg: "NAME", Complete: Files, Help: "the name of the standard input, for messages and .editorconfig"},
		{Long: "color", Arg: "WHEN", Implied: "always", Values: []string{"never", "auto", "always"}, Help: "colour differences and messages: never, auto or always"},
		&helpOption, &versionOption,
	}}},
	Exits:    []Entry{{"0", "all is well"}, {"1", "files would change (-l, -d, --check)"}, {"2", "an error"}},
	Files:    []Entry{{".editorconfig", "indentation: indent_style, indent_size and tab_width"}},
	Examples: []Entry{{"stapfmt -w scripts", "format all scripts of a folder"}, {"stapfmt --check .", "for CI"}},
	SeeAlso:  []string{"staplint(1)", "stap(1)"},
}

// Staplint is the staplint command.
var Staplint = &Command{
	Name:    "staplint",
	Summary: "find mistakes in SystemTap scripts before they run",
	Forms:   []Form{{"staplint [option …] [path …]", ""}},
	About: `staplint finds mistakes in SystemTap scripts. Paths are files and folders; "-", or no path, is the standard input.
Settings are taken from stapkit.toml.`,
	Sections: []Section{
		{"Output", []*Option{
			{Long: "format", Arg: "FORMAT", Values: []string{"text", "gcc", "json", "sarif", "github", "checkstyle"}, Help: "text (with source and caret), gcc, json, sarif, github or checkstyle"},
			{Long: "fail-on", Arg: "WHAT", Values: []string{"error", "warning", "note"}, Help: "the mildest finding that counts: error, warning (default) or note"},
			{Long: "color", Arg: "WHEN", Implied: "always", Values: []string{"never", "auto", "always"}, Help: "colours: never, auto or always"},
		}},
		{"Rules", []*Option{
			{Long: "enable", Arg: "RULES", Many: true, Help: "rules, beginnings of rules or \"all\", with commas between"},
			{Long: "disable", Arg: "RULES", Many: true, Help: "likewise; the longest that fits a rule decides"},
			{Long: "severity", Arg: "RULE=S", Many: true, Help: "how much findings of a rule weigh: error, warning, note or hint"},
			{Long: "set", Arg: "RULE.OPT=V", Many: true, Help: "an option of a rule, as in --set=ST1004.places=1000"},
			{Long: "explain", Arg: "RULE", Help: "what a rule or code is about"},
			{Long: "list-rules", Help: "all rules"},
		}},
		{"Targets", []*Option{
			{Long: "target", Arg: "TARGET", Many: true, Complete: Files, Help: "host for this machine's kernel, else a host description, a BTF file, a folder with vmlinux, or a release"},
			{Long: "btf", Arg: "FILE", Many: true, Complete: Files, Help: "BTF file, or vmlinux; several with commas between"},
			{Long: "kernel-release", Arg: "R", Many: true, Help: "a kernel that is installed here"},
			{Long: "fleet", Arg: "DIR", Many: true, Complete: Folders, Help: "all host descriptions and BTF files of a folder"},
		}},
		{"Mending", []*Option{
			{Long: "fix", Help: "apply fixes that keep the meaning, and write the files"},
			{Long: "unsafe-fixes", Help: "apply other fixes, too"},
			{Long: "diff", Help: "with these: print what would change, write nothing"},
		}},
		{"Known findings", []*Option{
			{Long: "baseline", Arg: "FILE", Complete: Files, Help: "findings in FILE do not count"},
			{Long: "write-baseline", Arg: "FILE", Complete: Files, Help: "write all findings there"},
		}},
		{"Scripts", []*Option{
			{Long: "guru", Short: "g", Help: "scripts are run with -g"},
			&includeOption,
			{Long: "tapset", Help: "the files are of a library"},
			{Long: "skip-foreign", Help: "pass over named files that are no SystemTap scripts"},
			{Long: "stdin-filename", Arg: "NAME", Complete: Files, Help: "the name of the standard input"},
			&helpOption, &versionOption,
		}},
	},
	Exits:    []Entry{{"0", "nothing found that counts"}, {"1", "findings (with --diff: files would change)"}, {"2", "an error"}},
	Files:    []Entry{{"stapkit.toml", "settings of the scripts below its directory: rules, targets, arguments"}},
	Examples: []Entry{{"staplint scripts", "all scripts of a folder"}, {"staplint --fix disk.stp", "mend what can be mended without doubt"}},
	SeeAlso:  []string{"stapfmt(1)", "stap(1)"},
}

// Staplsp is the staplsp command.
var Staplsp = &Command{
	Name:    "staplsp",
	Summary: "language server for SystemTap scripts",
	Forms:   []Form{{"staplsp [option …]", ""}},
	About: `staplsp is the language server for SystemTap scripts. Editors start it and talk to it over its standard input and output;
docs/staplsp.md tells how to set them up.`,
	Sections: []Section{{"Options", []*Option{
		{Long: "stdio", Help: "talk over standard input and output (the default)"},
		{Long: "log", Arg: "FILE", Complete: Files, Help: "write a line for each message and event to FILE"},
		{Long: "target", Short: "r", Arg: "TARGET", Complete: Files, Help: "show the functions and types of TARGET: a BTF file, a host description, a release; none for none"},
		&includeOption,
		{Long: "guru", Short: "g", Help: "read scripts as with stap -g"},
		{Long: "clientProcessId", Arg: "PID", Hidden: true, Help: "the editor's process, which the protocol tells as well"},
		&helpOption, &versionOption,
	}}},
	Exits:   []Entry{{"0", "the editor ended the connection"}, {"1", "an error"}},
	Files:   []Entry{{"stapkit.toml", "settings of the scripts below its directory"}},
	SeeAlso: []string{"staplint(1)", "stapfmt(1)", "stap(1)"},
}
