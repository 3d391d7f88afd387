package dashboards

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Sizes in pixels: of a column and a row of Grafana's grid, and of the space between panels.
const (
	column, row, gap = 56, 34, 8
	width            = 24 * column
)

var palette = []string{
	"#3274d9", "#299c46", "#e0752d", "#a352cc", "#c4162a", "#1f9aa7", "#b8860b", "#6b7280", "#d6479b", "#5b8c00",
}

// picture is an SVG that grows.
type picture struct{ strings.Builder }

func (p *picture) add(format string, args ...any) { p.WriteString(fmt.Sprintf(format+"\n", args...)) }

func (p *picture) text(x, y float64, class, words string) {
	p.add(`<text x="%.0f" y="%.0f" class="%s">%s</text>`, x, y, class, html.EscapeString(words))
}

// Draw draws a dashboard with the series of each panel, by its id, over a time in seconds. A panel of a kind that it
// does not know is an error.
func Draw(b Board, data map[int][]Series, from, to float64) ([]byte, error) {
	height := 0
	for _, panel := range b.Panels {
		height = max(height, (panel.Grid.Y+panel.Grid.H)*row)
	}
	var p picture
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif">`, width, height+44)
	p.add(`<style>text{fill:#222}.title{font-size:20px;font-weight:bold}.row{font-size:15px;font-weight:bold}` +
		`.name{font-size:12px;font-weight:bold}.small{font-size:9px;fill:#666}.end{text-anchor:end}` +
		`.value{font-size:22px;font-weight:bold}.none{font-size:12px;fill:#999}</style>`)
	p.add(`<rect width="100%%" height="100%%" fill="#f4f5f7"/>`)
	p.text(gap, 28, "title", b.Title)
	for _, panel := range b.Panels {
		x, y := float64(panel.Grid.X*column+gap/2), float64(panel.Grid.Y*row+44)
		w, h := float64(panel.Grid.W*column-gap), float64(panel.Grid.H*row-gap)
		if panel.Type == "row" {
			p.text(x, y+22, "row", panel.Title)
			continue
		}
		p.add(`<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" fill="#fff" stroke="#d8dade"/>`, x, y, w, h)
		p.text(x+8, y+17, "name", panel.Title)
		area := box{x + 54, y + 28, w - 64, h - 60}
		series := data[panel.ID]
		switch {
		case !slices.Contains([]string{"timeseries", "stat", "heatmap"}, panel.Type):
			return nil, fmt.Errorf("%s: a panel of type %s cannot be drawn", panel.Title, panel.Type)
		case len(series) == 0:
			p.text(x+w/2-20, y+h/2, "none", "no data")
		case panel.Type == "stat":
			p.stats(panel, series, x, y, w, h)
		case panel.Type == "heatmap":
			p.heat(panel, series, area, from, to)
		default:
			p.lines(panel, series, area, from, to)
		}
	}
	p.add(`</svg>`)
	return []byte(p.String()), nil
}

// box is the part of a panel in which values are drawn.
type box struct{ x, y, w, h float64 }

func (b box) at(t, from, to float64) float64 { return b.x + b.w*(t-from)/(to-from) }

// lines draws each series as a line, or one upon the other.
func (p *picture) lines(panel Panel, series []Series, area box, from, to float64) {
	slices.SortFunc(series, func(a, b Series) int { return cmp.Compare(a.Name, b.Name) })
	stacked := panel.Field.Defaults.Custom.Stacking.Mode == "normal"
	below := map[float64]float64{}
	top := 0.0
	shown := make([][]Point, len(series))
	for i, s := range series {
		for _, point := range s.Points {
			v := point.Value
			if stacked {
				v += below[point.At]
				below[point.At] = v
			}
			shown[i] = append(shown[i], Point{point.At, v})
			top = math.Max(top, v)
		}
	}
	if top == 0 {
		top = 1
	}
	for _, share := range []float64{0, 0.5, 1} {
		y := area.y + area.h*(1-share)
		p.add(`<line x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f" stroke="#e5e7eb"/>`, area.x, area.x+area.w, y, y)
		p.text(area.x-6, y+3, "small end", Value(top*share, panel.Field.Defaults.Unit))
	}
	for i, points := range shown {
		var path strings.Builder
		for _, point := range points {
			fmt.Fprintf(&path, "%.1f,%.1f ", area.at(point.At, from, to), area.y+area.h*(1-point.Value/top))
		}
		p.add(`<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>`, palette[i%len(palette)],
			strings.TrimSpace(path.String()))
	}
	p.legend(series, area)
}

// legend names as many series as there is room for.
func (p *picture) legend(series []Series, area box) {
	x, y := area.x-44, area.y+area.h+18
	for i, s := range series {
		name := cmp.Or(s.Name, "value")
		length := 20 + 5.2*float64(len(name))
		if x+length > area.x+area.w {
			p.text(x, y, "small", fmt.Sprintf("and %d more", len(series)-i))
			return
		}
		p.add(`<rect x="%.0f" y="%.0f" width="8" height="3" fill="%s"/>`, x, y-5, palette[i%len(palette)])
		p.text(x+11, y, "small", name)
		x += length
	}
}

// stats writes the last value of each series.
func (p *picture) stats(panel Panel, series []Series, x, y, w, h float64) {
	each := w / float64(len(series))
	for i, s := range series {
		last := s.Points[len(s.Points)-1].Value
		color := "#222"
		for _, step := range panel.Field.Defaults.Thresholds.Steps {
			if step.Value == nil || last >= *step.Value {
				color = map[string]string{"red": "#c4162a", "green": "#299c46", "orange": "#e0752d"}[step.Color]
			}
		}
		at := x + 8 + each*float64(i)
		p.add(`<text x="%.0f" y="%.0f" class="value" style="fill:%s">%s</text>`, at, y+h/2+12, cmp.Or(color, "#222"),
			Value(last, panel.Field.Defaults.Unit))
		p.text(at, y+h/2+28, "small", s.Name)
	}
}

// heat draws a histogram: a cell is as dark as there are values in its bucket. The series are cumulative.
func (p *picture) heat(panel Panel, series []Series, area box, from, to float64) {
	bound := func(s Series) float64 {
		v, err := strconv.ParseFloat(s.Name, 64)
		if err != nil {
			return math.Inf(1)
		}
		return v
	}
	slices.SortFunc(series, func(a, b Series) int { return cmp.Compare(bound(a), bound(b)) })
	most := 0.0
	cells := make([]map[float64]float64, len(series))
	for i, s := range series {
		cells[i] = map[float64]float64{}
		for _, point := range s.Points {
			v := point.Value
			if i > 0 {
				for _, lower := range series[i-1].Points {
					if lower.At == point.At {
						v -= lower.Value
					}
				}
			}
			cells[i][point.At] = v
			most = math.Max(most, v)
		}
	}
	height := area.h / float64(len(series))
	for i, s := range series {
		y := area.y + area.h - height*float64(i+1)
		wide := area.w / float64(max(1, len(s.Points)))
		for _, point := range s.Points {
			if v := cells[i][point.At]; v > 0 {
				p.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#3274d9" opacity="%.2f"/>`,
					area.at(point.At, from, to)-wide, y, wide, height-1, 0.15+0.85*v/most)
			}
		}
		if i%2 == 0 {
			p.text(area.x-6, y+height, "small end", Value(bound(s), panel.Field.Defaults.Unit))
		}
	}
}

// Value is a number with its unit, as short as a scale needs.
func Value(v float64, unit string) string {
	short := func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
	switch {
	case math.IsInf(v, 1):
		return "more"
	case unit == "s" && v != 0 && math.Abs(v) < 1:
		return short(v*1000) + " ms"
	case unit == "s":
		return short(v) + " s"
	case unit == "percentunit":
		return short(v*100) + " %"
	case unit == "bytes" || unit == "Bps":
		return scaled(v) + map[string]string{"bytes": "B", "Bps": "B/s"}[unit]
	case unit == "reqps" || unit == "ops":
		return short(v) + " /s"
	default:
		return short(v)
	}
}

func scaled(v float64) string {
	for _, prefix := range []string{"", "K", "M"} {
		if math.Abs(v) < 1024 {
			return strconv.FormatFloat(v, 'f', 0, 64) + " " + prefix
		}
		v /= 1024
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " G"
}
