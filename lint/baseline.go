package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"

	"stapkit/diag"
)

// A Baseline is a list of findings that are known and do not count: those that a
// project had when it took up the linter. Findings are known by file, rule and
// message, not by line, so that the list outlives edits elsewhere in the file.
type Baseline struct {
	left map[known]int
}

// known is one line of a baseline file.
type known struct {
	File    string `json:"file"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

type counted struct {
	known
	Count int `json:"count,omitempty"` // 0: once
}

// ReadBaseline reads a baseline: one JSON object per line.
func ReadBaseline(r io.Reader) (*Baseline, error) {
	b := &Baseline{left: map[known]int{}}
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	for {
		var c counted
		err := dec.Decode(&c)
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, fmt.Errorf("baseline, entry %d: %w", len(b.left)+1, err)
		case c.File == "" || c.Rule == "" || c.Count < 0:
			return nil, fmt.Errorf("baseline, entry %d: file or rule is missing", len(b.left)+1)
		}
		b.left[c.known] += max(c.Count, 1)
	}
}

func knownOf(d *diag.Diagnostic) known {
	return known{d.Range.Start.File, string(d.Code), d.Message}
}

// Filter takes out the findings that are known. A finding that is known n times is
// taken out n times.
func (b *Baseline) Filter(ds []diag.Diagnostic) []diag.Diagnostic {
	var out []diag.Diagnostic
	for _, d := range ds {
		if k := knownOf(&d); b.left[k] > 0 {
			b.left[k]--
			continue
		}
		out = append(out, d)
	}
	return out
}

// WriteBaseline writes a baseline of findings.
func WriteBaseline(w io.Writer, ds []diag.Diagnostic) error {
	n := map[known]int{}
	for i := range ds {
		n[knownOf(&ds[i])]++
	}
	var keys []known
	for k := range n {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := keys[i], keys[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Rule != b.Rule {
			return a.Rule < b.Rule
		}
		return a.Message < b.Message
	})
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for _, k := range keys {
		c := counted{known: k}
		if n[k] > 1 {
			c.Count = n[k]
		}
		if err := enc.Encode(c); err != nil {
			return err
		}
	}
	_, err := w.Write(buf.Bytes())
	return err
}
