package loader

import (
	"fmt"
	"strings"
	"time"
)

// strftime replaces the conversions that file names are made of. Others are
// kept as they are.
func strftime(s string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		layout, ok := map[byte]string{
			'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'I': "03", 'p': "PM",
			'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January",
			'e': "_2", 'z': "-0700", 'Z': "MST", 'D': "01/02/06",
		}[s[i]]
		switch {
		case ok:
			b.WriteString(t.Format(layout))
		case s[i] == '%':
			b.WriteByte('%')
		case s[i] == 'j':
			fmt.Fprintf(&b, "%03d", t.YearDay())
		case s[i] == 's':
			fmt.Fprintf(&b, "%d", t.Unix())
		default:
			b.WriteByte('%')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
