// Command staplsp is the language server for SystemTap scripts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"stapkit/driver"
	"stapkit/lsp"
)

const usage = `Usage: staplsp [OPTION]...

The language server for SystemTap scripts. Editors start it and talk to it over its
standard input and output; docs/staplsp.md tells how to set them up.

`

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// stdio is standard input and output as one stream.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return nil }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fs := pflag.NewFlagSet("staplsp", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Bool("stdio", true, "talk over standard input and output (the default)")
	logFile := fs.String("log", "", "write a line for each message and event to `FILE`")
	target := fs.StringP("target", "r", "", "show the functions and types of `TARGET`: a BTF file, a host description, a release; none for none")
	includes := fs.StringArrayP("include", "I", nil, "look in tapset directory `DIR` as well")
	guru := fs.BoolP("guru", "g", false, "read scripts as with stap -g")
	pid := fs.Int("clientProcessId", 0, "accepted: the editor's process, which the protocol tells as well")
	help := fs.BoolP("help", "h", false, "show this help")
	version := fs.BoolP("version", "V", false, "show the version")
	_ = pid
	fail := func(err error) int {
		fmt.Fprintf(stderr, "staplsp: %v\n", err)
		return 1
	}
	if err := fs.Parse(args); err != nil {
		return fail(fmt.Errorf("%w (--help tells the options)", err))
	}
	switch {
	case *help:
		fmt.Fprint(stdout, usage, fs.FlagUsages())
		return 0
	case *version:
		fmt.Fprintf(stdout, "staplsp %s (SystemTap %s language, LSP 3.17)\n", driver.Release, driver.Version)
		return 0
	case fs.NArg() > 0:
		return fail(fmt.Errorf("unexpected argument %q: editors start staplsp without any (--help tells the options)", fs.Arg(0)))
	}
	opt := lsp.Options{Version: driver.Release, Settings: lsp.Settings{Target: *target, Includes: *includes, Guru: *guru}}
	if *logFile != "" {
		f, err := os.OpenFile(*logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return fail(err)
		}
		defer f.Close()
		opt.Log = f
	}
	if err := lsp.Serve(context.Background(), stdio{stdin, stdout}, opt); err != nil && !errors.Is(err, io.EOF) {
		return fail(err)
	}
	return 0
}
