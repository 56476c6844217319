package tracefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const openat = `name: sys_enter_openat
ID: 782
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:int __syscall_nr;	offset:8;	size:4;	signed:1;
	field:const char * filename;	offset:24;	size:8;	signed:0;
	field:umode_t mode;	offset:40;	size:8;	signed:0;
	field:char comm[16];	offset:48;	size:16;	signed:0;
	field:__data_loc char[] name;	offset:64;	size:4;	signed:1;
	field:__rel_loc unsigned long[] ips;	offset:68;	size:4;	signed:0;
	field:u8 grid[2][3];	offset:72;	size:6;	signed:0;

print fmt: "filename: 0x%08lx", ((unsigned long)(REC->filename))
`

func TestParseFormat(t *testing.T) {
	e, err := ParseFormat([]byte(openat))
	if err != nil {
		t.Fatal(err)
	}
	if e.Event != "sys_enter_openat" || e.ID != 782 || len(e.Common) != 2 || !strings.HasPrefix(e.PrintFmt, `"filename:`) {
		t.Errorf("%+v", e)
	}
	var got []string
	for _, f := range e.Fields {
		s := fmt.Sprintf("%s|%s|%d|%d", f.Type, f.Name, f.Offset, f.Bytes)
		if rel, ok := f.Dynamic(); ok {
			s += fmt.Sprintf("|dynamic %v", rel)
		}
		got = append(got, s)
	}
	want := []string{
		"int|__syscall_nr|8|4",
		"const char *|filename|24|8",
		"umode_t|mode|40|8",
		"char[16]|comm|48|16",
		"__data_loc char[]|name|64|4|dynamic false",
		"__rel_loc unsigned long[]|ips|68|4|dynamic true",
		"u8[2][3]|grid|72|6",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestBadFormats(t *testing.T) {
	for _, text := range []string{"", "ID: 3\n", "name: a\nID: x\n", "name: a\n\tfield:;\toffset:0;\n", "name: a\n\tfield:int x;\toffset:z;\n"} {
		if _, err := ParseFormat([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// TestTree lists and reads events without available_events.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	ev := filepath.Join(dir, "events", "syscalls", "sys_enter_openat")
	if err := os.MkdirAll(ev, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(ev, "format"), []byte(openat), 0o644); err != nil {
		t.Fatal(err)
	}
	f := At(dir)
	names, err := f.Events()
	if err != nil || len(names) != 1 || names[0].String() != "syscalls:sys_enter_openat" {
		t.Fatalf("%v, %v", names, err)
	}
	if e, err := f.Format(names[0]); err != nil || e.Name != names[0] {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := f.Format(Name{"..", "x"}); err == nil {
		t.Error("left the events directory")
	}
}

// TestRunning reads every event of the running kernel.
func TestRunning(t *testing.T) {
	f, err := Open()
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	names, err := f.Events()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 300 {
		t.Errorf("only %d events", len(names))
	}
	walked, err := f.walk()
	if err != nil {
		t.Fatal(err)
	}
	// The directories also have events that cannot be enabled.
	dirs := map[Name]bool{}
	for _, n := range walked {
		dirs[n] = true
	}
	for _, n := range names {
		if !dirs[n] {
			t.Errorf("%v has no directory", n)
		}
		e, err := f.Format(n)
		if err != nil {
			t.Error(err)
			continue
		}
		if e.Event != n.Event || e.ID <= 0 || len(e.Common) == 0 {
			t.Errorf("%v: %+v", n, e)
		}
		for _, fd := range e.Fields {
			if fd.Type == "" {
				t.Errorf("%v: field without a type: %+v", n, fd)
			}
		}
	}
}

func FuzzParseFormat(f *testing.F) {
	f.Add(openat)
	f.Add("name: a\n\tfield:int x[;\toffset:1;\n")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseFormat([]byte(text))
		if (e == nil) == (err == nil) {
			t.Fatal("neither or both of result and error")
		}
	})
}
