// Package feed is what a running script tells programs: the JSON of staprun's socket
// and of --format json, as Go types, and a client of the socket.
//
// The socket takes requests and gives answers, a JSON object in a line each. Numbers of
// a script are JSON numbers of up to 64 bits: readers must not take them for floating
// point.
package feed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Version is that of the messages. Members may be added; what is there keeps its
// meaning as long as the number stays.
const Version = 1

// Types of messages.
const (
	TypeHello    = "hello"    // answer to a connection: *Hello
	TypeSnapshot = "snapshot" // *Snapshot
	TypeFile     = "file"     // *File
	TypeDone     = "done"     // a request has been carried out
	TypeFailed   = "failed"   // *Failed
	TypePrint    = "print"    // *Print
	TypeGlobal   = "global"   // *Global
	TypeProbes   = "probes"   // *Probes
	TypeWarning  = "warning"  // *Message
	TypeError    = "error"    // *Message
	TypeMessage  = "message"  // *Message
)

// A Request asks for something.
type Request struct {
	// Do is "snapshot" (the state once), "watch" (a snapshot at once and at each
	// interval), "reset" (empty a global), or "file" (the text of a procfs probe).
	Do       string `json:"do"`
	Interval int    `json:"interval_ms,omitempty"`
	Global   string `json:"global,omitempty"`
	Path     string `json:"path,omitempty"`
}

// Hello is the first line on a connection.
type Hello struct {
	Type    string    `json:"type"`
	Version int       `json:"version"`
	Script  string    `json:"script"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Files are the paths of procfs probes that can be read.
	Files []string `json:"files"`
}

// Snapshot is the state of a run.
type Snapshot struct {
	Type     string   `json:"type"`
	Time     int64    `json:"time_ns"` // of the wall clock
	Uptime   int64    `json:"uptime_ns"`
	Globals  []Global `json:"globals"`
	Probes   []Probe  `json:"probes"`
	Counters Counters `json:"counters"`
}

// Kinds of globals.
const (
	Long   = "long"
	String = "string"
	Stats  = "stats"
)

// Global is a variable of the script with what it holds: a scalar has one element
// without keys.
type Global struct {
	Type     string    `json:"type"`
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Keys     []string  `json:"keys,omitempty"` // kinds of the keys
	Elements []Element `json:"elements"`
}

// Element is one value: Value (a number or text) or Stat.
type Element struct {
	Keys  []Value `json:"keys,omitempty"`
	Value *Value  `json:"value,omitempty"`
	Stat  *Stat   `json:"stat,omitempty"`
}

// Value is a number or a text.
type Value struct {
	Text   string
	Number int64
	IsText bool
}

// MarshalJSON gives a JSON number or string.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.IsText {
		return json.Marshal(v.Text)
	}
	return json.Marshal(v.Number)
}

// UnmarshalJSON takes a JSON number or string.
func (v *Value) UnmarshalJSON(b []byte) error {
	*v = Value{}
	if len(b) > 0 && b[0] == '"' {
		v.IsText = true
		return json.Unmarshal(b, &v.Text)
	}
	return json.Unmarshal(b, &v.Number)
}

// String is the value as text.
func (v Value) String() string {
	if v.IsText {
		return v.Text
	}
	return fmt.Sprint(v.Number)
}

// Stat is an aggregate. Of what a script does not use there is nothing.
type Stat struct {
	Count int64  `json:"count"`
	Sum   *int64 `json:"sum,omitempty"`
	Min   *int64 `json:"min,omitempty"`
	Max   *int64 `json:"max,omitempty"`
	Avg   *int64 `json:"avg,omitempty"`
	Hist  *Hist  `json:"hist,omitempty"`
}

// Hist is a histogram with its filled buckets.
type Hist struct {
	Global  string   `json:"global,omitempty"`
	Kind    string   `json:"kind"` // log or linear
	Buckets []Bucket `json:"buckets"`
}

// Bucket counts the values from Low to High, both included; nil: without a bound.
type Bucket struct {
	Low   *int64 `json:"low"`
	High  *int64 `json:"high"`
	Count int64  `json:"count"`
}

// Probe is a probe with how often it was hit and how long its handler took. Probes that
// share a program (the places of a pattern) count together, in the first of them.
type Probe struct {
	Point   string `json:"point"`
	Script  string `json:"script"` // as it stands there
	Place   string `json:"place,omitempty"`
	Carrier string `json:"carrier"`
	Hits    uint64 `json:"hits"`
	Time    uint64 `json:"time_ns"`
}

// Probes is the report of -t.
type Probes struct {
	Type   string  `json:"type"`
	Probes []Probe `json:"probes"`
}

// Counters are what a run counts about itself.
type Counters struct {
	Errors uint64 `json:"errors"`
	Output uint64 `json:"output_bytes"`
	// Skipped, Dropped: hits that were not handled, and output that was lost, by cause.
	Skipped map[string]uint64 `json:"skipped"`
	Dropped map[string]uint64 `json:"dropped"`
}

// Print is what one hit of a probe printed.
type Print struct {
	Type  string `json:"type"`
	Time  int64  `json:"time_ns"` // of the wall clock
	CPU   *int   `json:"cpu,omitempty"`
	Probe string `json:"probe,omitempty"`
	Text  string `json:"text"`
	// Values are the arguments of all printfs, in order.
	Values []Value `json:"values,omitempty"`
	Hists  []Hist  `json:"hists,omitempty"`
}

// Message is a line of standard error.
type Message struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// File is the text of a procfs probe.
type File struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Text string `json:"text"`
}

// Failed says why a request was not carried out.
type Failed struct {
	Type  string `json:"type"`
	Error string `json:"error"`
}

// Append appends a message as a line.
func Append(dst []byte, m any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return dst, err
	}
	return append(dst, b.Bytes()...), nil
}

// maxLine bounds a message: the largest arrays of a script fit many times.
const maxLine = 256 << 20

// Client is a connection to a script's socket. It is safe for concurrent use.
type Client struct {
	Hello Hello

	mu   sync.Mutex
	conn net.Conn
	r    *bufio.Scanner
}

// Dial connects to the socket of a script.
func Dial(socket string) (*Client, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, r: bufio.NewScanner(conn)}
	c.r.Buffer(make([]byte, 64<<10), maxLine)
	if err := c.read(TypeHello, &c.Hello); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if c.Hello.Version != Version {
		return nil, errors.Join(fmt.Errorf("%s speaks version %d of the messages, not %d", socket, c.Hello.Version, Version), conn.Close())
	}
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) read(typ string, into any) error {
	if !c.r.Scan() {
		if err := c.r.Err(); err != nil {
			return err
		}
		return errors.New("the script has ended")
	}
	var head Failed
	if err := json.Unmarshal(c.r.Bytes(), &head); err != nil {
		return fmt.Errorf("a message that is none: %w", err)
	}
	switch head.Type {
	case TypeFailed:
		return errors.New(head.Error)
	case typ:
	default:
		return fmt.Errorf("a message of type %q, not %q", head.Type, typ)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(c.r.Bytes(), into)
}

func (c *Client) ask(r Request, typ string, into any) error {
	b, err := Append(nil, r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	return c.read(typ, into)
}

// Snapshot asks for the state of the run.
func (c *Client) Snapshot() (*Snapshot, error) {
	s := &Snapshot{}
	return s, c.ask(Request{Do: "snapshot"}, TypeSnapshot, s)
}

// Reset empties a global.
func (c *Client) Reset(global string) error {
	return c.ask(Request{Do: "reset", Global: global}, TypeDone, nil)
}

// File reads the text of a procfs probe, as reading its file would.
func (c *Client) File(path string) (string, error) {
	f := &File{}
	err := c.ask(Request{Do: "file", Path: path}, TypeFile, f)
	return f.Text, err
}
