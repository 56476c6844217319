package debuginfod

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stapkit/target/dwarf"
	"stapkit/target/elf"
)

// TestFetch strips a program and finds its debugging information on a server.
func TestFetch(t *testing.T) {
	for _, tool := range []string{"gcc", "objcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	t.Setenv("STAPKIT_CACHE", t.TempDir())
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.c"), []byte("int served(int n) { return n; } int main(void) { return served(1); }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"gcc", "-g", "-Wl,--build-id", "-o", "p", "p.c"}, {"objcopy", "--only-keep-debug", "p", "p.debug"}, {"objcopy", "--strip-debug", "p"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	f, err := elf.Open(filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	asked, serve := 0, "p.debug"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path != "/buildid/"+f.BuildID+"/debuginfo" || serve == "" {
			http.NotFound(w, r)
			return
		}
		http.ServeFile(w, r, filepath.Join(dir, serve))
	}))
	defer srv.Close()
	search := func() *elf.Search {
		c := &Client{URLs: []string{"http://127.0.0.1:1", srv.URL}, Timeout: 10 * time.Second}
		return &elf.Search{Debug: []string{}, Fetch: c.Fetch}
	}

	serve = ""
	s := search()
	for range 2 {
		if _, err := dwarf.Load(f, s); !errors.Is(err, dwarf.ErrNoDebug) && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the server has nothing: %v", err)
		}
	}
	if asked != 1 {
		t.Errorf("the server was asked %d times for what it does not have", asked)
	}
	serve = "p.c"
	if _, err := search().Fetch(f.BuildID); err == nil || !strings.Contains(err.Error(), "no debug file") {
		t.Errorf("something else was taken: %v", err)
	}
	serve = "p.debug"
	for range 2 {
		d, err := dwarf.Load(f, search())
		if err != nil {
			t.Fatal(err)
		}
		if is := d.Lookup("served"); len(is) != 1 || is[0].Decl.Line != 1 {
			t.Errorf("%v", is)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if asked != 3 {
		t.Errorf("the server was asked %d times; what is there is not asked for again", asked)
	}
	for _, id := range []string{"", "../../etc", "zz"} {
		if _, err := search().Fetch(id); err == nil {
			t.Errorf("build-id %q is taken", id)
		}
	}
}
