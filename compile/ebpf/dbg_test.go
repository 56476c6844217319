package ebpf

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/cilium/ebpf/asm"
	"stapkit/ir/irgen"
)

func TestDbg(t *testing.T) {
	s, err := strconv.Atoi(os.Getenv("DBG"))
	if err != nil {
		t.Skip()
	}
	f, _ := strconv.ParseUint(os.Getenv("STAPKIT_FEATURES"), 0, 32)
	p := irgen.New(uint64(s), irgen.Options{Features: irgen.Feature(f), Kernel: true})
	fmt.Println(dump(p))
	spec, _ := generate(t, p)
	for _, x := range spec.Programs {
		fmt.Println(x.Name, x.Section)
		fmt.Println(asm.Instructions(x.Insns))
	}
	for _, x := range spec.Functions {
		fmt.Println(x.Name)
		fmt.Println(asm.Instructions(x.Insns))
	}
}
