package natsembed

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

// Disk is what a folder's file system has.
type Disk struct {
	Free int64 // bytes that this process may still write
	Used int64 // bytes that the folder holds already
}

// Room is what the folder may hold in all.
func (d Disk) Room() int64 { return d.Free + d.Used }

// Measure looks at the file system of a folder, and at what is in the folder.
func Measure(dir string) (Disk, error) {
	free, err := freeBytes(dir)
	if err != nil {
		return Disk{}, err
	}
	d := Disk{Free: free}
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // what cannot be looked at does not count
		}
		if info, err := entry.Info(); err == nil {
			d.Used += info.Size()
		}
		return nil
	})
	return d, err
}

func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:gosec,unconvert // of a real disk; the types differ by system
}
