//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"stapkit/bundle"
	"stapkit/bundle/trust"
	"stapkit/ir"
	loader "stapkit/runtime"
	"stapkit/target"
)

const usage = `Usage: staprun [options] BUNDLE [GLOBAL=VALUE ...]   Verify and run a bundle.
   or: staprun --verify BUNDLE                      Say whether it is to be trusted.
   or: staprun --inspect [--json] BUNDLE            Say what is in it.
   or: staprun --dry-run [--target FILE] BUNDLE     Say whether its probes are on this host.
   or: staprun --check BUNDLE                       The same for this host, may it run and what does it cost.
   or: staprun --list                               List installed bundles and running ones.
   or: staprun --export-signature PREFIX BUNDLE     Write PREFIX.manifest and PREFIX.sig for ssh-keygen.
   or: staprun --describe FILE                      Describe this host for stapc --target.

Options:
`

// Exit statuses besides those of a run and of the verdicts (see package trust).
const (
	exitFailed = 1 // the bundle cannot be read or run
	exitUsage  = 2
)

type options struct {
	loader.Options
	verify, inspect, json, dryRun bool
	check, list, installed        bool
	export                        string
	limits, signatures            []string
	describe, target              string
	allowUnsigned                 bool
	timeout                       float64
	help, version                 bool
	bundle                        string
	given                         []string // the command line, for the log
}

func parse(args []string) (*options, *pflag.FlagSet, error) {
	o := &options{given: args}
	fs := pflag.NewFlagSet("staprun", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.CountVarP(&o.Verbose, "verbose", "v", "say more; twice: with the kernel's log where it refuses a program")
	fs.StringVarP(&o.Command, "cmd", "c", "", "run `COMMAND` as the target and end with it")
	fs.IntVarP(&o.PID, "pid", "x", 0, "process `PID` is the target")
	fs.StringVarP(&o.Output, "output", "o", "", "write the output to `FILE`, in which conversions of strftime stand for the time")
	fs.IntVarP(&o.BufferMB, "buffer", "b", 0, "buffer of `MB` megabytes for output (default 4)")
	fs.Float64VarP(&o.timeout, "timeout", "T", 0, "end after `SECONDS`")
	fs.BoolVarP(&o.Timing, "timing", "t", false, "print how often and how long each probe ran")
	fs.BoolVarP(&o.NoWarnings, "no-warnings", "w", false, "show no warnings")
	fs.BoolVar(&o.SuppressErrors, "suppress-handler-errors", false, "go on after errors in handlers; they are only counted")
	fs.BoolVar(&o.NoGlobalDisplay, "no-global-var-display", false, "do not show globals that are written but never read")
	fs.BoolVar(&o.verify, "verify", false, "verify the bundle and run nothing")
	fs.BoolVar(&o.inspect, "inspect", false, "show what is in the bundle and run nothing")
	fs.BoolVar(&o.json, "json", false, "with --inspect, --verify and --dry-run: as JSON")
	fs.BoolVar(&o.dryRun, "dry-run", false, "look for every probe's place and run nothing")
	fs.StringVar(&o.target, "target", "", "with --dry-run or --inspect: on the host that `FILE` describes (a description or BTF)")
	fs.StringVar(&o.describe, "describe", "", "write a description of this host to `FILE`")
	fs.BoolVar(&o.check, "check", false, "say whether the bundle may run here, where its probes are, and what they cost; attach nothing")
	fs.BoolVar(&o.installed, "installed", false, "the bundle is the name of an installed one")
	fs.BoolVar(&o.list, "list", false, "list the installed bundles and the running ones")
	fs.StringVar(&o.export, "export-signature", "", "write what is signed to `PREFIX`.manifest, and the signatures to PREFIX.sig, PREFIX.2.sig …")
	fs.StringArrayVar(&o.signatures, "signature", nil, "add the detached signature in `FILE` to the bundle before it is verified")
	fs.StringVar(&o.Cgroup, "cgroup", "", "look only at tasks in the cgroup `PATH` or of the systemd unit of that name")
	fs.StringArrayVar(&o.limits, "limit", nil, "narrow a limit, as in `NAME=VALUE`: map_memory, runtime, output_rate, cpu")
	fs.BoolVar(&o.allowUnsigned, "allow-unsigned", false, "run a bundle that nobody has signed (root only)")
	fs.BoolVarP(&o.help, "help", "h", false, "show this help")
	fs.BoolVarP(&o.version, "version", "V", false, "show the version")
	if err := fs.Parse(args); err != nil {
		return nil, fs, err
	}
	if o.help || o.version {
		return o, fs, nil
	}
	modes := 0
	for _, m := range []bool{o.verify, o.inspect, o.dryRun, o.check, o.list, o.describe != "", o.export != ""} {
		if m {
			modes++
		}
	}
	rest := fs.Args()
	switch {
	case modes > 1:
		return nil, fs, errors.New("--verify, --inspect, --dry-run, --check, --list, --describe and --export-signature exclude each other")
	case (o.describe != "" || o.list) && len(rest) > 0:
		return nil, fs, errors.New("--describe and --list take no bundle")
	case o.describe == "" && !o.list && len(rest) == 0:
		return nil, fs, errors.New("a bundle must be given")
	case o.Command != "" && o.PID != 0:
		return nil, fs, errors.New("-c and -x exclude each other")
	case o.PID < 0:
		return nil, fs, fmt.Errorf("-x %d is no process", o.PID)
	case o.timeout < 0 || o.BufferMB < 0:
		return nil, fs, errors.New("a time or size must not be negative")
	case o.target != "" && !o.dryRun && !o.inspect:
		return nil, fs, errors.New("--target belongs to --dry-run and --inspect")
	}
	o.Timeout = time.Duration(o.timeout * float64(time.Second))
	if o.describe != "" || o.list {
		return o, fs, nil
	}
	if _, err := narrow(trust.Limits{}, o.limits); err != nil {
		return nil, fs, fmt.Errorf("--limit: %w", err)
	}
	o.bundle = rest[0]
	o.Globals = map[string]string{}
	for _, a := range rest[1:] {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, fs, fmt.Errorf("%q is no GLOBAL=VALUE", a)
		}
		o.Globals[name] = value
	}
	return o, fs, nil
}

// staprun is the command. It returns the exit status.
func staprun(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, fs, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %v (--help tells the options)\n", err)
		return exitUsage
	}
	switch {
	case o.help:
		fmt.Fprint(stdout, usage, fs.FlagUsages())
		return 0
	case o.version:
		fmt.Fprintf(stdout, "staprun: bundle format %d.%d, program format %d.%d\n", bundle.Major, bundle.Minor, ir.EncodingMajor, ir.EncodingMinor)
		return 0
	case o.describe != "":
		if err := describe(o.describe, stderr); err != nil {
			fmt.Fprintf(stderr, "staprun: %v\n", err)
			return exitFailed
		}
		return 0
	case o.list:
		return list(o, stdout, stderr)
	}
	var data []byte
	if o.installed {
		var path string
		if path, data, err = trust.ReadInstalled(trust.LoadOptions{}, o.bundle); err == nil {
			o.bundle = path
		}
	} else {
		data, err = readBundle(o.bundle)
	}
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %v\n", err)
		return exitFailed
	}
	for _, name := range o.signatures {
		if data, err = attachSignature(data, name); err != nil {
			// A signature that does not fit makes the bundle altered, as
			// one in the file would.
			v := trust.Verdict{Kind: trust.Altered, Reason: fmt.Sprintf("%s: %v", name, err)}
			newRecord(o, data, v).refused(v)
			fmt.Fprintf(stderr, "staprun: %s: %s [%s]\n", o.bundle, v, v.Kind.Code())
			return v.Kind.ExitCode()
		}
	}
	v := verify(data)
	if o.verify {
		return showVerdict(o, v, stdout, stderr)
	}
	if o.inspect {
		return inspect(o, v, stdout, stderr)
	}
	if o.export != "" {
		return export(o, v, stderr)
	}
	log := newRecord(o, data, v)
	refuse := func() int {
		log.refused(v)
		fmt.Fprintf(stderr, "staprun: %s: %s [%s]\n", o.bundle, v, v.Kind.Code())
		return v.Kind.ExitCode()
	}
	img, fits, err := image(v.Bundle, o.target)
	for _, f := range fits {
		if f.Chosen && o.Verbose > 0 {
			fmt.Fprintf(stderr, "staprun: %s: of %d programs in it, the one for %s\n", o.bundle, len(fits), f.Target)
		}
	}
	if o.dryRun {
		// Looking is allowed whoever made the bundle, if it is whole.
		if v.Bundle == nil {
			return refuse()
		}
		if err != nil {
			fmt.Fprintf(stderr, "staprun: %s: %v\n", o.bundle, err)
			return exitFailed
		}
		return dryRun(o, img, stdout, stderr)
	}
	switch {
	case v.Kind == trust.OK:
		if o.Verbose > 0 {
			fmt.Fprintf(stderr, "staprun: %s: signed by %s (%s, %s)\n", o.bundle, v.Principal, v.Key, v.Source)
		}
	case v.Kind == trust.Unsigned && o.allowUnsigned && os.Geteuid() == 0:
	case o.check:
	default:
		if v.Kind == trust.Unsigned && o.allowUnsigned {
			v.Reason = "--allow-unsigned is for root only"
		}
		return refuse()
	}
	if err != nil {
		fmt.Fprintf(stderr, "staprun: %s: %v\n", o.bundle, err)
		return exitFailed
	}
	v, limits, uses := permit(v, img)
	if o.check {
		return check(o, v, img, uses, limits, stdout, stderr)
	}
	if v.Kind != trust.OK && v.Kind != trust.Unsigned {
		return refuse()
	}
	// Read once already, so there is no error.
	limits, _ = narrow(limits, o.limits)
	apply(&o.Options, limits)
	o.AllowSystem = slices.Contains(uses.Rights, bundle.RightSystem)
	o.Stdout, o.Stderr, o.Signals = stdout, stderr, true
	o.Started = log.started
	status, err := loader.Run(ctx, img, o.Options)
	log.ended(status, err)
	if err != nil {
		var le *loader.Error
		if errors.As(err, &le) && le.ForKernel() {
			v = v.ForKernel(le.Error())
			return refuse()
		}
		fmt.Fprintf(stderr, "ERROR: %v\n", err)
		return exitFailed
	}
	return status
}

// readBundle reads a file once and whole: what is verified is what is run.
func readBundle(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, bundle.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > bundle.MaxSize {
		return nil, fmt.Errorf("%s: longer than the %d bytes that a bundle may have", name, bundle.MaxSize)
	}
	return data, nil
}

// attachSignature adds a detached signature to the bytes of a bundle.
func attachSignature(data []byte, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return data, err
	}
	defer f.Close()
	sig, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return data, err
	}
	out, err := bundle.Attach(data, sig)
	if err != nil {
		return data, err
	}
	return out, nil
}

func verify(data []byte) trust.Verdict {
	store, err := trust.Load(trust.LoadOptions{})
	if err != nil {
		return trust.Refuse(err)
	}
	return trust.Verify(data, store, time.Now())
}

// image takes out of a bundle, of which nothing is believed, the program for the
// kernel: the given description's, or the running one's.
func image(b *bundle.Bundle, desc string) (loader.Image, []loader.Fit, error) {
	if b == nil {
		return loader.Image{}, nil, errors.New("not a bundle")
	}
	list, err := b.Variants()
	if err != nil {
		return loader.Image{}, nil, err
	}
	if len(list) == 1 {
		img, err := loader.ImageOf(&list[0])
		return img, nil, err
	}
	open := target.Running
	if desc != "" {
		open = func() (*target.Target, error) { return target.Open(desc) }
	}
	tgt, err := open()
	if err != nil {
		return loader.Image{}, nil, err
	}
	img, fits, err := loader.Pick(list, tgt)
	return img, fits, errors.Join(err, tgt.Close())
}
