package profile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sample() *Stacks {
	f := func(addr uint64, name string) Frame {
		return Frame{Addr: addr, Func: name, Object: "/bin/x", Start: 0x1000, Limit: 0x9000, Build: "abcd"}
	}
	return &Stacks{
		Time: time.Unix(1000, 0), Length: time.Second,
		Samples: []Sample{
			{Frames: []Frame{f(0x1100, "leaf<int>"), f(0x1200, "mid"), f(0x1300, "main")}, Count: 3, Sum: 30},
			{Frames: []Frame{f(0x1201, "mid"), f(0x1300, "main")}, Count: 1, Sum: 500},
			{Frames: []Frame{{Addr: 0x77}, f(0x1300, "main")}, Count: 2, Labels: []Label{{"execname", "a;b"}}},
		},
	}
}

func TestFolded(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b, "x.folded"); err != nil {
		t.Fatal(err)
	}
	if want := "a:b;main;0x77 2\nmain;mid 1\nmain;mid;leaf<int> 3\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
}

// TestPprof has pprof itself read what is written.
func TestPprof(t *testing.T) {
	s := sample()
	s.Summed = true
	name := filepath.Join(t.TempDir(), "x.pb.gz")
	f, err := os.Create(name)
	if err == nil {
		err = errors.Join(s.Write(f, name), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ index, want string }{
		{"samples", "3 50.00% 50.00%          3 50.00%  leaf"},
		{"sum", "500units 94.34% 94.34%   530units   100%  mid"},
	} {
		out, err := exec.Command("go", "tool", "pprof", "-top", "-sample_index="+tt.index, name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if !strings.Contains(string(out), tt.want) {
			t.Errorf("no %q in\n%s", tt.want, out)
		}
	}
}

// TestFlameGraph: the picture is XML, with a box of the right width for each call.
func TestFlameGraph(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b, "x.svg"); err != nil {
		t.Fatal(err)
	}
	titles := map[string]bool{}
	d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	in := false
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			in = tok.Name.Local == "title"
		case xml.CharData:
			if in {
				titles[string(tok)] = true
			}
			in = false
		}
	}
	for _, want := range []string{"all: 6, 100.00 %", "main: 4, 66.67 %", "mid: 4, 66.67 %", "leaf<int>: 3, 50.00 %", "a:b: 2, 33.33 %", "0x77: 2, 33.33 %"} {
		if !titles[want] {
			t.Errorf("no box %q in %v", want, titles)
		}
	}
	// Nothing was counted: still a picture.
	if err := (&Stacks{}).Write(io.Discard, "y.svg"); err != nil {
		t.Error(err)
	}
}
