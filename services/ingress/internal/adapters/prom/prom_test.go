package prom_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noetl/gateway/services/ingress/internal/adapters/prom"
	"github.com/noetl/gateway/services/ingress/internal/ingress"
	"github.com/noetl/gateway/services/ingress/internal/ingresstest"
)

func TestObserver(t *testing.T) {
	t.Parallel()
	ingresstest.RunObserver(t, func(t *testing.T) (ingress.Observer, func(string, string, ingress.Reason) int) {
		t.Helper()
		reg := prometheus.NewRegistry()
		return prom.New(reg), func(what, listener string, reason ingress.Reason) int {
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				for _, m := range f.GetMetric() {
					labels := map[string]string{}
					for _, l := range m.GetLabel() {
						labels[l.GetName()] = l.GetValue()
					}
					if f.GetName() == "noetl_ingress_"+what+"_total" && labels["subscription"] == listener &&
						labels["reason"] == string(reason) {
						return int(m.GetCounter().GetValue())
					}
				}
			}
			return 0
		}
	})
}
