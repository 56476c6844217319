//go:build linux

package loader

// For tests in processes of their own.
var DropPrivileges = dropPrivileges
