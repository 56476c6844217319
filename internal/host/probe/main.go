// Command probe says whether this machine can load BPF programs: it exits with 0,
// or prints why not and exits with 1.
package main

import (
	"fmt"
	"os"

	"stapkit/internal/host"
)

func main() {
	if why := host.BPF(); why != "" {
		fmt.Println(why)
		os.Exit(1)
	}
}
