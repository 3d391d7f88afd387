// The tools of deployments/helm/check. A module of its own, outside go.work: nothing of the gateway depends on it.
module github.com/noetl/gateway/deployments/helm/tools

go 1.26.0

require gopkg.in/yaml.v3 v3.0.1
