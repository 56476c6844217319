package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rotation says when the output goes on in another file, and how many are kept.
type Rotation struct {
	// Size is how many bytes a file may have; 0: the output stays in one file.
	Size int64
	// Keep is how many files there may be, of which the oldest is removed first;
	// 0: all stay.
	Keep int
}

// ParseRotation reads -S SIZE[,N]: the size in MiB.
func ParseRotation(text string) (Rotation, error) {
	size, keep, two := strings.Cut(text, ",")
	mb, err := strconv.ParseInt(size, 10, 32)
	if err != nil || mb < 1 {
		return Rotation{}, fmt.Errorf("-S %s: give the size of a file in MB, and perhaps how many files are kept, as in 10,5", text)
	}
	r := Rotation{Size: mb << 20}
	if two {
		if r.Keep, err = strconv.Atoi(keep); err != nil || r.Keep < 1 {
			return Rotation{}, fmt.Errorf("-S %s: %q is not how many files are kept", text, keep)
		}
	}
	return r, nil
}

// fileMaker makes and removes files of output (see rights).
type fileMaker interface {
	output(n int) (*os.File, error)
	remove(path string) error
}

// outFiles is the output of a run in one file after another. Without rotation the
// first has the name as it is given, and those that a script or SIGUSR2 switches to
// have .1, .2 and so on behind it; with rotation they begin with .0, as SystemTap
// numbers them. The time of strftime's conversions is that at which the file is begun.
type outFiles struct {
	rotate Rotation
	rights fileMaker

	mu    sync.Mutex
	f     *os.File
	size  int64
	n     int
	names []string // of those that are there, oldest first
}

// openOutFiles begins with the first file of the output that rights have been told of.
func openOutFiles(r Rotation, rights fileMaker) (*outFiles, error) {
	o := &outFiles{rotate: r, n: -1, rights: rights}
	if err := o.next(); err != nil {
		return nil, fmt.Errorf("output file: %w", err)
	}
	return o, nil
}

// outputName is the name of a file of output: of the first one the pattern's, unless all are
// numbered.
func outputName(pattern string, numbered bool, n int) string {
	name := strftime(pattern, time.Now())
	if n > 0 || numbered {
		name = fmt.Sprintf("%s.%d", name, n)
	}
	return name
}

// OpenOutput opens the file that takes a run's output, as Options.Output does.
func OpenOutput(pattern string, r Rotation) (io.WriteCloser, error) {
	return openOutFiles(r, ownFiles{pattern, r.Size > 0})
}

// ownFiles makes files with the rights of this process.
type ownFiles struct {
	pattern  string
	numbered bool
}

func (o ownFiles) output(n int) (*os.File, error) {
	return os.OpenFile(outputName(o.pattern, o.numbered, n), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (o ownFiles) remove(path string) error { return os.Remove(path) }

// Next goes on with the next file.
func (o *outFiles) Next() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next()
}

func (o *outFiles) next() error {
	f, err := o.rights.output(o.n + 1)
	if err != nil {
		return err // the present one stays
	}
	old := o.f
	o.f, o.size, o.n = f, 0, o.n+1
	o.names = append(o.names, f.Name())
	if old != nil {
		err = old.Close()
	}
	for o.rotate.Keep > 0 && len(o.names) > o.rotate.Keep {
		// Somebody may have moved it away.
		if rerr := o.rights.remove(o.names[0]); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		o.names = o.names[1:]
	}
	return err
}

// Write writes to the present file, and to further ones where it would grow beyond
// its size: at ends of lines, so that a line is longer than that before it is cut.
func (o *outFiles) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	done := 0
	for done < len(b) {
		part := b[done:]
		if room := o.rotate.Size - o.size; o.rotate.Size > 0 && int64(len(part)) > room {
			cut := bytes.LastIndexByte(part[:max(room, 0)], '\n') + 1
			if cut == 0 && o.size == 0 {
				if cut = bytes.IndexByte(part, '\n') + 1; cut == 0 {
					cut = len(part)
				}
			}
			part = part[:cut]
			if cut == 0 {
				if err := o.next(); err != nil {
					return done, err
				}
				continue
			}
		}
		n, err := o.f.Write(part)
		done, o.size = done+n, o.size+int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// File is the present file.
func (o *outFiles) File() *os.File {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.f
}

func (o *outFiles) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.f.Close(); err != nil {
		return fmt.Errorf("output file: %w", err)
	}
	return nil
}
