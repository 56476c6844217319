// Command stapfmt formats SystemTap scripts. See docs/stapfmt.md.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"stapkit/cli"
	"stapkit/config"
	"stapkit/diag"
	stapfmt "stapkit/fmt"
	"stapkit/fmt/rewrite"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // short runs: a third faster for 20 MB more
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opt := rewrite.Options{Stdin: stdin, Stdout: stdout, Stderr: stderr}
	f := cli.Stapfmt.Flags()
	var check bool
	color := "auto"
	f.Bool(&opt.List, "list")
	f.Bool(&opt.Write, "write")
	f.Bool(&opt.Diff, "diff")
	f.Bool(&check, "check")
	f.Bool(&opt.Partial, "partial")
	f.String(&opt.StdinName, "stdin-filename")
	f.Bool(&opt.ScriptsOnly, "skip-foreign")
	f.String(&color, "color")
	bad := func(format string, args ...any) int {
		fmt.Fprintf(stderr, "stapfmt: "+format+"\nTry 'stapfmt --help'.\n", args...)
		return rewrite.Failed
	}
	paths, err := f.Parse(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.Stapfmt.Help())
		return rewrite.Clean
	case errors.Is(err, cli.ErrVersion):
		fmt.Fprintln(stdout, "stapfmt", cli.Version)
		return rewrite.Clean
	case err != nil:
		return bad("%v", err)
	}
	opt.Paths = paths
	if check {
		if opt.Write {
			return bad("--check and --write cannot be used together")
		}
		opt.List = opt.List || !opt.Diff
	}
	if opt.Write {
		if len(opt.Paths) == 0 {
			return bad("--write needs the names of files")
		}
		for _, p := range opt.Paths {
			if p == "-" {
				return bad("--write cannot write the standard input back")
			}
		}
	}
	opt.Color = diag.WantColor(color, stdout)
	if diag.WantColor(color, stderr) {
		opt.ErrColors, _ = diag.ParseColors(os.Getenv("SYSTEMTAP_COLORS")) // malformed ones are the default ones
	}
	var editor config.EditorConfig
	opt.Indent = func(path string) (stapfmt.Indent, error) {
		in, err := editor.Indentation(path)
		return stapfmt.Indent{Spaces: in.Spaces(), TabWidth: in.TabWidth}, err
	}
	return rewrite.Run(opt)
}
