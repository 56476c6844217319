//go:build !linux

package desc

func machine() string { return "" }
