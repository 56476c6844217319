// Package store keeps on disk what is costly to make anew, such as the index of a
// kernel's debugging information. All tools share it. It may be deleted at any
// time: what is missing, damaged or of another version is made again.
//
// It is in the user's cache directory, or where $STAPKIT_CACHE says; with
// STAPKIT_CACHE=off nothing is kept.
package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Environment is the variable that names the directory.
const Environment = "STAPKIT_CACHE"

// ErrOff says that nothing is kept.
var ErrOff = errors.New("nothing is kept on disk: there is no cache directory, or STAPKIT_CACHE=off")

// unused is how long an entry is kept after its last use.
const unused = 60 * 24 * time.Hour

// Dir is the directory of one kind of entries.
func Dir(kind string) (string, error) {
	dir := os.Getenv(Environment)
	switch {
	case dir == "off":
		return "", ErrOff
	case dir == "":
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", ErrOff
		}
		// Accounts of services have homes that are not there, and must not be.
		if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(cache, home+string(filepath.Separator)) {
			if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
				return "", ErrOff
			}
		}
		dir = filepath.Join(cache, "stapkit")
	case !filepath.IsAbs(dir):
		return "", fmt.Errorf("%s=%s: the path must be absolute", Environment, dir)
	}
	return filepath.Join(dir, kind), nil
}

const magic = "stapkit store 1\n"

var table = crc32.MakeTable(crc32.Castagnoli)

// checkKey keeps keys file names.
func checkKey(key string) error {
	if key == "" || strings.HasPrefix(key, ".") || strings.ContainsAny(key, "/\\\x00") || len(key) > 200 {
		return fmt.Errorf("%q is no key", key)
	}
	return nil
}

// Get gives the content of an entry. It fails with fs.ErrNotExist when there is no
// such entry that is whole.
func Get(kind, key string) ([]byte, error) {
	dir, err := Dir(kind)
	if err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, key)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	head := len(magic) + 4
	if len(data) < head || !bytes.HasPrefix(data, []byte(magic)) ||
		crc32.Checksum(data[head:], table) != binary.LittleEndian.Uint32(data[len(magic):]) {
		return nil, fmt.Errorf("%s is damaged: %w", path, fs.ErrNotExist)
	}
	// What is in use stays. That the time cannot be set, on a file system that is
	// read-only say, costs nothing now.
	if st, err := os.Stat(path); err == nil && time.Since(st.ModTime()) > 24*time.Hour {
		now := time.Now()
		_ = os.Chtimes(path, now, now)
	}
	return data[head:], nil
}

// Put keeps an entry. Readers see the old one or the new one, never a part.
func Put(kind, key string, content []byte) (err error) {
	dir, err := Dir(kind)
	if err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	head := binary.LittleEndian.AppendUint32([]byte(magic), crc32.Checksum(content, table))
	_, err = f.Write(head)
	if err == nil {
		_, err = f.Write(content)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, key)); err != nil {
		return err
	}
	prune(dir)
	return nil
}

// prune removes what was not used for long, and what a crash left.
func prune(dir string) {
	es, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range es {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		age := time.Since(info.ModTime())
		if age > unused || strings.HasPrefix(e.Name(), ".new") && age > time.Hour {
			// Another process may have been faster.
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
