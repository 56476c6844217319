//go:build linux

package main

import "unsafe"

func bytesPointer(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }
