//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/driver"
	"stapkit/feed"
	"stapkit/internal/host"
)

// cc compiles a C program.
func cc(t *testing.T, dir, text string) string {
	t.Helper()
	tool, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("needs gcc")
	}
	src, exe := filepath.Join(dir, "spin.c"), filepath.Join(dir, "spin")
	if err := os.WriteFile(src, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "-g", "-O1", "-fno-inline", "-fno-omit-frame-pointer", "-Wl,--build-id", "-o", exe, src).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return exe
}

const spin = `#include <time.h>
volatile long n;
__attribute__((noipa)) void deepest(void) { for (long i = 0; i < 1000000; i++) n += i; }
__attribute__((noipa)) void middle(void) { deepest(); n++; }
int main(void) { time_t end = time(0) + 4; while (time(0) < end) middle(); return 0; }
`

// TestRecord records on a "host" whose program is stripped, and replays where the
// program's symbols are: names appear, in the text and in profiles.
func TestRecord(t *testing.T) {
	host.NeedBPF(t)
	dir := t.TempDir()
	exe := cc(t, dir, spin)
	full := filepath.Join(dir, "full")
	if err := os.Rename(exe, full); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("strip", "-o", exe, full).CombinedOutput(); err != nil {
		t.Skipf("strip: %v: %s", err, out)
	}
	file := save(t, bundleOf(t, `global stacks, seen, sizes
		probe timer.profile { if (execname() == "spin") { stacks[ubacktrace()]++; if (++seen == 8) { printf("first %s\n", execname()); print_ubacktrace() } } }
		probe end { sizes <<< 5; sizes <<< 9; print(@hist_log(sizes)); printf("end %d\n", seen > 0) }`))
	tape := filepath.Join(dir, "tape")
	out, err := plain(t, nil, "--record", tape, "-c", exe, file).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	replay := func(args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		if st := driver.Stap(context.Background(), append([]string{"--replay", tape}, args...), strings.NewReader(""), &out, &errOut); st != 0 || errOut.Len() > 0 {
			t.Fatalf("status %d, %s", st, errOut.String())
		}
		return out.String()
	}
	if text := replay(); strings.Contains(text, "deepest") || !strings.Contains(text, "first spin\n") || !strings.Contains(text, "\nend 1\n") {
		t.Errorf("without symbols:\n%s", text)
	}
	// The same program with its symbols: what a development machine has.
	if err := os.Rename(full, exe); err != nil {
		t.Fatal(err)
	}
	profile, folded := filepath.Join(dir, "p.pb.gz"), filepath.Join(dir, "p.folded")
	text := replay("--stacks", profile)
	at := []int{strings.Index(text, "first spin\n"), strings.Index(text, ": deepest+"), strings.Index(text, ": middle+"), strings.Index(text, ": main+"), strings.Index(text, "value |---"), strings.Index(text, "end 1\n")}
	for i := range at {
		if at[i] < 0 || i > 0 && at[i] < at[i-1] {
			t.Fatalf("part %d is missing, or not in its place, in\n%s", i, text)
		}
	}
	top, err := exec.Command("go", "tool", "pprof", "-top", "-cum", profile).CombinedOutput()
	if err != nil || !strings.Contains(string(top), " deepest\n") || !strings.Contains(string(top), " main\n") {
		t.Errorf("%v\n%s", err, top)
	}
	replay("--stacks", folded)
	if got := content(folded); !strings.Contains(got, "main;middle;deepest ") {
		t.Errorf("%s", got)
	}
	var first feed.Print
	if err := json.Unmarshal([]byte(strings.SplitN(replay("--format", "json"), "\n", 2)[0]), &first); err != nil || !strings.HasPrefix(first.Text, "first spin\n") || first.Values[0].Text != "spin" {
		t.Errorf("%v, %+v", err, first)
	}
}

// TestJSON holds each kind of output against its message.
func TestJSON(t *testing.T) {
	file := save(t, bundleOf(t, `global shown, list, sizes
		probe begin { printf("a %d %s\n", 5, "x"); printf("b\n"); shown = "text"; list["k", 3] <<< 7; list["k", 3] <<< 9; sizes <<< 1; sizes <<< 40
			warn("careful"); print(@hist_linear(sizes, 0, 20, 10)); exit() }`))
	cmd := plain(t, nil, "--format", "json", file)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errOut.String())
	}
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		delete(m, "time_ns")
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	want := []string{
		`{"probe":"begin","text":"a 5 x\nb\n","type":"print","values":[5,"x"]}`,
		`"hists":[{"buckets":[{"count":1,"high":9,"low":0},{"count":1,"high":null,"low":30}],"global":"sizes","kind":"linear"}]`,
		`{"elements":[{"value":"text"}],"kind":"string","name":"shown","type":"global"}`,
		`{"elements":[{"keys":["k",3],"stat":{"avg":8,"count":2,"max":9,"min":7,"sum":16}}],"keys":["string","long"],"kind":"stats","name":"list","type":"global"}`,
	}
	if len(got) != len(want) {
		t.Fatalf("%d messages:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%s\nwant %s", got[i], want[i])
		}
	}
	if want := `{"type":"warning","text":"careful"}` + "\n"; errOut.String() != want {
		t.Errorf("%s", errOut.String())
	}
}
