package results

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if s, err := Read(path); err != nil || len(s.Figures) != 0 {
		t.Fatalf("%v, %v", s, err)
	}
	s := &Set{Config: []string{"cpu: x"}}
	s.Add("A/b", 1.5, "ns/op")
	s.Add("A/c", math.NaN(), "ns/op")
	s.Add("A/d", 3, "B/s")
	s.Merge(&Set{Figures: []Figure{{"A/d", 4, "B/s"}, {"A/e", 5, "x"}}, Config: s.Config})
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Figures) != 3 || got.Get("A/b") != 1.5 || got.Get("A/d") != 4 || !math.IsNaN(got.Get("A/c")) || got.Config[0] != "cpu: x" {
		t.Errorf("%+v", got)
	}
	got.Merge(&Set{Config: []string{"cpu: y", "kernel: 1"}})
	if len(got.Config) != 2 || got.Setting("cpu") != "y" || got.Setting("kernel") != "1" || got.Setting("none") != "" {
		t.Errorf("%q", got.Config)
	}
	if err := os.WriteFile(path, []byte("BenchmarkX 1 y ns/op\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil {
		t.Error("a line without a number is taken")
	}
}

func TestSection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	want := func(text string) {
		t.Helper()
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Fatalf("%v\n%s", err, b)
		}
	}
	if err := os.WriteFile(path, []byte("# Top\n\nwords\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range [][2]string{{"A", "a"}, {"B", "b"}, {"A", "\nnew\n\n"}, {"B", "c"}} {
		if err := Section(path, s[0], s[1]); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(t.TempDir(), "new")
	if err := Section(other, "A", "a"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != head+"\n## A\n\na\n" {
		t.Errorf("%v\n%s", err, b)
	}
	want("# Top\n\nwords\n\n## A\n\nnew\n\n## B\n\nc\n")
}

func TestTable(t *testing.T) {
	tab := Table{Head: []string{"a", "b"}}
	tab.Row("x|y", Number(1.25, 1))
	tab.Row("z", Number(math.NaN(), 1))
	if got := tab.String(); got != "| a | b |\n|---|---:|\n| x\\|y | 1.2 |\n| z | – |\n" {
		t.Error(got)
	}
	if m := Median([]float64{3, 1, 2, 10}); m != 2.5 {
		t.Error(m)
	}
}
