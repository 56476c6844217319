// Command staplint finds mistakes in SystemTap scripts before they run. See docs/lint.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"stapkit/config"
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/check"
	"stapkit/lint/registry"
)

const usage = `Usage: staplint [option …] [path …]

Finds mistakes in SystemTap scripts (.stp) and macro libraries (.stpm). Paths are files
and folders; "-", or no path, is the standard input.

Output
      --format=FORMAT    text (with source and caret), gcc, json, sarif, github, checkstyle
      --fail-on=WHAT     the mildest finding that counts: error, warning (default) or note
      --color=WHEN       colours: never, auto or always
Rules
      --enable=RULES     rules, beginnings of rules or "all", with commas between
      --disable=RULES    likewise; the longest that fits a rule decides
      --severity=RULE=S  how much findings of a rule weigh: error, warning, note or hint
      --set=RULE.OPT=V   an option of a rule, as in --set=ST1004.places=1000
      --explain=RULE     what a rule or code is about
      --list-rules       all rules
Targets
      --target=TARGET    host for this machine's kernel, else a host description, a BTF
                         file, a folder with vmlinux, or a release; may be repeated
      --btf=FILE         BTF file, or vmlinux; may be repeated, or with commas between
      --kernel-release=R a kernel that is installed here
      --fleet=DIR        all host descriptions and BTF files of a folder
Mending
      --fix              apply fixes that keep the meaning, and write the files
      --unsafe-fixes     apply other fixes, too
      --diff             with these: print what would change, write nothing
Known findings
      --baseline=FILE    findings in FILE do not count
      --write-baseline=FILE
                         write all findings there
Scripts
  -g, --guru             scripts are run with -g
  -I, --include=DIR      further library directory; may be repeated
      --tapset           the files are of a library
      --skip-foreign     pass over named files that are no SystemTap scripts
      --stdin-filename=NAME
                         the name of the standard input
      --version          print the version

Settings are taken from stapkit.toml. Exit status: 0 nothing found that counts, 1 findings
(with --diff: files would change), 2 an error.
`

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // short runs: faster for some memory more
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opt := check.Options{Stdin: stdin, Stdout: stdout, Stderr: stderr, Version: config.ToolVersion()}
	fs := pflag.NewFlagSet("staplint", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&opt.Format, "format", "text", "")
	failOn := fs.String("fail-on", "warning", "")
	fs.StringSliceVar(&opt.Enable, "enable", nil, "")
	fs.StringSliceVar(&opt.Disable, "disable", nil, "")
	severity := fs.StringSlice("severity", nil, "")
	set := fs.StringArray("set", nil, "")
	explain := fs.String("explain", "", "")
	list := fs.Bool("list-rules", false, "")
	targets := fs.StringArray("target", nil, "")
	btf := fs.StringSlice("btf", nil, "")
	release := fs.StringArray("kernel-release", nil, "")
	fs.StringArrayVar(&opt.Fleets, "fleet", nil, "")
	fs.BoolVar(&opt.Fix, "fix", false, "")
	fs.BoolVar(&opt.Unsafe, "unsafe-fixes", false, "")
	fs.BoolVar(&opt.Diff, "diff", false, "")
	fs.StringVar(&opt.Baseline, "baseline", "", "")
	fs.StringVar(&opt.WriteBaseline, "write-baseline", "", "")
	fs.BoolVarP(&opt.Guru, "guru", "g", false, "")
	fs.StringArrayVarP(&opt.Includes, "include", "I", nil, "")
	fs.BoolVar(&opt.Tapset, "tapset", false, "")
	fs.BoolVar(&opt.ScriptsOnly, "skip-foreign", false, "")
	fs.StringVar(&opt.StdinName, "stdin-filename", "", "")
	color := fs.String("color", "auto", "")
	fs.Lookup("color").NoOptDefVal = "always"
	version := fs.Bool("version", false, "")
	bad := func(format string, args ...any) int {
		fmt.Fprintf(stderr, "staplint: "+format+"\nTry 'staplint --help'.\n", args...)
		return check.Failed
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			fmt.Fprint(stdout, usage)
			return check.Clean
		}
		return bad("%v", err)
	}
	switch {
	case *version:
		fmt.Fprintln(stdout, "staplint", config.ToolVersion())
		return check.Clean
	case *explain != "":
		info, ok := diag.Lookup(diag.Code(*explain))
		if !ok {
			return bad("--explain=%s: there is no such rule or code", *explain)
		}
		fmt.Fprintf(stdout, "%s: %s (%s)\n\n%s\n", info.Code, info.Title, info.Severity, strings.TrimSpace(info.Doc))
		return check.Clean
	case *list:
		for _, a := range registry.All() {
			fmt.Fprintf(stdout, "%s  %-7s  %s%s\n", a.Name, a.Doc.Severity, a.Doc.Title, remarks(a))
		}
		return check.Clean
	}
	opt.Paths = fs.Args()
	known := false
	for _, f := range check.Formats {
		known = known || f == opt.Format
	}
	if !known {
		return bad("--format=%s: use %s", opt.Format, strings.Join(check.Formats, ", "))
	}
	var ok bool
	if opt.FailOn, ok = lint.ParseSeverity(*failOn); !ok || opt.FailOn == diag.Hint {
		return bad("--fail-on=%s: use error, warning or note", *failOn)
	}
	opt.FailOnSet = fs.Changed("fail-on")
	if err := settings(&opt, *severity, *set); err != nil {
		return bad("%v", err)
	}
	if opt.Diff && !opt.Fix && !opt.Unsafe {
		opt.Fix = true
	}
	for _, t := range *targets {
		if t == "host" {
			t = "running"
		}
		opt.Targets = append(opt.Targets, t)
	}
	opt.Targets = append(append(opt.Targets, *btf...), *release...)
	switch *color {
	case "never", "auto", "always":
	default:
		return bad("--color=%s: use never, auto or always", *color)
	}
	if diag.WantColor(*color, stdout) {
		opt.ColorDiff = true
		opt.Colors, _ = diag.ParseColors(os.Getenv("SYSTEMTAP_COLORS")) // malformed ones are the default ones
	}
	return check.Run(opt)
}

// remarks are what a list of rules says of one besides its title.
func remarks(a *lint.Analyzer) string {
	var s []string
	if a.Doc.NonDefault {
		s = append(s, "off unless enabled")
	}
	if a.Doc.Target {
		s = append(s, "needs a target")
	}
	if a.Doc.Fix != lint.NoFix {
		s = append(s, a.Doc.Fix.String()+" fix")
	}
	if len(s) == 0 {
		return ""
	}
	return " (" + strings.Join(s, ", ") + ")"
}

// settings reads --severity and --set.
func settings(opt *check.Options, severity, set []string) error {
	for _, s := range severity {
		rule, word, ok := strings.Cut(s, "=")
		v, known := lint.ParseSeverity(word)
		if !ok || !known {
			return fmt.Errorf("--severity=%s: write RULE=error, RULE=warning, RULE=note or RULE=hint", s)
		}
		if opt.Severity == nil {
			opt.Severity = map[string]diag.Severity{}
		}
		opt.Severity[rule] = v
	}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		rule, option, ok2 := strings.Cut(name, ".")
		if !ok || !ok2 {
			return fmt.Errorf("--set=%s: write RULE.OPTION=VALUE", s)
		}
		if opt.RuleOptions == nil {
			opt.RuleOptions = map[string]map[string]any{}
		}
		if opt.RuleOptions[rule] == nil {
			opt.RuleOptions[rule] = map[string]any{}
		}
		var v any = value
		if a := lint.Lookup(rule); a != nil {
			for _, o := range a.Doc.Options {
				if _, number := o.Default.(int64); o.Name == option && number {
					n, err := strconv.ParseInt(value, 0, 64)
					if err != nil {
						return fmt.Errorf("--set=%s: %q is no number", s, value)
					}
					v = n
				}
			}
		}
		opt.RuleOptions[rule][option] = v
	}
	return nil
}
