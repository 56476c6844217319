// Command staplsp is the language server for SystemTap scripts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"stapkit/cli"
	"stapkit/driver"
	"stapkit/lsp"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// gcPercent is how much garbage there may be for what is alive, in percent.
const gcPercent = 50

// connection is standard input and output as one stream.
type connection struct {
	io.Reader
	io.Writer
}

func (connection) Close() error { return nil }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var stdio bool
	var logFile, target string
	var includes []string
	var guru bool
	var pid int
	f := cli.Staplsp.Flags()
	f.Bool(&stdio, "stdio")
	f.String(&logFile, "log")
	f.String(&target, "target")
	f.Strings(&includes, "include")
	f.Bool(&guru, "guru")
	f.Int(&pid, "clientProcessId")
	fail := func(err error) int {
		fmt.Fprintf(stderr, "staplsp: %v\n", err)
		return 1
	}
	rest, err := f.Parse(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.Staplsp.Help())
		return 0
	case errors.Is(err, cli.ErrVersion):
		fmt.Fprintf(stdout, "staplsp %s (SystemTap %s language, LSP 3.17)\n", driver.Release, driver.Version)
		return 0
	case err != nil:
		return fail(fmt.Errorf("%w (--help tells the options)", err))
	case len(rest) > 0:
		return fail(fmt.Errorf("unexpected argument %q: editors start staplsp without any (--help tells the options)", rest[0]))
	}
	opt := lsp.Options{Version: driver.Release, Widths: driver.Widths, Settings: lsp.Settings{Target: target, Includes: includes, Guru: guru}}
	if logFile != "" {
		f, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return fail(err)
		}
		defer f.Close()
		opt.Log = f
	}
	// A server lives as long as its editor. What its garbage takes is seen all that time;
	// what it costs to collect is seen with none of its answers.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := lsp.Serve(context.Background(), connection{stdin, stdout}, opt); err != nil && !errors.Is(err, io.EOF) {
		return fail(err)
	}
	return 0
}
