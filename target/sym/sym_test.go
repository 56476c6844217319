package sym

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

const sample = `ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000010 T startup
ffffffff82000000 D init_task
ffffffffc0301000 t ovl_open	[overlay]
ffffffffc0201000 t ext4_open	[ext4]
ffffffffc0201040 t __pfx_read	[ext4]
ffffffffc0400000 t bpf_prog_6deef7357e7b4530_run	[bpf]
`

func parse(t *testing.T, text string) *Table {
	t.Helper()
	tab, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestLookup(t *testing.T) {
	tab := parse(t, sample)
	for _, c := range []struct {
		addr uint64
		want string
	}{
		{0xffffffff81000000, "_stext+0x0/0x10"},
		{0xffffffff81000003, "_stext+0x3/0x10"},
		{0xffffffff81000010, "startup+0x0/0xfffff0"},
		{0xffffffffc0201041, "__pfx_read+0x1/0xfffc0 [ext4]"},
		{0xffffffffc0301fff, "ovl_open+0xfff/0xff000 [overlay]"},
		{0xffffffffc0400020, "bpf_prog_6deef7357e7b4530_run+0x20/0x0 [bpf]"},
		{0xffffffffffffffff, ""},
		{0xffffffff80ffffff, ""},
		{0, ""},
	} {
		s, off, size, ok := tab.Lookup(c.addr)
		got := ""
		if ok {
			got = fmt.Sprintf("%s+%#x/%#x", s.Name, off, size)
			if s.Module != "" {
				got += " [" + s.Module + "]"
			}
		}
		if got != c.want {
			t.Errorf("%#x: %q, want %q", c.addr, got, c.want)
		}
	}
}

func TestByName(t *testing.T) {
	tab := parse(t, sample+"ffffffffc0301100 t ext4_open [overlay]\n")
	got := tab.ByName("ext4_open")
	if len(got) != 2 || got[0].Module != "ext4" || got[1].Module != "overlay" || !got[0].IsText() {
		t.Errorf("%+v", got)
	}
	if got := tab.ByName("nothing"); got != nil {
		t.Errorf("%+v", got)
	}
	var names []string
	tab.WithPrefix("ext4", func(s Symbol) bool { names = append(names, s.Name); return true })
	if len(names) != 2 {
		t.Errorf("%v", names)
	}
}

func TestHidden(t *testing.T) {
	tab := parse(t, "0000000000000000 T a\n0000000000000000 T b\n")
	if !tab.Hidden() || len(tab.ByName("b")) != 1 {
		t.Errorf("hidden %v", tab.Hidden())
	}
	if _, _, _, ok := tab.Lookup(0xffffffff81000000); ok {
		t.Error("named an address without addresses")
	}
}

func TestBadTables(t *testing.T) {
	for _, text := range []string{"x", "zz T a\n", "ffffffff81000000 T \n", "ffffffff81000000Ta\n", "ffffffff810000001 T a\n", "\n", "ffffffff81000000 T a\n\n"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestModules(t *testing.T) {
	got, err := ParseModules(strings.NewReader("ext4 999424 2 - Live 0xffffffffc0201000\ncrc16 16384 1 ext4, Loading 0x0000000000000000 (OE)\n"))
	if err != nil || len(got) != 2 || got[0] != (Module{"ext4", 999424, 0xffffffffc0201000, true}) || got[1].Live {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseModules(strings.NewReader("ext4 x 2 - Live 0x1\n")); err == nil {
		t.Error("a size that is no number was accepted")
	}
}

// TestRunning compares each symbol of the running kernel with its line.
func TestRunning(t *testing.T) {
	data, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Skip(err)
	}
	tab, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	n, same := 0, 0
	sc := bufio.NewScanner(strings.NewReader(string(data)))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		n++
		found := false
		for _, s := range tab.ByName(f[2]) {
			if fmt.Sprintf("%016x", s.Addr) == f[0] && string(s.Type) == f[1] {
				found = true
			}
		}
		if !found {
			t.Fatalf("not found: %s", sc.Text())
		}
		if tab.Hidden() {
			continue
		}
		var addr uint64
		fmt.Sscanf(f[0], "%x", &addr)
		if s, off, _, ok := tab.Lookup(addr); !ok || off != 0 {
			t.Fatalf("%s: looked up as %s+%#x", sc.Text(), s.Name, off)
		} else if s.Name == f[2] {
			same++
		}
	}
	if n != tab.Len() || n < 1000 {
		t.Errorf("%d symbols, the file has %d lines", tab.Len(), n)
	}
	if !tab.Hidden() && same < n*8/10 {
		t.Errorf("only %d of %d symbols are named as themselves", same, n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("0 T a")
	f.Add("ffffffff81000000 T a\tb [c]\n")
	f.Fuzz(func(t *testing.T, text string) {
		tab, err := Parse([]byte(text))
		if err != nil {
			return
		}
		for i := range tab.Len() {
			s := tab.At(i)
			if i > 0 && tab.At(i-1).Addr > s.Addr {
				t.Fatal("not sorted")
			}
			if len(tab.ByName(s.Name)) == 0 {
				t.Fatalf("%q is not found by name", s.Name)
			}
			if got, off, _, ok := tab.Lookup(s.Addr); !tab.Hidden() && (!ok || off != 0 || got.Addr != s.Addr) {
				t.Fatalf("%#x is looked up as %+v", s.Addr, got)
			}
		}
	})
}

func BenchmarkKallsyms(b *testing.B) {
	data, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
