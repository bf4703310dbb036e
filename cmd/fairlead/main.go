// Command fairlead carries live video from a bad network to a good one: see `fairlead help`.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "fairlead: no sub-command yet")
	os.Exit(2)
}
