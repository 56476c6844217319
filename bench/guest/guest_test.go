//go:build linux

package main

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stapkit/bench/results"
	"stapkit/internal/guest"
)

// top makes the repository's top the working directory, where the programs' sources are.
func top(t *testing.T) {
	t.Helper()
	t.Chdir("../..")
}

// needGuest skips a test where there are no guests.
func needGuest(t *testing.T, kernel string) {
	t.Helper()
	_, err := guest.Find(kernel)
	if err == nil {
		_, err = guest.Emulator()
	}
	var absent *guest.MissingError
	if errors.As(err, &absent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestComparable tells that figures of another emulator or kernel are not held against
// what is measured here.
func TestComparable(t *testing.T) {
	kernel := guest.Suites[0].Kernel
	needGuest(t, kernel)
	k, err := guest.Find(kernel)
	if err != nil {
		t.Fatal(err)
	}
	on, err := settings(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	var committed results.Set
	for what, v := range on {
		committed.Config = append(committed.Config, what+": "+v)
	}
	if err := comparableTo(kernel, &committed); err != nil || len(on) != 2 {
		t.Errorf("the same is not comparable: %v, %q", err, committed.Config)
	}
	committed.Merge(&results.Set{Config: []string{"linux-" + kernel + ": 6.1.0-0"}})
	var other *OtherError
	if err := comparableTo(kernel, &committed); !errors.As(err, &other) || other.What != "linux-"+kernel || other.Now != k.Release {
		t.Errorf("another kernel's figures: %v", err)
	}
}

// TestCosts holds what hits of probes cost now against the committed figures: instructions
// do not depend on how busy the machine is.
func TestCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute or two")
	}
	top(t)
	kernel := guest.Suites[0].Kernel
	needGuest(t, kernel)
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	committed, err := results.Read(figuresFile)
	if err != nil {
		t.Fatal(err)
	}
	err = checkAll(kernel, committed, os.Stderr)
	if other := new(OtherError); errors.As(err, &other) {
		t.Skip(err)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestCompare(t *testing.T) {
	list := []row{{name: "a"}, {name: "b"}, {name: "c"}}
	var then, now results.Set
	for _, n := range []string{"a", "b"} {
		then.Add(figure("k", n, "stapkit"), 100, "insn/hit")
	}
	now.Add(figure("k", "a", "stapkit"), 105.5, "insn/hit")
	now.Add(figure("k", "b", "stapkit"), 107, "insn/hit")
	err := compare("k", list, &now, &then)
	if err == nil || strings.Contains(err.Error(), "/a/") || !strings.Contains(err.Error(), "/b/tool=stapkit: 107 instructions per hit, 100 before") || !strings.Contains(err.Error(), "/c/tool=stapkit: not measured") {
		t.Error(err)
	}
	now.Add(figure("k", "c", "stapkit"), 1, "insn/hit")
	if err := compare("k", list[2:], &now, &then); err == nil || !strings.Contains(err.Error(), "no committed figure") {
		t.Error(err)
	}
}

func TestOver(t *testing.T) {
	r := &row{}
	for _, tt := range []struct {
		ours, raw, bpftrace, stap float64
		want                      string
	}{
		{125, 100, 200, 300, ""},
		{130, 100, 200, 300, "5"},
		{1120, 1000, none, none, "20"},
		{210, 200, 200, 205, "bpftrace, SystemTap"},
		{100, none, none, none, ""},
	} {
		if got := over(r, tt.ours, tt.raw, tt.bpftrace, tt.stap); got != tt.want {
			t.Errorf("%v: %q", tt, got)
		}
	}
	if got := over(&row{lost: true}, 300, 300, math.NaN(), 200); got != "" {
		t.Error(got)
	}
}
