package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A bundle that was compiled for several hosts on which the script is not the same
// has a program for each: the object itself is the first, and each of the others is
// a whole object in a section of its own, so that the manifest's hash of the object
// covers all. The section VariantsSection lists, a line each, the kernels that they
// were compiled for, the first one's first.
const (
	VariantsSection = ".stap.variants"
	// KernelsSection tells of each variant the kernels for which it was compiled: lines
	// "N release R" and "N types HASH", of the N-th variant from 0.
	KernelsSection = ".stap.kernels"
	variantSection = ".stap.variant."
)

// maxVariants bounds the programs of one bundle.
const maxVariants = 64

// Variant is one of the programs of a bundle.
type Variant struct {
	// Target names the kernel that it was compiled for, "" if the bundle has only
	// this program and so does not say.
	Target string
	// Releases are those of the kernels that it was compiled for, and Types the hashes
	// of their type information (see TypesHash), each as far as it is known.
	Releases, Types []string
	// ELF is the object, Sections its sections by name.
	ELF      []byte
	Sections map[string][]byte
}

// TypesHash names a kernel by its type information, as /sys/kernel/btf/vmlinux has it.
func TypesHash(btf []byte) string {
	sum := sha256.Sum256(btf)
	return hex.EncodeToString(sum[:])
}

// VariantSection names the section of the n-th variant, counted from 0, which has
// none.
func VariantSection(n int) string { return variantSection + strconv.Itoa(n) }

// Variants takes the programs of a bundle apart. There is always one.
func (b *Bundle) Variants() ([]Variant, error) {
	list := []Variant{{ELF: b.ELF, Sections: b.Sections}}
	text, ok := b.Sections[VariantsSection]
	names := []string{""}
	if ok {
		lines, ended := strings.CutSuffix(string(text), "\n")
		names = strings.Split(lines, "\n")
		switch {
		case len(names) < 2 || len(names) > maxVariants:
			return nil, damaged("%d variants", len(names))
		case !ended || slices.Contains(names, ""):
			return nil, damaged("the list of variants is %.40q", text)
		}
	}
	for name := range b.Sections {
		number, ok := strings.CutPrefix(name, variantSection)
		if n, err := strconv.Atoi(number); ok && (err != nil || n < 1 || n >= len(names) || name != VariantSection(n)) {
			return nil, damaged("section %s is not in the list of variants", name)
		}
	}
	list[0].Target = names[0]
	for i, name := range names[1:] {
		elf, ok := b.Sections[VariantSection(i+1)]
		if !ok {
			return nil, damaged("there is no object for variant %d", i+1)
		}
		sections, err := parseELF(elf)
		if err != nil {
			return nil, fmt.Errorf("variant %d: %w", i+1, err)
		}
		v := Variant{Target: name, ELF: elf, Sections: map[string][]byte{}}
		for _, s := range sections {
			v.Sections[s.name] = s.data(elf)
			if strings.HasPrefix(s.name, VariantsSection) || strings.HasPrefix(s.name, variantSection) {
				return nil, damaged("variant %d has variants of its own", i+1)
			}
		}
		list = append(list, v)
	}
	return list, kernels(list, string(b.Sections[KernelsSection]))
}

// kernels reads what KernelsSection tells.
func kernels(list []Variant, text string) error {
	for line := range strings.Lines(text) {
		number, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		kind, name, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= len(list) || name == "" {
			return damaged("a kernel of the variants is %.40q", line)
		}
		switch kind {
		case "release":
			list[n].Releases = append(list[n].Releases, name)
		case "types":
			list[n].Types = append(list[n].Types, name)
		default:
			return damaged("a kernel of the variants is %.40q", line)
		}
	}
	return nil
}

// Union is what two programs of a bundle use, of which one runs.
func (u *Uses) Union(o *Uses) Uses {
	join := func(a, b []string) []string {
		out := slices.Concat(a, b)
		slices.Sort(out)
		return slices.Compact(out)
	}
	return Uses{
		Carriers: join(u.Carriers, o.Carriers), Helpers: join(u.Helpers, o.Helpers),
		Kfuncs: join(u.Kfuncs, o.Kfuncs), Rights: join(u.Rights, o.Rights),
		MapBytes: max(u.MapBytes, o.MapBytes), MapBytesPerCPU: max(u.MapBytesPerCPU, o.MapBytesPerCPU),
		Programs: max(u.Programs, o.Programs), Instructions: max(u.Instructions, o.Instructions),
	}
}
