//go:build linux

package loader

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A capability is one that some probes need besides CAP_BPF and CAP_PERFMON, and what for.
type capability struct {
	bit       int
	name, why string
}

var (
	capNetAdmin = capability{12, "CAP_NET_ADMIN", "to hook into the network"}
	capReadAll  = capability{2, "CAP_DAC_READ_SEARCH", "to read files of others: programs that are probed, and the numbers of events below /sys/kernel/tracing"}
	capMount    = capability{capSysAdmin, "CAP_SYS_ADMIN", "to mount the files of procfs probes"}
)

// carrierCapability is what carriers need.
var carrierCapability = map[string]capability{
	"netfilter": capNetAdmin, "tracepoint": capReadAll, "uprobe": capReadAll, "uretprobe": capReadAll, "usdt": capReadAll,
}

// explainRights adds to a refusal of the system the capability that is missing, if it is
// known to be the one.
func (c capability) explainRights(err error, have func() (uint64, error)) error {
	if c.name == "" || !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	caps, cerr := have()
	if cerr != nil || caps>>c.bit&1 != 0 {
		return err
	}
	return fmt.Errorf("%w; this process lacks %s, %s", err, c.name, c.why)
}
