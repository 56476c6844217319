package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"stapkit/diag"
	"stapkit/examples"
	"stapkit/ir"
	"stapkit/lsp"
	"stapkit/sema"
	"stapkit/syntax"
)

// exampleFolders are where SystemTap's own examples are installed.
var exampleFolders = []string{"/usr/share/systemtap/examples", "/usr/share/doc/systemtap/examples", "/usr/share/doc/systemtap-doc/examples"}

// listExamples is --example without a name.
func listExamples(w io.Writer) error {
	list, err := fs.Glob(examples.Files, "*.stp")
	if err != nil {
		return err
	}
	for _, name := range list {
		b, err := examples.Files.ReadFile(name)
		if err != nil {
			return err
		}
		about := ""
		for line := range strings.Lines(string(b)) {
			if text, ok := strings.CutPrefix(line, "# "+name+" - "); ok {
				about = strings.TrimSpace(text)
				break
			}
		}
		if _, err := fmt.Fprintf(w, "%-16s %s\n", strings.TrimSuffix(name, ".stp"), about); err != nil {
			return err
		}
	}
	return nil
}

// example is the script of a name that --example means: one of ours, else one of
// SystemTap's where these are installed.
func example(name string) (Script, error) {
	file := name
	if filepath.Ext(file) != ".stp" {
		file += ".stp"
	}
	if b, err := examples.Files.ReadFile(file); err == nil {
		return Script{Name: file, Text: b}, nil
	}
	for _, dir := range exampleFolders {
		found := ""
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (d.Name() == file || strings.HasSuffix(p, "/"+file)) {
				found = p
				return fs.SkipAll
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Script{}, err
		}
		if found != "" {
			b, err := os.ReadFile(found)
			return Script{Name: found, Text: b}, err
		}
	}
	return Script{}, fmt.Errorf("there is no example %s; stap --example lists those that there are", name)
}

// stream is standard input and output as one.
type stream struct {
	io.Reader
	io.Writer
}

func (stream) Close() error { return nil }

// languageServer is --language-server.
func (s *stap) languageServer(ctx context.Context) int {
	o := s.o
	opt := lsp.Options{Version: Release, Settings: lsp.Settings{Includes: o.TapsetDirs, Guru: o.Guru}}
	if len(o.Releases) > 0 {
		opt.Settings.Target = o.Releases[0]
	}
	if err := lsp.Serve(ctx, stream{s.stdin, s.stdout}, opt); err != nil && !errors.Is(err, io.EOF) {
		return s.fail(err)
	}
	return 0
}

// versionWarnings are --check-version: where the user's scripts ask for the version.
func (f *Frontend) versionWarnings() (out []diag.Diagnostic) {
	for _, sc := range f.Config.Scripts {
		opt := f.Config.options()
		opt.View = syntax.SourceView
		file := syntax.ParseFile(sc.Name, sc.Text, opt)
		for t := range file.Tokens {
			if t > 0 && file.Text(t) == "systemtap_v" && file.Tokens[t-1].Kind == syntax.PPOpen {
				out = append(out, diag.New(codeVersion, file.TokenRange(t), "this script is dependent on systemtap version"))
			}
		}
	}
	return out
}

// keepAll is -k: it writes what the passes made into a new directory.
func (s *stap) keepAll(c *Compiled, spec dumper, bundle []byte) error {
	dir, err := os.MkdirTemp(s.o.TempDir, "stap")
	if err != nil {
		return fmt.Errorf("-k: %w", err)
	}
	fmt.Fprintf(s.stderr, "Keeping temporary directory %q\n", dir)
	write := func(name string, content func(w io.Writer) error) {
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err = content(&b); err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644)
		}
	}
	for i, sc := range s.o.Scripts {
		name := "script.stp"
		if i > 0 {
			name = fmt.Sprintf("script%d.stp", i+1)
		}
		write(name, func(w io.Writer) error { _, err := w.Write(sc.Text); return err })
	}
	write("pass1.txt", func(w io.Writer) error { return syntax.DumpP1(w, s.f.Files...) })
	write("pass2.txt", func(w io.Writer) error {
		return sema.DumpP2(w, s.f.Program, sema.DumpOptions{Verbose: true, NoGlobalDisplay: s.o.NoGlobalDisplay})
	})
	write("pass3.txt", func(w io.Writer) error {
		if err := ir.Dump(w, c.Program); err != nil {
			return err
		}
		return spec(w)
	})
	write(c.Name+".o", func(w io.Writer) error { _, err := w.Write(bundle); return err })
	return err
}

// dumper writes what it stands for.
type dumper func(w io.Writer) error
