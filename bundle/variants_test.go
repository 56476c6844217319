package bundle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"stapkit/bundle"
	"stapkit/compile/object"
)

// TestVariants: what the list and the objects of a bundle's variants say of each other
// is believed only if it is what the compiler writes.
func TestVariants(t *testing.T) {
	other := makeObject(t, nil)
	section := func(name, text string) object.Section { return object.Section{Name: name, Data: []byte(text)} }
	first := section(bundle.VariantSection(1), string(other))
	many := []object.Section{section(bundle.VariantsSection, strings.Repeat("k\n", 65))}
	for i := range 64 {
		many = append(many, section(bundle.VariantSection(i+1), string(other)))
	}
	for _, tt := range []struct {
		name     string
		sections []object.Section
		bad      string // part of the reason, "" if it is good
		n        int
	}{
		{"none", nil, "", 1},
		{"two", []object.Section{first, section(bundle.VariantsSection, "6.1\n6.12\n")}, "", 2},
		{"two of one name", []object.Section{first, section(bundle.VariantsSection, "6.1\n6.1\n")}, "", 2},
		{"a list of one", []object.Section{first, section(bundle.VariantsSection, "6.1\n")}, "1 variants", 0},
		{"an empty list", []object.Section{first, section(bundle.VariantsSection, "\n")}, "1 variants", 0},
		{"too many", many, "65 variants", 0},
		{"no object", []object.Section{section(bundle.VariantsSection, "6.1\n6.12\n")}, "no object for variant 1", 0},
		{"one object too few", []object.Section{first, section(bundle.VariantsSection, "6.1\n6.12\n6.18\n")}, "no object for variant 2", 0},
		{"no list", []object.Section{first}, "not in the list", 0},
		{"one object too many", []object.Section{first, section(bundle.VariantSection(2), string(other)), section(bundle.VariantsSection, "6.1\n6.12\n")}, "not in the list", 0},
		{"a number of another form", []object.Section{first, section(".stap.variant.01", string(other)), section(bundle.VariantsSection, "6.1\n6.12\n")}, "not in the list", 0},
		{"no end of the list", []object.Section{first, section(bundle.VariantsSection, "6.1\n6.12")}, "list of variants", 0},
		{"a target without a name", []object.Section{first, section(bundle.VariantsSection, "6.1\n\n")}, "list of variants", 0},
		{"kernels", []object.Section{first, section(bundle.VariantsSection, "6.1\n6.12\n"), section(bundle.KernelsSection, "0 release 6.1\n1 types ab\n1 release 6.12\n")}, "", 2},
		{"kernels of a variant that is none", []object.Section{first, section(bundle.VariantsSection, "6.1\n6.12\n"), section(bundle.KernelsSection, "2 release 6.1\n")}, "a kernel of the variants", 0},
		{"kernels of no name", []object.Section{first, section(bundle.VariantsSection, "6.1\n6.12\n"), section(bundle.KernelsSection, "1 release \n")}, "a kernel of the variants", 0},
		{"kernels by something else", []object.Section{first, section(bundle.VariantsSection, "6.1\n6.12\n"), section(bundle.KernelsSection, "1 height 3\n")}, "a kernel of the variants", 0},
		{"an object that is none", []object.Section{section(bundle.VariantSection(1), "\x7fELF"), section(bundle.VariantsSection, "6.1\n6.12\n")}, "variant 1", 0},
		{"an object that is cut off", []object.Section{section(bundle.VariantSection(1), string(other[:len(other)-1])), section(bundle.VariantsSection, "6.1\n6.12\n")}, "variant 1", 0},
		{"an object with something behind", []object.Section{section(bundle.VariantSection(1), string(other)+"x"), section(bundle.VariantsSection, "6.1\n6.12\n")}, "variant 1", 0},
		{"variants in a variant", []object.Section{
			section(bundle.VariantSection(1), string(makeObject(t, []object.Section{first, section(bundle.VariantsSection, "6.1\n6.12\n")}))),
			section(bundle.VariantsSection, "6.1\n6.12\n"),
		}, "variants of its own", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := bundle.Write(makeObject(t, tt.sections), bundle.Manifest{Script: "v.stp", Tool: "test"})
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := bundle.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			list, err := parsed.Variants()
			switch {
			case tt.bad == "" && (err != nil || len(list) != tt.n):
				t.Errorf("%d variants, %v", len(list), err)
			case tt.bad != "" && (!errors.Is(err, bundle.ErrFormat) || !strings.Contains(fmt.Sprint(err), tt.bad)):
				t.Errorf("%v, want %q", err, tt.bad)
			}
		})
	}
}
