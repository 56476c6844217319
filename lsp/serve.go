package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/jsonrpc2"
	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/query"
	"stapkit/sema"
	"stapkit/target"
)

// Error codes of the protocol.
const (
	codeServerNotInitialized = -32002
	codeRequestCancelled     = -32800
	codeContentModified      = -32801
)

// Options tell how to serve.
type Options struct {
	Version string
	// Log gets a line for each message and event; nil for none.
	Log io.Writer
	// Settings are defaults, as of the command line; the client's hide them.
	Settings Settings
	// Widths, when set, infers how much memory the variables of a script take. It is of
	// the compiler, which stands above this package.
	Widths func(context.Context, *sema.Program, *target.Target) (*query.Widths, error)

	open func(spec string) (*target.Target, error) // of tests
}

// A server talks to one client.
type server struct {
	opt  Options
	log  *log.Logger
	conn *jsonrpc2.Conn
	// table decodes and dispatches what 3.16 has; extra what it has not.
	table *protocol.Handler
	extra map[string]func(c *call, params json.RawMessage) (any, error)

	mu      sync.Mutex
	view    *view
	cancels map[string]context.CancelFunc
	calls   sync.Map // *glsp.Context → *call

	client      client
	initialized atomic.Bool
	shutdown    atomic.Bool
	exited      chan struct{}
	connected   chan struct{} // closed once conn is set
	exitOnce    sync.Once
	work        sync.WaitGroup // requests and background work
	background  context.Context
	stop        context.CancelFunc

	envs     envs
	pending  map[string]*time.Timer // diagnostics to come, by URI
	tokens   tokenCache
	linted   lintCache
	settling sync.Mutex        // one inference of widths at a time
	types    map[string]string // C types that were asked for, by virtual document
	written  map[string]string // virtual documents in the cache, by name
	progress atomic.Int64
	early    atomic.Bool // answers were given before debug information was there
}

// call is one request or notification with what it sees.
type call struct {
	glsp.Context
	s    *server
	ctx  context.Context
	view *view // the documents when it arrived
}

// Serve serves one client until it says exit or the stream ends. The error is nil
// when the client shut down in order.
func Serve(ctx context.Context, stream io.ReadWriteCloser, opt Options) error {
	s := &server{
		opt: opt, view: &view{docs: map[string]*document{}}, cancels: map[string]context.CancelFunc{},
		exited: make(chan struct{}), connected: make(chan struct{}), pending: map[string]*time.Timer{},
	}
	if opt.Log != nil {
		s.log = log.New(opt.Log, "", log.Ltime|log.Lmicroseconds)
	}
	s.background, s.stop = context.WithCancel(ctx)
	s.envs.init(s)
	s.register()
	s.conn = jsonrpc2.NewConn(s.background, jsonrpc2.NewBufferedStream(stream, jsonrpc2.VSCodeObjectCodec{}), s, jsonrpc2.SetLogger(discard{}))
	close(s.connected)
	select {
	case <-s.exited:
	case <-s.conn.DisconnectNotify():
	case <-ctx.Done():
	}
	s.stop()
	err := s.conn.Close()
	if errors.Is(err, jsonrpc2.ErrClosed) {
		err = nil
	}
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select { // what is slow to notice that it is cancelled is left behind
	case <-done:
		s.envs.close()
	case <-time.After(2 * time.Second):
	}
	if !s.shutdown.Load() {
		return errors.New("the client went away without a shutdown request")
	}
	return err
}

type discard struct{}

func (discard) Printf(string, ...any) {}

func (s *server) logf(format string, args ...any) {
	if s.log != nil {
		s.log.Printf(format, args...)
	}
}

// Handle gets each message in order. Requests leave for a goroutine of their own.
func (s *server) Handle(ctx context.Context, _ *jsonrpc2.Conn, req *jsonrpc2.Request) {
	// The first message may come before NewConn has returned.
	<-s.connected
	c := &call{s: s, ctx: ctx}
	c.Method = req.Method
	if req.Params != nil {
		c.Params = *req.Params
	}
	c.Notify = s.notify
	c.Call = func(method string, params, result any) {
		if err := s.conn.Call(c.ctx, method, params, result); err != nil {
			s.logf("%s: %v", method, err)
		}
	}
	s.mu.Lock()
	c.view = s.view
	s.mu.Unlock()
	if req.Notif {
		s.notification(c)
		return
	}
	id := req.ID.String()
	ctx, cancel := context.WithCancel(s.background)
	c.ctx = ctx
	s.mu.Lock()
	s.cancels[id] = cancel
	s.mu.Unlock()
	run := func() {
		defer s.work.Done()
		start := time.Now()
		result, err := s.request(c)
		s.mu.Lock()
		delete(s.cancels, id)
		s.mu.Unlock()
		if ctx.Err() != nil && err == nil && !s.shutdown.Load() {
			err = &jsonrpc2.Error{Code: codeRequestCancelled, Message: "cancelled"}
		}
		cancel()
		s.logf("%s #%s %v %v", c.Method, id, time.Since(start).Round(10*time.Microsecond), errText(err))
		s.reply(req.ID, result, err)
	}
	s.work.Add(1)
	if c.Method == protocol.MethodInitialize || c.Method == protocol.MethodShutdown {
		run() // what follows depends on it
		return
	}
	go run()
}

func errText(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

func (s *server) reply(id jsonrpc2.ID, result any, err error) {
	if err == nil {
		err = s.conn.Reply(context.Background(), id, result)
	} else {
		var e *jsonrpc2.Error
		if !errors.As(err, &e) {
			e = &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: err.Error()}
			if errors.Is(err, context.Canceled) {
				e.Code = codeRequestCancelled
			}
		}
		err = s.conn.ReplyWithError(context.Background(), id, e)
	}
	if err != nil && !errors.Is(err, jsonrpc2.ErrClosed) {
		s.logf("reply: %v", err)
	}
}

// request answers one request; a panic becomes an error.
func (s *server) request(c *call) (result any, err error) {
	defer s.recovered(c.Method, &err)
	switch {
	case !s.initialized.Load() && c.Method != protocol.MethodInitialize:
		return nil, &jsonrpc2.Error{Code: codeServerNotInitialized, Message: "the server is not initialized"}
	case s.shutdown.Load():
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidRequest, Message: "the server is shutting down"}
	}
	if f, ok := s.extra[c.Method]; ok {
		return f(c, c.Params)
	}
	return s.dispatch(c)
}

// dispatch has glsp's table decode and call.
func (s *server) dispatch(c *call) (any, error) {
	s.calls.Store(&c.Context, c)
	defer s.calls.Delete(&c.Context)
	if len(c.Params) == 0 {
		c.Params = json.RawMessage("null")
	}
	result, validMethod, validParams, err := s.table.Handle(&c.Context)
	switch {
	case !validMethod:
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: "method not supported: " + c.Method}
	case !validParams:
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: fmt.Sprintf("%s: %v", c.Method, err)}
	}
	return result, err
}

// of finds the call that a handler of the table runs for.
func (s *server) of(ctx *glsp.Context) *call {
	c, _ := s.calls.Load(ctx)
	return c.(*call)
}

func (s *server) notification(c *call) {
	var err error
	func() {
		defer s.recovered(c.Method, &err)
		switch c.Method {
		case protocol.MethodExit:
			s.exitOnce.Do(func() { close(s.exited) })
			return
		case protocol.MethodCancelRequest:
			// glsp's IntegerOrString does not decode.
			var p struct {
				ID jsonrpc2.ID `json:"id"`
			}
			if err = json.Unmarshal(c.Params, &p); err == nil {
				s.mu.Lock()
				if cancel := s.cancels[p.ID.String()]; cancel != nil {
					cancel()
				}
				s.mu.Unlock()
			}
			return
		}
		if !s.initialized.Load() || s.shutdown.Load() {
			return
		}
		if f, ok := s.extra[c.Method]; ok {
			_, err = f(c, c.Params)
			return
		}
		_, err = s.dispatch(c)
	}()
	s.logf("%s %v", c.Method, errText(err))
}

// recovered turns a panic into an error and logs it with its stack.
func (s *server) recovered(what string, err *error) {
	if r := recover(); r != nil {
		s.logf("panic in %s: %v\n%s", what, r, debug.Stack())
		*err = fmt.Errorf("internal error in %s: %v", what, r)
	}
}

// background work that ends with the server; a panic in it is logged.
func (s *server) spawn(what string, f func(ctx context.Context)) {
	if s.background.Err() != nil {
		return
	}
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		var err error
		defer s.recovered(what, &err)
		f(s.background)
	}()
}

func (s *server) notify(method string, params any) {
	if err := s.conn.Notify(s.background, method, params); err != nil && !errors.Is(err, jsonrpc2.ErrClosed) && !errors.Is(err, context.Canceled) {
		s.logf("%s: %v", method, err)
	}
}

// showMessage tells the person something.
func (s *server) showMessage(t protocol.MessageType, text string) {
	s.notify(protocol.ServerWindowShowMessage, protocol.ShowMessageParams{Type: t, Message: text})
}

func ptr[T any](v T) *T { return &v }
