// Command stap compiles SystemTap scripts to eBPF and runs them.
package main

import (
	"context"
	"os"

	"stapkit/driver"
)

func main() {
	driver.Broker()
	os.Exit(driver.Stap(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
