package driver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stapkit/cli"
	"stapkit/config"
	"stapkit/ir"
	loader "stapkit/runtime"
	"stapkit/syntax"
)

// StapOptions are the options of the stap command.
type StapOptions struct {
	Config
	ScriptFile string
	Expr       []string // -e
	Extra      []string // -E
	LastPass   int      // -p
	Verbose    int      // -v
	KeepTemp   bool
	NoWarnings bool
	Strict     bool // -W
	Output     string
	Rotation   loader.Rotation // -S
	Background bool            // -F
	// OutputFormat is text or json; Record, Replay and Stacks are files, Monitor the
	// seconds between pictures.
	OutputFormat           string
	Record, Replay, Stacks string
	Socket                 string
	Monitor                float64
	Remotes                []string
	RemotePrefix           bool
	Timeout                time.Duration
	Timing                 bool
	BufferMB               int
	List                   string // -l
	ListVars               string // -L
	ListOn                 bool
	Releases               []string // -r
	Sysroot                string
	Dump                   string
	JSON                   bool
	DumpTypes              bool
	DumpAlias              bool
	DumpFuncs              bool
	ModuleName             string
	Color                  string
	Format                 string // --message-format

	CheckVersion bool
	Unprivileged bool
	Example      bool
	SignKey      string // --sign-module
	TempDir      string // --tmpdir
	DisableCache bool
	PoisonCache  bool
	CleanCache   bool
	Arch         string // -a
	Quiet        bool
	// Namespaces is a process whose namespaces ns_pid() tells numbers of.
	Namespaces     int
	Interactive    bool
	LanguageServer bool
	Completions    string // the shell
	Complete       string
	// Gone are what options without a meaning here have to say.
	Gone []string
	// Given are the options of the rc file and the command line, as --name=value.
	Given []string

	pass, perPass, download string
	rotate                  string
	sysenv                  []string
	levels                  [6]int // verbosity of passes
}

// usagef is an error of the command line.
func usagef(format string, args ...any) error {
	return fmt.Errorf(format, args...)
}

// stapFlags binds stap's options.
func stapFlags(o *StapOptions, defines, globals, lists, listVars *[]string, timeout *string) *cli.Flags {
	f := cli.Stap.Flags()
	o.Color, o.Format = "auto", "stap"
	f.Strings(&o.Expr, "expr")
	f.Strings(&o.Extra, "extra")
	f.Bool(&o.Guru, "guru")
	f.Strings(defines, "define")
	f.Strings(globals, "global")
	f.Strings(&o.TapsetDirs, "include")
	f.String(&o.Compatible, "compatible")
	f.Bool(&o.CheckVersion, "check-version")
	f.Bool(&o.SkipBadVars, "skip-badvars")
	f.String(&o.Privilege, "privilege")
	f.Bool(&o.Unprivileged, "unprivileged")
	f.Bool(&o.Example, "example")

	f.String(&o.Command, "command")
	f.Int(&o.PID, "pid")
	f.String(timeout, "timeout")
	f.String(&o.Output, "output")
	f.String(&o.rotate, "rotate")
	f.Bool(&o.Background, "flight-recorder")
	f.String(&o.OutputFormat, "format")
	f.String(&o.Record, "record")
	f.String(&o.Replay, "replay")
	f.String(&o.Stacks, "stacks")
	f.String(&o.Socket, "socket")
	f.Float(&o.Monitor, "monitor")
	f.Strings(&o.Remotes, "remote")
	f.Bool(&o.RemotePrefix, "remote-prefix")
	f.Bool(&o.Timing, "timing")
	f.Int(&o.BufferMB, "buffer")
	f.Bool(&o.SuppressErrors, "suppress-handler-errors")
	f.Bool(&o.NoGlobalDisplay, "no-global-var-display")
	f.Bool(&o.NoTimeLimits, "suppress-time-limits")
	f.Int(&o.Namespaces, "target-namespaces")

	f.String(&o.pass, "pass")
	f.String(&o.ModuleName, "module")
	f.String(&o.SignKey, "sign-module")
	f.Bool(&o.KeepTemp, "keep")
	f.String(&o.TempDir, "tmpdir")
	f.Bool(&o.Unoptimized, "unoptimized")
	f.String(&o.Dump, "dump")
	f.Bool(&o.DisableCache, "disable-cache")
	f.Bool(&o.PoisonCache, "poison-cache")
	f.Bool(&o.CleanCache, "clean-cache")

	f.Strings(&o.Releases, "release")
	f.String(&o.Arch, "arch")
	f.String(&o.Sysroot, "sysroot")
	f.Strings(&o.sysenv, "sysenv")
	f.String(&o.download, "download-debuginfo")

	f.Strings(lists, "list")
	f.Strings(listVars, "list-vars")
	f.Bool(&o.DumpTypes, "dump-probe-types")
	f.Bool(&o.DumpAlias, "dump-probe-aliases")
	f.Bool(&o.DumpFuncs, "dump-functions")
	f.Bool(&o.JSON, "json")

	f.Count(&o.Verbose, "verbose")
	f.String(&o.perPass, "vp")
	f.Bool(&o.Quiet, "quiet")
	f.Bool(&o.NoWarnings, "no-warnings")
	f.Bool(&o.Strict, "strict")
	f.String(&o.Color, "color")
	f.String(&o.Format, "message-format")

	f.Bool(&o.Interactive, "interactive")
	f.Bool(&o.LanguageServer, "language-server")
	f.String(&o.Completions, "completions")
	f.String(&o.Complete, "complete")
	return f
}

// dropAbsent leaves out directories of -I that are not there, and has it said. Who parses a
// command line for another directory than the current one does not want it.
func (o *StapOptions) dropAbsent() {
	o.TapsetDirs = slices.DeleteFunc(o.TapsetDirs, func(dir string) bool {
		_, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			o.Gone = append(o.Gone, fmt.Sprintf("-I %s has no effect: there is no such directory", dir))
			return true
		}
		return false
	})
}

// ParseStap reads stap's command line, with the options of the rc file in front.
func ParseStap(args []string) (*StapOptions, error) {
	rc, err := rcOptions()
	if err != nil {
		return nil, err
	}
	return parseStap(append(rc, shebangWords(args)...))
}

func parseStap(args []string) (*StapOptions, error) {
	o := &StapOptions{}
	var defines, globals, lists, listVars []string
	var timeout string
	f := stapFlags(o, &defines, &globals, &lists, &listVars, &timeout)
	rest, err := f.Parse(args)
	if err != nil {
		return nil, err
	}
	o.Gone, o.Given = f.Gone(), f.Given()
	if o.Verbose > 0 {
		o.Gone = append(o.Gone, f.Remarks()...)
	}
	if f.Changed("timeout") {
		sec, err := strconv.ParseFloat(timeout, 64)
		if err != nil || !(sec > 0) || sec > maxTimeout {
			return nil, usagef("-T %s: Invalid timeout interval. Give a positive number of seconds", timeout)
		}
		o.Timeout = time.Duration(sec * float64(time.Second))
	}
	if err := o.settings(defines, globals); err != nil {
		return nil, err
	}
	if f.Changed("monitor") && !(o.Monitor > 0) {
		return nil, usagef("--monitor=%v: Invalid monitor interval. Give the seconds between pictures", o.Monitor)
	}
	switch {
	case o.Monitor > 0 && (o.Background || o.Record != "" || len(o.Remotes) > 0):
		return nil, usagef("--monitor shows a run here and now; -F, --record and --remote do not go with it")
	case len(o.Remotes) > 0 && (o.Background || o.Record != "" || o.Stacks != "" || o.Namespaces != 0):
		return nil, usagef("-F, --record, --stacks and --target-namespaces do not go with --remote")
	case o.Record != "" && (o.OutputFormat != "" || o.Stacks != "" || o.Output != ""):
		return nil, usagef("--record writes what --replay prints; give --format, --stacks and -o to that")
	case o.Replay != "" && (o.Record != "" || len(rest) > 0 || len(o.Expr) > 0 || len(o.Remotes) > 0 || o.Background):
		return nil, usagef("--replay takes a recording and no script")
	}
	if o.rotate != "" {
		if o.Output == "" {
			return nil, usagef("-S needs an output file (-o FILE)")
		}
		if o.Rotation, err = loader.ParseRotation(o.rotate); err != nil {
			return nil, usagef("%v", err)
		}
	}
	if o.Background && o.Output == "" && o.Command != "" {
		return nil, usagef("-F leaves the script attached, and -c ends with its command; give -o FILE as well")
	}
	if err := o.lists(lists, listVars); err != nil {
		return nil, err
	}
	if (o.ListOn || o.DumpTypes || o.DumpAlias || o.DumpFuncs) && len(o.Expr)+len(o.Extra) > 0 {
		return nil, usagef("Cannot specify a script with -l/-L/--dump-* switches.")
	}
	if (o.ListOn || o.DumpTypes || o.DumpAlias || o.DumpFuncs) && f.Changed("pass") {
		return nil, usagef("Cannot specify -p with -l/-L/--dump-* switches.")
	}
	if f.Changed("command") && strings.TrimSpace(o.Command) == "" {
		return nil, usagef("Empty CMD string invalid.")
	}
	o.LastPass = 5
	if f.Changed("pass") {
		n, err := strconv.Atoi(o.pass)
		if err != nil || n < 1 || n > 5 {
			return nil, usagef("-p %s: Invalid pass number (should be 1-5).", o.pass)
		}
		o.LastPass = n
	}
	if err := o.verbosity(f.Changed("vp")); err != nil {
		return nil, err
	}
	if f.Changed("pid") {
		if o.PID < 0 {
			return nil, usagef("-x %d: Invalid target process ID number.", o.PID)
		}
		if o.Command != "" {
			return nil, usagef("You can't specify -c and -x together.")
		}
	}
	if f.Changed("target-namespaces") && o.Namespaces <= 0 {
		return nil, usagef("--target-namespaces=%d: Invalid process ID number for target namespaces.", o.Namespaces)
	}
	if f.Changed("buffer") && (o.BufferMB < 1 || o.BufferMB > maxBufferMB) {
		return nil, usagef("-s %d: Invalid buffer size (should be 1-%d).", o.BufferMB, maxBufferMB)
	}
	if o.ModuleName != "" {
		name, note, err := moduleName(o.ModuleName)
		if err != nil {
			return nil, err
		}
		if note != "" {
			o.Gone = append(o.Gone, note)
		}
		o.ModuleName, o.Name = name, name
	}
	if o.Command != "" && strings.Trim(o.Command, "0123456789") == "" {
		o.Gone = append(o.Gone, fmt.Sprintf("-c %s runs a command of that name; -x %s traces the process", o.Command, o.Command))
	}
	if o.Unprivileged {
		o.Privilege = "stapusr"
	}
	if o.Guru && (o.Privilege == "stapusr" || o.Privilege == "stapsys") {
		return nil, usagef("You can't specify -g and --privilege=%s together.", o.Privilege)
	}
	if o.NoTimeLimits && !o.Guru {
		return nil, usagef("--suppress-time-limits requires guru mode (-g)")
	}
	if strings.Trim(o.Compatible, "0123456789.") != "" {
		return nil, usagef("--compatible=%s: give a version such as 4.8", o.Compatible)
	}
	if syntax.CompareVersions(o.Compatible, Version) > 0 {
		return nil, usagef("systemtap version %s cannot be compatible with future version %s", Version, o.Compatible)
	}
	if o.SignKey != "" && o.LastPass != 4 && o.ModuleName == "" && len(o.Remotes) == 0 {
		return nil, usagef("--sign-module signs a bundle that is kept: give -p4, -m NAME or --remote as well")
	}
	if strings.TrimSpace(o.SignKey) == "" && f.Changed("sign-module") {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, usagef("--sign-module: name the key (%v)", err)
		}
		o.SignKey = filepath.Join(home, ".ssh", "id_ed25519")
	}
	for _, e := range o.sysenv {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return nil, usagef("--sysenv=%s: give VAR=VALUE", e)
		}
		if o.Sysroot == "" {
			return nil, usagef("--sysenv=%s: --sysenv must follow --sysroot", e)
		}
		if name != "PATH" && name != "LD_LIBRARY_PATH" {
			o.Gone = append(o.Gone, fmt.Sprintf("--sysenv=%s has no effect: only PATH and LD_LIBRARY_PATH say where programs and libraries are", e))
		}
	}
	switch seconds := o.download != "" && strings.Trim(o.download, "0123456789") == ""; {
	case o.download == "ask" || seconds:
		o.Gone = append(o.Gone, fmt.Sprintf("--download-debuginfo=%s means yes: debug files come from the servers of DEBUGINFOD_URLS", o.download))
		o.download = "yes"
	case f.Changed("download-debuginfo") && o.download != "yes" && o.download != "no":
		return nil, usagef("--download-debuginfo: %s is not a valid value. Use 'yes', 'no', 'ask' or a timeout value.", o.download)
	}
	if len(o.Releases) == 0 {
		if r := os.Getenv("SYSTEMTAP_RELEASE"); r != "" {
			o.Releases = []string{r}
		}
	}
	if o.Quiet {
		o.NoWarnings = true
	}
	if len(o.Expr) == 0 && !o.ListOn && len(rest) > 0 {
		o.ScriptFile, rest = rest[0], rest[1:]
	}
	o.Args = rest
	return o, nil
}

// Limits of what options may ask for.
const (
	maxTimeout  = 100 * 365 * 24 * 3600 // seconds
	maxBufferMB = 4095
)

// verbosity reads -v and --vp.
func (o *StapOptions) verbosity(given bool) error {
	for i := range o.levels {
		o.levels[i] = o.Verbose
	}
	if !given {
		return nil
	}
	if o.perPass == "" || len(o.perPass) > 5 || strings.Trim(o.perPass, "0123456789") != "" {
		return usagef("--vp %s: Invalid --vp argument: it takes 1 to 5 digits.", o.perPass)
	}
	for i, c := range o.perPass {
		o.levels[i+1] += int(c - '0')
	}
	return nil
}

// maxModuleName is how many characters a name of -m may have, as there.
const maxModuleName = 55

// moduleName reads the name of -m as SystemTap does: in lower case, without the ending of
// a file, and cut off where it is too long. The note tells of that.
func moduleName(given string) (name, note string, err error) {
	name = strings.ToLower(given)
	for _, ending := range []string{".ko", ".o"} {
		name = strings.TrimSuffix(name, ending)
	}
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", "", usagef("-m %s: a name has letters, digits and '_' only", given)
	}
	name = name[:min(len(name), maxModuleName)]
	if len(name) != len(given) {
		note = fmt.Sprintf("Truncating module name to '%s'", name)
	}
	return name, note, nil
}

// lists reads -l, -L and the dumps, of which there can be one.
func (o *StapOptions) lists(plain, vars []string) error {
	n := len(plain) + len(vars)
	for _, dump := range []bool{o.DumpTypes, o.DumpAlias, o.DumpFuncs} {
		if dump {
			n++
		}
	}
	if n > 1 {
		return usagef("only one of the -l/-L/--dump-* switches may be specified")
	}
	for _, p := range plain {
		o.List, o.ListOn = p, true
	}
	for _, p := range vars {
		o.ListVars, o.ListOn = p, true
	}
	return nil
}

// readable reports whether a folder can be looked into.
func readable(dir string) bool {
	_, err := os.ReadDir(dir)
	return err == nil
}

// rcOptions are the options of the rc file.
func rcOptions() ([]string, error) {
	dir := os.Getenv("SYSTEMTAP_DIR")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, nil // no home, no file there
		}
		dir = filepath.Join(home, ".systemtap")
	}
	name := filepath.Join(dir, "rc")
	b, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return nil, nil
	case errors.Is(err, fs.ErrPermission) && os.Getenv("SYSTEMTAP_DIR") == "" && !readable(dir):
		return nil, nil // somebody else's home, as sudo -u may leave it
	case err != nil:
		return nil, fmt.Errorf("the options of the rc file cannot be read: %w", err)
	}
	var words []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			words = append(words, config.Words(line)...)
		}
	}
	return words, nil
}

// shebangWords takes options apart that the kernel hands over as one word: in a script
// that begins with "#!/usr/bin/stap -g -v" they are.
func shebangWords(args []string) []string {
	if len(args) < 2 || !strings.HasPrefix(args[0], "-") || !strings.ContainsAny(args[0], " \t") {
		return args
	}
	f, err := os.Open(args[1])
	if err != nil {
		return args
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return args
	}
	first, _, _ := strings.Cut(string(head[:n]), "\n")
	if !strings.HasPrefix(first, "#!") || !strings.Contains(first, args[0]) {
		return args
	}
	return append(config.Words(args[0]), args[1:]...)
}

// settings reads -D and -G.
func (o *StapOptions) settings(defines, globals []string) error {
	o.Defines, o.Globals = map[string]string{}, map[string]string{}
	for _, d := range defines {
		name, value, ok := strings.Cut(d, "=")
		if !ir.IsName(name) {
			return usagef("-D %s: give NAME or NAME=VALUE, NAME of letters, digits and '_'", d)
		}
		if !ok {
			value = "1"
		}
		o.Defines[name] = value
	}
	for _, g := range globals {
		name, value, ok := strings.Cut(g, "=")
		if !ok || !ir.IsName(name) {
			return usagef("-G %s: give NAME=VALUE, NAME that of a global", g)
		}
		o.Globals[name] = value
	}
	return nil
}
