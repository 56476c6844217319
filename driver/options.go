package driver

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
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
	Timeout    time.Duration
	Timing     bool
	BufferMB   int
	List       string // -l
	ListVars   string // -L
	ListOn     bool
	Releases   []string // -r
	Sysroot    string
	Dump       string
	JSON       bool
	DumpTypes  bool
	DumpAlias  bool
	DumpFuncs  bool
	ModuleName string
	Color      string
	Format     string // --message-format
	Help       bool
	ShowVer    bool
}

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// stapFlags declares stap's options.
func stapFlags(o *StapOptions, defines, globals *[]string) *pflag.FlagSet {
	fs := pflag.NewFlagSet("stap", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.StringArrayVarP(&o.Expr, "expr", "e", nil, "run the script given as `SCRIPT`")
	fs.StringArrayVarP(&o.Extra, "extra", "E", nil, "add the script `SCRIPT` (may be repeated)")
	fs.IntVarP(&o.LastPass, "pass", "p", 5, "stop after pass `N`: 1 parse, 2 elaborate, 3 translate, 4 compile, 5 run")
	fs.CountVarP(&o.Verbose, "verbose", "v", "tell more; repeat for more still")
	fs.BoolVarP(&o.Guru, "guru", "g", false, "guru mode: allow what can do harm")
	fs.StringArrayVarP(defines, "define", "D", nil, "set limit `NAME=VALUE` (MAXACTION, MAXSTRINGLEN, …)")
	fs.StringArrayVarP(globals, "global", "G", nil, "give the scalar global `NAME=VALUE` its initial value")
	fs.StringArrayVarP(&o.TapsetDirs, "include", "I", nil, "look in tapset directory `DIR` as well")
	fs.StringVarP(&o.Command, "command", "c", "", "run `CMD`, trace until it exits; target() is its process id")
	fs.IntVarP(&o.PID, "pid", "x", 0, "make `PID` the target process")
	fs.StringVarP(&o.Output, "output", "o", "", "write the output to `FILE` (strftime conversions are replaced)")
	timeout := fs.StringP("timeout", "T", "", "end the run after `SEC` seconds")
	fs.BoolVarP(&o.Timing, "timing", "t", false, "print hits and times of each probe at the end")
	fs.IntVarP(&o.BufferMB, "buffer", "s", 0, "use an output buffer of `MB` megabytes")
	fs.StringVarP(&o.List, "list", "l", "", "list the probe points that match `PATTERN`")
	fs.StringVarP(&o.ListVars, "list-vars", "L", "", "list the probe points that match `PATTERN`, with their variables")
	fs.StringArrayVarP(&o.Releases, "release", "r", nil, "compile for another kernel: a BTF file, a host description, a vmlinux, or `RELEASE`; with -l, -L and -p2 also several, or a directory of them")
	fs.StringVar(&o.Sysroot, "sysroot", "", "take kernels, programs, libraries and debug files from below `DIR`")
	fs.StringVarP(&o.ModuleName, "module", "m", "", "name the bundle `NAME` and keep it as NAME.o")
	fs.BoolVarP(&o.KeepTemp, "keep", "k", false, "keep intermediate files")
	fs.BoolVarP(&o.Unoptimized, "unoptimized", "u", false, "do not leave out code without effect")
	fs.BoolVarP(&o.NoWarnings, "no-warnings", "w", false, "show no warnings")
	fs.BoolVarP(&o.Strict, "strict", "W", false, "treat warnings as errors")
	fs.BoolVarP(&o.Help, "help", "h", false, "show this help")
	fs.BoolVarP(&o.ShowVer, "version", "V", false, "show the version")
	fs.BoolVar(&o.SkipBadVars, "skip-badvars", false, "take target variables that cannot be resolved as 0")
	fs.BoolVar(&o.SuppressErrors, "suppress-handler-errors", false, "go on after errors in handlers; they are only counted")
	fs.BoolVar(&o.NoGlobalDisplay, "no-global-var-display", false, "do not show globals that are written but never read")
	fs.StringVar(&o.Compatible, "compatible", "", "read the script as SystemTap `VERSION` would")
	fs.StringVar(&o.Privilege, "privilege", "", "restrict what the script may do: stapusr, stapsys or stapdev")
	fs.Bool("unprivileged", false, "the same as --privilege=stapusr")
	fs.StringVar(&o.Dump, "dump", "", "with -p1: show `tokens`, source or expanded")
	fs.BoolVar(&o.JSON, "json", false, "with -p1, -l, -L and the dumps: output for programs")
	fs.BoolVar(&o.DumpTypes, "dump-probe-types", false, "list the kinds of probe points")
	fs.BoolVar(&o.DumpAlias, "dump-probe-aliases", false, "list the probe aliases of the library")
	fs.BoolVar(&o.DumpFuncs, "dump-functions", false, "list the functions of the library")
	fs.StringVar(&o.Color, "color", "auto", "colour diagnostics: never, auto or always")
	fs.Lookup("color").NoOptDefVal = "always"
	fs.StringVar(&o.Format, "message-format", "stap", "shape of diagnostics: stap, text, json, sarif or github")
	// Symbols are looked up in the loader, in whatever a stack leads to.
	fs.StringArrayP("data", "d", nil, "give symbols of `MODULE`: accepted, symbols of all modules are known")
	fs.Bool("ldd", false, "give symbols of the libraries of modules given with -d: accepted likewise")
	fs.Bool("all-modules", false, "give symbols of all kernel modules: accepted likewise")
	_ = timeout
	return fs
}

// ParseStap reads stap's command line.
func ParseStap(args []string) (*StapOptions, *pflag.FlagSet, error) {
	o := &StapOptions{}
	var defines, globals []string
	fs := stapFlags(o, &defines, &globals)
	if err := fs.Parse(args); err != nil {
		return nil, fs, usagef("%v", err)
	}
	if t := fs.Lookup("timeout").Value.String(); t != "" {
		sec, err := strconv.ParseFloat(t, 64)
		if err != nil || sec <= 0 {
			return nil, fs, usagef("-T %s: the time must be a positive number of seconds", t)
		}
		o.Timeout = time.Duration(sec * float64(time.Second))
	}
	if err := o.settings(defines, globals); err != nil {
		return nil, fs, err
	}
	o.ListOn = o.List != "" || o.ListVars != ""
	if fs.Changed("pass") && (o.LastPass < 1 || o.LastPass > 5) {
		return nil, fs, usagef("invalid pass number %d (should be 1-5)", o.LastPass)
	}
	if fs.Changed("pid") {
		if o.PID <= 0 {
			return nil, fs, usagef("-x %d: a process id is a positive number", o.PID)
		}
		if o.Command != "" {
			return nil, fs, usagef("you can't specify -c and -x options together")
		}
	}
	if o.ModuleName != "" {
		if strings.Trim(o.ModuleName, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return nil, fs, usagef("-m %s: a name has lower-case letters, digits and '_' only", o.ModuleName)
		}
		o.Name = o.ModuleName
	}
	if fs.Changed("unprivileged") {
		o.Privilege = "stapusr"
	}
	switch o.Privilege {
	case "", "stapdev":
	case "stapusr", "stapsys":
		if o.Guru {
			return nil, fs, usagef("-g and --privilege=%s exclude each other: guru mode is for stapdev", o.Privilege)
		}
	default:
		return nil, fs, usagef("--privilege=%s: use stapusr, stapsys or stapdev", o.Privilege)
	}
	if strings.Trim(o.Compatible, "0123456789.") != "" {
		return nil, fs, usagef("--compatible=%s: give a version such as 4.8", o.Compatible)
	}
	switch o.Color {
	case "never", "auto", "always":
	default:
		return nil, fs, usagef("--color=%s: use never, auto or always", o.Color)
	}
	switch o.Format {
	case "stap", "text", "json", "sarif", "github":
	default:
		return nil, fs, usagef("--message-format=%s: use stap, text, json, sarif or github", o.Format)
	}
	rest := fs.Args()
	if len(o.Expr) == 0 && !o.ListOn && len(rest) > 0 {
		o.ScriptFile, rest = rest[0], rest[1:]
	}
	o.Args = rest
	return o, fs, nil
}

// settings reads -D and -G.
func (o *StapOptions) settings(defines, globals []string) error {
	o.Defines, o.Globals = map[string]string{}, map[string]string{}
	for _, d := range defines {
		name, value, ok := strings.Cut(d, "=")
		if name == "" {
			return usagef("-D %s: give NAME or NAME=VALUE", d)
		}
		if !ok {
			value = "1"
		}
		o.Defines[name] = value
	}
	for _, g := range globals {
		name, value, ok := strings.Cut(g, "=")
		if !ok || name == "" {
			return usagef("-G %s: give NAME=VALUE", g)
		}
		o.Globals[name] = value
	}
	return nil
}
