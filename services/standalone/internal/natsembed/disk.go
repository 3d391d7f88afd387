package natsembed

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Disk is what a folder's file system has.
type Disk struct {
	Size int64 // bytes that it has in all
	Free int64 // bytes that this process may still write
	Used int64 // bytes that the folder holds already
}

// Room is what the folder may hold in all.
func (d Disk) Room() int64 { return d.Free + d.Used }

// Measure looks at the file system of a folder, which need not be there yet, and at what is in the folder.
func Measure(dir string) (Disk, error) {
	d, err := fileSystem(dir)
	if err != nil {
		return Disk{}, err
	}
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

func fileSystem(dir string) (Disk, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		err = syscall.Statfs(dir, &s)
	}
	if err != nil {
		return Disk{}, err
	}
	block := int64(s.Bsize) //nolint:unconvert // the types differ by system
	//nolint:gosec // of a real disk, likewise
	return Disk{Size: int64(s.Blocks) * block, Free: int64(s.Bavail) * block}, nil
}
