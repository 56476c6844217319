// Command stapc compiles a SystemTap script to a signed bundle for staprun.
package main

import (
	"os"

	"stapkit/driver"
)

func main() {
	os.Exit(driver.Stapc(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
