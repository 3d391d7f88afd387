package app

import "github.com/noetl/gateway/services/standalone/internal/natsembed"

// SignSample is sample.
var SignSample = sample

// Fit is fit for sizes that nobody set, by name, and those that the user set.
func Fit(unset, set map[string]int64, room int64) (taken map[string]string, total int64) {
	defaults, total := fit(sizesOf(unset, set), room)
	taken = map[string]string{}
	for _, d := range defaults {
		taken[d.Name] = d.Value
	}
	return taken, total
}

// Beyond is beyond on a disk of a size.
func Beyond(unset, set map[string]int64, disk int64) error {
	return beyond(sizesOf(unset, set), natsembed.Disk{Size: disk})
}

func sizesOf(unset, set map[string]int64) (list []size) {
	for name, bytes := range unset {
		list = append(list, size{name: name, bytes: bytes, least: 8 << 20})
	}
	for name, bytes := range set {
		list = append(list, size{name: name, bytes: bytes, set: true})
	}
	return list
}
