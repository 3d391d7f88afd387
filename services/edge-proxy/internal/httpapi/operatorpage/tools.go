package operatorpage

import (
	"net/http"
	"strconv"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/services/edge-proxy/internal/httpapi/operator"
)

// called is what is called now and was called of tools.
type called struct {
	operatorwire.ToolsResponse

	Me string // the operator, as calls name a user
}

func (p *Pages) showTools(w http.ResponseWriter, r request) error {
	if _, err := operator.Query(r.Request); err != nil {
		return err
	}
	out, err := p.tools(r.Context(), by(r, operatorwire.Empty{}))
	if err != nil {
		return err
	}
	body := called{ToolsResponse: out, Me: r.caller.Session.Owner()}
	return write(w, r, http.StatusOK, "tools",
		page{Title: "Tools", Section: "tools", Script: true, Refresh: everySeconds, Body: body})
}

// seconds is how long something takes, as people say it.
func seconds(s float64) string {
	if s < 1 {
		return strconv.Itoa(int(s*1000)) + " ms"
	}
	return strconv.FormatFloat(s, 'f', 1, 64) + " s"
}
