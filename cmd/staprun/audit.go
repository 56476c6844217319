//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/bundle/trust"
)

// Where this host keeps its log and what runs.
const (
	journalSocket = "/run/systemd/journal/socket"
	syslogSocket  = "/dev/log"
	runDir        = "/run/stapkit"
)

// record is what the log tells of one use of a bundle: who had what run, and what came
// of it.
type record struct {
	Bundle  string    `json:"bundle"`
	Digest  string    `json:"digest"` // SHA-256 of the file
	Script  string    `json:"script,omitempty"`
	Signer  string    `json:"signer,omitempty"`
	Key     string    `json:"key,omitempty"`
	User    string    `json:"user"`
	UID     int       `json:"uid"`
	Options []string  `json:"options,omitempty"`
	PID     int       `json:"pid"`
	Begun   time.Time `json:"begun"`
	// Ticks is when the process started, as /proc/PID/stat has it: with PID it
	// names the process even after the number was used again.
	Ticks string `json:"ticks"`

	file string // in runDir
}

func newRecord(o *options, data []byte, v trust.Verdict) *record {
	sum := sha256.Sum256(data)
	name, _ := whoami()
	r := &record{
		Bundle: o.bundle, Digest: hex.EncodeToString(sum[:]), Signer: v.Principal, Key: v.Key,
		User: name, UID: os.Getuid(), Options: bounded(o.given), PID: os.Getpid(), Ticks: startTicks(os.Getpid()),
	}
	if data == nil {
		r.Digest = "" // it was not read
	}
	if path, err := filepath.Abs(o.bundle); err == nil {
		r.Bundle = path
	}
	if v.Bundle != nil {
		r.Script = v.Bundle.Manifest.Script
	}
	return r
}

// maxOptions bounds what a record has of the command line, bytes: the log takes no message of
// any size, and whoever is refused must not be able to keep it out of the log.
const maxOptions = 16 << 10

func bounded(args []string) []string {
	n := 0
	for i, a := range args {
		if n += len(a) + 1; n > maxOptions {
			cut := max(len(a)-(n-maxOptions), 0)
			return append(slices.Clone(args[:i]), a[:cut]+"…")
		}
	}
	return args
}

// startTicks is the 22nd field of /proc/PID/stat, "" if there is no such process.
func startTicks(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name, which may contain anything, stands in parentheses.
	if i := bytes.LastIndexByte(b, ')'); i >= 0 {
		if f := strings.Fields(string(b[i+1:])); len(f) > 19 {
			return f[19]
		}
	}
	return ""
}

func (r *record) refused(v trust.Verdict) {
	// An audit should not miss what was tried.
	r.log(4, "refused", v.Kind.String(), v.Reason)
}

// logOf is the log of a run whose record is given as JSON.
func logOf(data []byte) (started func(), ended func(int, error)) {
	r := &record{}
	if err := json.Unmarshal(data, r); err != nil {
		// It comes from newRecord.
		fmt.Fprintf(os.Stderr, "WARNING: the log of this run: %v\n", err)
	}
	return r.started, r.ended
}

// started is called when the probes are active.
func (r *record) started() {
	r.Begun = time.Now()
	r.log(5, "started", "ok", "")
	// Who cannot write there, neither root nor the service, is not listed.
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return
	}
	b, err := json.Marshal(r)
	if err != nil {
		return
	}
	removeStale()
	file := filepath.Join(runDir, strconv.Itoa(r.PID)+".json")
	if writeRecord(file, append(b, '\n')) == nil {
		r.file = file
	}
}

// writeRecord makes a file in runDir, to which the service's user may add: what stands there
// under that name, a link to some file of root's perhaps, is not written to.
func writeRecord(file string, b []byte) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// maxRecord bounds a file in runDir, bytes.
const maxRecord = 1 << 20

// readRecord reads one, and nothing that is no file of its own.
func readRecord(file string) (r record, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return r, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return r, errors.Join(err, errors.New("not a regular file"))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

func (r *record) ended(status int, err error) {
	removeStale()
	if r.file != "" {
		// What is left behind shows as not running.
		_ = os.Remove(r.file)
	}
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	if !r.Begun.IsZero() {
		reason = strings.TrimSpace(fmt.Sprintf("after %v %s", time.Since(r.Begun).Round(time.Millisecond), reason))
	}
	r.log(5, "ended", "status "+strconv.Itoa(status), reason)
}

// log writes to the journal, else to syslog. A host that has neither keeps no log, and
// that is its administrator's choice.
func (r *record) log(priority int, event, outcome, reason string) {
	reason, _, _ = strings.Cut(reason, "\n")
	// Fields have the names as they are, the line for people is one.
	msg := fmt.Sprintf("%s: %s: %s", event, r.Bundle, outcome)
	if reason != "" {
		msg += ": " + reason
	}
	msg += fmt.Sprintf(" (script %q, sha256 %s, signer %q, user %s, options %q)", r.Script, r.Digest, r.Signer, r.User, strings.Join(r.Options, " "))
	msg = printable(msg)
	fields := [][2]string{
		{"MESSAGE", msg}, {"PRIORITY", strconv.Itoa(priority)}, {"SYSLOG_IDENTIFIER", "staprun"}, {"SYSLOG_FACILITY", "10"},
		{"STAPKIT_EVENT", event}, {"STAPKIT_OUTCOME", outcome}, {"STAPKIT_REASON", reason}, {"STAPKIT_BUNDLE", r.Bundle},
		{"STAPKIT_DIGEST", r.Digest}, {"STAPKIT_SCRIPT", r.Script}, {"STAPKIT_SIGNER", r.Signer}, {"STAPKIT_KEY", r.Key},
		{"STAPKIT_USER", r.User}, {"STAPKIT_OPTIONS", strings.Join(r.Options, " ")},
	}
	if send(journalSocket, journalEntry(fields)) == nil {
		return
	}
	const authpriv = 10
	line := fmt.Sprintf("<%d>%s staprun[%d]: %s", authpriv<<3|priority, time.Now().Format(time.Stamp), r.PID, msg)
	_ = send(syslogSocket, []byte(line))
}

// journalEntry encodes fields in the journal's native protocol: a value of several
// lines goes with its length.
func journalEntry(fields [][2]string) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		if !strings.ContainsRune(f[1], '\n') {
			fmt.Fprintf(&b, "%s=%s\n", f[0], f[1])
			continue
		}
		b.WriteString(f[0] + "\n")
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(f[1]))))
		b.WriteString(f[1] + "\n")
	}
	return b.Bytes()
}

func send(socket string, data []byte) error {
	conn, err := net.DialTimeout("unixgram", socket, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write(data)
	return err
}

// removeStale clears away what runs have left in runDir whose broker was killed.
func removeStale() {
	files, err := filepath.Glob(filepath.Join(runDir, "*.json"))
	if err != nil {
		return // the pattern is ours
	}
	for _, file := range files {
		pid, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".json"))
		if err != nil {
			continue
		}
		ticks := startTicks(pid)
		r, err := readRecord(file)
		if ticks != "" && (err != nil || r.Ticks == "") {
			continue // it is being written
		}
		// Numbers of processes come again, also for what is none of ours.
		if r.Ticks != ticks || ticks == "" {
			_ = os.Remove(file) // another run may have done so
		}
	}
}

// running reads what runDir tells, and leaves out what has ended.
func running() ([]record, error) {
	entries, err := os.ReadDir(runDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []record
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		r, err := readRecord(filepath.Join(runDir, e.Name()))
		if err != nil {
			continue // it ended just now, or is none
		}
		if r.PID <= 0 || r.Ticks == "" || startTicks(r.PID) != r.Ticks {
			continue
		}
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].PID < out[j].PID })
	return out, nil
}
