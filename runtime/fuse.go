//go:build linux

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// fuse is a file system of a few files whose content is made when they are read,
// by the protocol of include/uapi/linux/fuse.h. Each opening of a file has a text
// of its own, so that readers do not disturb each other.
type fuse struct {
	dir   string
	dev   *os.File
	owner [2]uint32 // user and group
	nodes []*node   // by number - 1; the first is the root
	ask   func(handlers []int, value string) (string, bool)
	began time.Time

	mu    sync.Mutex
	texts map[uint64]string // what an opening has read, by its number
	last  uint64
	stop  sync.WaitGroup
}

// node is a file, or a directory if file is nil.
type node struct {
	id   uint64
	name string
	file *file
	up   *node
	kids []*node
}

// Operations, and what is needed of the structures.
const (
	fuseLookup      = 1
	fuseForget      = 2
	fuseGetattr     = 3
	fuseSetattr     = 4
	fuseOpen        = 14
	fuseRead        = 15
	fuseWrite       = 16
	fuseStatfs      = 17
	fuseRelease     = 18
	fuseFsync       = 20
	fuseFlush       = 25
	fuseInit        = 26
	fuseOpendir     = 27
	fuseReaddir     = 28
	fuseReleasedir  = 29
	fuseAccess      = 34
	fuseInterrupt   = 36
	fuseDestroy     = 38
	fuseBatchForget = 42

	fuseMajor, fuseMinor = 7, 31
	fuseInHeader         = 40
	fuseOutHeader        = 16
	fuseDirectIO         = 1 // the size of the file says nothing
	fuseMaxWrite         = 64 << 10
)

// mountFuse mounts a file system with the files at base/name.
func mountFuse(base, name string, list []*file, ask func([]int, string) (string, bool)) (*fuse, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, errorf(codeFiles, err, "the files of procfs probes need FUSE, which this host does not offer: /dev/fuse: %v (CONFIG_FUSE_FS; modprobe fuse)", err)
	}
	f := &fuse{ask: ask, began: time.Now(), owner: [2]uint32{uint32(os.Getuid()), uint32(os.Getgid())}, texts: map[uint64]string{}}
	root := f.add(nil, "")
	for _, x := range list {
		at := root
		parts := strings.Split(x.path, "/")
		for i, part := range parts {
			next := at.kid(part)
			if next == nil {
				next = f.add(at, part)
			}
			if i == len(parts)-1 {
				next.file = x
			}
			if next.file != nil && len(next.kids) > 0 || i < len(parts)-1 && next.file != nil {
				return nil, errors.Join(errorf(codeFiles, nil, "procfs path %q is both a file and a directory", x.path), unix.Close(fd))
			}
			at = next
		}
	}
	if f.dir, err = mountPoint(base, name); err != nil {
		return nil, errors.Join(errorf(codeFiles, err, "no place for the files of procfs probes: %v", err), unix.Close(fd))
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other,default_permissions", fd, os.Getuid(), os.Getgid())
	if err := unix.Mount("stapkit", f.dir, "fuse.stapkit", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		err = capMount.explainRights(err, effective)
		return nil, errors.Join(errorf(codeFiles, err, "the files of procfs probes cannot be mounted on %s: %v", f.dir, err), unix.Close(fd), os.Remove(f.dir))
	}
	// Not before: the device cannot be waited for while nothing is mounted.
	f.dev = os.NewFile(uintptr(fd), "/dev/fuse")
	f.stop.Go(f.serve)
	return f, nil
}

func (f *fuse) add(up *node, name string) *node {
	n := &node{id: uint64(len(f.nodes) + 1), name: name, up: up}
	f.nodes = append(f.nodes, n)
	if up != nil {
		up.kids = append(up.kids, n)
	}
	return n
}

func (n *node) kid(name string) *node {
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// close ends the service, and with it the file system: what is open reads as broken.
// rights unmount it.
func (f *fuse) close() {
	_ = f.dev.Close()
	f.stop.Wait()
}

// serve answers requests until the device is closed. Those that run handlers wait
// in goroutines of their own.
func (f *fuse) serve() {
	buf := make([]byte, fuseMaxWrite+4096)
	for {
		n, err := f.dev.Read(buf)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT): // it was interrupted
			continue
		case err != nil || n < fuseInHeader:
			return
		}
		req := bytes.Clone(buf[:n])
		op := native.Uint32(req[4:])
		if op == fuseRead || op == fuseWrite {
			go f.answer(op, req)
		} else {
			f.answer(op, req)
		}
	}
}

func (f *fuse) answer(op uint32, req []byte) {
	if op == fuseForget || op == fuseBatchForget || op == fuseInterrupt {
		return // no answer is wanted
	}
	body, errno := f.do(op, native.Uint64(req[16:]), req[fuseInHeader:])
	out := make([]byte, fuseOutHeader, fuseOutHeader+len(body))
	if errno == 0 {
		out = append(out, body...)
	}
	native.PutUint32(out, uint32(len(out)))
	native.PutUint32(out[4:], uint32(-int32(errno)))
	copy(out[8:16], req[8:16])
	// It fails only when the request or the file system is gone.
	_, _ = f.dev.Write(out)
}

// do carries out an operation on a node.
func (f *fuse) do(op uint32, id uint64, in []byte) ([]byte, unix.Errno) {
	if op == fuseInit {
		b := make([]byte, 64)
		native.PutUint32(b, fuseMajor)
		native.PutUint32(b[4:], fuseMinor)
		native.PutUint16(b[16:], 16) // requests in the background
		native.PutUint16(b[18:], 12)
		native.PutUint32(b[20:], fuseMaxWrite)
		native.PutUint32(b[24:], 1) // granularity of times
		return b, 0
	}
	if id == 0 || id > uint64(len(f.nodes)) {
		return nil, unix.ENOENT
	}
	n := f.nodes[id-1]
	short := func(want int) bool { return len(in) < want }
	switch op {
	case fuseLookup:
		kid := n.kid(string(bytes.TrimRight(in, "\x00")))
		if kid == nil {
			return nil, unix.ENOENT
		}
		b := make([]byte, 40, 128) // to be asked for again each time
		native.PutUint64(b, kid.id)
		return append(b, f.attr(kid)...), 0
	case fuseGetattr, fuseSetattr: // a change of size is what ">" does
		return append(make([]byte, 16, 104), f.attr(n)...), 0
	case fuseOpen, fuseOpendir:
		b := make([]byte, 16)
		if n.file != nil {
			f.mu.Lock()
			f.last++
			native.PutUint64(b, f.last)
			f.mu.Unlock()
			native.PutUint32(b[8:], fuseDirectIO)
		}
		return b, 0
	case fuseRead:
		if n.file == nil || short(20) {
			return nil, unix.EINVAL
		}
		return f.read(n.file, native.Uint64(in), native.Uint64(in[8:]), native.Uint32(in[16:]))
	case fuseWrite:
		if n.file == nil || short(40) {
			return nil, unix.EINVAL
		}
		return f.write(n.file, in[40:])
	case fuseReaddir:
		if short(20) {
			return nil, unix.EINVAL
		}
		return n.list(native.Uint64(in[8:]), int(native.Uint32(in[16:]))), 0
	case fuseRelease:
		if !short(8) {
			f.mu.Lock()
			delete(f.texts, native.Uint64(in))
			f.mu.Unlock()
		}
		return nil, 0
	case fuseStatfs:
		return make([]byte, 80), 0
	case fuseReleasedir, fuseFlush, fuseFsync, fuseAccess, fuseDestroy:
		return nil, 0
	}
	return nil, unix.ENOSYS
}

// read gives a part of the text. It is made when its start is read.
func (f *fuse) read(x *file, handle, off uint64, size uint32) ([]byte, unix.Errno) {
	if len(x.read) == 0 {
		return nil, 0
	}
	f.mu.Lock()
	text, ok := f.texts[handle]
	f.mu.Unlock()
	if off == 0 || !ok {
		if text, ok = f.ask(x.read, ""); !ok {
			return nil, unix.EIO
		}
		f.mu.Lock()
		f.texts[handle] = text
		f.mu.Unlock()
	}
	if off >= uint64(len(text)) {
		return nil, 0
	}
	return []byte(text[off:min(uint64(len(text)), off+uint64(size))]), 0
}

// write hands what was written to the handlers.
func (f *fuse) write(x *file, data []byte) ([]byte, unix.Errno) {
	if len(x.write) == 0 {
		return nil, unix.EINVAL
	}
	value := data
	if i := bytes.IndexByte(value, 0); i >= 0 {
		value = value[:i] // a string ends there
	}
	if _, ok := f.ask(x.write, string(value)); !ok {
		return nil, unix.EIO
	}
	b := make([]byte, 8)
	native.PutUint32(b, uint32(len(data)))
	return b, 0
}

// attr is a struct fuse_attr.
func (f *fuse) attr(n *node) []byte {
	b := make([]byte, 88)
	native.PutUint64(b, n.id)
	for _, at := range []int{24, 32, 40} { // access, change of content, change of attributes
		native.PutUint64(b[at:], uint64(f.began.Unix()))
	}
	mode, links := uint32(unix.S_IFDIR|0o755), uint32(2)
	if n.file != nil {
		mode, links = unix.S_IFREG|n.file.mode, 1
		// The size is not known before the text is made. sendfile() reads no more
		// than that and, other than read(), takes less to be a new size; whole
		// pages tell programs that it is no real size, as in /sys.
		if len(n.file.read) > 0 {
			native.PutUint64(b[8:], uint64(n.file.limit+4095)&^4095)
		}
	}
	native.PutUint32(b[60:], mode)
	native.PutUint32(b[64:], links)
	native.PutUint32(b[68:], f.owner[0])
	native.PutUint32(b[72:], f.owner[1])
	native.PutUint32(b[80:], 4096)
	return b
}

// list is the content of a directory from an entry on, as far as it has room.
func (n *node) list(from uint64, room int) []byte {
	up := n
	if n.up != nil {
		up = n.up
	}
	kids := append([]*node(nil), n.kids...)
	sort.Slice(kids, func(i, j int) bool { return kids[i].name < kids[j].name })
	names := []string{".", ".."}
	at := []*node{n, up}
	for _, k := range kids {
		names, at = append(names, k.name), append(at, k)
	}
	var out []byte
	for i := from; i < uint64(len(at)); i++ {
		name := names[i]
		size := (24 + len(name) + 7) &^ 7
		if len(out)+size > room {
			break
		}
		b := make([]byte, size)
		native.PutUint64(b, at[i].id)
		native.PutUint64(b[8:], i+1)
		native.PutUint32(b[16:], uint32(len(name)))
		kind := uint32(unix.DT_DIR)
		if at[i].file != nil {
			kind = unix.DT_REG
		}
		native.PutUint32(b[20:], kind)
		copy(b[24:], name)
		out = append(out, b...)
	}
	return out
}
