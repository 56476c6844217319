package loader

import (
	"errors"
	"fmt"
	"slices"

	"stapkit/bundle"
	"stapkit/ir"
	"stapkit/target"
)

// ImageOf takes the program out of a variant of a bundle, of which nothing is
// believed.
func ImageOf(v *bundle.Variant) (Image, error) {
	enc, ok := v.Sections[".stap.ir"]
	if !ok {
		return Image{}, errors.New("there is no program in it (section .stap.ir)")
	}
	p, err := ir.Decode(enc)
	if err != nil {
		return Image{}, err
	}
	if err := ir.Check(p); err != nil {
		return Image{}, fmt.Errorf("the program in it is not well-formed: %w", err)
	}
	return NewImage(p, v.ELF), nil
}

// Fit is what Pick found out about a variant.
type Fit struct {
	Target  string   `json:"target"` // the kernel that it was compiled for
	Chosen  bool     `json:"chosen,omitempty"`
	Missing []string `json:"missing,omitempty"` // probes that have no place here
}

// Pick chooses the variant of a bundle for a kernel: the one that was compiled for a
// kernel of the same types, or else of the same release, else the first of those with the
// most probes of which none that must be is missing. If there is none, it is the first,
// which then says what is missing. The image is the chosen one's.
func Pick(list []bundle.Variant, tgt *target.Target) (Image, []Fit, error) {
	var images []Image
	fits := make([]Fit, len(list))
	best, most := -1, -1
	types := ""
	if s, err := tgt.BTF(); err == nil && len(list) > 1 {
		types = bundle.TypesHash(s.Raw())
	}
	for i := range list {
		img, err := ImageOf(&list[i])
		if err != nil {
			return Image{}, nil, err
		}
		images = append(images, img)
		fits[i].Target = list[i].Target
		if len(list) == 1 {
			break
		}
		states, err := DryRun(img, tgt)
		if err != nil {
			return Image{}, nil, err
		}
		found, needed := 0, false
		for _, s := range states {
			if s.State != StateMissing {
				found++
				continue
			}
			needed = needed || !s.Optional
			fits[i].Missing = append(fits[i].Missing, s.Point)
		}
		if needed {
			continue
		}
		switch {
		case types != "" && slices.Contains(list[i].Types, types):
			found = 1 << 30
		case tgt.Release() != "" && (list[i].Target == tgt.Release() || slices.Contains(list[i].Releases, tgt.Release())):
			found = 1 << 29
		}
		if found > most {
			best, most = i, found
		}
	}
	best = max(best, 0)
	fits[best].Chosen = true
	return images[best], fits, nil
}
