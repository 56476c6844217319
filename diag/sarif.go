package diag

import (
	"encoding/json"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// SARIFOptions name the tool in a SARIF log.
type SARIFOptions struct {
	Tool    string // the name of the command
	Version string // its version, may be empty
	URI     string // where to read about it, may be empty
	HelpURI string // where the pages of codes are; the code is appended. May be empty
}

// The parts of SARIF 2.1.0 (OASIS Standard) that SARIF writes.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri,omitempty"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string        `json:"id"`
		ShortDescription sarifMessage  `json:"shortDescription"`
		Help             *sarifMessage `json:"help,omitempty"`
		HelpURI          string        `json:"helpUri,omitempty"`
		Configuration    sarifConfig   `json:"defaultConfiguration"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifMessage struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId,omitempty"`
		RuleIndex *int            `json:"ruleIndex,omitempty"`
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
		Related   []sarifLocation `json:"relatedLocations,omitempty"`
		Fixes     []sarifFix      `json:"fixes,omitempty"`
	}
	sarifLocation struct {
		ID       int           `json:"id,omitempty"`
		Physical sarifPhysical `json:"physicalLocation"`
		Message  *sarifMessage `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int           `json:"startLine"`
		StartColumn int           `json:"startColumn,omitempty"`
		EndLine     int           `json:"endLine,omitempty"`
		EndColumn   int           `json:"endColumn,omitempty"`
		Snippet     *sarifMessage `json:"snippet,omitempty"`
	}
	sarifFix struct {
		Description sarifMessage  `json:"description"`
		Changes     []sarifChange `json:"artifactChanges"`
	}
	sarifChange struct {
		Artifact     sarifArtifact      `json:"artifactLocation"`
		Replacements []sarifReplacement `json:"replacements"`
	}
	sarifReplacement struct {
		Deleted  sarifRegion   `json:"deletedRegion"`
		Inserted *sarifMessage `json:"insertedContent,omitempty"`
	}
)

// SARIF writes diagnostics as one SARIF 2.1.0 log. Columns count UTF-16 code
// units; where the source is not at hand only lines are given. Help and remarks
// on other places are repeated in the message, since viewers tend to leave them
// out. A fix is left out when the source of one of its edits is not at hand.
func SARIF(w io.Writer, ds []Diagnostic, src Sources, opt SARIFOptions) error {
	run := sarifRun{
		Tool: sarifTool{Driver: sarifDriver{
			Name: opt.Tool, Version: opt.Version, InformationURI: opt.URI, Rules: []sarifRule{},
		}},
		ColumnKind: "utf16CodeUnits",
		Results:    []sarifResult{},
	}
	rules := map[Code]int{}
	for i := range ds {
		rules[ds[i].Code] = 0
	}
	delete(rules, "")
	codes := make([]Code, 0, len(rules))
	for c := range rules {
		codes = append(codes, c)
	}
	sort.Slice(codes, func(i, j int) bool { return codes[i] < codes[j] })
	for i, c := range codes {
		rules[c] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(c, opt))
	}
	for i := range ds {
		d := &ds[i]
		res := sarifResult{
			RuleID: string(d.Code), Level: sarifLevel(d.Severity), Message: sarifMessage{Text: sarifText(d)},
		}
		if n, ok := rules[d.Code]; ok {
			res.RuleIndex = &n
		}
		if loc, ok := sarifLocationOf(src, d.Range); ok {
			res.Locations = []sarifLocation{loc}
		}
		for k := range d.Related {
			r := &d.Related[k]
			loc, ok := sarifLocationOf(src, r.Range)
			if !ok {
				continue
			}
			loc.ID = len(res.Related) + 1
			if r.Message != "" {
				loc.Message = &sarifMessage{Text: r.Message}
			}
			res.Related = append(res.Related, loc)
		}
		for k := range d.Fixes {
			if fix, ok := sarifFixOf(src, &d.Fixes[k]); ok {
				res.Fixes = append(res.Fixes, fix)
			}
		}
		run.Results = append(run.Results, res)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{
		Schema:  "https://json.schemastore.org/sarif-2.1.0.json",
		Version: "2.1.0",
		Runs:    []sarifRun{run},
	})
}

func sarifRuleOf(c Code, opt SARIFOptions) sarifRule {
	rule := sarifRule{ID: string(c), ShortDescription: sarifMessage{Text: string(c)}}
	info, ok := Lookup(c)
	if ok {
		rule.ShortDescription.Text = info.Title
		if doc := strings.TrimSpace(info.Doc); doc != "" {
			rule.Help = &sarifMessage{Text: doc, Markdown: doc}
		}
	}
	rule.Configuration.Level = sarifLevel(info.Severity)
	if opt.HelpURI != "" {
		rule.HelpURI = opt.HelpURI + string(c)
	}
	return rule
}

func sarifLevel(s Severity) string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "note"
}

// sarifText returns all there is to say about d, for viewers that show only the
// message.
func sarifText(d *Diagnostic) string {
	var b strings.Builder
	b.WriteString(d.message())
	if d.Help != "" {
		b.WriteString("\n" + d.Help)
	}
	for i := range d.Related {
		b.WriteString(d.Related[i].line())
	}
	return b.String()
}

func sarifLocationOf(src Sources, r Range) (sarifLocation, bool) {
	if r.Start.File == "" {
		return sarifLocation{}, false
	}
	loc := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{URI: sarifURI(r.Start.File)}}}
	if r.IsValid() {
		region, _ := sarifRegionOf(src, r)
		if line, ok := lineOf(src, r.Start); ok && len(line) <= stapLineLimit {
			region.Snippet = &sarifMessage{Text: line}
		}
		loc.Physical.Region = &region
	}
	return loc, true
}

// sarifRegionOf returns r with columns in UTF-16 code units, without columns and
// false when the source is not at hand.
func sarifRegionOf(src Sources, r Range) (sarifRegion, bool) {
	end := r.End
	if !end.IsValid() {
		end = r.Start
	}
	region := sarifRegion{StartLine: r.Start.Line}
	first, ok1 := lineOf(src, r.Start)
	last, ok2 := lineOf(src, end)
	if !ok1 || !ok2 {
		if end.Line > r.Start.Line {
			region.EndLine = end.Line
		}
		return region, false
	}
	region.StartColumn = utf16Col(first, r.Start.Col)
	region.EndLine = end.Line
	region.EndColumn = utf16Col(last, end.Col)
	return region, true
}

func sarifFixOf(src Sources, f *Fix) (sarifFix, bool) {
	fix := sarifFix{Description: sarifMessage{Text: f.Message}}
	index := map[string]int{}
	for i := range f.Edits {
		e := &f.Edits[i]
		region, ok := sarifRegionOf(src, e.Range)
		if !ok || e.Range.Start.File == "" {
			return sarifFix{}, false
		}
		n, ok := index[e.Range.Start.File]
		if !ok {
			n = len(fix.Changes)
			index[e.Range.Start.File] = n
			fix.Changes = append(fix.Changes, sarifChange{Artifact: sarifArtifact{URI: sarifURI(e.Range.Start.File)}})
		}
		r := sarifReplacement{Deleted: region}
		if e.NewText != "" {
			r.Inserted = &sarifMessage{Text: e.NewText}
		}
		fix.Changes[n].Replacements = append(fix.Changes[n].Replacements, r)
	}
	return fix, len(fix.Changes) > 0
}

// sarifURI returns a file name as a URI reference: relative names stay
// relative, to the root of the repository as viewers take it.
func sarifURI(file string) string {
	file = filepath.ToSlash(file)
	if len(file) > 2 && isLetter(file[0]) && file[1:3] == ":/" { // a drive of Windows
		return (&url.URL{Scheme: "file", Path: "/" + file}).String()
	}
	if path.IsAbs(file) {
		return (&url.URL{Scheme: "file", Path: path.Clean(file)}).String()
	}
	return (&url.URL{Path: path.Clean(file)}).String()
}
