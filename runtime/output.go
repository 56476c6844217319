package loader

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"stapkit/feed"
	"stapkit/ir"
	"stapkit/ir/interp"
)

// output is where a run prints: the script's text, and errors and warnings.
type output struct {
	mu     sync.Mutex
	out    *bufio.Writer
	err    io.Writer
	failed error // the first error of out; the run ends then
	total  atomic.Uint64
	// files are what out writes to; nil: the output is no file.
	files *outFiles

	// json: everything is a message of package feed.
	json bool
	// lines hears of what goes to standard error in place of it, nil: nobody.
	lines func(line string)
	// mark colours a line, nil: none.
	mark func(line string) string

	noWarnings bool
	everything bool // show repeated warnings too
	seen       map[string]bool
}

// maxWarnings is how many different warnings are remembered, to be shown once.
const maxWarnings = 1024

func newOutput(out, err io.Writer) *output {
	return &output{out: bufio.NewWriterSize(out, 64<<10), err: err, seen: map[string]bool{}}
}

// write appends to the script's output.
func (o *output) write(b []byte) {
	o.total.Add(uint64(len(b)))
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.out.Write(b); err != nil && o.failed == nil {
		o.failed = err
	}
}

// flush passes the output on, and returns the first error that there was.
func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.out.Flush(); err != nil && o.failed == nil {
		o.failed = err
	}
	return o.failed
}

// next goes on with the next output file; without files it does nothing.
func (o *output) next() error {
	if o.files == nil {
		return nil
	}
	if err := o.flush(); err != nil {
		return nil // the run ends with it
	}
	return o.files.Next()
}

// errorsTo has errors and warnings go elsewhere from now on.
func (o *output) errorsTo(w io.Writer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = w
}

// message writes a line to standard error, after what has been printed so far.
func (o *output) message(line string) {
	// An error is found again by the next flush, which the run watches.
	_ = o.flush()
	if o.lines != nil {
		o.lines(line)
	}
	switch {
	case o.json:
		line = jsonMessage(line)
	case o.mark != nil:
		line = o.mark(line)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	// Nothing can be said about an error of standard error.
	_, _ = io.WriteString(o.err, line)
}

// jsonMessage makes a message of a line.
func jsonMessage(line string) string {
	m := feed.Message{Type: feed.TypeMessage, Text: strings.TrimSuffix(line, "\n")}
	if text, ok := strings.CutPrefix(m.Text, "WARNING: "); ok {
		m.Type, m.Text = feed.TypeWarning, text
	} else if text, ok := strings.CutPrefix(m.Text, "ERROR: "); ok {
		m.Type, m.Text = feed.TypeError, text
	}
	b, err := feed.Append(nil, &m)
	if err != nil {
		return line
	}
	return string(b)
}

// failWith notes that the output cannot be written any more.
func (o *output) failWith(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = err
	}
}

// warn writes a warning, each text once.
func (o *output) warn(text string) {
	if o.noWarnings {
		return
	}
	line := "WARNING: " + strings.TrimSuffix(text, "\n") + "\n"
	o.mu.Lock()
	if !o.everything {
		if o.seen[line] {
			o.mu.Unlock()
			return
		}
		if len(o.seen) < maxWarnings {
			o.seen[line] = true
		}
	}
	o.mu.Unlock()
	o.message(line)
}

// scriptError is the line for an error that left a handler.
func scriptError(p *ir.Program, probe int, e *interp.Error) string {
	var b strings.Builder
	b.WriteString("ERROR: ")
	b.WriteString(ir.ErrText(e.Code, e.Arg, e.Detail))
	if e.Site > 0 && e.Site < len(p.Sites) {
		s := &p.Sites[e.Site]
		if s.Token != "" {
			b.WriteString(" near ")
			b.WriteString(s.Token)
		}
		fmt.Fprintf(&b, " at %s:%d:%d", s.File, s.Line, s.Col)
	}
	if probe >= 0 && probe < len(p.Probes) {
		b.WriteString(" in probe ")
		b.WriteString(p.Probes[probe].Point)
	}
	b.WriteByte('\n')
	return b.String()
}
