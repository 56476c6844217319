//go:build linux

package guest

import (
	"bytes"
	"fmt"
	"path"
	"sort"
	"strings"
)

// File is a file of the guest's root.
type File struct {
	Path string // absolute
	Mode uint32 // permission bits
	Data []byte
	Link string // makes it a symbolic link to this
}

// archive writes an initramfs in the newc format of cpio
// (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
func archive(files []File) []byte {
	var out bytes.Buffer
	inode := 0
	entry := func(name string, mode uint32, data []byte) {
		inode++
		links := 1
		fmt.Fprintf(&out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
			inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		pad(&out, 4)
		out.Write(data)
		pad(&out, 4)
	}
	made := map[string]bool{".": true}
	var dirs func(string)
	dirs = func(name string) {
		if made[name] {
			return
		}
		dirs(path.Dir(name))
		made[name] = true
		entry(name, 0o040755, nil)
	}
	files = append([]File(nil), files...)
	sort.SliceStable(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	for _, f := range files {
		name := strings.TrimPrefix(path.Clean("/"+f.Path), "/")
		dirs(path.Dir(name))
		switch {
		case f.Link != "":
			entry(name, 0o120777, []byte(f.Link))
		default:
			entry(name, 0o100000|f.Mode&0o7777, f.Data)
		}
	}
	entry("TRAILER!!!", 0, nil)
	pad(&out, 512)
	return out.Bytes()
}

func pad(out *bytes.Buffer, to int) {
	for out.Len()%to != 0 {
		out.WriteByte(0)
	}
}
