package lsp

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"stapkit/internal/minikernel"
	"stapkit/lint"
	"stapkit/lint/registry"
	"stapkit/query"
	"stapkit/syntax"
	"stapkit/target"
)

// TestTogether asks many questions of the same snapshots at once, and lints them
// meanwhile.
func TestTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmlinux")
	if err := minikernel.Write(path); err != nil {
		t.Fatal(err)
	}
	text := []byte(`global reads
function twice(n) { return n * 2 }
probe mine = kernel.function("vfs_read") { bytes = $count }
probe mine, kernel.function("vfs_*"), syscall.openat {
	reads[execname()] <<< twice(1)
	f = @cast(task_current(), "task_struct")
	println(f->comm, @defined($file->f_pos) ? $file->f_pos : 0, $$parms)
}
probe kernel.function("vfs_read").return { println($return, @entry($count)) }
probe end { foreach (k in reads-) printf("%s %d\n", k, @count(reads[k])) }
`)
	for round := range 3 {
		tg, err := target.FromBTF(path)
		if err != nil {
			t.Fatal(err)
		}
		env, err := query.Open(query.Config{Target: tg})
		if err != nil {
			t.Fatal(err)
		}
		shared := env.Snapshot("a.stp", text)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				rnd := rand.New(rand.NewPCG(uint64(round), uint64(w)))
				s := shared
				for i := range 12 {
					if i%4 == 3 { // as after an edit
						s = env.Snapshot("a.stp", text[:rnd.IntN(len(text))])
					}
					off := rnd.IntN(len(s.Text) + 1)
					switch rnd.IntN(6) {
					case 0:
						s.Hover(off)
					case 1:
						s.Complete(context.Background(), off)
					case 2:
						s.Hints(0, len(s.Text))
						s.Lenses()
					case 3:
						p := s.Program()
						if _, err := lint.Run(&lint.Script{Program: p, Files: []*syntax.File{s.File}, Target: tg}, registry.All(), lint.Settings{}); err != nil {
							t.Error(err)
						}
					case 4:
						s.Definitions(off)
						s.Actions(off, off, s.Diagnostics())
						s.Signatures(off)
					case 5:
						s.Tokens(0, len(s.Text))
						s.Outlines()
						if y := s.SymbolAt(off); y != nil {
							s.Occurrences(y)
						}
					}
					if s.Program(); s.Panic != "" {
						t.Error(s.Panic)
					}
				}
			}()
		}
		wg.Wait()
		if err := env.Close(); err != nil {
			t.Error(err)
		}
		if err := tg.Close(); err != nil {
			t.Error(err)
		}
	}
}
