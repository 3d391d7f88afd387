module github.com/noetl/gateway/services/auth

go 1.26.0

require github.com/noetl/gateway/libs v0.0.0

replace github.com/noetl/gateway/libs => ../../libs

// go-kit asks for a genproto from before it was split; the newest has the split packages only.
replace google.golang.org/genproto v0.0.0-20210917145530-b395a37504d4 => google.golang.org/genproto v0.0.0-20261019180522-ce908d29299b
