package lsp

import (
	"context"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/internal/minikernel"
	"stapkit/lint"
	"stapkit/lint/registry"
	"stapkit/query"
	"stapkit/syntax"
	"stapkit/target"
)

// BenchmarkKey does what one key in a script of 3,000 lines makes the server do:
// completion, hover, diagnostics.
func BenchmarkKey(b *testing.B) {
	path := b.TempDir() + "/vmlinux"
	if err := minikernel.Write(path); err != nil {
		b.Fatal(err)
	}
	tg, err := target.FromBTF(path)
	if err != nil {
		b.Fatal(err)
	}
	defer tg.Close()
	env, err := query.Open(query.Config{Target: tg})
	if err != nil {
		b.Fatal(err)
	}
	defer env.Close()
	env.Warm()
	text := corpus.Long(3000)
	at := strings.Index(text[len(text)/2:], "probe kernel.function(") + len(text)/2
	at += strings.IndexByte(text[at:], '\n') + 1
	typed := "\tif ($count > 10) {\n\t\tname = execname()\n"
	for i := 0; b.Loop(); i++ {
		n := i%len(typed) + 1
		s := env.Snapshot("/a.stp", []byte(text[:at]+typed[:n]+text[at:]))
		s.Complete(context.Background(), at+n)
		s.Hover(at + n - 1)
		res, err := lint.Run(&lint.Script{Program: s.Program(), Files: []*syntax.File{s.File}, Target: tg}, registry.All(), lint.Settings{})
		if err != nil {
			b.Fatal(err)
		}
		_ = res
	}
}
