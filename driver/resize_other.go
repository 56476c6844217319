//go:build !unix

package driver

// onResize does nothing where no signal tells of another size.
func onResize(func()) (end func()) { return func() {} }
