package diag

import (
	"encoding/xml"
	"io"
)

type (
	checkstyleLog struct {
		XMLName xml.Name         `xml:"checkstyle"`
		Version string           `xml:"version,attr"`
		Files   []checkstyleFile `xml:"file"`
	}
	checkstyleFile struct {
		Name   string            `xml:"name,attr"`
		Errors []checkstyleError `xml:"error"`
	}
	checkstyleError struct {
		Line     int    `xml:"line,attr,omitempty"`
		Column   int    `xml:"column,attr,omitempty"`
		Severity string `xml:"severity,attr"`
		Message  string `xml:"message,attr"`
		Source   string `xml:"source,attr,omitempty"`
	}
)

// Checkstyle writes diagnostics as the XML of Checkstyle, which many tools for
// continuous integration read. Columns count UTF-16 code units where the source is
// at hand. Notes and hints have the severity "info".
func Checkstyle(w io.Writer, ds []Diagnostic, src Sources) error {
	log := checkstyleLog{Version: "4.3"}
	index := map[string]int{}
	for i := range ds {
		d := &ds[i]
		file := d.Range.Start.File
		n, ok := index[file]
		if !ok {
			n = len(log.Files)
			index[file] = n
			log.Files = append(log.Files, checkstyleFile{Name: file})
		}
		e := checkstyleError{Line: d.Range.Start.Line, Column: d.Range.Start.Col, Severity: "info", Message: sarifText(d), Source: string(d.Code)}
		if d.Severity <= Warning {
			e.Severity = d.Severity.String()
		}
		if line, ok := lineOf(src, d.Range.Start); ok {
			e.Column = utf16Col(line, d.Range.Start.Col)
		}
		log.Files[n].Errors = append(log.Files[n].Errors, e)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(log); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// Lines writes diagnostics as compilers do, one line each, "file:line:col: severity:
// message [code]", and remarks on other places as notes. Editors and scripts read it.
func Lines(w io.Writer, ds []Diagnostic) error {
	for i := range ds {
		d := ds[i]
		d.Help, d.Fixes = "", nil
		if err := Text(w, []Diagnostic{d}, nil, TextOptions{}); err != nil {
			return err
		}
	}
	return nil
}
