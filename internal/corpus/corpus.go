// Package corpus finds the scripts that the parser, formatter and linter are tested
// on: SystemTap's own library and examples where apt puts them, the repository's
// scripts, and the golden scripts beside it. It is for tests and benchmarks only.
package corpus

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/tools/txtar"
)

// Where Debian's systemtap-common and systemtap-doc put their files.
const (
	TapsetDir   = "/usr/share/systemtap/tapset"
	ExamplesDir = "/usr/share/systemtap/examples"
)

// Template is the one example that is no script but a text to fill in, with an
// ellipsis for the handler. Its path ends so.
const Template = "security-bandaid-template.stp"

// A File is one script of the corpus.
type File struct {
	Path  string // where it was found; for golden scripts archive/name
	Src   []byte
	Macro bool // a .stpm file
}

// Root is the top folder of the repository: the first one with a go.mod, from the
// working directory upwards. (Paths in the binary say nothing after -trimpath.)
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}

// GoldenDir is the folder of golden behaviour: $STAPKIT_GOLDEN, or shared/golden
// beside the repository. It is "" when there is none.
func GoldenDir() string {
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join(filepath.Dir(Root()), "shared", "golden")
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return ""
	}
	return dir
}

// Dir reads all scripts (.stp, .stpm) below a folder, in order of path. A missing
// folder gives none.
func Dir(dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		ext := filepath.Ext(path)
		if d.IsDir() || ext != ".stp" && ext != ".stpm" {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files = append(files, File{path, src, ext == ".stpm"})
		return nil
	})
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	return files, err
}

// Tapset reads SystemTap's library; none when the package is not installed.
func Tapset() ([]File, error) { return Dir(TapsetDir) }

// Examples reads SystemTap's examples; none when the package is not installed.
func Examples() ([]File, error) { return Dir(ExamplesDir) }

// Own reads the repository's scripts, without those that tests keep.
func Own() ([]File, error) {
	all, err := Dir(Root())
	var files []File
	sep := string(filepath.Separator)
	for _, f := range all {
		if !strings.Contains(f.Path, sep+"testdata"+sep) && !strings.Contains(f.Path, sep+"test"+sep) {
			files = append(files, f)
		}
	}
	return files, err
}

// Golden reads the scripts of the golden archives in a folder ("run",
// "diagnostics"); none when the folder is missing.
func Golden(folder string) ([]File, error) {
	root := GoldenDir()
	if root == "" {
		return nil, nil
	}
	names, err := filepath.Glob(filepath.Join(root, folder, "*.txtar"))
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			return nil, err
		}
		for _, f := range a.Files {
			if filepath.Ext(f.Name) == ".stp" {
				files = append(files, File{Path: name + "/" + f.Name, Src: f.Data})
			}
		}
	}
	return files, nil
}
