// Package config reads what a project says about its scripts in files beside them.
package config
