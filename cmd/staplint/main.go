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

	"stapkit/cli"
	"stapkit/config"
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/check"
	"stapkit/lint/registry"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // short runs: faster for some memory more
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opt := check.Options{Stdin: stdin, Stdout: stdout, Stderr: stderr, Version: config.ToolVersion()}
	opt.Format = "text"
	failOn, color := "warning", "auto"
	var severity, set, targets, btf, release []string
	var explain string
	var list bool
	f := cli.Staplint.Flags()
	f.String(&opt.Format, "format")
	f.String(&failOn, "fail-on")
	f.Lists(&opt.Enable, "enable")
	f.Lists(&opt.Disable, "disable")
	f.Lists(&severity, "severity")
	f.Strings(&set, "set")
	f.String(&explain, "explain")
	f.Bool(&list, "list-rules")
	f.Strings(&targets, "target")
	f.Lists(&btf, "btf")
	f.Strings(&release, "kernel-release")
	f.Strings(&opt.Fleets, "fleet")
	f.Bool(&opt.Fix, "fix")
	f.Bool(&opt.Unsafe, "unsafe-fixes")
	f.Bool(&opt.Diff, "diff")
	f.String(&opt.Baseline, "baseline")
	f.String(&opt.WriteBaseline, "write-baseline")
	f.Bool(&opt.Guru, "guru")
	f.Strings(&opt.Includes, "include")
	f.Bool(&opt.Tapset, "tapset")
	f.Bool(&opt.ScriptsOnly, "skip-foreign")
	f.String(&opt.StdinName, "stdin-filename")
	f.String(&color, "color")
	bad := func(format string, args ...any) int {
		fmt.Fprintf(stderr, "staplint: "+format+"\nTry 'staplint --help'.\n", args...)
		return check.Failed
	}
	paths, err := f.Parse(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.Staplint.Help())
		return check.Clean
	case errors.Is(err, cli.ErrVersion):
		fmt.Fprintln(stdout, "staplint", cli.Version)
		return check.Clean
	case err != nil:
		return bad("%v", err)
	}
	switch {
	case explain != "":
		info, ok := diag.Lookup(diag.Code(explain))
		if !ok {
			return bad("--explain=%s: there is no such rule or code", explain)
		}
		fmt.Fprintf(stdout, "%s: %s (%s)\n\n%s\n", info.Code, info.Title, info.Severity, strings.TrimSpace(info.Doc))
		return check.Clean
	case list:
		for _, a := range registry.All() {
			fmt.Fprintf(stdout, "%s  %-7s  %s%s\n", a.Name, a.Doc.Severity, a.Doc.Title, remarks(a))
		}
		return check.Clean
	}
	opt.Paths = paths
	var ok bool
	if opt.FailOn, ok = lint.ParseSeverity(failOn); !ok || opt.FailOn == diag.Hint {
		return bad("--fail-on=%s: use error, warning or note", failOn)
	}
	opt.FailOnSet = f.Changed("fail-on")
	if err := settings(&opt, severity, set); err != nil {
		return bad("%v", err)
	}
	if opt.Diff && !opt.Fix && !opt.Unsafe {
		opt.Fix = true
	}
	for _, t := range targets {
		if t == "host" {
			t = "running"
		}
		opt.Targets = append(opt.Targets, t)
	}
	opt.Targets = append(append(opt.Targets, btf...), release...)
	if diag.WantColor(color, stdout) {
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
