package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Trim removes the entries of a kind that were not used for longest, until what is
// left takes at most so many bytes. Other processes may do the same at that time, and
// may read and write entries.
func Trim(kind string, most int64) error {
	dir, err := Dir(kind)
	if err != nil {
		return err
	}
	type entry struct {
		path string
		size int64
		used time.Time
	}
	var all []entry
	var sum int64
	es, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range es {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue // gone by now, or being written
		}
		all = append(all, entry{filepath.Join(dir, e.Name()), info.Size(), info.ModTime()})
		sum += info.Size()
	}
	sort.Slice(all, func(i, j int) bool { return all[i].used.Before(all[j].used) })
	var errs []error
	for _, e := range all {
		if sum <= most {
			break
		}
		if err := os.Remove(e.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		sum -= e.size
	}
	return errors.Join(errs...)
}

// Clear removes all entries of a kind and tells how many there were.
func Clear(kind string) (int, error) {
	dir, err := Dir(kind)
	if err != nil {
		return 0, err
	}
	es, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n := 0
	var errs []error
	for _, e := range es {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		err := os.Remove(filepath.Join(dir, e.Name()))
		switch {
		case err == nil:
			n++
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
		}
	}
	return n, errors.Join(errs...)
}

// Touch says that an entry is in use, for Trim.
func Touch(kind, key string) {
	if dir, err := Dir(kind); err == nil {
		now := time.Now()
		// On a file system that cannot be written nothing is removed either.
		_ = os.Chtimes(filepath.Join(dir, key), now, now)
	}
}
