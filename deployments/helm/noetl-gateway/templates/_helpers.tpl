{{/* The four services, in the order in which their objects are rendered. */}}
{{- define "noetl-gateway.services" -}}
["auth", "edge-proxy", "event-fanout", "ingress"]
{{- end }}

{{/* Name of all objects, before the service's name. The release's, so that addresses such as that of the workers' callbacks can be said beforehand. */}}
{{- define "noetl-gateway.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The templates below take a dict: root (the chart's context) and name (the service). */}}

{{- define "noetl-gateway.name" -}}
{{ include "noetl-gateway.fullname" .root }}-{{ .name }}
{{- end }}

{{- define "noetl-gateway.selector" -}}
app.kubernetes.io/name: noetl-gateway
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{/* Labels of the chart's objects, without what one service adds. */}}
{{- define "noetl-gateway.chartLabels" -}}
app.kubernetes.io/name: noetl-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: noetl
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "noetl-gateway.labels" -}}
{{ include "noetl-gateway.chartLabels" .root }}
app.kubernetes.io/component: {{ .name }}
app.kubernetes.io/version: {{ include "noetl-gateway.tag" . | quote }}
{{- end }}

{{/* Head of an object: name, namespace, labels. suffix is optional. */}}
{{- define "noetl-gateway.metadata" -}}
name: {{ include "noetl-gateway.name" . }}{{ .suffix | default "" }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "noetl-gateway.labels" . | nindent 2 }}
{{- end }}

{{/* What holds for a service: the defaults with its own values over them. */}}
{{- define "noetl-gateway.service" -}}
{{ mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values.services .name)) | toYaml }}
{{- end }}

{{- define "noetl-gateway.serviceAccountName" -}}
{{- $svc := include "noetl-gateway.service" . | fromYaml }}
{{- if $svc.serviceAccount.name }}{{ $svc.serviceAccount.name }}
{{- else if $svc.serviceAccount.create }}{{ include "noetl-gateway.name" . }}
{{- else }}default{{ end }}
{{- end }}

{{- define "noetl-gateway.tag" -}}
{{- $svc := include "noetl-gateway.service" . | fromYaml }}
{{- coalesce $svc.image.tag .root.Values.image.tag .root.Chart.AppVersion }}
{{- end }}

{{- define "noetl-gateway.image" -}}
{{- $svc := include "noetl-gateway.service" . | fromYaml }}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ $svc.image.repository }}
{{- if $svc.image.digest }}@{{ $svc.image.digest }}{{ else }}:{{ include "noetl-gateway.tag" . }}{{ end }}
{{- end }}

{{/* Listeners of a service beside the admin listener: port of the container by its name. */}}
{{- define "noetl-gateway.ports" -}}
{{- if eq .name "edge-proxy" }}{"public": 8090, "operator": 8094}
{{- else if eq .name "event-fanout" }}{"streams": 8092, "internal": 8091}
{{- else if eq .name "ingress" }}{"deliveries": 8093}
{{- else }}{}{{ end }}
{{- end }}

{{- define "noetl-gateway.edgePort" -}}
{{ (index .Values.services "edge-proxy").service.port | default (ternary 443 80 (ne .Values.edgeTls.existingSecret "")) }}
{{- end }}

{{/* Host of publicUrl, without a port. */}}
{{- define "noetl-gateway.publicHost" -}}
{{ regexReplaceAll ":[0-9]+$" (urlParse .Values.publicUrl).host "" }}
{{- end }}

{{- define "noetl-gateway.callbackUrl" -}}
{{ .Values.callbacks.url | default (printf "http://%s-event-fanout-internal.%s.svc:8091" (include "noetl-gateway.fullname" .) .Release.Namespace) }}
{{- end }}

{{/* Settings that hold a secret: `secret:"true"` in the code (deployments/helm/check compares), and the headers of the OTLP exporter. */}}
{{- define "noetl-gateway.secretSettings" -}}
["NATS_PASSWORD", "NOETL_INTERNAL_API_TOKEN", "GATEWAY_INTERNAL_TOKEN", "AUTH_CLIENT_SECRET", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"]
{{- end }}
