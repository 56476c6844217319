// Package debuginfod gets debug files by build-id from servers that speak the
// debuginfod protocol, as elfutils' tools do. It is used where $DEBUGINFOD_URLS or an
// option names servers, and not otherwise.
package debuginfod

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"stapkit/target/elf"
	"stapkit/target/store"
)

// Environment is the variable with the servers' URLs, between spaces.
const Environment = "DEBUGINFOD_URLS"

// Client asks servers in order. It is safe for concurrent use.
type Client struct {
	// URLs are those of the servers.
	URLs []string
	// Timeout bounds the wait for a server to begin its answer, and for each further
	// piece of it.
	Timeout time.Duration
	// Context ends what is under way; nil means context.Background.
	Context context.Context
	// Told is called before something is downloaded.
	Told func(message string)

	mu      sync.Mutex
	missing map[string]error
}

// FromEnvironment is a client for the servers of $DEBUGINFOD_URLS, nil if there are
// none.
func FromEnvironment() *Client {
	urls := strings.Fields(os.Getenv(Environment))
	if len(urls) == 0 {
		return nil
	}
	return &Client{URLs: urls, Timeout: 90 * time.Second}
}

// maxFile bounds what is downloaded: a kernel's is about 1 GB.
const maxFile = 4 << 30

const kind = "debuginfod"

// Fetch gives the path of the debug file of a build-id, downloaded now or before. It
// serves as elf.Search.Fetch.
func (c *Client) Fetch(buildID string) (string, error) {
	if b, err := hex.DecodeString(buildID); err != nil || len(b) < 2 || len(b) > 64 {
		return "", fmt.Errorf("%q is no build-id", buildID)
	}
	dir, err := store.Dir(kind)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, buildID+".debug")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.missing[buildID]; err != nil {
		return "", err // asked before
	}
	var errs []error
	for _, u := range c.URLs {
		err := c.get(u, buildID, dir, path)
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	err = fmt.Errorf("debuginfod: %w", errors.Join(errs...))
	if c.missing == nil {
		c.missing = map[string]error{}
	}
	c.missing[buildID] = err
	return "", err
}

func (c *Client) get(server, buildID, dir, path string) (err error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is no URL of a server", server)
	}
	u = u.JoinPath("buildid", buildID, "debuginfo")
	ctx := c.Context
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(c.Timeout, func() { cancel(fmt.Errorf("no answer within %v", c.Timeout)) })
	defer late.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("%s: %w", u.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s has no debug file of build %s: %w", u.Host, buildID, fs.ErrNotExist)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", u.Host, resp.Status)
	}
	if c.Told != nil {
		c.Told(fmt.Sprintf("downloading the debug file of build %s from %s", buildID, u.Host))
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
	body := io.LimitReader(resp.Body, maxFile+1)
	var n int64
	for {
		late.Reset(c.Timeout)
		k, cerr := io.CopyN(f, body, 1<<20)
		n += k
		if errors.Is(cerr, io.EOF) {
			break
		}
		if cerr != nil {
			return errors.Join(fmt.Errorf("%s: %w", u.Host, cerr), f.Close())
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if n > maxFile {
		return fmt.Errorf("%s: the file is larger than %d bytes", u.Host, int64(maxFile))
	}
	e, err := elf.Open(f.Name())
	if err != nil {
		return fmt.Errorf("%s: what it sent is no debug file: %w", u.Host, err)
	}
	if err := e.Close(); err != nil {
		return err
	}
	if e.BuildID != buildID {
		return fmt.Errorf("%s sent the file of another build, %s", u.Host, e.BuildID)
	}
	return os.Rename(f.Name(), path)
}
