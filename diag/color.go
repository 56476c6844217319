package diag

import (
	"io"
	"os"
	"runtime"
)

// WantColor decides whether to colour what is written to w: for the modes "never" and
// "always" as they say, for "auto" as most programs do, by $NO_COLOR and $FORCE_COLOR, then whether there is
// a terminal that knows colours.
func WantColor(mode string, w io.Writer) bool {
	if mode != "auto" {
		return mode == "always"
	}
	if os.Getenv("NO_COLOR") != "" {
		return false
	}
	if os.Getenv("FORCE_COLOR") != "" {
		return true
	}
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	if runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "" && os.Getenv("TERM") == "" {
		return false // an old console, which would show the codes
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
