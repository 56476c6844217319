package bundle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Uses is what a bundle needs of a host beside its kernel: what a policy can permit
// or refuse. The compiler writes it into the manifest for people to read; the loader
// derives it again from the instructions, and a manifest that says less is a lie.
type Uses struct {
	// Carriers are the kinds of attachments: "raw_tp", "kprobe", "loader" …
	Carriers []string
	// Helpers are the kernel's helper functions that the programs call, and
	// Kfuncs its other functions, by name.
	Helpers, Kfuncs []string
	// Rights are what the script does beyond watching, see the Right constants.
	Rights []string
	// MapBytes is the memory of the maps, and MapBytesPerCPU what comes to it for
	// each CPU. Both are estimates from the sizes of keys and values.
	MapBytes, MapBytesPerCPU int64
	// Programs is how many programs the object has, Instructions how long they
	// are in all.
	Programs, Instructions int64
}

// The rights that a policy has to name before they are granted.
const (
	RightSignal   = "signal"   // sends signals to the process that it runs in
	RightOverride = "override" // makes kernel functions return what it likes
	RightWrite    = "write"    // writes into the memory of processes
	RightVerdict  = "verdict"  // drops packets or denies operations
	RightSystem   = "system"   // has commands run on the host
)

// Rights lists all rights.
func Rights() []string {
	return []string{RightOverride, RightSignal, RightSystem, RightVerdict, RightWrite}
}

// useFields names the manifest's lines. They are sorted.
const (
	fieldCarriers = "x-use-carriers"
	fieldHelpers  = "x-use-helpers"
	fieldKfuncs   = "x-use-kfuncs"
	fieldMaps     = "x-use-maps"
	fieldPrograms = "x-use-programs"
	fieldRights   = "x-use-rights"
)

// Fields returns the lines for a manifest.
func (u *Uses) Fields() []Field {
	list := func(name string, items []string) Field { return Field{name, strings.Join(items, " ")} }
	return []Field{
		list(fieldCarriers, u.Carriers),
		list(fieldHelpers, u.Helpers),
		list(fieldKfuncs, u.Kfuncs),
		{fieldMaps, fmt.Sprintf("%d %d", u.MapBytes, u.MapBytesPerCPU)},
		{fieldPrograms, fmt.Sprintf("%d %d", u.Programs, u.Instructions)},
		list(fieldRights, u.Rights),
	}
}

// Uses reads what the manifest says of itself. It is false where it says nothing.
func (m *Manifest) Uses() (Uses, bool, error) {
	var u Uses
	found := 0
	for _, f := range m.Fields {
		var err error
		switch f.Name {
		case fieldCarriers:
			u.Carriers = strings.Fields(f.Value)
		case fieldHelpers:
			u.Helpers = strings.Fields(f.Value)
		case fieldKfuncs:
			u.Kfuncs = strings.Fields(f.Value)
		case fieldRights:
			u.Rights = strings.Fields(f.Value)
		case fieldMaps:
			u.MapBytes, u.MapBytesPerCPU, err = twoNumbers(f.Value)
		case fieldPrograms:
			u.Programs, u.Instructions, err = twoNumbers(f.Value)
		default:
			continue
		}
		if err != nil {
			return u, false, fmt.Errorf("bundle: manifest field %s: %w", f.Name, err)
		}
		found++
	}
	if found != 0 && found != len(u.Fields()) {
		return u, false, fmt.Errorf("bundle: the manifest has %d of the %d lines on what is used", found, len(u.Fields()))
	}
	return u, found != 0, nil
}

func twoNumbers(s string) (a, b int64, err error) {
	first, second, _ := strings.Cut(s, " ")
	if a, err = strconv.ParseInt(first, 10, 64); err != nil {
		return 0, 0, err
	}
	b, err = strconv.ParseInt(second, 10, 64)
	return a, b, err
}

// Understates says what of real the claim u leaves out, "" if nothing.
func (u *Uses) Understates(real *Uses) string {
	for _, l := range []struct {
		what        string
		claim, real []string
	}{
		{"carrier", u.Carriers, real.Carriers},
		{"helper", u.Helpers, real.Helpers},
		{"kernel function", u.Kfuncs, real.Kfuncs},
		{"right", u.Rights, real.Rights},
	} {
		for _, x := range l.real {
			if !slices.Contains(l.claim, x) {
				return l.what + " " + x
			}
		}
	}
	for _, n := range []struct {
		what        string
		claim, real int64
	}{
		{"bytes of maps", u.MapBytes, real.MapBytes},
		{"bytes of maps for each CPU", u.MapBytesPerCPU, real.MapBytesPerCPU},
		{"programs", u.Programs, real.Programs},
		{"instructions", u.Instructions, real.Instructions},
	} {
		if n.claim < n.real {
			return fmt.Sprintf("%d %s, of which it tells %d", n.real, n.what, n.claim)
		}
	}
	return ""
}
