package lint

import (
	"bytes"
	"sort"

	"stapkit/diag"
)

// A Suppress fix answers a finding with a comment: what editors offer beside the
// fixes of the rule itself. text is the file's.
func SuppressFix(d *diag.Diagnostic, text []byte) (diag.Fix, bool) {
	a := Lookup(string(d.Code))
	if a == nil || !d.Range.IsValid() || d.Range.Start.Offset > len(text) {
		return diag.Fix{}, false
	}
	start := bytes.LastIndexByte(text[:d.Range.Start.Offset], '\n') + 1
	end := start
	for end < len(text) && (text[end] == ' ' || text[end] == '\t') {
		end++
	}
	at := d.Range.Start
	at.Offset, at.Col = start, 1
	return diag.Fix{
		Message: "suppress " + a.Name + " here",
		Edits:   []diag.Edit{{Range: diag.Range{Start: at, End: at}, NewText: string(text[start:end]) + "# staplint:ignore " + a.Name + " TODO: say why\n"}},
	}, true
}

// Apply applies fixes of findings to the text of a file: safe ones, and with unsafe
// the others as well. Of fixes that overlap the first is taken. It returns the new
// text and the findings that were mended; run the rules again for the rest.
func Apply(file string, text []byte, ds []diag.Diagnostic, unsafe bool) ([]byte, []diag.Diagnostic) {
	type edit struct {
		from, to int
		text     string
	}
	var edits []edit
	var done []diag.Diagnostic
	fits := func(list []edit) bool {
		for _, e := range list {
			if e.from < 0 || e.to < e.from || e.to > len(text) {
				return false
			}
			for _, o := range edits {
				if e.from < o.to && o.from < e.to || e.from == o.from {
					return false
				}
			}
		}
		return true
	}
next:
	for _, d := range ds {
		for _, f := range d.Fixes {
			if !f.Safe && !unsafe {
				continue
			}
			var list []edit
			for _, e := range f.Edits {
				if e.Range.Start.File != file || !e.Range.IsValid() {
					continue next
				}
				list = append(list, edit{e.Range.Start.Offset, e.Range.Start.Offset + e.Range.Len(), e.NewText})
			}
			if len(list) > 0 && fits(list) {
				edits = append(edits, list...)
				done = append(done, d)
				continue next
			}
		}
	}
	if len(edits) == 0 {
		return text, nil
	}
	sort.Slice(edits, func(i, j int) bool { return edits[i].from < edits[j].from })
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(out, text[at:e.from]...)
		out = append(out, e.text...)
		at = e.to
	}
	return append(out, text[at:]...), done
}
