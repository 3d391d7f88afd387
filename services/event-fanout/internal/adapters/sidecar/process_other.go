//go:build !linux

package sidecar

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func awaitEnd(int) bool { return false }

// unread cannot be told here: a program that does not read is found when its pipe is full.
func unread(*os.File) (int64, bool) { return 0, false }
