package app

// SignSample is sample.
var SignSample = sample

// Fit is fit for sizes that nobody set, by name, and those that the user set.
func Fit(unset, set map[string]int64, room int64) (taken map[string]string, total int64) {
	var list []size
	for name, bytes := range unset {
		list = append(list, size{name: name, bytes: bytes, least: 8 << 20})
	}
	for name, bytes := range set {
		list = append(list, size{name: name, bytes: bytes, set: true})
	}
	defaults, total := fit(list, room)
	taken = map[string]string{}
	for _, d := range defaults {
		taken[d.Name] = d.Value
	}
	return taken, total
}
