//go:build !linux

package host

import "os/exec"

const probeEnv = "STAPKIT_PROBE_BPF"

func detach(*exec.Cmd) {}
