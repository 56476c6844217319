//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"stapkit/bundle"
	"stapkit/bundle/trust"
	"stapkit/cli"
	"stapkit/diag"
	"stapkit/ir"
	loader "stapkit/runtime"
	"stapkit/target"
)

// Exit statuses besides those of a run and of the verdicts (see package trust).
const (
	exitFailed = 1 // the bundle cannot be read or run
	exitUsage  = 2
)

// begun is when this process began to do something of its own.
var begun = time.Now()

type options struct {
	loader.Options
	verify, inspect, json, dryRun bool
	check, list, installed        bool
	export                        string
	limits, signatures            []string
	describe, target              string
	allowUnsigned                 bool
	timeout                       float64
	rotate, pidFile, remove       string
	format, remote, remoteID      string
	color                         string
	gone                          []string // what options without a meaning have to say
	daemon                        bool
	bundle                        string
	given                         []string // the command line, for the log
}

func parse(args []string) (*options, error) {
	o := &options{given: args, color: "auto"}
	f := cli.Staprun.Flags()
	f.Count(&o.Verbose, "verbose")
	f.String(&o.Command, "cmd")
	f.Int(&o.PID, "pid")
	f.String(&o.Output, "output")
	f.String(&o.rotate, "rotate")
	f.Bool(&o.daemon, "daemon")
	f.String(&o.pidFile, "pid-file")
	f.Bool(&o.Leave, "leave")
	f.String(&o.Pin, "pin")
	f.String(&o.Attach, "attach")
	f.String(&o.remove, "remove")
	f.String(&o.format, "format")
	f.String(&o.RecordTo, "record")
	f.String(&o.Stacks, "stacks")
	f.String(&o.Socket, "socket")
	f.String(&o.remote, "remote")
	f.String(&o.remoteID, "remote-id")
	f.Int(&o.Namespaces, "target-namespaces")
	f.String(&o.color, "color")
	f.Int(&o.BufferMB, "buffer")
	f.Float(&o.timeout, "timeout")
	f.Bool(&o.Timing, "timing")
	f.Bool(&o.NoWarnings, "no-warnings")
	f.Bool(&o.SuppressErrors, "suppress-handler-errors")
	f.Bool(&o.NoGlobalDisplay, "no-global-var-display")
	f.Bool(&o.verify, "verify")
	f.Bool(&o.inspect, "inspect")
	f.Bool(&o.json, "json")
	f.Bool(&o.dryRun, "dry-run")
	f.String(&o.target, "target")
	f.String(&o.describe, "describe")
	f.Bool(&o.check, "check")
	f.Bool(&o.installed, "installed")
	f.Bool(&o.list, "list")
	f.String(&o.export, "export-signature")
	f.Strings(&o.signatures, "signature")
	f.String(&o.Cgroup, "cgroup")
	f.Strings(&o.limits, "limit")
	f.Bool(&o.allowUnsigned, "allow-unsigned")
	rest, err := f.Parse(args)
	if err != nil {
		return nil, err
	}
	if o.gone = f.Gone(); o.Verbose > 0 {
		o.gone = append(o.gone, f.Remarks()...)
	}
	modes := 0
	for _, m := range []bool{o.verify, o.inspect, o.dryRun, o.check, o.list, o.describe != "", o.export != "", o.remove != ""} {
		if m {
			modes++
		}
	}
	switch {
	case modes > 1:
		return nil, errors.New("--verify, --inspect, --dry-run, --check, --list, --describe, --export-signature and -d exclude each other")
	case (o.describe != "" || o.list || o.remove != "" || o.Attach != "") && len(rest) > 0:
		return nil, errors.New("--describe, --list, -A and -d take no bundle")
	case o.Attach != "" && (modes > 0 || o.Leave || o.Pin != "" || o.Command != "" || o.installed):
		return nil, errors.New("-A goes on with what is attached already; -c, -L, --pin, --installed and what runs nothing do not go with it")
	case (o.Leave || o.Pin != "") && o.Command != "":
		return nil, errors.New("-c ends with its command, so nothing can be left attached")
	case o.Leave && o.daemon:
		return nil, errors.New("-L and -D exclude each other: of -L nothing goes on in the background")
	case o.Output == "" && (o.rotate != "" || o.daemon):
		return nil, errors.New("-S and -D need an output file (-o FILE)")
	case o.RecordTo != "" && (o.format != "" || o.Stacks != "" || o.Output != ""):
		return nil, errors.New("--record writes what stap --replay prints; give --format, --stacks and -o to that")
	case o.pidFile != "" && !o.daemon:
		return nil, errors.New("--pid-file belongs to -D")
	case o.describe == "" && !o.list && o.remove == "" && o.Attach == "" && len(rest) == 0:
		return nil, errors.New("a bundle must be given")
	case o.Command != "" && o.PID != 0:
		return nil, errors.New("-c and -x exclude each other")
	case f.Changed("target-namespaces") && o.Namespaces <= 0:
		return nil, fmt.Errorf("-N %d is no process", o.Namespaces)
	case o.remote != "" && o.remoteID != "":
		return nil, errors.New("--remote and -r exclude each other")
	case o.PID < 0:
		return nil, fmt.Errorf("-x %d is no process", o.PID)
	case o.timeout < 0 || o.BufferMB < 0:
		return nil, errors.New("a time or size must not be negative")
	case o.target != "" && !o.dryRun && !o.inspect:
		return nil, errors.New("--target belongs to --dry-run and --inspect")
	}
	o.JSON = o.format == "json"
	if strings.TrimSpace(o.Socket) == "" && f.Changed("socket") {
		o.Socket = filepath.Join(runDir, strconv.Itoa(os.Getpid())+".sock")
	}
	if r := o.remote + o.remoteID; r != "" {
		number, uri, _ := strings.Cut(r, ":")
		if o.RemoteID, err = strconv.Atoi(number); err != nil || o.RemoteID < 0 {
			return nil, fmt.Errorf("%q is no number and address of a host: give N:URI", r)
		}
		o.Remote, o.RemoteURI = true, uri
	}
	o.Timeout = time.Duration(o.timeout * float64(time.Second))
	if o.describe != "" || o.list || o.remove != "" {
		return o, nil
	}
	if o.rotate != "" {
		if o.Rotation, err = loader.ParseRotation(o.rotate); err != nil {
			return nil, err
		}
	}
	if _, err := narrow(trust.Limits{}, o.limits); err != nil {
		return nil, fmt.Errorf("--limit: %w", err)
	}
	o.Globals = map[string]string{}
	if o.Attach != "" {
		o.bundle = o.Attach
		return o, nil
	}
	o.bundle = rest[0]
	for _, a := range rest[1:] {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is no GLOBAL=VALUE", a)
		}
		o.Globals[name] = value
	}
	return o, nil
}

// staprun is the command. It returns the exit status.
func staprun(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	// What the run itself has to say goes to stderr as it is.
	say := printableLines{stderr}
	o, err := parse(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.Staprun.Help())
		return 0
	case errors.Is(err, cli.ErrVersion):
		fmt.Fprintf(stdout, "staprun: bundle format %d.%d, program format %d.%d\n", bundle.Major, bundle.Minor, ir.EncodingMajor, ir.EncodingMinor)
		return 0
	case err != nil:
		fmt.Fprintf(say, "staprun: %v (--help tells the options)\n", err)
		return exitUsage
	case o.describe != "":
		if err := describe(o.describe, say); err != nil {
			fmt.Fprintf(say, "staprun: %v\n", err)
			return exitFailed
		}
		return 0
	case o.list:
		return list(o, stdout, say)
	case o.remove != "":
		if err := loader.RemoveLeft(o.remove); err != nil {
			fmt.Fprintf(say, "staprun: %v\n", err)
			return exitFailed
		}
		return 0
	}
	var colors diag.Colors
	if diag.WantColor(o.color, stderr) {
		colors, _ = diag.ParseColors(os.Getenv("SYSTEMTAP_COLORS"))
	}
	o.Mark = colors.Mark
	if !o.NoWarnings {
		for _, g := range o.gone {
			fmt.Fprint(say, "WARNING: "+g+"\n")
		}
	}
	var back *loader.Background
	if o.daemon {
		var pid, status int
		if back, pid, status, err = loader.Daemon(args, o.pidFile); err != nil {
			fmt.Fprintf(say, "staprun: %v\n", err)
			return exitFailed
		}
		if pid != 0 {
			fmt.Fprintln(stdout, pid)
		}
		if back == nil {
			return status
		}
		if o.pidFile != "" {
			o.Remove = append(o.Remove, o.pidFile)
		}
	}
	var watch *loader.Stopwatch
	if o.Verbose > 1 {
		watch = loader.NewStopwatch(begun)
		watch.Lap("options read")
	}
	service, err := loader.OpenService()
	if err != nil {
		fmt.Fprintf(say, "WARNING: %v\n", err)
	}
	var data []byte
	if o.Attach != "" {
		data, err = loader.LeftBundle(o.Attach)
	} else if o.installed {
		var path string
		path, data, err = trust.ReadInstalled(trust.LoadOptions{}, o.bundle)
		if path != "" {
			o.bundle = path
		}
		if errors.Is(err, trust.ErrUnsafe) {
			v := trust.Refuse(err)
			newRecord(o, nil, v).refused(v)
			return tell(say, o, v)
		}
	} else {
		data, err = readBundle(o.bundle)
	}
	if err != nil {
		fmt.Fprintf(say, "staprun: %v\n", err)
		return exitFailed
	}
	for _, name := range o.signatures {
		if data, err = attachSignature(data, name); err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				fmt.Fprintf(say, "staprun: %v\n", err)
				return exitFailed
			}
			// A signature that does not fit makes the bundle altered, as
			// one in the file would.
			v := trust.Verdict{Kind: trust.Altered, Reason: fmt.Sprintf("%s: %v", name, err)}
			newRecord(o, data, v).refused(v)
			return tell(say, o, v)
		}
	}
	v := verify(data)
	watch.Lap("verified")
	if o.verify {
		return showVerdict(o, v, stdout, say)
	}
	if o.inspect {
		return inspect(o, v, stdout, say)
	}
	if o.export != "" {
		return export(o, v, say)
	}
	log := newRecord(o, data, v)
	refuse := func() int {
		log.refused(v)
		return tell(say, o, v)
	}
	img, fits, err := image(v.Bundle, o.target)
	for _, f := range fits {
		if f.Chosen && o.Verbose > 0 {
			fmt.Fprintf(say, "staprun: %s: of %d programs in it, the one for %s\n", o.bundle, len(fits), f.Target)
		}
	}
	if o.dryRun {
		// Looking is allowed whoever made the bundle, if it is whole.
		if v.Bundle == nil {
			return refuse()
		}
		if err != nil {
			fmt.Fprintf(say, "staprun: %s: %v\n", o.bundle, err)
			return exitFailed
		}
		return dryRun(o, img, stdout, say)
	}
	switch {
	case v.Kind == trust.OK:
		if o.Verbose > 0 {
			fmt.Fprintf(say, "staprun: %s: signed by %s (%s, %s)\n", o.bundle, v.Principal, v.Key, v.Source)
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
		fmt.Fprintf(say, "staprun: %s: %v\n", o.bundle, err)
		return exitFailed
	}
	v, limits, uses := permit(v, img, o)
	if o.check {
		return check(o, v, img, uses, limits, stdout, say)
	}
	if v.Kind != trust.OK && v.Kind != trust.Unsigned {
		return refuse()
	}
	apply(&o.Options, limits)
	o.AllowSystem = slices.Contains(uses.Rights, bundle.RightSystem)
	o.Stdout, o.Stderr, o.Signals = stdout, stderr, true
	if o.Leave && o.Pin == "" {
		o.Pin = loader.LeftName(img.Program)
	}
	o.PinBundle = data
	o.Background = back != nil
	o.Started = func() {
		service.Tell("READY=1\nSTATUS=The probes are active.")
		back.Ready()
	}
	o.Stopping = func() { service.Tell("STOPPING=1") }
	o.Stopwatch = watch
	watch.Lap("permitted")
	o.Separate = loader.CanSeparate()
	o.Record = logOf
	if o.RecordData, err = json.Marshal(log); err != nil {
		fmt.Fprintf(say, "staprun: %v\n", err)
		return exitFailed
	}
	if o.remote != "" {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func() {
			// Whatever ends it: there is nobody any more who wants the run.
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	status, err := loader.Run(ctx, img, o.Options)
	if err != nil {
		var le *loader.Error
		if errors.As(err, &le) && le.ForKernel() {
			v = v.ForKernel(le.Error())
			return refuse()
		}
		fmt.Fprintf(say, "ERROR: %v\n", err)
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
	return readAll(f)
}

// readAll reads a byte more than a bundle may have, which makes it none (trust.Altered).
func readAll(f *os.File) ([]byte, error) {
	return io.ReadAll(io.LimitReader(f, bundle.MaxSize+1))
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
