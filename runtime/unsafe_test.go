package loader_test

import "unsafe"

func bytesPointer(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }
