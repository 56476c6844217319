//go:build linux

// Command vm runs commands in a guest that has stap and staprun:
//
//	go run ./internal/guest/vm -kernel 6.1 -file prog=/bin/prog 'stap -e "probe begin { exit() }"' …
//
// Each argument is one command for the guest's shell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stapkit/internal/guest"
)

type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	var files, modules list
	kernel := flag.String("kernel", "6.12", "kernel `VERSION`, such as 6.1 or 6.12-arm64")
	timeout := flag.Duration("timeout", time.Minute, "how long each command may take")
	show := flag.Bool("console", false, "show the guest's console at the end")
	counted := flag.Bool("counted", false, "let the guest's clock count instructions")
	flag.Var(&files, "file", "put `HERE=THERE` into the guest; may be repeated")
	flag.Var(&modules, "module", "load kernel module `NAME`; may be repeated")
	flag.Parse()
	code, err := run(*kernel, *counted, files, modules, flag.Args(), *timeout, *show)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		code = 1
	}
	os.Exit(code)
}

func run(kernel string, counted bool, files, modules, commands []string, timeout time.Duration, show bool) (code int, err error) {
	ctx := context.Background()
	k, err := guest.Find(kernel)
	if err != nil {
		return 0, err
	}
	o := guest.Options{Modules: modules, Counted: counted}
	for _, name := range []string{"stap", "staprun"} {
		data, err := k.Build(ctx, "stapkit/cmd/"+name)
		if err != nil {
			return 0, err
		}
		o.Files = append(o.Files, guest.File{Path: "/bin/" + name, Mode: 0o755, Data: data})
	}
	for _, f := range files {
		here, there, ok := strings.Cut(f, "=")
		if !ok {
			there = "/tmp/" + filepath.Base(here)
		}
		data, err := os.ReadFile(here)
		if err != nil {
			return 0, err
		}
		o.Files = append(o.Files, guest.File{Path: there, Mode: 0o755, Data: data})
	}
	began := time.Now()
	g, err := guest.Boot(ctx, k, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	fmt.Fprintf(os.Stderr, "%s ready after %.1f s\n", k.Release, time.Since(began).Seconds())
	for _, c := range commands {
		began := time.Now()
		r, err := g.Run(ctx, guest.Command{Args: []string{"/bin/sh", "-c", c}, Timeout: timeout})
		if err != nil {
			return 0, err
		}
		fmt.Print(r.Stdout)
		fmt.Fprint(os.Stderr, r.Stderr)
		fmt.Fprintf(os.Stderr, "[exit %d, %.1f s]\n", r.Code, time.Since(began).Seconds())
		if r.Code != 0 {
			code = r.Code
		}
	}
	if show {
		fmt.Fprint(os.Stderr, g.Console())
	}
	return code, nil
}
