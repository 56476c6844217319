// Package rewrite is what the command stapfmt does with files: it formats several at once,
// and says what it found in the order of the names.
package rewrite

import (
	"errors"
	"fmt"
	"io"
	"runtime"

	"stapkit/diag"
	stapfmt "stapkit/fmt"
	"stapkit/syntax/files"
)

// Exit codes.
const (
	Clean   = 0 // nothing to do, or all done
	Changes = 1 // -l or -d found files that would change
	Failed  = 2 // a file was refused or could not be read or written; wrong usage
)

// Options say what to do.
type Options struct {
	// Paths are files and folders; "-" is the standard input. None means that as well.
	Paths []string
	// List prints the names of files that would change, Diff what would change. Either
	// makes the result Changes when there are any, unless Write is set.
	List, Diff bool
	// Write puts the result into the files. Without any of the three, the formatted text
	// is printed.
	Write bool
	// Partial formats what parses of a file with errors.
	Partial bool
	// ScriptsOnly passes over named files that are no SystemTap scripts, as it is always
	// done with those found in folders.
	ScriptsOnly bool

	// Stdin is read for "-"; StdinName is its name in messages, and tells where to look
	// for an .editorconfig.
	Stdin     io.Reader
	StdinName string
	// Stdout gets text, names and differences; Stderr diagnostics.
	Stdout, Stderr io.Writer
	// Color is set when Stdout is to be coloured, ErrColors are the colours of diagnostics.
	Color     bool
	ErrColors diag.Colors
	// Indent tells how a file is indented; nil means in the canonical way.
	Indent func(path string) (stapfmt.Indent, error)
	// Jobs is the number of files formatted at once; 0 means one for each processor.
	Jobs int
}

// job is one file on its way.
type job struct {
	name   string        // as printed
	src    *files.Source // nil for the standard input and for failures
	err    error         // what went wrong so far
	listed bool          // found in a folder: it may be no script

	text  []byte // of the file
	res   *stapfmt.Result
	other bool // no SystemTap script
	wrote bool
}

// Run does it and returns the exit code.
func Run(opt Options) int {
	if opt.Jobs <= 0 {
		opt.Jobs = runtime.GOMAXPROCS(0)
	}
	if len(opt.Paths) == 0 {
		opt.Paths = []string{"-"}
	}
	r := report{opt: &opt}
	files.Each(opt.Paths, opt.StdinName, opt.Jobs, func(f files.Found) *job { return &job{name: f.Name, src: f.Source, err: f.Err, listed: f.Listed} }, opt.work, r.job)
	return r.end()
}

// work reads, formats and writes one file.
func (o *Options) work(j *job) {
	if j.err != nil {
		return
	}
	switch {
	case j.src == nil && o.Write:
		j.err = errors.New("the standard input cannot be written back")
		return
	case j.src == nil:
		j.text, j.err = files.ReadAll(o.Stdin)
	default:
		defer j.src.Close()
		var skip bool
		j.text, skip, j.err = j.src.Read(j.listed || o.ScriptsOnly)
		if skip {
			j.other = true
			return
		}
	}
	if j.err != nil {
		return
	}
	opt := stapfmt.Options{Partial: o.Partial}
	if o.Indent != nil && j.name != files.Stdin {
		if opt.Indent, j.err = o.Indent(j.name); j.err != nil {
			return
		}
	}
	j.res, j.err = stapfmt.Format(j.name, j.text, opt)
	var syn *stapfmt.SyntaxError
	if skippable := j.listed || o.ScriptsOnly; skippable && (errors.As(j.err, &syn) || j.err == nil && j.res.Left > 0) && !files.IsScript(j.text) {
		j.other = true
		return
	}
	if j.err != nil || !j.res.Changed || !o.Write {
		return
	}
	if j.err = j.src.Write(j.res.Text); j.err == nil {
		j.wrote = true
	}
}

// report prints what became of the files, in order.
type report struct {
	opt     *Options
	failed  bool
	changes bool
	others  int
	broken  error // the standard output cannot be written
}

func (r *report) print(b []byte) {
	if r.broken == nil {
		_, r.broken = r.opt.Stdout.Write(b)
	}
}

func (r *report) job(j *job) {
	o := r.opt
	switch {
	case j.other:
		r.others++
		return
	case j.err != nil:
		r.failed = true
		r.failure(j)
		return
	}
	if j.res.Left > 0 {
		fmt.Fprintf(o.Stderr, "%s: %s not formatted because of syntax errors\n", j.name, count(j.res.Left, "declaration"))
	}
	if !o.List && !o.Diff && !o.Write {
		r.print(j.res.Text)
		return
	}
	if !j.res.Changed {
		return
	}
	r.changes = true
	if o.List {
		r.print([]byte(j.name + "\n"))
	}
	if o.Diff {
		r.print(files.Diff(j.name, j.text, j.res.Text, o.Color))
	}
}

// failure prints why a file was not formatted.
func (r *report) failure(j *job) {
	o := r.opt
	var syn *stapfmt.SyntaxError
	var bug *stapfmt.Bug
	switch {
	case errors.As(j.err, &syn):
		var errs []diag.Diagnostic
		for _, d := range syn.Diags {
			if d.Severity == diag.Error {
				errs = append(errs, d)
			}
		}
		if err := diag.Text(o.Stderr, errs, diag.MapSources{j.name: j.text}, diag.TextOptions{Colors: o.ErrColors}); err != nil {
			r.broken = errors.Join(r.broken, err)
		}
	case errors.As(j.err, &bug):
		fmt.Fprintf(o.Stderr, "%v\nstapfmt: please report this, with the file\n", bug)
	default:
		fmt.Fprintf(o.Stderr, "stapfmt: %v\n", j.err)
	}
}

// end sums up.
func (r *report) end() int {
	if r.others > 0 {
		verb := "are no SystemTap scripts"
		if r.others == 1 {
			verb = "is no SystemTap script"
		}
		fmt.Fprintf(r.opt.Stderr, "stapfmt: skipped %s that %s\n", count(r.others, "file"), verb)
	}
	if r.broken != nil {
		fmt.Fprintf(r.opt.Stderr, "stapfmt: %v\n", r.broken)
		return Failed
	}
	switch {
	case r.failed:
		return Failed
	case r.changes && !r.opt.Write:
		return Changes
	}
	return Clean
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
